// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"fmt"
	"net/netip"
	"testing"
	"time"
)

// TestKeepalivedSpeaksOurForms is the codec and the sockets against keepalived in every form that it knows, without an
// election of ours: it is silent while it hears our adverts, and we take each of its own when we have resigned.
func TestKeepalivedSpeaksOurForms(t *testing.T) {
	requireKeepalived(t)
	t.Parallel()
	const vips = "virtual_ipaddress {\n192.0.2.100/24\n}"
	const vips6 = "virtual_ipaddress {\nfe80::100/64\n2001:db8::100/64\n}"
	for _, tt := range []struct {
		name     string
		interval time.Duration
		config   func(*Config)
		theirs   string // lines of its configuration
	}{
		{
			"version 2 with a password", time.Second, func(c *Config) { c.Version, c.Password = 2, "longsecret" },
			"version 2\nadvert_int 1\nauthentication {\nauth_type PASS\nauth_pass longsecr\n}\n" + vips,
		},
		{
			"version 2, unicast", time.Second, func(c *Config) {
				version2(c)
				c.Unicast = Unicast{Source: own, Peers: addrs("192.0.2.11"), TTL: 255, MinTTL: 255}
			},
			"version 2\nadvert_int 1\nunicast_src_ip 192.0.2.11\nunicast_peer {\n192.0.2.10\n}\n" + vips,
		},
		{"virtual MAC", 200 * ms, func(c *Config) { c.VMAC = true }, "version 3\nadvert_int 0.2\n" + vips},
		{"IPv6", 200 * ms, overIPv6, "version 3\nadvert_int 0.2\n" + vips6},
		{"IPv6, virtual MAC", 200 * ms, func(c *Config) { overIPv6(c); c.VMAC = true }, "version 3\nadvert_int 0.2\n" + vips6},
		{
			"IPv6, unicast", 200 * ms, func(c *Config) {
				overIPv6(c)
				// keepalived 2.2.7 leaves the hop limit of its unicast at the kernel's default.
				c.Unicast = Unicast{Source: linkLocalA, Peers: []netip.Addr{linkLocalB}, TTL: 255, MinTTL: 64}
			},
			"version 3\nadvert_int 0.2\nunicast_src_ip fe80::68:66ff:fe00:102\nunicast_peer {\nfe80::68:66ff:fe00:101\n}\n" + vips6,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, a, b := twoHosts(t)
			c := config()
			tt.config(&c)
			c.Interval = tt.interval
			conn := dial(t, a.Host, network(t, a.Host), c)
			to := c.group()
			if c.Unicast.Enabled() {
				to = c.Unicast.Peers[0]
			}
			say := func(priority uint8) {
				if err := conn.Write(c.advert(priority, nil).Append(nil, conn.Source(), to), to); err != nil {
					t.Error(err)
				}
			}
			say(200)
			k := runKeepalived(t, b.Host, fmt.Sprintf(
				"vrrp_instance web {\nstate BACKUP\ninterface eth0\nvirtual_router_id 51\npriority 100\n%s\n}\n", tt.theirs))
			for end := time.Now().Add(time.Second + 4*tt.interval); time.Now().Before(end); time.Sleep(tt.interval / 4) {
				say(200) // without it would take over after 3.6 intervals
			}
			if _, h, err := conn.Read(make([]byte, maxPacket)); err == nil {
				t.Errorf("keepalived does not accept our adverts: one from %v", h.Src)
			}
			say(0)
			i := &Instance{cfg: c, conn: conn}
			for range 3 {
				payload, h := read(t, conn)
				if reason := i.accept(payload, h); reason != "" || i.rx.advert.Priority != 100 || differs(&i.rx.advert, &c) != 0 {
					t.Errorf("got %q of %x from %v", string(reason), payload, h.Src)
				}
			}
			k.stop()
		})
	}
}
