// SPDX-License-Identifier: Apache-2.0

package track

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/holdfast-lb/holdfast/internal/command"
)

// Options is what a Set works with.
type Options struct {
	Log *slog.Logger // nil: none
	// OnChange is called with each change of Pending, Failed, Value or HasValue, one at a time and in order. It must not
	// block. It may call Apply and Snapshot.
	OnChange func(Status)
}

// Set follows trackers while Run runs.
type Set struct {
	log                *slog.Logger
	onChange           func(Status)
	run                func(context.Context, command.Command) (command.Result, error)
	proc               string        // where the processes are
	poll               time.Duration // of files, as a safety net
	scanNet, scanBlind time.Duration // of processes, with and without events
	events             func() (processEvents, error)

	wake [File + 1]chan struct{} // by kind: Apply has been called

	telling sync.Mutex // held while onChange is called, so that changes are told in order
	mu      sync.Mutex // guards entries and what is in them; never held while something is called or waited for
	entries map[Key]*entry
}

// entry is a tracker that is followed. Its pointer tells it from one of the same key that came later.
type entry struct {
	settings settings
	status   Status
	stop     context.CancelFunc // Script that runs; nil: not yet
	ended    chan struct{}      // Script: closed when it runs no more
	after    *entry             // Script: what it replaces, and does not overlap
}

// NewSet returns a set that is not running.
func NewSet(o Options) *Set {
	s := &Set{
		log:       o.Log,
		onChange:  o.OnChange,
		run:       func(ctx context.Context, c command.Command) (command.Result, error) { return c.Run(ctx) },
		proc:      "/proc",
		poll:      filePoll,
		scanNet:   scanNet,
		scanBlind: scanBlind,
		events:    listenProcesses,
	}
	for k := range s.wake {
		s.wake[k] = make(chan struct{}, 1)
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.onChange == nil {
		s.onChange = func(Status) {}
	}
	return s
}

// Apply makes the trackers those that are followed; keys are unique. One that is equal, but perhaps for its weight, goes
// on with its history. One that does the same in another rhythm begins anew from its verdict, any other one as Pending.
func (s *Set) Apply(trackers []Tracker) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.entries
	s.entries = make(map[Key]*entry, len(trackers))
	for _, t := range trackers {
		set := t.settings()
		e := old[t.Key]
		if e == nil || e.settings != set {
			e = newEntry(set, e)
		} else {
			delete(old, t.Key)
		}
		s.entries[t.Key] = e
	}
	for _, e := range old {
		if e.stop != nil {
			e.stop()
		}
	}
	for _, c := range s.wake {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

// newEntry returns an entry that takes the place of another one; nil: of none.
func newEntry(set settings, old *entry) *entry {
	e := &entry{settings: set, status: Status{Key: set.key, Pending: true, Detail: "not known yet"}, ended: make(chan struct{})}
	if old == nil {
		return e
	}
	if set.sameTarget(old.settings) {
		e.status = old.status
	}
	e.after = old
	if old.stop == nil { // it has never begun
		e.after = old.after
	}
	return e
}

// Run follows the trackers until ctx ends. Programs that run then are killed. It is called once.
func (s *Set) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	wg.Go(func() { s.followFiles(ctx) })
	wg.Go(func() { s.followProcesses(ctx) })
	s.followScripts(ctx)
	wg.Wait()
	return nil
}

// Snapshot returns the status of every tracker, in the order of their keys.
func (s *Set) Snapshot() []Status {
	s.mu.Lock()
	out := make([]Status, 0, len(s.entries))
	for _, e := range s.entries {
		out = append(out, e.status)
	}
	s.mu.Unlock()
	slices.SortFunc(out, func(a, b Status) int {
		return cmp.Or(cmp.Compare(a.Key.Router, b.Key.Router), cmp.Compare(a.Key.Kind, b.Key.Kind), cmp.Compare(a.Key.Name, b.Key.Name))
	})
	return out
}

// of returns the trackers of a kind.
func (s *Set) of(k Kind) []*entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []*entry
	for key, e := range s.entries {
		if key.Kind == k {
			out = append(out, e)
		}
	}
	return out
}

// update changes the status of an entry, unless it is followed no more, and tells if it changed.
func (s *Set) update(e *entry, change func(*Status)) {
	s.telling.Lock()
	defer s.telling.Unlock()
	s.mu.Lock()
	before := e.status
	change(&e.status)
	after := e.status
	current := s.entries[e.settings.key] == e
	s.mu.Unlock()
	if current && after.changed(before) {
		s.onChange(after)
	}
}

// statusOf returns what is known of an entry.
func (s *Set) statusOf(e *entry) Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	return e.status
}
