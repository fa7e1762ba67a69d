// SPDX-License-Identifier: Apache-2.0

package drill

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func ms(n int) time.Duration { return time.Duration(n) * time.Millisecond }

// sample is a request that started on time and took 2 ms, or until it was given up.
func sample(start int, server, failure string) Sample {
	s := Sample{Start: epoch.Add(ms(start)), End: epoch.Add(ms(start + 2)), Server: server, Error: failure}
	if failure == "connect timeout" {
		s.End = epoch.Add(ms(start + 200))
	}
	return s
}

func TestSummarize(t *testing.T) {
	late := sample(20, "web1", "")
	late.Start, late.End, late.Late = late.Start.Add(ms(7)), late.End.Add(ms(7)), ms(7)
	for _, tt := range []struct {
		name    string
		samples []Sample
		want    Report
	}{
		{"nothing", nil, Report{Servers: map[string]int{}, Errors: map[string]int{}}},
		{
			"healthy",
			[]Sample{sample(0, "web1", ""), sample(10, "web2", ""), sample(20, "web1", "")},
			Report{3, 0, ms(10), map[string]int{"web1": 2, "web2": 1}, map[string]int{}, 0},
		},
		{
			"an outage, and samples in the order of their ends",
			[]Sample{sample(0, "web1", ""), sample(40, "web2", ""), sample(10, "", "connect timeout"), sample(20, "", "refused"), sample(240, "web1", "")},
			Report{5, 2, ms(200), map[string]int{"web1": 2, "web2": 1}, map[string]int{"connect timeout": 1, "refused": 1}, 0},
		},
		{
			"lost until the end",
			[]Sample{sample(0, "web1", ""), sample(10, "", "connect timeout")},
			Report{2, 1, ms(208), map[string]int{"web1": 1}, map[string]int{"connect timeout": 1}, 0},
		},
		{
			"lost from the start",
			[]Sample{sample(0, "", "reset"), sample(10, "", "reset"), sample(20, "web1", "")},
			Report{3, 2, ms(22), map[string]int{"web1": 1}, map[string]int{"reset": 2}, 0},
		},
		{
			"all lost",
			[]Sample{sample(0, "", "connect timeout"), sample(10, "", "connect timeout")},
			Report{2, 2, ms(210), map[string]int{}, map[string]int{"connect timeout": 2}, 0},
		},
		{
			"started late",
			[]Sample{sample(0, "web1", ""), sample(10, "web2", ""), late},
			Report{3, 0, ms(17), map[string]int{"web1": 2, "web2": 1}, map[string]int{}, ms(7)},
		},
	} {
		if diff := cmp.Diff(tt.want, Summarize(tt.samples)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

func TestSelect(t *testing.T) {
	samples := []Sample{sample(30, "web1", ""), sample(0, "web1", ""), sample(10, "web2", ""), sample(20, "web1", "answer cut short")}
	if got := Between(samples, epoch.Add(ms(10)), epoch.Add(ms(30))); !cmp.Equal(got, samples[2:]) {
		t.Errorf("Between 10 and 30 ms = %v", got)
	}
	if got := LastFrom(samples, "web1"); !got.Equal(epoch.Add(ms(30))) {
		t.Errorf("last from web1 %v after the start, want 30 ms", got.Sub(epoch))
	}
	if got := FirstFrom(samples, "web1", epoch.Add(ms(1))); !got.Equal(epoch.Add(ms(30))) {
		t.Errorf("first from web1 %v after the start, want 30 ms: a failure is no answer", got.Sub(epoch))
	}
	if first, last := FirstFrom(samples, "web3", epoch), LastFrom(samples, "web3"); !first.IsZero() || !last.IsZero() {
		t.Errorf("web3, which answered nothing: first %v, last %v", first, last)
	}
}

// observe turns a word per 50 ms into observations: who of a and b holds the address, "-" for nobody.
func observe(words ...string) []Observation {
	var all []Observation
	for i, w := range words {
		o := Observation{At: epoch.Add(ms(50 * i))}
		for _, r := range w {
			if r != '-' {
				o.Holders = append(o.Holders, string(r))
			}
		}
		all = append(all, o)
	}
	return all
}

func TestHolders(t *testing.T) {
	for _, tt := range []struct {
		name                     string
		observations             []Observation
		shared, unheld, withoutA int
		letGoA                   int // -1: never
		spans                    int
	}{
		{"nothing seen", nil, 0, 0, 0, -1, 0},
		{"one holder", observe("a", "a", "a"), 0, 0, 0, -1, 1},
		{"handed over without a gap", observe("a", "a", "ab", "ab", "b", "b"), 100, 0, 50, 200, 3},
		{"a gap", observe("a", "-", "-", "b", "b"), 0, 100, 150, 50, 3},
		{"gone and back", observe("a", "-", "a", "-", "-", "b", "a"), 0, 100, 150, 50, 6},
		{"shared twice", observe("a", "ab", "b", "ab", "ab", "ab", "a"), 150, 0, 50, 100, 5},
		{"nobody to the end", observe("b", "-", "-"), 0, 50, 100, 0, 2},
	} {
		spans := Spans(tt.observations, epoch)
		if len(spans) != tt.spans {
			t.Errorf("%s: %d spans, want %d: %v", tt.name, len(spans), tt.spans, spans)
		}
		for _, f := range []struct {
			what      string
			got, want time.Duration
		}{
			{"shared", Shared(spans), ms(tt.shared)},
			{"unheld", Unheld(spans), ms(tt.unheld)},
			{"without a", Without(spans, "a"), ms(tt.withoutA)},
		} {
			if f.got != f.want {
				t.Errorf("%s: %s for %v, want %v", tt.name, f.what, f.got, f.want)
			}
		}
		at := LetGo(spans, "a")
		if tt.letGoA < 0 != at.IsZero() || tt.letGoA >= 0 && at.Sub(epoch) != ms(tt.letGoA) {
			t.Errorf("%s: a let go at %v, want %d ms after the start", tt.name, at, tt.letGoA)
		}
	}
	if spans := Spans(observe("a", "b", "b"), epoch.Add(ms(60))); len(spans) != 1 || !spans[0].From.Equal(epoch.Add(ms(100))) {
		t.Errorf("spans from 60 ms on: %v, want one from 100 ms", spans)
	}
}

func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), ms(175))
		defer cancel()
		start := time.Now()
		var got []Observation
		w := Watch{Candidates: []Candidate{
			{"a", func() (bool, error) { return time.Since(start) < ms(100), nil }},
			{"b", func() (bool, error) { return time.Since(start) >= ms(50), nil }},
		}}
		if err := w.Run(ctx, func(o Observation) { got = append(got, o) }); err != nil {
			t.Fatal(err)
		}
		want := []Observation{
			{start, []string{"a"}}, {start.Add(ms(50)), []string{"a", "b"}}, {start.Add(ms(100)), []string{"b"}}, {start.Add(ms(150)), []string{"b"}},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("observations (-want +got):\n%s", diff)
		}
	})
}

func TestWatchFails(t *testing.T) {
	gone := errors.New("gone")
	w := Watch{Candidates: []Candidate{{"a", func() (bool, error) { return false, gone }}}}
	err := w.Run(t.Context(), func(Observation) { t.Error("recorded what nobody knows") })
	if !errors.Is(err, gone) || !strings.Contains(err.Error(), "whether a holds") {
		t.Errorf("error %v, want one that names a and wraps %v", err, gone)
	}
}
