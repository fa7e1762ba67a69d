// SPDX-License-Identifier: Apache-2.0

package director

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/holdfast-lb/holdfast/checker"
	"github.com/holdfast-lb/holdfast/configs"
	"github.com/holdfast-lb/holdfast/ipvs"
)

// serverID is a real server as the kernel knows it. A server that a reload renames is the same one; one whose address
// changes is another.
type serverID struct {
	service ipvs.Key
	address netip.AddrPort
}

// server is what the policy has decided about a real server.
type server struct {
	verdict checker.Verdict // of its checks
	since   time.Time       // of the verdict
	reason  string          // why it is not up
	// relapses of the check that has failed: how often it went down again soon.
	relapses int

	forced  checker.Weight // that an operator has set, instead of the configured one and of what its checks ask for
	dynamic checker.Weight // the smallest that its checks ask for
	kept    bool           // dynamic is what the last run left in the table, until every check has run
	ramp    time.Time      // slow start: it came back then, and has not its whole weight yet; zero: it has
	drain   drain          // it is taken out; zero: it is not
	holds   bool           // it was found in the table with weight 0, and stays there until it has a verdict
	present bool           // in the table, with weight
	weight  uint32         // 0: no new connections
}

// service is what the policy has decided about a virtual server.
type service struct {
	verdict checker.Verdict // by its quorum
	since   time.Time       // of the verdict, and of panic
	up      int             // servers that are not drained
	drained int             // servers
	weight  uint64          // configured, of the servers that are up and get traffic: what counts for the quorum
	panic   bool            // too few are up to be believed: those that are down get traffic, too
	sorry   bool            // the sorry server gets the traffic
	present bool            // in the table
}

// decisions are all of them. They are never changed, only replaced.
type decisions struct {
	of       *configs.Config      // for which they were made
	servers  map[serverID]*server // one that stays as it was is in both, the decisions before and the next
	services map[ipvs.Key]service
	leaving  map[serverID]leaver
}

// facts are what the policy goes by beside what it has decided before.
type facts struct {
	cfg       *configs.Config
	health    map[checker.Key]checker.Change
	ready     bool            // every check has run
	holding   map[string]bool // whether a virtual router holds its addresses; one that is missing has not said yet
	overrides map[object]override
	idle      map[serverID]bool // of those that get no new connections: they have none any more
}

func (d decisions) server(vs configs.VirtualServer, rs configs.RealServer) server {
	id := serverID{vs.Key, rs.Address}
	if l, leaves := d.leaving[id]; leaves && d.servers[id] == nil {
		return l.comesBack()
	}
	return d.known(id)
}

// known is what was decided about a server; the zero value: nothing.
func (d decisions) known(id serverID) server {
	if is := d.servers[id]; is != nil {
		return *is
	}
	return server{}
}

// put notes what is decided about a server, of which prev are the decisions before.
func (d decisions) put(id serverID, is server, prev decisions) {
	was := prev.servers[id]
	if was == nil || *was != is {
		was = new(is)
	}
	d.servers[id] = was
}

// desired is the whole policy: what the IPVS table should be, given the configuration, what the checks say, who is master,
// what operators have said, and what was decided before. It returns the decisions for the next call, and when that has to
// come at the latest even if nothing happens (zero: never): a weight is to be raised then, or a drain ends.
func desired(now time.Time, f facts, prev decisions) (want []ipvs.Service, next decisions, deadline time.Time) {
	next = decisions{
		of: f.cfg, servers: make(map[serverID]*server, len(prev.servers)), services: make(map[ipvs.Key]service, len(f.cfg.VirtualServers)),
	}
	var servers []server // of one service, and then of the next
	for _, vs := range f.cfg.VirtualServers {
		was := prev.services[vs.Key]
		servers = servers[:0]
		for _, rs := range vs.RealServers {
			servers = append(servers, decide(now, vs, rs, f, prev.server(vs, rs)))
		}
		is := assess(now, vs, servers, was)
		is.present = tabled(vs, f.holding, was)
		s := ipvs.Service{Key: vs.Key, Settings: vs.Settings}
		for i, rs := range vs.RealServers {
			if is.panic || was.panic {
				servers[i].ramp = time.Time{} // it has had traffic all the time
			}
			weighed, step := servers[i].weigh(now, vs, rs, is)
			next.put(serverID{vs.Key, rs.Address}, weighed, prev)
			deadline = earlier(deadline, step)
			if weighed.present {
				if s.Destinations == nil {
					s.Destinations = make([]ipvs.Destination, 0, len(servers)-i)
				}
				s.Destinations = append(s.Destinations, destination(rs, weighed.weight))
			}
		}
		if is.sorry {
			s.Destinations = append(s.Destinations, sorryDestination(vs))
		}
		next.services[vs.Key] = is
		if is.present {
			want = append(want, s)
		}
	}
	var end time.Time
	next.leaving, end = leave(now, f, prev, next)
	want = withLeavers(want, next.leaving)
	for i := range want {
		slices.SortFunc(want[i].Destinations, func(a, b ipvs.Destination) int { return a.Address.Compare(b.Address) })
	}
	slices.SortFunc(want, func(a, b ipvs.Service) int { return a.Key.Compare(b.Key) })
	return want, next, earlier(deadline, end)
}

