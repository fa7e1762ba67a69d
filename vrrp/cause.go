// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"fmt"
	"net/netip"
	"time"
)

// cause is why a machine is in its state. It becomes text only when somebody asks, because every advert may bring a new
// one.
type cause struct {
	why          why
	from         netip.Addr    // who was heard
	theirs, ours uint8         // priorities
	wait         time.Duration // that has passed, or has yet to
	text         string
}

type why uint8

const (
	_            why = iota
	because          // text
	outranked        // priority of another
	matched          // priority of another that is master
	notPreempted     // preempt is off
	notReady         // text says why
	steppedDown      // by an operator
	delayed          // preempt_delay runs
	takesOver        // a lower master is heard
	lowerHeard       // and was taken over from
	gaveUp           // another sent priority 0
	silence          // no master heard for wait
	heldUp           // for wait
)

func (c cause) String() string {
	switch c.why {
	case outranked:
		return fmt.Sprintf("%v has priority %d against %d", c.from, c.theirs, c.ours)
	case matched:
		return fmt.Sprintf("%v is master with the same priority %d", c.from, c.theirs)
	case notPreempted:
		return fmt.Sprintf("%v is master with priority %d against %d, and preempt is off", c.from, c.theirs, c.ours)
	case notReady:
		return fmt.Sprintf("%v is master with priority %d against %d, and here %s", c.from, c.theirs, c.ours, c.text)
	case steppedDown:
		return fmt.Sprintf("stepped down by an operator: %v is master with priority %d against %d", c.from, c.theirs, c.ours)
	case delayed:
		return fmt.Sprintf("takes over from %v, which has priority %d against %d, when preempt_delay (%v) has passed",
			c.from, c.theirs, c.ours, c.wait)
	case takesOver:
		return fmt.Sprintf("takes over from %v, which has priority %d against %d", c.from, c.theirs, c.ours)
	case lowerHeard:
		return fmt.Sprintf("priority %d against %d of %v", c.ours, c.theirs, c.from)
	case gaveUp:
		return fmt.Sprintf("%v gave up the role", c.from)
	case silence:
		return fmt.Sprintf("no master heard for %v", c.wait.Round(time.Millisecond))
	case heldUp:
		return fmt.Sprintf("was held up for %v", c.wait.Round(time.Millisecond))
	}
	return c.text
}

// against is why the sender of an advert is the master and not we.
func (m *Machine) against(from netip.Addr, a Advert) cause {
	c := cause{why: notReady, from: from, theirs: a.Priority, ours: m.p.Priority, text: m.unready}
	switch {
	case a.Priority > m.p.Priority:
		c.why = outranked
	case a.Priority == m.p.Priority:
		c.why = matched
	case m.stepped.on:
		c.why = steppedDown
	case !m.p.Preempt:
		c.why = notPreempted
	}
	return c
}

// outdated reports whether a lower master is one to be left alone by now: this router could not serve, or is itself the
// lower one.
func (m *Machine) outdated() bool {
	return m.lower && (!m.preempts() || m.expiry.theirs >= m.p.Priority)
}
