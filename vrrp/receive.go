// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"errors"
	"net/netip"
	"slices"
	"time"
)

const (
	drainMost = 64   // packets read in a row, so that a flood does not delay our own adverts
	drainAll  = 4096 // more packets than wait in a socket

	// lineEvery is how often one kind of line about what others send is logged.
	lineEvery = time.Minute
)

// reception is what an instance remembers of what it has read. It belongs to Run's goroutine. Nothing of it grows with
// what is received, and no advert in the steady state allocates memory.
type reception struct {
	buf    [maxPacket]byte
	advert Advert // the last one that could be parsed; the next one takes its memory
	lines  map[string]rationed
}

// rationed is a kind of log line of which there are few.
type rationed struct {
	last time.Time
	kept uint64 // back since then
}

// ration reports whether a kind of line may be logged now, and how many were not since the last one.
func (r *reception) ration(kind string, now time.Time) (kept uint64, ok bool) {
	l, known := r.lines[kind]
	if known && now.Sub(l.last) < lineEvery {
		l.kept++
		r.lines[kind] = l
		return 0, false
	}
	if r.lines == nil {
		r.lines = make(map[string]rationed)
	}
	r.lines[kind] = rationed{last: now}
	return l.kept, true
}

// ready has a value when there may be something to read.
func (i *Instance) ready() <-chan struct{} {
	if i.conn == nil {
		return nil
	}
	return i.conn.Ready()
}

// drain reads at most n packets.
func (i *Instance) drain(n int) {
	for ; n > 0 && i.conn != nil; n-- {
		size, h, err := i.conn.Read(i.rx.buf[:])
		if errors.Is(err, ErrNothing) {
			return
		}
		if err != nil {
			i.count(func(s *Status) { s.ReadErrors++ })
			i.close()
			i.reopen()
			return
		}
		i.receive(i.rx.buf[:size], h)
	}
}

func (i *Instance) receive(b []byte, h Header) {
	if reason := i.accept(b, h); reason != "" {
		i.refuse(reason, b, h, time.Now())
		return
	}
	i.note(h.Src, time.Now())
	now := i.now()
	i.do(now, i.machine.Receive(now, h.Src, i.rx.advert))
}

// accept is RFC 9568 section 7.1 and RFC 3768 section 7.1. The advert is in i.rx if nothing speaks against it. That an
// owner of the addresses hears nobody (RFC 3768; RFC 9568 erratum 8298 has dropped it) is not done in either version: an
// owner must know of another master to win the neighbours back from it. Another list of addresses is told of in note;
// refusing it would make two masters of a half-done reload, and RFC 3768 leaves it open.
func (i *Instance) accept(b []byte, h Header) Refusal {
	c, source := &i.cfg, i.conn.Source()
	to := c.group()
	if c.Unicast.Enabled() {
		to = source
	}
	switch {
	case h.Dst != to:
		return RefusedDestination
	case h.TTL < c.leastTTL():
		return RefusedTTL
	case h.Src == source:
		return RefusedOwn
	case c.Unicast.Enabled() && !slices.Contains(c.Unicast.Peers, h.Src):
		return RefusedPeer
	case len(b) >= headerLen && b[0]>>4 != c.Version: // before what another version would be refused for
		return RefusedVersion
	}
	a := &i.rx.advert
	if reason := a.parse(b, h); reason != "" {
		return reason
	}
	switch {
	case a.ID != c.ID:
		return RefusedID
	case c.Version == 2 && !a.Auth.Equal(Password(c.Password)):
		return RefusedAuth
	case c.Version == 2 && a.Interval != c.Interval:
		return RefusedInterval
	}
	return ""
}

// refuse counts a packet that nothing else comes of, and logs each reason once a minute.
func (i *Instance) refuse(reason Refusal, b []byte, h Header, now time.Time) {
	i.count(func(s *Status) { s.Refused[reason]++ })
	if kept, ok := i.rx.ration(string(reason), now); ok {
		i.o.Log.Warn("advert refused", "reason", string(reason), "from", h.Src, "hint", reason.hint(&i.cfg, b, h),
			"suppressed", kept)
	}
}

// difference is a set of what a peer does otherwise than we, and is heard nonetheless.
type difference uint8

const (
	otherChecksum difference = 1 << iota
	otherInterval
	otherAddresses
	differences = iota
)

func (d difference) String() string {
	switch d {
	case otherChecksum:
		return "peer computes checksums otherwise"
	case otherInterval:
		return "peer has another advertise interval"
	case otherAddresses:
		return "peer has other addresses"
	}
	return "invalid"
}

// differs compares an advert with what we would send.
func differs(a *Advert, c *Config) (d difference) {
	if a.Version == 3 && !c.Family6() && a.Checksum != c.Checksum {
		d |= otherChecksum
	}
	if a.Interval != c.Interval { // version 3 only: in version 2 it is refused
		d |= otherInterval
	}
	if !sameAddresses(a.Addresses, c.Addresses) {
		d |= otherAddresses
	}
	return d
}

// sameAddresses compares without regard to the order, which is most often the same.
func sameAddresses(theirs []netip.Addr, ours []Address) bool {
	if len(theirs) != len(ours) {
		return false
	}
	for n, a := range ours {
		if theirs[n] != a.Prefix.Addr() && !slices.Contains(theirs, a.Prefix.Addr()) {
			return false
		}
	}
	return true
}

// note counts the advert in i.rx and remembers its sender. What is different there is told once for each peer, unless it
// ends and begins again.
func (i *Instance) note(from netip.Addr, now time.Time) {
	a, d := &i.rx.advert, differs(&i.rx.advert, &i.cfg)
	state := i.machine.state
	var news difference
	i.count(func(s *Status) {
		s.Received++
		if state == Master {
			s.OtherMasterSeen++
		}
		if d&otherAddresses != 0 {
			s.OtherAddresses++
		}
		p := s.hear(from, a, now)
		p.SameAddresses = d&otherAddresses == 0
		p.told &= d
		for bit := range differences {
			kind := difference(1 << bit)
			if d&^p.told&kind == 0 {
				continue
			}
			if _, ok := i.rx.ration(kind.String(), now); ok {
				p.told |= kind
				news |= kind
			}
		}
	})
	if news != 0 {
		i.tell(from, a, news)
	}
}

// tell logs what a peer does otherwise. RFC 9568 section 6.4.2 asks for it in the case of the interval.
func (i *Instance) tell(from netip.Addr, a *Advert, news difference) {
	for _, t := range []struct {
		kind         difference
		theirs, ours any
		hint         string
	}{
		{otherChecksum, a.Checksum, i.cfg.Checksum, "its adverts are understood; set checksum to what it can read"},
		{otherInterval, a.Interval, i.cfg.Interval, "a backup waits as its master says; set the same advertise_interval on both"},
		{otherAddresses, slices.Clone(a.Addresses), i.cfg.advert(0, nil).Addresses, "each moves its own list; give both the same"},
	} {
		if news&t.kind != 0 {
			i.o.Log.Warn(t.kind.String(), "peer", from, "theirs", t.theirs, "ours", t.ours, "hint", t.hint)
		}
	}
}
