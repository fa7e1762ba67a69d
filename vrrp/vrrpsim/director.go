// SPDX-License-Identifier: Apache-2.0

package vrrpsim

import (
	"time"

	"github.com/holdfast-lb/holdfast/vrrp"
)

// Director is one host with its virtual routers.
type Director struct {
	Name    string
	Rate    float64 // of its clock; 1 is true
	Routers []*Router

	net      *Network
	running  bool
	stopping bool            // hands over, and is gone then
	stalled  bool            // held up
	stalls   int             // how often it was
	waiting  []func()        // what has come meanwhile
	down     map[string]bool // interfaces
	failed   map[Tracked]bool
	values   map[Tracked]int // of files
	unready  string
}

// Tracked names a thing that counts in elections: a script, a process, a file or a service.
type Tracked struct{ Kind, Name string }

func (t Tracked) String() string { return t.Kind + " " + t.Name }

// Add puts a director on the network, which does not run yet.
func (n *Network) Add(name string) *Director {
	d := &Director{
		Name: name, Rate: 1, net: n,
		down: make(map[string]bool), failed: make(map[Tracked]bool), values: make(map[Tracked]int),
	}
	n.Directors = append(n.Directors, d)
	return d
}

// Add gives the director a virtual router, before it is started.
func (d *Director) Add(r Router) *Router {
	r.director = d
	d.Routers = append(d.Routers, &r)
	return &r
}

// Running reports whether the director's process lives, held up or not.
func (d *Director) Running() bool { return d.running }

// Stalled reports whether the director's process is held up.
func (d *Director) Stalled() bool { return d.running && d.stalled }

// Boot starts the director; one that runs crashes first.
func (d *Director) Boot() {
	d.Crash()
	d.running, d.stopping = true, false
	for _, r := range d.Routers {
		r.boot()
	}
	for _, r := range d.Routers {
		r.step(r.refresh)
	}
}

// Crash ends the director's process. The kernel keeps its addresses until their lease ends.
func (d *Director) Crash() {
	d.running, d.stalled, d.waiting = false, false, nil
}

// Stop stops the director as planned: it hands over first.
func (d *Director) Stop() {
	d.later(func() {
		d.stopping = true
		for _, r := range d.Routers {
			r.do(r.machine.Stop(d.local()))
		}
	})
}

// Stall holds the director's process up: it misses nothing that arrives, but does nothing.
func (d *Director) Stall() {
	d.stalled = d.running
	d.stalls++
}

// Resume lets it go on. A master does first either what is due or what has arrived; a backup the latter, as an Instance.
func (d *Director) Resume() {
	if !d.stalled {
		return
	}
	d.stalled = false
	for _, r := range d.Routers {
		r.step(r.catchUp)
		if r.State() == vrrp.Master && !r.machine.Listens() && d.net.rand.IntN(2) == 0 {
			r.tick()
		}
	}
	waiting := d.waiting
	d.waiting = nil
	for _, f := range waiting {
		f()
	}
	for _, r := range d.Routers {
		r.tick()
	}
}

// SetLink takes an interface up or down.
func (d *Director) SetLink(device string, up bool) {
	d.down[device] = !up
	d.update()
}

// Track says whether a tracked thing has failed.
func (d *Director) Track(t Tracked, failed bool) {
	d.failed[t] = failed
	delete(d.values, t)
	d.update()
}

// SetValue says which integer a tracked file holds.
func (d *Director) SetValue(t Tracked, value int) {
	d.failed[t] = false
	d.values[t] = value
	d.update()
}

// SetUnready says why the director could not serve as master; empty: it could.
func (d *Director) SetUnready(reason string) {
	d.unready = reason
	d.update()
}

// Well ends all that SetLink, Track, SetValue and SetUnready have done.
func (d *Director) Well() {
	clear(d.down)
	clear(d.failed)
	clear(d.values)
	d.SetUnready("")
}

// update tells the virtual routers what has changed.
func (d *Director) update() {
	d.later(func() {
		for _, r := range d.Routers {
			r.step(r.refresh)
		}
	})
}

// later does f as soon as the process can: never if it does not run.
func (d *Director) later(f func()) {
	switch {
	case !d.running:
	case d.stalled:
		d.waiting = append(d.waiting, f)
	default:
		f()
	}
}

// gone ends a process that has handed over.
func (d *Director) gone() {
	for _, r := range d.Routers {
		if r.State() != vrrp.Init {
			return
		}
	}
	d.running = false
}

// local is the director's own clock.
func (d *Director) local() time.Time {
	return Epoch.Add(time.Duration(float64(d.net.now.Sub(Epoch)) * d.Rate))
}

// global is the true time at which the director's clock shows t, rounded up so that a deadline has passed by then.
func (d *Director) global(t time.Time) time.Time {
	if d.Rate == 1 {
		return t
	}
	return Epoch.Add(time.Duration(float64(t.Sub(Epoch))/d.Rate) + time.Microsecond)
}
