// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-lb/holdfast/internal/drill"
)

// A bound is a figure and what it may be.
type bound struct {
	What  string  `json:"what"`
	Unit  string  `json:"unit"` // "s", or empty for a count
	Value float64 `json:"value"`
	Least float64 `json:"least"`
	Most  float64 `json:"most"`
}

// atMost bounds a count.
func atMost(what string, value, most int) bound {
	return bound{what, "", float64(value), 0, float64(most)}
}

// exactly bounds a count from both sides.
func exactly(what string, value, want int) bound {
	return bound{what, "", float64(value), float64(want), float64(want)}
}

// within bounds a time.
func within(what string, value, most time.Duration) bound {
	return bound{what, "s", value.Seconds(), 0, most.Seconds()}
}

func (b bound) held() bool { return b.Least <= b.Value && b.Value <= b.Most }

// String is the figure and the bound, for the table.
func (b bound) String() string {
	limit := b.figure(b.Most)
	if b.Least > 0 && b.Least < b.Most {
		limit = b.figure(b.Least) + " to " + limit
	}
	return fmt.Sprintf("%s %s (bound %s)", b.What, b.figure(b.Value), limit)
}

func (b bound) figure(v float64) string {
	if b.Unit == "" {
		return fmt.Sprint(v)
	}
	return seconds(v)
}

// seconds is a time as a person reads it: milliseconds below one second.
func seconds(v float64) string {
	if math.Abs(v) < 0.9995 {
		return fmt.Sprintf("%.0f ms", v*1000)
	}
	return strconv.FormatFloat(math.Round(v*1000)/1000, 'f', -1, 64) + " s"
}

// A row is a scenario's result.
type row struct {
	Setup      string            `json:"setup"`
	Scenario   string            `json:"scenario"`
	Requests   int               `json:"requests"`
	Lost       int               `json:"lost"`
	LongestGap float64           `json:"longest_gap_seconds"`
	Holders    []string          `json:"holders"`        // at the end
	Shared     float64           `json:"shared_seconds"` // longest time with two holders
	Unheld     float64           `json:"unheld_seconds"` // longest time with none
	Servers    map[string]int    `json:"servers"`        // answers by real server
	Errors     map[string]int    `json:"errors"`         // lost requests by reason
	Late       float64           `json:"late_seconds"`
	Held       *drill.HeldReport `json:"held,omitempty"`               // connections that were held through it
	HeldStall  float64           `json:"held_stall_seconds,omitempty"` // the longest that one of these stood still and went on
	Bounds     []bound           `json:"bounds"`
	Failure    string            `json:"failure"` // why the scenario could not be finished
	OK         bool              `json:"ok"`
	Repeated   bool              `json:"repeated"`   // not OK, but on a machine too busy to tell: another row follows
	Keepalived string            `json:"keepalived"` // what keepalived 2.2.7 does there, measured on another day
}

func newRow(s *setup, scenario string, o *outcome, bounds []bound, err error) row {
	r := row{Setup: s.title, Scenario: scenario, Keepalived: keepalived[s.name][scenario], OK: err == nil,
		Holders: []string{}, Servers: map[string]int{}, Errors: map[string]int{}, Bounds: append([]bound{}, bounds...),
	}
	if o != nil {
		r.Requests, r.Lost, r.LongestGap = o.Requests, o.Lost, o.LongestGap.Seconds()
		r.Servers, r.Errors, r.Late = o.Servers, o.Errors, o.Late.Seconds()
		r.Holders = append(r.Holders, o.holders()...)
		spans := o.spans(time.Time{})
		if r.Held = o.Held; r.Held != nil {
			r.HeldStall = r.Held.Stall.Seconds()
			r.Bounds = append(r.Bounds, exactly("held connections that survived", r.Held.Survived, heldConnections))
		}
		r.Shared, r.Unheld = drill.Shared(spans).Seconds(), drill.Unheld(spans).Seconds()
	}
	if err != nil {
		r.Failure = oneLine(err)
	}
	for _, b := range r.Bounds {
		r.OK = r.OK && b.held()
	}
	return r
}

// keepalived is what keepalived 2.2.7 of Debian 12 does at the same faults, by set-up and row. Measured apart from any run
// of this program, on 2026-11-20 in the same machine (deploy/lab): a pair, DR, three servers, an HTTP check each second,
// one new connection each 10 ms given up after 200 ms. Where there is no figure nobody has measured.
var keepalived = map[string]map[string]string{
	"dr": {
		"server fails and returns":        "1.2-1.9 s, 1.9 s",
		"planned stop of the master":      "60 lost, 0.6 s",
		"planned stop, mh and sloppy_tcp": "60 lost with rr",
		"switch port cut":                 "3.2-3.5 s",
		"port back late, 10 % after it":   portBack1s,
		"port back late, 45 % after it":   portBack1s,
		"port back late, 80 % after it":   portBack1s,
		"master killed":                   "0 lost, never gone",
		"master hangs 10 s and resumes":   "two holders 10 s",
	},
	"dr100": {
		"planned stop of the master":     "8 lost",
		"switch port cut":                "305-360 ms",
		"port back, 0 % after an advert": portBack100ms, "port back, 20 % after an advert": portBack100ms,
		"port back, 40 % after an advert": portBack100ms, "port back, 60 % after an advert": portBack100ms,
		"port back, 80 % after an advert": portBack100ms, "port back late, 50 % after it": portBack100ms,
		"master killed": "0 lost, never gone",
	},
}

