// SPDX-License-Identifier: Apache-2.0

// Package drill measures what a client sees while directors fail: a [Load] opens new connections at a steady pace, a
// [Watch] samples who holds the address, and [Summarize], [Spans] and the functions beside them turn what these recorded
// into figures. The figures are pure functions of the records.
package drill

import (
	"slices"
	"time"
)

// A Sample is one request.
type Sample struct {
	Start  time.Time
	End    time.Time     // when the whole answer was there, or the request was given up
	Late   time.Duration // what the client itself was late by, with starting the request or with giving it up
	Server string        // who answered, by the header that Load.ServerHeader names; empty: unknown
	Error  string        // why it failed, one of few words; empty: it succeeded
}

// OK reports whether the request succeeded.
func (s Sample) OK() bool { return s.Error == "" }

// A Report is what a client saw over a while.
type Report struct {
	Requests int
	Lost     int
	// LongestGap is the longest time in which no answer was completed: between two successes that follow each other by
	// their End, from the first Start to the first success, or from the last success to the End of the last request. At
	// a pace of 10 ms and with nothing wrong it is 10 to 20 ms; a single lost request adds one interval.
	LongestGap time.Duration
	Servers    map[string]int // successes by who answered
	Errors     map[string]int // failures by reason
	// Late is the most that the client itself was late by. A large value says that the machine that measures was too
	// busy, and the figures are worth as much.
	Late time.Duration
}

// Summarize draws up the report of samples in any order.
func Summarize(samples []Sample) Report {
	r := Report{Requests: len(samples), Servers: make(map[string]int), Errors: make(map[string]int)}
	for _, s := range samples {
		r.Late = max(r.Late, s.Late)
		if s.OK() {
			r.Servers[s.Server]++
		} else {
			r.Errors[s.Error]++
			r.Lost++
		}
	}
	r.LongestGap = longestGap(samples)
	return r
}

func longestGap(samples []Sample) time.Duration {
	if len(samples) == 0 {
		return 0
	}
	last, end := samples[0].Start, samples[0].End
	var successes []time.Time
	for _, s := range samples {
		if s.Start.Before(last) {
			last = s.Start
		}
		if s.End.After(end) {
			end = s.End
		}
		if s.OK() {
			successes = append(successes, s.End)
		}
	}
	slices.SortFunc(successes, time.Time.Compare)
	var gap time.Duration
	for _, t := range append(successes, end) {
		gap = max(gap, t.Sub(last))
		last = t
	}
	return gap
}

// Between returns the samples that started from the one time on and before the other.
func Between(samples []Sample, from, to time.Time) []Sample {
	var in []Sample
	for _, s := range samples {
		if !s.Start.Before(from) && s.Start.Before(to) {
			in = append(in, s)
		}
	}
	return in
}

// LastFrom returns when the last request that the server answered was started; zero if it answered none.
func LastFrom(samples []Sample, server string) time.Time {
	var last time.Time
	for _, s := range samples {
		if s.OK() && s.Server == server && s.Start.After(last) {
			last = s.Start
		}
	}
	return last
}

// FirstFrom returns when the first request from that time on that the server answered was started; zero if there is none.
func FirstFrom(samples []Sample, server string, from time.Time) time.Time {
	var first time.Time
	for _, s := range samples {
		if s.OK() && s.Server == server && !s.Start.Before(from) && (first.IsZero() || s.Start.Before(first)) {
			first = s.Start
		}
	}
	return first
}
