// SPDX-License-Identifier: Apache-2.0

package checker

import (
	"log/slog"
	"net/netip"
	"regexp"
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"unique"
)

// Options are what a Set needs beside its checks. The zero value works.
type Options struct {
	Concurrency int // checks in flight that hold a goroutine: all but plain TCP, see maxConnects; 0: 1024
	Log         *slog.Logger

	// Virtual reports an address that moves between directors: no check is sent from it that has no Source. Nil: none is.
	// It is asked seldom, for AddressesChanged tells when to ask again.
	Virtual func(netip.Addr) bool

	// OnChange and OnResult are called one at a time, in order, and must not block. They may call Apply and Snapshot.
	OnChange func(Change)         // each change of verdict; the first one, too
	OnResult func(Status, Result) // each run; before OnChange
	OnLate   func(time.Duration)  // each run, or slot left out: how long after its time
}

const (
	defaultConcurrency = 1024
	tcpConcurrency     = 16384
)

// Set is a set of running checks. Apply gives it the checks, Run runs them. Checks with an equal Config run as one, and
// each takes the result for itself.
//
// Time is CLOCK_MONOTONIC, which stands still while the machine is suspended: all slots move by that, and none is missed.
//
// With neither timeout nor retry longer than the interval, a server is down at the latest fall × interval + timeout
// after it stops to pass, and up rise × interval + timeout after it passes again; but what is due while as many are in
// flight as may be waits for the first of them to end, which OnLate tells.
type Set struct {
	log      *slog.Logger
	onChange func(Change)
	onResult func(Status, Result)
	onLate   func(time.Duration)
	virtual  func(netip.Addr) bool
	changes  atomic.Uint64 // of addresses and checks
	base     time.Time
	probe    func(*Config) Probe // of a test; nil: the real ones

	wake       chan struct{} // Apply has been called
	done       chan []outcome
	firstRound chan struct{}

	mu        sync.Mutex // guards what follows, entries and members; never held while something is called or waited for
	members   map[Key]*member
	order     []*member // as applied
	entries   map[job]*entry
	deadlines deadlines
	tcp, rest lane
	exprs     map[string]*regexp.Regexp // nil: does not compile
	faults    map[string]int            // entries by the reason of their local fault
	applied   bool                      // at least once
	first     int                       // checks that FirstRound waits for
	firstDone bool                      // firstRound is closed
}

// job is what an entry does. Checks of an equal one run as one.
type job struct {
	of     unique.Handle[Config]
	target netip.AddrPort
	key    unique.Handle[Key] // of Exec alone: a program is told its Key, and so runs for no other
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
		onLate:     o.OnLate,
		virtual:    o.Virtual,
		base:       time.Now(),
		wake:       make(chan struct{}, 1),
		done:       make(chan []outcome),
		firstRound: make(chan struct{}),
		entries:    make(map[job]*entry),
		faults:     make(map[string]int),
		tcp:        lane{limit: maxConnects()},
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
	if s.onLate == nil {
		s.onLate = func(time.Duration) {}
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
	configs := configsOf(checks)
	exprs := compile(configs)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.exprs = exprs
	old, now := s.members, time.Now()
	s.members, s.order = make(map[Key]*member, len(checks)), make([]*member, 0, len(checks))
	for _, c := range checks {
		if s.members[c.Key] != nil {
			continue
		}
		m := old[c.Key]
		config := configs[c.Config]
		j := job{of: c.Config, target: c.Target}
		if config.Kind == Exec {
			j.key = unique.Make(c.Key)
		}
		if m != nil && m.entry.job == j {
			delete(old, c.Key)
		} else {
			m = s.add(c, j, config, m, now)
		}
		s.members[c.Key] = m
		s.order = append(s.order, m)
	}
	for _, m := range old {
		s.drop(m)
	}
	s.applied = true
	s.changes.Add(1) // so that what is known of targets that are gone is forgotten
	s.checkFirstRound()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// add makes a member of a new check; old is the one that it replaces, nil: none. A verdict on another target says nothing.
func (s *Set) add(c Check, j job, config *Config, old *member, now time.Time) *member {
	m := &member{key: c.Key, tally: newTally(config, c.Start), since: now}
	if old != nil && old.entry.target == j.target && old.tally.Verdict != Unknown {
		m.tally.Verdict, m.since = old.tally.Verdict, old.since
		m.weight, m.unsaid = old.weight, old.unsaid
	} else if c.Start == Down {
		m.unsaid, m.tally.relapse = true, uint8(min(max(c.Relapses, 0), maxRelapse))
		if !c.Since.IsZero() {
			m.since = c.Since
		}
	}
	m.tally.changed = m.since.Sub(s.base)
	if !s.applied {
		m.first = true
		s.first++
	}
	s.join(m, j, config, now.Sub(s.base))
	return m
}

// join gives a member its entry. One that is in flight has a result for it soon, and any other runs at once.
func (s *Set) join(m *member, j job, config *Config, now time.Duration) {
	e := s.entries[j]
	switch {
	case e == nil:
		e = &entry{job: j, config: config, phase: phase(m.key, interval(config)), index: -1, fresh: true}
		s.entries[j] = e
		s.deadlines.add(e, now)
	case !e.running && e.index >= 0 && e.due > now: // else it waits in its lane already
		s.deadlines.remove(e)
		s.deadlines.add(e, now)
	}
	e.members = append(e.members, m)
	m.entry = e
}

// drop ends a member, and its entry with the last one. An entry in flight stays where it is until its result comes.
func (s *Set) drop(m *member) {
	if m.first {
		m.first = false
		s.first--
	}
	e := m.entry
	e.members = slices.DeleteFunc(e.members, func(o *member) bool { return o == m })
	if !e.gone() {
		return
	}
	delete(s.entries, e.job)
	if !e.running {
		s.deadlines.remove(e)
	}
	s.setFault(e, "")
}

// AddressesChanged says that the addresses of this host have, or which of them are virtual. It does not block.
func (s *Set) AddressesChanged() { s.changes.Add(1) }

// Snapshot returns the state of all checks, in the order of Apply.
func (s *Set) Snapshot() []Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Since(s.base)
	out := make([]Status, len(s.order))
	for i, m := range s.order {
		out[i] = m.status(now)
		if !m.entry.running && m.entry.index >= 0 {
			out[i].Next = s.base.Add(m.entry.due)
		}
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

// configsOf are the configurations of the checks, each once.
func configsOf(checks []Check) map[unique.Handle[Config]]*Config {
	configs := make(map[unique.Handle[Config]]*Config)
	for _, c := range checks {
		if configs[c.Config] == nil {
			config := c.Config.Value()
			configs[c.Config] = &config
		}
	}
	return configs
}

// compile compiles each expression once. One that does not compile becomes nil.
func compile(configs map[unique.Handle[Config]]*Config) map[string]*regexp.Regexp {
	exprs := make(map[string]*regexp.Regexp)
	for _, c := range configs {
		expr := c.Expect
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
