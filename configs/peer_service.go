// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/holdfast-lb/holdfast/ipvs"
)

// service is one director's part of a virtual server.
type service struct {
	*builder // whose it is
	raw      *rawVirtualServer
	VirtualServer
}

// at is where an attribute of a service stands, or the block without it.
func (s service) at(a *hcl.Attribute) hcl.Range { return orRange(a, s.raw.Range) }

// moving returns the services that move between the directors, by their keys: those on an address that does, and those by
// mark, of whose addresses nothing is known.
func (b *builder) moving() map[ipvs.Key]service {
	list := map[ipvs.Key]service{}
	for i, s := range b.cfg.VirtualServers {
		if s.VirtualRouter != "" || s.Key.Mark != 0 {
			list[s.Key] = service{b, b.raw.VirtualServers[i], s}
		}
	}
	return list
}

// services compares what both directors balance.
func (p pair) services() {
	here, there := p.here.moving(), p.there.moving()
	if len(p.here.cfg.VirtualRouters) == 0 || len(p.there.cfg.VirtualRouters) == 0 {
		return // nothing moves
	}
	for _, k := range slices.SortedFunc(maps.Keys(here), ipvs.Key.Compare) {
		a, b := here[k], there[k]
		if b.builder == nil {
			notServed(a, p.there)
			continue
		}
		compareScheduling(a, b)
		compareServers(a, b)
		compareServers(b, a)
		compareServer(a, b)
	}
	for _, k := range slices.SortedFunc(maps.Keys(there), ipvs.Key.Compare) {
		if here[k].builder == nil {
			notServed(there[k], p.here)
		}
	}
}

// notServed reports a service that the other director does not have.
func notServed(s service, other *builder) {
	s.warn(s.raw.Range, "Only on one director", fmt.Sprintf(
		"%s has no virtual_server for %s: clients find no service while that director is master.", other.cfg.Path, s.Key))
}

// compareScheduling compares what decides which server a client gets.
func compareScheduling(a, b service) {
	differ := func(x, y *hcl.Attribute, name, here, there, why string) {
		if here != there {
			a.warn(a.at(x), "Different "+name, fmt.Sprintf("%s is %s here and %s at %s: %s.", name, here, there, place(b.at(y)), why))
		}
	}
	const elsewhere = "a failover changes which server a client gets"
	flags := func(s service) ipvs.Flags { return s.Flags &^ ipvs.OnePacket }
	differ(a.raw.Scheduler, b.raw.Scheduler, "scheduler",
		ipvs.SchedulerArgs(a.Scheduler, flags(a)), ipvs.SchedulerArgs(b.Scheduler, flags(b)), elsewhere)
	onePacket := func(s service) string { return fmt.Sprint(s.Flags&ipvs.OnePacket != 0) }
	differ(a.raw.OnePacket, b.raw.OnePacket, "one_packet", onePacket(a), onePacket(b), elsewhere)
	active := func(s service) string {
		if s.Active == "" {
			return always
		}
		return "the role of a virtual router"
	}
	differ(a.raw.Active, b.raw.Active, "active", active(a), active(b), "only one of both keeps its table while it is not master")
	if a.Persistence != b.Persistence {
		a.warn(persistenceRange(a), "Different persistence", fmt.Sprintf("It is %s here and %s at %s: %s.",
			persistenceText(a.Persistence), persistenceText(b.Persistence), place(persistenceRange(b)), elsewhere))
	}
}

// persistenceRange is where a service says how long clients stay, or where it would.
func persistenceRange(s service) hcl.Range {
	if s.raw.Persistence == nil {
		return s.raw.Range
	}
	return s.raw.Persistence.Range
}

func persistenceText(p ipvs.Persistence) string {
	if p.Timeout == 0 {
		return "none"
	}
	text := fmt.Sprintf("%s for /%d", short(p.Timeout), p.Netmask)
	if p.Engine != "" {
		text += " by " + p.Engine
	}
	return text
}

