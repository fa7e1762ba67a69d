// SPDX-License-Identifier: Apache-2.0

package realserver

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/holdfast-lb/holdfast/internal/sysctl"
	"github.com/holdfast-lb/holdfast/ipvs"
)

// Facts are what is on this host.
type Facts struct {
	Boot      string          // tells one boot of the kernel from the next
	Links     map[string]Link // by name
	Addresses []Address
	Defaults  []Route // of the main table
	Ports     []Port
	Sysctls   map[string]string // by the path below /proc/sys; those that are not there are left out
}

// Link is a network link.
type Link struct {
	Index int
	Up    bool       // set up, with a carrier or not
	Kind  string     // as ip-link(8) names it
	Local netip.Addr // of a tunnel; invalid: any
}

// Address is an address on a link.
type Address struct {
	Device string
	Prefix netip.Prefix
}

func (f Facts) has(device string, p netip.Prefix) bool {
	return slices.Contains(f.Addresses, Address{device, p})
}

func (f Facts) hears(p Port) bool { return slices.Contains(f.Ports, p) }

// onLink reports whether a link of this host is on a network that has the address.
func (f Facts) onLink(a netip.Addr) bool {
	return slices.ContainsFunc(f.Addresses, func(own Address) bool {
		return own.Device != "lo" && own.Prefix.Contains(a) && own.Prefix.Addr() != a
	})
}

// gateway is the default route that the kernel uses.
func (f Facts) gateway(v6 bool) (best Route, there bool) {
	for _, r := range f.Defaults {
		if r.V6 == v6 && (!there || r.Metric < best.Metric) {
			best, there = r, true
		}
	}
	return best, there
}

// Finding is something on this host that is not as a real server needs it.
type Finding struct {
	Fact string `json:"fact"`
	Why  string `json:"why"`  // it matters
	Mend string `json:"mend"` // the command that mends it, or what else to do
	// Change is what mends it; its zero value: it is not ours to change.
	Change Change `json:"-"`

	device string // that it is about
}

// compare returns what differs from the needs, in their order.
func compare(needs []need, have Facts) (list []Finding) {
	for _, n := range needs {
		_, there := have.Links[n.Device]
		if n.Kind != AddLink && n.Device != "" && !there {
			if !adds(needs, n.Device) {
				list = append(list, Finding{Fact: "there is no link " + n.Device, Why: n.why, Mend: "run it where " + n.Device + " is", device: n.Device})
			}
			continue // found with its link
		}
		if f, differs := n.compare(have); differs {
			f.Why, f.Mend, f.device = n.why, cmp.Or(f.Mend, f.Change.String()), n.Device
			list = append(list, f)
		}
	}
	return list
}

func adds(needs []need, device string) bool {
	return slices.ContainsFunc(needs, func(n need) bool { return n.Kind == AddLink && n.Device == device })
}

// compare finds what is wrong with one thing that is needed, whose link is there.
func (n need) compare(have Facts) (f Finding, differs bool) {
	change, link := n.Change, have.Links[n.Device]
	change.Index = link.Index
	switch n.Kind {
	case SetSysctl:
		return n.compareSysctl(change, have)
	case AddLink:
		return n.compareLink(change, have)
	case SetUp:
		return Finding{Fact: n.Device + " is down", Change: change}, !link.Up
	case AddAddress:
		return Finding{Fact: fmt.Sprintf("%s is not on %s", n.Prefix, n.Device), Change: change}, !have.has(n.Device, n.Prefix)
	case AddPort:
		return Finding{
			Fact: fmt.Sprintf("nothing takes wrapped packets on UDP port %d", n.Port.Number), Change: change,
		}, !have.hears(n.Port)
	}
	return n.compareGateway(change, have)
}

func (n need) compareSysctl(change Change, have Facts) (Finding, bool) {
	is, there := have.Sysctls[n.Path]
	switch {
	case !there && strings.HasPrefix(n.Path, conf6):
		return Finding{Fact: "this kernel has no IPv6", Mend: "boot it without ipv6.disable=1"}, true
	case !there:
		return Finding{Fact: n.setting.Name() + " is not there", Mend: "mount /proc where this runs"}, true
	case n.setting.Met(is, have.Sysctls[n.setting.Larger]):
		return Finding{}, false
	}
	change.Was = is
	fact := fmt.Sprintf("%s is %s", n.setting.Name(), is)
	if larger := have.Sysctls[n.setting.Larger]; larger > is {
		fact += fmt.Sprintf(", and %s, which counts, is %s", sysctl.Setting{Path: n.setting.Larger}.Name(), larger)
	}
	return Finding{Fact: fact, Change: change}, true
}

