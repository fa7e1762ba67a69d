// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"cmp"
	"net/netip"
	"slices"
	"time"
)

// Status is what is known of a virtual router.
type Status struct {
	Name      string
	Config    Config
	State     State
	Since     time.Time
	Reason    string
	Effective uint8      // priority with what the tracked things add
	Parts     []Part     // the tracked interfaces first
	Group     string     // name of the sync group; empty: none
	Unready   string     // why it would not take over from another master; empty: it would
	Source    netip.Addr // our own; zero before the first connection
	Peers     []Peer     // in the order of their addresses

	MasterInterval time.Duration // advertise interval of the master: learned, or our own
	MasterDown     time.Duration // master-down interval, with the priority as it is now
	// What has been counted since the start.
	Sent, SendErrors, Received, ReadErrors, OtherMasterSeen uint64
	OtherAddresses                                          uint64 // of Received: those with another list of addresses than ours
	Refused                                                 map[Refusal]uint64
	Announced, HostErrors, Restored                         uint64
	HostError                                               string // of the last attempt on the addresses; empty: it worked
}

// Peer is another router that was heard as master.
type Peer struct {
	Address       netip.Addr
	Priority      uint8
	Interval      time.Duration // at which it says it sends
	Checksum      Checksum      // the reading it follows
	SameAddresses bool          // it carries the addresses that we carry
	LastSeen      time.Time

	told difference // which ones the log has
}

// peersMost bounds what strangers can make us remember.
const peersMost = 16

// hear remembers the sender of an advert, in the place of the one not heard for the longest time if there are too many.
// The result is valid until the next call.
func (s *Status) hear(from netip.Addr, a *Advert, now time.Time) *Peer {
	at, found := slices.BinarySearchFunc(s.Peers, from, func(p Peer, a netip.Addr) int { return p.Address.Compare(a) })
	if !found {
		if len(s.Peers) == peersMost {
			oldest := slices.MinFunc(s.Peers, func(a, b Peer) int { return a.LastSeen.Compare(b.LastSeen) })
			s.Peers = slices.DeleteFunc(s.Peers, func(p Peer) bool { return p == oldest })
			return s.hear(from, a, now)
		}
		s.Peers = slices.Insert(s.Peers, at, Peer{Address: from})
	}
	p := &s.Peers[at]
	p.Priority, p.Interval, p.Checksum, p.LastSeen = a.Priority, a.Interval, a.Checksum, now
	return p
}

// Master is the address of the master as this router sees it; zero: none is known.
func (s Status) Master() netip.Addr {
	if s.State == Master {
		return s.Source
	}
	if s.State != Backup || len(s.Peers) == 0 {
		return netip.Addr{}
	}
	last := slices.MaxFunc(s.Peers, func(a, b Peer) int {
		return cmp.Or(a.LastSeen.Compare(b.LastSeen), a.Address.Compare(b.Address))
	})
	if last.Priority == 0 {
		return netip.Addr{}
	}
	return last.Address
}

// Status returns a copy of what is known now.
func (i *Instance) Status() Status {
	i.mu.Lock()
	s := i.status
	s.Peers = slices.Clone(s.Peers)
	s.Refused = make(map[Refusal]uint64, len(Refusals))
	for _, r := range Refusals {
		s.Refused[r] = i.status.Refused[r]
	}
	i.mu.Unlock()
	s.Announced, s.HostErrors, s.Restored, s.HostError = i.keeper.counters()
	return s
}

// publish makes the machine's state visible, and tells of a change.
func (i *Instance) publish() {
	m := i.machine
	i.mu.Lock()
	s := &i.status
	from, news := s.State, s.State != m.state
	if news {
		s.State, s.Since = m.state, m.since.Add(-i.slept)
	}
	if news || i.told != m.reason {
		s.Reason, i.told = m.reason.String(), m.reason
	}
	t := Transition{Router: i.cfg.Name, From: from, To: s.State, At: s.Since, Reason: s.Reason}
	s.Config, s.Effective, s.Parts, s.Unready = i.cfg, m.p.Priority, i.parts, m.unready
	s.MasterInterval, s.MasterDown = m.masterInterval, m.MasterDownInterval()
	if s.Group = ""; i.group != nil {
		s.Group = i.group.name
	}
	if i.conn != nil {
		s.Source = i.conn.Source()
	}
	i.mu.Unlock()
	if i.group != nil {
		i.group.report(i, Member{Name: i.cfg.Name, Standing: m.Standing(), Reason: t.Reason}, m.down(m.p.Interval))
	}
	if news {
		i.o.OnTransition(t)
	}
	if outcome, master := m.Outcome(); outcome != 0 && !i.ended {
		i.ended = true
		if i.o.OnStepDown != nil {
			i.o.OnStepDown(SteppedDown{Router: i.cfg.Name, Order: i.order, Outcome: outcome, Master: master, Reason: m.reason.String(), At: time.Now()})
		}
	}
	if m.state != Init && i.o.OnHolding != nil && (!i.holdTold || i.toldHold != m.holding) {
		i.holdTold, i.toldHold = true, m.holding
		i.o.OnHolding(m.holding)
	}
}
