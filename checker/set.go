// SPDX-License-Identifier: Apache-2.0

package checker

import (
	"log/slog"
	"regexp"
	"sync"
	"time"
)

// Options are what a Set needs beside its checks. The zero value works.
type Options struct {
	Concurrency int // checks in flight that hold a goroutine: all but TCP, which take 4096; 0: 1024
	Log         *slog.Logger

	// OnChange and OnResult are called one at a time, in order, and must not block. They may call Apply and Snapshot.
	OnChange func(Change)         // each change of verdict; the first one, too
	OnResult func(Status, Result) // each run; before OnChange
}

const (
	defaultConcurrency = 1024
	tcpConcurrency     = 4096
)

// Set is a set of running checks. Apply gives it the checks, Run runs them.
//
// With neither timeout nor retry longer than the interval, a server is down at the latest fall × interval + timeout
// after it stops to pass, and up rise × interval + timeout after it passes again.
type Set struct {
	log      *slog.Logger
	onChange func(Change)
	onResult func(Status, Result)
	base     time.Time
	probe    func(Key, *Config) Probe // of a test; nil: the real ones

	wake       chan struct{} // Apply has been called
	done       chan []outcome
	firstRound chan struct{}

	mu        sync.Mutex // guards what follows and the entries; never held while something is called or waited for
	checks    map[Key]*entry
	order     []*entry // as applied
	deadlines deadlines
	tcp, rest lane
	exprs     map[string]*regexp.Regexp // nil: does not compile
	faults    map[string]int            // entries by the reason of their local fault
	applied   bool                      // at least once
	first     int                       // checks that FirstRound waits for
	firstDone bool                      // firstRound is closed
}

// lane bounds how many checks of one sort are in flight.
type lane struct {
	limit, running int
	waiting        []*entry // due, in order
}

// NewSet returns a Set without checks. It starts nothing.
func NewSet(o Options) *Set {
	s := &Set{
		log:        o.Log,
		onChange:   o.OnChange,
		onResult:   o.OnResult,
		base:       time.Now(),
		wake:       make(chan struct{}, 1),
		done:       make(chan []outcome),
		firstRound: make(chan struct{}),
		faults:     make(map[string]int),
		tcp:        lane{limit: tcpConcurrency},
		rest:       lane{limit: o.Concurrency},
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.onChange == nil {
		s.onChange = func(Change) {}
	}
	if s.onResult == nil {
		s.onResult = func(Status, Result) {}
	}
	if s.rest.limit <= 0 {
		s.rest.limit = defaultConcurrency
	}
	return s
}

// Apply replaces the checks, before or while Run runs; keys are unique. A check that is equal goes on undisturbed, one
// with another Config on the same target begins anew from its verdict, one on another target from Check.Start. The first
// check of what is new runs at once.
func (s *Set) Apply(checks []Check) {
	exprs := compile(checks)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.exprs = exprs
	old, now := s.checks, time.Now()
	s.checks, s.order = make(map[Key]*entry, len(checks)), make([]*entry, 0, len(checks))
	for _, c := range checks {
		if s.checks[c.Key] != nil {
			continue
		}
		e := old[c.Key]
		if e != nil && e.config == c.Config {
			delete(old, c.Key)
		} else {
			e = s.add(c, e, now)
		}
		s.checks[c.Key] = e
		s.order = append(s.order, e)
	}
	for _, e := range old {
		s.drop(e)
	}
	s.applied = true
	s.checkFirstRound()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// add makes the entry of a new check; old is the one that it replaces, nil: none. A verdict on another target says
// nothing.
func (s *Set) add(c Check, old *entry, now time.Time) *entry {
	e := newEntry(c, now)
	if old != nil && old.config.Target == c.Config.Target && old.tally.Verdict != Unknown {
		e.tally.Verdict, e.since = old.tally.Verdict, old.since
	}
	if !s.applied {
		e.first = true
		s.first++
	}
	s.deadlines.add(e, now.Sub(s.base))
	return e
}

// drop ends an entry. One in flight stays where it is until its result comes.
func (s *Set) drop(e *entry) {
	e.gone = true
	if !e.running {
		s.deadlines.remove(e)
	}
	if e.first {
		e.first = false
		s.first--
	}
	s.setFault(e, "")
}

// Snapshot returns the state of all checks, in the order of Apply.
func (s *Set) Snapshot() []Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]Status, len(s.order))
	for i, e := range s.order {
		out[i] = e.status()
	}
	return out
}

// FirstRound is closed when each check of the first Apply has run once, whatever came of it, or has been replaced or
// removed, and OnChange has been called for it.
func (s *Set) FirstRound() <-chan struct{} { return s.firstRound }

func (s *Set) checkFirstRound() {
	if s.first == 0 && !s.firstDone {
		s.firstDone = true
		close(s.firstRound)
	}
}

// setFault notes the local fault that an entry has met, empty: none, and reports whether the new one is the first of its
// reason, and whether the one before was the last of its own: the edges to log.
func (s *Set) setFault(e *entry, reason string) (begins, ends bool) {
	if e.fault == reason {
		return false, false
	}
	if e.fault != "" {
		s.faults[e.fault]--
		ends = s.faults[e.fault] == 0
	}
	if reason != "" {
		s.faults[reason]++
		begins = s.faults[reason] == 1
	}
	e.fault = reason
	return begins, ends
}

// compile compiles each expression of the checks once. One that does not compile becomes nil.
func compile(checks []Check) map[string]*regexp.Regexp {
	exprs := make(map[string]*regexp.Regexp)
	for _, c := range checks {
		expr := c.Config.Expect
		if _, ok := exprs[expr]; ok || expr == "" {
			continue
		}
		re, err := regexp.Compile(expr)
		if err != nil {
			re = nil
		}
		exprs[expr] = re
	}
	return exprs
}
