// SPDX-License-Identifier: Apache-2.0

package checker

import (
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/internal/netlab"
)

// tunnelEnds are checks of one server by one sort of tunnel.
func tunnelEnds(tunnel Tunnel) map[string]Config {
	all := make(map[string]Config)
	for family, c := range ends {
		c.Tunnel = tunnel
		all[family] = c
	}
	return all
}

// A server without a tunnel sends the packets back, which the verdict says; one that is off does not answer at all.
func TestTunnelThatIsNotThere(t *testing.T) {
	s := newPathSite(t)
	listen(t, s.server, ":80")
	s.quiet()
	for _, tt := range []struct {
		tunnel  Tunnel
		family  string
		refused string
	}{
		{Tunnel{Kind: TunnelIPIP}, "IPv4", "it takes no ipip packets: is tunl0 there, and up?"},
		{Tunnel{Kind: TunnelIPIP}, "IPv6", "it takes no ipip packets: is ip6tnl0 there, and up?"},
		{Tunnel{Kind: TunnelGRE}, "IPv4", "it takes no gre packets: is gre0 there, and up?"},
		{Tunnel{Kind: TunnelGUE, Port: 6080}, "IPv4", "does fou listen on UDP port 6080, and is tunl0 up?"},
		{Tunnel{Kind: TunnelGUE, Port: 6080, Checksum: true}, "IPv6", "does fou listen on UDP port 6080, and is ip6tnl0 up?"},
	} {
		t.Run(tt.tunnel.Kind.String()+" "+tt.family, func(t *testing.T) {
			t.Parallel()
			res := s.check(t, tunnelEnds(tt.tunnel)[tt.family], nil)
			if res.Reason != "virtual address" || !strings.Contains(res.Detail, tt.refused) {
				t.Errorf("got %q: %s", res.Reason, res.Detail)
			}
		})
	}
	t.Run("off", func(t *testing.T) {
		t.Parallel()
		c := tunnelEnds(Tunnel{Kind: TunnelIPIP})["IPv4"]
		c.Target = netip.MustParseAddrPort("10.9.0.22:80")
		if res := s.check(t, c, nil); res.Reason != "no route" {
			t.Errorf("got %q: %s", res.Reason, res.Detail)
		}
	})
}

// run runs commands on the server.
func (s *pathSite) run(t *testing.T, commands ...string) {
	t.Helper()
	for _, c := range commands {
		args := strings.Fields(c)
		if out, err := s.server.Command(t.Context(), args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", c, err, out)
		}
	}
}

// A server behind each sort of tunnel passes, on a backup and on a master, and what is wrong with it is found.
func TestTunnel(t *testing.T) {
	netlab.RequireIPVS(t)
	for _, module := range []string{"ipip", "ip6_tunnel", "ip_gre", "ip6_gre", "fou", "fou6"} {
		if out, err := exec.Command("modprobe", module).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	const up4, up6 = "ip link set tunl0 up", "ip link set ip6tnl0 up"
	for _, tt := range []struct {
		name   string
		tunnel Tunnel
		family string
		device string
		setup  []string
	}{
		{"ipip", Tunnel{Kind: TunnelIPIP}, "IPv4", "tunl0", []string{up4}},
		{"ipip in IPv6", Tunnel{Kind: TunnelIPIP}, "IPv6", "ip6tnl0", []string{up6}},
		{"gre", Tunnel{Kind: TunnelGRE}, "IPv4", "gre0", []string{"ip link set gre0 up"}},
		{"gre in IPv6", Tunnel{Kind: TunnelGRE}, "IPv6", "ip6gre0", []string{"ip link set ip6gre0 up"}},
		{"gre with checksum", Tunnel{Kind: TunnelGRE, Checksum: true}, "IPv4", "g1",
			[]string{"ip link add g1 type gre local 10.9.0.21 remote any icsum", "ip link set g1 up"}},
		{"gue", Tunnel{Kind: TunnelGUE, Port: 6080}, "IPv4", "tunl0", []string{up4, "ip fou add port 6080 gue"}},
		{"gue with checksum", Tunnel{Kind: TunnelGUE, Port: 6080, Checksum: true}, "IPv4", "tunl0", []string{up4, "ip fou add port 6080 gue"}},
		{"gue in IPv6", Tunnel{Kind: TunnelGUE, Port: 6080, Checksum: true}, "IPv6", "ip6tnl0", []string{up6, "ip fou add port 6080 gue -6"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newPathSite(t)
			s.quiet()
			listen(t, s.server, ":80")
			s.run(t, tt.setup...)
			s.server.Sysctl("net.ipv4.conf.all.rp_filter", "0")
			filter := func(value string) {
				s.server.Sysctl("net.ipv4.conf."+tt.device+".rp_filter", value)
			}
			filter("0")
			c := tunnelEnds(tt.tunnel)[tt.family]
			wants := func(what, reason, detail string) {
				t.Helper()
				began := time.Now()
				res := s.check(t, c, nil)
				if res.Reason != reason || !strings.Contains(res.Detail, detail) {
					t.Errorf("%s: got %q: %s", what, res.Reason, res.Detail)
				}
				t.Logf("%s: %v, %s", what, time.Since(began), res.Detail)
			}
			wants("without the virtual address", "virtual address", "is it on ")
			vip := map[string]string{"IPv4": "10.9.0.100/32", "IPv6": "fd09::100/128"}[tt.family]
			s.server.Address(tt.device, netip.MustParsePrefix(vip))
			wants("on a backup", "", "")
			s.hold(s.director)
			wants("on a master", "", "")
			if tt.family == "IPv4" {
				filter("1")
				wants("with rp_filter", "virtual address", "with rp_filter = 0 or 2 there?")
				filter("2")
				wants("with a loose rp_filter", "", "")
				s.wires.close() // which know that it is silent
				s.wires = newWires()
				s.server.Sysctl("net.ipv4.conf.all.arp_ignore", "0")
				wants("answers ARP", "arp", "arp_ignore = 1")
				s.quiet()
			}
			s.run(t, "ip link set "+tt.device+" down")
			wants("down", "virtual address", "service answers on ")
		})
	}
}

// A server behind a router has a tunnel, and needs no Ethernet address.
func TestTunnelBehindARouter(t *testing.T) {
	s := newPathSite(t)
	far := s.lab.LAN("far")
	s.other.Join(far, "eth1", prefix("10.8.0.1/24"))
	s.other.Sysctl("net.ipv4.ip_forward", "1")
	web := s.lab.Host("web2")
	web.Join(far, "eth0", prefix("10.8.0.21/24"))
	web.Route(prefix("10.9.0.0/24"), netip.MustParseAddr("10.8.0.1"))
	s.director.Route(prefix("10.8.0.0/24"), netip.MustParseAddr("10.9.0.12"))
	listen(t, web, ":80")
	c := tunnelEnds(Tunnel{Kind: TunnelIPIP})["IPv4"]
	c.Target = netip.MustParseAddrPort("10.8.0.21:80")
	if res := s.check(t, c, nil); res.Reason != "virtual address" || !strings.Contains(res.Detail, "it takes no ipip packets") {
		t.Errorf("got %q: %s", res.Reason, res.Detail)
	}
}
