// SPDX-License-Identifier: Apache-2.0

package ipvstest

import (
	"errors"
	"net/netip"
	"strings"
	"syscall"
	"testing"

	"github.com/holdfast-lb/holdfast/ipvs"
)

// TestTable tests what every [ipvs.Table] has to do. newTable returns an empty one.
func TestTable(t *testing.T, newTable func(t *testing.T) ipvs.Table) {
	t.Run("empty", func(t *testing.T) { wantTable(t, newTable(t), "") })
	t.Run("states", func(t *testing.T) { testStates(t, newTable(t)) })
	t.Run("weights", func(t *testing.T) { testWeights(t, newTable(t)) })
	t.Run("errors", func(t *testing.T) { testErrors(t, newTable) })
	t.Run("statistics", func(t *testing.T) { testStats(t, newTable(t)) })
	t.Run("schedulers", func(t *testing.T) {
		table := newTable(t)
		for _, name := range Schedulers {
			t.Run(name, func(t *testing.T) { testScheduler(t, table, name) })
		}
	})
}

// full has a service of each kind.
const full = `
-A -t 10.9.0.1:80 -s wlc
-a -t 10.9.0.1:80 -r 10.9.1.1:8080 -m -w 1
-a -t 10.9.0.1:80 -r 10.9.1.2:80 -g -w 2
-a -t 10.9.0.1:80 -r 10.9.1.3:80 -i -w 3
-A -t [fd00:9::1]:80 -s sh -b sh-fallback,sh-port
-a -t [fd00:9::1]:80 -r [fd00:9:1::1]:80 -m -w 0
-a -t [fd00:9::1]:80 -r [fd00:9:1::2]:80 -g -w 1
-A -u 10.9.0.1:80 -s mh -b mh-port
-a -u 10.9.0.1:80 -r 10.9.1.1:80 -m -w 1
`

// testStates goes through tables that differ in every kind of thing, there and back.
func testStates(t *testing.T, table ipvs.Table) {
	const edited = `
-A -t 10.9.0.1:80 -s mh -b mh-fallback
-a -t 10.9.0.1:80 -r 10.9.1.1:8080 -g -w 0
-a -t 10.9.0.1:80 -r 10.9.1.2:80 -i -w 7
-a -t 10.9.0.1:80 -r 10.9.1.4:80 -m -w 3
-A -t [fd00:9::1]:80 -s sh -b sh-port
-a -t [fd00:9::1]:80 -r [fd00:9:1::2]:80 -m -w 1
-A -u [fd00:9::1]:53 -s rr
-a -u [fd00:9::1]:53 -r [fd00:9:1::3]:53 -m -w 1
`
	for _, state := range []string{full, edited, full, "", edited, ""} {
		mustReach(t, table, state)
	}
}

func testScheduler(t *testing.T, table ipvs.Table, name string) {
	key := Parse("-A -t 10.9.0.1:80 -s rr")[0].Key
	err := table.Apply(t.Context(), ipvs.Op{Kind: ipvs.AddService, Service: key, Settings: ipvs.Settings{Scheduler: name}})
	if name == "twos" && errors.Is(err, syscall.ENOENT) && strings.Contains(err.Error(), "ip_vs_twos") {
		return // a kernel that was built without it, and an error that says so
	}
	if err != nil {
		t.Fatal(err)
	}
	wantTable(t, table, "-A -t 10.9.0.1:80 -s "+name)
	mustReach(t, table, "")
}

func testWeights(t *testing.T, table ipvs.Table) {
	for _, weight := range []string{"0", "1", "65535", "65536", "2147483647"} {
		mustReach(t, table, "-A -t 10.9.0.1:80 -s wlc\n-a -t 10.9.0.1:80 -r 10.9.1.1:80 -m -w "+weight)
	}
}