func (n need) compareLink(change Change, have Facts) (Finding, bool) {
	link, there := have.Links[n.Device]
	change.Index = 0
	switch {
	case !there:
		return Finding{Fact: "there is no link " + n.Device, Change: change}, true
	case link.Kind != n.Link.Kind:
		return Finding{
			Fact: fmt.Sprintf("%s is a link of kind %s, not %s", n.Device, link.Kind, n.Link.Kind), Mend: "ip link delete " + n.Device,
		}, true
	case n.Link.Local.IsValid() && link.Local != n.Link.Local:
		return Finding{
			Fact: fmt.Sprintf("%s takes packets to %s, not to %s", n.Device, link.Local, n.Link.Local), Mend: "ip link delete " + n.Device,
		}, true
	}
	return Finding{}, false
}

func (n need) compareGateway(change Change, have Facts) (Finding, bool) {
	best, there := have.gateway(n.Route.V6)
	fact := "there is no default gateway"
	switch {
	case there && best.Via.WithZone("") == n.Route.Via:
		return Finding{}, false
	case there && best.Special:
		fact = "the default route has several next hops or is otherwise special"
	case there && best.Via.IsValid():
		fact = fmt.Sprintf("the default gateway is %s", best.Via)
	case there:
		fact = fmt.Sprintf("the default route leads to %s, without a gateway", best.Device)
	}
	f := Finding{Fact: fact + ", not " + n.Route.Via.String(), Change: change}
	if !n.Route.Via.IsLinkLocalUnicast() && !have.onLink(n.Route.Via) {
		return Finding{
			Fact: fmt.Sprintf("no link of this host is on a network with %s", n.Route.Via),
			Mend: "give a link an address in the directors' inner network, or name another gateway",
		}, true
	}
	if !there || best.Metric > n.Route.Metric {
		return f, true // goes before that one, which stays
	}
	if best.Special {
		f.Mend, f.Change = change.String(), Change{}
		return f, true
	}
	f.Change.Old = best
	return f, true
}

// strays finds virtual addresses where they do harm. Who has put them there has to take them away.
func strays(uses []Use, have Facts) (list []Finding) {
	quiet := map[string]bool{"lo": true} // links that nobody asks by ARP
	v4 := false
	for _, u := range uses {
		if u.Forward == ipvs.Tunnel {
			quiet[u.tunnel().device] = true
		}
		v4 = v4 || u.Forward != ipvs.NAT && u.Address.Is4()
	}
	seen := make(map[Address]bool)
	for _, u := range uses {
		for _, a := range have.Addresses {
			if u.Forward == ipvs.NAT || a.Prefix.Addr() != u.Address || seen[a] {
				continue
			}
			seen[a] = true
			f := Finding{Fact: fmt.Sprintf("%s is on %s", a.Prefix, a.Device), Mend: fmt.Sprintf("ip address del %s dev %s", a.Prefix, a.Device)}
			switch {
			case !quiet[a.Device]:
				f.Why = "this host answers for the virtual address there: clients come here, past the director"
			case a.Prefix.IsSingleIP():
				continue
			case a.Device == "lo":
				f.Why = fmt.Sprintf("on lo all of %s becomes this host's own, and it reaches nobody there", a.Prefix.Masked())
			default:
				f.Why = fmt.Sprintf("what this host sends to %s goes into the tunnel", a.Prefix.Masked())
			}
			list = append(list, f)
		}
	}
	if v4 {
		list = append(list, loud(have)...)
	}
	return list
}

// loud finds links whose own arp_ignore is larger than that of all, counts therefore, and lets the link answer for what is
// on lo (arp_ignore in net/ipv4/arp.c: 3 for addresses of global scope; 4 to 7 have no meaning yet).
func loud(have Facts) (list []Finding) {
	var links []string
	for link := range have.Links {
		is := have.Sysctls[conf4+link+"/arp_ignore"]
		if len(is) == 1 && is[0] >= '3' && is[0] <= '7' {
			links = append(links, link)
		}
	}
	slices.Sort(links)
	for _, link := range links {
		s := sysctl.Setting{Path: conf4 + link + "/arp_ignore", Value: "1"}
		list = append(list, Finding{
			Fact: fmt.Sprintf("%s is %s, and counts instead of that of all", s.Name(), have.Sysctls[s.Path]),
			Why:  "this host answers who-has for the virtual address there: clients come here, past the director",
			Mend: Change{Kind: SetSysctl, Path: s.Path, Value: s.Value}.String(),
		})
	}
	return list
}
