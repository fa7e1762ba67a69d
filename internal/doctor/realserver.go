// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"fmt"
	"strings"

	"github.com/holdfast-lb/holdfast/internal/realserver"
	"github.com/holdfast-lb/holdfast/ipvs"
)

var realServer = []Check{
	{
		ID: "server-arp", Role: RealServer, Severity: Broken,
		Looks: "arp_ignore and arp_announce, which keep the virtual addresses out of the ARP tables of others",
		Why:   "clients come here, past the director",
		Mend:  "`holdfast real-server setup`",
		find:  verified(aboutARP),
	},
	{
		ID: "server-address", Role: RealServer, Severity: Broken,
		Looks: "the virtual addresses on lo (dr) or on the tunnel's link",
		Why:   "the kernel drops packets that are for an address that it does not have",
		Mend:  "`holdfast real-server setup`",
		find:  verified(aboutAddress),
	},
	{
		ID: "server-rp-filter", Role: RealServer, Severity: Broken,
		Looks: "rp_filter of the tunnel's link",
		Why:   "clients are not reached by way of the tunnel, so the strict check of the way back drops their packets",
		Mend:  "`holdfast real-server setup`",
		find:  verified(aboutReversePath),
	},
	{
		ID: "server-tunnel", Role: RealServer, Severity: Broken,
		Looks: "the link that takes the wrapping off, up, and with gue its port",
		Why:   "wrapped packets are not for anybody",
		Mend:  "`holdfast real-server setup`",
		find:  verified(aboutTunnel),
	},
	{
		ID: "server-gateway", Role: RealServer, Severity: Broken,
		Looks: "with nat: the default gateway is the directors' floating address",
		Why:   "answers have to pass the director, which puts the virtual address back as their source",
		Mend:  "`holdfast real-server setup`",
		find:  verified(aboutGateway),
	},
	{
		ID: "server-stray", Role: RealServer, Severity: Broken,
		Looks: "what others have set up that is in the way: a virtual address on a link that answers ARP, one with a whole network on lo, a tunnel of another kind",
		Why:   "each one has its reason, which the finding tells",
		Mend:  "who has set it up takes it away",
		find:  verified(aboutOthers),
	},
	{
		ID: "server-mss", Role: RealServer, Severity: Warning,
		Looks: "with tunnel: this host asks clients for packets that do not fit, wrapped, the link on which they come",
		Why:   "where clients do not learn that their packets are too large, connections hang as soon as a full one is sent",
		Mend:  "`advmss` on the default route, or a larger MTU between directors and this host",
		find:  findMSS,
	},
}

// about sorts what realserver.Verify finds.
type about uint8

const (
	aboutOthers about = iota
	aboutARP
	aboutAddress
	aboutReversePath
	aboutTunnel
	aboutGateway
)

func subject(f realserver.Finding) about {
	c := f.Change
	switch c.Kind {
	case realserver.SetSysctl:
		switch {
		case strings.HasSuffix(c.Path, "/rp_filter"):
			return aboutReversePath
		case strings.HasSuffix(c.Path, "/disable_ipv6"):
			return aboutAddress
		}
		return aboutARP
	case realserver.AddAddress:
		return aboutAddress
	case realserver.AddLink, realserver.SetUp, realserver.AddPort:
		return aboutTunnel
	case realserver.SetRoute:
		return aboutGateway
	}
	return aboutOthers
}

func verified(what about) func(Facts) []problem {
	return func(f Facts) (list []problem) {
		for _, found := range f.RealServer {
			if subject(found) == what {
				list = append(list, problem{fact: found.Fact, why: found.Why, mend: found.Mend})
			}
		}
		return list
	}
}

// findMSS compares the largest packet that clients are told to send, wrapped, with what the link carries on which it comes.
func findMSS(f Facts) (list []problem) {
	for _, u := range f.Uses {
		out, there := defaultRoute(f, u.Address.Is6())
		if u.Forward != ipvs.Tunnel || !there {
			continue
		}
		headers := 40 // of IP and TCP, inside
		if u.Address.Is6() {
			headers = 60
		}
		mss := f.Links[out.Device].MTU - headers
		if out.MTU > 0 {
			mss = min(mss, out.MTU-headers)
		}
		if out.AdvMSS > 0 {
			mss = min(mss, out.AdvMSS)
		}
		in := arrives(f, u, out.Device)
		room := f.Links[in].MTU - u.Overhead() - headers
		if room >= mss || f.Links[in].MTU == 0 {
			continue
		}
		list = append(list, problem{
			fact: fmt.Sprintf("%s: clients are asked for segments of %d bytes, wrapped only %d fit %s", u, mss, room, in),
			mend: change(out, room),
		})
	}
	return list
}

// defaultRoute is the one by which answers leave.
func defaultRoute(f Facts, v6 bool) (best realserver.Route, there bool) {
	for _, r := range f.Routes {
		if r.V6 == v6 && r.Device != "" && (!there || r.Metric < best.Metric) {
			best, there = r, true
		}
	}
	return best, there
}

// arrives is the link on which the wrapped packets come.
func arrives(f Facts, u realserver.Use, otherwise string) string {
	for _, a := range f.Addresses {
		if a.Prefix.Addr() == u.Local {
			return a.Device
		}
	}
	return otherwise
}

func change(r realserver.Route, mss int) string {
	words := []string{"ip", "route", "change", "default"}
	if r.V6 {
		words = []string{"ip", "-6", "route", "change", "default"}
	}
	if r.Via.IsValid() {
		words = append(words, "via", r.Via.WithZone("").String())
	}
	words = append(words, "dev", r.Device)
	if r.Metric != 0 {
		words = append(words, "metric", fmt.Sprint(r.Metric))
	}
	return strings.Join(append(words, "advmss", fmt.Sprint(mss)), " ")
}
