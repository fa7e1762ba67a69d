// SPDX-License-Identifier: Apache-2.0

package vrrpsim

import (
	"slices"

	"github.com/holdfast-lb/holdfast/vrrp"
)

// StepDown makes the director hand over as planned, and not preempt from then on, until a Return. What nobody takes over is
// undone, a sync group as one. A crash does not end it.
func (d *Director) StepDown() {
	d.later(func() {
		if d.stopping {
			return
		}
		for _, r := range d.Routers {
			r.stepped, r.ordered = true, true
			r.step(func() { r.do(r.machine.StepDown(d.local())) })
		}
	})
}

// Return ends a StepDown.
func (d *Director) Return() {
	d.later(func() {
		for _, r := range d.Routers {
			r.comeBack()
		}
	})
}

// SteppedDown reports whether a virtual router of the director is stepped down.
func (d *Director) SteppedDown() bool {
	return slices.ContainsFunc(d.Routers, func(r *Router) bool { return r.stepped })
}

func (r *Router) comeBack() {
	if r.stepped && !r.director.stopping {
		r.stepped, r.ordered = false, false
		r.step(func() { r.do(r.machine.Return(r.director.local())) })
	}
}

// obey looks whether an order to step down has ended for all that go together, and undoes one that nobody has taken.
func (r *Router) obey() {
	if o, _ := r.machine.Outcome(); o == 0 || !r.ordered {
		return
	}
	r.ordered = false
	taken, refused := false, false
	var unit []*Router
	for _, o := range r.director.Routers {
		if o != r && (r.Group == "" || o.Group != r.Group) {
			continue
		}
		if o.ordered {
			return
		}
		outcome, _ := o.machine.Outcome()
		taken, refused = taken || outcome == vrrp.HandedOver, refused || outcome == vrrp.NotTaken
		unit = append(unit, o)
	}
	if taken || !refused {
		return
	}
	r.director.net.At(r.director.net.now, func() {
		r.director.later(func() {
			for _, o := range unit {
				o.comeBack()
			}
		})
	})
}
