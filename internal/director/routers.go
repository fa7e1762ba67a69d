// SPDX-License-Identifier: Apache-2.0

package director

import (
	"context"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-lb/holdfast/configs"
	"github.com/holdfast-lb/holdfast/vrrp"
)

// router is a running virtual router.
type router struct {
	instance *vrrp.Instance
	config   vrrp.Config
	told     vrrp.Input
	late     *lateness
	stop     context.CancelCauseFunc // vrrp.ErrKeep: and leave all as it is
	done     chan struct{}
}

// start runs a virtual router, once those that had its place or its addresses have let go.
func (d *Director) start(vr vrrp.Config, resume bool) {
	before := d.predecessors(vr)
	in := d.input(vr)
	d.metrics.begin(vr.Name)
	late := &lateness{seen: d.metrics.late.WithLabelValues(vr.Name)}
	instance := vrrp.NewInstance(in, vrrp.Options{
		Host: d.o.Host, Dial: d.o.Dial, Log: d.log, Resume: resume,
		OnTransition: func(t vrrp.Transition) { d.inbox.put(t) },
		OnStepDown:   func(s vrrp.SteppedDown) { d.inbox.put(s) },
		OnHolding:    func(holds bool) { d.inbox.put(holdingChanged{vr.Name, holds}) },
		OnLate:       late.observe,
	})
	ctx, stop := context.WithCancelCause(context.Background())
	r := &router{instance: instance, config: vr, told: in, late: late, stop: stop, done: make(chan struct{})}
	d.routers[vr.Name] = r
	d.running.Go(func() {
		for _, p := range before {
			<-p.done
		}
		d.failed(instance.Run(ctx))
		close(r.done)
		d.inbox.put(routerEnded{})
	})
}

// routerEnded is what the loop is told when a virtual router has put nothing on this host any more.
type routerEnded struct{}

// holdingChanged is what the loop is told when a virtual router begins or ceases to hold its addresses.
type holdingChanged struct {
	router string
	holds  bool
}

// lastingRoles are the roles for the next run. A router that resumes is not master yet, but must not lose the role by
// being killed again.
func (d *Director) lastingRoles() map[string]vrrp.State {
	if len(d.resuming) == 0 {
		return d.roles
	}
	roles := maps.Clone(d.roles)
	for name := range d.resuming {
		roles[name] = vrrp.Master
	}
	return roles
}

// holds decides at once: a service that goes with a virtual router is in the table while that serves its addresses. A stop
// leaves the table as it is.
func (d *Director) holds(m holdingChanged) {
	if d.routers[m.router] == nil || d.stopping {
		return
	}
	d.holding = maps.Clone(d.holding)
	d.holding[m.router] = m.holds
	if !m.holds {
		delete(d.resuming, m.router)
	}
	if slices.ContainsFunc(d.cfg.VirtualServers, func(vs configs.VirtualServer) bool { return vs.Active == m.router }) {
		d.decide(time.Now())
	}
}

// handingOver are the routers that have been stopped and are not through with it.
func (d *Director) handingOver() []*router {
	d.leaving = slices.DeleteFunc(d.leaving, func(r *router) bool {
		select {
		case <-r.done:
			return true
		default:
			return false
		}
	})
	return d.leaving
}

// predecessors are the routers still handing over that have the name, the place or an address of a new one.
func (d *Director) predecessors(vr vrrp.Config) []*router {
	var before []*router
	for _, r := range d.handingOver() {
		shares := slices.ContainsFunc(vr.All(), func(a vrrp.Address) bool { return slices.Contains(r.config.All(), a) })
		if shares || r.config.Name == vr.Name || samePlace(r.config, vr) {
			before = append(before, r)
		}
	}
	return before
}

// samePlace reports whether two virtual routers have the same part in the same election.
func samePlace(a, b vrrp.Config) bool {
	return a.Interface == b.Interface && a.ID == b.ID && a.Family6() == b.Family6()
}

// input is what a virtual router is told.
func (d *Director) input(vr vrrp.Config) vrrp.Input {
	in := vrrp.Input{Config: vr, Parts: parts(d.cfg, vr.Name, d.tracked, d.decided), Group: d.groupOf[vr.Name]}
	in.StepDown = d.stepped[vr.Name].order
	in.Unready = unserved(d.cfg, d.decided, vr.Name)
	if !d.ready {
		in.Unready = "not every check has run yet"
	}
	if in.Unready == "" {
		in.Unready = d.coldFor(vr.Name)
	}
	serves := func(vs configs.VirtualServer) bool { return vs.VirtualRouter == vr.Name }
	if d.unusable != nil && slices.ContainsFunc(d.cfg.VirtualServers, serves) {
		in.Fault = "its services cannot be balanced: " + d.unusable.Error()
	}
	return in
}

// tellRouters tells every virtual router what is new for it.
func (d *Director) tellRouters() {
	for _, r := range d.routers {
		d.tell(r)
	}
}

func (d *Director) tell(r *router) {
	if in := d.input(r.config); !sameInput(in, r.told) {
		r.told = in
		r.instance.Set(in)
	}
}

func sameInput(a, b vrrp.Input) bool {
	return a.Unready == b.Unready && a.Fault == b.Fault && a.Group == b.Group && a.StepDown == b.StepDown && slices.Equal(a.Parts, b.Parts) &&
		a.Config.Equal(b.Config)
}

// lateness is how late the timers of an election have fired.
type lateness struct {
	seen  prometheus.Observer
	worst atomic.Int64 // nanoseconds
}

// observe is called by the election's goroutine alone.
func (l *lateness) observe(late time.Duration) {
	l.seen.Observe(late.Seconds())
	if int64(late) > l.worst.Load() {
		l.worst.Store(int64(late))
	}
}

// applyRouters starts, changes and stops virtual routers. What is equal is not touched. A router whose place in the
// election changes hands over first, because its successor may have the same addresses.
func (d *Director) applyRouters() {
	wanted := make(map[string]vrrp.Config)
	for _, vr := range d.cfg.VirtualRouters {
		wanted[vr.Name] = vr
	}
	for name, r := range d.routers {
		vr, stays := wanted[name]
		if stays && r.config.SameElection(vr) {
			r.config = vr // what is new is told when all is decided
			continue
		}
		r.stop(nil)
		d.interrupt(name, "a reload has stopped it")
		d.leaving = append(d.leaving, r)
		delete(d.routers, name)
		if !stays {
			delete(d.roles, name)
			delete(d.resuming, name)
			d.holding = maps.Clone(d.holding)
			delete(d.holding, name)
			d.metrics.forget(name)
		}
	}
	for _, vr := range d.cfg.VirtualRouters {
		if d.routers[vr.Name] == nil {
			d.start(vr, false)
		}
	}
}
