// SPDX-License-Identifier: Apache-2.0

package checker

import (
	"encoding/binary"
	"net/netip"
)

// The TCP flags of RFC 9293 section 3.1 that an opening of a connection meets.
const (
	flagSYN = 0x02
	flagRST = 0x04
	flagACK = 0x10
)

const (
	protocolTCP = 6
	// Of a segment that goes to the server alone: one that has not the address and forwards sends it on to who has, who
	// sends it to some server, which answers. A container on the server is one hop further, and two are enough for it.
	hops = 2
)

// appendSegment appends an IP packet with a TCP segment without data; one with SYN names the maximum segment size of
// Ethernet. Both addresses are of one family.
func appendSegment(b []byte, from, to netip.AddrPort, seq uint32, flags byte) []byte {
	start, size := len(b), 20
	if flags&flagSYN != 0 {
		size = 24
	}
	if from.Addr().Is4() { // RFC 791 section 3.1
		b = append(b, 0x45, 0, 0, byte(20+size), 0, 0, 0x40, 0, hops, protocolTCP, 0, 0)
	} else { // RFC 8200 section 3
		b = append(b, 0x60, 0, 0, 0, 0, byte(size), protocolTCP, hops)
	}
	b = append(b, from.Addr().AsSlice()...)
	b = append(b, to.Addr().AsSlice()...)
	tcp := len(b)
	if from.Addr().Is4() {
		binary.BigEndian.PutUint16(b[start+10:], ^sum(0, b[start:tcp]))
	}
	b = binary.BigEndian.AppendUint16(b, from.Port())
	b = binary.BigEndian.AppendUint16(b, to.Port())
	b = binary.BigEndian.AppendUint32(b, seq)
	b = append(b, 0, 0, 0, 0, byte(size/4)<<4, flags, 0xff, 0xff, 0, 0, 0, 0)
	if flags&flagSYN != 0 {
		b = append(b, 2, 4, 1460>>8, 1460&0xff)
	}
	pseudo := sum(protocolTCP+uint32(size), from.Addr().AsSlice())
	pseudo = sum(uint32(pseudo), to.Addr().AsSlice())
	binary.BigEndian.PutUint16(b[tcp+16:], ^sum(uint32(pseudo), b[tcp:]))
	return b
}

// sum adds up 16-bit words in ones' complement (RFC 1071); b has an even length.
func sum(total uint32, b []byte) uint16 {
	for ; len(b) > 1; b = b[2:] {
		total += uint32(b[0])<<8 | uint32(b[1])
	}
	for total > 0xffff {
		total = total>>16 + total&0xffff
	}
	return uint16(total)
}

// segment is one that a server has sent.
type segment struct {
	from, to netip.AddrPort
	ack      uint32
	flags    byte
}

// parseSegment reads an IP packet with a TCP segment; ok is false for what is neither. Checksums are left to the link: a
// packet from this host has none yet.
func parseSegment(b []byte) (s segment, ok bool) {
	var from, to netip.Addr
	switch {
	case len(b) >= 20 && b[0]>>4 == 4:
		size := int(b[0]&0xf) * 4
		fragment := binary.BigEndian.Uint16(b[6:]) & 0x1fff
		if size < 20 || len(b) < size || b[9] != protocolTCP || fragment != 0 {
			return segment{}, false
		}
		from, to = netip.AddrFrom4([4]byte(b[12:])), netip.AddrFrom4([4]byte(b[16:]))
		b = b[size:]
	case len(b) >= 40 && b[0]>>4 == 6 && b[6] == protocolTCP:
		from, to = netip.AddrFrom16([16]byte(b[8:])), netip.AddrFrom16([16]byte(b[24:]))
		b = b[40:]
	}
	if len(b) < 20 || !from.IsValid() {
		return segment{}, false
	}
	return segment{
		from:  netip.AddrPortFrom(from, binary.BigEndian.Uint16(b)),
		to:    netip.AddrPortFrom(to, binary.BigEndian.Uint16(b[2:])),
		ack:   binary.BigEndian.Uint32(b[8:]),
		flags: b[13],
	}, true
}
