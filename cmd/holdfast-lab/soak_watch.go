// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/holdfast-lb/holdfast/internal/drill"
)

// sharing watches how long two directors hold the address at once while they could hear each other.
type sharing struct {
	mu      sync.Mutex
	deaf    int       // faults under way that keep them from hearing each other
	seen    time.Time // the last time that the watch looked
	since   time.Time // of the sharing that goes on; zero: there is none
	longest time.Duration
}

// watchLate is how long the watch is away at most when the machine is not too busy.
const watchLate = 500 * time.Millisecond

// hear begins and ends a fault that keeps the directors from hearing each other. What they shared meanwhile is forgotten.
func (w *sharing) hear(hears bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.since = time.Time{}
	if hears {
		w.deaf--
	} else {
		w.deaf++
	}
}

func (w *sharing) see(o drill.Observation) {
	w.mu.Lock()
	defer w.mu.Unlock()
	// While this machine does not run the watch it does not run the directors and their leases either.
	if late := o.At.Sub(w.seen) - watchLate; late > 0 && !w.since.IsZero() {
		w.since = w.since.Add(late)
	}
	w.seen = o.At
	switch {
	case w.deaf > 0 || len(o.Holders) < 2:
		w.since = time.Time{}
	case w.since.IsZero():
		w.since = o.At
	default:
		w.longest = max(w.longest, o.At.Sub(w.since))
	}
}

func (w *sharing) most() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.longest
}

// What a director may have more of at the end of its life than at the beginning, by the medians of the thirds.
const (
	soakMoreFiles      = 8
	soakMoreGoroutines = 12
	soakMoreMemory     = 16 // MiB
	soakFewest         = 9  // rounds that a process must have lived to be judged
)

// growth says what the process had more of in the last third than in the first; empty: nothing beyond the bounds.
func growth(series []usage) string {
	if len(series) < soakFewest {
		return ""
	}
	first, last := middle(series[:len(series)/3]), middle(series[len(series)-len(series)/3:])
	found := cmp.Or(
		above("open files", last.files-first.files, soakMoreFiles),
		above("goroutines", last.goroutines-first.goroutines, soakMoreGoroutines),
		above("MiB of memory", last.resident-first.resident, soakMoreMemory),
	)
	if found == "" {
		return ""
	}
	return fmt.Sprintf("process %d grew over %d rounds: %s (%+v, then %+v)", first.pid, len(series), found, first, last)
}

// middle is made of the medians.
func middle(series []usage) usage {
	median := func(of func(usage) int) int {
		var all []int
		for _, u := range series {
			all = append(all, of(u))
		}
		slices.Sort(all)
		return all[len(all)/2]
	}
	return usage{
		pid:   series[0].pid,
		files: median(func(u usage) int { return u.files }), goroutines: median(func(u usage) int { return u.goroutines }),
		resident: median(func(u usage) int { return u.resident }),
	}
}
