// SPDX-License-Identifier: Apache-2.0

package drill

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// A Candidate is a director that may hold the address.
type Candidate struct {
	Name  string
	Holds func() (bool, error)
}

// An Observation says who held the address at a moment, in the order of the candidates.
type Observation struct {
	At      time.Time
	Holders []string
}

// A Watch observes who holds the address.
type Watch struct {
	Every      time.Duration // 0: 50 ms
	Candidates []Candidate
}

// Run records an observation at once and then every interval until ctx ends. It fails if a candidate cannot be asked.
func (w Watch) Run(ctx context.Context, record func(Observation)) error {
	every := w.Every
	if every == 0 {
		every = 50 * time.Millisecond
	}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		o := Observation{At: time.Now()}
		for _, c := range w.Candidates {
			holds, err := c.Holds()
			if err != nil {
				return fmt.Errorf("ask whether %s holds the address: %w", c.Name, err)
			}
			if holds {
				o.Holders = append(o.Holders, c.Name)
			}
		}
		record(o)
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// A Span is a time over which the same directors held the address. It ends where the next one begins, so both ends are
// right to one interval of the watch.
type Span struct {
	From, To time.Time
	Holders  []string
}

// Duration is the length of the span.
func (s Span) Duration() time.Duration { return s.To.Sub(s.From) }

// Spans joins observations, in the order of time, from the one time on.
func Spans(observations []Observation, from time.Time) []Span {
	var spans []Span
	for _, o := range observations {
		if o.At.Before(from) {
			continue
		}
		if n := len(spans); n > 0 {
			spans[n-1].To = o.At
			if slices.Equal(spans[n-1].Holders, o.Holders) {
				continue
			}
		}
		spans = append(spans, Span{o.At, o.At, o.Holders})
	}
	return spans
}

// Shared returns the longest time that two or more held the address at once.
func Shared(spans []Span) time.Duration {
	return longest(spans, func(s Span) bool { return len(s.Holders) > 1 })
}

// Unheld returns the longest time that nobody held the address.
func Unheld(spans []Span) time.Duration {
	return longest(spans, func(s Span) bool { return len(s.Holders) == 0 })
}

// Without returns the longest time that the director did not hold the address.
func Without(spans []Span, name string) time.Duration {
	return longest(spans, func(s Span) bool { return !slices.Contains(s.Holders, name) })
}

// LetGo returns when the director was first seen without the address; zero if it held it all the time.
func LetGo(spans []Span, name string) time.Time {
	for _, s := range spans {
		if !slices.Contains(s.Holders, name) {
			return s.From
		}
	}
	return time.Time{}
}

// longest returns the longest time over which all spans are as wanted. Spans differ, but several in a row may be.
func longest(spans []Span, wanted func(Span) bool) time.Duration {
	var most, run time.Duration
	for _, s := range spans {
		if !wanted(s) {
			run = 0
			continue
		}
		run += s.Duration()
		most = max(most, run)
	}
	return most
}
