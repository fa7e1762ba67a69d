// SPDX-License-Identifier: Apache-2.0

package checker

import (
	"container/heap"
	"errors"
	"fmt"
	"slices"
	"time"
)

// entry is what runs: one check for all that have an equal Config. Times that are durations count from the base of the
// Set.
type entry struct {
	job
	config  *Config   // that of the job
	members []*member // that its results are for; empty: it is no longer in the Set, and its result counts no more

	phase      time.Duration
	due        time.Duration // of the next run; of a TCP check in flight: of its deadline
	started    time.Duration
	fault      string // the reason of the local fault that the last run met; empty: none
	index      int    // on the heap; -1: not on it
	fd         int    // of a TCP check in flight
	generation int32  // of a TCP check in flight: which user of fd it is
	running    bool
	fresh      bool // has not run yet
}

// member is one configured check: what the results of its entry mean for its Key.
type member struct {
	key   Key
	entry *entry

	tally    Tally
	since    time.Time
	last     time.Time
	duration time.Duration
	reason   string
	detail   string
	counts   Counts
	weight   Weight
	first    bool // FirstRound waits for it
	unsaid   bool // it is down from its start, and nobody knows why
}

// outcome is how one run ended.
type outcome struct {
	entry *entry
	res   Result
	end   time.Time
}

// gone reports that nothing in the Set wants the result any more.
func (e *entry) gone() bool { return len(e.members) == 0 }

// whole is the configuration with its target.
func (e *entry) whole() Config {
	c := *e.config
	c.Target = e.target
	return c
}

// pending reports whether a member wants more results soon.
func (e *entry) pending() bool {
	return slices.ContainsFunc(e.members, func(m *member) bool { return m.tally.Pending() })
}

// record takes the outcome of a run, and reports a change of verdict, or of the weight of a server that is up.
func (m *member) record(o outcome, now, took time.Duration) (change Change, changed bool) {
	m.last, m.duration = o.end, took
	m.reason, m.detail = o.res.Reason, o.res.Detail
	m.counts.add(o.res)
	if errors.Is(o.res.Err, ErrLocal) {
		return Change{}, false
	}
	turned := m.tally.Add(now, o.res.Err == nil)
	weighed := o.res.Err == nil && o.res.Weight != m.weight
	if weighed {
		m.weight = o.res.Weight
	}
	if turned {
		m.since = o.end
	}
	says := m.unsaid && o.res.Err != nil
	m.unsaid = m.unsaid && !says && !turned
	if !turned && !says && (!weighed || m.tally.Verdict != Up) {
		return Change{}, false
	}
	return Change{
		Key: m.key, Target: m.entry.target, Verdict: m.tally.Verdict, Reason: m.reason, Detail: m.describe(now),
		Weight: m.weight, At: o.end, Relapses: int(m.tally.relapse),
	}, true
}

// describe is the detail of a change.
func (m *member) describe(now time.Duration) string {
	detail := m.detail
	if m.tally.Run > 1 {
		detail = fmt.Sprintf("%s (%d in a row)", detail, m.tally.Run)
	}
	if m.tally.Verdict == Down && m.tally.Damped(now) > 0 {
		detail = fmt.Sprintf("%s, flapping: needs %d passes", detail, m.tally.Need(now))
	}
	return detail
}

func (m *member) status(now time.Duration) Status {
	return Status{
		Key:      m.key,
		Verdict:  m.tally.Verdict,
		Since:    m.since,
		Last:     m.last,
		Duration: m.duration,
		Reason:   m.reason,
		Detail:   m.detail,
		Run:      m.tally.Run,
		Passing:  m.tally.passed,
		Need:     max(1, m.tally.Need(now)),
		Counts:   m.counts,
		Weight:   m.weight,
		Damped:   time.Duration(m.tally.Damped(now)) * retry(m.entry.config),
	}
}

func (c *Counts) add(r Result) {
	switch {
	case r.Err == nil:
		c.Passed++
	case errors.Is(r.Err, ErrLocal):
		c.Local++
	default:
		c.Failed++
	}
}

// missed reports that a check comes so late that it is better left out: after a stall of this process everything is
// due at once. A first run, or one that a change of verdict waits for, is never left out.
func (e *entry) missed(now time.Duration) bool {
	return !e.fresh && now-e.due >= interval(e.config) && !e.pending()
}

// deadlines is the heap of all entries that something is due for, by due.
type deadlines []*entry

func (d deadlines) Len() int           { return len(d) }
func (d deadlines) Less(i, j int) bool { return d[i].due < d[j].due }

func (d deadlines) Swap(i, j int) {
	d[i], d[j] = d[j], d[i]
	d[i].index, d[j].index = i, j
}

// Push is for heap.Push only.
func (d *deadlines) Push(x any) {
	e := x.(*entry)
	e.index = len(*d)
	*d = append(*d, e)
}

// Pop is for heap.Pop only.
func (d *deadlines) Pop() any {
	last := len(*d) - 1
	e := (*d)[last]
	(*d)[last] = nil
	*d = (*d)[:last]
	e.index = -1
	return e
}

func (d *deadlines) add(e *entry, due time.Duration) {
	e.due = due
	heap.Push(d, e)
}

func (d *deadlines) remove(e *entry) {
	if e.index >= 0 {
		heap.Remove(d, e.index)
	}
}
