// SPDX-License-Identifier: Apache-2.0

package realserver

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/holdfast-lb/holdfast/internal/sysctl"
)

// Kernel is the Host of a network namespace: of that in which the thread was that opened it. Whoever uses it has to be there,
// too, because that is whose sysctls a thread sees.
type Kernel struct{ handle *netlink.Handle }

var _ Host = (*Kernel)(nil)

const (
	netlinkTimeout  = 5 * time.Second
	modprobeTimeout = 30 * time.Second // it may have to read a slow disk
)

// Open opens the kernel of the namespace that the calling thread is in.
func Open() (*Kernel, error) {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE, unix.NETLINK_GENERIC)
	if err == nil {
		err = h.SetSocketTimeout(netlinkTimeout)
	}
	if err != nil {
		return nil, fmt.Errorf("open netlink: %w", err)
	}
	return &Kernel{h}, nil
}

// Close frees the sockets.
func (k *Kernel) Close() { k.handle.Close() }

// Read is Host.Read.
func (k *Kernel) Read(sysctls []string, ports bool) (Facts, error) {
	f := Facts{Boot: sysctl.Boot(), Links: make(map[string]Link), Sysctls: make(map[string]string)}
	for _, read := range []func(*Facts) error{k.readLinks, k.readAddresses, k.readDefaults, func(f *Facts) error {
		return readSysctls(f, sysctls)
	}} {
		if err := read(&f); err != nil {
			return Facts{}, err
		}
	}
	if ports {
		if err := k.readPorts(&f); err != nil {
			return Facts{}, err
		}
	}
	return f, nil
}

// whole repeats a dump that changes have interrupted.
func whole[T any](what string, dump func() ([]T, error)) (list []T, err error) {
	for range 5 {
		if list, err = dump(); !errors.Is(err, netlink.ErrDumpInterrupted) {
			break
		}
	}
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", what, err)
	}
	return list, nil
}

func (k *Kernel) readLinks(f *Facts) error {
	links, err := whole("links", k.handle.LinkList)
	for _, l := range links {
		a := l.Attrs()
		link := Link{Index: a.Index, Up: a.Flags&net.FlagUp != 0, Kind: l.Type()}
		switch t := l.(type) {
		case *netlink.Gretun:
			link.Local = addr(t.Local)
		case *netlink.Ip6tnl:
			link.Local = addr(t.Local)
		}
		f.Links[a.Name] = link
	}
	return err
}

func addr(ip net.IP) netip.Addr {
	a, _ := netip.AddrFromSlice(ip)
	return a.Unmap()
}

func (f *Facts) name(index int) string {
	for name, l := range f.Links {
		if l.Index == index {
			return name
		}
	}
	return ""
}

func (k *Kernel) readAddresses(f *Facts) error {
	list, err := whole("addresses", func() ([]netlink.Addr, error) { return k.handle.AddrList(nil, netlink.FAMILY_ALL) })
	for _, a := range list {
		bits, _ := a.Mask.Size()
		f.Addresses = append(f.Addresses, Address{f.name(a.LinkIndex), netip.PrefixFrom(addr(a.IP), bits)})
	}
	return err
}

func (k *Kernel) readDefaults(f *Facts) error {
	for _, fam := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		list, err := whole("routes", func() ([]netlink.Route, error) {
			return k.handle.RouteListFiltered(fam, &netlink.Route{Table: unix.RT_TABLE_MAIN}, netlink.RT_FILTER_TABLE)
		})
		if err != nil {
			return err
		}
		for _, r := range list {
			ones := 0
			if r.Dst != nil {
				ones, _ = r.Dst.Mask.Size()
			}
			if ones == 0 && r.Type == unix.RTN_UNICAST && r.Tos == 0 {
				f.Defaults = append(f.Defaults, f.route(r, fam == netlink.FAMILY_V6))
			}
		}
	}
	return nil
}

func (f *Facts) route(r netlink.Route, v6 bool) Route {
	flags := r.Flags &^ (unix.RTNH_F_ONLINK | unix.RTNH_F_LINKDOWN | unix.RTNH_F_DEAD)
	return Route{
		Via: addr(r.Gw), Device: f.name(r.LinkIndex), Source: addr(r.Src), Metric: r.Priority, Protocol: int(r.Protocol),
		Scope: uint8(r.Scope), OnLink: r.Flags&unix.RTNH_F_ONLINK != 0, MTU: r.MTU, AdvMSS: r.AdvMSS, V6: v6,
		Special: len(r.MultiPath) > 0 || r.Encap != nil || r.Via != nil || r.Realm != 0 || flags != 0 || r.Window != 0 ||
			r.InitCwnd != 0 || r.InitRwnd != 0 || r.RtoMin != 0 || r.QuickACK != 0 || r.Congctl != "" || r.Hoplimit != 0,
	}
}

func (k *Kernel) readPorts(f *Facts) error {
	list, err := whole("ports", func() ([]netlink.Fou, error) { return k.handle.FouList(unix.AF_UNSPEC) })
	if errors.Is(err, unix.ENOENT) {
		return nil // the module is not there
	}
	for _, p := range list {
		if p.EncapType == netlink.FOU_ENCAP_GUE {
			f.Ports = append(f.Ports, Port{uint16(p.Port), p.Family == unix.AF_INET6})
		}
	}
	return err
}

