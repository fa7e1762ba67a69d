// SPDX-License-Identifier: Apache-2.0

package director

import (
	"maps"
	"slices"
	"time"

	"github.com/holdfast-lb/holdfast/checker"
	"github.com/holdfast-lb/holdfast/ipvs"
)

// decisionGap is the least time between two decisions for what the checks say or for a weight that rises. The first change
// is decided on at once, those that follow together: a thousand servers that fail in the same second change the table at
// most ten times. Where a decision takes long, on a slow machine with very many servers, it is three times that, so that the
// checks have the processor for most of the time; but after one nobody waits longer than decisionRest: it may have been a
// stall of this process that took so long.
const (
	decisionGap  = 100 * time.Millisecond
	decisionRest = time.Second
)

// due does what the time has come for, and returns how long nothing more is to be done.
func (d *Director) due(now time.Time) time.Duration {
	if at := d.decideAt(); !at.IsZero() && !now.Before(at) {
		d.decide(now)
	}
	if !d.tellAt.IsZero() && !now.Before(d.tellAt) {
		d.tellChanges(now, d.decided)
	}
	if at := d.sync.deadline; !at.IsZero() && !now.Before(at) {
		d.followSync(now)
	}
	d.returnDue(now)
	next := earlier(earlier(d.decideAt(), d.tellAt), earlier(d.drains.ask(now), d.sync.deadline))
	next = earlier(next, d.returnAt())
	if next.IsZero() {
		return time.Hour // whatever comes next wakes the loop
	}
	return next.Sub(now)
}

// decideAt is when to decide again; zero: not before something changes.
func (d *Director) decideAt() time.Time {
	soonest := d.decidedAt.Add(max(decisionGap, d.took+min(2*d.took, decisionRest)))
	if d.stale || !d.deadline.IsZero() && d.deadline.Before(soonest) {
		return soonest
	}
	return d.deadline
}

// firstRoundDone decides on what every check has said at least once. Part of that may still wait in the inbox.
func (d *Director) firstRoundDone(now time.Time) {
	d.takeAll()
	d.ready = true
	d.log.Info("first round of checks done", "checks", len(d.health))
	d.decide(now)
}

// decide asks the policy, tells of what is new, and passes the wanted table on.
func (d *Director) decide(now time.Time) {
	defer func(began time.Time) { d.took = time.Since(began) }(time.Now())
	want, next, deadline := desired(now, d.facts(), d.decided)
	d.tellChanges(now, next)
	d.decided, d.decidedAt, d.stale, d.deadline = next, now, false, deadline
	if d.goal == 0 || !slices.EqualFunc(want, d.want, ipvs.Service.Equal) {
		d.want = want
		for _, s := range want {
			d.owned[s.Key] = true
		}
		d.goal = d.table.Set(d.newGoal())
	}
	var applied time.Time
	if d.report.Err == nil && d.report.Goal == d.goal {
		applied = d.report.Time
	}
	d.drains.follow(next.running(), d.goal, applied)
	d.tellRouters()
	d.save()
}

// facts are what the policy goes by now.
func (d *Director) facts() facts {
	return facts{cfg: d.cfg, health: d.health, ready: d.ready, holding: d.holding, overrides: d.overrides, idle: d.drains.idle}
}

// tellChanges tells of what the next decisions change, or notes when to.
func (d *Director) tellChanges(now time.Time, next decisions) {
	services, servers := changesOf(now, d.cfg, d.decided, next)
	list, serversAt := d.servers.take(now, servers)
	more, servicesAt := d.services.take(now, services)
	contested, addressesAt := d.addresses.take(now, d.addressChanges())
	for _, e := range slices.Concat(list, more, contested) {
		d.emit(e)
	}
	d.tellAt = earlier(earlier(serversAt, servicesAt), addressesAt)
}

// newGoal is what the reconciler is to keep.
func (d *Director) newGoal() ipvs.Goal {
	return ipvs.Goal{Services: d.want, Owned: d.ownedKeys(), Timeouts: d.cfg.Timeouts, ReportOnly: d.cfg.Director.ReportDrift, Sync: d.sync.want, Syncs: d.sync.ours}
}

// tellRest tells what is gathered, because nobody will ask later.
func (d *Director) tellRest(now time.Time) {
	d.services.close()
	d.servers.close()
	d.tellChanges(now, d.decided)
}

func (d *Director) ownedKeys() []ipvs.Key {
	return slices.SortedFunc(maps.Keys(d.owned), ipvs.Key.Compare)
}

// applyChecks runs the checks of the configuration, and knows of each what it begins with.
func (d *Director) applyChecks() {
	all := checks(d.cfg, d.decided)
	health := make(map[checker.Key]checker.Change, len(all))
	for _, c := range all {
		is := checker.Change{Key: c.Key, Target: c.Target, Verdict: c.Start} // if that is up, its passes will be no change
		if was := d.health[c.Key]; was.Verdict != checker.Unknown && was.Target == c.Target {
			is = was
		} else if c.Start == checker.Down { // its first failure says why
			is.Detail, is.Relapses = "not passed since it was down", c.Relapses
		}
		health[c.Key] = is
	}
	d.services.window, d.servers.window = windowOf(all), windowOf(all)
	d.health = health
	d.checks.Apply(all)
}
