// SPDX-License-Identifier: Apache-2.0

package director

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/holdfast-lb/holdfast/checker"
	"github.com/holdfast-lb/holdfast/configs"
	"github.com/holdfast-lb/holdfast/ipvs"
)

// drainCause is who takes a real server out.
type drainCause uint8

const (
	_               drainCause = iota
	byOperator                 // holdfast drain
	byMaintenance              // maintenance = true
	byConfiguration            // it is not in it any more
)

func (c drainCause) String() string {
	switch c {
	case byOperator:
		return "drained by command"
	case byMaintenance:
		return "maintenance = true"
	case byConfiguration:
		return "not in the configuration any more"
	}
	return fmt.Sprintf("drain cause(%d)", uint8(c))
}

// word is the cause in JSON.
func (c drainCause) word() string {
	return map[drainCause]string{byOperator: "command", byMaintenance: "maintenance", byConfiguration: "configuration"}[c]
}

// drain says that a real server is taken out: it gets no new connections, whatever its checks say, and leaves the table
// when those that it has are over.
type drain struct {
	cause drainCause // zero: it is not taken out
	since time.Time
	until time.Time // what is left then is cut
	ended time.Time // it is not in the table any more; zero: it may have connections
	cut   bool      // it ended because its time was over
}

// heirMost bounds how long a server that has left goes on for the one that takes its place, and has no verdict yet.
const heirMost = time.Minute

// leaver is a real server that the configuration has no longer and the table still has.
type leaver struct {
	name        object
	settings    ipvs.Settings // of its service, which may be gone, too
	destination ipvs.Destination
	timeout     time.Duration
	left        time.Time
	was         server
	// heir takes its place: the server of the same name, or without an address any of its service. Until there is a
	// verdict on that, the leaver keeps its weight; zero: nobody does.
	heir  serverID
	drain drain // begins after that
}

// drained says whether and since when a server of the configuration is taken out.
func drained(now time.Time, vs configs.VirtualServer, rs configs.RealServer, over override, idle bool, was server) drain {
	is := was.drain
	switch {
	case over.drain:
		is.cause = byOperator
	case rs.Maintenance:
		is.cause = byMaintenance
	default:
		return drain{}
	}
	begins := was.drain.cause == 0
	if begins {
		is.since = now
	}
	timeout := vs.DrainTimeout
	if over.drain && over.timed {
		timeout = over.timeout
	}
	is.until = is.since.Add(timeout)
	if begins && !was.present && is.ended.IsZero() {
		is.ended = now // it has had no connections
	}
	return is.next(now, idle)
}

// next ends a drain that is over.
func (d drain) next(now time.Time, idle bool) drain {
	switch {
	case !d.ended.IsZero():
	case idle:
		d.ended = now
	case !now.Before(d.until):
		d.ended, d.cut = now, true
	}
	return d
}

// deadline is when a drain ends at the latest; zero: it has.
func (d drain) deadline() time.Time {
	if d.cause == 0 || !d.ended.IsZero() {
		return time.Time{}
	}
	return d.until
}

// text says why a server is taken out, and how far that is.
func (d drain) text() string {
	switch {
	case d.ended.IsZero():
		return fmt.Sprintf("%s: its connections may go on until %s", d.cause, d.until.Format(time.TimeOnly))
	case d.cut:
		return fmt.Sprintf("%s: what was left after %s was cut", d.cause, d.until.Sub(d.since).Round(time.Second))
	}
	return fmt.Sprintf("%s: it has no connections", d.cause)
}

// leave decides on the real servers that the configuration has no longer. It returns when that is to be done again.
func leave(now time.Time, f facts, prev, next decisions) (leaving map[serverID]leaver, deadline time.Time) {
	leaving = make(map[serverID]leaver, len(prev.leaving))
	maps.Copy(leaving, prev.leaving)
	if prev.of != nil && prev.of != f.cfg {
		departures(now, f.cfg, prev, next, leaving)
	}
	for id, l := range leaving {
		service, stays := next.services[id.service]
		if _, back := next.servers[id]; back || stays && !service.present {
			delete(leaving, id)
			continue
		}
		if l.drain.cause == 0 && l.waits(now, next, service) {
			deadline = earlier(deadline, l.left.Add(heirMost))
			continue
		}
		if l.drain.cause == 0 {
			l.drain = drain{cause: byConfiguration, since: now, until: now.Add(l.timeout)}
			l.destination.Weight = 0
		}
		l.drain = l.drain.next(now, f.idle[id])
		if !l.drain.ended.IsZero() {
			delete(leaving, id)
			continue
		}
		leaving[id] = l
		deadline = earlier(deadline, l.drain.until)
	}
	return leaving, deadline
}

