// SPDX-License-Identifier: Apache-2.0

package director

import (
	"context"
	"errors"
	"time"

	"github.com/holdfast-lb/holdfast/configs"
	"github.com/holdfast-lb/holdfast/vrrp"
)

// stop makes every virtual router hand over, or leave all as it is, and closes stopped when the last one has.
// A stop because a part has failed hands over in any case.
func (d *Director) stop(why error, stopped chan<- struct{}) {
	d.stopping = true
	d.keeps = d.cfg.Director.OnExit == configs.Keep && errors.Is(why, context.Canceled)
	d.log.Info("stopping", "on_exit", d.cfg.Director.OnExit.String())
	var how error
	if d.keeps {
		how = vrrp.ErrKeep
	}
	for name, r := range d.routers {
		r.stop(how)
		d.interrupt(name, "the director is stopping")
	}
	go func() {
		d.running.Wait()
		close(stopped)
	}()
}

// end is what remains to be done when every virtual router has stopped.
func (d *Director) end() {
	d.ended = !d.keeps
	for _, r := range d.routers {
		d.ended = d.ended && r.instance.Status().HostError == "" // else something may be left
	}
	d.takeAll()
	if d.cfg.Director.OnExit == configs.Clear {
		d.clear()
	}
	d.tellRest(time.Now())
	d.endSysctls()
	d.save()
	d.publish()
}

// clearMost bounds how long a stop waits for the table.
const clearMost = 5 * time.Second

// clear deletes our services: nobody sends anything here any more.
func (d *Director) clear() {
	d.want, d.sync.want = nil, nil
	d.goal = d.table.Set(d.newGoal())
	timeout := time.NewTimer(clearMost)
	defer timeout.Stop()
	for d.unusable == nil && (d.report.Goal != d.goal || d.report.Err != nil) {
		select {
		case <-d.inbox.wake:
			d.takeAll()
		case <-timeout.C:
			d.log.Warn("services not deleted from the ipvs table", "err", d.report.Err)
			return
		}
	}
	d.sync.ours = d.sync.ours && (d.unusable != nil || d.report.SyncErr != nil)
}
