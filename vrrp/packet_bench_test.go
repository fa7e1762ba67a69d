// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"net/netip"
	"testing"
	"time"
)

// BenchmarkPacket has an advert of 20 addresses, the most that a packet of version 3 had before RFC 9568.
func BenchmarkPacket(b *testing.B) {
	src, dst := addr("192.0.2.1"), addr("224.0.0.18")
	a := Advert{Version: 3, ID: 51, Priority: 100, Interval: time.Second, Checksum: Pseudo}
	for n := range byte(20) {
		a.Addresses = append(a.Addresses, netip.AddrFrom4([4]byte{192, 0, 2, 100 + n}))
	}
	wire := a.Append(nil, src, dst)
	b.Run("parse", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := Parse(wire, Header{Src: src, Dst: dst, TTL: 255}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("append", func(b *testing.B) {
		b.ReportAllocs()
		buffer := make([]byte, 0, len(wire))
		for b.Loop() {
			_ = a.Append(buffer, src, dst)
		}
	})
}
