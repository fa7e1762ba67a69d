// SPDX-License-Identifier: Apache-2.0

package checker

import (
	"net/netip"
	"time"
)

// Kind is what a check speaks.
type Kind uint8

// The kinds of check.
const (
	_    Kind = iota
	TCP       // a connection is accepted
	HTTP      // a GET is answered with a wanted status and body
)

func (k Kind) String() string {
	switch k {
	case TCP:
		return "tcp"
	case HTTP:
		return "http"
	}
	return "invalid"
}

// Key names a check: the service and the real server that it belongs to, and its own name in it.
type Key struct {
	Service, Server, Check string
}

// Config is everything that decides what one check does and when. It compares: an equal Config keeps its running state
// over a reload.
type Config struct {
	Kind     Kind
	Target   netip.AddrPort
	Interval time.Duration
	Timeout  time.Duration // for the whole check, from dial to verdict
	Retry    time.Duration // the interval while a change of verdict is pending
	Rise     int           // passes in a row to come up
	Fall     int           // failures in a row to go down

	// HTTP only.
	Path   string // with a leading slash, may carry a query
	Host   string // Host header; empty: the target's address
	Status StatusSet
	Expect string // regular expression (RE2) on the body; empty: any
}

// Verdict is what the checks say of a server, or one check of its target.
type Verdict uint8

// The verdicts. Unknown: not checked yet.
const (
	Unknown Verdict = iota
	Up
	Down
)

func (v Verdict) String() string {
	switch v {
	case Up:
		return "up"
	case Down:
		return "down"
	}
	return "unknown"
}

// Check is one configured check. Start is the verdict that a new one begins with: Unknown takes the first result as the
// verdict, Up and Down need fall failures or rise passes to change.
type Check struct {
	Key    Key
	Config Config
	Start  Verdict
}

// StatusSet is a set of HTTP status codes from 100 to 599.
type StatusSet [10]uint64

// Add puts the codes from first to last into the set.
func (s *StatusSet) Add(first, last int) {
	for code := first; code <= last; code++ {
		s[code/64] |= 1 << (code % 64)
	}
}

// Contains reports whether code is in the set.
func (s StatusSet) Contains(code int) bool {
	return code >= 0 && code/64 < len(s) && s[code/64]&(1<<(code%64)) != 0
}

// Change is a new verdict of one check.
type Change struct {
	Key     Key
	Target  netip.AddrPort // that was checked
	Verdict Verdict
	Reason  string // short and stable: "connection refused", "status"; empty when up
	Detail  string // for a person: "503 Service Unavailable (3 in a row)"
	At      time.Time
}

// Status is the state of one check, for people and metrics.
type Status struct {
	Key      Key
	Config   Config
	Verdict  Verdict
	Since    time.Time     // of the verdict
	Last     time.Time     // of the last result; zero: none yet
	Duration time.Duration // of the last run
	Reason   string        // of the last failed result while it is the newest; empty after a pass
	Detail   string
	Run      int // results of the same kind in a row
	Counts   Counts
}

// Counts are the results of a check since it was configured.
type Counts struct {
	Passed, Failed uint64
	Local          uint64 // could not run here
}