// compareServers reports real servers of a that b does not have.
func compareServers(a, b service) {
	var lack []netip.AddrPort
	for _, r := range a.RealServers {
		if !slices.ContainsFunc(b.RealServers, func(o RealServer) bool { return o.Address == r.Address }) {
			lack = append(lack, r.Address)
		}
	}
	if len(lack) > 0 {
		a.warn(a.raw.Range, "Different real servers", fmt.Sprintf(
			"The service at %s lacks %s: no traffic goes there while that director is master.", place(b.raw.Range), enumerate(lack)))
	}
}

// hashed are the schedulers that find a client's server by its address and the weights of all, alike on both directors.
var hashed = []string{"sh", "mh"}

// compareServer compares both halves of the real servers that both directors have.
func compareServer(a, b service) {
	for i, r := range a.RealServers {
		j := slices.IndexFunc(b.RealServers, func(o RealServer) bool { return o.Address == r.Address })
		if j < 0 {
			continue
		}
		o, mine, theirs := b.RealServers[j], a.raw.RealServers[i], b.raw.RealServers[j]
		if r.Forward != o.Forward || r.Encapsulation != o.Encapsulation {
			a.warn(orRange(mine.Forward, mine.Range), "Different forward", fmt.Sprintf("%s gets packets by %s here and by %s at %s: it must take both.",
				r.Address, forwardText(r), forwardText(o), place(orRange(theirs.Forward, theirs.Range))))
		}
		if r.Weight != o.Weight && a.Scheduler == b.Scheduler && slices.Contains(hashed, a.Scheduler) {
			a.warn(orRange(mine.Weight, mine.Range), "Different weight", fmt.Sprintf(
				"weight is %d here and %d at %s: with %s, a failover sends clients to other servers.",
				r.Weight, o.Weight, place(orRange(theirs.Weight, theirs.Range)), a.Scheduler))
		}
	}
}

func forwardText(r RealServer) string {
	if r.Forward == ipvs.Tunnel {
		return fmt.Sprintf("%s tunnel (port %d, checksum %s)", r.Encapsulation.Type, r.Encapsulation.Port, r.Encapsulation.Checksum)
	}
	return r.Forward.String()
}

// sync compares the sync daemons. It needs the partners of the virtual routers here.
func (p pair) sync(partner map[string]string) {
	const summary = "Connections that do not arrive"
	a, b := p.here, p.there
	if a.isSynced() != b.isSynced() {
		if !a.isSynced() {
			a, b = b, a
		}
		a.warn(a.synced, summary, fmt.Sprintf("%s has no connection_sync: neither director learns of the other's connections.", b.cfg.Path))
		return
	}
	if !a.isSynced() {
		return
	}
	mine, theirs := a.cfg.ConnectionSync, b.cfg.ConnectionSync
	x, y := a.raw.ConnectionSync, b.raw.ConnectionSync
	differ := func(name string, i, j *hcl.Attribute, here, there any) {
		if here != there {
			a.warn(orRange(i, x.Range), summary, fmt.Sprintf("%s of connection_sync is %v here and %v at %s: a sync daemon takes only what bears its own.",
				name, here, there, place(orRange(j, y.Range))))
		}
	}
	differ("id", x.ID, y.ID, mine.Daemon.ID, theirs.Daemon.ID)
	differ("group", x.Group, y.Group, mine.Daemon.Group, theirs.Daemon.Group)
	differ("port", x.Port, y.Port, mine.Daemon.Port, theirs.Daemon.Port)
	if other := partner[mine.VirtualRouter]; other != "" && other != theirs.VirtualRouter {
		a.warn(orRange(x.VirtualRouter, x.Range), summary, fmt.Sprintf(
			"It follows %q here and %q at %s, another virtual router: both directors may send, or neither.",
			mine.VirtualRouter, theirs.VirtualRouter, place(orRange(y.VirtualRouter, y.Range))))
	}
}
