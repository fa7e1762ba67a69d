// SPDX-License-Identifier: Apache-2.0

package realserver

import (
	"fmt"
	"maps"
	"net/netip"
	"path/filepath"
	"slices"
	"syscall"
)

// fake is a host in memory that does what the kernel does.
type fake struct {
	Facts
	next  int              // index of the next link
	fails map[string]error // by the command
}

func newFake() *fake {
	f := &fake{next: 10, fails: make(map[string]error), Facts: Facts{
		Boot:      "first",
		Links:     map[string]Link{"lo": {Index: 1, Up: true, Kind: "device"}, "eth0": {Index: 2, Up: true, Kind: "device"}},
		Addresses: []Address{{"lo", netip.MustParsePrefix("127.0.0.1/8")}, {"eth0", netip.MustParsePrefix("10.0.0.21/24")}},
		Defaults:  []Route{{Via: netip.MustParseAddr("10.0.0.1"), Device: "eth0", Source: netip.MustParseAddr("10.0.0.21"), Protocol: 16}},
		Sysctls:   map[string]string{"net/ipv4/conf/all/rp_filter": "0"},
	}}
	f.Addresses = append(f.Addresses, Address{"eth0", netip.MustParsePrefix("2001:db8::21/64")})
	for _, link := range []string{"all", "lo", "eth0"} {
		f.appears(link)
	}
	return f
}

func (f *fake) appears(link string) {
	for name, value := range map[string]string{"arp_ignore": "0", "arp_announce": "0", "rp_filter": "1"} {
		f.Sysctls[conf4+link+"/"+name] = value
	}
	f.Sysctls[conf6+link+"/disable_ipv6"] = "0"
}

func (f *fake) copy() Facts {
	c := f.Facts
	c.Links, c.Sysctls = maps.Clone(f.Links), maps.Clone(f.Sysctls)
	c.Addresses, c.Defaults, c.Ports = slices.Clone(f.Addresses), slices.Clone(f.Defaults), slices.Clone(f.Ports)
	return c
}

func (f *fake) Read(patterns []string, ports bool) (Facts, error) {
	c := f.copy()
	maps.DeleteFunc(c.Sysctls, func(path, _ string) bool {
		return !slices.ContainsFunc(patterns, func(p string) bool { fits, _ := filepath.Match(p, path); return fits })
	})
	if !ports {
		c.Ports = nil
	}
	return c, nil
}

func (f *fake) Apply(c Change) error {
	if err := f.fails[c.String()]; err != nil {
		return err
	}
	link, there := f.Links[c.Device]
	if c.Device != "" && c.Kind != AddLink && !there {
		return syscall.ENODEV
	}
	switch c.Kind {
	case SetSysctl:
		f.Sysctls[c.Path] = c.Value
	case AddLink:
		f.next++
		f.Links[c.Device] = Link{Index: f.next, Kind: c.Link.Kind, Local: c.Link.Local}
		f.appears(c.Device)
	case DeleteLink:
		delete(f.Links, c.Device)
		maps.DeleteFunc(f.Sysctls, func(path, _ string) bool { return deviceOf(path) == c.Device })
	case SetUp, SetDown:
		link.Up = c.Kind == SetUp
		f.Links[c.Device] = link
	case AddAddress:
		f.Addresses = append(f.Addresses, Address{c.Device, c.Prefix})
	case DeleteAddress:
		f.Addresses = slices.DeleteFunc(f.Addresses, func(a Address) bool { return a == Address{c.Device, c.Prefix} })
	case AddPort:
		f.Ports = append(f.Ports, c.Port)
	case DeletePort:
		f.Ports = slices.DeleteFunc(f.Ports, func(p Port) bool { return p == c.Port })
	case SetRoute, DeleteRoute:
		f.Defaults = slices.DeleteFunc(f.Defaults, func(r Route) bool { return r.Metric == c.Route.Metric && r.V6 == c.Route.V6 })
		if c.Kind == SetRoute {
			f.Defaults = append(f.Defaults, c.Route)
		}
	default:
		return fmt.Errorf("unknown change %v", c)
	}
	return nil
}
