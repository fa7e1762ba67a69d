// SPDX-License-Identifier: Apache-2.0

package director

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/holdfast-lb/holdfast/configs"
	"github.com/holdfast-lb/holdfast/internal/notify"
	"github.com/holdfast-lb/holdfast/vrrp"
)

// Failover is what became of an order to step down, or to end that.
type Failover struct {
	Routers []RouterFailover `json:"routers"` // the whole sync group of each that was named
}

// RouterFailover is what became of the order at one virtual router.
type RouterFailover struct {
	Router    string `json:"virtual_router"`
	SyncGroup string `json:"sync_group"` // empty: none
	// Result is that of a vrrp.Outcome: handed_over, not_taken, was_backup, took_no_part or interrupted; or, of a return,
	// returned or not_stepped_down.
	Result  string  `json:"result"`
	Master  string  `json:"master"`  // its address; empty: none is known
	Seconds float64 `json:"seconds"` // that it took to hand over, or to find that nobody takes over
	// SteppedDown is whether it does not preempt from now on, and Until when that ends by itself.
	SteppedDown bool      `json:"stepped_down"`
	Until       time.Time `json:"until,omitzero"`
	Returns     bool      `json:"returns"`         // a return would make, or makes, it master again
	Outlook     string    `json:"outlook"`         // what a return does
	Error       string    `json:"error,omitempty"` // why the order was not carried out
}

// The results of a return.
const (
	resultReturned       = "returned"
	resultNotSteppedDown = "not_stepped_down"
)

// Failed reports whether a router that was to hand over did not.
func (r RouterFailover) Failed() bool { return r.Error != "" }

// stepDown is an order of an operator that a virtual router leave the role to others. It goes on over reloads and restarts.
type stepDown struct {
	order uint64 // that the router was told; zero: there is none
	since time.Time
	until time.Time // it ends then; zero: when an operator says so
}

// handover waits for what becomes of an order at those virtual routers that go together.
type handover struct {
	began   time.Time
	waits   int
	before  map[string]stepDown // those that were stepped down already
	results []RouterFailover    // in the order of the configuration; the loop's until done is closed
	done    chan struct{}
}

// maxReturnAfter keeps sums of times in range, and is longer than any maintenance.
const maxReturnAfter = 30 * 24 * time.Hour

// Failover makes virtual routers leave the role to other directors, and not preempt from then on: those that are named, and
// all of their sync groups; nil: all there are. It returns when each that is master has handed over, or knows that nobody
// takes over. That is undone: such a sync group, or router, is as before, with what has been taken over of it. The others are stepped down until a Return, or for
// returnAfter (0: no end).
func (d *Director) Failover(ctx context.Context, names []string, returnAfter time.Duration) (Failover, error) {
	if returnAfter < 0 || returnAfter > maxReturnAfter {
		return Failover{}, fmt.Errorf("failover: a return is after 0s to %s, not %s", maxReturnAfter, returnAfter)
	}
	var orders []*handover
	var err error
	callErr := d.call(ctx, func() { orders, err = d.stepsDown(time.Now(), names, returnAfter) })
	if err = errors.Join(callErr, err); err != nil {
		return Failover{}, fmt.Errorf("failover: %w", err)
	}
	result := Failover{Routers: []RouterFailover{}}
	for _, h := range orders {
		select {
		case <-h.done:
			result.Routers = append(result.Routers, h.results...)
		case <-ctx.Done():
			return Failover{}, fmt.Errorf("failover: %w", ctx.Err())
		}
	}
	return result, nil
}

// stepsDown gives the order.
func (d *Director) stepsDown(now time.Time, names []string, returnAfter time.Duration) ([]*handover, error) {
	if d.stopping {
		return nil, errors.New("the director is stopping")
	}
	units, err := d.together(names)
	if err != nil {
		return nil, err
	}
	var orders []*handover
	for _, unit := range units {
		h := d.pending(unit)
		if h == nil {
			h = d.beginHandover(now, unit)
		}
		for _, name := range unit {
			is := d.stepped[name]
			if is.order == 0 {
				continue // it has come to the sync group since
			}
			if is.until = (time.Time{}); returnAfter > 0 {
				is.until = now.Add(returnAfter)
			}
			d.stepped[name] = is
			d.log.Info("stepping down", "virtual_router", name, "return_after", returnAfter.String())
		}
		orders = append(orders, h)
	}
	d.tellRouters()
	d.save()
	return orders, nil
}

// pending is the hand-over that a unit waits for; nil: it waits for none.
func (d *Director) pending(unit []string) *handover {
	for _, name := range unit {
		if h := d.handovers[name]; h != nil {
			return h
		}
	}
	return nil
}

