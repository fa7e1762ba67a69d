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
)

// Protocol is the transport protocol of a service, by its IP protocol number.
type Protocol uint8

// The protocols that the kernel balances (net/netfilter/ipvs/ip_vs_proto_*.c).
const (
	TCP Protocol = 6
	UDP Protocol = 17
)

func (p Protocol) String() string {
	switch p {
	case TCP:
		return "tcp"
	case UDP:
		return "udp"
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

// Flags are the flags of a service (include/uapi/linux/ip_vs.h). The meaning of the three scheduler flags depends on
// the scheduler.
type Flags uint32

// The scheduler flags that have a name: sh and mh give the first two the same meaning.
const (
	SchedFallback Flags = 0x0008 // sh-fallback, mh-fallback: next server if the chosen one is unavailable
	SchedPort     Flags = 0x0010 // sh-port, mh-port: the source port is part of the hash
)

// Key identifies a service in the kernel's table, which knows no zones.
type Key struct {
	Address  netip.Addr
	Port     uint16
	Protocol Protocol
}

func (k Key) String() string {
	return fmt.Sprintf("%s/%s", netip.AddrPortFrom(k.Address, k.Port), k.Protocol)
}

// Compare orders keys by protocol, address and port.
func (k Key) Compare(o Key) int {
	return cmp.Or(cmp.Compare(k.Protocol, o.Protocol), k.Address.Compare(o.Address), cmp.Compare(k.Port, o.Port))
}

// Service is one service as it should be, or is, in the table, with its destinations in the order of their addresses.
type Service struct {
	Key
	Scheduler    string // the kernel's name: rr, wlc, mh …
	Flags        Flags
	Destinations []Destination
}

// Destination is one real server of a service. It is identified by its address.
type Destination struct {
	Address netip.AddrPort
	Forward Forward
	Weight  uint32 // 0: no new connections
}

// Equal reports whether both services have the same settings and the same destinations in the same order.
func (s Service) Equal(o Service) bool {
	return s.Key == o.Key && s.Scheduler == o.Scheduler && s.Flags == o.Flags && slices.Equal(s.Destinations, o.Destinations)
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
	Address  netip.AddrPort
	Active   uint32 // connections in an active state
	Inactive uint32 // connections in any other state
	Counters Counters
}
