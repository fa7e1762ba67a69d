// SPDX-License-Identifier: Apache-2.0

package ipvs

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// The generic netlink interface of IPVS (include/uapi/linux/ip_vs.h).
const (
	familyName = "IPVS"

	cmdAddService        = 1
	cmdUpdateService     = 2
	cmdDeleteService     = 3
	cmdGetService        = 4
	cmdAddDestination    = 5
	cmdUpdateDestination = 6
	cmdDeleteDestination = 7
	cmdGetDestination    = 8
	cmdStartSync         = 9
	cmdStopSync          = 10
	cmdGetSync           = 11
	cmdSetTimeouts       = 12
	cmdGetTimeouts       = 13
	cmdGetInfo           = 15
	cmdZero              = 16

	cmdAttrService     = 1
	cmdAttrDestination = 2
	cmdAttrDaemon      = 3

	flagPersistent Flags = 0x0001 // said by Persistence
	flagHashed     Flags = 0x0002 // set by the kernel on every service in its table

	tunnelChecksum       = 0x1 // IP_VS_TUNNEL_ENCAP_FLAG_CSUM
	tunnelRemoteChecksum = 0x2 // IP_VS_TUNNEL_ENCAP_FLAG_REMCSUM
)

// attribute is a netlink attribute with the name that errors call it by.
type attribute struct {
	code uint16
	name string
}

var (
	svcFamily    = attribute{1, "service address family"}
	svcProtocol  = attribute{2, "service protocol"}
	svcAddress   = attribute{3, "service address"}
	svcPort      = attribute{4, "service port"}
	svcMark      = attribute{5, "service firewall mark"}
	svcScheduler = attribute{6, "service scheduler"}
	svcFlags     = attribute{7, "service flags"}
	svcTimeout   = attribute{8, "service persistence timeout"}
	svcNetmask   = attribute{9, "service persistence netmask"}
	svcEngine    = attribute{11, "service persistence engine"}
	svcStats     = attribute{12, "service 64-bit statistics"}

	destAddress     = attribute{1, "destination address"}
	destPort        = attribute{2, "destination port"}
	destForward     = attribute{3, "destination forwarding method"}
	destWeight      = attribute{4, "destination weight"}
	destUpper       = attribute{5, "destination upper threshold"}
	destLower       = attribute{6, "destination lower threshold"}
	destActive      = attribute{7, "destination active connections"}
	destInactive    = attribute{8, "destination inactive connections"}
	destPersistent  = attribute{9, "destination persistent connections"}
	destFamily      = attribute{11, "destination address family"}
	destStats       = attribute{12, "destination 64-bit statistics"}
	destTunnelType  = attribute{13, "destination tunnel type"}
	destTunnelPort  = attribute{14, "destination tunnel port"}
	destTunnelFlags = attribute{15, "destination tunnel flags"}

	daemonState     = attribute{1, "sync daemon state"}
	daemonInterface = attribute{2, "sync daemon interface"}
	daemonID        = attribute{3, "sync daemon id"}
	daemonGroup4    = attribute{5, "sync daemon group"}
	daemonGroup6    = attribute{6, "sync daemon IPv6 group"}
	daemonPort      = attribute{7, "sync daemon port"}
	daemonTTL       = attribute{8, "sync daemon ttl"}

	timeoutTCP    = attribute{4, "tcp timeout"}
	timeoutTCPFin = attribute{5, "tcp_fin timeout"}
	timeoutUDP    = attribute{6, "udp timeout"}

	statsConnections = attribute{1, "connections"}
	statsInPackets   = attribute{2, "incoming packets"}
	statsOutPackets  = attribute{3, "outgoing packets"}
	statsInBytes     = attribute{4, "incoming bytes"}
	statsOutBytes    = attribute{5, "outgoing bytes"}

	infoVersion = attribute{1, "version"}
	infoSize    = attribute{2, "connection table size"}
)

// forwards gives the forwarding methods their numbers (IP_VS_CONN_F_MASQ, TUNNEL, DROUTE).
var forwards = map[Forward]uint32{NAT: 0, Tunnel: 2, DR: 3}

