// SPDX-License-Identifier: Apache-2.0

// Package ipvs keeps the kernel's IPVS table equal to a wanted one.
//
// The model is made of comparable values; [Diff] turns two tables into ordered operations, a [Table] carries them out
// (the kernel, or the fake of package ipvstest), and a [Reconciler] repeats both until the table tells the truth.
package ipvs

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// Protocol is the transport protocol of a service, by its IP protocol number.
type Protocol uint8

// The protocols that the kernel balances (net/netfilter/ipvs/ip_vs_proto_*.c).
const (
	TCP  Protocol = 6
	UDP  Protocol = 17
	SCTP Protocol = 132
)

func (p Protocol) String() string {
	switch p {
	case TCP:
		return "tcp"
	case UDP:
		return "udp"
	case SCTP:
		return "sctp"
	}
	return fmt.Sprintf("protocol(%d)", uint8(p))
}

// Forward is the way a packet takes from the director to the real server.
type Forward uint8

// The forwarding methods. The kernel (6.1) reports the one that was asked for, also for a server on the director
// itself; what it reports beside these reads as 0 and so differs from anything wanted.
const (
	_      Forward = iota
	NAT            // destination rewritten, answers pass the director
	DR             // destination MAC rewritten, answers go straight to the client
	Tunnel         // wrapped in a second IP header
)

func (f Forward) String() string {
	switch f {
	case NAT:
		return "nat"
	case DR:
		return "dr"
	case Tunnel:
		return "tunnel"
	}
	return fmt.Sprintf("forward(%d)", uint8(f))
}

// TunnelType is what a packet is wrapped in on its way through a tunnel.
type TunnelType uint8

// The types of tunnels.
const (
	_    TunnelType = iota
	IPIP            // IP in IP
	GUE             // generic UDP encapsulation
	GRE             // generic routing encapsulation
)

func (t TunnelType) String() string {
	switch t {
	case IPIP:
		return "ipip"
	case GUE:
		return "gue"
	case GRE:
		return "gre"
	}
	return fmt.Sprintf("tunnel type(%d)", uint8(t))
}

// Checksum is how the outer packet of a tunnel is protected. IPIP has no checksum.
type Checksum uint8

// The checksums of tunnels (IP_VS_TUNNEL_ENCAP_FLAG_*).
const (
	NoChecksum     Checksum = iota
	FullChecksum            // GUE, GRE
	RemoteChecksum          // GUE: the receiver computes the inner one
)

func (c Checksum) String() string {
	switch c {
	case NoChecksum:
		return "none"
	case FullChecksum:
		return "full"
	case RemoteChecksum:
		return "remote"
	}
	return fmt.Sprintf("checksum(%d)", uint8(c))
}

// Encapsulation is how [Tunnel] reaches a destination; the zero value belongs to the other methods.
type Encapsulation struct {
	Type     TunnelType
	Port     uint16 // GUE: where the destination listens
	Checksum Checksum
}

// Flags are the flags of a service (include/uapi/linux/ip_vs.h). The meaning of the three scheduler flags depends on
// the scheduler. That a service is persistent is not said here but by [Persistence].
type Flags uint32

// The flags that have a name: sh and mh give the scheduler flags the same meaning.
const (
	OnePacket     Flags = 0x0004 // UDP: each packet is scheduled alone
	SchedFallback Flags = 0x0008 // sh-fallback, mh-fallback: next server if the chosen one is unavailable
	SchedPort     Flags = 0x0010 // sh-port, mh-port: the source port is part of the hash
)

// Key identifies a service in the kernel's table, which knows no zones: by address, port and protocol, or by the firewall
// mark of its packets. A service by mark has the unspecified address of its family, and neither port nor protocol.
type Key struct {
	Address  netip.Addr
	Port     uint16
	Protocol Protocol
	Mark     uint32
}

// MarkKey is the key of the service by firewall mark in the family of IPv6, or of IPv4.
func MarkKey(mark uint32, v6 bool) Key {
	if v6 {
		return Key{Address: netip.IPv6Unspecified(), Mark: mark}
	}
	return Key{Address: netip.IPv4Unspecified(), Mark: mark}
}

func (k Key) String() string {
	switch {
	case k.Mark != 0 && k.Address.Is6():
		return fmt.Sprintf("fwmark %d/ipv6", k.Mark)
	case k.Mark != 0:
		return fmt.Sprintf("fwmark %d/ipv4", k.Mark)
	}
	return fmt.Sprintf("%s/%s", netip.AddrPortFrom(k.Address, k.Port), k.Protocol)
}

