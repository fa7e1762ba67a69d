// SPDX-License-Identifier: Apache-2.0

package checker

import (
	"container/heap"
	"errors"
	"fmt"
	"time"
)

// entry is one running check. Times that are durations count from the base of the Set.
type entry struct {
	key    Key
	config Config
	phase  time.Duration

	tally    Tally
	since    time.Time
	last     time.Time
	duration time.Duration
	reason   string
	detail   string
	counts   Counts
	fault    string // the reason of the local fault that the last run met; empty: none

	due        time.Duration // of the next run; of a TCP check in flight: of its deadline
	started    time.Duration
	index      int   // on the heap; -1: not on it
	fd         int   // of a TCP check in flight
	generation int32 // of a TCP check in flight: which user of fd it is
	running    bool
	fresh      bool // has not run yet
	first      bool // FirstRound waits for it
	gone       bool // no longer in the Set; its result counts no more
}

// outcome is how one run ended.
type outcome struct {
	entry *entry
	res   Result
	end   time.Time
}

func newEntry(c Check, now time.Time) *entry {
	return &entry{
		key:    c.Key,
		config: c.Config,
		phase:  phase(c.Key, interval(&c.Config)),
		tally:  Tally{Rise: c.Config.Rise, Fall: c.Config.Fall, Verdict: c.Start},
		since:  now,
		index:  -1,
		fresh:  true,
	}
}

// record takes the outcome of a run and reports a change of verdict.
func (e *entry) record(o outcome, took time.Duration) (change Change, changed bool) {
	e.last, e.duration = o.end, took
	e.reason, e.detail = o.res.Reason, o.res.Detail
	e.counts.add(o.res)
	if errors.Is(o.res.Err, ErrLocal) || !e.tally.Add(o.res.Err == nil) {
		return Change{}, false
	}
	e.since = o.end
	detail := e.detail
	if e.tally.Run > 1 {
		detail = fmt.Sprintf("%s (%d in a row)", detail, e.tally.Run)
	}
	return Change{Key: e.key, Target: e.config.Target, Verdict: e.tally.Verdict, Reason: e.reason, Detail: detail, At: o.end}, true
}

func (e *entry) status() Status {
	return Status{
		Key:      e.key,
		Config:   e.config,
		Verdict:  e.tally.Verdict,
		Since:    e.since,
		Last:     e.last,
		Duration: e.duration,
		Reason:   e.reason,
		Detail:   e.detail,
		Run:      e.tally.Run,
		Counts:   e.counts,
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
	return !e.fresh && !e.tally.Pending() && now-e.due >= interval(&e.config)
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
