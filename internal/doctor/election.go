// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-lb/holdfast/vrrp"
)

var election = []Check{
	{
		ID: "adverts-deaf", Role: Director, Severity: Broken,
		Looks: "adverts can be received and sent on the link at all",
		Why:   "a virtual router that cannot hear adverts does not take part in the election",
		Mend:  "an address on the link to send from, or the capabilities that are missing",
		find: func(f Facts) (list []problem) {
			for _, vr := range usable(f) {
				if why := f.Deaf[vr.Name]; why != "" {
					list = append(list, problem{fact: fmt.Sprintf("virtual_router %q: %s", vr.Name, why), mend: "ip address add ADDRESS/LENGTH dev " + vr.Interface})
				}
			}
			return list
		},
	},
	{
		ID: "adverts-refused", Role: Director, Severity: Broken,
		Looks: "adverts with the number of a virtual router arrive, and this configuration refuses them",
		Why:   "a refused advert counts for nothing: both directors are master at the same time",
		Mend:  "what the finding says, on both directors alike",
		find: func(f Facts) []problem {
			return eachHeard(f, func(vr vrrp.Config, h Heard) (p problem, found bool) {
				return problem{
					fact: fmt.Sprintf("%s on %s: adverts of %s are refused (%s): %s", vrid(vr), vr.Interface, h.From, string(h.Refused), h.Hint),
					mend: fmt.Sprintf("make version, auth, unicast and intervals of virtual_router %q the same on both", vr.Name),
				}, h.Refused != ""
			})
		},
	},
	{
		ID: "vrid-taken", Role: Director, Severity: Broken,
		Looks: "a stranger sends adverts with the number of a virtual router, for other addresses",
		Why:   "the two groups take each other's adverts for their own: one of them has no master",
		Mend:  "another `id` for the virtual router, on all of its directors",
		find: func(f Facts) []problem {
			return eachHeard(f, func(vr vrrp.Config, h Heard) (p problem, found bool) {
				return problem{
					fact: fmt.Sprintf("%s on %s: %s sends adverts for %s, and for none of %s",
						vrid(vr), vr.Interface, h.From, someAddrs(h.Advert.Addresses), someAddrs(carried(vr))),
					mend: fmt.Sprintf("choose another id for virtual_router %q, on all of its directors", vr.Name),
				}, h.Refused == "" && !ofOurs(vr, h)
			})
		},
	},
	{
		ID: "addresses-differ", Role: Director, Severity: Broken,
		Looks: "another director's adverts carry another list of addresses",
		Why:   "what only one director has is without a master after a hand-over, and other makes refuse such adverts",
		Mend:  "the same `addresses` on all directors",
		find: func(f Facts) []problem {
			return eachHeard(f, func(vr vrrp.Config, h Heard) (p problem, found bool) {
				theirs, ours := without(h.Advert.Addresses, carried(vr)), without(carried(vr), h.Advert.Addresses)
				shared := len(theirs) < len(h.Advert.Addresses)
				return problem{
					fact: fmt.Sprintf("virtual_router %q: %s alone has %s, this host alone has %s", vr.Name, h.From, someAddrs(theirs), someAddrs(ours)),
					mend: fmt.Sprintf("give virtual_router %q the same addresses on both", vr.Name),
				}, h.Refused == "" && shared && len(theirs)+len(ours) > 0
			})
		},
	},
	{
		ID: "checksum-reading", Role: Director, Severity: Warning,
		Looks: "another director follows the other reading of the checksum (version 3 over IPv4)",
		Why:   "holdfast takes both; what takes its own alone does not hear this director, and stays master beside it",
		Mend:  "the same `checksum` on all directors",
		find: func(f Facts) []problem {
			return eachHeard(f, func(vr vrrp.Config, h Heard) (p problem, found bool) {
				return problem{
					fact: fmt.Sprintf("virtual_router %q: the checksums of %s are %s, this director sends %s", vr.Name, h.From, h.Advert.Checksum, vr.Checksum),
					mend: fmt.Sprintf(`checksum = "%s" in virtual_router %q`, h.Advert.Checksum, vr.Name),
				}, h.Refused == "" && vr.Version == 3 && !vr.Family6() && h.Advert.Checksum != vr.Checksum
			})
		},
	},
	{
		ID: "adverts-silent", Role: Director, Severity: Warning,
		Looks: "no advert arrives, and no director here is master",
		Why:   "no director is master, or its adverts do not get here and this one would be a second master",
		Mend:  "start the other director, or find where its adverts end: `tcpdump -ni eth0 proto 112`",
		find:  findSilent,
	},
	{
		ID: "two-masters", Role: Director, Severity: Broken,
		Looks: "a director here is master, and another one keeps sending adverts",
		Why:   "the other one does not hear this one, or refuses its adverts: clients reach either of them",
		Mend:  "`holdfast doctor` on the other one, which hears nothing",
		find: func(f Facts) []problem {
			return eachHeard(f, func(vr vrrp.Config, h Heard) (p problem, found bool) {
				return problem{
					fact: fmt.Sprintf("virtual_router %q is master here, and on %s, which has sent %d adverts", vr.Name, h.From, h.Count),
					mend: "there: holdfast doctor, and tcpdump -ni " + vr.Interface + " proto 112",
				}, h.Refused == "" && h.Count >= handedOver && slices.Contains(f.Masters, vr.Name) && ofOurs(vr, h)
			})
		},
	},
	{
		ID: "address-taken", Role: Director, Severity: Broken,
		Looks: "a host that is no director here answers ARP for a virtual address",
		Why:   "clients reach that host instead of the master: a real server that answers for what is on its lo, a forgotten address, or a director whose adverts do not get here",
		Mend:  "take the address off that host; on a real server: `holdfast real-server setup`",
		find:  findTaken,
	},
	{
		ID: "host-address-taken", Role: Director, Severity: Broken,
		Looks: "another host answers ARP for an address of this one, on the link of a virtual router",
		Why:   "two hosts have one address: adverts and answers to checks go to either of them",
		Mend:  "another address for one of the hosts",
		find:  findTwin,
	},
}

