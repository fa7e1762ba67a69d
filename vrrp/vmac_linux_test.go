// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"bytes"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"

	"github.com/holdfast-lb/holdfast/internal/netlab"
)

// vmacConfig is a router that owns its virtual MAC address.
func vmacConfig(priority uint8) Config {
	c := quick(priority)
	c.VMAC = true
	c.Addresses = []Address{{Prefix: prefix("192.0.2.100/32"), Device: VMACDevice("eth0", 51, false)}}
	return c
}

const patience = 10 * time.Second

func pings(t *testing.T, h *netlab.Host, target string) bool {
	t.Helper()
	a := netip.MustParseAddr(target)
	return h.Do(func() error { return ping(a) }) == nil
}

// ping sends one echo request and waits a moment for the answer.
func ping(a netip.Addr) error {
	network, kind, answer := "ip4:icmp", icmp.Type(ipv4.ICMPTypeEcho), byte(ipv4.ICMPTypeEchoReply)
	if a.Is6() {
		network, kind, answer = "ip6:ipv6-icmp", ipv6.ICMPTypeEchoRequest, byte(ipv6.ICMPTypeEchoReply)
	}
	c, err := net.Dial(network, a.String())
	if err != nil {
		return err
	}
	defer c.Close()
	b, err := (&icmp.Message{Type: kind, Body: &icmp.Echo{ID: 1, Seq: 1}}).Marshal(nil)
	if err != nil {
		return err
	}
	if _, err := c.Write(b); err != nil {
		return err
	}
	if err := c.SetReadDeadline(time.Now().Add(500 * ms)); err != nil {
		return err
	}
	for b = make([]byte, 100); ; {
		// A connected socket has only what comes from there. The IPv4 header is cut off.
		if _, _, err := c.(*net.IPConn).ReadFrom(b); err != nil || b[0] == answer {
			return err
		}
	}
}

// Clients learn one MAC address, which moves: with strict reverse path filters and with the master.
func TestVirtualMAC(t *testing.T) {
	lab := netlab.Test(t)
	lan := lab.LAN("lan")
	pa := lab.Host("a").Join(lan, "eth0", prefix("192.0.2.10/24"))
	pb := lab.Host("b").Join(lan, "eth0", prefix("192.0.2.11/24"))
	client := lab.Host("c").Join(lan, "eth0", prefix("192.0.2.99/24"))
	for _, p := range []*netlab.Port{pa, pb} {
		for _, key := range []string{"all", "default", "eth0"} {
			p.Host.Sysctl("net.ipv4.conf."+key+".rp_filter", "1")
		}
	}
	learned := func() string {
		t.Helper()
		mac, err := client.Host.Neighbour(addr("192.0.2.100"))
		must(t, err)
		return mac.String()
	}
	mac := VirtualMAC(51, false)
	a := startRouter(t, pa.Host, vmacConfig(200))
	a.becomes(Master)
	b := startRouter(t, pb.Host, vmacConfig(150))
	b.becomes(Backup)
	for range 3 {
		ip(t, client.Host, "neigh flush dev eth0")
		ip(t, pa.Host, "neigh flush dev eth0") // so that the master has to ask, too, and not in the name of the virtual address
		poll(t, patience, "the client reaches the virtual address", func() bool { return pings(t, client.Host, "192.0.2.100") })
		if got := learned(); got != mac.String() {
			t.Errorf("the client has learned %s", got)
		}
	}
	// Nobody else is given the virtual MAC address.
	wire := watch(t, client.Host, "eth0")
	ip(t, client.Host, "neigh flush dev eth0")
	for _, target := range []string{"192.0.2.10", "192.0.2.100"} {
		poll(t, patience, "the client reaches "+target, func() bool { return pings(t, client.Host, target) })
	}
	for len(wire.frames) > 0 {
		if f := <-wire.frames; isARP(f.b) && bytes.Equal(f.b[6:12], mac) && looks(f.b[28:32], "c000020a") {
			t.Errorf("the virtual MAC address answers for the master's own address: %x", f.b)
		}
	}
	device := VMACDevice("eth0", 51, false)
	if out := ip(t, pb.Host, "link show "+device); strings.Contains(out, ",UP") || !strings.Contains(out, "alias holdfast") {
		t.Errorf("a backup's link: %s", out)
	}
	if s := a.status(); s.Announced != 1 || s.HostErrors != 0 { // the link that came up with the addresses is no reason for a second time
		t.Errorf("announced %d times, %d errors: %s", s.Announced, s.HostErrors, s.HostError)
	}
	wire.drop()
	a.kill()
	b.becomes(Master)
	wire.next("announcement of the new master", func(frame []byte) bool { return isAnnouncement(frame) && bytes.Equal(frame[6:12], mac) })
	// What the dead one has left answers until its lease ends; so does the new one, with the same MAC address.
	poll(t, patience, "the client reaches the new master", func() bool { return pings(t, client.Host, "192.0.2.100") })
	if got := learned(); got != mac.String() {
		t.Errorf("after the failover the client has %s", got)
	}
	poll(t, patience, "the lease of the dead ends", func() bool { return !holds(t, pa.Host, addr("192.0.2.100")) })

	// What the dead one has left is adopted, and taken over again: a master hears who sends from its own MAC address.
	before := ip(t, pa.Host, "-o link show "+device)
	a = startRouter(t, pa.Host, vmacConfig(200))
	a.becomes(Master)
	b.becomes(Backup)
	if after := ip(t, pa.Host, "-o link show "+device); after[:4] != before[:4] {
		t.Errorf("not adopted: %s, was %s", after, before)
	}
	poll(t, patience, "a backup's link goes down", func() bool { return !strings.Contains(ip(t, pb.Host, "link show "+device), ",UP") })
	b.stop()
	if out, err := pb.Host.Command(t.Context(), "ip", "link", "show", device).CombinedOutput(); err == nil {
		t.Errorf("left behind: %s", out)
	}
}

