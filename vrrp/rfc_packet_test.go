// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"testing"
	"time"
)

// The tests of this file are the clauses of RFC 9568 sections 5 and 7 and of RFC 3768 sections 5 and 7, one each, as far
// as packets and sockets go. What is found in a packet that is refused, and that nothing else comes of it, is in
// receive_test.go; what is on the wire is in conn_linux_test.go and conn6_linux_test.go, and named here.

// verdict is what an instance of a configuration makes of a packet.
func verdict(c Config, d datagram) Refusal {
	i := &Instance{cfg: c, conn: &stillConn{source: sourceOf(c)}}
	return i.accept(d.b, d.h)
}

// clause checks what becomes of a good packet, and of the same with one thing changed.
func clause(t *testing.T, c Config, change func(d *datagram), want Refusal) {
	t.Helper()
	src := higher
	if c.Family6() {
		src = higher6
	}
	d := from(c, src)
	if reason := verdict(c, d); reason != "" {
		t.Fatalf("the packet is refused as it was: %v", reason)
	}
	if change(&d); verdict(c, d) != want {
		t.Errorf("got %q, want %q", string(verdict(c, d)), string(want))
	}
}

// edit changes a byte of the message, and makes the checksum hold.
func edit(at int, value byte) func(*datagram) {
	return func(d *datagram) {
		*d = damaged(*d, func(b []byte) []byte { b[at] = value; return b })
	}
}

func v3() Config { return config() }

func v6() Config {
	c := config()
	overIPv6(&c)
	return c
}

func v2() Config {
	c := config()
	version2(&c)
	return c
}

// sent is the message of a router of the configuration.
func sent(c Config, priority uint8) []byte {
	return c.advert(priority, nil).Append(nil, sourceOf(c), c.group())
}

// 5.1.1.1, 5.1.2.1, that the source is the primary IPv4 or link-local IPv6 address of the interface, is in
// TestSourceOfAdverts and TestIPv6SourceOfAdverts.

// 5.1.1.2, 5.1.2.2: the destination is 224.0.0.18 or FF02::12.
func TestRFC51Destination(t *testing.T) {
	if c := v3(); c.group() != addr("224.0.0.18") {
		t.Errorf("got %v", c.group())
	}
	if c := v6(); c.group() != addr("ff02::12") {
		t.Errorf("got %v", c.group())
	}
	clause(t, v3(), func(d *datagram) { d.h.Dst = addr("224.0.0.5") }, RefusedDestination)
	clause(t, v6(), func(d *datagram) { d.h.Dst = addr("ff02::1") }, RefusedDestination)
}

// 5.1.1.3, 5.1.2.3, 7.1: the TTL or Hop Limit is 255 on transmission (TestMulticastOnTheWire, TestIPv6MulticastOnTheWire),
// and what comes with another one is discarded.
func TestRFC51TTL(t *testing.T) {
	for _, c := range []Config{v3(), v6(), v2()} {
		clause(t, c, func(d *datagram) { d.h.TTL = 254 }, RefusedTTL)
	}
}

// 5.2.1, 7.1: the version is 3.
func TestRFC521Version(t *testing.T) {
	if b := sent(v3(), 100); b[0]>>4 != 3 {
		t.Errorf("got %x", b)
	}
	clause(t, v3(), edit(0, 0x41), RefusedVersion)
	clause(t, v6(), edit(0, 0x41), RefusedVersion)
}

// 5.2.2: the type is 1; a packet with an unknown type must be discarded.
func TestRFC522Type(t *testing.T) {
	if b := sent(v3(), 100); b[0]&0xf != 1 {
		t.Errorf("got %x", b)
	}
	clause(t, v3(), edit(0, 0x30), RefusedType)
	clause(t, v3(), edit(0, 0x3f), RefusedType)
}

// 5.2.3, 7.1: the virtual router identifier is one that is configured on the receiving interface.
func TestRFC523ID(t *testing.T) {
	if b := sent(v3(), 100); b[1] != 51 {
		t.Errorf("got %x", b)
	}
	clause(t, v3(), edit(1, 50), RefusedID)
}

// 5.2.4: the priority is 255 of the owner, 1 to 254 of others, and 0 of who resigns.
func TestRFC524Priority(t *testing.T) {
	for _, priority := range []uint8{0, 1, 100, 254, 255} {
		if b := sent(v3(), priority); b[2] != priority {
			t.Errorf("got %x", b)
		}
		clause(t, v3(), func(d *datagram) { *d = from(v3(), higher, func(a *Advert) { a.Priority = priority }) }, "")
	}
}

