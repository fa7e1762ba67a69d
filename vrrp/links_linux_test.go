// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"bytes"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/internal/netlab"
)

// A router whose interface does not exist yet takes part once it does, and one whose interface is renamed is in fault until
// it has its name back.
func TestInterfaceComesLaterAndIsRenamed(t *testing.T) {
	lab := netlab.Test(t)
	lan := lab.LAN("lan")
	h := lab.Host("a")
	a := startRouter(t, h, quick(200))
	a.becomes(Fault)
	if s := a.status(); s.Reason != "interface eth0 does not exist" {
		t.Errorf("in fault because %s", s.Reason)
	}
	h.Join(lan, "eth0", prefix("192.0.2.10/24"))
	a.becomes(Master)
	poll(t, patience, "the address is there", func() bool { return holds(t, h, vip(100).Prefix.Addr()) })

	ip(t, h, "link set eth0 down")
	a.becomes(Fault)
	ip(t, h, "link set eth0 name lan0")
	ip(t, h, "link set lan0 up")
	poll(t, patience, "the address is gone", func() bool { return !holds(t, h, vip(100).Prefix.Addr()) })
	ip(t, h, "link set lan0 down")
	ip(t, h, "link set lan0 name eth0")
	ip(t, h, "link set eth0 up")
	a.becomes(Master)
	poll(t, patience, "the address is back", func() bool { return holds(t, h, vip(100).Prefix.Addr()) })
}

// A master that loses the address that its adverts come from says so from that address: nobody has to wait for its silence.
func TestRouterWithoutItsSourceGivesUpTheRole(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	lab := netlab.Test(t)
	lan := lab.LAN("lan")
	ha, hb := lab.Host("a"), lab.Host("b")
	ha.Join(lan, "eth0", prefix("192.0.2.10/24"))
	hb.Join(lan, "eth0", prefix("192.0.2.11/24"))
	first, second := quick(200), quick(150)
	first.Interval, second.Interval = time.Second, time.Second // a busy machine is not silent for three of them
	a := startRouter(t, ha, first)
	a.becomes(Master)
	b := startRouter(t, hb, second)
	b.becomes(Backup)
	ip(t, ha, "addr del 192.0.2.10/24 dev eth0")
	b.becomes(Master)
	if s := b.status(); s.Reason != "192.0.2.10 gave up the role" {
		t.Errorf("master because %s", s.Reason)
	}
	a.becomes(Fault)
}

// The addresses of a router may be on another interface than its election. What happens to that is no fault, and the
// neighbours are told when it is over.
func TestDeviceOfTheAddressesChanges(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	lab := netlab.Test(t)
	h := lab.Host("a")
	h.Join(lab.LAN("lan"), "eth0", prefix("192.0.2.10/24"))
	inside := lab.LAN("inside")
	port := h.Join(inside, "eth1", prefix("198.51.100.10/24"))
	c := quick(200)
	c.Excluded = []Address{{Prefix: prefix("198.51.100.100/32"), Device: "eth1"}}
	c.Announcements.Repeat, c.Announcements.Delay = 1, 3*time.Second // a bridge loses what comes at once after the link
	wire := watch(t, inside.Host, "br0")
	a := startRouter(t, h, c)
	a.becomes(Master)
	announced := func(what string, mac net.HardwareAddr) {
		t.Helper()
		wire.next("announcement after "+what, func(b []byte) bool {
			return isARP(b) && looks(b[28:32], "c6336464") && bytes.Equal(b[6:12], mac)
		})
	}
	announced("the start", port.MAC)
	announced("the start, again", port.MAC)
	must(t, port.Unplug())
	poll(t, patience, "the kernel tells that the link is down", func() bool { return strings.Contains(ip(t, h, "link show eth1"), "state DOWN") })
	must(t, port.Plug())
	announced("the link came back", port.MAC)
	mac := net.HardwareAddr{2, 0, 0, 0, 0, 0x77}
	ip(t, h, "link set eth1 address "+mac.String())
	announced("the MAC address changed", mac)
	ip(t, h, "link del eth1")
	again := h.Join(inside, "eth1", prefix("198.51.100.10/24"))
	announced("the interface was made anew", again.MAC)
	if s := a.status(); s.State != Master {
		t.Errorf("is %v: %s", s.State, s.Reason)
	}
}
