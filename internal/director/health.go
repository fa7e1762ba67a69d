// SPDX-License-Identifier: Apache-2.0

package director

import (
	"net/netip"
	"slices"
	"time"

	"github.com/holdfast-lb/holdfast/checker"
	"github.com/holdfast-lb/holdfast/ipvs"
)

// HealthState is what the checks said last of a virtual server that had lost its quorum, or of whose servers some were down.
type HealthState struct {
	Service ServiceKey    `json:"service"`
	Down    bool          `json:"down,omitempty"`
	Panic   bool          `json:"panic,omitempty"`
	Since   time.Time     `json:"since"` // of Down and Panic
	Servers []ServerState `json:"servers,omitempty"`
}

// ServerState is a real server that was down.
type ServerState struct {
	Address  netip.AddrPort `json:"address"`
	Since    time.Time      `json:"since"`
	Relapses int            `json:"relapses,omitempty"` // of the check that failed: how often it went down again soon
}

// healthMost bounds how many servers the state file names as down: the rest begins as if it were new. Each takes about 150
// bytes there.
const healthMost = 50_000

func (h HealthState) equal(o HealthState) bool {
	return h.Service == o.Service && h.Down == o.Down && h.Panic == o.Panic && h.Since.Equal(o.Since) && slices.Equal(h.Servers, o.Servers)
}

// health is what of the decisions the next run cannot see in the kernel's table, in the order of the configuration.
func (d decisions) health() []HealthState {
	if d.of == nil {
		return nil // nothing has been decided
	}
	var list []HealthState
	room := healthMost
	for _, vs := range d.of.VirtualServers {
		is := d.services[vs.Key]
		if is.verdict != checker.Down && !is.panic && is.up == len(vs.RealServers) {
			continue
		}
		h := HealthState{Service: newServiceKey(vs.Key), Down: is.verdict == checker.Down, Panic: is.panic, Since: written(is.since)}
		if down := len(vs.RealServers) - is.up; down > 0 {
			h.Servers = make([]ServerState, 0, min(down, room))
		}
		for _, rs := range vs.RealServers {
			s := d.known(serverID{vs.Key, rs.Address})
			if s.verdict == checker.Down && room > 0 {
				room--
				h.Servers = append(h.Servers, ServerState{rs.Address, written(s.since), s.relapses})
			}
		}
		if h.Down || h.Panic || len(h.Servers) > 0 {
			list = append(list, h)
		}
	}
	return list
}

// written is a time as it is read again.
func written(t time.Time) time.Time { return t.Round(0).UTC() }

// lastHealth is what the state file knows of health.
type lastHealth struct {
	services map[ipvs.Key]service
	servers  map[serverID]server
}

// lastHealth reads the state file. What cannot be is left out, and nothing is since a time to come.
func (s State) lastHealth(now time.Time) lastHealth {
	last := lastHealth{make(map[ipvs.Key]service), make(map[serverID]server)}
	past := func(t time.Time) time.Time {
		if t.IsZero() || t.After(now) {
			return now
		}
		return t
	}
	for _, h := range s.Health {
		key, ok := h.Service.key()
		if !ok {
			continue
		}
		if h.Down || h.Panic {
			is := service{since: past(h.Since), panic: h.Panic}
			if h.Down {
				is.verdict = checker.Down
			}
			last.services[key] = is
		}
		for _, d := range h.Servers {
			if d.Address.IsValid() {
				last.servers[serverID{key, d.Address}] = server{
					verdict: checker.Down, since: past(d.Since), reason: "down in the last run", relapses: d.Relapses,
				}
			}
		}
	}
	return last
}
