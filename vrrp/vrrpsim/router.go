// SPDX-License-Identifier: Apache-2.0

package vrrpsim

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/holdfast-lb/holdfast/vrrp"
)

// Router is a virtual router of one director. It does with its machine what a [vrrp.Instance] does.
type Router struct {
	Config  vrrp.Config
	Group   string // its sync group; empty: none
	Tracked []Weighted
	Source  netip.Addr // where its adverts come from

	director *Director
	machine  *vrrp.Machine // nil before the first boot
	started  bool          // since the boot
	resuming bool          // was master before a crash
	poked    bool
	stepped  bool // does not preempt, by an operator's order
	ordered  bool // and how that ended is not known yet
	told     vrrp.State
	standing vrrp.Standing
	parts    []vrrp.Part
	priority uint8
	wake     time.Time // when the next tick is queued
	held     time.Time // until when the kernel keeps the addresses that nobody renews
}

// Weighted is a tracked thing and what it weighs.
type Weighted struct {
	Tracked
	Weight int
}

// Director is where the router runs.
func (r *Router) Director() *Director { return r.director }

// State is the state of the machine; init if there is none.
func (r *Router) State() vrrp.State {
	if !r.director.running {
		return vrrp.Init
	}
	return r.told
}

// Reason is why the machine is in its state.
func (r *Router) Reason() string {
	if !r.director.running {
		return "does not run"
	}
	_, _, reason := r.machine.State()
	return reason
}

// Priority is the effective priority, and what it is made of.
func (r *Router) Priority() (uint8, []vrrp.Part) { return r.priority, r.parts }

// Holds reports whether the addresses are on the host.
func (r *Router) Holds() bool {
	if r.director.running && !r.director.stalled && !r.resuming {
		return r.machine.Holding()
	}
	return r.director.net.now.Before(r.held)
}

// accepts reports whether an advert of the other one is not refused here.
func (r *Router) accepts(from *Router) bool {
	return r.Config.ID == from.Config.ID && r.refuses(from) == ""
}

// boot makes a new machine. What is left of an earlier run is the addresses.
func (r *Router) boot() {
	wasMaster := r.machine != nil && r.machine.Holding() && !r.machine.Silent()
	lease := r.held.Sub(r.director.net.now)
	r.started, r.poked, r.told, r.standing, r.wake = false, false, vrrp.Init, 0, time.Time{}
	r.resuming = wasMaster && lease > r.Config.Interval
	r.look()
	r.machine = vrrp.NewMachine(r.params())
	if r.ordered = false; r.stepped {
		r.machine.StepDown(r.director.local())
	}
	if !r.resuming {
		return
	}
	m := r.machine
	r.director.net.At(r.held, func() {
		if r.machine == m && r.resuming {
			r.director.later(func() { r.step(func() { r.do(m.Lost(r.director.local())) }) })
		}
	})
}

// look finds out what the tracked things add, and why the router cannot take part.
func (r *Router) look() (fault string) {
	d := r.director
	r.parts = r.parts[:0:0]
	for _, l := range r.Config.Links {
		r.parts = append(r.parts, vrrp.NewPart("interface", l.Name, l.Weight, d.down[l.Name], linkDown(l.Name)))
	}
	for _, t := range r.Tracked {
		p := vrrp.NewPart(t.Kind, t.Name, t.Weight, d.failed[t.Tracked], "")
		if v, ok := d.values[t.Tracked]; ok {
			p.Failed, p.Value = t.Weight == 0 && v != 0, v*t.Weight // as the director's trackerPart
		}
		r.parts = append(r.parts, p)
	}
	r.priority, fault = vrrp.Effective(r.Config.Priority, r.parts)
	if fault == "" && d.down[r.Config.Interface] {
		fault = linkDown(r.Config.Interface)
	}
	return fault
}

func linkDown(device string) string { return fmt.Sprintf("interface %s is down", device) }

func (r *Router) params() vrrp.Params {
	c := r.Config
	patience := time.Duration(0)
	for _, o := range r.director.Routers {
		if r.Group != "" && o.Group == r.Group && o.machine != nil {
			patience = max(patience, o.machine.MasterDownInterval())
		}
	}
	return vrrp.Params{
		Version: c.Version, Priority: r.priority, Interval: c.Interval, Preempt: c.Preempt, PreemptDelay: c.PreemptDelay,
		Handover: c.Handover, Grouped: r.Group != "", Patience: patience, Source: r.Source,
	}
}

