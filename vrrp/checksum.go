// SPDX-License-Identifier: Apache-2.0

package vrrp

import "net/netip"

// Checksum is the reading of RFC 5798 and RFC 9568 section 5.2.8 that a sender of version 3 follows over IPv4. Over IPv6
// there is only Pseudo, in version 2 only Plain.
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

// verify tells which reading of the checksum holds. Old keepalived computed a unicast advert's pseudo-header with the
// multicast group, so that is tried too.
func verify(b []byte, h Header) (Checksum, bool) {
	const valid = 0xffff
	plain := plainSum(b)
	if b[0]>>4 == 2 { // RFC 3768 section 5.3.8
		return Plain, fold(plain) == valid
	}
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
	return addrSum(src) + addrSum(dst) + protocol + uint32(length)
}

// addrSum is plainSum of an address, without a copy of it on the heap.
func addrSum(a netip.Addr) uint32 {
	if a.Is4() {
		b := a.As4()
		return plainSum(b[:])
	}
	b := a.As16()
	return plainSum(b[:])
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
