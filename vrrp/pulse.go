// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"fmt"
	"sync"
	"time"
)

// How late a goroutine may be before it counts as stuck: longer than what it asks of the kernel takes, which answers or is
// given up on within seconds. The second one may have many addresses to see to.
const (
	electionLate = 10 * time.Second
	keeperLate   = 30 * time.Second
)

// pulse shows others whether a goroutine that works in rounds comes to the end of each, and begins the next in time.
type pulse struct {
	mu  sync.Mutex
	due time.Time // when the goroutine is to be seen again; zero: it waits for an event, or does not run
}

// works notes that a round has begun.
func (p *pulse) works() { p.set(time.Now()) }

// waits notes that a round is over, and the next one due after d; negative: when something happens.
func (p *pulse) waits(d time.Duration) {
	if d < 0 {
		p.set(time.Time{})
		return
	}
	p.set(time.Now().Add(d))
}

func (p *pulse) set(due time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.due = due
}

// late is for how long the goroutine should have been seen by now; 0: it is in time.
func (p *pulse) late() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.due.IsZero() {
		return 0
	}
	return max(0, time.Since(p.due))
}

// Name is that of the virtual router.
func (i *Instance) Name() string { return i.name }

// Stuck says which part of a running instance has not been seen for long although it had something to do; empty: none. One
// that waits, has not begun or has ended is not stuck. It is cheap, and never blocks for long.
func (i *Instance) Stuck() string {
	if late := i.pulse.late(); late > electionLate {
		return fmt.Sprintf("the election was due %v ago", late.Round(time.Second))
	}
	if late := i.keeper.pulse.late(); late > keeperLate {
		return fmt.Sprintf("the keeping of its addresses was due %v ago", late.Round(time.Second))
	}
	return ""
}
