// SPDX-License-Identifier: Apache-2.0

package director

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-lb/holdfast/checker"
	"github.com/holdfast-lb/holdfast/configs"
)

// override is what an operator has said about a real server, on this director only. It goes on over reloads and restarts.
type override struct {
	drain   bool
	timed   bool // timeout counts instead of the service's drain_timeout
	timeout time.Duration
	weight  checker.Weight // instead of the configured one
}

// Override is what became of an order about a real server.
type Override struct {
	Service string           `json:"service"`
	Server  string           `json:"server"`
	State   RealServerStatus `json:"real_server"`
	Peers   []netip.Addr     `json:"peers"` // directors that have a table of their own: the order is for this one only
}

// Drain takes a real server out: no new connections, and out of the table when those that it has have ended, or after
// timeout (nil: the service's drain_timeout). name is SERVICE/SERVER.
func (d *Director) Drain(ctx context.Context, name string, timeout *time.Duration) (Override, error) {
	if timeout != nil && (*timeout < 0 || *timeout > maxDrainTimeout) {
		return Override{}, fmt.Errorf("drain %s: a timeout is between 0s and %s, not %s", name, maxDrainTimeout, *timeout)
	}
	return d.order(ctx, "drain", name, func(o *override) error {
		o.drain = true
		if timeout != nil {
			o.timed, o.timeout = true, *timeout
		}
		return nil
	})
}

// maxDrainTimeout keeps sums of times in range, and is longer than anybody waits.
const maxDrainTimeout = 30 * 24 * time.Hour

// Undrain ends what Drain has begun.
func (d *Director) Undrain(ctx context.Context, name string) (Override, error) {
	return d.order(ctx, "undrain", name, func(o *override) error {
		if !o.drain {
			return errors.New("it is not drained by command")
		}
		o.drain, o.timed, o.timeout = false, false, 0
		return nil
	})
}

// SetWeight gives a real server another weight than the configured one, up to 65535; nil: the configured one again.
func (d *Director) SetWeight(ctx context.Context, name string, weight *uint32) (Override, error) {
	if weight != nil && *weight > maxWeight {
		return Override{}, fmt.Errorf("weight of %s: a weight is between 0 and %d, not %d", name, maxWeight, *weight)
	}
	return d.order(ctx, "weight of", name, func(o *override) error {
		if weight == nil && !o.weight.Set {
			return errors.New("it has its configured weight")
		}
		o.weight = checker.Weight{Set: weight != nil}
		if weight != nil {
			o.weight.Value = *weight
		}
		return nil
	})
}

// order changes what is said about a real server, and decides anew.
func (d *Director) order(ctx context.Context, what, name string, change func(*override) error) (result Override, err error) {
	callErr := d.call(ctx, func() {
		var vs configs.VirtualServer
		var rs configs.RealServer
		if vs, rs, err = find(d.cfg, name); err != nil {
			return
		}
		if d.stopping {
			err = errors.New("the director is stopping")
			return
		}
		target := object{vs.Name, rs.Name}
		o := d.overrides[target]
		if err = change(&o); err != nil {
			return
		}
		d.setOverride(target, o)
		d.log.Info("override changed", "real_server", target.String(), "drain", o.drain, "weight", o.weightText())
		d.decide(time.Now())
		result = Override{Service: vs.Name, Server: rs.Name, Peers: d.peers(vs)}
	})
	if err = errors.Join(callErr, err); err != nil {
		return Override{}, fmt.Errorf("%s %s: %w", what, name, err)
	}
	result.State, err = d.RealServer(ctx, name)
	return result, err
}

// setOverride replaces the map, which the policy may have seen.
func (d *Director) setOverride(target object, o override) {
	all := make(map[object]override, len(d.overrides)+1)
	maps.Copy(all, d.overrides)
	all[target] = o
	if o == (override{}) {
		delete(all, target)
	}
	d.overrides = all
}