// usable are the virtual routers whose link is up: of the others that is said.
func usable(f Facts) []vrrp.Config {
	return slices.DeleteFunc(slices.Clone(f.Config.VirtualRouters), func(vr vrrp.Config) bool {
		l := f.Links[vr.Interface]
		return !l.Up || !l.Carrier
	})
}

func eachHeard(f Facts, ask func(vrrp.Config, Heard) (problem, bool)) (list []problem) {
	for _, vr := range usable(f) {
		for _, h := range f.Heard {
			if h.Router != vr.Name {
				continue
			}
			if p, found := ask(vr, h); found {
				list = append(list, p)
			}
		}
	}
	return list
}

// handedOver is how many adverts are more than a hand-over leaves.
const handedOver = 3

// ofOurs reports whether an advert is for any of a virtual router's addresses.
func ofOurs(vr vrrp.Config, h Heard) bool {
	return slices.ContainsFunc(h.Advert.Addresses, func(a netip.Addr) bool { return slices.Contains(carried(vr), a) })
}

func vrid(vr vrrp.Config) string { return fmt.Sprintf("VRID %d", vr.ID) }

func carried(vr vrrp.Config) (list []netip.Addr) {
	for _, a := range vr.Addresses {
		list = append(list, a.Prefix.Addr())
	}
	return list
}

// without returns those of a that are not in b.
func without(a, b []netip.Addr) []netip.Addr {
	return slices.DeleteFunc(slices.Clone(a), func(x netip.Addr) bool { return slices.Contains(b, x) })
}

func someAddrs(list []netip.Addr) string {
	var names []string
	for _, a := range list {
		names = append(names, a.String())
	}
	return some(names, 3)
}

func findSilent(f Facts) (list []problem) {
	for _, vr := range usable(f) {
		heard := slices.ContainsFunc(f.Heard, func(h Heard) bool { return h.Router == vr.Name })
		if heard || f.Deaf[vr.Name] != "" || f.Listened == 0 || slices.Contains(f.Masters, vr.Name) || vr.Priority == 255 {
			continue
		}
		what := "proto 112"
		if vr.Unicast.Enabled() {
			var peers []string
			for _, p := range vr.Unicast.Peers {
				peers = append(peers, "host "+p.String())
			}
			what += " and '(" + strings.Join(peers, " or ") + ")'"
		}
		list = append(list, problem{
			fact: fmt.Sprintf("virtual_router %q: no advert on %s within %s, and it is not master here",
				vr.Name, vr.Interface, f.Listened.Round(100*time.Millisecond)),
			mend: fmt.Sprintf("start the other director, or see what arrives: tcpdump -ni %s %s", vr.Interface, what),
		})
	}
	return list
}

