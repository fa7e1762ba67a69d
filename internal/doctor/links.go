// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"fmt"

	"github.com/holdfast-lb/holdfast/configs"
	"github.com/holdfast-lb/holdfast/vrrp"
)

var links = []Check{
	{
		ID: "link-missing", Role: Director, Severity: Broken,
		Looks: "a link that the configuration names is not there",
		Why:   "a virtual router without its link is in fault, and connection sync without its link does not run",
		Mend:  "correct the name in the configuration, or make the link",
		find: func(f Facts) []problem {
			return eachLink(f, func(name, uses string, l Link, there bool) (p problem, found bool) {
				return problem{
					fact: fmt.Sprintf("there is no link %s, which %s", name, uses),
					mend: "correct the name in the configuration; this host has " + some(names(f.Links), 8),
				}, !there
			})
		},
	},
	{
		ID: "link-down", Role: Director, Severity: Broken,
		Looks: "such a link is set down",
		Why:   "a virtual router whose link is down is in fault",
		Mend:  "`ip link set eth0 up`",
		find: func(f Facts) []problem {
			return eachLink(f, func(name, uses string, l Link, there bool) (p problem, found bool) {
				return problem{fact: fmt.Sprintf("%s, which %s, is down", name, uses), mend: "ip link set " + name + " up"}, there && !l.Up
			})
		},
	},
	{
		ID: "link-carrier", Role: Director, Severity: Broken,
		Looks: "such a link has no carrier",
		Why:   "a virtual router whose link has no carrier is in fault",
		Mend:  "the cable, or the port of the switch",
		find: func(f Facts) []problem {
			return eachLink(f, func(name, uses string, l Link, there bool) (p problem, found bool) {
				return problem{
					fact: fmt.Sprintf("%s, which %s, has no carrier", name, uses),
					mend: "plug in its cable, or turn on the port of the switch: ip link show " + name,
				}, there && l.Up && !l.Carrier
			})
		},
	},
	{
		ID: "address-static", Role: Director, Severity: Broken,
		Looks: "a virtual address is on a link of this host for good",
		Why:   "this host answers for the address also while another director is master: clients reach either of them",
		Mend:  "`ip address del` now, and out of the host's own network configuration",
		find:  findStatic,
	},
}

// eachLink asks about each link that the configuration needs to be there and up.
func eachLink(f Facts, ask func(name, uses string, l Link, there bool) (problem, bool)) (list []problem) {
	uses := neededLinks(f.Config)
	for _, name := range names(uses) {
		l, there := f.Links[name]
		if p, found := ask(name, uses[name], l, there); found {
			list = append(list, p)
		}
	}
	return list
}

// neededLinks says what needs each link. The links of virtual MAC addresses are made by the director.
func neededLinks(cfg *configs.Config) map[string]string {
	uses := make(map[string]string)
	add := func(link, use string) {
		if uses[link] == "" {
			uses[link] = use
		}
	}
	for _, vr := range cfg.VirtualRouters {
		add(vr.Interface, fmt.Sprintf("virtual_router %q is elected on", vr.Name))
	}
	for _, vr := range cfg.VirtualRouters {
		for _, a := range vr.All() {
			if !onVMAC(vr, a) {
				add(a.Device, fmt.Sprintf("has addresses of virtual_router %q", vr.Name))
			}
		}
		for _, l := range vr.Links {
			if l.Weight == 0 {
				add(l.Name, fmt.Sprintf("virtual_router %q tracks", vr.Name))
			}
		}
	}
	if link := cfg.ConnectionSync.Daemon.Interface; link != "" {
		add(link, "connection_sync uses")
	}
	return uses
}

func onVMAC(vr vrrp.Config, a vrrp.Address) bool {
	return vr.VMAC && a.Device == vrrp.VMACDevice(vr.Interface, vr.ID, vr.Family6())
}

// findStatic leaves lo alone, where a director that is also a real server may have the address. An address without a
// lifetime is the director's own where that has been told to give none.
func findStatic(f Facts) (list []problem) {
	for _, vr := range f.Config.VirtualRouters {
		if vr.Priority == 255 || vr.Lease == 0 && f.Running {
			continue
		}
		for _, v := range vr.All() {
			for _, a := range f.Addresses {
				if a.Prefix.Addr() == v.Prefix.Addr() && a.Forever && a.Device != "lo" {
					list = append(list, problem{
						fact: fmt.Sprintf("%s of virtual_router %q is on %s for good", a.Prefix, vr.Name, a.Device),
						mend: fmt.Sprintf("ip address del %s dev %s", a.Prefix, a.Device),
					})
				}
			}
		}
	}
	return list
}
