// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"errors"
	"slices"
	"time"
)

// drainMost bounds how many packets are read in a row, so that a flood does not delay our own adverts.
const drainMost = 64

// drainAll is more packets than wait in a socket.
const drainAll = 4096

// listen tells the loop that there is something to read. It ends when the connection is closed.
func (i *Instance) listen(c Conn) {
	for c.Wait() == nil {
		select {
		case i.readable <- struct{}{}:
		case <-i.quit:
			return
		}
	}
}

// drain reads at most n packets.
func (i *Instance) drain(n int) {
	for ; n > 0 && i.conn != nil; n-- {
		size, h, err := i.conn.Read(i.buf[:])
		if errors.Is(err, ErrNothing) {
			return
		}
		if err != nil {
			// The link is gone, or was made anew: try with a new connection.
			i.count(func(s *Status) { s.ReadErrors++ })
			i.close()
			i.reopen()
			return
		}
		i.receive(i.buf[:size], h)
	}
}

func (i *Instance) receive(b []byte, h Header) {
	a, err := i.accept(b, h)
	if err != nil {
		i.refuse(err, h)
		return
	}
	now, state := i.now(), i.machine.state
	i.count(func(s *Status) {
		s.Received++
		if state == Master {
			s.OtherMasterSeen++
		}
		s.hear(h.Src, a, time.Now())
	})
	i.do(now, i.machine.Receive(now, h.Src, a))
}

// accept is RFC 9568 section 7.1: what of it needs the configuration, and Parse.
func (i *Instance) accept(b []byte, h Header) (Advert, error) {
	group, least := groupIPv4, uint8(ttl)
	if i.cfg.Unicast.Enabled() {
		group, least = i.conn.Source(), i.cfg.Unicast.MinTTL
	}
	switch {
	case h.Dst != group:
		return Advert{}, RefusedDestination
	case h.TTL < least:
		return Advert{}, RefusedTTL
	case h.Src == i.conn.Source():
		return Advert{}, RefusedOwn
	case i.cfg.Unicast.Enabled() && !slices.Contains(i.cfg.Unicast.Peers, h.Src):
		return Advert{}, RefusedPeer
	}
	a, err := Parse(b, h)
	if err == nil && a.ID != i.cfg.ID {
		err = RefusedID
	}
	return a, err
}

// refuse counts a packet that nothing else comes of, and logs each reason once a minute.
func (i *Instance) refuse(err error, h Header) {
	reason, _ := errors.AsType[Refusal](err)
	i.count(func(s *Status) { s.Refused[reason]++ })
	if now := time.Now(); now.Sub(i.logged[reason]) > time.Minute {
		i.logged[reason] = now
		i.o.Log.Warn("advert refused", "reason", string(reason), "from", h.Src, "ttl", h.TTL)
	}
}
