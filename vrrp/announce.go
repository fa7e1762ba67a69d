// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"encoding/binary"
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
	turn    func(n int, now time.Time) time.Time // when the announcement of an address may be sent; it is kept free
	pending []int                                // of each address: announcements still to be made
	left    int                                  // their sum
	last    int                                  // the address announced last
	next    time.Time                            // when the next of them may be sent
	second  time.Time                            // when the second burst begins; zero: not due
	refresh time.Time                            // when the next refresh begins; zero: off
}

// Begin starts the announcements of n addresses from the beginning. The schedule asks turn, once for each announcement,
// when it may be sent.
func (s *Schedule) Begin(now time.Time, a Announcements, n int, turn func(n int, now time.Time) time.Time) {
	*s = Schedule{a: a, turn: turn, pending: make([]int, n), last: n - 1}
	if a.Refresh > 0 {
		s.refresh = now.Add(a.Refresh)
	}
	s.Start(now, s.all())
}

// Start announces some of the addresses as after becoming master.
func (s *Schedule) Start(now time.Time, some []int) {
	s.add(now, some, s.a.Burst)
	if s.a.Repeat > 0 && len(some) > 0 {
		s.second = now.Add(s.a.Delay)
	}
}

// Again announces each address once more, and repeats it as after becoming master.
func (s *Schedule) Again(now time.Time) {
	s.add(now, s.all(), 1)
	if s.a.Repeat > 0 {
		s.second = now.Add(s.a.Delay)
	}
}

// Once announces some of the addresses once.
func (s *Schedule) Once(now time.Time, some []int) { s.add(now, some, 1) }

// Move goes on with another list of addresses: from says where each of them was in the old one, -1: nowhere.
func (s *Schedule) Move(from []int, turn func(n int, now time.Time) time.Time) {
	old := s.pending
	s.turn, s.pending, s.left, s.last = turn, make([]int, len(from)), 0, len(from)-1
	for i, f := range from {
		if f >= 0 && f < len(old) {
			s.pending[i] = old[f]
			s.left += old[f]
		}
	}
}

// idle reports whether nothing was begun, or all was stopped.
func (s *Schedule) idle() bool { return s.turn == nil }

// Stop ends the announcements.
func (s *Schedule) Stop() { *s = Schedule{} }

// Deadline is when [Schedule.Tick] must be called next; zero: never.
func (s *Schedule) Deadline() time.Time {
	d := s.second
	if !s.refresh.IsZero() {
		d = earlier(d, s.refresh)
	}
	if s.left > 0 {
		d = earlier(d, s.next)
	}
	return d
}

// Tick returns the indices of the addresses to announce now, in order.
func (s *Schedule) Tick(now time.Time) []int {
	if due(s.second, now) {
		s.second = time.Time{}
		s.add(now, s.all(), s.a.Repeat)
	}
	if due(s.refresh, now) {
		s.refresh = now.Add(s.a.Refresh)
		s.add(now, s.all(), 1)
	}
	var frames []int
	for s.left > 0 && !now.Before(s.next) {
		n := s.following()
		frames = append(frames, n)
		s.pending[n]--
		s.left--
		s.last = n
		s.reserve(now)
	}
	return frames
}

// add adds rounds over some addresses to bursts that may still be running, never more than the longest asked for.
func (s *Schedule) add(now time.Time, some []int, rounds int) {
	idle := s.left == 0
	for _, n := range some {
		if more := rounds - s.pending[n]; more > 0 {
			s.pending[n] += more
			s.left += more
		}
	}
	if idle {
		s.reserve(now)
	}
}

func (s *Schedule) reserve(now time.Time) {
	if s.left > 0 {
		s.next = s.turn(s.following(), now)
	}
}

// following is the address whose turn it is: they take turns.
func (s *Schedule) following() int {
	for i := range s.pending {
		if n := (s.last + 1 + i) % len(s.pending); s.pending[n] > 0 {
			return n
		}
	}
	return 0
}

func (s *Schedule) all() []int {
	list := make([]int, len(s.pending))
	for i := range list {
		list[i] = i
	}
	return list
}

func due(t, now time.Time) bool { return !t.IsZero() && !now.Before(t) }

// pace says when announcements may be sent on a link, whichever virtual router they are of.
type pace struct{ free map[string]time.Time }

// turn returns the next moment that is free on a link, and keeps the link free for a pause after that.
func (p *pace) turn(device string, pause time.Duration, now time.Time) time.Time {
	if p.free == nil {
		p.free = make(map[string]time.Time)
	}
	at := now
	if free := p.free[device]; at.Before(free) {
		at = free
	}
	p.free[device] = at.Add(pause)
	return at
}

// arpFrame is a gratuitous ARP for addr (RFC 5227 section 3, RFC 9568 section 8.1.2): sender and target are the virtual
// address. A reply counts for Linux only if the target's hardware address is the sender's, so it is.
func arpFrame(op arp.Operation, hw net.HardwareAddr, addr netip.Addr) ([]byte, error) {
	target := ethernet.Broadcast
	if op == arp.OperationReply {
		target = hw
	}
	p, err := arp.NewPacket(op, hw, addr, target, addr)
	if err != nil {
		return nil, err
	}
	b, err := p.MarshalBinary()
	if err != nil {
		return nil, err
	}
	f := ethernet.Frame{Destination: ethernet.Broadcast, Source: hw, EtherType: ethernet.EtherTypeARP, Payload: b}
	return f.MarshalBinary()
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

// naFrame is an unsolicited neighbour advertisement for addr to all nodes (RFC 4861 sections 4.4 and 7.2.6, RFC 9568
// section 8.2.2): it overrides what they know. Hosts take an address without the router flag off their list of default
// routers, so it says what is true.
func naFrame(hw net.HardwareAddr, addr netip.Addr, router bool) ([]byte, error) {
	const (
		advertisement  = 136
		routerFlag     = 0x80
		overrideFlag   = 0x20
		targetLinkAddr = 2
		icmpv6         = 58
		hopLimit       = 255
	)
	nodes := netip.MustParseAddr("ff02::1")
	flags := byte(overrideFlag)
	if router {
		flags |= routerFlag
	}
	na := []byte{advertisement, 0, 0, 0, flags, 0, 0, 0}
	na = append(na, addr.AsSlice()...)
	na = append(na, targetLinkAddr, 1) // in units of 8 bytes
	na = append(na, hw...)
	sum := plainSum(addr.AsSlice()) + plainSum(nodes.AsSlice()) + icmpv6 + uint32(len(na)) + plainSum(na) // RFC 8200 section 8.1
	binary.BigEndian.PutUint16(na[2:], ^fold(sum))
	ip := []byte{6 << 4, 0, 0, 0, 0, byte(len(na)), icmpv6, hopLimit}
	ip = append(ip, addr.AsSlice()...)
	ip = append(ip, nodes.AsSlice()...)
	f := ethernet.Frame{
		Destination: net.HardwareAddr{0x33, 0x33, 0, 0, 0, 1}, Source: hw, EtherType: ethernet.EtherTypeIPv6,
		Payload: append(ip, na...),
	}
	return f.MarshalBinary()
}
