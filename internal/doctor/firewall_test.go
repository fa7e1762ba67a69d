// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"net/netip"
	"strings"
	"testing"
)

var (
	advertIn = packet{hooks: coming, in: "eth0", protocol: vrrpProtocol, to: group4}
	fromPeer = packet{hooks: coming, in: "eth0", protocol: vrrpProtocol, from: netip.MustParseAddr("10.0.0.3"), to: netip.MustParseAddr("10.0.0.2")}
	syncIn   = packet{hooks: coming, in: "eth0", protocol: 17, to: netip.MustParseAddr("224.0.0.81"), port: 8848}
	answer   = packet{hooks: passing, in: "eth1", from: netip.MustParseAddr("10.10.1.11"), answers: true}
)

// TestIPTables reads rules as iptables-save prints them, and says whether they drop a packet for sure.
func TestIPTables(t *testing.T) {
	for _, tt := range []struct {
		rules string
		p     packet
		drops bool
	}{
		{"-A INPUT -p vrrp -j DROP", advertIn, true},
		{"-A INPUT -p 112 -j REJECT --reject-with icmp-proto-unreachable", advertIn, true},
		{"-A INPUT ! -p tcp -j DROP", advertIn, true},
		{"-A INPUT ! -p 112 -j DROP", advertIn, false},
		{"-A INPUT -p udp -j DROP", advertIn, false},
		{"-A INPUT -i eth0 -j DROP", advertIn, true},
		{"-A INPUT -i eth+ -j DROP", advertIn, true},
		{"-A INPUT ! -i eth+ -j DROP", advertIn, false},
		{"-A INPUT -i eth1 -j DROP", advertIn, false},
		{"-A INPUT -d 224.0.0.0/4 -j DROP", advertIn, true},
		{"-A INPUT ! -d 10.0.0.2/32 -j DROP", advertIn, true},
		{"-A INPUT -s 10.0.0.0/24 -j DROP", advertIn, false}, // nobody knows who sends
		{"-A INPUT -s 10.0.0.0/24 -j DROP", fromPeer, true},
		{"-A INPUT -s 0.0.0.0/0 -j DROP", advertIn, true},
		{"-A INPUT -m pkttype --pkt-type multicast -j DROP", advertIn, true},
		{"-A INPUT -m pkttype --pkt-type multicast -j DROP", fromPeer, false},
		{"-A INPUT -m conntrack --ctstate INVALID,NEW -j DROP", advertIn, true},
		{"-A INPUT -m state --state ESTABLISHED -j DROP", advertIn, false},
		{"-A FORWARD -m state --state NEW -j DROP", answer, false},
		{"-A FORWARD -s 10.10.1.0/24 -j DROP", answer, true},
		{"-A FORWARD -p tcp -j DROP", answer, false}, // of which protocol is not known
		{"-A FORWARD ! -p tcp -j DROP", answer, false},
		{"-A INPUT -m limit --limit 5/sec -j DROP", advertIn, false},
		{"-A INPUT -m limit --limit 5/sec -j ACCEPT\n-A INPUT -j DROP", advertIn, false},
		{"-A INPUT -m set --match-set friends src -j ACCEPT\n-A INPUT -j DROP", advertIn, false},
		{"-A INPUT -p udp -m udp --dport 8848 -j DROP", syncIn, true},
		{"-A INPUT -p udp -m multiport --dports 53,8000:9000 -j DROP", syncIn, true},
		{"-A INPUT -p udp -m multiport --dports 53,8849 -j DROP", syncIn, false},
		{"-A INPUT -p udp -m udp --sport 68 -j DROP", syncIn, false},
		{"-A INPUT -j LOG --log-prefix \"-j DROP \"\n-A INPUT -p vrrp -j ACCEPT\n-A INPUT -j DROP", advertIn, false},
		{"-A INPUT -j MINE\n-A MINE -p vrrp -j DROP", advertIn, true},
		{"-A INPUT -j MINE\n-A MINE -p vrrp -j RETURN\n-A MINE -j DROP", advertIn, false},
		{"-A INPUT -g MINE\n-A INPUT -j DROP\n-A MINE -p tcp -j DROP", advertIn, false},
		{"-A INPUT -j MINE\n-A INPUT -j DROP\n-A MINE -p tcp -j ACCEPT", advertIn, true},
		{"-A INPUT -j MINE\n-A MINE -j MINE", advertIn, false},
		{strings.Repeat("-A MINE -j MINE\n", 30) + "-A INPUT -j MINE", advertIn, false},
		{"-A INPUT -j NFQUEUE --queue-num 0\n-A INPUT -j DROP", advertIn, false},
		{"-A INPUT", advertIn, false},
		{"-A", advertIn, false},
		{"-A NOSUCH -j DROP", advertIn, false},
	} {
		r := parseIPTables("iptables", "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:MINE - [0:0]\n"+tt.rules+"\nCOMMIT\n")
		if _, drops := r.dropper(tt.p); drops != tt.drops {
			t.Errorf("%s: drops is %t, want %t\n%+v", tt.rules, drops, tt.drops, r)
		}
	}
	other := tt6()
	if _, drops := parseIPTables("iptables", "*filter\n:INPUT DROP [0:0]\n").dropper(other); drops {
		t.Error("the rules of IPv4 drop a packet of IPv6")
	}
	if _, drops := parseIPTables("ip6tables", "*filter\n:INPUT DROP [0:0]\n").dropper(other); !drops {
		t.Error("the rules of IPv6 do not drop a packet of IPv6")
	}
	if _, drops := parseIPTables("iptables", "*nat\n:PREROUTING DROP [0:0]\n").dropper(advertIn); drops {
		t.Error("a table that sees but the first packet of a connection counts")
	}
}