func (o override) weightText() string {
	if !o.weight.Set {
		return "as configured"
	}
	return fmt.Sprint(o.weight.Value)
}

// find returns the real server that SERVICE/SERVER names, or an error that says which ones there are.
func find(cfg *configs.Config, name string) (vs configs.VirtualServer, rs configs.RealServer, err error) {
	service, server, ok := strings.Cut(name, "/")
	if !ok {
		return vs, rs, errors.New("it names no real server: write SERVICE/SERVER, as `holdfast status` has them")
	}
	var names []string
	for _, vs = range cfg.VirtualServers {
		if vs.Name == service {
			break
		}
		names = append(names, vs.Name)
	}
	if vs.Name != service {
		return vs, rs, NoService(service, names)
	}
	names = nil
	for _, rs = range vs.RealServers {
		if rs.Name == server {
			return vs, rs, nil
		}
		names = append(names, rs.Name)
	}
	return vs, rs, NoServer(service, server, names)
}

// NoService says that no virtual server has a name, and which ones there are.
func NoService(name string, names []string) error {
	return fmt.Errorf("no virtual_server %q runs here: there is %s", name, Few(names))
}

// NoServer says that a virtual server has no real server of a name, and which ones it has.
func NoServer(service, name string, names []string) error {
	return fmt.Errorf("virtual_server %q has no real_server %q: there is %s", service, name, Few(names))
}

// Few names the first ten of a list that may be long, or "none".
func Few(names []string) string {
	const most = 10
	text := strings.Join(names[:min(len(names), most)], ", ")
	if more := len(names) - most; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return cmp.Or(text, "none")
}

// peers are the other directors of a service, as far as they are configured or were heard.
func (d *Director) peers(vs configs.VirtualServer) []netip.Addr {
	found := make(map[netip.Addr]bool)
	for name, r := range d.routers {
		if vs.VirtualRouter != "" && name != vs.VirtualRouter {
			continue
		}
		for _, a := range r.config.Unicast.Peers {
			found[a] = true
		}
		for _, p := range r.instance.Status().Peers {
			found[p.Address] = true
		}
	}
	return slices.SortedFunc(maps.Keys(found), netip.Addr.Compare)
}

// pruneOverrides drops those whose real servers a configuration does not have.
func (d *Director) pruneOverrides() {
	ids := serverIDs(d.cfg)
	for target := range d.overrides {
		if _, there := ids[target]; !there {
			d.setOverride(target, override{})
			d.log.Warn("override dropped: no real server has that name any more", "real_server", target.String())
		}
	}
}

// overridesOf reads the state file; what cannot be one is left out.
func (s State) overrides() map[object]override {
	all := make(map[object]override)
	for _, o := range s.Overrides {
		var is override
		if o.Weight != nil && *o.Weight <= maxWeight {
			is.weight = checker.Weight{Set: true, Value: *o.Weight}
		}
		is.drain = o.Drain
		if t := o.TimeoutSeconds; t != nil && o.Drain && *t >= 0 && *t <= maxDrainTimeout.Seconds() {
			is.timed, is.timeout = true, time.Duration(*t*float64(time.Second))
		}
		if o.VirtualServer != "" && o.RealServer != "" && is != (override{}) {
			all[object{o.VirtualServer, o.RealServer}] = is
		}
	}
	return all
}

func overrideStates(all map[object]override) []OverrideState {
	var list []OverrideState
	for target, o := range all {
		s := OverrideState{VirtualServer: target.service, RealServer: target.server, Drain: o.drain, Weight: weightStatus(o.weight)}
		if o.timed {
			seconds := o.timeout.Seconds()
			s.TimeoutSeconds = &seconds
		}
		list = append(list, s)
	}
	slices.SortFunc(list, func(a, b OverrideState) int {
		return cmp.Or(cmp.Compare(a.VirtualServer, b.VirtualServer), cmp.Compare(a.RealServer, b.RealServer))
	})
	return list
}
