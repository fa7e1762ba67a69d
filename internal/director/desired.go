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
}

// weight is what the server should have in the table.
func (s server) weight(rs configs.RealServer) uint32 {
	if s.verdict == checker.Up {
		return rs.Weight
	}
	return 0
}

// desired is the whole policy: what the IPVS table should be, given the configuration, what the checks say, and what was
// decided before. It returns the decisions for the next call.
func desired(
	now time.Time, cfg *configs.Config, health map[checker.Key]checker.Change, prev map[serverID]server,
) (want []ipvs.Service, next map[serverID]server) {
	next = make(map[serverID]server)
	for _, vs := range cfg.VirtualServers {
		s := ipvs.Service{Key: vs.Key, Scheduler: vs.Scheduler, Flags: vs.Flags}
		for _, rs := range vs.RealServers {
			id := serverID{vs.Key, rs.Address}
			now := decide(now, vs, rs, health, prev[id])
			next[id] = now
			if now.verdict == checker.Up || vs.Inhibit {
				s.Destinations = append(s.Destinations, ipvs.Destination{
					Address: rs.Address, Forward: vs.Forward, Weight: now.weight(rs),
				})
			}
		}
		slices.SortFunc(s.Destinations, func(a, b ipvs.Destination) int { return a.Address.Compare(b.Address) })
		want = append(want, s)
	}
	slices.SortFunc(want, func(a, b ipvs.Service) int { return a.Key.Compare(b.Key) })
	return want, next
}

// decide is the policy for one real server: all of its checks must pass. Before they have all spoken it stays what it
// was, and a server that has no past is what `start` says.
func decide(
	now time.Time, vs configs.VirtualServer, rs configs.RealServer, health map[checker.Key]checker.Change, was server,
) server {
	verdict, reason := checker.Up, ""
	for _, c := range rs.Checks {
		switch change := health[c.Key]; change.Verdict {
		case checker.Down:
			return since(now, was, server{verdict: checker.Down, reason: describe(c, change)})
		case checker.Unknown:
			verdict, reason = checker.Unknown, "not checked yet"
		}
	}
	if verdict == checker.Unknown {
		switch {
		case was.verdict != checker.Unknown:
			return was
		case vs.StartUp:
			verdict, reason = checker.Up, ""
		}
	}
	return since(now, was, server{verdict: verdict, reason: reason})
}

// since keeps the time of the last change.
func since(now time.Time, was, is server) server {
	is.since = now
	if was.verdict == is.verdict && !was.since.IsZero() {
		is.since = was.since
	}
	return is
}

func describe(c checker.Check, change checker.Change) string {
	return c.Key.Check + ": " + cmp.Or(change.Detail, change.Reason)
}

// served counts the services on the addresses of a virtual router, their real servers, and those of them that are up.
func served(cfg *configs.Config, decided map[serverID]server, router string) (services, servers, up int) {
	for _, vs := range cfg.VirtualServers {
		if vs.VirtualRouter != router {
			continue
		}
		services++
		for _, rs := range vs.RealServers {
			servers++
			if decided[serverID{vs.Key, rs.Address}].verdict == checker.Up {
				up++
			}
		}
	}
	return services, servers, up
}

// leftUp are the decisions that an earlier run has left in the kernel's table: servers that get traffic there, or would if
// they had a weight.
func leftUp(now time.Time, cfg *configs.Config, table []ipvs.Service) map[serverID]server {
	weights := make(map[serverID]uint32)
	for _, s := range table {
		for _, d := range s.Destinations {
			weights[serverID{s.Key, d.Address}] = d.Weight
		}
	}
	left := make(map[serverID]server)
	for _, vs := range cfg.VirtualServers {
		for _, rs := range vs.RealServers {
			id := serverID{vs.Key, rs.Address}
			if weight, there := weights[id]; there && (weight > 0 || rs.Weight == 0) {
				left[id] = server{verdict: checker.Up, since: now}
			}
		}
	}
	return left
}

// checks returns every check of the configuration. One of a server that is up, or is to start as such, begins as passed.
func checks(cfg *configs.Config, decided map[serverID]server) []checker.Check {
	var all []checker.Check
	for _, vs := range cfg.VirtualServers {
		for _, rs := range vs.RealServers {
			for _, c := range rs.Checks {
				was, known := decided[serverID{vs.Key, rs.Address}]
				if was.verdict == checker.Up || !known && vs.StartUp {
					c.Start = checker.Up // it takes as many failures as ever to go; else the first pass brings it in
				}
				all = append(all, c)
			}
		}
	}
	return all
}
