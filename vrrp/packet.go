// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"encoding/binary"
	"net/netip"
	"time"
)

// The wire constants of RFC 9568 section 5.
const (
	protocol   = 112 // IP protocol number, 5.1.1.4
	version    = 3
	typeAdvert = 1
	ttl        = 255 // 5.1.1.3: what comes with less has crossed a router
	headerLen  = 8
	tick       = 10 * time.Millisecond // unit of Max Advertise Interval, 5.2.7
	maxTicks   = 1<<12 - 1
)

// The multicast groups of RFC 9568 sections 5.1.1.2 and 5.1.2.2.
var (
	groupIPv4 = netip.AddrFrom4([4]byte{224, 0, 0, 18})
	groupIPv6 = netip.MustParseAddr("ff02::12")
)

// Refusal is the reason why a packet was refused. It is an error, and the value of the metric label "reason".
type Refusal string

// The reasons. A refused packet has no effect but a counter.
const (
	RefusedTTL         Refusal = "ttl"         // came from further away than allowed
	RefusedDestination Refusal = "destination" // multicast to a unicast router, or the reverse
	RefusedPeer        Refusal = "peer"        // sender is not one of the unicast peers
	RefusedOwn         Refusal = "own"         // sender's address is our own: a loop, or a duplicate address
	RefusedLength      Refusal = "length"
	RefusedVersion     Refusal = "version"
	RefusedType        Refusal = "type"
	RefusedID          Refusal = "id"
	RefusedCount       Refusal = "count"
	RefusedInterval    Refusal = "interval"
	RefusedChecksum    Refusal = "checksum"
)

// Refusals lists every reason, so that a counter of each exists from the start.
var Refusals = []Refusal{
	RefusedTTL, RefusedDestination, RefusedPeer, RefusedOwn, RefusedLength, RefusedVersion, RefusedType, RefusedID,
	RefusedCount, RefusedInterval, RefusedChecksum,
}

func (r Refusal) Error() string { return "advert refused: " + string(r) }

// Header is what the IP layer knows of a packet.
type Header struct {
	Src, Dst netip.Addr
	TTL      uint8
}

// Checksum is the reading of RFC 5798 and RFC 9568 section 5.2.8 that a sender follows over IPv4. Over IPv6 there is
// only Pseudo.
type Checksum uint8

// The readings. The zero value sends Pseudo.
const (
	Pseudo Checksum = iota // with a pseudo-header: keepalived, FRR
	Plain                  // the VRRP message alone, as RFC 9568 says: Cisco, Juniper
)

func (c Checksum) String() string {
	if c == Plain {
		return "plain"
	}
	return "pseudo"
}

// Advert is a VRRPv3 advertisement (RFC 9568 section 5.2).
type Advert struct {
	ID        uint8
	Priority  uint8         // 0: the sender has stopped being master
	Interval  time.Duration // a multiple of 10 ms up to 40.95 s
	Addresses []netip.Addr
	Checksum  Checksum
}

// Parse decodes the payload of an IP packet and checks all of RFC 9568 section 7.1 that needs no configuration. Its
// errors are of type Refusal. The result does not refer to b.
func Parse(b []byte, h Header) (Advert, error) {
	if len(b) < headerLen {
		return Advert{}, RefusedLength
	}
	if b[0]>>4 != version {
		return Advert{}, RefusedVersion
	}
	if b[0]&0xf != typeAdvert {
		return Advert{}, RefusedType
	}
	size, count := 4, int(b[3])
	if !h.Src.Is4() {
		size = 16
	}
	if count == 0 { // 5.2.5
		return Advert{}, RefusedCount
	}
	if len(b) != headerLen+count*size {
		return Advert{}, RefusedLength
	}
	ticks := binary.BigEndian.Uint16(b[4:]) & maxTicks // the four bits above are reserved, 5.2.6
	if ticks == 0 {
		return Advert{}, RefusedInterval
	}
	form, ok := verify(b, h)
	if !ok {
		return Advert{}, RefusedChecksum
	}
	addresses := make([]netip.Addr, count)
	for i := range addresses {
		addresses[i], _ = netip.AddrFromSlice(b[headerLen+i*size:][:size])
	}
	return Advert{
		ID: b[1], Priority: b[2], Interval: time.Duration(ticks) * tick, Addresses: addresses, Checksum: form,
	}, nil
}

// Append adds the wire form of a, as sent from src to dst, to b. The addresses must be of the family of src, at most
// 255, and the interval in its range; configuration sees to that.
func (a Advert) Append(b []byte, src, dst netip.Addr) []byte {
	start := len(b)
	b = append(b, version<<4|typeAdvert, a.ID, a.Priority, uint8(len(a.Addresses)))
	b = binary.BigEndian.AppendUint16(b, uint16(a.Interval/tick)&maxTicks)
	b = append(b, 0, 0)
	for _, addr := range a.Addresses {
		b = append(b, addr.AsSlice()...)
	}
	message := b[start:]
	sum := plainSum(message)
	if a.Checksum == Pseudo || src.Is6() {
		sum += pseudoSum(src, dst, len(message))
	}
	binary.BigEndian.PutUint16(message[6:], ^fold(sum))
	return b
}

// verify tells which reading of the checksum holds. Old keepalived computed a unicast advert's pseudo-header with the
// multicast group, so that is tried too.
func verify(b []byte, h Header) (Checksum, bool) {
	const valid = 0xffff
	plain := plainSum(b)
	if fold(plain+pseudoSum(h.Src, h.Dst, len(b))) == valid {
		return Pseudo, true
	}
	if h.Src.Is6() {
		return 0, false
	}
	if fold(plain) == valid {
		return Plain, true
	}
	return Pseudo, fold(plain+pseudoSum(h.Src, groupIPv4, len(b))) == valid
}

// pseudoSum sums the pseudo-header of RFC 9293 section 3.1 (IPv4) or RFC 8200 section 8.1.
func pseudoSum(src, dst netip.Addr, length int) uint32 {
	return plainSum(src.AsSlice()) + plainSum(dst.AsSlice()) + protocol + uint32(length)
}

// plainSum adds up b in 16-bit words; a message of at most 4 KiB cannot overflow it.
func plainSum(b []byte) uint32 {
	var sum uint32
	for ; len(b) > 1; b = b[2:] {
		sum += uint32(b[0])<<8 | uint32(b[1])
	}
	if len(b) == 1 {
		sum += uint32(b[0]) << 8
	}
	return sum
}

func fold(sum uint32) uint16 {
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return uint16(sum)
}