func tt6() packet {
	p := advertIn
	p.v6, p.to = true, group6
	return p
}

// TestNFT reads what nft prints; most of its rules are in TestFirewall, made by nft itself.
func TestNFT(t *testing.T) {
	chain := func(family, policy string) string {
		return `{"chain": {"family": "` + family + `", "table": "t", "name": "c", "type": "filter", "hook": "input", "prio": 0, "policy": "` + policy + `"}}`
	}
	rule := func(expr string) string {
		return `{"rule": {"family": "inet", "table": "t", "chain": "c", "expr": [` + expr + `, {"accept": null}]}}`
	}
	for _, tt := range []struct {
		name, doc string
		p         packet
		drops     bool
	}{
		{"policy", chain("inet", "drop"), advertIn, true},
		{"another family", chain("ip6", "drop"), advertIn, false},
		{"a bridge's", chain("bridge", "drop"), advertIn, false},
		{"a set that is not there", chain("inet", "drop") + "," + rule(`{"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "saddr"}}, "right": "@gone"}}`), fromPeer, false},
		{"a range of ports", chain("inet", "drop") + "," + rule(`{"match": {"op": "==", "left": {"payload": {"protocol": "udp", "field": "dport"}}, "right": {"range": [8000, 9000]}}}`), syncIn, false},
		{"a port of another protocol", chain("inet", "drop") + "," + rule(`{"match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": 8848}}`), syncIn, true},
		{"an operator that is not known", chain("inet", "drop") + "," + rule(`{"match": {"op": "<", "left": {"meta": {"key": "l4proto"}}, "right": 113}}`), advertIn, false},
		{"not", chain("inet", "drop") + "," + rule(`{"match": {"op": "!=", "left": {"meta": {"key": "l4proto"}}, "right": "vrrp"}}`), advertIn, true},
		{"a statement that is not known", chain("inet", "drop") + "," + rule(`{"quantum": null}`), advertIn, false},
	} {
		r, err := parseNFT([]byte(`{"nftables": [` + tt.doc + `]}`))
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		if _, drops := r.dropper(tt.p); drops != tt.drops {
			t.Errorf("%s: drops is %t, want %t\n%+v", tt.name, drops, tt.drops, r)
		}
	}
	if _, err := parseNFT([]byte(`{"nftables": 7}`)); err == nil || !strings.Contains(err.Error(), "read the rules of nft") {
		t.Errorf("got the error %v", err)
	}
}

// TestFirewalld: its tables are changed by its own command. The rules are those of a zone that goes by the link.
func TestFirewalld(t *testing.T) {
	const doc = `{"nftables": [
		{"chain": {"family": "inet", "table": "firewalld", "name": "filter_INPUT", "type": "filter", "hook": "input", "prio": 10, "policy": "accept"}},
		{"chain": {"family": "inet", "table": "firewalld", "name": "filter_IN_public"}},
		{"rule": {"family": "inet", "table": "firewalld", "chain": "filter_INPUT", "expr": [
			{"match": {"op": "in", "left": {"ct": {"key": "state"}}, "right": ["established", "related"]}}, {"accept": null}]}},
		{"rule": {"family": "inet", "table": "firewalld", "chain": "filter_INPUT", "expr": [{"goto": {"target": "filter_IN_public"}}]}},
		{"rule": {"family": "inet", "table": "firewalld", "chain": "filter_IN_public", "expr": [
			{"match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": 22}}, {"accept": null}]}},
		{"rule": {"family": "inet", "table": "firewalld", "chain": "filter_IN_public", "expr": [{"reject": {"type": "icmpx", "expr": "admin-prohibited"}}]}}]}`
	r, err := parseNFT([]byte(doc))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		p    packet
		want string
	}{
		{advertIn, "firewall-cmd --permanent --add-protocol=vrrp && firewall-cmd --reload"},
		{syncIn, "firewall-cmd --permanent --add-port=8848/udp && firewall-cmd --reload"},
	} {
		c, drops := r.dropper(tt.p)
		if got := r.open(c, tt.p); !drops || got != tt.want {
			t.Errorf("drops is %t, got %q, want %q", drops, got, tt.want)
		}
	}
	if _, drops := r.dropper(packet{hooks: coming, protocol: 6, port: 22}); drops {
		t.Error("what a rule accepts is dropped")
	}
}

// FuzzFirewall: whatever the tools print, it ends, and without a panic.
func FuzzFirewall(f *testing.F) {
	f.Add(`{"nftables": [{"chain": {"family": "ip", "table": "t", "name": "c", "type": "filter", "hook": "input"}},
		{"rule": {"family": "ip", "table": "t", "chain": "c", "expr": [{"vmap": {"key": {"ct": {"key": "state"}}, "data": {"set": [["new", {"goto": {"target": "c"}}]]}}}]}}]}`)
	f.Add("*filter\n:INPUT DROP [0:0]\n-A INPUT ! -i lo -j INPUT\n-A INPUT -m comment --comment \"a b\n")
	f.Fuzz(func(t *testing.T, text string) {
		if r, err := parseNFT([]byte(text)); err == nil {
			r.dropper(advertIn)
		}
		parseIPTables("iptables", text).dropper(syncIn)
	})
}
