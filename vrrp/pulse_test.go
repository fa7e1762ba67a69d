// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"strings"
	"testing"
	"time"
)

// TestStuck: an instance whose goroutine, or that of its addresses, does not come back from a call is found; one that waits
// for something is not.
func TestStuck(t *testing.T) {
	for _, row := range []struct {
		call, want  string
		early, late time.Duration // since the call began to block: not found yet, and found
	}{
		{"send", "the election", 9 * time.Second, 11 * time.Second},
		{"hold", "the keeping of its addresses", 29 * time.Second, 31 * time.Second},
	} {
		t.Run(row.call, func(t *testing.T) {
			test(t, func(t *testing.T, w *world) {
				c := config()
				c.Lease = 3 * time.Second
				r := w.master(c)
				begin := time.Since(w.start)
				w.until(begin + time.Hour)
				if s := r.Stuck(); s != "" {
					t.Fatalf("after an hour as master: %s", s)
				}
				hung := w.blocks(row.call)
				defer close(hung)
				begin = time.Since(w.start) + time.Second // by then there is an advert, and the lease to renew
				w.until(begin + row.early)
				if s := r.Stuck(); s != "" {
					t.Errorf("stuck too early: %s", s)
				}
				w.until(begin + row.late)
				if s := r.Stuck(); !strings.HasPrefix(s, row.want+" was due ") {
					t.Errorf("got %q, want %q", s, row.want)
				}
			})
		})
	}
}

// TestWaitingIsNotStuck: a router in fault, that only an event can mend, has nothing to do; neither has one that has ended.
func TestWaitingIsNotStuck(t *testing.T) {
	test(t, func(t *testing.T, w *world) {
		r := w.master(config())
		w.change(func() { w.links["eth0"] = 0 })
		w.until(time.Since(w.start) + time.Hour)
		if s := r.Stuck(); s != "" || r.Status().State != Fault {
			t.Errorf("in %v: %s", r.Status().State, s)
		}
		r.stop()
		w.until(time.Since(w.start) + time.Hour)
		if s := r.Stuck(); s != "" {
			t.Errorf("ended: %s", s)
		}
	})
}