// tunnelTypes gives the types of tunnels their numbers (IP_VS_CONN_F_TUNNEL_TYPE_*).
var tunnelTypes = map[TunnelType]uint8{IPIP: 0, GUE: 1, GRE: 2}

// fields are the attributes of one object by their number. A newer kernel may send more than we know; one that we need
// and that is missing or of the wrong size is an error, of which the first stays.
type fields struct {
	values [16][]byte
	err    error
}

// parse splits attributes without copying them: a table has tens of thousands.
func parse(b []byte) fields {
	const header, typeMask = unix.SizeofNlAttr, 0x3fff
	var f fields
	for len(b) >= header {
		size, code := int(binary.NativeEndian.Uint16(b)), binary.NativeEndian.Uint16(b[2:])&typeMask
		if size < header || size > len(b) {
			f.fail("attribute number %d: length %d, with %d bytes left", code, size, len(b))
			return f
		}
		if int(code) < len(f.values) {
			f.values[code] = b[header:size:size]
		}
		b = b[min((size+3)&^3, len(b)):]
	}
	if len(b) > 0 {
		f.fail("%d bytes behind the last attribute", len(b))
	}
	return f
}

func (f *fields) fail(format string, args ...any) {
	if f.err == nil {
		f.err = fmt.Errorf(format, args...)
	}
}

func (f *fields) has(a attribute) bool { return f.values[a.code] != nil }

func (f *fields) bytes(a attribute) []byte {
	if !f.has(a) {
		f.fail("attribute %s: missing", a.name)
	}
	return f.values[a.code]
}

// fixed returns nil unless the attribute is there in the right size.
func (f *fields) fixed(a attribute, size int) []byte {
	b := f.bytes(a)
	if len(b) == size {
		return b
	}
	f.fail("attribute %s: got %d bytes, want %d", a.name, len(b), size)
	return nil
}

func (f *fields) uint8(a attribute) uint8 {
	if b := f.fixed(a, 1); b != nil {
		return b[0]
	}
	return 0
}

func (f *fields) uint16(a attribute) uint16 {
	if b := f.fixed(a, 2); b != nil {
		return binary.NativeEndian.Uint16(b)
	}
	return 0
}

func (f *fields) uint32(a attribute) uint32 {
	if b := f.fixed(a, 4); b != nil {
		return binary.NativeEndian.Uint32(b)
	}
	return 0
}

func (f *fields) uint64(a attribute) uint64 {
	if b := f.fixed(a, 8); b != nil {
		return binary.NativeEndian.Uint64(b)
	}
	return 0
}

// port reads a port in network byte order.
func (f *fields) port(a attribute) uint16 {
	if b := f.fixed(a, 2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (f *fields) text(a attribute) string {
	b, _, _ := bytes.Cut(f.bytes(a), []byte{0})
	return string(b)
}

// address reads an address of the family that another attribute names.
func (f *fields) address(a, family attribute) netip.Addr { return f.ip(a, f.uint16(family)) }

func (f *fields) addrPort(a, family, port attribute) netip.AddrPort {
	return netip.AddrPortFrom(f.address(a, family), f.port(port))
}

// ip reads an address, which the kernel mostly sends in 16 bytes for either family.
func (f *fields) ip(a attribute, family uint16) netip.Addr {
	b := f.bytes(a)
	switch {
	case family == unix.AF_INET && len(b) >= 4:
		return netip.AddrFrom4([4]byte(b))
	case family == unix.AF_INET6 && len(b) == 16:
		return netip.AddrFrom16([16]byte(b))
	}
	f.fail("attribute %s: got %d bytes of address family %d", a.name, len(b), family)
	return netip.Addr{}
}

func (f *fields) counters(a attribute) Counters {
	n := parse(f.bytes(a))
	c := Counters{
		Connections: n.uint64(statsConnections),
		InPackets:   n.uint64(statsInPackets),
		OutPackets:  n.uint64(statsOutPackets),
		InBytes:     n.uint64(statsInBytes),
		OutBytes:    n.uint64(statsOutBytes),
	}
	if n.err != nil {
		f.fail("attribute %s: %w", a.name, n.err)
	}
	return c
}