// beginHandover orders the virtual routers of a unit to step down.
func (d *Director) beginHandover(now time.Time, unit []string) *handover {
	h := &handover{began: now, waits: len(unit), done: make(chan struct{}), before: make(map[string]stepDown)}
	for _, name := range unit {
		is, already := d.stepped[name]
		if already {
			h.before[name] = is
		} else {
			is.since = now
		}
		d.orders++
		is.order = d.orders
		d.stepped[name], d.handovers[name] = is, h
		h.results = append(h.results, RouterFailover{Router: name, SyncGroup: groupName(d.cfg, name)})
	}
	return h
}

// together finds the virtual routers of these names (none: all), each with all of its sync group.
func (d *Director) together(names []string) (units [][]string, err error) {
	var all []string
	for _, vr := range d.cfg.VirtualRouters {
		all = append(all, vr.Name)
	}
	for _, name := range names {
		if !slices.Contains(all, name) {
			return nil, fmt.Errorf("no virtual_router %q runs here: there is %s", name, Few(all))
		}
	}
	if len(names) == 0 {
		names = all
	}
	if len(all) == 0 {
		return nil, errors.New("no virtual_router is configured")
	}
	done := make(map[string]bool)
	for _, name := range all {
		unit := []string{name}
		if group := groupName(d.cfg, name); group != "" {
			unit = slices.DeleteFunc(slices.Clone(all), func(other string) bool { return groupName(d.cfg, other) != group })
		}
		wanted := slices.ContainsFunc(unit, func(member string) bool { return slices.Contains(names, member) })
		if wanted && !done[unit[0]] {
			done[unit[0]] = true
			units = append(units, unit)
		}
	}
	return units, nil
}

// groupName is the sync group of a virtual router; empty: none.
func groupName(cfg *configs.Config, router string) string {
	for _, g := range cfg.SyncGroups {
		if slices.Contains(g.Members, router) {
			return g.Name
		}
	}
	return ""
}

// steppedDown hears from a virtual router how an order has ended.
func (d *Director) steppedDown(now time.Time, m vrrp.SteppedDown) {
	if h := d.handovers[m.Router]; h == nil || d.stepped[m.Router].order != m.Order {
		return // of an earlier run, or called off
	}
	why := ""
	switch m.Outcome {
	case vrrp.NotTaken:
		why = "no peer took over"
	case vrrp.Interrupted:
		why = m.Reason
	}
	d.orderEnded(now, m.Router, m.Outcome, why)
	d.tellRouters()
	d.save()
}

// orderEnded notes how the order has ended at one virtual router, and what that means for all that go with it, which are to be
// told.
func (d *Director) orderEnded(now time.Time, name string, outcome vrrp.Outcome, why string) {
	h := d.handovers[name]
	delete(d.handovers, name)
	at := slices.IndexFunc(h.results, func(r RouterFailover) bool { return r.Router == name })
	r := &h.results[at]
	r.Result, r.Error, r.Seconds = outcome.String(), why, now.Sub(h.began).Seconds()
	if h.waits--; h.waits > 0 {
		return
	}
	has := func(o vrrp.Outcome) bool {
		return slices.ContainsFunc(h.results, func(r RouterFailover) bool { return r.Result == o.String() })
	}
	undone := has(vrrp.NotTaken) // a sync group of which a part only is taken over could be master nowhere
	for i := range h.results {
		r := &h.results[i]
		if undone {
			d.undo(r.Router, h.before)
			if r.Result == vrrp.HandedOver.String() {
				r.Error = "called back, because nobody took over all of sync group " + r.SyncGroup
			}
		}
		is, stepped := d.stepped[r.Router]
		r.SteppedDown, r.Until = stepped, is.until
		if running := d.routers[r.Router]; running != nil {
			s := running.instance.Status()
			r.Master = addrText(s.Master())
			if !d.stopping { // else it says nothing about the next run
				r.Returns, r.Outlook = afterReturn(s)
			}
		}
		d.tellFailover(now, *r, r.Error)
	}
	close(h.done)
}

// undo makes a virtual router as it was before the last order: it may have been stepped down already.
func (d *Director) undo(name string, before map[string]stepDown) {
	is, stepped := d.stepped[name]
	was, already := before[name]
	switch {
	case stepped && already:
		was.order = is.order // it has been told this one
		d.stepped[name] = was
	default:
		delete(d.stepped, name)
	}
}

// interrupt ends the wait for a virtual router that is stopped.
func (d *Director) interrupt(name, why string) {
	if d.handovers[name] != nil {
		d.orderEnded(time.Now(), name, vrrp.Interrupted, why)
	}
}

