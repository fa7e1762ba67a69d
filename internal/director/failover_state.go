// SPDX-License-Identifier: Apache-2.0

package director

import (
	"maps"
	"slices"
	"time"
)

// StepDownState is a virtual router that leaves the role to other directors.
type StepDownState struct {
	VirtualRouter string    `json:"virtual_router"`
	Since         time.Time `json:"since"`
	Until         time.Time `json:"until,omitzero"` // zero: until an operator says so
}

// SteppedDownStatus says since when a virtual router leaves the role to other directors, by an operator's order.
type SteppedDownStatus struct {
	Since time.Time `json:"since"`
	Until time.Time `json:"until,omitzero"` // it returns then by itself
}

// status is what readers see; nil: not stepped down.
func (s stepDown) status() *SteppedDownStatus {
	if s.order == 0 {
		return nil
	}
	return &SteppedDownStatus{s.since, s.until}
}

func stepDownStates(all map[string]stepDown) []StepDownState {
	var list []StepDownState
	for _, name := range slices.Sorted(maps.Keys(all)) {
		s := StepDownState{VirtualRouter: name, Since: written(all[name].since)}
		if until := all[name].until; !until.IsZero() {
			s.Until = written(until)
		}
		list = append(list, s)
	}
	return list
}

// stepDowns reads the state file; what cannot be one is left out. No clock that was set back makes one longer than it was
// meant to be.
func (s State) stepDowns(now time.Time) map[string]stepDown {
	all := make(map[string]stepDown)
	for n, r := range s.StepDowns {
		if r.VirtualRouter == "" || !r.Until.IsZero() && r.Until.Before(r.Since) {
			continue
		}
		if r.Since.After(now) {
			if !r.Until.IsZero() {
				r.Until = now.Add(r.Until.Sub(r.Since))
			}
			r.Since = now
		}
		all[r.VirtualRouter] = stepDown{order: uint64(n) + 1, since: r.Since, until: r.Until}
	}
	return all
}
