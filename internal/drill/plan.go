// SPDX-License-Identifier: Apache-2.0

package drill

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-lb/holdfast/internal/director"
)

// Options say what a drill is to do.
type Options struct {
	Routers []string // virtual routers; empty: all that the director is master of
	Target  Target   // of the load; zero: chosen by Prepare
	NoLoad  bool
	Try     bool          // pre-checks only
	For     time.Duration // how long the other director serves before the return
	Stay    bool          // do not return
	// ReturnWithin is how long the return may take. Connection sync delays it until the table is known here.
	ReturnWithin time.Duration
	Bounds       Bounds
}

// Bounds are what a drill is held against.
type Bounds struct {
	Lost   int           // requests, at most
	Gap    time.Duration // longest time without an answer, at most
	Broken int           // held connections that did not survive, at most; below 0: as many as may be
}

// A Plan is what a drill will do, and what speaks against it.
type Plan struct {
	Routers []string     // that step down, with those of their sync groups
	Target  *Target      // of the load; nil: none, a check says why
	Peers   []netip.Addr // other directors that were heard
	Checks  []Check
}

// Prepare plans a drill on a director that is in this state. It is pure; local are the addresses of the host that the
// drill runs on.
func Prepare(s director.Status, now time.Time, local []netip.Addr, o Options) Plan {
	var p Plan
	routers, check := choose(s, o.Routers)
	p.Checks = append(p.Checks, readyCheck(s), reloadCheck(s), check)
	for _, vr := range routers {
		p.Routers = append(p.Routers, vr.Name)
		for _, peer := range vr.Peers {
			if !slices.Contains(p.Peers, peer.Address) {
				p.Peers = append(p.Peers, peer.Address)
			}
		}
		p.Checks = append(p.Checks, peerCheck(vr, now), addressCheck(vr))
	}
	p.Checks = append(p.Checks, tableCheck(s, now))
	p.Checks = append(p.Checks, serverChecks(s, routers)...)
	if s.ConnectionSync != nil {
		p.Checks = append(p.Checks, syncCheck(*s.ConnectionSync))
	}
	if why := stays(routers); why != "" && !o.Stay {
		p.Checks = append(p.Checks, warning("return", "the role will not come back by itself: %s", why))
	}
	var c Check
	if p.Target, c = chooseTarget(s, routers, local, o); c.Verdict != Passed { // else there is a check by trying
		p.Checks = append(p.Checks, c)
	}
	return p
}

// choose returns the routers that step down, in the order of the status.
func choose(s director.Status, names []string) ([]director.VirtualRouterStatus, Check) {
	const name = "role"
	groups := make(map[string]bool)
	unknown := slices.Clone(names)
	wanted := func(vr director.VirtualRouterStatus) bool {
		if len(names) == 0 {
			return vr.State == "master"
		}
		return slices.Contains(names, vr.Name)
	}
	for _, vr := range s.VirtualRouters {
		unknown = slices.DeleteFunc(unknown, func(n string) bool { return n == vr.Name })
		if wanted(vr) && vr.SyncGroup != "" {
			groups[vr.SyncGroup] = true
		}
	}
	if len(unknown) > 0 {
		return nil, failed(name, "%s has no virtual router %s", s.Name, strings.Join(unknown, ", "))
	}
	var chosen []director.VirtualRouterStatus
	var list, not, stepped []string
	for _, vr := range s.VirtualRouters {
		if wanted(vr) || groups[vr.SyncGroup] {
			chosen = append(chosen, vr)
			list = append(list, vr.Name)
			if vr.State != "master" {
				not = append(not, fmt.Sprintf("%s (%s)", vr.Name, vr.State))
			}
			if vr.SteppedDown != nil {
				stepped = append(stepped, vr.Name)
			}
		}
	}
	switch {
	case len(chosen) == 0:
		return nil, failed(name, "%s is master of no virtual router: drill where the master is", s.Name)
	case len(not) > 0:
		return chosen, failed(name, "%s is not master of %s: drill where the master is", s.Name, strings.Join(not, ", "))
	case len(stepped) > 0: // the return of the drill would end that order, too
		return chosen, failed(name, "%s is stepped down by an operator already: holdfast failover --return ends that", strings.Join(stepped, ", "))
	}
	return chosen, passed(name, "%s is master of %s", s.Name, strings.Join(list, ", "))
}

