// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/holdfast-lb/holdfast/internal/realserver"
	"github.com/holdfast-lb/holdfast/ipvs"
)

var firewalls = []Check{
	{
		ID: "firewall-vrrp", Role: Director, Severity: Broken,
		Looks: "rules of nftables or iptables drop adverts (IP protocol 112), in or out",
		Why:   "directors that do not hear each other are master at the same time",
		Mend:  "`iptables -I INPUT -p 112 -j ACCEPT`, or the same with nft, and where the rules are kept",
		find:  func(f Facts) []problem { return dropped(f, adverts(f)) },
	},
	{
		ID: "firewall-sync", Role: Director, Severity: Broken,
		Looks: "rules drop connection sync (UDP to its group and port), in or out",
		Why:   "a director that does not learn of connections cuts them when it takes over",
		Mend:  "`iptables -I INPUT -p udp --dport 8848 -j ACCEPT`, or the same with nft",
		find:  func(f Facts) []problem { return dropped(f, syncs(f)) },
	},
	{
		ID: "firewall-service", Role: Director, Severity: Broken,
		Looks: "rules drop what clients send to a virtual server",
		Why:   "the packets are filtered as any other for this host, before they are forwarded",
		Mend:  "a rule that accepts the service's address and port in the chain for input",
		find:  func(f Facts) []problem { return dropped(f, requests(f)) },
	},
	{
		ID: "firewall-tunnel", Role: Director, Severity: Broken,
		Looks: "rules drop the wrapped packets to real servers with `forward = \"tunnel\"`",
		Why:   "the real servers get nothing",
		Mend:  "a rule that accepts the protocol in the chain for output",
		find:  func(f Facts) []problem { return dropped(f, wrapped(f)) },
	},
	{
		ID: "firewall-forward", Role: Director, Severity: Broken,
		Looks: "rules drop the answers of real servers with `forward = \"nat\"`",
		Why:   "the answers pass this host as forwarded packets: clients get none",
		Mend:  "a rule that accepts what comes from the real servers in the chain for forwarding",
		find:  func(f Facts) []problem { return dropped(f, answers(f)) },
	},
	{
		ID: "firewall-tunnel-end", Role: RealServer, Severity: Broken,
		Looks: "rules drop the wrapped packets that directors send here",
		Why:   "what is dropped before it is unwrapped never gets to the service",
		Mend:  "a rule that accepts the protocol in the chain for input",
		find:  func(f Facts) []problem { return dropped(f, unwrapped(f)) },
	},
}

var (
	coming  = []string{"prerouting", "input"}
	going   = []string{"output", "postrouting"}
	passing = []string{"prerouting", "forward", "postrouting"}
)

// dropped says for each packet which firewall drops it.
func dropped(f Facts, packets []packet) (list []problem) {
	for _, p := range packets {
		for _, r := range f.Firewall {
			if c, found := r.dropper(p); found {
				list = append(list, problem{
					fact: fmt.Sprintf("%s: dropped by chain %s of table %s (%s)", p.what, c.Name, c.Table, r.Tool),
					mend: r.open(c, p),
				})
				break // another tool may show the same rules
			}
		}
	}
	return list
}

// open is the command that lets packets through.
func (r Ruleset) open(c Chain, p packet) string {
	if c.Table == "firewalld" && c.Hook == "input" {
		return openFirewalld(p)
	}
	family, link, option := "ip", p.in, "-i"
	if p.v6 {
		family = "ip6"
	}
	if link == "" {
		link, option = p.out, "-o"
	}
	var words []string
	if r.Tool == "nft" {
		words = []string{"nft insert rule", c.Family, c.Table, c.Name}
		if link != "" {
			words = append(words, map[string]string{"-i": "iifname", "-o": "oifname"}[option], link)
		}
		if p.from.IsValid() {
			words = append(words, family, "saddr", p.from.String())
		} else if p.to.IsValid() && !p.to.IsMulticast() {
			words = append(words, family, "daddr", p.to.String())
		}
		if p.port != 0 {
			words = append(words, protocolName(p.protocol), "dport", fmt.Sprint(p.port))
		} else if p.protocol != 0 {
			words = append(words, "meta l4proto", fmt.Sprint(p.protocol))
		}
		return strings.Join(append(words, "accept"), " ")
	}
	words = []string{r.Tool}
	if c.Table != "filter" {
		words = append(words, "-t", c.Table)
	}
	words = append(words, "-I", c.Name)
	if link != "" {
		words = append(words, option, link)
	}
	if p.from.IsValid() {
		words = append(words, "-s", p.from.String())
	} else if p.to.IsValid() && !p.to.IsMulticast() {
		words = append(words, "-d", p.to.String())
	}
	if p.protocol != 0 {
		words = append(words, "-p", protocolName(p.protocol))
	}
	if p.port != 0 {
		words = append(words, "--dport", fmt.Sprint(p.port))
	}
	return strings.Join(append(words, "-j ACCEPT"), " ")
}