// afterReturn says whether a virtual router would be master again if it were not stepped down, and why or when.
func afterReturn(s vrrp.Status) (returns bool, why string) {
	master := s.Master()
	at := slices.IndexFunc(s.Peers, func(p vrrp.Peer) bool { return p.Address == master })
	down := s.MasterDown.Round(time.Millisecond)
	switch {
	case s.State == vrrp.Master:
		return true, "stays master"
	case s.State != vrrp.Backup:
		return false, fmt.Sprintf("stays in state %s: %s", s.State, s.Reason)
	case at < 0:
		return true, fmt.Sprintf("becomes master when no other is heard for %s", down)
	}
	switch p := s.Peers[at]; {
	case p.Priority > s.Effective:
		return false, fmt.Sprintf("stays backup: %s has priority %d against %d", p.Address, p.Priority, s.Effective)
	case p.Priority == s.Effective:
		return false, fmt.Sprintf("stays backup: %s is master with the same priority %d", p.Address, p.Priority)
	case !s.Config.Preempt && s.Config.Priority != 255:
		return false, fmt.Sprintf("stays backup until %s hands over: preempt is off", p.Address)
	case s.Unready != "":
		return true, fmt.Sprintf("takes over from %s later: now %s", p.Address, s.Unready)
	}
	return true, fmt.Sprintf("takes over from %s within %s", master, down)
}

// Return ends what Failover has begun: of the named virtual routers and all of their sync groups; nil: of all that are
// stepped down. Each is as if it had never stepped down: it takes the role back if it has the higher priority and may
// preempt, at the end of its timer and without preempt_delay.
func (d *Director) Return(ctx context.Context, names []string) (Failover, error) {
	result := Failover{Routers: []RouterFailover{}}
	var err error
	callErr := d.call(ctx, func() {
		var units [][]string
		if units, err = d.together(names); err != nil {
			return
		}
		for _, unit := range units {
			for _, name := range unit {
				if r := d.returns(time.Now(), name, "by command"); len(names) > 0 || r.Result == resultReturned {
					result.Routers = append(result.Routers, r)
				}
			}
		}
		d.tellRouters()
		d.save()
	})
	if err = errors.Join(callErr, err); err != nil {
		return Failover{}, fmt.Errorf("return: %w", err)
	}
	return result, nil
}

// returns ends the order for one virtual router; the others are to be told.
func (d *Director) returns(now time.Time, name, why string) RouterFailover {
	r := RouterFailover{Router: name, SyncGroup: groupName(d.cfg, name), Result: resultNotSteppedDown}
	if running := d.routers[name]; running != nil {
		s := running.instance.Status()
		r.Master = addrText(s.Master())
		r.Returns, r.Outlook = afterReturn(s)
	}
	if _, is := d.stepped[name]; is {
		delete(d.stepped, name)
		d.interrupt(name, "called off "+why)
		r.Result = resultReturned
		d.tellFailover(now, r, why)
	}
	return r
}

// returnAt is when the first order ends by itself; zero: none does.
func (d *Director) returnAt() (at time.Time) {
	for _, s := range d.stepped {
		if !s.until.IsZero() {
			at = earlier(at, s.until)
		}
	}
	return at
}

// returnDue ends the orders whose time is over.
func (d *Director) returnDue(now time.Time) {
	if at := d.returnAt(); at.IsZero() || now.Before(at) {
		return
	}
	for _, vr := range d.cfg.VirtualRouters {
		if s := d.stepped[vr.Name]; !s.until.IsZero() && !now.Before(s.until) {
			d.returns(now, vr.Name, "because its time is over")
		}
	}
	d.tellRouters()
	d.save()
}

// pruneStepDowns drops those whose virtual routers a configuration does not have.
func (d *Director) pruneStepDowns() {
	for name := range d.stepped {
		if !slices.ContainsFunc(d.cfg.VirtualRouters, func(vr vrrp.Config) bool { return vr.Name == name }) {
			delete(d.stepped, name)
			d.log.Warn("step-down dropped: no virtual router has that name any more", "virtual_router", name)
		}
	}
}

// tellFailover tells how an order has ended.
func (d *Director) tellFailover(now time.Time, r RouterFailover, reason string) {
	switch r.Result {
	case vrrp.HandedOver.String():
		reason = fmt.Sprintf("to %s in %s", r.Master, time.Duration(r.Seconds*float64(time.Second)).Round(time.Millisecond))
	case resultReturned:
		reason += ": " + r.Outlook
	}
	d.emit(notify.Event{Kind: "failover", Name: r.Router, To: r.Result, Reason: reason, Time: now})
}