// tabled reports whether a service is in the table: one that goes with a virtual router, while that serves its addresses.
// Before that is known it stays where it is.
func tabled(vs configs.VirtualServer, holding map[string]bool, was service) bool {
	holds, known := holding[vs.Active]
	return vs.Active == "" || holds || !known && was.present
}

func destination(rs configs.RealServer, weight uint32) ipvs.Destination {
	return ipvs.Destination{
		Address: rs.Address, Forward: rs.Forward, Weight: weight,
		Upper: rs.UpperThreshold, Lower: rs.LowerThreshold, Encapsulation: rs.Encapsulation,
	}
}

func sorryDestination(vs configs.VirtualServer) ipvs.Destination {
	return ipvs.Destination{
		Address: vs.Sorry.Address, Forward: vs.Sorry.Forward, Weight: 1, Encapsulation: vs.Sorry.Encapsulation,
	}
}

// earlier is the earlier one of two deadlines, of which zero is none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// decide judges one real server: all of its checks must pass. Before they have all spoken it stays what it was, and a
// server that has no past is what `start` says. Whether it is taken out is another question.
func decide(now time.Time, vs configs.VirtualServer, rs configs.RealServer, f facts, was server) server {
	is := server{verdict: checker.Up}
	for _, c := range rs.Checks {
		change := f.health[c.Key]
		if change.Verdict == checker.Down {
			is.verdict, is.reason, is.relapses = checker.Down, describe(c, change), change.Relapses
			break
		}
		if change.Verdict == checker.Unknown {
			is.verdict, is.reason = checker.Unknown, "not checked yet"
		}
	}
	if is.verdict == checker.Unknown {
		switch {
		case was.verdict != checker.Unknown:
			is.verdict, is.reason, is.relapses = was.verdict, was.reason, was.relapses
		case vs.StartUp:
			is.verdict, is.reason = checker.Up, ""
		}
	}
	is.since = since(now, was.verdict, is.verdict, was.since)
	is.holds = was.holds && is.verdict == checker.Unknown
	is.dynamic, is.kept = dynamicWeight(rs, f, was)
	over := f.overrides[object{vs.Name, rs.Name}]
	is.forced = over.weight
	is.drain = drained(now, vs, rs, over, f.idle[serverID{vs.Key, rs.Address}], was)
	if is.verdict == checker.Up {
		switch {
		case was.verdict == checker.Down || was.drain.cause != 0: // only one that comes back: a first start has nobody to spare it
			is.ramp = now
		case was.kept && !is.kept: // what the last run left was the weight that is asked for, or on the way there
			is.ramp = rampAt(now, vs.SlowStart, was.dynamic.Value, is.whole(rs))
		case was.verdict == checker.Up:
			is.ramp = was.ramp
		}
	}
	return is
}

// since keeps the time of the last change.
func since(now time.Time, was, is checker.Verdict, before time.Time) time.Time {
	if was == is && !before.IsZero() {
		return before
	}
	return now
}

func describe(c checker.Check, change checker.Change) string {
	return c.Key.Check + ": " + cmp.Or(change.Detail, change.Reason)
}

// assess holds the servers of a service against its quorum and its panic threshold. What is not known yet counts for
// neither before it decides: a service is down, or in a panic, when it would be with all of these up.
func assess(now time.Time, vs configs.VirtualServer, servers []server, was service) service {
	is := service{verdict: checker.Down}
	var open int // servers that are not known
	var openWeight uint64
	for i, rs := range vs.RealServers {
		s := servers[i]
		switch {
		case s.drain.cause != 0: // whoever took it out does not count on it
			is.drained++
		case s.verdict == checker.Up:
			is.up++
			if s.whole(rs) > 0 { // else its checks ask for no new connections
				is.weight += uint64(s.configured(rs))
			}
		case s.verdict == checker.Unknown:
			open++
			openWeight += uint64(s.configured(rs))
		}
	}
	switch {
	case is.weight >= quorum(vs, was.verdict):
		is.verdict = checker.Up
	case was.verdict != checker.Down && is.weight+openWeight >= quorum(vs, checker.Unknown): // what was lost stays so until it is met
		is.verdict = checker.Unknown
	}
	// That so many fail at once is more likely the fault of the checks, or of what is between: then their verdicts are not
	// believed, and neither is the quorum that is lost by them.
	counted := len(servers) - is.drained
	known := counted - open
	is.panic = (is.up+open)*100 < vs.PanicThreshold*counted || was.panic && is.up*100 < vs.PanicThreshold*known
	is.sorry = vs.Sorry.Address.IsValid() && is.verdict == checker.Down && !is.panic
	is.since = now
	if is.state() == was.state() && !was.since.IsZero() {
		is.since = was.since
	}
	return is
}

// quorum is the weight that it takes to be up.
func quorum(vs configs.VirtualServer, was checker.Verdict) uint64 {
	weight, hysteresis := uint64(max(vs.Quorum.Weight, 1)), uint64(vs.Quorum.Hysteresis)
	switch was {
	case checker.Up:
		return max(weight, hysteresis+1) - hysteresis // never without any
	case checker.Down:
		return weight + hysteresis
	}
	return weight
}
