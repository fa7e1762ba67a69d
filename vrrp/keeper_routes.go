// SPDX-License-Identifier: Apache-2.0

package vrrp

import "time"

// routeKeeper is what a keeper knows of its routes.
type routeKeeper struct {
	gone  []Route   // no longer configured, and still to be removed
	clean bool      // none is installed
	held  time.Time // when they were last seen to
}

// configure notes which routes are no longer wanted.
func (r *routeKeeper) configure(before, now []Route) {
	if !r.clean {
		r.gone = without(union(r.gone, before), now)
	}
}

// holdRoutes installs the routes, and puts those back that have gone: with an address, with a link, or because someone
// removed them. For the last there is no cheap event on a host with many routes, so they are looked after with the
// adverts, as seldom as the lease.
func (k *keeper) holdRoutes(now time.Time, o order, again bool) {
	r := &k.routes
	fresh := without(o.cfg.Routes, k.done.cfg.Routes)
	if len(o.cfg.Routes) == 0 || !again && len(fresh) == 0 && now.Sub(r.held) < renewEvery {
		return
	}
	r.clean, r.held = false, now
	if !k.attempt(k.host.HoldRoutes(o.cfg.Routes)) {
		r.held = time.Time{}
	}
}

// releaseRoutes removes routes; those of an earlier run, too.
func (k *keeper) releaseRoutes(routes []Route) (ok bool) {
	if len(routes) == 0 {
		return true
	}
	if !k.attempt(k.host.ReleaseRoutes(routes)) {
		return false
	}
	k.routes.gone = without(k.routes.gone, routes)
	return true
}
