// SPDX-License-Identifier: Apache-2.0

package director

import (
	"errors"
	"os"
	"time"

	"github.com/holdfast-lb/holdfast/ipvs"
)

// reported notes what the reconciler found. Where nothing can be balanced, the routers of our services are in fault.
func (d *Director) reported(r ipvs.Report) {
	d.metrics.reconciled(r)
	d.report = r
	d.drift += r.Drift.Total()
	if why := unusable(r.Err); why != nil || r.Read || r.Err == nil { // other errors say nothing about the whole table
		d.unusable = why
	}
	if r.Err == nil {
		d.drains.reported(time.Now(), r.Goal)
	}
	d.syncReported(r)
	if r.Read || d.unusable != nil { // every few seconds, and when IPVS has come or gone: with it go its parameters
		d.applySysctls()
	}
	if r.Err == nil && r.Goal == d.goal { // what was to be deleted is
		before := len(d.owned)
		d.owned = make(map[ipvs.Key]bool)
		for _, s := range d.want {
			d.owned[s.Key] = true
		}
		if len(d.owned) < before { // from now on they may be somebody else's
			d.goal = d.table.Set(d.newGoal())
		}
	}
}

// unusable returns why nothing can be balanced here, if that is what an error says.
func unusable(err error) error {
	for _, reason := range []error{ipvs.ErrNoIPVS, ipvs.ErrReloaded, os.ErrPermission} {
		if errors.Is(err, reason) {
			return reason
		}
	}
	return nil
}