// findTaken takes for directors who is heard. Where nobody can be, who answers may be the master.
func findTaken(f Facts) (list []problem) {
	for _, vr := range usable(f) {
		if f.Listened == 0 || f.Deaf[vr.Name] != "" {
			continue
		}
		s := f.status(vr)
		for _, a := range s.Strangers(f.Answers, time.Now()) {
			who, mend := a.MAC, fmt.Sprintf("there: ip address del %s dev LINK", a.Address)
			if name := serverAt(f, a.Host); name != "" {
				who, mend = name+" "+who, "there: holdfast real-server setup"
			}
			if a.Host.IsValid() {
				who += " (" + a.Host.String() + ")"
			}
			list = append(list, problem{
				fact: fmt.Sprintf("%s answers ARP for %s of virtual_router %q on %s", who, a.Address, vr.Name, a.Device),
				mend: mend,
			})
		}
	}
	return list
}

// serverAt is the real server that has an address; empty: none.
func serverAt(f Facts, a netip.Addr) string {
	for _, vs := range f.Config.VirtualServers {
		for _, rs := range vs.RealServers {
			if rs.Address.Addr() == a {
				return fmt.Sprintf("real_server %q", rs.Name)
			}
		}
	}
	return ""
}

func findTwin(f Facts) (list []problem) {
	for _, a := range f.Answers {
		if slices.Contains(f.own(a.Device), a.Address) {
			list = append(list, problem{
				fact: fmt.Sprintf("%s answers ARP for %s of this host on %s", a.MAC, a.Address, a.Device),
				mend: fmt.Sprintf("give one of the two another address: arping -I %s %s", a.Device, a.Address),
			})
		}
	}
	return list
}

// own are the IPv4 addresses of a link but the virtual ones.
func (f *Facts) own(device string) (list []netip.Addr) {
	virtual := make(map[netip.Addr]bool)
	for _, vr := range f.Config.VirtualRouters {
		for _, a := range vr.All() {
			virtual[a.Prefix.Addr()] = true
		}
	}
	for _, a := range f.Addresses {
		if addr := a.Prefix.Addr(); a.Device == device && addr.Is4() && !virtual[addr] {
			list = append(list, addr)
		}
	}
	return list
}

// status is what tells whom to ask for the addresses of a virtual router. A backup has no link for its virtual MAC address: it
// asks on the one below.
func (f *Facts) status(vr vrrp.Config) vrrp.Status {
	below := func(list []vrrp.Address) []vrrp.Address {
		list = slices.Clone(list)
		for i, a := range list {
			if l := f.Links[a.Device]; onVMAC(vr, a) && !(l.Up && l.Carrier) {
				list[i].Device = vr.Interface
			}
		}
		return list
	}
	peers := f.peers(vr)
	vr.Addresses, vr.Excluded = below(vr.Addresses), below(vr.Excluded)
	return vrrp.Status{Config: vr, Peers: peers}
}

// peers are the senders that were heard.
func (f *Facts) peers(vr vrrp.Config) (list []vrrp.Peer) {
	for _, h := range f.Heard {
		if h.Router == vr.Name {
			list = append(list, vrrp.Peer{Address: h.From, LastSeen: time.Now()})
		}
	}
	return list
}

const sendersMost = 16 // that strangers can make us remember

// note remembers the last advert of a sender other than this host.
func (f *Facts) note(vr vrrp.Config, source netip.Addr, b []byte, header vrrp.Header) {
	h := Heard{Router: vr.Name, From: header.Src}
	h.Advert, h.Refused, h.Hint = vr.Judge(b, header, source)
	if h.Refused == vrrp.RefusedOwn {
		return
	}
	h.Count = 1
	at := slices.IndexFunc(f.Heard, func(o Heard) bool { return o.Router == h.Router && o.From == h.From })
	if at >= 0 {
		h.Count += f.Heard[at].Count
		f.Heard[at] = h
	} else if len(f.Heard) < sendersMost {
		f.Heard = append(f.Heard, h)
	}
}
