// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"bytes"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/holdfast-lb/holdfast/internal/netlab"
)

// ip runs the tool on a host and returns what it prints.
func ip(t *testing.T, h *netlab.Host, args string) string {
	t.Helper()
	out, err := h.Command(t.Context(), "ip", strings.Fields(args)...).CombinedOutput()
	if err != nil {
		t.Fatalf("ip %s: %v: %s", args, err, out)
	}
	return string(out)
}

func vip6(p string) Address { return Address{Prefix: prefix(p), Device: "eth0"} }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// An IPv6 address is usable at once, whatever the host does about duplicates; a host address is deprecated, so that it is
// no connection's source.
func TestHoldIPv6(t *testing.T) {
	_, port, n := oneHost(t)
	port.Host.Sysctl("net.ipv6.conf.eth0.accept_dad", "1")
	port.Host.Sysctl("net.ipv6.conf.eth0.dad_transmits", "3")
	host, net64 := vip6("2001:db8::100/128"), vip6("2001:db8:0:1::100/64")
	for _, lease := range []time.Duration{10 * time.Second, 0} {
		must(t, n.Hold([]Address{host, net64}, lease))
		if missing := n.Missing([]Address{host, net64}); len(missing) > 0 {
			t.Errorf("missing %v", missing)
		}
		if left := n.Lease([]Address{host, net64}); lease > 0 && (left > lease || left < lease-2*time.Second) {
			t.Errorf("%v left of %v", left, lease)
		}
		out := ip(t, port.Host, "-6 -o addr show dev eth0")
		for line := range strings.Lines(out) {
			switch {
			case strings.Contains(line, "tentative"):
				t.Errorf("tentative: %s", line)
			case strings.Contains(line, "::100/") && strings.Contains(line, "/128") != strings.Contains(line, "deprecated"):
				t.Errorf("deprecated is what a host address is: %s", line)
			}
		}
	}
	if routes := ip(t, port.Host, "-6 route show 2001:db8:0:1::/64"); routes == "" {
		t.Error("no route to the prefix that the address is the first of")
	}
	must(t, n.Release([]Address{host, net64}))
	if holds(t, port.Host, host.Prefix.Addr()) || holds(t, port.Host, net64.Prefix.Addr()) {
		t.Error("still there")
	}
}

// The route that an address of the host's own has made stays as it is.
func TestHoldIPv6BesideAnAddressOfTheHost(t *testing.T) {
	_, port, n := oneHost(t)
	port.Host.Address("eth0", prefix("2001:db8::10/64"))
	a := vip6("2001:db8::100/64")
	poll(t, 5*time.Second, "the host's address is known", func() bool { return n.Owns("eth0", addr("2001:db8::10")) })
	want := ip(t, port.Host, "-6 route show 2001:db8::/64")
	for range 2 {
		must(t, n.Hold([]Address{a}, 5*time.Second))
	}
	if got := ip(t, port.Host, "-6 route show 2001:db8::/64"); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	must(t, n.Release([]Address{a}))
	if got := ip(t, port.Host, "-6 route show 2001:db8::/64"); got != want {
		t.Errorf("after release: got %s, want %s", got, want)
	}
}

// An address that the kernel found to be a duplicate, and which is ours by election, is installed all the same.
func TestDuplicateIPv6AddressIsInstalled(t *testing.T) {
	lab := netlab.Test(t)
	lan := lab.LAN("lan")
	port := lab.Host("a").Join(lan, "eth0", prefix("192.0.2.10/24"))
	lab.Host("b").Join(lan, "eth0", prefix("2001:db8::100/64"))
	n := network(t, port.Host)
	a := vip6("2001:db8::100/64")
	port.Host.Sysctl("net.ipv6.conf.eth0.accept_dad", "1")
	port.Host.Sysctl("net.ipv6.conf.eth0.dad_transmits", "1")
	ip(t, port.Host, "addr add 2001:db8::100/64 dev eth0")
	poll(t, 10*time.Second, "the duplicate is found", func() bool {
		return strings.Contains(ip(t, port.Host, "-6 -o addr show dev eth0"), "dadfailed")
	})
	if missing := n.Missing([]Address{a}); len(missing) != 1 {
		t.Error("a duplicate counts as installed")
	}
	must(t, n.Hold([]Address{a}, 5*time.Second))
	if out := ip(t, port.Host, "-6 -o addr show dev eth0"); strings.Contains(out, "dadfailed") || strings.Contains(out, "tentative") {
		t.Error(out)
	}
	// The kernel's word that the old one is gone comes before that of the new one.
	poll(t, patience, "it is installed", func() bool { return len(n.Missing([]Address{a})) == 0 })
}

