// SPDX-License-Identifier: Apache-2.0

package director

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/holdfast-lb/holdfast/checker"
	"github.com/holdfast-lb/holdfast/configs"
	"github.com/holdfast-lb/holdfast/ipvs"
	"github.com/holdfast-lb/holdfast/vrrp"
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
	d.stepped = d.last.stepDowns(d.started)
	d.orders = uint64(len(d.last.StepDowns))
	d.pruneStepDowns()
	for _, vr := range d.cfg.VirtualRouters { // first: reading the table may take a while
		resumes := d.last.master(vr) || d.forgot && d.leased(vr)
		if resumes {
			d.resuming[vr.Name] = true
		}
		d.start(vr, resumes)
	}
	d.overrides = d.last.overrides()
	d.pruneOverrides()
	d.decided = leftBehind(d.started, d.cfg, d.readTable(ctx), d.last)
	d.beginSysctls()
	d.beginSync(d.started)
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

// adoptTimeout is more than the kernel takes to list 40,000 real servers on a slow machine.
const adoptTimeout = 15 * time.Second

// readTable returns what is in the kernel's table. The reconciler says what is wrong if it cannot be read.
func (d *Director) readTable(ctx context.Context) []ipvs.Service {
	ctx, cancel := context.WithTimeout(ctx, adoptTimeout)
	defer cancel()
	t, err := d.o.OpenTable(ctx)
	if err != nil {
		d.unusable = unusable(err) // no router is to become master before the reconciler has tried again
		return nil
	}
	defer func() { _ = t.Close() }()
	list, err := t.List(ctx)
	if err != nil {
		d.log.Warn("servers that the last run left up are not known", "err", err)
	}
	return list
}

// leftBehind are the decisions that an earlier run has left in the kernel's table: servers that get traffic there, or would
// if they had a weight, and with which weight. What the policy needs to know of the last run beside that is in its state:
// in a panic those that are down are in the table, too.
func leftBehind(now time.Time, cfg *configs.Config, table []ipvs.Service, last State) decisions {
	weights := make(map[serverID]uint32)
	there := make(map[ipvs.Key]bool)
	for _, s := range table {
		there[s.Key] = true
		for _, d := range s.Destinations {
			weights[serverID{s.Key, d.Address}] = d.Weight
		}
	}
	overrides, running, health := last.overrides(), last.drains(now), last.lastHealth(now)
	left := decisions{
		servers: make(map[serverID]*server), services: make(map[ipvs.Key]service), leaving: leftLeavers(now, cfg, table, last),
	}
	for _, vs := range cfg.VirtualServers {
		of, up := health.services[vs.Key], uint64(0)
		anew := of.panic && !there[vs.Key] // or those that are down would get the traffic alone until the first check passes
		if anew {
			of = service{}
		}
		for _, rs := range vs.RealServers {
			id := serverID{vs.Key, rs.Address}
			run, drains := running[id]
			weight, there := weights[id]
			is, down := health.servers[id]
			// The table is changed before the state is written.
			if down = down && !anew && (!there || drains || of.panic || weight == 0 && vs.Inhibit); !down {
				is = server{verdict: checker.Up, since: now}
			}
			is.forced = overrides[object{vs.Name, rs.Name}].weight
			switch {
			case there:
				is = is.left(now, vs, rs, weight, drains, run.drain)
			case !down:
				continue
			}
			left.servers[id] = &is
			if is.verdict == checker.Up && is.whole(rs) > 0 {
				up += uint64(is.configured(rs))
			}
		}
		_, sorry := weights[serverID{vs.Key, vs.Sorry.Address}]
		left.services[vs.Key] = leftService(now, vs, of, there[vs.Key], sorry, up)
	}
	return left
}

// left adds to the verdict on a server what its weight in the table says.
func (s server) left(now time.Time, vs configs.VirtualServer, rs configs.RealServer, weight uint32, drains bool, run drain) server {
	s.present = true
	dynamic := slices.ContainsFunc(rs.Checks, func(c checker.Check) bool { return c.Config.Value().DynamicWeight })
	open := func() {
		if s.verdict == checker.Up {
			s.verdict = checker.Unknown
		}
	}
	switch {
	case drains:
		open()
		s.holds, s.drain = s.verdict == checker.Unknown, drain{cause: byOperator, since: run.since, until: run.until}
	case weight == 0 && s.configured(rs) > 0 && (!dynamic || s.forced.Set || vs.Inhibit):
		open()
		s.holds = s.verdict == checker.Unknown
	case dynamic && !s.forced.Set:
		s.dynamic, s.kept = checker.Weight{Set: true, Value: weight}, true
	case s.verdict == checker.Up:
		s.ramp = rampAt(now, vs.SlowStart, weight, s.configured(rs))
	}
	return s
}

// leftService is what was decided about a service that the state file knows as was. It is there in the table, the sorry
// server, too, and servers that are up have so much weight.
func leftService(now time.Time, vs configs.VirtualServer, was service, there, sorry bool, up uint64) service {
	is := was
	if there && !sorry && !was.panic && vs.Sorry.Address.IsValid() {
		is = service{} // the table is newer
	}
	is.present = there
	switch {
	case is.verdict == checker.Down:
	case sorry:
		is.verdict = checker.Down
	case up >= quorum(vs, checker.Up):
		is.verdict = checker.Up
	default:
		return is
	}
	if is.since.IsZero() {
		is.since = now
	}
	return is
}

// checks returns every check of the configuration. One of a server that is up, or is to start as such, begins as passed,
// and one of a server that is down as failed.
func checks(cfg *configs.Config, decided decisions) []checker.Check {
	var all []checker.Check
	for _, vs := range cfg.VirtualServers {
		for _, rs := range vs.RealServers {
			for _, c := range rs.Checks {
				switch was := decided.server(vs, rs); {
				case was.verdict == checker.Up || was.verdict == checker.Unknown && vs.StartUp:
					c.Start = checker.Up // it takes as many failures as ever to go; else the first pass brings it in
				case was.verdict == checker.Down:
					c.Start, c.Relapses, c.Since = checker.Down, was.relapses, was.since
				}
				all = append(all, c)
			}
		}
	}
	return all
}

// leased reports whether the addresses of a virtual router are here and end by themselves, as only a master leaves them.
func (d *Director) leased(vr vrrp.Config) bool {
	left := d.o.Host.Lease(vr.All())
	return left > 0 && left < math.MaxInt64
}
