// SPDX-License-Identifier: Apache-2.0

package director

import (
	"context"
	"time"

	"github.com/holdfast-lb/holdfast/ipvs"
)

// adopt begins with what is there: the addresses, services and servers that the last run has left.
func (d *Director) adopt(ctx context.Context) {
	d.cleanUp()
	for _, k := range d.last.Keys() {
		d.owned[k] = true
	}
	d.applyGroups()
	d.notifier.Apply(d.cfg.Notify)
	d.applyTrackers()
	for _, vr := range d.cfg.VirtualRouters { // first: reading the table may take a while
		d.start(vr, d.last.master(vr))
	}
	d.decided = leftBehind(d.started, d.cfg, d.readTable(ctx))
	d.applyChecks()
	d.decide(time.Now())
	d.publish()
}

// cleanUp removes what the last run has left on the host and nobody wants any more. It is never the only reason to fail.
func (d *Director) cleanUp() {
	warn := func(what string, err error) {
		if err != nil {
			d.log.Warn(what+" of the last run not removed", "err", err)
		}
	}
	stale := d.last.stale(d.cfg)
	if len(stale.routes) > 0 {
		warn("route", d.o.Host.ReleaseRoutes(stale.routes))
	}
	if len(stale.addresses) > 0 {
		warn("address", d.o.Host.Release(stale.addresses))
	}
	for _, c := range stale.vmacs {
		warn("virtual mac", d.o.Host.Discard(c))
	}
}

// readTable returns what is in the kernel's table. The reconciler says what is wrong if it cannot be read.
func (d *Director) readTable(ctx context.Context) []ipvs.Service {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	t, err := d.o.OpenTable(ctx)
	if err != nil {
		return nil
	}
	defer func() { _ = t.Close() }()
	list, err := t.List(ctx)
	if err != nil {
		d.log.Warn("servers that the last run left up are not known", "err", err)
	}
	return list
}