// A neighbour that knew another MAC address for the virtual address knows the right one after the announcement.
func TestNeighbourAdvertisementIsBelieved(t *testing.T) {
	lab := netlab.Test(t)
	lan := lab.LAN("lan")
	a := lab.Host("a").Join(lan, "eth0", prefix("2001:db8::10/64"))
	client := lab.Host("c").Join(lan, "eth0", prefix("2001:db8::99/64"))
	n := network(t, a.Host)
	virtual := vip6("2001:db8::100/128")
	must(t, n.Hold([]Address{virtual}, 0))
	wire := watch(t, lan.Host, "br0")
	for _, router := range []bool{false, true} {
		a.Host.Sysctl("net.ipv6.conf.all.forwarding", map[bool]string{false: "0", true: "1"}[router])
		ip(t, client.Host, "-6 neigh replace 2001:db8::100 lladdr 02:00:00:00:00:99 dev eth0 nud stale")
		n.sendMu.Lock()
		n.forget("eth0") // which remembers for a second whether the link forwards
		n.sendMu.Unlock()
		wire.drop()
		must(t, a.Host.Do(func() error { return n.Announce(virtual, ARPRequest) }))
		poll(t, 5*time.Second, "the neighbour knows", func() bool {
			mac, err := client.Host.Neighbour(virtual.Prefix.Addr())
			return err == nil && bytes.Equal(mac, a.MAC)
		})
		f := wire.next("neighbour advertisement", func(b []byte) bool {
			return b[12] == 0x86 && b[14+6] == 58 && b[14+40] == 136 && bytes.Equal(b[6:12], a.MAC)
		})
		if got := f.b[14+44]&0x80 != 0; got != router || f.b[14+7] != 255 {
			t.Errorf("forwarding %v: got router flag %v, hop limit %d", router, got, f.b[14+7])
		}
		out := ip(t, client.Host, "-6 neigh show 2001:db8::100 dev eth0")
		if strings.Contains(out, "router") != router {
			t.Errorf("forwarding %v: the neighbour has %s", router, out)
		}
	}
}

// The secondaries of a virtual address that is the first of its network are not the kernel's to delete.
func TestSecondaryAddressesSurvive(t *testing.T) {
	_, port, n := oneHost(t)
	setting := func() uint32 {
		t.Helper()
		link, err := port.Host.Netlink().LinkByName("eth0")
		must(t, err)
		v, err := n.rtnl.conf(link.Attrs().Index, 2, iflaInetConf, int(promoteSecondaries)-1)
		must(t, err)
		return v
	}
	port.Host.Sysctl("net.ipv4.conf.eth0.promote_secondaries", "0")
	first, other := Address{prefix("198.51.100.100/24"), "eth0"}, Address{prefix("198.51.100.101/24"), "eth0"}
	for _, meddled := range []bool{false, true} {
		must(t, n.Hold([]Address{first, other}, 0))
		must(t, n.Hold([]Address{{prefix("203.0.113.1/32"), "eth0"}}, 0))
		port.Host.Address("eth0", prefix("198.51.100.50/24"))
		if setting() != 1 {
			t.Fatal("promote_secondaries is not set")
		}
		must(t, n.Release([]Address{first}))
		if !holds(t, port.Host, addr("198.51.100.50")) || !holds(t, port.Host, addr("198.51.100.101")) {
			t.Error("the secondaries have gone with the first address")
		}
		want := uint32(0)
		if meddled {
			port.Host.Sysctl("net.ipv4.conf.eth0.promote_secondaries", "2")
			want = 2
		}
		must(t, n.Release([]Address{other}))
		if got := setting(); got != want {
			t.Errorf("promote_secondaries is %d afterwards, want %d", got, want)
		}
		port.Host.Sysctl("net.ipv4.conf.eth0.promote_secondaries", "1")
		must(t, n.Release([]Address{{prefix("203.0.113.1/32"), "eth0"}}))
		ip(t, port.Host, "addr del 198.51.100.50/24 dev eth0")
		port.Host.Sysctl("net.ipv4.conf.eth0.promote_secondaries", "0")
	}
}

// An address is released also from a link that has been renamed since, of which the device's name says nothing any more.
func TestReleaseFromARenamedLink(t *testing.T) {
	_, port, n := oneHost(t)
	a := vip(100)
	must(t, n.Hold([]Address{a}, 0))
	ip(t, port.Host, "link set eth0 down")
	ip(t, port.Host, "link set eth0 name lan0")
	poll(t, 10*time.Second, "the new name is known", func() bool {
		_, err := n.Link("eth0")
		return err != nil && strings.Contains(err.Error(), "not exist")
	})
	must(t, n.Release([]Address{a}))
	if holds(t, port.Host, a.Prefix.Addr()) {
		t.Error("still there")
	}
	must(t, n.Release([]Address{a}))
}

