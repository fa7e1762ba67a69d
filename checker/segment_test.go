// SPDX-License-Identifier: Apache-2.0

package checker

import (
	"encoding/hex"
	"net/netip"
	"testing"
)

func TestSegment(t *testing.T) {
	for _, tc := range []struct{ from, to string }{
		{"10.9.0.11:40000", "10.9.0.100:80"},
		{"[fd09::11]:40000", "[fd09::100]:80"},
	} {
		from, to := netip.MustParseAddrPort(tc.from), netip.MustParseAddrPort(tc.to)
		for _, flags := range []byte{flagSYN, flagRST} {
			b := appendSegment(nil, from, to, 0x68010203, flags)
			s, ok := parseSegment(b)
			if !ok || s.from != from || s.to != to || s.flags != flags {
				t.Errorf("%s, flags %#x: got %+v %v", hex.EncodeToString(b), flags, s, ok)
			}
			for n := range b {
				if s, ok := parseSegment(b[:n]); ok && n < len(b)-4 {
					t.Errorf("%d bytes: got %+v", n, s)
				}
			}
		}
	}
}

func FuzzSegment(f *testing.F) {
	for _, ends := range [][2]string{{"10.9.0.11:40000", "10.9.0.100:80"}, {"[fd09::11]:40000", "[fd09::100]:80"}} {
		f.Add(appendSegment(nil, netip.MustParseAddrPort(ends[0]), netip.MustParseAddrPort(ends[1]), 1, flagSYN))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, ok := parseSegment(b); ok && (!s.from.IsValid() || s.from.Addr().Is4() != s.to.Addr().Is4()) {
			t.Errorf("got %+v", s)
		}
		parseReply(b)
	})
}