const (
	portBack1s    = "1.7 s, 171 lost"
	portBack100ms = "1.6 s, or > 11 s"
)

// verdict is the row's last cell.
func (r row) verdict() string {
	if r.Failure != "" {
		return "FAILED: " + r.Failure
	}
	word, shown := "ok: ", make([]string, 0, len(r.Bounds))
	switch {
	case r.Repeated:
		word = "repeated: "
	case !r.OK:
		word = "MISSED: "
	}
	for _, b := range r.Bounds {
		if r.OK || !b.held() {
			shown = append(shown, b.String())
		}
	}
	text := word + strings.Join(shown, "; ")
	if !r.OK && r.Lost > 0 {
		text += "; lost by " + drill.Counts(r.Errors)
	}
	if r.Held != nil && !r.OK {
		text += fmt.Sprintf("; held: opened %d, reset %d, stalled %d: %s", r.Held.Opened, r.Held.Reset, r.Held.Stalled, drill.Counts(r.Held.Errors))
	}
	if r.Held != nil {
		text += "; longest stall of one " + seconds(r.HeldStall)
	}
	if r.busy() {
		text += fmt.Sprintf("; this machine was busy: the client itself was held up for %s", seconds(r.Late))
	}
	return text
}

// busy reports whether the client could not keep its own pace.
func (r row) busy() bool { return r.Late > busyFrom.Seconds() }

const busyFrom = 50 * time.Millisecond

// A reporter shows rows as they come.
type reporter interface {
	row(row)
	end() error
}

// newReporter reports from now on: in a table, row by row, or as JSON at the end.
func newReporter(out io.Writer, asJSON bool) reporter {
	if asJSON {
		return &jsonReport{out: out, start: time.Now()}
	}
	return &table{out: out, start: time.Now()}
}

// A table is for people.
type table struct {
	out    io.Writer
	setup  string
	start  time.Time
	missed int
	rows   int
}

const tableFormat = "  %-34s %8s %5s  %9s  %-8s  %-18s  %s\n"

func (t *table) row(r row) {
	if t.rows == 0 {
		fmt.Fprintf(t.out, tableFormat, "scenario", "requests", "lost", "gap", "holds", "keepalived [1]", "verdict")
	}
	if r.Setup != t.setup {
		t.setup = r.Setup
		fmt.Fprintf(t.out, "%s\n", r.Setup)
	}
	t.rows++
	if !r.OK && !r.Repeated {
		t.missed++
	}
	holders := cmp.Or(strings.Join(r.Holders, "+"), "nobody")
	fmt.Fprintf(t.out, tableFormat, r.Scenario, fmt.Sprint(r.Requests), fmt.Sprint(r.Lost), seconds(r.LongestGap),
		holders, cmp.Or(r.Keepalived, "-"), r.verdict())
}

func (t *table) end() error {
	said := "every bound held"
	if t.missed > 0 {
		said = fmt.Sprintf("%d of them MISSED a bound", t.missed)
	}
	_, err := fmt.Fprintf(t.out, "\n%d rows in %s, %s.\n\n%s", t.rows, time.Since(t.start).Round(time.Second), said, legend)
	return err
}

const legend = `requests  one new connection every 10 ms, given up after 200 ms
gap       longest time without a completed answer; 10 to 30 ms is none
holds     who has the virtual address at the end
[1]       keepalived 2.2.7 (Debian 12) at the same fault, measured apart from this run, on 2026-11-20
`

// A jsonReport is for programs: one object, when all is over.
type jsonReport struct {
	out   io.Writer
	start time.Time
	rows  []row
}

func (j *jsonReport) row(r row) { j.rows = append(j.rows, r) }

func (j *jsonReport) end() error {
	ok := true
	for _, r := range j.rows {
		ok = ok && (r.OK || r.Repeated)
	}
	enc := json.NewEncoder(j.out)
	enc.SetIndent("", "  ")
	return enc.Encode(struct {
		OK      bool    `json:"ok"`
		Seconds float64 `json:"duration_seconds"`
		Rows    []row   `json:"rows"`
	}{ok, time.Since(j.start).Seconds(), append([]row{}, j.rows...)})
}