// 5.2.5 with erratum 8299: the count is at least 1; with 0 the packet must be ignored.
func TestRFC525Count(t *testing.T) {
	if b := sent(v3(), 100); b[3] != 1 {
		t.Errorf("got %x", b)
	}
	clause(t, v3(), func(d *datagram) { *d = from(v3(), higher, func(a *Advert) { a.Addresses = nil }) }, RefusedCount)
}

// 5.2.6: the reserved bits are 0 on transmission and ignored on reception.
func TestRFC526Reserved(t *testing.T) {
	if b := sent(v3(), 100); b[4]>>4 != 0 {
		t.Errorf("got %x", b)
	}
	clause(t, v3(), edit(4, 0xf0), "")
}

// 5.2.7: the interval is in centiseconds; 7.1 with erratum 8301: 0 is discarded. Another interval than ours is not.
func TestRFC527Interval(t *testing.T) {
	if b := sent(v3(), 100); b[4] != 0 || b[5] != 100 {
		t.Errorf("got %x", b)
	}
	clause(t, v3(), edit(5, 0), RefusedInterval)
	clause(t, v3(), edit(5, 200), "")
}

// 5.2.8, 7.1: the checksum must hold: over the message alone for IPv4, with a pseudo-header for IPv6. The installed base
// has one for IPv4, too, so both are heard there.
func TestRFC528Checksum(t *testing.T) {
	spoil := func(d *datagram) { d.b[7]++ }
	clause(t, v3(), spoil, RefusedChecksum)
	clause(t, v6(), spoil, RefusedChecksum)
	clause(t, v3(), func(d *datagram) { *d = from(v3(), higher, func(a *Advert) { a.Checksum = Plain }) }, "")
	clause(t, v6(), edit(2, 255), RefusedChecksum) // which makes it one of the message alone
	c := v3()
	c.Checksum = Plain
	if b := sent(c, 100); fold(plainSum(b)) != 0xffff {
		t.Errorf("got %x", b)
	}
}

// 5.2.9: the addresses are as many as the count says, in the family of the packet.
func TestRFC529Addresses(t *testing.T) {
	clause(t, v3(), func(d *datagram) { *d = damaged(*d, func(b []byte) []byte { return append(b, 1, 2, 3, 4) }) }, RefusedLength)
	clause(t, v6(), func(d *datagram) { *d = damaged(*d, func(b []byte) []byte { return b[:12] }) }, RefusedLength)
}

// 5.2.9: over IPv6 the first address sent must be link-local. 7.1 does not have those discarded whose first is not, so
// they are heard; the configuration sees to ours.
func TestRFC529FirstAddress(t *testing.T) {
	if b := sent(v6(), 100); b[8] != 0xfe || b[9] != 0x80 {
		t.Errorf("got %x", b)
	}
	clause(t, v6(), func(d *datagram) {
		*d = from(v6(), higher6, func(a *Advert) { a.Addresses = addrs("2001:db8::100", "fe80::100") })
	}, "")
}

// 7.1: the packet must contain the complete VRRP message.
func TestRFC71Complete(t *testing.T) {
	for n := range sent(v3(), 100) {
		clause(t, v3(), func(d *datagram) { d.b = d.b[:n] }, RefusedLength)
	}
}

// 7.1 may have the addresses compared: another list is told of, not discarded (TestDifferencesAreToldOnce).
func TestRFC71AddressesMayDiffer(t *testing.T) {
	clause(t, v3(), edit(11, 101), "")
}

// 7.1 with erratum 8298: an owner hears others, too.
func TestRFC71OwnerHearsOthers(t *testing.T) {
	c := v3()
	c.Priority = 255
	clause(t, c, func(*datagram) {}, "")
}

// 7.2, 7.3: the source MAC address is the virtual one, 00-00-5E-00-01-{VRID} or 00-00-5E-00-02-{VRID} (on the wire:
// TestVirtualMACOnTheWire; without use_vmac it is the interface's).
func TestRFC72VirtualMAC(t *testing.T) {
	for _, tt := range []struct {
		c    Config
		want string
	}{
		{v3(), "01005e000012 00005e000133 0800"}, {v6(), "333300000012 00005e000233 86dd"},
	} {
		b := appendFrame(nil, VirtualMAC(tt.c.ID, tt.c.Family6()), sourceOf(tt.c), tt.c.group(), sent(tt.c, 100))
		if !looks(b[:14], tt.want) {
			t.Errorf("got %x", b)
		}
	}
}

