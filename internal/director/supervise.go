// SPDX-License-Identifier: Apache-2.0

package director

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/holdfast-lb/holdfast/internal/systemd"
	"github.com/holdfast-lb/holdfast/vrrp"
)

const (
	feedings = 4                // of the watchdog in the time that it waits
	stopMore = 10 * time.Second // that a stop may take beside the hand-over and the deletion of services
	namesMax = 8                // routers in one state that the status names
)

// condition is what the service manager is told of this director.
type condition struct {
	status   string // one line
	stopping bool
}

// condition describes the director. It is the loop's.
func (d *Director) condition() condition {
	c := condition{status: rolesText(d.cfg.VirtualRouters, d.roles), stopping: d.stopping}
	if d.reloadErr != nil {
		c.status += "; the last reload was refused"
	}
	return c
}

// rolesText names the virtual routers by their state: the masters first.
func rolesText(routers []vrrp.Config, roles map[string]vrrp.State) string {
	if len(routers) == 0 {
		return "no virtual router"
	}
	names := make(map[vrrp.State][]string)
	for _, vr := range routers {
		state, known := roles[vr.Name]
		if !known {
			state = vrrp.Init
		}
		names[state] = append(names[state], vr.Name)
	}
	var parts []string
	for _, s := range []vrrp.State{vrrp.Master, vrrp.Fault, vrrp.Backup, vrrp.Init} {
		list := names[s]
		if len(list) == 0 {
			continue
		}
		text := s.String() + ": " + strings.Join(list[:min(len(list), namesMax)], ", ")
		if more := len(list) - namesMax; more > 0 {
			text += fmt.Sprintf(" and %d more", more)
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, "; ")
}

// tellManager passes the condition on if it is new. It never waits.
func (d *Director) tellManager() {
	if d.o.Manager == nil {
		return
	}
	c := d.condition()
	if c == d.told {
		return
	}
	d.told = c
	select {
	case <-d.conditions:
	default:
	}
	d.conditions <- c
}

// supervised tells the service manager how the director is doing until ctx ends: that it is ready, when the configuration
// has been applied and the first condition comes, then each new condition, and WATCHDOG=1 while the loop and all virtual
// routers are alive.
func (d *Director) supervised(ctx context.Context) {
	m := d.o.Manager
	var feed <-chan time.Time
	if m.Watchdog > 0 {
		tick := time.NewTicker(m.Watchdog / feedings)
		defer tick.Stop()
		feed = tick.C
	}
	var told condition
	hungry := false
	tell := func(c condition) {
		d.notifyManager(d.assignments(told, c)...)
		told = c
	}
	for {
		select {
		case c := <-d.conditions:
			tell(c)
		case <-feed:
			problem := d.alive()
			if problem == "" {
				d.notifyManager("WATCHDOG=1")
			} else if !hungry {
				d.log.Error("watchdog not fed", "reason", problem)
			}
			hungry = problem != ""
		case <-ctx.Done():
			select {
			case c := <-d.conditions:
				tell(c)
			default:
			}
			return
		}
	}
}

// assignments say what is new in a condition; that there is one at all means that the configuration has been applied.
func (d *Director) assignments(told, c condition) []string {
	list := []string{"STATUS=" + c.status}
	if told == (condition{}) {
		list = append(list, "READY=1")
	}
	if c.stopping && !told.stopping {
		list = append(list, "STOPPING=1", systemd.ExtendTimeout(d.stopMost()))
	}
	return list
}

// stopMost is how long a stop takes at most: a hand-over waits a master-down interval for its successor.
func (d *Director) stopMost() time.Duration {
	most := time.Duration(0)
	for _, r := range d.view.Load().routers {
		most = max(most, r.instance.Status().MasterDown)
	}
	return most + clearMost + stopMore
}

// notifyManager says the first time that the service manager cannot be told.
func (d *Director) notifyManager(assignments ...string) {
	if err := d.o.Manager.Notify(assignments...); err != nil && !d.deaf.Swap(true) {
		d.log.Warn("service manager not told", "err", err)
	}
}