// step is one turn of an Instance's loop.
func (r *Router) step(f func()) {
	f()
	r.follow()
}

// refresh compares the machine with what has changed, as an Instance does.
func (r *Router) refresh() {
	r.catchUp()
	if r.director.stopping {
		return
	}
	now, fault := r.director.local(), r.look()
	r.machine.SetParams(now, r.params())
	r.machine.SetUnready(r.director.unready)
	if fault != "" {
		r.do(r.machine.Fail(now, fault))
		return
	}
	if s := r.State(); s != vrrp.Init && s != vrrp.Fault {
		r.do(nil)
		return
	}
	delay, resume := r.Config.StartupDelay, r.resuming
	if r.started {
		delay, resume = 0, false
	}
	r.started = true
	r.do(r.machine.Start(now, delay, resume))
}

// follow does what the sync group wants.
func (r *Router) follow() {
	d := r.director
	if r.Group == "" || d.stopping || !d.running {
		return
	}
	var members []vrrp.Member
	for _, o := range d.Routers {
		if o.Group == r.Group && o.standing != 0 {
			members = append(members, vrrp.Member{Name: o.Config.Name, Standing: o.standing, Reason: o.Reason()})
		}
	}
	switch verdict, why := vrrp.Decide(r.Group, members); {
	case verdict == vrrp.Lead && r.standing == vrrp.Ripe:
		r.do(r.machine.Promote(d.local()))
	case verdict == vrrp.Withdraw && r.standing == vrrp.Leading:
		r.do(r.machine.Withdraw(d.local(), why))
	}
}

func (r *Router) receive(from netip.Addr, a vrrp.Advert) {
	if r.director.down[r.Config.Interface] {
		return
	}
	r.director.later(func() { r.step(func() { r.do(r.machine.Receive(r.director.local(), from, a)) }) })
}

func (r *Router) catchUp() { r.do(r.machine.CatchUp(r.director.local())) }

func (r *Router) tick() {
	if r.director.running && !r.director.stalled {
		r.step(func() { r.do(r.machine.Tick(r.director.local())) })
	}
}

// do carries out what the machine wants.
func (r *Router) do(acts []vrrp.Action) {
	for _, a := range acts {
		switch a.Kind {
		case vrrp.SendAdvert:
			r.director.net.send(r, a.Priority)
		case vrrp.ReleaseAddresses:
			r.held = time.Time{}
		}
	}
	state, _, _ := r.machine.State()
	if r.resuming && r.started && (state == vrrp.Master || !r.machine.Holding()) {
		r.resuming = false
	}
	if r.machine.Holding() && !r.resuming {
		r.renew()
	}
	r.publish(state)
	r.obey()
	r.schedule()
	if r.director.stopping && state == vrrp.Init {
		r.director.gone()
	}
}

// forever is a lease without an end.
const forever = 100 * 365 * 24 * time.Hour

func (r *Router) renew() {
	lease := r.Config.Lease
	if lease == 0 {
		lease = forever
	}
	r.held = r.director.net.now.Add(lease)
}

// publish tells of a change of state, and wakes up the others of the sync group.
func (r *Router) publish(state vrrp.State) {
	d := r.director
	if state != r.told {
		was := r.told
		r.told = state
		if d.net.OnTransition != nil {
			d.net.OnTransition(Transition{d.net.now, r, was, state, r.priority, r.Reason()})
		}
	}
	if standing := r.machine.Standing(); r.Group != "" && standing != r.standing {
		r.standing = standing
		for _, o := range d.Routers {
			if o != r && o.Group == r.Group && !o.poked {
				o.poke()
			}
		}
	}
}

// poke makes the router look at what has changed, soon.
func (r *Router) poke() {
	r.poked = true
	m := r.machine
	r.director.net.At(r.director.net.now, func() {
		r.poked = false
		if r.machine == m {
			r.director.later(func() { r.step(r.refresh) })
		}
	})
}

// schedule queues the next tick.
func (r *Router) schedule() {
	d, n := r.machine.Deadline(), r.director.net
	if d.IsZero() {
		return
	}
	at := r.director.global(d)
	if at.Before(n.now) {
		at = n.now
	}
	if at.Equal(r.wake) {
		return
	}
	r.wake = at
	m := r.machine
	n.At(at, func() {
		if r.machine == m && r.wake.Equal(at) {
			r.wake = time.Time{}
			r.tick()
		}
	})
}
