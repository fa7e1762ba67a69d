// SPDX-License-Identifier: Apache-2.0

package realserver

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/holdfast-lb/holdfast/internal/sysctl"
	"github.com/holdfast-lb/holdfast/ipvs"
)

// need is something that should be: the change that brings it about, and why.
type need struct {
	Change
	setting sysctl.Setting // of SetSysctl
	why     string
}

// needed returns what the uses need, in the order in which it has to be made: an address comes after what keeps others from
// learning of it.
func needed(uses []Use) []need {
	var list []need
	add := func(all ...need) {
		for _, n := range all {
			if !slices.ContainsFunc(list, func(o need) bool { return o.identity() == n.identity() }) {
				list = append(list, n)
			}
		}
	}
	for _, u := range uses {
		if u.Forward != ipvs.NAT && u.Address.Is4() {
			add(silence()...)
		}
	}
	for _, u := range uses {
		switch u.Forward {
		case ipvs.DR:
			add(needsDR(u)...)
		case ipvs.Tunnel:
			add(needsTunnel(u)...)
		case ipvs.NAT:
			add(needsNAT(u))
		}
	}
	return list
}

const (
	conf4 = "net/ipv4/conf/"
	conf6 = "net/ipv6/conf/"
)

func setting(s sysctl.Setting) need {
	return need{Change: Change{Kind: SetSysctl, Path: s.Path, Value: s.Value, Device: deviceOf(s.Path)}, setting: s, why: s.Reason}
}

// deviceOf is the link that the path of a sysctl is about; empty: none.
func deviceOf(path string) string {
	for _, tree := range []string{conf4, conf6} {
		if rest, ok := strings.CutPrefix(path, tree); ok {
			if name, _, _ := strings.Cut(rest, "/"); name != "all" && name != "default" {
				return name
			}
		}
	}
	return ""
}

// silence keeps the virtual IPv4 addresses out of the ARP tables of others. IPv6 needs nothing: a host answers only for the
// addresses of the very link that it is asked on (ndisc_recv_ns).
func silence() (list []need) {
	for _, link := range []string{"all", "lo"} {
		list = append(list,
			setting(sysctl.Setting{Path: conf4 + link + "/arp_ignore", Value: "1", Serves: "2",
				Reason: "this host must not answer who-has for the virtual address: clients would come here, past the director"}),
			setting(sysctl.Setting{Path: conf4 + link + "/arp_announce", Value: "2",
				Reason: "this host must not ask by ARP in the name of the virtual address: others would learn that it is here"}))
	}
	return list
}

func needsDR(u Use) []need {
	const why = "the packets that the director sends are for the virtual address: without it here the kernel drops them"
	list := []need{up("lo", "the addresses of a link that is down are not this host's")}
	if u.Address.Is6() {
		list = append(list, enable6("lo"))
	}
	return append(list, address(u.Address, "lo", why))
}

func needsTunnel(u Use) []need {
	t := u.tunnel()
	link := need{
		Change: Change{Kind: AddLink, Device: t.device, Link: NewLink{Kind: t.kind, Checksum: t.checksum}},
		why:    fmt.Sprintf("packets arrive wrapped (%s), and this link takes the wrapping off", u.Encapsulation.Type),
	}
	if t.bound {
		link.Link.Local = u.Local
	}
	list := []need{link}
	if u.Address.Is4() {
		list = append(list, setting(sysctl.Setting{
			Path: conf4 + t.device + "/rp_filter", Value: "2", Serves: "0", Larger: conf4 + "all/rp_filter",
			Reason: "clients are not reached by way of the tunnel, so the strict check of the way back would drop their packets",
		}))
	} else {
		list = append(list, enable6(t.device))
	}
	list = append(list, up(t.device, "a tunnel that is down takes no packets"))
	if u.Encapsulation.Type == ipvs.GUE {
		list = append(list, need{
			Change: Change{Kind: AddPort, Port: Port{u.Encapsulation.Port, u.outer6()}},
			why:    "the directors send to this UDP port, and the kernel has to know that the packets in there are wrapped",
		})
	}
	return append(list, address(u.Address, t.device,
		"the packets in the tunnel are for the virtual address: without it here the kernel drops them"))
}

func needsNAT(u Use) need {
	r := Route{Via: u.Gateway.WithZone(""), Device: u.Gateway.Zone(), V6: u.Gateway.Is6()}
	if r.V6 {
		r.Metric = 1 // the first: 0 stands for 1024 in IPv6
	}
	return need{
		Change: Change{Kind: SetRoute, Route: r},
		why:    "answers have to pass the director, which puts the virtual address back as their source: others are refused by the client",
	}
}

func up(device, why string) need {
	return need{Change: Change{Kind: SetUp, Device: device}, why: why}
}

func enable6(device string) need {
	return setting(sysctl.Setting{Path: conf6 + device + "/disable_ipv6", Value: "0", Reason: "the virtual address is one of IPv6"})
}

func address(a netip.Addr, device, why string) need {
	return need{Change: Change{Kind: AddAddress, Device: device, Prefix: netip.PrefixFrom(a, a.BitLen())}, why: why}
}

// paths are the sysctls that the needs are about.
func paths(needs []need) (list []string) {
	for _, n := range needs {
		if n.Kind == SetSysctl {
			list = append(list, n.Path)
			if n.setting.Larger != "" {
				list = append(list, n.setting.Larger)
			}
		}
	}
	return list
}
