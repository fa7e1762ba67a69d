// SPDX-License-Identifier: Apache-2.0

package director

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/holdfast-lb/holdfast/configs"
	"github.com/holdfast-lb/holdfast/internal/notify"
	"github.com/holdfast-lb/holdfast/vrrp"
)

// emit tells of a change of state, once: to the log, to the notify blocks and to those who follow. Bad news is a warning.
func (d *Director) emit(e notify.Event) {
	level := slog.LevelInfo
	if e.To == "fault" || e.To == "down" || e.To == "failed" || e.To == statePanic || e.To == stateContested || e.To == vrrp.NotTaken.String() {
		level = slog.LevelWarn
	}
	attrs := []any{e.Kind, e.Name, "from", e.From, "to", e.To, "reason", e.Reason}
	if e.Count > 0 {
		attrs = append(attrs, "count", e.Count)
	}
	d.log.Log(context.Background(), level, "state changed", attrs...)
	e.Director = d.cfg.Director.Name
	d.notifier.Put(e)
	d.history.put(e)
}

// statePanic is what an event calls a virtual server all of whose servers get traffic, whatever their checks say.
const statePanic = "panic"

// state is what events call the state of a service.
func (s service) state() string {
	if s.panic {
		return statePanic
	}
	return s.verdict.String()
}

// The states of a server that is taken out, and of one that has gone with its drain.
const (
	stateDraining    = "draining"    // it has connections, perhaps
	stateMaintenance = "maintenance" // it has none any more
	stateRemoved     = "removed"
)

// state is what events and status call the state of a server.
func (s server) state() string {
	switch {
	case s.drain.cause == 0:
		return s.verdict.String()
	case s.drain.ended.IsZero():
		return stateDraining
	}
	return stateMaintenance
}

// why says why a server is in its state, and since is when it came to it.
func (s server) why() (reason string, since time.Time) {
	switch {
	case s.drain.cause == 0:
		return s.reason, s.since
	case s.drain.ended.IsZero():
		return s.drain.text(), s.drain.since
	}
	return s.drain.text(), s.drain.ended
}

// changesOf lists the services and the servers with what they were in prev, or are if prev does not know them, and what
// they are.
func changesOf(now time.Time, cfg *configs.Config, prev, next decisions) (services, servers []change) {
	services, servers = make([]change, 0, len(cfg.VirtualServers)), make([]change, 0, len(next.servers))
	for _, vs := range cfg.VirtualServers {
		for _, rs := range vs.RealServers {
			is := next.server(vs, rs)
			reason, since := is.why()
			servers = append(servers, change{object{vs.Name, rs.Name}, prev.server(vs, rs).state(), is.state(), reason, since})
		}
		was, is := prev.services[vs.Key], next.services[vs.Key]
		services = append(services, change{object{vs.Name, ""}, was.state(), is.state(), is.text(vs), is.since})
	}
	return services, append(servers, leaverChanges(now, prev, next)...)
}

// leaverChanges lists the servers that drain because they are not in the configuration any more, and those whose drain is
// over. One that has a successor of its name is told by its address.
func leaverChanges(now time.Time, prev, next decisions) (list []change) {
	if len(prev.leaving)+len(next.leaving) == 0 {
		return nil
	}
	names := serverIDs(next.of)
	name := func(l leaver) object {
		o := l.name
		if _, taken := names[o]; taken {
			o.server += " " + l.destination.Address.String()
		}
		return o
	}
	for _, id := range slices.SortedFunc(maps.Keys(next.leaving), serverID.compare) {
		l := next.leaving[id]
		if l.drain.cause != 0 {
			list = append(list, change{name(l), l.was.state(), stateDraining, l.drain.text(), l.drain.since})
		}
	}
	for _, id := range slices.SortedFunc(maps.Keys(prev.leaving), serverID.compare) {
		_, leaves := next.leaving[id]
		if _, back := next.servers[id]; leaves || back {
			continue
		}
		l := prev.leaving[id]
		l.drain.ended, l.drain.cut = now, !now.Before(l.drain.until)
		list = append(list, change{name(l), stateDraining, stateRemoved, l.drain.text(), now})
	}
	return list
}
