// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"net"
	"net/netip"
	"time"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"
)

// Schedule says when a master announces which of its addresses: a burst on becoming master, a second one later for
// switches that were still learning, and a refresh. Its zero value is idle.
type Schedule struct {
	a       Announcements
	n       int       // addresses
	pending int       // frames still to be sent of the running burst
	next    time.Time // when the next of them may go
	second  time.Time // when the second burst begins; zero: not due
	refresh time.Time // when the next refresh begins; zero: off
}

// Begin starts the announcements of n addresses from the beginning.
func (s *Schedule) Begin(now time.Time, a Announcements, n int) {
	*s = Schedule{a: a, n: n}
	s.burst(now, a.Burst)
	if a.Repeat > 0 {
		s.second = now.Add(a.Delay)
	}
	if a.Refresh > 0 {
		s.refresh = now.Add(a.Refresh)
	}
}

// Again announces each address once more, and repeats it as after becoming master.
func (s *Schedule) Again(now time.Time) {
	s.burst(now, 1)
	if s.a.Repeat > 0 {
		s.second = now.Add(s.a.Delay)
	}
}

// Stop ends the announcements.
func (s *Schedule) Stop() { *s = Schedule{} }

// Deadline is when [Schedule.Tick] must be called next; zero: never.
func (s *Schedule) Deadline() time.Time {
	d := s.second
	if !s.refresh.IsZero() {
		d = earlier(d, s.refresh)
	}
	if s.pending > 0 {
		d = earlier(d, s.next)
	}
	return d
}

// Tick returns the indices of the addresses to announce now, in order.
func (s *Schedule) Tick(now time.Time) []int {
	if due(s.second, now) {
		s.second = time.Time{}
		s.burst(now, s.a.Repeat)
	}
	if due(s.refresh, now) {
		s.refresh = now.Add(s.a.Refresh)
		s.burst(now, 1)
	}
	var frames []int
	for s.pending > 0 && !now.Before(s.next) {
		frames = append(frames, (s.n-s.pending%s.n)%s.n)
		s.pending--
		if s.a.Interval > 0 {
			s.next = now.Add(s.a.Interval)
		}
	}
	return frames
}

// burst adds rounds over all addresses to a burst that may still be running, never more than the longest asked for.
func (s *Schedule) burst(now time.Time, rounds int) {
	if s.pending == 0 && s.next.Before(now) {
		s.next = now
	}
	if want := rounds * s.n; s.pending < want {
		s.pending = want
	}
}

func due(t, now time.Time) bool { return !t.IsZero() && !now.Before(t) }

// arpFrame is a gratuitous ARP for addr (RFC 5227 section 3, RFC 9568 section 8.1.2): sender and target are the virtual
// address. A reply counts for Linux only if the target's hardware address is the sender's, so it is.
func arpFrame(op arp.Operation, hw net.HardwareAddr, addr netip.Addr) (*arp.Packet, error) {
	target := ethernet.Broadcast
	if op == arp.OperationReply {
		target = hw
	}
	return arp.NewPacket(op, hw, addr, target, addr)
}

// operations is the ARP operations of a format.
func (f ARPFormat) operations() []arp.Operation {
	switch f {
	case ARPReply:
		return []arp.Operation{arp.OperationReply}
	case ARPBoth:
		return []arp.Operation{arp.OperationRequest, arp.OperationReply}
	}
	return []arp.Operation{arp.OperationRequest}
}