func readSysctls(f *Facts, patterns []string) error {
	for _, p := range patterns {
		found, err := filepath.Glob(filepath.Join("/proc/sys", p))
		if err != nil {
			return err
		}
		for _, file := range found {
			path, _ := filepath.Rel("/proc/sys", file)
			value, err := sysctl.Read(path)
			if errors.Is(err, fs.ErrNotExist) {
				continue // the link has just gone
			}
			if err != nil {
				return err
			}
			f.Sysctls[path] = value
		}
	}
	return nil
}

// Apply is Host.Apply.
func (k *Kernel) Apply(c Change) error {
	switch c.Kind {
	case SetSysctl:
		return sysctl.Write(c.Path, c.Value)
	case AddLink:
		err := k.handle.LinkAdd(newLink(c.Device, c.Link))
		if errors.Is(err, unix.EEXIST) {
			return nil // its module, which this has loaded, has made it
		}
		return err
	case AddPort:
		return k.addPort(c.Port)
	case DeletePort:
		return k.handle.FouDel(netlink.Fou{Family: int(c.Port.family()), Port: int(c.Port.Number)})
	case SetRoute, DeleteRoute:
		return k.route(c)
	}
	link, err := k.handle.LinkByName(c.Device)
	if err != nil {
		return err
	}
	a := &netlink.Addr{IPNet: ipNet(c.Prefix)}
	switch c.Kind {
	case DeleteLink:
		return k.handle.LinkDel(link)
	case SetUp:
		return k.handle.LinkSetUp(link)
	case SetDown:
		return k.handle.LinkSetDown(link)
	case AddAddress:
		if c.Prefix.Addr().Is6() {
			a.Flags = unix.IFA_F_NODAD // no other host may object, as the directors have it
		}
		return k.handle.AddrAdd(link, a)
	case DeleteAddress:
		return k.handle.AddrDel(link, a)
	}
	return fmt.Errorf("unknown change: %s", c.Kind)
}

func newLink(name string, l NewLink) netlink.Link {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = name
	switch l.Kind {
	case "ipip":
		return &netlink.Iptun{LinkAttrs: attrs, Proto: unix.IPPROTO_IPIP}
	case "sit":
		return &netlink.Sittun{LinkAttrs: attrs, Proto: unix.IPPROTO_IPV6}
	case "ip6tnl":
		return &netlink.Ip6tnl{LinkAttrs: attrs, Local: slices.Clone(l.Local.AsSlice())} // of protocol 0: any
	}
	// The library tells gre from ip6gre by the local address.
	local := l.Local
	switch {
	case !local.IsValid() && l.Kind == "gre":
		local = netip.IPv4Unspecified()
	case !local.IsValid():
		local = netip.IPv6Unspecified()
	}
	gre := &netlink.Gretun{LinkAttrs: attrs, Local: local.AsSlice()}
	if l.Checksum {
		gre.IFlags = uint16(nl.GRE_CSUM)
	}
	return gre
}

// addPort loads the module if need be: the kernel does not do it by itself for this one.
func (k *Kernel) addPort(p Port) error {
	family, err := k.handle.GenlFamilyGet(netlink.FOU_GENL_NAME)
	if errors.Is(err, unix.ENOENT) {
		ctx, cancel := context.WithTimeout(context.Background(), modprobeTimeout)
		defer cancel()
		if exec.CommandContext(ctx, "modprobe", "--", "fou").Run() == nil {
			family, err = k.handle.GenlFamilyGet(netlink.FOU_GENL_NAME)
		}
	}
	if err != nil {
		return err
	}
	// The library sends an inner protocol, too, 0 here, which newer kernels refuse (FOU_ATTR_IPPROTO in net/ipv4/fou_nl.c).
	req := nl.NewNetlinkRequest(int(family.ID), unix.NLM_F_ACK)
	req.AddData(&nl.Genlmsg{Command: netlink.FOU_CMD_ADD, Version: 1})
	req.AddData(nl.NewRtAttr(netlink.FOU_ATTR_PORT, binary.BigEndian.AppendUint16(nil, p.Number)))
	req.AddData(nl.NewRtAttr(netlink.FOU_ATTR_TYPE, []byte{netlink.FOU_ENCAP_GUE}))
	req.AddData(nl.NewRtAttr(netlink.FOU_ATTR_AF, []byte{p.family()}))
	_, err = req.Execute(unix.NETLINK_GENERIC, 0)
	return err
}

func (p Port) family() byte {
	if p.V6 {
		return unix.AF_INET6
	}
	return unix.AF_INET
}

func (k *Kernel) route(c Change) error {
	r := &netlink.Route{
		Dst: ipNet(netip.PrefixFrom(netip.IPv4Unspecified(), 0)), Gw: c.Route.Via.AsSlice(), Src: c.Route.Source.AsSlice(),
		Priority: c.Route.Metric, Protocol: netlink.RouteProtocol(c.Route.Protocol), Scope: netlink.Scope(c.Route.Scope),
		MTU: c.Route.MTU, AdvMSS: c.Route.AdvMSS, Table: unix.RT_TABLE_MAIN,
	}
	if c.Route.V6 {
		r.Dst = ipNet(netip.PrefixFrom(netip.IPv6Unspecified(), 0))
	}
	if c.Route.OnLink {
		r.Flags = unix.RTNH_F_ONLINK
	}
	if c.Route.Device != "" {
		link, err := k.handle.LinkByName(c.Route.Device)
		if err != nil {
			return err
		}
		r.LinkIndex = link.Attrs().Index
	}
	if c.Kind == DeleteRoute {
		return k.handle.RouteDel(r)
	}
	return k.handle.RouteReplace(r)
}

// ipNet converts to the type that the netlink library takes.
func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
