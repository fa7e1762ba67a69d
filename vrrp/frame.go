// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"encoding/binary"
	"net"
	"net/netip"
)

const (
	// tos is what adverts are sent with, as by every other implementation: internetwork control.
	tos = 0xc0

	etherIPv4 = 0x0800
	etherIPv6 = 0x86dd
)

// appendFrame adds the Ethernet frame of an advert to b: from a virtual MAC address to a multicast group. RFC 9568
// section 7.2 asks for that source, and no socket of the IP layer can give it. The identification of the IPv4 header is 0,
// as keepalived's: it does not count in a datagram that is whole (RFC 6864 section 4.1).
func appendFrame(b []byte, mac net.HardwareAddr, src, group netip.Addr, payload []byte) []byte {
	b = append(appendGroupMAC(b, group), mac...)
	if group.Is6() {
		b = binary.BigEndian.AppendUint16(b, etherIPv6)
		b = append(b, 6<<4|tos>>4, tos&0xf<<4, 0, 0)
		b = binary.BigEndian.AppendUint16(b, uint16(len(payload)))
		b = append(b, protocol, ttl)
		return append(appendAddr(appendAddr(b, src), group), payload...)
	}
	b = binary.BigEndian.AppendUint16(b, etherIPv4)
	start := len(b)
	b = append(b, 0x45, tos)
	b = binary.BigEndian.AppendUint16(b, uint16(20+len(payload)))
	b = append(b, 0, 0, 0, 0, ttl, protocol, 0, 0)
	b = appendAddr(appendAddr(b, src), group)
	binary.BigEndian.PutUint16(b[start+10:], ^fold(plainSum(b[start:])))
	return append(b, payload...)
}

// appendGroupMAC adds the address of RFC 1112 section 6.4 or RFC 2464 section 7.
func appendGroupMAC(b []byte, group netip.Addr) []byte {
	if group.Is4() {
		a := group.As4()
		return append(b, 0x01, 0x00, 0x5e, a[1]&0x7f, a[2], a[3])
	}
	a := group.As16()
	return append(b, 0x33, 0x33, a[12], a[13], a[14], a[15])
}
