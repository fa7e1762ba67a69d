// SPDX-License-Identifier: Apache-2.0

package checker

import (
	"encoding/binary"
	"fmt"
	"net/netip"
)

// Tunnel is what a director wraps the packets to a server in. Its zero value is direct routing.
type Tunnel struct {
	Kind     TunnelKind
	Port     uint16 // TunnelGUE: where the server takes them
	Checksum bool   // TunnelGUE, TunnelGRE: over all of it
}

// TunnelKind is a sort of tunnel.
type TunnelKind uint8

// The sorts of tunnel that IPVS has.
const (
	_          TunnelKind = iota
	TunnelIPIP            // RFC 2003, RFC 2473
	TunnelGUE             // over UDP, draft-ietf-intarea-gue
	TunnelGRE             // RFC 2784
)

func (k TunnelKind) String() string {
	switch k {
	case TunnelIPIP:
		return "ipip"
	case TunnelGUE:
		return "gue"
	case TunnelGRE:
		return "gre"
	}
	return fmt.Sprintf("tunnel(%d)", uint8(k))
}

// The protocol numbers of what a tunnel carries, and of GRE.
const (
	protocolIPv4 = 4
	protocolIPv6 = 41
	protocolGRE  = 47
)

// protocol is the one of the packet that wrap makes, between addresses of such a family; 0: it is the payload of UDP.
func (t Tunnel) protocol(ip6 bool) int {
	switch {
	case t.Kind == TunnelGUE:
		return 0
	case t.Kind == TunnelGRE:
		return protocolGRE
	case ip6:
		return protocolIPv6
	}
	return protocolIPv4
}

// wrap puts in front of an IP packet what comes between it and the outer header, as IPVS does
// (linux/net/netfilter/ipvs/ip_vs_xmit.c, ipvs_gue_encap, ipvs_gre_encap). It has an even length.
func (t Tunnel) wrap(packet []byte) []byte {
	ip6 := packet[0]>>4 == 6
	switch t.Kind {
	case TunnelGUE: // draft-ietf-intarea-gue-09 section 3.1: version 0, without options
		inner := byte(protocolIPv4)
		if ip6 {
			inner = protocolIPv6
		}
		return append([]byte{0, inner, 0, 0}, packet...)
	case TunnelGRE: // RFC 2784 section 2.1
		b := []byte{0, 0, 0x08, 0x00}
		if ip6 {
			b = []byte{0, 0, 0x86, 0xdd}
		}
		if !t.Checksum {
			return append(b, packet...)
		}
		b = append(append(b, 0, 0, 0, 0), packet...)
		b[0] = 0x80
		binary.BigEndian.PutUint16(b[4:], ^sum(0, b))
		return b
	}
	return packet
}

// device is the link that the packets leave their wrapping by on a server, for people.
func (t Tunnel) device(ip6 bool) string {
	switch {
	case t.Kind == TunnelGRE && t.Checksum:
		return "a gre tunnel with checksums"
	case t.Kind == TunnelGRE && ip6:
		return "ip6gre0"
	case t.Kind == TunnelGRE:
		return "gre0"
	case ip6:
		return "ip6tnl0"
	}
	return "tunl0"
}

// refused says what is missing on a server whose kernel has sent the packets back.
func (t Tunnel) refused(server netip.Addr) string {
	if t.Kind == TunnelGUE {
		return fmt.Sprintf("does fou listen on UDP port %d, and is %s up?", t.Port, t.device(server.Is6()))
	}
	return fmt.Sprintf("it takes no %s packets: is %s there, and up?", t.Kind, t.device(server.Is6()))
}