// waits reports whether a leaver goes on for its heir.
func (l leaver) waits(now time.Time, next decisions, service service) bool {
	if l.heir == (serverID{}) || service.sorry || !now.Before(l.left.Add(heirMost)) {
		return false
	}
	if !l.heir.address.IsValid() {
		return next.services[l.heir.service].verdict == checker.Unknown
	}
	heir := next.known(l.heir)
	return heir.verdict == checker.Unknown && heir.drain.cause == 0
}

// comesBack is what is known of a leaver that a configuration has again: nothing, unless it still has its weight.
func (l leaver) comesBack() server {
	if l.drain.cause == 0 {
		return l.was
	}
	return server{present: true, holds: true, drain: l.drain}
}

// departures adds those that a new configuration has made leave.
func departures(now time.Time, cfg *configs.Config, prev, next decisions, leaving map[serverID]leaver) {
	var heirs map[object]serverID
	services := make(map[ipvs.Key]*configs.VirtualServer, len(cfg.VirtualServers))
	for i, vs := range cfg.VirtualServers {
		services[vs.Key] = &cfg.VirtualServers[i]
	}
	for _, vs := range prev.of.VirtualServers {
		timeout, sorry := vs.DrainTimeout, serverID{}
		if is, stays := services[vs.Key]; stays {
			timeout, sorry = is.DrainTimeout, serverID{is.Key, is.Sorry.Address}
		}
		for _, rs := range vs.RealServers {
			id := serverID{vs.Key, rs.Address}
			was := prev.known(id)
			if _, stays := next.servers[id]; stays || !was.present {
				continue
			}
			if heirs == nil {
				heirs = serverIDs(cfg)
			}
			l := leaver{
				name: object{vs.Name, rs.Name}, settings: vs.Settings, destination: destination(rs, was.weight),
				timeout: timeout, left: now, was: was, heir: heirs[object{vs.Name, rs.Name}], drain: was.drain,
			}
			if l.drain.cause != 0 {
				l.drain.cause = byConfiguration
			}
			leaving[id] = l
		}
		id, was := serverID{vs.Key, vs.Sorry.Address}, prev.services[vs.Key]
		if _, stays := next.servers[id]; was.present && was.sorry && !stays && id != sorry {
			leaving[id] = leaver{
				name: object{vs.Name, id.address.String()}, settings: vs.Settings, destination: sorryDestination(vs),
				timeout: timeout, left: now,
			}
		}
	}
}

// serverIDs finds the real servers of a configuration by their names.
func serverIDs(cfg *configs.Config) map[object]serverID {
	ids := make(map[object]serverID)
	for _, vs := range cfg.VirtualServers {
		for _, rs := range vs.RealServers {
			ids[object{vs.Name, rs.Name}] = serverID{vs.Key, rs.Address}
		}
	}
	return ids
}

// withLeavers adds what leaves to the wanted table. A service that has only such ones goes with the last of them.
func withLeavers(want []ipvs.Service, leaving map[serverID]leaver) []ipvs.Service {
	if len(leaving) == 0 {
		return want
	}
	at := make(map[ipvs.Key]int, len(want))
	for i, s := range want {
		at[s.Key] = i
	}
	for id, l := range leaving {
		i, there := at[id.service]
		if !there {
			i = len(want)
			at[id.service] = i
			want = append(want, ipvs.Service{Key: id.service, Settings: l.settings})
		}
		same := func(d ipvs.Destination) bool { return d.Address == id.address }
		if !slices.ContainsFunc(want[i].Destinations, same) { // else it is the sorry server now
			want[i].Destinations = append(want[i].Destinations, l.destination)
		}
	}
	return want
}