// RFC 3768 5.3.1, 7.1: the version is 2.
func TestRFC3768Version(t *testing.T) {
	if b := sent(v2(), 100); b[0] != 0x21 {
		t.Errorf("got %x", b)
	}
	clause(t, v2(), edit(0, 0x31), RefusedVersion)
	clause(t, v2(), edit(0, 0x11), RefusedVersion)
}

// RFC 3768 5.3.2: an unknown type is discarded.
func TestRFC3768Type(t *testing.T) { clause(t, v2(), edit(0, 0x22), RefusedType) }

// RFC 3768 5.3.3, 7.1: the identifier is one that is configured.
func TestRFC3768ID(t *testing.T) { clause(t, v2(), edit(1, 50), RefusedID) }

// RFC 3768 5.3.6, 7.1: the authentication type is the one that is configured. Of the types of RFC 2338 the password is
// still spoken, and must be the same.
func TestRFC3768Authentication(t *testing.T) {
	if b := sent(v2(), 100); b[4] != 0 {
		t.Errorf("got %x", b)
	}
	for _, kind := range []byte{1, 2, 255} {
		clause(t, v2(), edit(4, kind), RefusedAuth)
	}
	c := v2()
	c.Password = "secret"
	if b := sent(c, 100); b[4] != 1 || string(b[12:]) != "secret\x00\x00" {
		t.Errorf("got %x", b)
	}
	clause(t, c, edit(4, 0), RefusedAuth)
	clause(t, c, edit(19, 'x'), RefusedAuth)
}

// RFC 3768 5.3.7, 7.1: the interval is in seconds, and one that is not ours has the packet discarded.
func TestRFC3768Interval(t *testing.T) {
	c := v2()
	c.Interval = 3 * time.Second
	if b := sent(c, 100); b[5] != 3 {
		t.Errorf("got %x", b)
	}
	clause(t, c, edit(5, 1), RefusedInterval)
	clause(t, c, edit(5, 0), RefusedInterval)
}

// RFC 3768 5.3.8, 7.1: the checksum is that of the whole message, with the authentication data and nothing else.
func TestRFC3768Checksum(t *testing.T) {
	clause(t, v2(), func(d *datagram) { d.b[7]++ }, RefusedChecksum)
	clause(t, v2(), func(d *datagram) { d.b[19]++ }, RefusedChecksum)
}

// RFC 3768 5.3.10: the authentication data of type 0 is 0 on transmission and ignored on reception.
func TestRFC3768AuthenticationData(t *testing.T) {
	if b := sent(v2(), 100); !looks(b[12:], "00000000 00000000") {
		t.Errorf("got %x", b)
	}
	clause(t, v2(), edit(19, 1), "")
}

// RFC 3768 7.1: the packet is complete, with its authentication data.
func TestRFC3768Complete(t *testing.T) {
	for n := range sent(v2(), 100) {
		clause(t, v2(), func(d *datagram) { d.b = d.b[:n] }, RefusedLength)
	}
}

// RFC 3768 7.1 has an owner of the addresses discard what it hears. RFC 9568 has dropped that (erratum 8298), and we do
// not do it in version 2 either: an owner must know of another master to win the neighbours back from it.
func TestRFC3768OwnerHearsOthers(t *testing.T) {
	c := v2()
	c.Priority = 255
	clause(t, c, func(*datagram) {}, "")
}

// RFC 3768 7.1 may have the addresses compared, and those of a router that does not own them discarded. They are told of
// instead: two masters are worse than a list that differs.
func TestRFC3768AddressesMayDiffer(t *testing.T) {
	clause(t, v2(), edit(11, 101), "")
}

// RFC 3768 7.3: the virtual MAC address is that of version 3 over IPv4.
func TestRFC3768VirtualMAC(t *testing.T) {
	c := v2()
	b := appendFrame(nil, VirtualMAC(c.ID, false), own, groupIPv4, sent(c, 100))
	if !looks(b[6:12], "00005e000133") {
		t.Errorf("got %x", b)
	}
}
