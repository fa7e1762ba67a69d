// SPDX-License-Identifier: Apache-2.0

package director

import (
	"context"
	"net/netip"
	"slices"

	"github.com/holdfast-lb/holdfast/checker"
	"github.com/holdfast-lb/holdfast/ipvs"
)

// A metricTable is series of one shape: a row for each thing, a column for each series that a thing has. Checks and servers
// are the many: 40,000 servers with a check have 560,000 series, for which one Metric of client_golang each is too much.
type metricTable struct {
	columns []column
	rows    []row
}

// column is a metric of a table. Those of the same metric stand together.
type column struct {
	*gauge
	last string // value of the label that the rows do not have; empty: there is none
}

// row has the values of the metrics' first labels, and those of as many columns as the thing has.
type row struct {
	labels []string
	values []float64
}

var (
	checkColumns = []column{
		{&checkUp, ""}, {&checkResults, "passed"}, {&checkResults, "failed"}, {&checkResults, "local"},
	}
	serverColumns = []column{
		{&serverUp, ""}, {&serverWeight, ""}, {&serverDraining, ""}, {&serverOut, ""},
		// The rest is of those that are in the table.
		{&serverActive, ""}, {&serverInactive, ""},
		{&serverConns, ""}, {&serverPackets, "in"}, {&serverPackets, "out"}, {&serverBytes, "in"}, {&serverBytes, "out"},
	}
	serviceColumns = []column{
		{&serviceUp, ""}, {&serviceSorry, ""}, {&servicePanic, ""}, {&serviceWeight, ""}, {&serviceQuorum, ""},
		{&serviceConns, ""}, {&servicePackets, "in"}, {&servicePackets, "out"}, {&serviceBytes, "in"}, {&serviceBytes, "out"},
	}
)

// metricTables are the series of checks, real servers and services.
func (d *Director) metricTables(ctx context.Context) []metricTable {
	v := d.view.Load()
	if v == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, controlTimeout)
	defer cancel()
	stats, _ := d.table.Stats(ctx) // without IPVS there are none
	servers, services := serviceTables(v, stats)
	return []metricTable{checkTable(d.checks.Snapshot()), servers, services}
}

func checkTable(all []checker.Status) metricTable {
	t := metricTable{checkColumns, make([]row, len(all))}
	labels, values := make([]string, 0, 3*len(all)), make([]float64, 0, len(checkColumns)*len(all))
	for i, s := range all {
		labels = append(labels, s.Key.Service, s.Key.Server, s.Key.Check)
		values = append(values, bit(s.Verdict == checker.Up),
			float64(s.Counts.Passed), float64(s.Counts.Failed), float64(s.Counts.Local))
		t.rows[i] = row{labels[3*i:], values[len(checkColumns)*i:]}
	}
	return t
}

func serviceTables(v *view, stats []ipvs.ServiceStats) (servers, services metricTable) {
	servers.columns, services.columns = serverColumns, serviceColumns
	for _, vs := range v.config.VirtualServers {
		counted := ipvs.ServiceStats{}
		i, found := slices.BinarySearchFunc(stats, vs.Key, func(s ipvs.ServiceStats, k ipvs.Key) int { return s.Key.Compare(k) })
		if found {
			counted = stats[i]
		}
		destinations := make(map[netip.AddrPort]*ipvs.DestinationStats, len(counted.Destinations))
		for i := range counted.Destinations {
			destinations[counted.Destinations[i].Address] = &counted.Destinations[i]
		}
		servers.rows = slices.Grow(servers.rows, len(vs.RealServers))
		labels, values := make([]string, 0, 2*len(vs.RealServers)), make([]float64, 0, len(serverColumns)*len(vs.RealServers))
		for _, rs := range vs.RealServers {
			is := v.decided.server(vs, rs)
			l, n := len(labels), len(values)
			labels = append(labels, vs.Name, rs.Name)
			values = append(values, bit(is.verdict == checker.Up), float64(is.weight), bit(is.state() == stateDraining), bit(is.drain.cause != 0))
			if d := destinations[rs.Address]; d != nil {
				values = appendTraffic(append(values, float64(d.Active), float64(d.Inactive)), d.Counters)
			}
			servers.rows = append(servers.rows, row{labels[l:], values[n:]})
		}
		is := v.decided.services[vs.Key]
		of := []float64{bit(is.verdict == checker.Up), bit(is.sorry), bit(is.panic), float64(is.weight), float64(vs.Quorum.Weight)}
		if found {
			of = appendTraffic(of, counted.Counters)
		}
		services.rows = append(services.rows, row{[]string{vs.Name}, of})
	}
	return servers, services
}

func appendTraffic(values []float64, c ipvs.Counters) []float64 {
	return append(values, float64(c.Connections), float64(c.InPackets), float64(c.OutPackets), float64(c.InBytes), float64(c.OutBytes))
}
