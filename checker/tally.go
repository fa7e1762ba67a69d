// SPDX-License-Identifier: Apache-2.0

package checker

import "time"

// Tally turns results into a verdict: Rise passes in a row for Up, Fall failures in a row for Down, and the first
// result at once while the verdict is Unknown. Values below one count as one.
//
// A server that goes down again within Soon of coming back has to pass twice as long the next time, and twice as long
// again each time after that, up to 16 times Rise, and to Most passes. That is forgotten when a verdict has stood for
// 2 × Soon. Going down is never delayed.
type Tally struct {
	Rise, Fall int
	Soon       time.Duration // 0: nothing is damped
	Most       int           // below Rise: nothing is damped, either
	Verdict    Verdict       // at first: the start
	Run        int           // results of the same kind in a row

	passed  bool          // the kind of the last one
	back    bool          // the verdict is Up and was Down before
	relapse uint8         // how often it went down again soon, at most maxRelapse
	changed time.Duration // when the verdict last did
}

const maxRelapse = 4

// newTally returns the tally of a check that begins with a verdict.
func newTally(c *Config, start Verdict) Tally {
	rise := max(c.Rise, 1)
	return Tally{
		Rise: c.Rise, Fall: c.Fall, Verdict: start,
		Soon: flapTimes * time.Duration(rise) * interval(c),
		Most: int(min(maxDamped/retry(c), 1<<maxRelapse*time.Duration(rise))),
	}
}

const (
	flapTimes = 10              // × rise × interval: so soon a relapse is flapping
	maxDamped = 5 * time.Minute // that passes are asked for
)

// Add counts the result of a moment and reports whether the verdict changed. Moments count from whenever.
func (t *Tally) Add(now time.Duration, passed bool) (changed bool) {
	if passed != t.passed {
		t.passed, t.Run = passed, 0
	}
	t.Run++
	verdict, need := Down, t.Fall
	if passed {
		verdict, need = Up, t.Need(now)
	}
	if t.Verdict == verdict || t.Verdict != Unknown && t.Run < need {
		return false
	}
	if t.forgotten(now) {
		t.relapse = 0
	}
	if verdict == Down && t.back && now-t.changed < t.Soon {
		t.relapse = min(t.relapse+1, maxRelapse)
	}
	t.back = verdict == Up && t.Verdict == Down
	t.Verdict, t.changed = verdict, now
	return true
}

func (t *Tally) forgotten(now time.Duration) bool { return now-t.changed >= 2*t.Soon }

// Need is how many passes in a row bring it up.
func (t *Tally) Need(now time.Duration) int {
	if t.relapse == 0 || t.forgotten(now) {
		return t.Rise
	}
	return max(t.Rise, min(max(t.Rise, 1)<<t.relapse, t.Most))
}

// Damped is how many passes more than Rise it needs, because it flaps.
func (t *Tally) Damped(now time.Duration) int { return t.Need(now) - t.Rise }

// Pending reports whether more results are wanted soon: there is no verdict yet, or the last results speak against it.
func (t *Tally) Pending() bool {
	return t.Verdict == Unknown || t.Run > 0 && t.passed != (t.Verdict == Up)
}
