// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/mdlayher/packet"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/holdfast-lb/holdfast/internal/netlab"
)

// The link-local addresses of twoHosts, which come from their MAC addresses.
var (
	linkLocalA = addr("fe80::68:66ff:fe00:101")
	linkLocalB = addr("fe80::68:66ff:fe00:102")
)

// advert6 is of one address, from linkLocalA to the group; only the checksum is not looked at.
const advert6 = "31 33 64 01  0064 0000  fe800000000000000000000000000100"

func isVRRP6(b []byte) bool { return b[12] == 0x86 && b[13] == 0xdd && b[14+6] == 112 }

// throw sends a frame as it is.
func throw(t *testing.T, h *netlab.Host, frame []byte) {
	t.Helper()
	err := h.Do(func() error {
		ifi, err := net.InterfaceByName("eth0")
		if err != nil {
			return err
		}
		conn, err := packet.Listen(ifi, packet.Raw, 0, nil)
		if err != nil {
			return err
		}
		defer conn.Close()
		_, err = conn.WriteTo(frame, &packet.Addr{HardwareAddr: frame[:6]})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// settle waits until the addresses of a host can be sent from. The kernel sees to that a moment after they were added.
func settle(t *testing.T, h *netlab.Host) {
	t.Helper()
	poll(t, 10*time.Second, "no address is tentative", func() bool {
		all, err := h.Netlink().AddrList(nil, netlink.FAMILY_V6)
		if err != nil {
			t.Fatal(err)
		}
		return !slices.ContainsFunc(all, func(a netlink.Addr) bool { return a.Flags&unix.IFA_F_TENTATIVE != 0 })
	})
}

func TestIPv6MulticastOnTheWire(t *testing.T) {
	lan, a, b := twoHosts(t)
	wire := watch(t, lan.Host, "br0")
	sender, receiver := dial(t, a.Host, network(t, a.Host), v6()), dial(t, b.Host, network(t, b.Host), v6())
	if sender.Source() != linkLocalA {
		t.Errorf("sends from %v", sender.Source())
	}
	if err := sender.Write(unhex(t, advert6), groupIPv6); err != nil {
		t.Fatal(err)
	}
	// Traffic class c0, next header 112, hop limit 255, from and to.
	const want = "333300000012 026866000101 86dd  6c 0 ..... 0018 70 ff fe80000000000000006866fffe000101 " +
		"ff020000000000000000000000000012" + advert6
	if f := wire.next("advert", isVRRP6); !looks(f.b, want) {
		t.Errorf("got %x", f.b)
	}
	payload, h := read(t, receiver)
	if !looks(payload, advert6) || h != (Header{Src: linkLocalA, Dst: groupIPv6, TTL: 255}) {
		t.Errorf("got %x, %+v", payload, h)
	}
	// Neither does it come back, nor is there more.
	for _, c := range []Conn{sender, receiver} {
		if _, _, err := c.Read(make([]byte, 100)); !errors.Is(err, ErrNothing) {
			t.Errorf("got error %v", err)
		}
	}
}

func TestIPv6UnicastOnTheWire(t *testing.T) {
	for _, tt := range []struct{ name, a, b, wire string }{
		{"global", "2001:db8::10", "2001:db8::11", "20010db8000000000000000000000010 20010db8000000000000000000000011"},
		{
			"link-local", linkLocalA.String(), linkLocalB.String(),
			"fe80000000000000006866fffe000101 fe80000000000000006866fffe000102",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, a, b := twoHosts(t)
			a.Host.Address("eth0", prefix("2001:db8::10/64"))
			b.Host.Address("eth0", prefix("2001:db8::11/64"))
			settle(t, a.Host)
			settle(t, b.Host)
			wire := watch(t, b.Host, "eth0")
			c := v6()
			c.Unicast = Unicast{Source: addr(tt.a), Peers: addrs(tt.b), TTL: 61, MinTTL: 60}
			sender := dial(t, a.Host, network(t, a.Host), c)
			c.Unicast.Source, c.Unicast.Peers = addr(tt.b), addrs(tt.a)
			receiver := dial(t, b.Host, network(t, b.Host), c)
			if err := sender.Write(unhex(t, advert6), addr(tt.b)); err != nil {
				t.Fatal(err)
			}
			want := "026866000102 026866000101 86dd  6c 0 ..... 0018 70 3d " + tt.wire + advert6
			if f := wire.next("advert", isVRRP6); !looks(f.b, want) {
				t.Errorf("got %x, want %s", f.b, want)
			}
			payload, h := read(t, receiver)
			if !looks(payload, advert6) || h != (Header{Src: addr(tt.a), Dst: addr(tt.b), TTL: 61}) {
				t.Errorf("got %x, %+v", payload, h)
			}
		})
	}
}

// The kernel keeps adverts of other virtual routers; the hop limit of ours is what it was on the wire.
func TestIPv6AdvertsAreFilteredByID(t *testing.T) {
	_, a, b := twoHosts(t)
	receiver := dial(t, a.Host, network(t, a.Host), v6())
	other := unhex(t, advert6)
	other[1] = 52
	throw(t, b.Host, appendFrame(nil, b.MAC, linkLocalB, groupIPv6, other))
	routed := appendFrame(nil, b.MAC, linkLocalB, groupIPv6, unhex(t, advert6))
	routed[14+7] = 254
	throw(t, b.Host, routed)
	if payload, h := read(t, receiver); !looks(payload, advert6) || h != (Header{Src: linkLocalB, Dst: groupIPv6, TTL: 254}) {
		t.Errorf("got %x, %+v", payload, h)
	}
}

func TestAncillaryDataMayBeMissing(t *testing.T) {
	pktinfo := unix.PktInfo6(&unix.Inet6Pktinfo{Addr: groupIPv6.As16(), Ifindex: 2})
	for _, tt := range []struct {
		name string
		b    []byte
		dst  netip.Addr
	}{
		{"none", nil, netip.Addr{}}, {"cut", pktinfo[:unix.SizeofCmsghdr+3], netip.Addr{}}, {"no hop limit", pktinfo, groupIPv6},
	} {
		if dst, hops := ancillary(tt.b); dst != tt.dst || hops != 0 {
			t.Errorf("%s: got %v, %d", tt.name, dst, hops)
		}
	}
}

func TestIPv6SourceOfAdverts(t *testing.T) {
	lab := netlab.Test(t)
	h := lab.Host("a")
	lan := lab.LAN("lan")
	h.Join(lan, "eth0", prefix("2001:db8::10/64"), prefix("fe80::100/64"), prefix("fe80::10/64"))
	n := network(t, h)
	settle(t, h)
	h.Sysctl("net.ipv6.conf.eth0.accept_dad", "1")
	h.Sysctl("net.ipv6.conf.eth0.dad_transmits", "200") // it stays tentative for that many seconds
	link := func(a string, there bool) {
		t.Helper()
		l, err := h.Netlink().LinkByName("eth0")
		if err != nil {
			t.Fatal(err)
		}
		address := &netlink.Addr{IPNet: &net.IPNet{IP: addr(a).AsSlice(), Mask: net.CIDRMask(64, 128)}}
		change := h.Netlink().AddrDel
		if there {
			change = h.Netlink().AddrAdd
		}
		if err := change(l, address); err != nil {
			t.Fatal(err)
		}
	}
	link("fe80::dad", true)
	source := func(change func(*Config)) string {
		t.Helper()
		c := v6()
		change(&c)
		var got string
		err := h.Do(func() error {
			conn, err := n.Dial(c)
			if err != nil {
				return err
			}
			got = conn.Source().String()
			return conn.Close()
		})
		if err != nil {
			return err.Error()
		}
		return got
	}
	const tentative = "the address fe80::dad of interface eth0 is tentative: duplicate address detection is not over"
	natural := source(func(*Config) {})
	if !slices.Contains([]string{"fe80::10", "fe80::68:66ff:fe00:101"}, natural) {
		t.Errorf("sends from %s", natural)
	}
	for _, tt := range []struct{ name, want, source string }{
		{"as configured", "fe80::10", "fe80::10"},
		{"not there", "interface eth0 does not have the source address fe80::11", "fe80::11"},
		{"tentative", tentative, "fe80::dad"},
	} {
		if got := source(func(c *Config) { c.Source = addr(tt.source) }); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
		}
	}
	unicast := func(c *Config) {
		c.Unicast = Unicast{Source: addr("2001:db8::10"), Peers: addrs("2001:db8::11"), TTL: 255}
	}
	if got := source(unicast); got != "2001:db8::10" {
		t.Errorf("unicast: got %s", got)
	}
	link("fe80::10", false)
	link("fe80::68:66ff:fe00:101", false)
	if got := source(func(*Config) {}); got != tentative {
		t.Errorf("got %s", got)
	}
	link("fe80::dad", false)
	const none = "interface eth0 has no IPv6 link-local address of its own to send adverts from"
	if got := source(func(*Config) {}); got != none {
		t.Errorf("got %s", got)
	}
}

// Adverts of a router with a virtual MAC address come from there, whatever there is on the interface.
func TestVirtualMACOnTheWire(t *testing.T) {
	lan, a, b := twoHosts(t)
	wire := watch(t, lan.Host, "br0")
	na, nb := network(t, a.Host), network(t, b.Host)
	for _, tt := range []struct {
		name   string
		config Config
		to     netip.Addr
		advert string
		is     func([]byte) bool
		frame  string
		header Header
	}{
		{
			"IPv4", config(), groupIPv4, advert100, isVRRP,
			"01005e000012 00005e000133 0800  45 c0 0020 0000 0000 ff 70 1891 c000020a e0000012" + advert100,
			Header{Src: own, Dst: groupIPv4, TTL: 255},
		},
		{
			"IPv6", v6(), groupIPv6, advert6, isVRRP6,
			"333300000012 00005e000233 86dd  6c000000 0018 70 ff fe80000000000000006866fffe000101 ff020000000000000000000000000012" + advert6,
			Header{Src: linkLocalA, Dst: groupIPv6, TTL: 255},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.config.VMAC = true
			sender, receiver := dial(t, a.Host, na, tt.config), dial(t, b.Host, nb, tt.config)
			if err := sender.Write(unhex(t, tt.advert), tt.to); err != nil {
				t.Fatal(err)
			}
			if f := wire.next("advert", tt.is); !looks(f.b, tt.frame) {
				t.Errorf("got %x", f.b)
			}
			if payload, h := read(t, receiver); !looks(payload, tt.advert) || h != tt.header {
				t.Errorf("got %x, %+v", payload, h)
			}
			if _, _, err := sender.Read(make([]byte, 100)); !errors.Is(err, ErrNothing) {
				t.Errorf("it comes back: %v", err)
			}
		})
	}
}