// Compare orders keys by protocol, address, port and mark.
func (k Key) Compare(o Key) int {
	return cmp.Or(cmp.Compare(k.Protocol, o.Protocol), k.Address.Compare(o.Address), cmp.Compare(k.Port, o.Port),
		cmp.Compare(k.Mark, o.Mark))
}

// Persistence sends a client that comes back within the timeout to the same destination; the zero value: it does not.
type Persistence struct {
	Timeout time.Duration // whole seconds
	Netmask uint8         // how many bits of the client's address make it the same client: IPv4 0-32, IPv6 1-128
	Engine  string        // "sip" or empty
}

// Settings are what a service has beside its key and its destinations, all of which can be changed in place.
type Settings struct {
	Scheduler   string // the kernel's name: rr, wlc, mh …
	Flags       Flags
	Persistence Persistence
}

// Service is one service as it should be, or is, in the table, with its destinations in the order of their addresses.
type Service struct {
	Key
	Settings
	Destinations []Destination
}

// Destination is one real server of a service. It is identified by its address, which is of another family than the
// service's only through a tunnel.
type Destination struct {
	Address netip.AddrPort
	Forward Forward
	Weight  uint32 // 0: no new connections
	// Upper is the number of connections from which on the destination gets no new ones, until they fall below Lower
	// (0: three quarters of Upper); 0: there is no limit.
	Upper, Lower  uint32
	Encapsulation Encapsulation
}

// Equal reports whether both services have the same settings and the same destinations in the same order.
func (s Service) Equal(o Service) bool {
	return s.Key == o.Key && s.Settings == o.Settings && slices.Equal(s.Destinations, o.Destinations)
}

// Timeouts are how long the kernel keeps a connection that is idle, in whole seconds; 0 leaves one as it is.
type Timeouts struct {
	TCP, TCPFin, UDP time.Duration
}

// SyncRole is the half of connection sync that a daemon is.
type SyncRole uint8

// The roles; one daemon of each may run at the same time (IP_VS_STATE_MASTER, IP_VS_STATE_BACKUP).
const (
	_          SyncRole = iota
	SyncMaster          // sends what it balances
	SyncBackup          // receives what others balance
)

func (r SyncRole) String() string {
	switch r {
	case SyncMaster:
		return "master"
	case SyncBackup:
		return "backup"
	}
	return fmt.Sprintf("sync role(%d)", uint8(r))
}

// SyncDaemon is a connection sync daemon of the kernel. It cannot be changed, only stopped and started. The kernel runs none
// while a service has a destination of another address family.
type SyncDaemon struct {
	Role      SyncRole
	Interface string     // of a daemon that runs empty if that link is gone: it does nothing any more
	ID        uint8      // what is received must bear the same; 0 receives all
	Group     netip.Addr // of multicast; the kernel's default is 224.0.0.81
	Port      uint16     // the kernel's default is 8848
	TTL       uint8      // the kernel's default is 1
}

// State is what a table holds.
type State struct {
	Services []Service // ordered by key
	Timeouts Timeouts
	Sync     []SyncDaemon // that run, ordered by role
}

// Goal is what a [Reconciler] keeps.
type Goal struct {
	Services []Service
	Owned    []Key // further services that are ours, to be deleted if they are not wanted
	Timeouts Timeouts
	// Sync are the daemons to run, at most one of each role, no field zero but ID. If Syncs is false, those that run
	// are somebody else's.
	Sync  []SyncDaemon
	Syncs bool
	// ReportOnly leaves what others changed in our services as it is, and only counts it. What we change ourselves
	// still goes through; timeouts and daemons are kept as ever.
	ReportOnly bool
}

// Counters are the kernel's 64-bit statistics of a service or a destination.
type Counters struct {
	Connections uint64
	InPackets   uint64
	OutPackets  uint64
	InBytes     uint64
	OutBytes    uint64
}

// ServiceStats is what the kernel counts for a service and its destinations.
type ServiceStats struct {
	Key          Key
	Counters     Counters
	Destinations []DestinationStats
}

// DestinationStats is what the kernel counts for one destination.
type DestinationStats struct {
	Address    netip.AddrPort
	Active     uint32 // connections in an active state
	Inactive   uint32 // connections in any other state
	Persistent uint32 // templates: clients that would come back to it
	Counters   Counters
}
