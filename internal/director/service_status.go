// SPDX-License-Identifier: Apache-2.0

package director

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/holdfast-lb/holdfast/checker"
	"github.com/holdfast-lb/holdfast/configs"
	"github.com/holdfast-lb/holdfast/ipvs"
)

// VirtualServerStatus is one service: up while it has its quorum, as far as the checks say, and down otherwise.
type VirtualServerStatus struct {
	Name           string             `json:"name"`
	Address        netip.AddrPort     `json:"address"`
	Protocol       string             `json:"protocol"`         // empty: of any packet with the mark
	Fwmark         uint32             `json:"fwmark,omitempty"` // instead of an address; that is the unspecified one of its family
	Scheduler      string             `json:"scheduler"`
	Forward        string             `json:"forward"`
	State          string             `json:"state"`
	Since          time.Time          `json:"since"`  // of the state, and of panic
	Reason         string             `json:"reason"` // how many servers are up, and what follows
	Sorry          bool               `json:"sorry"`  // the sorry server gets the traffic
	Panic          bool               `json:"panic"`  // all get traffic, because too few are up
	Quorum         QuorumStatus       `json:"quorum"`
	PanicThreshold int                `json:"panic_threshold"` // percent of the servers; 0: off
	SorryServer    string             `json:"sorry_server"`    // empty: there is none
	Active         string             `json:"active"`          // always, or the virtual router that it goes with
	InTable        bool               `json:"in_table"`        // should be
	DrainSeconds   float64            `json:"drain_timeout_seconds"`
	RealServers    []RealServerStatus `json:"real_servers"`
}

// Place is where clients find the service: ADDR:PORT/PROTOCOL, or its mark.
func (s VirtualServerStatus) Place() string {
	switch {
	case s.Fwmark == 0:
		return s.Address.String() + "/" + s.Protocol
	case s.Address.Addr().Is6():
		return fmt.Sprintf("fwmark %d, ipv6", s.Fwmark)
	}
	return fmt.Sprintf("fwmark %d", s.Fwmark)
}

// QuorumStatus is the weight that a service needs to be up, and the one that it has. Both are of configured weights.
type QuorumStatus struct {
	Weight     uint32 `json:"weight"`
	Hysteresis uint32 `json:"hysteresis"`
	Needed     uint64 `json:"needed"` // now, with the hysteresis
	Up         uint64 `json:"up"`
}

// RealServerStatus is one real server: up, down or unknown by its checks, draining while it is taken out and has connections,
// and maintenance when it is out.
type RealServerStatus struct {
	Name                string         `json:"name"`
	Address             netip.AddrPort `json:"address"`
	State               string         `json:"state"`
	Since               time.Time      `json:"since"`
	Reason              string         `json:"reason"`
	Verdict             string         `json:"verdict"`                   // of its checks: up, down or unknown
	Drain               *DrainStatus   `json:"drain"`                     // null: it is not taken out
	InTable             bool           `json:"in_table"`                  // should be
	Weight              uint32         `json:"weight"`                    // configured
	OverrideWeight      *uint32        `json:"override_weight"`           // that an operator has set; null: none
	DynamicWeight       *uint32        `json:"dynamic_weight"`            // that its checks ask for; null: none does
	EffectiveWeight     uint32         `json:"effective_weight"`          // that the table should have
	SlowStartSince      time.Time      `json:"slow_start_since,omitzero"` // its weight is being raised
	SlowStartSeconds    float64        `json:"slow_start_seconds"`        // which takes so long; 0: off
	ActiveConnections   uint32         `json:"active_connections"`
	InactiveConnections uint32         `json:"inactive_connections"`
	Persistent          uint32         `json:"persistent_clients"` // that persistence holds
	Checks              []CheckStatus  `json:"checks"`
}

// DrainStatus says why a server is taken out, and how far that is.
type DrainStatus struct {
	Cause string    `json:"cause"` // command, maintenance or configuration
	Since time.Time `json:"since"`
	Until time.Time `json:"until"`          // what is left then is cut
	Ended time.Time `json:"ended,omitzero"` // zero: it has connections, perhaps
	Cut   bool      `json:"cut"`            // it ended because the time was over
}

func (d drain) status() *DrainStatus {
	if d.cause == 0 {
		return nil
	}
	return &DrainStatus{Cause: d.cause.word(), Since: d.since, Until: d.until, Ended: d.ended, Cut: d.cut}
}

// LeavingStatus is a real server that is not in the configuration any more, and still in the table.
type LeavingStatus struct {
	Service             string         `json:"service"`
	Server              string         `json:"server"`
	VirtualAddress      string         `json:"virtual_address"`
	Address             netip.AddrPort `json:"address"`
	EffectiveWeight     uint32         `json:"effective_weight"` // above 0 until its successor has a verdict
	Drain               *DrainStatus   `json:"drain"`            // null: it waits for its successor
	ActiveConnections   uint32         `json:"active_connections"`
	InactiveConnections uint32         `json:"inactive_connections"`
	Persistent          uint32         `json:"persistent_clients"`
}

// leavingStatus lists them in the order of their services.
func leavingStatus(decided decisions, counts map[serverID]ipvs.DestinationStats) []LeavingStatus {
	list := []LeavingStatus{}
	for _, id := range slices.SortedFunc(maps.Keys(decided.leaving), serverID.compare) {
		l, count := decided.leaving[id], counts[id]
		list = append(list, LeavingStatus{
			Service: l.name.service, Server: l.name.server, VirtualAddress: id.service.String(), Address: id.address,
			EffectiveWeight: l.destination.Weight, Drain: l.drain.status(),
			ActiveConnections: count.Active, InactiveConnections: count.Inactive, Persistent: count.Persistent,
		})
	}
	return list
}

