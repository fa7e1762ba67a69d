// SPDX-License-Identifier: Apache-2.0

package checker

// Tally turns results into a verdict: Rise passes in a row for Up, Fall failures in a row for Down, and the first
// result at once while the verdict is Unknown. Values below one count as one.
type Tally struct {
	Rise, Fall int
	Verdict    Verdict // at first: the start
	Run        int     // results of the same kind in a row

	passed bool // the kind of the last one
}

// Add counts one result and reports whether the verdict changed.
func (t *Tally) Add(passed bool) (changed bool) {
	if passed != t.passed {
		t.passed, t.Run = passed, 0
	}
	t.Run++
	verdict, need := Down, t.Fall
	if passed {
		verdict, need = Up, t.Rise
	}
	if t.Verdict == verdict || t.Verdict != Unknown && t.Run < need {
		return false
	}
	t.Verdict = verdict
	return true
}

// Pending reports whether more results are wanted soon: there is no verdict yet, or the last results speak against it.
func (t *Tally) Pending() bool {
	return t.Verdict == Unknown || t.Run > 0 && t.passed != (t.Verdict == Up)
}
