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
	verdict checker.Verdict
	since   time.Time
	reason  string // why it is not up

	dynamic checker.Weight // the smallest that its checks ask for
	kept    bool           // dynamic is what the last run left in the table, until every check has run
	ramp    time.Time      // slow start: it came back then, and has not its whole weight yet; zero: it has
	present bool           // in the table, with weight
	weight  uint32         // 0: no new connections
}

// service is what the policy has decided about a virtual server.
type service struct {
	verdict checker.Verdict // by its quorum
	since   time.Time       // of the verdict, and of panic
	up      int             // servers
	weight  uint64          // configured, of the servers that are up and get traffic: what counts for the quorum
	panic   bool            // too few are up to be believed: those that are down get traffic, too
	sorry   bool            // the sorry server gets the traffic
}

// decisions are all of them. They are never changed, only replaced.
type decisions struct {
	servers  map[serverID]server
	services map[ipvs.Key]service
}

func (d decisions) server(vs configs.VirtualServer, rs configs.RealServer) server {
	return d.servers[serverID{vs.Key, rs.Address}]
}

// desired is the whole policy: what the IPVS table should be, given the configuration, what the checks say, and what was
// decided before. It returns the decisions for the next call, and when that has to come at the latest even if nothing
// happens (zero: never): a weight is to be raised then.
func desired(
	now time.Time, cfg *configs.Config, health map[checker.Key]checker.Change, prev decisions,
) (want []ipvs.Service, next decisions, deadline time.Time) {
	next = decisions{make(map[serverID]server, len(prev.servers)), make(map[ipvs.Key]service, len(cfg.VirtualServers))}
	for _, vs := range cfg.VirtualServers {
		was := prev.services[vs.Key]
		servers := make([]server, len(vs.RealServers))
		for i, rs := range vs.RealServers {
			servers[i] = decide(now, vs, rs, health, prev.server(vs, rs))
		}
		is := assess(now, vs, servers, was)
		next.services[vs.Key] = is
		s := ipvs.Service{Key: vs.Key, Settings: vs.Settings}
		for i, rs := range vs.RealServers {
			if is.panic || was.panic {
				servers[i].ramp = time.Time{} // it has had traffic all the time
			}
			weighed, step := servers[i].weigh(now, vs, rs, is)
			next.servers[serverID{vs.Key, rs.Address}] = weighed
			deadline = earlier(deadline, step)
			if weighed.present {
				s.Destinations = append(s.Destinations, ipvs.Destination{Address: rs.Address, Forward: rs.Forward, Weight: weighed.weight})
			}
		}
		if is.sorry {
			s.Destinations = append(s.Destinations, ipvs.Destination{Address: vs.Sorry.Address, Forward: vs.Sorry.Forward, Weight: 1})
		}
		slices.SortFunc(s.Destinations, func(a, b ipvs.Destination) int { return a.Address.Compare(b.Address) })
		want = append(want, s)
	}
	slices.SortFunc(want, func(a, b ipvs.Service) int { return a.Key.Compare(b.Key) })
	return want, next, deadline
}

// earlier is the earlier one of two deadlines, of which zero is none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// decide judges one real server: all of its checks must pass. Before they have all spoken it stays what it was, and a
// server that has no past is what `start` says.
func decide(
	now time.Time, vs configs.VirtualServer, rs configs.RealServer, health map[checker.Key]checker.Change, was server,
) server {
	is := server{verdict: checker.Up}
	for _, c := range rs.Checks {
		change := health[c.Key]
		if change.Verdict == checker.Down {
			is.verdict, is.reason = checker.Down, describe(c, change)
			break
		}
		if change.Verdict == checker.Unknown {
			is.verdict, is.reason = checker.Unknown, "not checked yet"
		}
	}
	if is.verdict == checker.Unknown {
		switch {
		case was.verdict != checker.Unknown:
			is.verdict, is.reason = was.verdict, was.reason
		case vs.StartUp:
			is.verdict, is.reason = checker.Up, ""
		}
	}
	is.since = since(now, was.verdict, is.verdict, was.since)
	is.dynamic, is.kept = dynamicWeight(rs, health, was)
	if is.verdict == checker.Up {
		switch was.verdict {
		case checker.Up:
			is.ramp = was.ramp
		case checker.Down: // only one that comes back: a first start has nobody to spare it
			is.ramp = now
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
		switch servers[i].verdict {
		case checker.Up:
			is.up++
			if servers[i].whole(rs) > 0 { // else its checks ask for no new connections
				is.weight += uint64(rs.Weight)
			}
		case checker.Unknown:
			open++
			openWeight += uint64(rs.Weight)
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
	known := len(servers) - open
	is.panic = (is.up+open)*100 < vs.PanicThreshold*len(servers) || was.panic && is.up*100 < vs.PanicThreshold*known
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

// leftBehind are the decisions that an earlier run has left in the kernel's table: servers that get traffic there, or would
// if they had a weight, and with which weight.
func leftBehind(now time.Time, cfg *configs.Config, table []ipvs.Service) decisions {
	weights := make(map[serverID]uint32)
	for _, s := range table {
		for _, d := range s.Destinations {
			weights[serverID{s.Key, d.Address}] = d.Weight
		}
	}
	left := decisions{make(map[serverID]server), make(map[ipvs.Key]service)}
	for _, vs := range cfg.VirtualServers {
		var up uint64
		for _, rs := range vs.RealServers {
			id := serverID{vs.Key, rs.Address}
			weight, there := weights[id]
			dynamic := slices.ContainsFunc(rs.Checks, func(c checker.Check) bool { return c.Config.DynamicWeight })
			if !there || weight == 0 && rs.Weight > 0 && (!dynamic || vs.Inhibit) {
				continue
			}
			is := server{verdict: checker.Up, since: now}
			if dynamic {
				is.dynamic, is.kept = checker.Weight{Set: true, Value: weight}, true
			} else {
				is.ramp = rampAt(now, vs.SlowStart, weight, rs.Weight)
			}
			left.servers[id] = is
			if is.whole(rs) > 0 {
				up += uint64(rs.Weight)
			}
		}
		switch _, sorry := weights[serverID{vs.Key, vs.Sorry.Address}]; {
		case sorry:
			left.services[vs.Key] = service{verdict: checker.Down, since: now}
		case up >= quorum(vs, checker.Up):
			left.services[vs.Key] = service{verdict: checker.Up, since: now}
		}
	}
	return left
}

// checks returns every check of the configuration. One of a server that is up, or is to start as such, begins as passed.
func checks(cfg *configs.Config, decided decisions) []checker.Check {
	var all []checker.Check
	for _, vs := range cfg.VirtualServers {
		for _, rs := range vs.RealServers {
			for _, c := range rs.Checks {
				was, known := decided.servers[serverID{vs.Key, rs.Address}]
				if was.verdict == checker.Up || !known && vs.StartUp {
					c.Start = checker.Up // it takes as many failures as ever to go; else the first pass brings it in
				}
				all = append(all, c)
			}
		}
	}
	return all
}
