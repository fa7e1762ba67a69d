// SPDX-License-Identifier: Apache-2.0

package director

import (
	"time"

	"github.com/holdfast-lb/holdfast/checker"
	"github.com/holdfast-lb/holdfast/configs"
)

const (
	// maxWeight bounds what a check may ask for, as the configuration is bounded.
	maxWeight = 65535
	// slowSteps is in how many steps a weight is raised at most, and slowStep how long each takes at least: every one is an
	// operation on the kernel's table.
	slowSteps = 10
	slowStep  = time.Second
)

// weigh decides whether a server is in the table, and with which weight. It returns when that changes by itself; zero:
// never.
func (s server) weigh(now time.Time, vs configs.VirtualServer, rs configs.RealServer, of service) (server, time.Time) {
	whole := s.whole(rs)
	switch {
	case !of.present:
		s.present, s.weight = false, 0
		if s.drain.cause != 0 && s.drain.ended.IsZero() {
			s.drain.ended = now
		}
	case s.drain.cause != 0:
		s.present, s.weight = s.drain.ended.IsZero(), 0
		s.holds = s.holds && s.present
		return s, s.drain.deadline()
	case of.panic && s.verdict != checker.Unknown: // what was never checked has no verdict to doubt
		s.present, s.weight = true, whole
	case s.verdict == checker.Up && !of.sorry:
		var next time.Time
		s.present = true
		s.weight, next = raised(now, s.ramp, vs.SlowStart, whole)
		if now.Sub(s.ramp) >= vs.SlowStart { // not before: a check may ask for more meanwhile
			s.ramp = time.Time{}
		}
		return s, next
	default:
		s.present, s.weight = vs.Inhibit || s.holds, 0
	}
	return s, time.Time{}
}

// configured is a server's weight in the configuration, or as an operator has set it.
func (s server) configured(rs configs.RealServer) uint32 {
	if s.forced.Set {
		return s.forced.Value
	}
	return rs.Weight
}

// whole is a server's weight without slow start. One that is configured as 0 stays 0: whoever wrote it wants no traffic
// there.
func (s server) whole(rs configs.RealServer) uint32 {
	if s.dynamic.Set && rs.Weight > 0 && !s.forced.Set {
		return s.dynamic.Value
	}
	return s.configured(rs)
}

// dynamicWeight is the smallest weight that the checks ask for. What the last run has left counts until one does, or every
// check has run: then none wants one.
func dynamicWeight(rs configs.RealServer, f facts, was server) (w checker.Weight, kept bool) {
	for _, c := range rs.Checks {
		if asked := f.health[c.Key].Weight; asked.Set && (!w.Set || asked.Value < w.Value) {
			w = asked
		}
	}
	if !w.Set && was.kept && !f.ready {
		return was.dynamic, true
	}
	w.Value = min(w.Value, maxWeight)
	return w, false
}

// steps is in how many steps a weight is raised from 1.
func steps(over time.Duration, weight uint32) int {
	if weight <= 1 || over <= 0 {
		return 0
	}
	return max(1, int(min(slowSteps, over/slowStep, time.Duration(weight-1))))
}

// raised is the weight, at now, of a server that came back at from and gets its whole weight over a time, and when the next
// step is due; zero: none.
func raised(now, from time.Time, over time.Duration, whole uint32) (weight uint32, next time.Time) {
	n := steps(over, whole)
	if from.IsZero() || n == 0 {
		return whole, time.Time{}
	}
	each := over / time.Duration(n)
	k := int(max(0, now.Sub(from)) / each)
	if k >= n {
		return whole, time.Time{}
	}
	return step(k, n, whole), from.Add(time.Duration(k+1) * each)
}

// step is the weight after k of n steps.
func step(k, n int, whole uint32) uint32 { return 1 + uint32(uint64(whole-1)*uint64(k)/uint64(n)) }

// rampAt is when a server would have come back that has a weight at now; zero: long ago.
func rampAt(now time.Time, over time.Duration, weight, whole uint32) time.Time {
	n := steps(over, whole)
	for k := range n {
		if step(k, n, whole) >= weight {
			return now.Add(-time.Duration(k) * (over / time.Duration(n)))
		}
	}
	return time.Time{}
}