// stays says why the role would stay with the other director.
func stays(routers []director.VirtualRouterStatus) string {
	for _, vr := range routers {
		if !vr.Preempt && vr.Priority != 255 { // an address owner always preempts
			return fmt.Sprintf("preempt is off in virtual_router %s", vr.Name)
		}
		for _, p := range vr.Peers {
			if p.Priority >= vr.EffectivePriority {
				return fmt.Sprintf("%s has priority %d in virtual_router %s, %d here", p.Address, p.Priority, vr.Name, vr.EffectivePriority)
			}
		}
	}
	return ""
}

// chooseTarget returns where to send the load, or why there is none.
func chooseTarget(s director.Status, routers []director.VirtualRouterStatus, local []netip.Addr, o Options) (*Target, Check) {
	const name = "load"
	if o.NoLoad {
		return nil, skipped(name, "none, as asked for")
	}
	ok := passed(name, "possible from here")
	if o.Target.Address.IsValid() {
		for _, vs := range s.VirtualServers {
			if vs.Address == o.Target.Address && vs.Protocol == "tcp" {
				if why := unfit(vs, s.VirtualRouters, local); why != "" {
					return nil, failed(name, "%s; run the drill without it (--no-load), and the load from another host", why)
				}
			}
		}
		return &o.Target, ok
	}
	first := ""
	for _, vs := range s.VirtualServers {
		if vs.Protocol != "tcp" || vs.Address.Port() == 0 || !carries(routers, vs.Address.Addr()) {
			continue
		}
		why := unfit(vs, s.VirtualRouters, local)
		if why == "" {
			return &Target{Address: vs.Address}, ok
		}
		if first == "" {
			first = why
		}
	}
	if first == "" {
		return nil, skipped(name, "no TCP service with a port is on the addresses of these virtual routers; --target says what to load")
	}
	return nil, skipped(name, "none from this host: %s; another host can be the client", first)
}

// carries reports whether one of the routers moves the address.
func carries(routers []director.VirtualRouterStatus, a netip.Addr) bool {
	return slices.ContainsFunc(routers, func(vr director.VirtualRouterStatus) bool {
		return slices.ContainsFunc(slices.Concat(vr.Addresses, vr.ExcludedAddresses), func(p string) bool {
			prefix, err := netip.ParsePrefix(p)
			return err == nil && prefix.Addr() == a
		})
	})
}

// unfit says why this host can be no client of the service; empty: it can. What a director sends itself goes through its
// own table first (the hook LOCAL_OUT of ip_vs_core.c), whoever holds the address; and by dr and through tunnels it sends
// with the virtual address as source while it holds that, so that no answer can come back.
func unfit(vs director.VirtualServerStatus, routers []director.VirtualRouterStatus, local []netip.Addr) string {
	itself := slices.ContainsFunc(routers, func(vr director.VirtualRouterStatus) bool {
		source, err := netip.ParseAddr(vr.Source)
		return err == nil && slices.Contains(local, source)
	})
	switch {
	case itself && vs.Active == "always":
		return fmt.Sprintf("this is the director, and what it sends to %s goes through its own table, whoever is master", vs.Name)
	case itself && vs.Forward != "nat":
		return fmt.Sprintf("this is the director, and a master is no client of its own service with forward = %q", vs.Forward)
	case !itself && slices.Contains(local, vs.Address.Addr()):
		return fmt.Sprintf("this host has the address %s itself, as a real server does", vs.Address.Addr())
	}
	return ""
}