func testErrors(t *testing.T, newTable func(t *testing.T) ipvs.Table) {
	table := newTable(t)
	mustReach(t, table, full)
	key, other := Parse(full)[0].Key, Parse("-A -t 10.9.0.2:80 -s rr")[0].Key
	dest := func(addr string, weight uint32) ipvs.Destination {
		return ipvs.Destination{Address: netip.MustParseAddrPort(addr), Forward: ipvs.NAT, Weight: weight}
	}
	there, absent, heavy := dest("10.9.1.2:80", 1), dest("10.9.1.9:80", 1), dest("10.9.1.2:80", 1<<31)
	v6 := Parse(full)[1].Key
	for _, tt := range []struct {
		name string
		op   ipvs.Op
		want error
	}{
		{"add service that exists", ipvs.Op{Kind: ipvs.AddService, Service: key, Settings: ipvs.Settings{Scheduler: "rr"}}, syscall.EEXIST},
		{"add service, no such scheduler", ipvs.Op{Kind: ipvs.AddService, Service: other, Settings: ipvs.Settings{Scheduler: "best"}}, syscall.ENOENT},
		{"update service, no such scheduler", ipvs.Op{Kind: ipvs.UpdateService, Service: key, Settings: ipvs.Settings{Scheduler: "best"}}, syscall.ENOENT},
		{"update service that is absent", ipvs.Op{Kind: ipvs.UpdateService, Service: other, Settings: ipvs.Settings{Scheduler: "rr"}}, syscall.ESRCH},
		{"delete service that is absent", ipvs.Op{Kind: ipvs.DeleteService, Service: other}, syscall.ESRCH},
		{"add to absent service", ipvs.Op{Kind: ipvs.AddDestination, Service: other, Destination: there}, syscall.ESRCH},
		{"update in absent service", ipvs.Op{Kind: ipvs.UpdateDestination, Service: other, Destination: there}, syscall.ESRCH},
		{"delete from absent service", ipvs.Op{Kind: ipvs.DeleteDestination, Service: other, Destination: there}, syscall.ESRCH},
		{"add destination that exists", ipvs.Op{Kind: ipvs.AddDestination, Service: key, Destination: there}, syscall.EEXIST},
		{"update destination that is absent", ipvs.Op{Kind: ipvs.UpdateDestination, Service: key, Destination: absent}, syscall.ENOENT},
		{"delete destination that is absent", ipvs.Op{Kind: ipvs.DeleteDestination, Service: key, Destination: absent}, syscall.ENOENT},
		{"add with weight too large", ipvs.Op{Kind: ipvs.AddDestination, Service: key, Destination: dest("10.9.1.9:80", 1<<31)}, syscall.ERANGE},
		{"update with weight too large", ipvs.Op{Kind: ipvs.UpdateDestination, Service: key, Destination: heavy}, syscall.ERANGE},
		{"multicast destination", ipvs.Op{Kind: ipvs.AddDestination, Service: key, Destination: dest("224.0.0.18:80", 1)}, syscall.EINVAL},
		{"broadcast destination", ipvs.Op{Kind: ipvs.AddDestination, Service: key, Destination: dest("255.255.255.255:80", 1)}, syscall.EINVAL},
		{"unspecified destination", ipvs.Op{Kind: ipvs.AddDestination, Service: key, Destination: dest("0.0.0.0:80", 1)}, syscall.EINVAL},
		{"link-local destination", ipvs.Op{Kind: ipvs.AddDestination, Service: v6, Destination: dest("[fe80::1]:80", 1)}, syscall.EINVAL},
		{"multicast IPv6 destination", ipvs.Op{Kind: ipvs.AddDestination, Service: v6, Destination: dest("[ff02::1]:80", 1)}, syscall.EINVAL},
		{"IPv6 destination of IPv4 service", ipvs.Op{Kind: ipvs.AddDestination, Service: key, Destination: dest("[fd00:9:1::9]:80", 1)}, syscall.EINVAL},
		{"IPv4 destination of IPv6 service", ipvs.Op{Kind: ipvs.AddDestination, Service: v6, Destination: absent}, syscall.EINVAL},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := table.Apply(t.Context(), tt.op); !errors.Is(err, tt.want) {
				t.Errorf("%s: got %v, want %v", tt.op, err, tt.want)
			}
			wantTable(t, table, full)
		})
	}
}

func testStats(t *testing.T, table ipvs.Table) {
	mustReach(t, table, full)
	stats, err := table.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := Parse(full)
	if len(stats) != len(want) {
		t.Fatalf("got statistics of %d services, want %d", len(stats), len(want))
	}
	for i, s := range stats {
		if s.Key != want[i].Key || len(s.Destinations) != len(want[i].Destinations) {
			t.Fatalf("got statistics of %s with %d destinations, want %s", s.Key, len(s.Destinations), want[i].Key)
		}
		for j, d := range s.Destinations {
			if address := want[i].Destinations[j].Address; d.Address != address {
				t.Errorf("got statistics of %s in %s, want %s", d.Address, s.Key, address)
			}
		}
	}
}

// mustReach brings the table to a state and checks that it got there.
func mustReach(t *testing.T, table ipvs.Table, state string) {
	t.Helper()
	have, err := table.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, op := range ipvs.Diff(Parse(state), have) {
		if err := table.Apply(t.Context(), op); err != nil {
			t.Fatalf("%s: %v", op, err)
		}
	}
	wantTable(t, table, state)
}

// wantTable compares the table as listed, order included, with a state.
func wantTable(t *testing.T, table ipvs.Table, state string) {
	t.Helper()
	have, err := table.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := Parse(state)
	if len(have) != len(want) {
		t.Fatalf("got\n%swant\n%s", Dump(have), Dump(want))
	}
	for i := range want {
		if !have[i].Equal(want[i]) {
			t.Errorf("got\n%swant\n%s", Dump(have[i:i+1]), Dump(want[i:i+1]))
		}
	}
}
