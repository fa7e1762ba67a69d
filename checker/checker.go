// SPDX-License-Identifier: Apache-2.0

// Package checker runs health checks against real servers and tells when a verdict changes.
//
// A probe is a function from a context to a Result, a Tally turns results into a verdict, and a Set runs many checks on
// one heap of deadlines. An idle check holds neither a goroutine nor a timer nor a connection.
package checker

import (
	"context"
	"errors"
	"time"
)

// ErrLocal marks the result of a check that could not run here: no descriptor, no memory, no port, no route, no time.
// It says nothing of the server and so changes no verdict.
var ErrLocal = errors.New("check could not run here")

// Probe runs one check, from dial to verdict, within the deadline of ctx, which is the only one.
type Probe func(ctx context.Context) Result

// Result is the outcome of one run.
type Result struct {
	Err    error  // nil: passed; wraps ErrLocal: no verdict
	Reason string // of a failure, one of a short list; empty when passed
	Detail string // for a person: "503 Service Unavailable"
	Weight Weight // that the server asks for

	silent bool // passed because nobody said anything, which this host can be the cause of, too
}

// cause is what a local fault says of a failure or a silence that it explains.
func (r Result) cause() error {
	if r.silent {
		return errors.New(r.Detail)
	}
	return r.Err
}

// slot returns the first slot after now. The slots of a check are at phase, phase+interval and so on; a late one is
// skipped and never made up for, so that neither drift nor a stall of this process gathers the checks.
func slot(now, phase, interval time.Duration) time.Duration {
	if now < phase {
		return phase
	}
	return phase + ((now-phase)/interval+1)*interval
}

// next returns when a check runs again that started at start and ended at now: in its next slot, or after retry while
// a change of verdict is pending.
func next(start, now, phase time.Duration, c *Config, pending bool) time.Duration {
	if !pending {
		return slot(now, phase, interval(c))
	}
	return max(start+retry(c), now)
}

// retry is the time from one run to the next while a change of verdict is pending.
func retry(c *Config) time.Duration {
	if c.Retry <= 0 {
		return interval(c)
	}
	return c.Retry
}

// interval keeps a check without an interval from running without a pause.
func interval(c *Config) time.Duration {
	if c.Interval <= 0 {
		return time.Second
	}
	return c.Interval
}

// phase spreads the checks over the interval, the same in every run of the program: FNV-1a of the key.
func phase(k Key, interval time.Duration) time.Duration {
	h := uint64(14695981039346656037)
	for _, part := range [...]string{k.Service, k.Server, k.Check} {
		for i := range len(part) {
			h = (h ^ uint64(part[i])) * 1099511628211
		}
		h = (h ^ 0xff) * 1099511628211 // a byte that no name holds, between the parts
	}
	return time.Duration(h % uint64(interval))
}
