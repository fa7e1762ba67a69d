// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"net/netip"
	"slices"
	"time"
)

// Config is everything that one virtual router needs to know.
type Config struct {
	Name          string
	Interface     string
	ID            uint8         // VRID
	Priority      uint8         // 255: the address owner
	Interval      time.Duration // advertise interval, 10 ms to 40.95 s in steps of 10 ms
	Preempt       bool
	StartupDelay  time.Duration
	Source        netip.Addr // of multicast adverts; zero: the interface's first address
	Addresses     []Address
	Lease         time.Duration // kernel lifetime of the addresses, whole seconds; 0: unlimited
	Handover      bool          // serve on after a planned step-down until the new master is at work
	Unicast       Unicast       // its zero value: multicast
	Announcements Announcements
}

// Address is one virtual address and the interface that carries it.
type Address struct {
	Prefix netip.Prefix
	Device string
}

func (a Address) String() string { return a.Prefix.String() + " dev " + a.Device }

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
func (c Config) Equal(o Config) bool {
	return slices.Equal(c.Addresses, o.Addresses) && slices.Equal(c.Unicast.Peers, o.Unicast.Peers) &&
		c.scalars() == o.scalars()
}

// SameElection reports whether o can take the place of c in a running Instance: it is of the same virtual router, on
// the same connection.
func (c Config) SameElection(o Config) bool {
	return c.Interface == o.Interface && c.ID == o.ID && c.Source == o.Source && c.Unicast.Source == o.Unicast.Source &&
		c.Unicast.TTL == o.Unicast.TTL && c.Unicast.MinTTL == o.Unicast.MinTTL && slices.Equal(c.Unicast.Peers, o.Unicast.Peers)
}

// scalars is the comparable part of a Config.
func (c Config) scalars() any {
	type unicast struct {
		source      netip.Addr
		ttl, minTTL uint8
	}
	return struct {
		name, iface            string
		id, priority           uint8
		interval, delay, lease time.Duration
		preempt, handover      bool
		source                 netip.Addr
		unicast                unicast
		announcements          Announcements
	}{
		c.Name, c.Interface, c.ID, c.Priority, c.Interval, c.StartupDelay, c.Lease, c.Preempt, c.Handover, c.Source,
		unicast{c.Unicast.Source, c.Unicast.TTL, c.Unicast.MinTTL}, c.Announcements,
	}
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
