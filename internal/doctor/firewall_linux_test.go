// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/internal/netlab"
)

// TestFirewall adds rules that drop, one at a time, with the tools themselves.
func TestFirewall(t *testing.T) {
	netlab.RequireTool(t, "nft")
	netlab.RequireTool(t, "iptables")
	quiet := func(s *site) { // lb1 does not hear lb2 any more
		s.silent = true
		run(s.t, s.lb2, "ip address del 10.0.0.100/32 dev eth0")
		s.options.Masters = []string{"web"}
	}
	rules := func(lines string) func(*site) {
		return func(s *site) { quiet(s); run(s.t, s.lb1, lines) }
	}
	const base = `nft add table inet filter
		nft 'add chain inet filter input { type filter hook input priority 0; policy drop; }'
		nft add rule inet filter input iif lo accept
		nft add rule inet filter input ct state vmap { established : accept, related : accept, invalid : drop }
		nft add rule inet filter input tcp dport { 22, 80 } accept
		nft add rule inet filter input icmp type echo-request accept
		`
	for _, b := range []breakage{
		{name: "policy", want: "firewall-vrrp", fact: "adverts for virtual_router \"web\" that come in on eth0: dropped by chain input of table filter (nft)",
			mend: "nft insert rule inet filter input iifname eth0 meta l4proto 112 accept", wreck: rules(base)},
		{name: "policy and a rule", wreck: rules(base + "nft add rule inet filter input meta l4proto vrrp accept")},
		{name: "policy and a rule for the group", wreck: rules(base + "nft add rule inet filter input ip daddr 224.0.0.0/24 accept")},
		{name: "policy and a rule for another group", want: "firewall-vrrp", wreck: rules(base + "nft add rule inet filter input ip daddr 224.0.0.251 accept")},
		{name: "policy and a rule for neighbours", wreck: rules(base + "nft add rule inet filter input ip saddr 10.0.0.0/24 accept")},
		{name: "policy and a jump", wreck: rules(base + `nft add chain inet filter cluster
			nft add rule inet filter cluster ip protocol { 51, 112 } accept
			nft add rule inet filter input iifname 'eth*' jump cluster`)},
		{name: "a named set", wreck: rules(base + `nft 'add set inet filter peers { type ipv4_addr; flags interval; elements = { 10.0.0.0/24 }; }'
			nft add rule inet filter input ip saddr @peers accept`)},
		{name: "output", want: "firewall-vrrp", fact: "that go out on eth0", mend: "nft insert rule ip mine out oifname eth0 meta l4proto 112 accept",
			wreck: rules(`nft add table ip mine
			nft 'add chain ip mine out { type filter hook output priority 0; }'
			nft add rule ip mine out ip daddr 224.0.0.0/4 reject`)},
		{name: "iptables", want: "firewall-vrrp", fact: "dropped by chain INPUT of table filter (iptables)", mend: "iptables -I INPUT -i eth0 -p 112 -j ACCEPT",
			wreck: rules(`iptables -P INPUT DROP
			iptables -A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
			iptables -A INPUT -p tcp -m multiport --dports 22,80 -m comment --comment "for all -p 112" -j ACCEPT`)},
		{name: "iptables that accepts", wreck: rules(`iptables -P INPUT DROP
			iptables -N CLUSTER
			iptables -A INPUT ! -i lo -j CLUSTER
			iptables -A CLUSTER -d 224.0.0.18/32 -p vrrp -j ACCEPT`)},
		{name: "iptables-legacy", want: "firewall-vrrp", fact: "(iptables-legacy)", mend: "iptables-legacy -t raw -I PREROUTING -i eth0 -p 112 -j ACCEPT",
			wreck: rules("iptables-legacy -t raw -A PREROUTING -m pkttype --pkt-type multicast -j DROP")},
		{name: "of a unicast peer", want: "firewall-vrrp", mend: "nft insert rule inet filter input iifname eth0 ip saddr 10.0.0.3 meta l4proto 112 accept",
			wreck: func(s *site) { s.goUnicast(); rules(base)(s) }},
		{name: "a tool that drops what it does not know for sure", wreck: rules(`nft add table ip mine
			nft 'add chain ip mine in { type filter hook input priority 0; }'
			nft add rule ip mine in limit rate over 100/second drop
			nft add rule ip mine in ip saddr 192.0.2.0/24 drop`)},
	} {
		t.Run(b.name, func(t *testing.T) { b.test(t, newSite) })
	}
}

// onBridge puts the link of lb1 behind a bridge of lb1.
func onBridge(options string) func(*site) {
	return func(s *site) {
		run(s.t, s.lb1, `ip link add br0 type bridge mcast_snooping 1 `+options+`
			ip address flush dev eth0 scope global
			ip link set eth0 master br0
			ip link set br0 up
			ip address add 10.0.0.2/24 dev br0`)
		s.config = strings.ReplaceAll(s.config, "eth0", "br0")
		s.must(netlab.Poll(10*time.Second, func() error {
			out, err := s.lb1.Command(s.t.Context(), "ip", "-o", "address", "show", "dev", "br0").Output()
			if err == nil && (!strings.Contains(string(out), "fe80") || strings.Contains(string(out), "tentative")) {
				err = fmt.Errorf("no settled link-local address: %s", out)
			}
			return err
		}))
	}
}

// TestBridge puts lb1's link behind a bridge of its own.
func TestBridge(t *testing.T) {
	six := func(s *site) {
		s.replace("10.0.0.100/32", "fe80::100/64")
		s.advert.Addresses = []netip.Addr{netip.MustParseAddr("fe80::100")}
	}
	for _, b := range []breakage{
		{name: "healthy", wreck: onBridge("")},
		{name: "healthy, IPv6", wreck: func(s *site) { six(s); onBridge("mcast_querier 1")(s) }},
		{
			name: "nobody asks", want: "bridge-querier", fact: "br0 sorts multicast and does not ask who wants it: adverts of virtual_router \"web\"",
			mend: "ip link set br0 type bridge mcast_querier 1", wreck: func(s *site) { six(s); onBridge("")(s) },
		},
		{
			name: "a port that does not flood", want: "bridge-flood adverts-silent address-taken", fact: "port7 of br0, which leads to inner, passes on no multicast",
			mend: "bridge link set dev port7 mcast_flood on",
			wreck: func(s *site) {
				run(s.t, s.lb1, `ip link add br0 type bridge
					ip address flush dev eth0 scope global
					ip link set eth0 master br0
					ip link add port7 type veth peer name inner
					ip link set port7 master br0
					bridge link set dev port7 mcast_flood off
					ip link set br0 up; ip link set port7 up; ip link set inner up
					ip address add 10.0.0.2/24 dev inner`)
				s.config = strings.ReplaceAll(s.config, "eth0", "inner")
			},
		},
	} {
		t.Run(b.name, func(t *testing.T) { b.test(t, newSite) })
	}
}
