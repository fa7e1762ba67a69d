// SPDX-License-Identifier: Apache-2.0

package director

import (
	"context"
	"time"

	"github.com/holdfast-lb/holdfast/checker"
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
	Leaving        []LeavingStatus       `json:"leaving"` // real servers that drain and are not in the configuration any more
	IPVS           IPVSStatus            `json:"ipvs"`
	ConnectionSync *ConnectionSyncStatus `json:"connection_sync"` // null: none is configured
}

// ConfigStatus is the configuration in force, and what became of the last reload.
type ConfigStatus struct {
	Path   string    `json:"path"`
	Hash   string    `json:"hash"`
	Loaded time.Time `json:"loaded"`
	Error  string    `json:"error"` // of the last reload; empty: it was taken
}

// IPVSStatus is what is known of the kernel's table.
type IPVSStatus struct {
	LastReconcile time.Time `json:"last_reconcile"`
	Error         string    `json:"error"`
	DriftTotal    int       `json:"drift_total"` // what others changed of ours since the start
	DriftLeft     string    `json:"drift_left"`  // what of it stays so, by what would mend it, with drift = "report"; empty: nothing
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
		ConnectionSync: syncStatus(v),
	}
	if v.report.Left.Total() > 0 {
		s.IPVS.DriftLeft = v.report.Left.String()
	}
	tracked := d.trackerStates()
	for _, r := range v.routers {
		vr := routerStatus(r.instance.Status(), tracked, d.o.Host.Missing)
		vr.SteppedDown = r.stepped.status()
		vr.Contested = contestedStatus(r.contested, v.config)
		vr.LatenessWorstSeconds = time.Duration(r.late.worst.Load()).Seconds()
		s.VirtualRouters = append(s.VirtualRouters, vr)
	}
	stats, _ := d.table.Stats(ctx) // without IPVS there are none
	counts, results := destinationStats(stats), d.results()
	for _, vs := range v.config.VirtualServers {
		s.VirtualServers = append(s.VirtualServers, serviceStatus(vs, v.decided, counts, results))
	}
	s.Leaving = leavingStatus(v.decided, counts)
	return s
}

func (d *Director) results() map[checker.Key]checker.Status {
	results := make(map[checker.Key]checker.Status)
	for _, c := range d.checks.Snapshot() {
		results[c.Key] = c
	}
	return results
}

// RealServer returns the state of the one that SERVICE/SERVER names.
func (d *Director) RealServer(ctx context.Context, name string) (RealServerStatus, error) {
	v := d.view.Load()
	vs, rs, err := find(v.config, name)
	if err != nil {
		return RealServerStatus{}, err
	}
	stats, _ := d.table.Stats(ctx)
	return serverStatus(vs, rs, v.decided.server(vs, rs), destinationStats(stats)[serverID{vs.Key, rs.Address}], d.results()), nil
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