// Unicast does not use the virtual MAC address: a switch would learn it from both. What is too long for a frame is sent
// in fragments.
func TestVirtualMACIsNotForAll(t *testing.T) {
	_, a, b := twoHosts(t)
	na, nb := network(t, a.Host), network(t, b.Host)
	wire := watch(t, b.Host, "eth0")
	c := config()
	c.VMAC, c.Unicast = true, Unicast{Source: own, Peers: addrs("192.0.2.11"), TTL: 255, MinTTL: 255}
	if err := dial(t, a.Host, na, c).Write(unhex(t, advert100), addr("192.0.2.11")); err != nil {
		t.Fatal(err)
	}
	if f := wire.next("advert", isVRRP); !looks(f.b[:12], "026866000102 026866000101") {
		t.Errorf("got %x", f.b)
	}

	c = v6()
	c.VMAC = true
	for n := range byte(253) {
		a := addr("2001:db8::1").As16()
		a[14] = n
		c.Addresses = append(c.Addresses, Address{Prefix: netip.PrefixFrom(netip.AddrFrom16(a), 64), Device: "eth0"})
	}
	sender, receiver := dial(t, a.Host, na, c), dial(t, b.Host, nb, c)
	advert := c.advert(100, nil)
	if err := sender.Write(advert.Append(nil, sender.Source(), groupIPv6), groupIPv6); err != nil {
		t.Fatal(err)
	}
	var got Advert
	payload, h := read(t, receiver)
	if reason := got.parse(payload, h); reason != "" || len(got.Addresses) != 255 {
		t.Errorf("got %s, %d addresses", string(reason), len(got.Addresses))
	}
}
