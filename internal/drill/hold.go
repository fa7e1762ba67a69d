// SPDX-License-Identifier: Apache-2.0

package drill

import "time"

// A Held is a connection that was held open, and what became of it.
type Held struct {
	Server    string // who answered, by the header that Hold.ServerHeader names; empty: unknown
	Exchanges int
	// Stall is the longest time that an answer took. After a lost packet it is TCP that decides on it: its time-outs double.
	Stall time.Duration
	// Error is why it ended before its time, or was never opened, in one of few words; empty: it survived.
	Error  string
	Opened bool
	Late   time.Duration // the most that the client itself was late by with a request
}

// Stalled is the error of a connection whose last answer never came, though nothing ended it.
const Stalled = "stalled"

// A HeldReport is what became of a set of connections.
type HeldReport struct {
	Opened   int            `json:"opened"`
	Survived int            `json:"survived"`
	Reset    int            `json:"reset"`   // ended before their time, in whatever way
	Stalled  int            `json:"stalled"` // no answer to the end
	Stall    time.Duration  `json:"-"`       // the longest of those that survived
	Errors   map[string]int `json:"errors"`  // of those that did not survive, by reason; also of those that were never opened
}

// SummarizeHeld draws up the report of connections in any order.
func SummarizeHeld(all []Held) HeldReport {
	r := HeldReport{Errors: make(map[string]int)}
	for _, h := range all {
		if h.Error != "" {
			r.Errors[h.Error]++
		}
		if !h.Opened {
			continue
		}
		r.Opened++
		switch h.Error {
		case "":
			r.Survived++
			r.Stall = max(r.Stall, h.Stall)
		case Stalled:
			r.Stalled++
		default:
			r.Reset++
		}
	}
	return r
}
