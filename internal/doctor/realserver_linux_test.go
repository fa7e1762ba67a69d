// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"net/netip"
	"path/filepath"
	"testing"

	"github.com/holdfast-lb/holdfast/internal/netlab"
	"github.com/holdfast-lb/holdfast/internal/realserver"
	"github.com/holdfast-lb/holdfast/ipvs"
)

// newRealServer is a host that holdfast has made a real server.
func newRealServer(t *testing.T, u realserver.Use) *site {
	s := newSite(t)
	s.config, s.silent, s.options.Uses = "", true, []realserver.Use{u}
	s.lb1.Route(netip.MustParsePrefix("0.0.0.0/0"), netip.MustParseAddr("10.0.0.1"))
	s.must(s.lb1.Do(func() error {
		k, err := realserver.Open()
		if err != nil {
			return err
		}
		defer k.Close()
		_, err = realserver.Setup(k, filepath.Join(t.TempDir(), "state.json"), s.options.Uses)
		return err
	}))
	return s
}

// TestRealServer breaks one thing of a real server at a time.
func TestRealServer(t *testing.T) {
	dr := realserver.Use{Forward: ipvs.DR, Address: netip.MustParseAddr(vip)}
	nat := realserver.Use{Forward: ipvs.NAT, Gateway: netip.MustParseAddr("10.0.0.254")}
	on := func(lines string) func(*site) { return func(s *site) { run(s.t, s.lb1, lines) } }
	for _, b := range []struct {
		use realserver.Use
		breakage
	}{
		{dr, breakage{name: "healthy"}},
		{dr, breakage{name: "arp_ignore", want: "server-arp", fact: "net.ipv4.conf.all.arp_ignore is 0", mend: "sysctl -w net.ipv4.conf.all.arp_ignore=1",
			wreck: func(s *site) { s.lb1.Sysctl("net.ipv4.conf.all.arp_ignore", "0") }}},
		{dr, breakage{name: "arp_announce", want: "server-arp", fact: "arp_announce is 0", wreck: func(s *site) { s.lb1.Sysctl("net.ipv4.conf.all.arp_announce", "0") }}},
		{dr, breakage{name: "address", want: "server-address", fact: "10.0.0.100/32 is not on lo", mend: "ip address add 10.0.0.100/32 dev lo", wreck: on("ip address del 10.0.0.100/32 dev lo")}},
		{dr, breakage{name: "stray", want: "server-stray", fact: "10.0.0.100/24 is on eth0", mend: "ip address del 10.0.0.100/24 dev eth0",
			wreck: on("ip address add 10.0.0.100/24 dev eth0")}},
		{nat, breakage{name: "healthy, nat"}},
		{nat, breakage{name: "gateway", want: "server-gateway", fact: "the default gateway is 10.0.0.1, not 10.0.0.254", mend: "ip route",
			wreck: on("ip route replace default via 10.0.0.1")}},
	} {
		t.Run(b.name, func(t *testing.T) {
			b.test(t, func(t *testing.T) *site { return newRealServer(t, b.use) })
		})
	}
}

// TestTunnelEnd breaks one thing of a real server behind a tunnel at a time.
func TestTunnelEnd(t *testing.T) {
	netlab.RequireIPVS(t) // a kernel that has it has ipip
	netlab.RequireTool(t, "iptables")
	use := realserver.Use{Forward: ipvs.Tunnel, Address: netip.MustParseAddr(vip), Local: netip.MustParseAddr("10.0.0.2")}
	use.Encapsulation.Type = ipvs.IPIP
	healthy := func(t *testing.T) *site {
		s := newRealServer(t, use)
		run(t, s.lb1, "ip route change default via 10.0.0.1 dev eth0 advmss 1440")
		return s
	}
	on := func(lines string) func(*site) { return func(s *site) { run(s.t, s.lb1, lines) } }
	for _, b := range []breakage{
		{name: "healthy"},
		{name: "rp_filter", want: "server-rp-filter", fact: "net.ipv4.conf.tunl0.rp_filter is 1", wreck: func(s *site) { s.lb1.Sysctl("net.ipv4.conf.tunl0.rp_filter", "1") }},
		{name: "link", want: "server-tunnel", fact: "tunl0 is down", mend: "ip link set tunl0 up", wreck: on("ip link set tunl0 down")},
		{name: "address", want: "server-address", fact: "10.0.0.100/32 is not on tunl0", wreck: on("ip address del 10.0.0.100/32 dev tunl0")},
		{name: "mss", want: "server-mss", fact: "clients are asked for segments of 1460 bytes, wrapped only 1440 fit eth0",
			mend: "ip route change default via 10.0.0.1 dev eth0 advmss 1440", wreck: on("ip route change default via 10.0.0.1 dev eth0")},
		{name: "a larger mtu", wreck: on("ip link set eth0 mtu 1520; ip route replace default via 10.0.0.1 dev eth0 mtu 1500")},
		{name: "firewall", want: "firewall-tunnel-end", fact: "wrapped packets (ipip) for 10.0.0.100: dropped by chain INPUT",
			mend: "iptables -I INPUT -d 10.0.0.2 -p 4 -j ACCEPT", wreck: on("iptables -P INPUT DROP; iptables -A INPUT -p tcp -j ACCEPT")},
	} {
		t.Run(b.name, func(t *testing.T) { b.test(t, healthy) })
	}
}