// leftLeavers are the destinations of our services that the last run has left in the table and the configuration does not
// have. Of what the state file knows the time goes on; of all others it begins.
func leftLeavers(now time.Time, cfg *configs.Config, table []ipvs.Service, last State) map[serverID]leaver {
	services := make(map[ipvs.Key]*configs.VirtualServer)
	for _, k := range last.Keys() {
		services[k] = nil
	}
	known := make(map[serverID]bool)
	for i, vs := range cfg.VirtualServers {
		services[vs.Key] = &cfg.VirtualServers[i]
		known[serverID{vs.Key, vs.Sorry.Address}] = true
		for _, rs := range vs.RealServers {
			known[serverID{vs.Key, rs.Address}] = true
		}
	}
	running := last.drains(now)
	leaving := make(map[serverID]leaver)
	for _, s := range table {
		vs, ours := services[s.Key]
		if !ours {
			continue
		}
		for _, d := range s.Destinations {
			id := serverID{s.Key, d.Address}
			if known[id] {
				continue
			}
			l := leaver{name: nameOf(vs, id), settings: s.Settings, destination: d, timeout: defaultDrainTimeout, left: now}
			if vs != nil {
				l.timeout, l.heir = vs.DrainTimeout, serverID{service: vs.Key}
			}
			if r, ok := running[id]; ok {
				l.name, l.drain = r.name, drain{cause: byConfiguration, since: r.since, until: r.until}
				l.destination.Weight = 0
			}
			leaving[id] = l
		}
	}
	return leaving
}

// defaultDrainTimeout is for servers of services that are not in the configuration any more.
const defaultDrainTimeout = time.Minute

// nameOf names a destination that the configuration does not have, in a service that it may have.
func nameOf(vs *configs.VirtualServer, id serverID) object {
	if vs == nil {
		return object{id.service.String(), id.address.String()}
	}
	return object{vs.Name, id.address.String()}
}

// drainRun is a drain that has not ended.
type drainRun struct {
	name object
	id   serverID
	drain
}

// drains returns those that the state file knows; what cannot be one is left out. No clock that was set back makes one
// longer than it was meant to be.
func (s State) drains(now time.Time) map[serverID]drainRun {
	running := make(map[serverID]drainRun)
	for _, d := range s.Drains {
		key, ok := d.Service.key()
		if !ok || !d.Address.IsValid() || d.Until.Before(d.Since) {
			continue
		}
		if d.Since.After(now) {
			d.Since, d.Until = now, now.Add(d.Until.Sub(d.Since))
		}
		id := serverID{key, d.Address}
		running[id] = drainRun{object{d.VirtualServer, d.RealServer}, id, drain{since: d.Since, until: d.Until}}
	}
	return running
}

// running lists the drains that have not ended: of the configuration in its order, then those of servers that have left it.
func (d decisions) running() []drainRun {
	var list []drainRun
	add := func(name object, id serverID, is drain) {
		if is.cause != 0 && is.ended.IsZero() {
			list = append(list, drainRun{name, id, is})
		}
	}
	if d.of == nil {
		return nil // nothing has been decided
	}
	for _, vs := range d.of.VirtualServers {
		if d.services[vs.Key].drained == 0 {
			continue
		}
		for _, rs := range vs.RealServers {
			id := serverID{vs.Key, rs.Address}
			add(object{vs.Name, rs.Name}, id, d.known(id).drain)
		}
	}
	for _, id := range slices.SortedFunc(maps.Keys(d.leaving), serverID.compare) {
		add(d.leaving[id].name, id, d.leaving[id].drain)
	}
	return list
}

func drainStates(running []drainRun) []DrainState {
	var list []DrainState
	for _, r := range running {
		list = append(list, DrainState{
			VirtualServer: r.name.service, RealServer: r.name.server, Service: newServiceKey(r.id.service), Address: r.id.address,
			Since: written(r.since), Until: written(r.until),
		})
	}
	return list
}

func (id serverID) compare(o serverID) int {
	return cmp.Or(id.service.Compare(o.service), id.address.Compare(o.address))
}
