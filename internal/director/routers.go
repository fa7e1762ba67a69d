// SPDX-License-Identifier: Apache-2.0

package director

import (
	"context"
	"slices"

	"github.com/holdfast-lb/holdfast/vrrp"
)

// router is a running virtual router.
type router struct {
	instance *vrrp.Instance
	config   vrrp.Config
	told     vrrp.Input
	stop     context.CancelFunc
	done     chan struct{}
}

// start runs a virtual router, once those that had its place or its addresses have let go.
func (d *Director) start(vr vrrp.Config, resume bool) {
	before := d.predecessors(vr)
	in := d.input(vr)
	instance := vrrp.NewInstance(in, vrrp.Options{
		Host: d.o.Host, Dial: d.o.Dial, Log: d.log, Resume: resume,
		OnTransition: func(t vrrp.Transition) { d.inbox.put(t) },
	})
	ctx, stop := context.WithCancel(context.Background())
	r := &router{instance: instance, config: vr, told: in, stop: stop, done: make(chan struct{})}
	d.routers[vr.Name] = r
	d.running.Go(func() {
		defer close(r.done)
		for _, p := range before {
			<-p.done
		}
		d.failed(instance.Run(ctx))
	})
}

// predecessors are the routers still handing over that have the name, the place or an address of a new one.
func (d *Director) predecessors(vr vrrp.Config) []*router {
	d.leaving = slices.DeleteFunc(d.leaving, func(r *router) bool {
		select {
		case <-r.done:
			return true
		default:
			return false
		}
	})
	var before []*router
	for _, r := range d.leaving {
		shares := slices.ContainsFunc(vr.Addresses, func(a vrrp.Address) bool { return slices.Contains(r.config.Addresses, a) })
		if shares || r.config.Name == vr.Name || r.config.Interface == vr.Interface && r.config.ID == vr.ID {
			before = append(before, r)
		}
	}
	return before
}

// input is what a virtual router is told.
func (d *Director) input(vr vrrp.Config) vrrp.Input {
	in := vrrp.Input{Config: vr}
	services, servers, up := served(d.cfg, d.decided, vr.Name)
	switch {
	case !d.ready:
		in.Unready = "not every check has run yet"
	case servers > 0 && up == 0:
		in.Unready = "no real server is up"
	}
	if d.unusable != nil && services > 0 {
		in.Fault = "its services cannot be balanced: " + d.unusable.Error()
	}
	return in
}

// tellRouters tells every virtual router what is new for it.
func (d *Director) tellRouters() {
	for _, r := range d.routers {
		in := d.input(r.config)
		if in.Unready != r.told.Unready || in.Fault != r.told.Fault || !in.Config.Equal(r.told.Config) {
			r.told = in
			r.instance.Set(in)
		}
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
		r.stop()
		d.leaving = append(d.leaving, r)
		delete(d.routers, name)
		if !stays {
			delete(d.roles, name)
			d.metrics.forget(name)
		}
	}
	for _, vr := range d.cfg.VirtualRouters {
		if d.routers[vr.Name] == nil {
			d.start(vr, false)
		}
	}
}