// Settings are shared by the routers of an interface, and put back with the last.
func TestVirtualMACSettingsArePutBack(t *testing.T) {
	_, port, n := oneHost(t)
	link, err := port.Host.Netlink().LinkByName("eth0")
	must(t, err)
	is := func(what setting, want uint32) {
		t.Helper()
		if got, err := n.settings.read(link.Attrs().Index, what); err != nil || got != want {
			t.Errorf("%v is %d, %v, want %d", what, got, err, want)
		}
	}
	port.Host.Sysctl("net.ipv4.conf.eth0.arp_ignore", "0")
	port.Host.Sysctl("net.ipv4.conf.eth0.arp_announce", "1")
	one, two := vmacConfig(200), vmacConfig(200)
	two.ID = 52
	must(t, n.Prepare(one))
	must(t, n.Prepare(one)) // again, as after a new connection
	must(t, n.Prepare(two))
	is(arpIgnore, 1)
	is(arpAnnounce, 2)
	must(t, n.Discard(one))
	is(arpIgnore, 1)
	must(t, n.Discard(two))
	is(arpIgnore, 0)
	is(arpAnnounce, 1)
	must(t, n.Prepare(one))
	port.Host.Sysctl("net.ipv4.conf.eth0.arp_ignore", "8")
	must(t, n.Discard(one))
	is(arpIgnore, 8) // someone else's
}

func TestVirtualMACOfAStranger(t *testing.T) {
	_, port, n := oneHost(t)
	c := vmacConfig(200)
	device := VMACDevice("eth0", 51, false)
	ip(t, port.Host, "link add "+device+" type veth peer name other")
	err := n.Prepare(c)
	if want := "prepare virtual MAC address: interface " + device + " exists and was not made by holdfast: remove or rename it"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	must(t, n.Discard(c))
	ip(t, port.Host, "link show "+device) // is still there
	ip(t, port.Host, "link del "+device)

	// One of ours on another interface, as after a new network card, is made anew; so is one that someone removes.
	must(t, n.Prepare(c))
	poll(t, patience, "the link is known", func() bool { return n.Changes("eth0") > 0 })
	must(t, n.Hold(c.Addresses, 0))
	ip(t, port.Host, "link del "+device)
	poll(t, patience, "the address has gone", func() bool { return len(n.Missing(c.Addresses)) == 1 })
	must(t, n.Hold(c.Addresses, 0))
	if !holds(t, port.Host, addr("192.0.2.100")) {
		t.Error("not held again")
	}
	ip(t, port.Host, "link set "+device+" down")
	poll(t, patience, "a link that is down is missed", func() bool { return len(n.Missing(c.Addresses)) == 1 })
	must(t, n.Release(c.Addresses))
	must(t, n.Discard(c))
}

// The macvlan of an IPv6 router answers from its link-local address, too, and makes none from the virtual MAC address.
func TestVirtualMACIPv6(t *testing.T) {
	lab := netlab.Test(t)
	lan := lab.LAN("lan")
	pa := lab.Host("a").Join(lan, "eth0", prefix("2001:db8::10/64"))
	client := lab.Host("c").Join(lan, "eth0", prefix("2001:db8::99/64"))
	c := quick(200)
	c.VMAC = true
	device := VMACDevice("eth0", 51, true)
	c.Addresses = []Address{{Prefix: prefix("fe80::100/128"), Device: device}, {Prefix: prefix("2001:db8::100/128"), Device: device}}
	n := network(t, pa.Host)
	must(t, n.Prepare(c))
	must(t, n.Hold(c.Addresses, 0))
	for _, target := range []string{"2001:db8::100", "fe80::100%eth0"} {
		poll(t, patience, "the client reaches "+target, func() bool { return pings(t, client.Host, target) })
	}
	mac, err := client.Host.Neighbour(addr("2001:db8::100"))
	if want := VirtualMAC(51, true); err != nil || !bytes.Equal(mac, want) {
		t.Errorf("learned %v, %v", mac, err)
	}
	there, err := pa.Host.Addresses(device)
	if err != nil || len(there) != 2 {
		t.Errorf("got %v, %v", there, err)
	}
	must(t, n.Release(c.Addresses))
	must(t, n.Discard(c))
}