// 255 addresses and 245 excluded ones, as one router may have: the time until the last is announced is logged.
func TestManyAddresses(t *testing.T) {
	_, port, n := oneHost(t)
	c := config()
	c.Addresses, c.Lease = nil, 5*time.Second
	for i := range 500 {
		a := Address{Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 18, byte(i >> 8), byte(i)}), 32), Device: "eth0"}
		if i < 255 {
			c.Addresses = append(c.Addresses, a)
		} else {
			c.Excluded = append(c.Excluded, a)
		}
	}
	k := newKeeper(n, slog.New(slog.DiscardHandler))
	given := time.Now()
	k.set(order{cfg: c, hold: true, at: given, valid: time.Minute, begin: 1})
	must(t, port.Host.Do(func() error { k.step(given); return nil }))
	t.Logf("500 addresses installed and announced in %v", time.Since(given).Round(time.Microsecond))
	if announced, errs, _, text := k.counters(); announced != 500 || errs != 0 {
		t.Errorf("announced %d, %d errors, %s", announced, errs, text)
	}
	link, err := port.Host.Netlink().LinkByName("eth0")
	must(t, err)
	there, err := port.Host.Netlink().AddrList(link, netlink.FAMILY_V4)
	must(t, err)
	if len(there) != 501 {
		t.Errorf("%d addresses are there", len(there))
	}
	renewed := time.Now()
	must(t, n.Hold(c.All(), c.Lease))
	t.Logf("renewed in %v", time.Since(renewed).Round(time.Microsecond))
	gone := time.Now()
	must(t, n.Release(c.All()))
	t.Logf("released in %v", time.Since(gone).Round(time.Microsecond))
	poll(t, 10*time.Second, "all have gone", func() bool { return len(n.Missing(c.All())) == 500 })
}

// When the kernel drops events, all is read anew: a tiny buffer and a storm of addresses.
func TestDroppedEvents(t *testing.T) {
	lab := netlab.Test(t)
	port := lab.Host("a").Join(lab.LAN("lan"), "eth0", prefix("192.0.2.10/24"))
	n := networkWith(t, port.Host, func(n *Network) { n.buffer = 4096 })
	storm := network(t, port.Host)
	var many []Address
	for i := range 2000 {
		many = append(many, Address{Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 18, byte(i >> 8), byte(i)}), 32), Device: "eth0"})
	}
	overrun := func() bool {
		n.mu.Lock()
		defer n.mu.Unlock()
		return n.overruns > 0
	}
	for range 50 {
		if overrun() {
			break
		}
		must(t, storm.Hold(many, 0))
		must(t, storm.Release(many[500:]))
	}
	if !overrun() {
		t.Fatal("no event was dropped")
	}
	poll(t, 10*time.Second, "it knows what there is", func() bool { return len(n.Missing(many)) == 1500 && len(n.Missing(many[:500])) == 0 })
	ip(t, port.Host, "link set eth0 down")
	poll(t, 10*time.Second, "it follows again", func() bool { _, err := n.Link("eth0"); return err != nil })
}

// A link that has another hardware address announces with it; so does one that came back.
func TestChangesAreCounted(t *testing.T) {
	_, port, n := oneHost(t)
	changes := func(what string, f func()) {
		t.Helper()
		before := n.Changes("eth0")
		f()
		poll(t, 5*time.Second, what, func() bool { return n.Changes("eth0") > before })
	}
	changes("another MAC address", func() { ip(t, port.Host, "link set eth0 address 02:00:00:00:00:77") })
	changes("came back", func() {
		must(t, port.Unplug())
		poll(t, 10*time.Second, "the link is down", func() bool { _, err := n.Link("eth0"); return err != nil })
		must(t, port.Plug())
	})
	wire := watch(t, port.LAN.Host, "br0")
	must(t, port.Host.Do(func() error { return n.Announce(vip(100), ARPRequest) }))
	f := wire.next("announcement", isAnnouncement)
	if got := net.HardwareAddr(f.b[6:12]).String(); got != "02:00:00:00:00:77" {
		t.Errorf("announced from %s", got)
	}
}

func TestSuspendClock(t *testing.T) {
	var s suspendClock
	s.start()
	if d := s.total(); d != 0 {
		t.Errorf("slept for %v", d)
	}
	s.zero -= time.Hour // as if it had slept for that long since
	if d := s.total(); d < time.Hour-time.Second || d > time.Hour+time.Second {
		t.Errorf("slept for %v", d)
	}
	if a, b := s.total(), s.total(); a != b {
		t.Error("time between two readings counts as sleep")
	}
}