// openFirewalld is for a table that firewalld lets nobody else change.
func openFirewalld(p packet) string {
	what := fmt.Sprintf("--add-port=%d/%s", p.port, protocolName(p.protocol))
	if p.port == 0 {
		what = fmt.Sprintf("--add-protocol=%d", p.protocol)
		if p.protocol == vrrpProtocol {
			what = "--add-protocol=vrrp"
		}
	}
	return "firewall-cmd --permanent " + what + " && firewall-cmd --reload"
}

func protocolName(n uint16) string {
	if name := map[uint16]string{6: "tcp", 17: "udp", 132: "sctp"}[n]; name != "" {
		return name
	}
	return fmt.Sprint(n)
}

const vrrpProtocol = 112

// The groups of adverts, RFC 9568 sections 5.1.1.2 and 5.1.2.2.
var group4, group6 = netip.MustParseAddr("224.0.0.18"), netip.MustParseAddr("ff02::12")

// adverts are those that have to come in and go out. Who sends them is known with unicast alone.
func adverts(f Facts) (list []packet) {
	for _, vr := range usable(f) {
		p := packet{v6: vr.Family6(), protocol: vrrpProtocol}
		in, out := p, p
		in.hooks, in.in = coming, vr.Interface
		in.what = fmt.Sprintf("adverts for virtual_router %q that come in on %s", vr.Name, vr.Interface)
		out.hooks, out.out = going, vr.Interface
		out.what = fmt.Sprintf("adverts of virtual_router %q that go out on %s", vr.Name, vr.Interface)
		if !vr.Unicast.Enabled() {
			if in.to = group4; p.v6 {
				in.to = group6
			}
			out.to = in.to
			list = append(list, in, out)
			continue
		}
		for _, peer := range vr.Unicast.Peers {
			in.from, in.to, out.from, out.to = peer, vr.Unicast.Source, vr.Unicast.Source, peer
			list = append(list, in, out)
		}
	}
	return list
}

func syncs(f Facts) []packet {
	d := f.Config.ConnectionSync.Daemon
	if d.Interface == "" {
		return nil
	}
	p := packet{v6: d.Group.Is6(), protocol: 17, to: d.Group, port: d.Port}
	in, out := p, p
	in.what, in.hooks, in.in = "connection sync that comes in on "+d.Interface, coming, d.Interface
	out.what, out.hooks, out.out = "connection sync that goes out on "+d.Interface, going, d.Interface
	return []packet{in, out}
}

// numbers: a service by mark takes any protocol.
var numbers = map[ipvs.Protocol]uint16{ipvs.TCP: 6, ipvs.UDP: 17, ipvs.SCTP: 132}

// requests come from clients, whose link is not known. Those by mark are left out: what has the mark is not known either.
func requests(f Facts) (list []packet) {
	for _, vs := range f.Config.VirtualServers {
		if vs.Key.Mark != 0 {
			continue
		}
		list = append(list, packet{
			what: fmt.Sprintf("requests to virtual_server %q (%s)", vs.Name, vs.Key), hooks: coming, v6: vs.Key.Address.Is6(),
			protocol: numbers[vs.Key.Protocol], to: vs.Key.Address, port: vs.Key.Port,
		})
	}
	return list
}

func answers(f Facts) (list []packet) {
	for _, s := range servers(f) {
		if s.forward == ipvs.NAT && s.path.Device != "" {
			list = append(list, packet{
				what: "answers of " + s.String(), hooks: passing, v6: s.address.Is6(), in: s.path.Device, protocol: numbers[s.service.Protocol],
				from: s.address, answers: true,
			})
		}
	}
	return list
}

// wrapping is the protocol of wrapped packets, and with gue their port.
func wrapping(e ipvs.Encapsulation, inner6 bool) (protocol, port uint16) {
	switch {
	case e.Type == ipvs.GRE:
		return 47, 0
	case e.Type == ipvs.GUE:
		return 17, e.Port
	case inner6:
		return 41, 0
	}
	return 4, 0
}

func wrapped(f Facts) (list []packet) {
	for _, vs := range f.Config.VirtualServers {
		for _, rs := range vs.RealServers {
			path := f.Paths[rs.Address.Addr()]
			if rs.Forward != ipvs.Tunnel || path.Device == "" || path.Local {
				continue
			}
			p := packet{hooks: going, v6: rs.Address.Addr().Is6(), out: path.Device, to: rs.Address.Addr()}
			p.protocol, p.port = wrapping(rs.Encapsulation, vs.Key.Address.Is6())
			p.what = fmt.Sprintf("wrapped packets (%s) to %s of virtual_server %q", rs.Encapsulation.Type, rs.Name, vs.Name)
			list = append(list, p)
		}
	}
	return list
}

func unwrapped(f Facts) (list []packet) {
	for _, u := range f.Uses {
		if u.Forward == ipvs.Tunnel {
			list = append(list, endOf(u))
		}
	}
	return list
}

func endOf(u realserver.Use) packet {
	outer := u.Local
	if !outer.IsValid() {
		outer = u.Address
	}
	p := packet{hooks: coming, v6: outer.Is6(), to: u.Local, what: fmt.Sprintf("wrapped packets (%s) for %s", u.Encapsulation.Type, u.Address)}
	p.protocol, p.port = wrapping(u.Encapsulation, u.Address.Is6())
	return p
}
