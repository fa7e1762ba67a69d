// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// suspendClock tells for how long the machine has slept: CLOCK_BOOTTIME goes on meanwhile, CLOCK_MONOTONIC does not.
type suspendClock struct {
	mu   sync.Mutex
	zero time.Duration
	last time.Duration
}

// suspendLeast is what a sleep takes at least; less is the time between two readings.
const suspendLeast = 10 * time.Millisecond

func (s *suspendClock) start() { s.zero, _ = suspendedSinceBoot() }

func (s *suspendClock) total() time.Duration {
	now, ok := suspendedSinceBoot()
	s.mu.Lock()
	defer s.mu.Unlock()
	if total := now - s.zero; ok && total-s.last >= suspendLeast {
		s.last = total
	}
	return s.last
}

// suspendedSinceBoot compares the clocks; not ok: something else ran between the readings each time.
func suspendedSinceBoot() (d time.Duration, ok bool) {
	for range 3 {
		before, boot, after := clock(unix.CLOCK_MONOTONIC), clock(unix.CLOCK_BOOTTIME), clock(unix.CLOCK_MONOTONIC)
		if d = boot - after; after-before < suspendLeast/2 {
			return d, true
		}
	}
	return d, false
}

func clock(id int32) time.Duration {
	var t unix.Timespec
	_ = unix.ClockGettime(id, &t) // fails only for a clock that there is not
	return time.Duration(t.Nano())
}

// Suspended implements Host. It counts from OpenNetwork.
func (n *Network) Suspended() time.Duration { return n.suspend.total() }
