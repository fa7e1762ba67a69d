// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"crypto/subtle"
	"encoding/binary"
	"net/netip"
	"time"
)

// The wire constants of RFC 9568 section 5 and RFC 3768 section 5.
const (
	protocol   = 112 // IP protocol number, 5.1.1.4
	typeAdvert = 1
	ttl        = 255 // 5.1.1.3: what comes with less has crossed a router
	headerLen  = 8
	tick       = 10 * time.Millisecond // unit of Max Advertise Interval, 5.2.7
	maxTicks   = 1<<12 - 1

	authLen     = 8  // Authentication Data of version 2, RFC 3768 section 5.3.10
	trailerLen  = 28 // what keepalived 2.4 appends to an advert that it signs (draft-cassen-vrrp-auth-hmac) …
	trailerType = 1  // … and its first byte

	// maxPacket is one byte more than the longest packet that is looked into, so that one which was cut to it is too long.
	maxPacket = headerLen + 255*16 + trailerLen + 1
)

// The multicast groups of RFC 9568 sections 5.1.1.2 and 5.1.2.2.
var (
	groupIPv4 = netip.AddrFrom4([4]byte{224, 0, 0, 18})
	groupIPv6 = netip.MustParseAddr("ff02::12")
)

// Header is what the IP layer knows of a packet.
type Header struct {
	Src, Dst netip.Addr
	TTL      uint8 // or hop limit
}

// Auth is the authentication of version 2. The zero value is none. RFC 3768 section 5.3.6 has only that left; simple
// text is RFC 2338 section 5.3.6, guards against accidents and not against attacks, and is there for old neighbours.
type Auth struct {
	Type uint8         // as on the wire
	Data [authLen]byte // zero for type 0
}

// The values of Auth.Type. Others are decoded, too, and fit nobody.
const (
	authNone   = 0
	authSimple = 1
	authAH     = 2
)

// Password is the simple text authentication with a password, of which 8 bytes count; none for an empty one.
func Password(s Secret) Auth {
	if s == "" {
		return Auth{}
	}
	a := Auth{Type: authSimple}
	copy(a.Data[:], s)
	return a
}

// Equal compares in a time that says nothing about the password.
func (a Auth) Equal(o Auth) bool {
	return a.Type == o.Type && subtle.ConstantTimeCompare(a.Data[:], o.Data[:]) == 1
}

// String names the type. The password stays secret.
func (a Auth) String() string {
	switch a.Type {
	case authNone:
		return "no authentication"
	case authSimple:
		return "a password"
	case authAH:
		return "an IP authentication header"
	}
	return "an unknown authentication"
}

// Advert is an advertisement of VRRP version 3 (RFC 9568 section 5.2) or 2 (RFC 3768 section 5.3).
type Advert struct {
	Version   uint8 // 3, or 2 over IPv4 only
	ID        uint8
	Priority  uint8         // 0: the sender has stopped being master
	Interval  time.Duration // version 3: a multiple of 10 ms up to 40.95 s; version 2: whole seconds, 1 to 255
	Addresses []netip.Addr
	Checksum  Checksum // Plain in version 2
	Auth      Auth     // version 2
}

// Parse decodes the payload of an IP packet and checks all of RFC 9568 section 7.1 and RFC 3768 section 7.1 that needs
// no configuration. Its errors are of type Refusal. The result does not refer to b.
func Parse(b []byte, h Header) (Advert, error) {
	var a Advert
	if reason := a.parse(b, h); reason != "" {
		return Advert{}, reason
	}
	return a, nil
}