// CheckStatus is one check and its last result.
type CheckStatus struct {
	Name            string    `json:"name"`
	Kind            string    `json:"kind"`
	Target          string    `json:"target"`
	State           string    `json:"state"` // the verdict: up, down or unknown
	Up              bool      `json:"up"`
	Since           time.Time `json:"since,omitzero"`
	Last            time.Time `json:"last"` // zero: not run yet
	Next            time.Time `json:"next,omitzero"`
	DurationSeconds float64   `json:"duration_seconds"`
	Reason          string    `json:"reason"`  // of the last result, one of a short list; empty: it passed
	Error           string    `json:"error"`   // and for a person
	Run             int       `json:"run"`     // results of the same kind in a row
	Passing         bool      `json:"passing"` // which is that of passes
	Rise            int       `json:"rise"`
	Need            int       `json:"need"` // passes in a row that bring it up, more than rise while it flaps
	Fall            int       `json:"fall"`
	IntervalSeconds float64   `json:"interval_seconds"`
	TimeoutSeconds  float64   `json:"timeout_seconds"`
	DampedSeconds   float64   `json:"damped_seconds"` // how much longer it has to pass, because it flaps
	Weight          *uint32   `json:"weight"`         // that it asks for; null: none
	Passed          uint64    `json:"passed"`
	Failed          uint64    `json:"failed"`
	Local           uint64    `json:"local"` // could not run here
}

func serviceStatus(
	vs configs.VirtualServer, decided decisions, counts map[serverID]ipvs.DestinationStats,
	results map[checker.Key]checker.Status,
) VirtualServerStatus {
	is := decided.services[vs.Key]
	out := VirtualServerStatus{
		Name: vs.Name, Address: netip.AddrPortFrom(vs.Key.Address, vs.Key.Port), Protocol: vs.Key.Protocol.String(),
		Scheduler: vs.Scheduler, Forward: vs.Forward.String(), State: "down", Since: is.since, Reason: is.text(vs),
		Sorry: is.sorry, Panic: is.panic, PanicThreshold: vs.PanicThreshold,
		Quorum: QuorumStatus{
			Weight: max(vs.Quorum.Weight, 1), Hysteresis: vs.Quorum.Hysteresis, Needed: quorum(vs, is.verdict), Up: is.weight,
		},
		Active: cmp.Or(vs.Active, "always"), InTable: is.present, DrainSeconds: vs.DrainTimeout.Seconds(),
		RealServers: []RealServerStatus{},
	}
	if out.Fwmark = vs.Key.Mark; out.Fwmark != 0 {
		out.Protocol = ""
	}
	if vs.Sorry.Address.IsValid() {
		out.SorryServer = vs.Sorry.Address.String()
	}
	if is.verdict == checker.Up {
		out.State = "up"
	}
	for _, rs := range vs.RealServers {
		out.RealServers = append(out.RealServers, serverStatus(vs, rs, decided.server(vs, rs), counts[serverID{vs.Key, rs.Address}], results))
	}
	return out
}

func serverStatus(
	vs configs.VirtualServer, rs configs.RealServer, is server, count ipvs.DestinationStats, results map[checker.Key]checker.Status,
) RealServerStatus {
	ramp := is.ramp
	if is.weight == 0 || is.weight >= is.whole(rs) {
		ramp = time.Time{} // nothing is being raised just now
	}
	reason, since := is.why()
	r := RealServerStatus{
		Name: rs.Name, Address: rs.Address, State: is.state(), Since: since, Reason: reason,
		Verdict: is.verdict.String(), Drain: is.drain.status(), InTable: is.present,
		Weight: rs.Weight, OverrideWeight: weightStatus(is.forced), DynamicWeight: weightStatus(is.dynamic), EffectiveWeight: is.weight,
		SlowStartSince: ramp, SlowStartSeconds: vs.SlowStart.Seconds(),
		ActiveConnections: count.Active, InactiveConnections: count.Inactive, Persistent: count.Persistent, Checks: []CheckStatus{},
	}
	for _, c := range rs.Checks {
		r.Checks = append(r.Checks, checkStatus(c, results[c.Key]))
	}
	return r
}

func checkStatus(c checker.Check, s checker.Status) CheckStatus {
	config := c.Config.Value()
	out := CheckStatus{
		Name: c.Key.Check, Kind: config.Kind.String(), Target: c.Target.String(),
		State: s.Verdict.String(), Up: s.Verdict == checker.Up, Since: s.Since, Last: s.Last, Next: s.Next,
		DurationSeconds: s.Duration.Seconds(), Reason: s.Reason, Run: s.Run, Passing: s.Passing,
		Rise: max(config.Rise, 1), Need: max(s.Need, 1), Fall: max(config.Fall, 1),
		IntervalSeconds: config.Interval.Seconds(), TimeoutSeconds: config.Timeout.Seconds(),
		DampedSeconds: s.Damped.Seconds(), Weight: weightStatus(s.Weight),
		Passed: s.Counts.Passed, Failed: s.Counts.Failed, Local: s.Counts.Local,
	}
	if s.Reason != "" {
		out.Error = cmp.Or(s.Detail, s.Reason)
	}
	return out
}

func weightStatus(w checker.Weight) *uint32 {
	if !w.Set {
		return nil
	}
	return &w.Value
}
