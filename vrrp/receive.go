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

func (i *Instance) accept(b []byte, h Header) Refusal {
	return i.cfg.accept(&i.rx.advert, b, h, i.conn.Source())
}

// accept is RFC 9568 section 7.1 and RFC 3768 section 7.1. The advert is in a if nothing speaks against it. That an
// owner of the addresses hears nobody (RFC 3768; RFC 9568 erratum 8298 has dropped it) is not done in either version: an
// owner must know of another master to win the neighbours back from it. Another list of addresses is told of in note;
// refusing it would make two masters of a half-done reload, and RFC 3768 leaves it open.
func (c *Config) accept(a *Advert, b []byte, h Header, source netip.Addr) Refusal {
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

// Judge decodes a packet and says whether a router of this configuration takes it whose own address is source; if not, why,
// and what to do about it.
func (c Config) Judge(b []byte, h Header, source netip.Addr) (a Advert, refused Refusal, hint string) {
	if refused = c.accept(&a, b, h, source); refused != "" {
		hint = refused.hint(&c, b, h)
	}
	return a, refused, hint
}

// refuse counts a packet that nothing else comes of, and logs each reason once a minute.
func (i *Instance) refuse(reason Refusal, b []byte, h Header, now time.Time) {
	i.count(func(s *Status) { s.Refused[reason]++ })
	if kept, ok := i.rx.ration(string(reason), now); ok {
		i.o.Log.Warn("advert refused", "reason", string(reason), "from", h.Src, "hint", reason.hint(&i.cfg, b, h),
			"suppressed", kept)
	}
}
