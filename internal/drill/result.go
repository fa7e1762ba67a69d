// SPDX-License-Identifier: Apache-2.0

package drill

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-lb/holdfast/internal/director"
)

// A Result is how a drill has ended. Times are seconds.
type Result struct {
	Director    string    `json:"director"` // empty: none answered, or there was only load
	Started     time.Time `json:"started"`
	Seconds     float64   `json:"duration_seconds"`
	Verdict     Verdict   `json:"verdict"` // passed or failed
	Tried       bool      `json:"pre_checks_only"`
	Interrupted bool      `json:"interrupted"`
	Routers     []string  `json:"virtual_routers"`
	Checks      []Check   `json:"pre_checks"`
	Bounds      []Check   `json:"bounds"` // none: the director was not told to step down

	HandOver        []director.RouterFailover `json:"hand_over,omitempty"`
	HandOverSeconds float64                   `json:"hand_over_seconds,omitempty"` // of the slowest virtual router
	ReturnSeconds   float64                   `json:"return_seconds,omitempty"`    // from the order until the role was seen here
	Load            *LoadResult               `json:"load"`                        // null: none from this host
	Held            *HeldReport               `json:"held"`                        // null: no connections were held
	HeldStall       float64                   `json:"held_stall_seconds,omitempty"`
	ByHand          string                    `json:"by_hand,omitempty"` // what is left to do; empty: nothing
}

// A LoadResult is what became of the requests.
type LoadResult struct {
	Target string  `json:"target"`
	Phases []Phase `json:"phases"` // before the order to step down, away from then on, and back from the order to return on
	Phase
	Late float64 `json:"late_seconds"` // the most that this host itself was late by
}

// A Phase is a part of a drill, or all of it.
type Phase struct {
	Name       string         `json:"name"`
	Requests   int            `json:"requests"`
	Lost       int            `json:"lost"`
	LongestGap float64        `json:"longest_gap_seconds"`
	Errors     map[string]int `json:"errors"` // of those that were lost, by reason
}

func phase(name string, samples []Sample) Phase {
	r := Summarize(samples)
	return Phase{name, r.Requests, r.Lost, r.LongestGap.Seconds(), r.Errors}
}

// measured takes up what the clients saw. The times are those of the orders; zero: there was none.
func (r *Result) measured(t Target, o Outcome, ordered, returned time.Time) {
	r.Load = &LoadResult{Target: t.String(), Phase: phase("all", o.Samples), Late: o.Late.Seconds(), Phases: []Phase{}}
	if r.Held = o.Held; r.Held != nil {
		r.HeldStall = r.Held.Stall.Seconds()
	}
	if ordered.IsZero() {
		return
	}
	end := returned
	if end.IsZero() {
		end = ordered.Add(1000 * time.Hour)
	}
	r.Load.Phases = append(r.Load.Phases, phase("before", Between(o.Samples, time.Time{}, ordered)), phase("away", Between(o.Samples, ordered, end)))
	if !returned.IsZero() {
		r.Load.Phases = append(r.Load.Phases, phase("back", Between(o.Samples, returned, returned.Add(1000*time.Hour))))
	}
}

// judge holds what clients saw against the bounds.
func (b Bounds) judge(o Outcome) []Check {
	limit := func(name string, held bool, format string, args ...any) Check {
		if held {
			return passed(name, format, args...)
		}
		return failed(name, format, args...)
	}
	lost := fmt.Sprintf("%d of %d requests, %d may be", o.Lost, o.Requests, b.Lost)
	if o.Lost > 0 {
		lost += ": " + Counts(o.Errors)
	}
	gap := fmt.Sprintf("%s, %s may be", figure(o.LongestGap), figure(b.Gap))
	if o.Late > busy {
		gap += fmt.Sprintf("; this host was busy, and itself late by up to %s", figure(o.Late))
	}
	checks := []Check{limit("lost", o.Lost <= b.Lost && o.Requests > 0, "%s", lost), limit("longest gap", o.LongestGap <= b.Gap, "%s", gap)}
	if h := o.Held; h != nil && b.Broken >= 0 {
		broken := h.Opened - h.Survived
		text := fmt.Sprintf("%d of %d held ones, %d may be", broken, h.Opened, b.Broken)
		if broken > 0 {
			text += ": " + Counts(h.Errors)
		}
		checks = append(checks, limit("broken connections", broken <= b.Broken && h.Opened > 0, "%s", text))
	}
	return checks
}

// busy is from when on the lateness of the client matters.
const busy = 50 * time.Millisecond

// Counts are reasons with their numbers, the most frequent first.
func Counts(m map[string]int) string {
	keys := slices.SortedFunc(maps.Keys(m), func(a, b string) int { return cmp.Or(cmp.Compare(m[b], m[a]), cmp.Compare(a, b)) })
	for i, k := range keys {
		keys[i] = fmt.Sprintf("%s %d", k, m[k])
	}
	return strings.Join(keys, ", ")
}

// figure is a time as a person reads it.
func figure(d time.Duration) string {
	switch {
	case d < 10*time.Millisecond:
		return d.Round(100 * time.Microsecond).String()
	case d < 10*time.Second:
		return d.Round(time.Millisecond).String()
	}
	return d.Round(100 * time.Millisecond).String()
}
