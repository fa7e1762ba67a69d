// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"fmt"
	"slices"

	"github.com/holdfast-lb/holdfast/ipvs"
)

// carrier finds the virtual router of a service, and warns of what its absence or presence makes doubtful.
func (b *builder) carrier(raw *rawVirtualServer, s *VirtualServer) {
	if s.Key.Mark == 0 {
		s.VirtualRouter = b.carried[s.Key.Address]
	}
	if len(b.cfg.VirtualRouters) == 0 {
		return // the addresses are somebody else's business
	}
	if s.Key.Mark == 0 && s.VirtualRouter == "" {
		b.warn(raw.Address.Expr.Range(), "Address in no virtual router",
			fmt.Sprintf("No virtual_router carries %s: it does not move when this director fails.", s.Key.Address))
		return
	}
	if s.Active != "" && s.VirtualRouter != "" && s.Active != s.VirtualRouter {
		b.warn(raw.Active.Expr.Range(), "Active without its address", fmt.Sprintf(
			"virtual_router %q carries %s, not %q: where only that one is master, clients find no service.",
			s.VirtualRouter, s.Key.Address, s.Active))
	}
	b.lintMove(raw, *s)
}

// lintMove warns of clients that lose their real server when the service moves to the other director.
func (b *builder) lintMove(raw *rawVirtualServer, s VirtualServer) {
	const summary = "Clients move to other servers"
	if s.Scheduler == "sh" {
		b.warn(raw.Scheduler.Expr.Range(), summary,
			"With sh, a change of the real servers or another order on the other director sends clients elsewhere; "+
				`"mh" keeps nearly all of them where they are.`)
	}
	if raw.Persistence != nil && !b.isSynced() && s.Scheduler != "sh" && s.Scheduler != "mh" {
		b.warn(raw.Persistence.Range, summary,
			"A director that takes over does not know where its clients were: a connection_sync block tells it.")
	}
}

// lintSysctls warns of NAT where nobody makes the kernel forward packets.
func (b *builder) lintSysctls(raw *rawDirector) {
	if b.cfg.Director.ManageSysctls {
		return
	}
	for _, s := range b.cfg.VirtualServers {
		for _, r := range s.RealServers {
			if r.Forward != ipvs.NAT {
				continue
			}
			sysctl := "net.ipv4.ip_forward"
			if s.Key.Address.Is6() {
				sysctl = "net.ipv6.conf.all.forwarding"
			}
			b.warn(raw.ManageSysctls.Expr.Range(), "Forwarding is yours to set", fmt.Sprintf(
				"virtual_server %q uses NAT, for which %s must be 1 whenever this director runs.", s.Name, sysctl))
			return
		}
	}
}

// unweighted are the schedulers that only ask whether a weight is 0 (ip_vs_rr.c, ip_vs_lc.c, ip_vs_dh.c), each with the one
// that does the same by weight, if any.
var unweighted = map[string]string{"rr": "wrr", "lc": "wlc", "dh": ""}

// lintScheduling warns of settings of a service that take away each other's effect.
func (b *builder) lintScheduling(raw *rawVirtualServer, s VirtualServer) {
	weighted, ignores := unweighted[s.Scheduler]
	hint := ""
	if weighted != "" {
		hint = fmt.Sprintf("; %q heeds them", weighted)
	}
	first := s.RealServers[0].Weight
	differ := slices.ContainsFunc(s.RealServers, func(r RealServer) bool { return r.Weight != first && r.Weight > 0 && first > 0 })
	switch {
	case ignores && differ:
		b.warn(raw.Scheduler.Expr.Range(), "Weights without effect", fmt.Sprintf("%s takes weights above 0 for equal%s.", s.Scheduler, hint))
	case ignores && s.SlowStart > 0:
		b.warn(raw.SlowStart.Expr.Range(), noEffect, fmt.Sprintf("The scheduler %s takes weights above 0 for equal%s.", s.Scheduler, hint))
	}
	p := raw.Persistence
	if p == nil {
		return
	}
	if s.Flags&ipvs.OnePacket != 0 && s.Persistence.Engine == "" {
		b.warn(raw.OnePacket.Expr.Range(), noEffect, "With persistence all packets of a client go to one server, unless engine tells them apart.")
	}
	if s.Persistence.Netmask == 0 {
		b.warn(p.Netmask.Expr.Range(), "One server for all", "With netmask 0 all clients are the same one, which has one real server at a time.")
	}
}
