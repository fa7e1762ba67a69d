// SPDX-License-Identifier: Apache-2.0

package director

import (
	"cmp"
	"context"
	"net/netip"
	"time"

	"github.com/holdfast-lb/holdfast/checker"
	"github.com/holdfast-lb/holdfast/configs"
	"github.com/holdfast-lb/holdfast/ipvs"
)

// Status is the whole state, as `holdfast status --json` prints it.
type Status struct {
	Name           string                `json:"name"`
	Version        string                `json:"version"`
	Started        time.Time             `json:"started"`
	Ready          bool                  `json:"ready"` // the first round of checks is done
	Config         ConfigStatus          `json:"config"`
	VirtualRouters []VirtualRouterStatus `json:"virtual_routers"`
	VirtualServers []VirtualServerStatus `json:"virtual_servers"`
	IPVS           IPVSStatus            `json:"ipvs"`
}

// ConfigStatus is the configuration in force, and what became of the last reload.
type ConfigStatus struct {
	Path   string    `json:"path"`
	Hash   string    `json:"hash"`
	Loaded time.Time `json:"loaded"`
	Error  string    `json:"error"` // of the last reload; empty: it was taken
}

// VirtualServerStatus is one service: up while one of its real servers is.
type VirtualServerStatus struct {
	Name        string             `json:"name"`
	Address     netip.AddrPort     `json:"address"`
	Protocol    string             `json:"protocol"`
	Scheduler   string             `json:"scheduler"`
	Forward     string             `json:"forward"`
	State       string             `json:"state"`
	Sorry       bool               `json:"sorry"`
	Panic       bool               `json:"panic"`
	RealServers []RealServerStatus `json:"real_servers"`
}

// RealServerStatus is one real server: up, down or unknown.
type RealServerStatus struct {
	Name                string         `json:"name"`
	Address             netip.AddrPort `json:"address"`
	State               string         `json:"state"`
	Since               time.Time      `json:"since"`
	Reason              string         `json:"reason"`
	Weight              uint32         `json:"weight"`
	EffectiveWeight     uint32         `json:"effective_weight"` // that the table should have
	ActiveConnections   uint32         `json:"active_connections"`
	InactiveConnections uint32         `json:"inactive_connections"`
	Checks              []CheckStatus  `json:"checks"`
}

// CheckStatus is the last result of one check.
type CheckStatus struct {
	Name            string    `json:"name"`
	Kind            string    `json:"kind"`
	Up              bool      `json:"up"`
	Last            time.Time `json:"last"` // zero: not run yet
	DurationSeconds float64   `json:"duration_seconds"`
	Error           string    `json:"error"` // of the last result; empty: it passed
}

// IPVSStatus is what is known of the kernel's table.
type IPVSStatus struct {
	LastReconcile time.Time `json:"last_reconcile"`
	Error         string    `json:"error"`
	DriftTotal    int       `json:"drift_total"`
	Foreign       int       `json:"foreign_services"`
}

// Status returns the state as it is now.
func (d *Director) Status(ctx context.Context) Status {
	v := d.view.Load()
	s := Status{
		Name: v.config.Director.Name, Version: d.o.Version.Version, Started: v.started, Ready: v.ready,
		Config: ConfigStatus{Path: v.config.Path, Hash: v.config.Hash, Loaded: v.loaded, Error: text(v.reloadErr)},
		IPVS: IPVSStatus{
			LastReconcile: v.report.Time, Error: text(v.report.Err), DriftTotal: v.drift, Foreign: v.report.Foreign,
		},
		VirtualRouters: []VirtualRouterStatus{}, VirtualServers: []VirtualServerStatus{},
	}
	tracked := d.trackerStates()
	for _, r := range v.routers {
		vr := routerStatus(r.instance.Status(), tracked, d.o.Host.Missing)
		vr.LatenessWorstSeconds = time.Duration(r.late.worst.Load()).Seconds()
		s.VirtualRouters = append(s.VirtualRouters, vr)
	}
	stats, _ := d.table.Stats(ctx) // without IPVS there are none
	counts := destinationStats(stats)
	results := make(map[checker.Key]checker.Status)
	for _, c := range d.checks.Snapshot() {
		results[c.Key] = c
	}
	for _, vs := range v.config.VirtualServers {
		s.VirtualServers = append(s.VirtualServers, serviceStatus(vs, v.decided, counts, results))
	}
	return s
}

func serviceStatus(
	vs configs.VirtualServer, decided map[serverID]server, counts map[serverID]ipvs.DestinationStats,
	results map[checker.Key]checker.Status,
) VirtualServerStatus {
	out := VirtualServerStatus{
		Name: vs.Name, Address: netip.AddrPortFrom(vs.Key.Address, vs.Key.Port), Protocol: vs.Key.Protocol.String(),
		Scheduler: vs.Scheduler, Forward: vs.Forward.String(), State: "down", RealServers: []RealServerStatus{},
	}
	if v, _ := serviceVerdict(vs, decided); v == checker.Up {
		out.State = "up"
	}
	for _, rs := range vs.RealServers {
		id := serverID{vs.Key, rs.Address}
		is, count := decided[id], counts[id]
		r := RealServerStatus{
			Name: rs.Name, Address: rs.Address, State: is.verdict.String(), Since: is.since, Reason: is.reason,
			Weight: rs.Weight, EffectiveWeight: is.weight(rs),
			ActiveConnections: count.Active, InactiveConnections: count.Inactive, Checks: []CheckStatus{},
		}
		for _, c := range rs.Checks {
			res := results[c.Key]
			check := CheckStatus{
				Name: c.Key.Check, Kind: c.Config.Kind.String(), Up: res.Verdict == checker.Up, Last: res.Last,
				DurationSeconds: res.Duration.Seconds(),
			}
			if res.Reason != "" {
				check.Error = cmp.Or(res.Detail, res.Reason)
			}
			r.Checks = append(r.Checks, check)
		}
		out.RealServers = append(out.RealServers, r)
	}
	return out
}

func destinationStats(stats []ipvs.ServiceStats) map[serverID]ipvs.DestinationStats {
	m := make(map[serverID]ipvs.DestinationStats)
	for _, s := range stats {
		for _, d := range s.Destinations {
			m[serverID{s.Key, d.Address}] = d
		}
	}
	return m
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
