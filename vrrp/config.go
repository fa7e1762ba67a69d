// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"net/netip"
	"reflect"
	"slices"
	"time"
)

// Config is everything that one virtual router needs to know.
type Config struct {
	Name          string
	Interface     string
	ID            uint8         // VRID
	Version       uint8         // of VRRP: 3, or 2 over IPv4 only
	Priority      uint8         // as configured; 255: the address owner
	Interval      time.Duration // advertise interval, 10 ms to 40.95 s in steps of 10 ms; version 2: whole seconds
	Preempt       bool
	PreemptDelay  time.Duration // a lower master is left alone this long after we could take over from it
	StartupDelay  time.Duration
	Checksum      Checksum      // of what is sent in version 3 over IPv4
	Password      Secret        // VRRPv2 "simple text" authentication (RFC 2338 section 5.3.6); empty: none
	VMAC          bool          // own the virtual MAC address on a macvlan
	Source        netip.Addr    // of multicast adverts; zero: the interface's first address, for IPv6 its link-local one
	Addresses     []Address     // carried in adverts, at least one; all of one family
	Excluded      []Address     // moved with the others, not carried; of either family
	Routes        []Route       // moved with the addresses
	Lease         time.Duration // kernel lifetime of the addresses, whole seconds; 0: unlimited
	Handover      bool          // serve on after a planned step-down until the new master is at work
	Unicast       Unicast       // its zero value: multicast
	Announcements Announcements
	Links         []TrackedLink // interfaces tracked beside our own
}

// Family6 reports whether the election runs over IPv6.
func (c Config) Family6() bool { return len(c.Addresses) > 0 && c.Addresses[0].Prefix.Addr().Is6() }

// Secret is a text that is not shown.
type Secret string

func (Secret) String() string { return "(secret)" }

// MarshalText implements encoding.TextMarshaler.
func (Secret) MarshalText() ([]byte, error) { return []byte("(secret)"), nil }

// All returns every address that moves with the role: those carried in adverts first.
func (c Config) All() []Address { return slices.Concat(c.Addresses, c.Excluded) }

// Address is one virtual address and the interface that carries it.
type Address struct {
	Prefix netip.Prefix
	Device string
}

func (a Address) String() string { return a.Prefix.String() + " dev " + a.Device }

// Route is a route that moves with the addresses.
type Route struct {
	Destination netip.Prefix
	Via         netip.Addr // zero: on the link
	Device      string
	Source      netip.Addr // preferred; zero: the kernel's choice
	Table       int        // 0: main
	Metric      int
}

// TrackedLink is an interface whose state counts in the election.
type TrackedLink struct {
	Name   string
	Weight int // 0: down means fault; negative: added while down; positive: added while up
}

// Unicast says who takes part in an election without multicast.
type Unicast struct {
	Source netip.Addr
	Peers  []netip.Addr
	TTL    uint8 // of what is sent
	MinTTL uint8 // what came with less is refused
}

// Enabled reports whether adverts are sent to peers instead of the multicast group.
func (u Unicast) Enabled() bool { return len(u.Peers) > 0 }

// Announcements is the schedule of gratuitous ARP of a master.
type Announcements struct {
	Burst    int           // at once on becoming master
	Repeat   int           // a second burst this many …
	Delay    time.Duration // … this much later
	Refresh  time.Duration // while master; 0: off
	Interval time.Duration // pause between two
	Format   ARPFormat
}

// ARPFormat is the form of a gratuitous ARP (RFC 5227 section 3 discusses both).
type ARPFormat uint8

// The forms. Linux always honours a request; some switches want replies.
const (
	_ ARPFormat = iota
	ARPRequest
	ARPReply
	ARPBoth
)

func (f ARPFormat) String() string {
	switch f {
	case ARPRequest:
		return "request"
	case ARPReply:
		return "reply"
	case ARPBoth:
		return "both"
	}
	return "invalid"
}

// Equal reports whether both describe the same virtual router.
func (c Config) Equal(o Config) bool { return reflect.DeepEqual(c, o) }

// SameElection reports whether o can take the place of c in a running Instance: it is of the same virtual router, on
// the same connection.
func (c Config) SameElection(o Config) bool {
	return c.Interface == o.Interface && c.ID == o.ID && c.Version == o.Version && c.Family6() == o.Family6() &&
		c.VMAC == o.VMAC && c.Source == o.Source && c.Unicast.Source == o.Unicast.Source &&
		c.Unicast.TTL == o.Unicast.TTL && c.Unicast.MinTTL == o.Unicast.MinTTL && slices.Equal(c.Unicast.Peers, o.Unicast.Peers)
}

// State is the state of a virtual router (RFC 9568 section 6.4, and fault, in which it cannot take part).
type State uint8

// The states. RFC 9568 calls a master "active".
const (
	_ State = iota
	Init
	Backup
	Master
	Fault
)

func (s State) String() string {
	switch s {
	case Init:
		return "init"
	case Backup:
		return "backup"
	case Master:
		return "master"
	case Fault:
		return "fault"
	}
	return "invalid"
}
