// SPDX-License-Identifier: Apache-2.0

package checker

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"
)

func TestTunnelWraps(t *testing.T) {
	v4, v6 := appendSegment(nil, service4, target4, 1, flagSYN), appendSegment(nil, service6, target6, 1, flagSYN)
	for _, tt := range []struct {
		tunnel   Tunnel
		packet   []byte
		server6  bool
		protocol int
		header   string
	}{
		{Tunnel{Kind: TunnelIPIP}, v4, false, 4, ""},
		{Tunnel{Kind: TunnelIPIP}, v6, true, 41, ""},
		{Tunnel{Kind: TunnelGUE, Port: 6080, Checksum: true}, v4, false, 0, "00040000"},
		{Tunnel{Kind: TunnelGUE, Port: 6080}, v6, true, 0, "00290000"},
		{Tunnel{Kind: TunnelGRE}, v4, false, 47, "00000800"},
		{Tunnel{Kind: TunnelGRE}, v6, true, 47, "000086dd"},
		{Tunnel{Kind: TunnelGRE, Checksum: true}, v4, false, 47, "80000800"},
	} {
		b := tt.tunnel.wrap(tt.packet)
		if got := hex.EncodeToString(b); !strings.HasPrefix(got, tt.header) || !bytes.HasSuffix(b, tt.packet) || tt.tunnel.protocol(tt.server6) != tt.protocol {
			t.Errorf("%v: protocol %d, %s", tt.tunnel, tt.tunnel.protocol(tt.server6), got)
		}
		more := len(b) - len(tt.packet) - len(tt.header)/2
		if tt.tunnel.Kind == TunnelGRE && tt.tunnel.Checksum {
			if more != 4 || sum(0, b) != 0xffff { // RFC 2784 section 2.3: of all, with its own
				t.Errorf("%v: %d bytes more, sum %#x", tt.tunnel, more, sum(0, b))
			}
		} else if more != 0 {
			t.Errorf("%v: %d bytes more", tt.tunnel, more)
		}
	}
}