// parse is Parse into memory that is there already: the addresses take the place of those that a has. A refused packet
// leaves a as it was. That the first IPv6 address is link-local (RFC 9568 section 5.2.9) binds the sender: section 7.1
// does not list it among what is discarded, and refusing would make two masters out of a peer's flaw.
func (a *Advert) parse(b []byte, h Header) Refusal {
	if len(b) < headerLen {
		return RefusedLength
	}
	version, size, rest := b[0]>>4, 4, 0
	if !h.Src.Is4() {
		size = 16
	}
	if version == 2 {
		rest = authLen
	}
	count := int(b[3])
	length := headerLen + count*size + rest
	switch {
	case version != 3 && (version != 2 || size != 4):
		return RefusedVersion
	case b[0]&0xf != typeAdvert:
		return RefusedType
	case count == 0: // RFC 9568 section 5.2.5
		return RefusedCount
	case len(b) == length+trailerLen && b[length] == trailerType:
		return RefusedHMAC
	case len(b) != length:
		return RefusedLength
	}
	interval := wireInterval(version, b)
	if interval == 0 {
		return RefusedInterval
	}
	form, ok := verify(b, h)
	if !ok {
		return RefusedChecksum
	}
	addresses := a.Addresses[:0]
	for p := b[headerLen : headerLen+count*size]; len(p) > 0; p = p[size:] {
		addr, _ := netip.AddrFromSlice(p[:size])
		addresses = append(addresses, addr)
	}
	*a = Advert{
		Version: version, ID: b[1], Priority: b[2], Interval: interval, Addresses: addresses, Checksum: form,
		Auth: wireAuth(version, b),
	}
	return ""
}

// wireInterval leaves aside the four reserved bits of version 3 (RFC 9568 section 5.2.6).
func wireInterval(version uint8, b []byte) time.Duration {
	if version == 2 {
		return time.Duration(b[5]) * time.Second
	}
	return time.Duration(binary.BigEndian.Uint16(b[4:])&maxTicks) * tick
}

// wireAuth leaves aside the data of type 0, RFC 3768 section 5.3.10.
func wireAuth(version uint8, b []byte) Auth {
	if version != 2 || b[4] == authNone {
		return Auth{}
	}
	return Auth{Type: b[4], Data: [authLen]byte(b[len(b)-authLen:])}
}

// Append adds the wire form of a, as sent from src to dst, to b. The version must be 2 or 3, the addresses of the family
// of src, at most 255, and the interval in its range; configuration sees to that.
func (a Advert) Append(b []byte, src, dst netip.Addr) []byte {
	start := len(b)
	b = append(b, a.Version<<4|typeAdvert, a.ID, a.Priority, uint8(len(a.Addresses)))
	if a.Version == 2 {
		b = append(b, a.Auth.Type, uint8(a.Interval/time.Second))
	} else {
		b = binary.BigEndian.AppendUint16(b, uint16(a.Interval/tick)&maxTicks)
	}
	b = append(b, 0, 0)
	for _, addr := range a.Addresses {
		b = appendAddr(b, addr)
	}
	if a.Version == 2 {
		b = append(b, a.Auth.Data[:]...)
	}
	message := b[start:]
	sum := plainSum(message)
	if a.Version != 2 && (a.Checksum == Pseudo || src.Is6()) {
		sum += pseudoSum(src, dst, len(message))
	}
	binary.BigEndian.PutUint16(message[6:], ^fold(sum))
	return b
}

func appendAddr(b []byte, a netip.Addr) []byte {
	if a.Is4() {
		v4 := a.As4()
		return append(b, v4[:]...)
	}
	v6 := a.As16()
	return append(b, v6[:]...)
}

// advert is what a router of this configuration sends. Its addresses take the memory of list.
func (c *Config) advert(priority uint8, list []netip.Addr) Advert {
	list = list[:0]
	for _, a := range c.Addresses {
		list = append(list, a.Prefix.Addr())
	}
	a := Advert{
		Version: c.Version, ID: c.ID, Priority: priority, Interval: c.Interval, Addresses: list, Checksum: c.Checksum,
	}
	if c.Version == 2 {
		a.Auth = Password(c.Password)
	}
	return a
}

// group is where adverts without unicast peers go.
func (c *Config) group() netip.Addr {
	if c.Family6() {
		return groupIPv6
	}
	return groupIPv4
}

// leastTTL is what adverts of others must come with: RFC 9568 section 7.1, or as configured for unicast.
func (c *Config) leastTTL() uint8 {
	if c.Unicast.Enabled() {
		return c.Unicast.MinTTL
	}
	return ttl
}
