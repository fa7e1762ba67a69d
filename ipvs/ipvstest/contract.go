// SPDX-License-Identifier: Apache-2.0

package ipvstest

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/ipvs"
)

// TestTable tests what every [ipvs.Table] has to do. newTable returns an empty one.
func TestTable(t *testing.T, newTable func(t *testing.T) ipvs.Table) {
	t.Run("empty", func(t *testing.T) { wantTable(t, newTable(t), "") })
	t.Run("states", func(t *testing.T) { testStates(t, newTable(t)) })
	t.Run("timeouts", func(t *testing.T) { testTimeouts(t, newTable(t)) })
	t.Run("sync daemons", func(t *testing.T) { testSync(t, newTable(t)) })
	t.Run("mixed families and sync", func(t *testing.T) { testMixedAndSync(t, newTable(t)) })
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

// Full is a table that has a service of each kind and every attribute.
const Full = `
-A -f 7 -s rr
-a -f 7 -r 10.9.1.1:0 -g -w 1
-A -f 7 -6 -s rr -p 300 -M 64
-a -f 7 -6 -r [fd00:9:1::1]:0 -m -w 1
-A -t 10.9.0.1:0 -s rr -p 360
-a -t 10.9.0.1:0 -r 10.9.1.1:0 -g -w 1
-A -t 10.9.0.1:80 -s wlc -p 60 -M 255.255.255.0
-a -t 10.9.0.1:80 -r 10.9.1.1:8080 -m -w 1
-a -t 10.9.0.1:80 -r 10.9.1.2:80 -g -w 2 -x 100 -y 50
-a -t 10.9.0.1:80 -r 10.9.1.3:80 -i -w 3 --tun-type ipip
-a -t 10.9.0.1:80 -r 10.9.1.4:80 -i -w 4 --tun-type gue --tun-port 6080 --tun-nocsum
-a -t 10.9.0.1:80 -r 10.9.1.5:80 -i -w 5 --tun-type gue --tun-port 6080 --tun-csum -x 9
-a -t 10.9.0.1:80 -r 10.9.1.6:80 -i -w 6 --tun-type gue --tun-port 6080 --tun-remcsum
-a -t 10.9.0.1:80 -r 10.9.1.7:80 -i -w 7 --tun-type gre --tun-nocsum
-a -t 10.9.0.1:80 -r 10.9.1.8:80 -i -w 8 --tun-type gre --tun-csum
-a -t 10.9.0.1:80 -r [fd00:9:1::1]:80 -i -w 9 --tun-type ipip
-A -t 10.9.0.2:80 -s rr -p 60 -M 0.0.0.0
-A -t [fd00:9::1]:80 -s sh -p 60 -b sh-fallback,sh-port
-a -t [fd00:9::1]:80 -r 10.9.1.1:80 -i -w 1 --tun-type gue --tun-port 6080 --tun-csum
-a -t [fd00:9::1]:80 -r [fd00:9:1::1]:80 -m -w 0
-a -t [fd00:9::1]:80 -r [fd00:9:1::2]:80 -g -w 1
-A -u 10.9.0.1:53 -s rr -o
-A -u 10.9.0.1:80 -s mh -b mh-port
-a -u 10.9.0.1:80 -r 10.9.1.1:80 -m -w 1
-A -u 10.9.0.1:5060 -s rr -p 60 -M 255.255.255.0 --pe sip -o
-A --sctp-service 10.9.0.1:80 -s rr
-a --sctp-service 10.9.0.1:80 -r 10.9.1.1:80 -m -w 1
-A --sctp-service [fd00:9::1]:80 -s rr
`

// Edited is a table that has the services and destinations of Full with every attribute of them changed, and some others.
const Edited = `
-A -f 7 -s wlc -p 60
-a -f 7 -r 10.9.1.1:0 -g -w 2 -x 5
-A -f 8 -s rr
-A -f 7 -6 -s rr
-a -f 7 -6 -r [fd00:9:1::1]:0 -g -w 1
-A -t 10.9.0.1:0 -s rr -p 60
-A -t 10.9.0.1:80 -s mh -p 60 -M 255.255.0.0 -b mh-fallback
-a -t 10.9.0.1:80 -r 10.9.1.1:8080 -m -w 0
-a -t 10.9.0.1:80 -r 10.9.1.2:80 -i -w 7 --tun-type gre --tun-csum -x 90 -y 40
-a -t 10.9.0.1:80 -r 10.9.1.3:80 -i -w 3 --tun-type gue --tun-port 6081 --tun-csum
-a -t 10.9.0.1:80 -r 10.9.1.4:80 -i -w 5 --tun-type gue --tun-port 6080 --tun-nocsum
-a -t 10.9.0.1:80 -r 10.9.1.5:80 -i -w 5 --tun-type gue --tun-port 6080 --tun-remcsum
-a -t 10.9.0.1:80 -r 10.9.1.6:80 -i -w 6 --tun-type gre --tun-nocsum
-a -t 10.9.0.1:80 -r 10.9.1.7:80 -i -w 7 --tun-type ipip
-a -t 10.9.0.1:80 -r 10.9.1.8:80 -m -w 8 -x 8 -y 7
-a -t 10.9.0.1:80 -r [fd00:9:1::1]:80 -i -w 0 --tun-type gue --tun-port 1 --tun-csum
-a -t 10.9.0.1:80 -r [fd00:9:1::2]:80 -i -w 1 --tun-type ipip
-A -t 10.9.0.2:80 -s rr
-A -t [fd00:9::1]:80 -s sh -p 30 -M 48 -b sh-port
-a -t [fd00:9::1]:80 -r [fd00:9:1::2]:80 -m -w 1
-A -u 10.9.0.1:53 -s rr
-A -u 10.9.0.1:80 -s mh
-a -u 10.9.0.1:80 -r 10.9.1.1:80 -g -w 1
-A -u 10.9.0.1:5060 -s wlc -p 60 -o
-A -u [fd00:9::1]:53 -s rr -o
-a -u [fd00:9::1]:53 -r [fd00:9:1::3]:53 -m -w 1
-A --sctp-service 10.9.0.1:80 -s wlc
`

// testStates goes through tables that differ in every kind of thing, there and back.
func testStates(t *testing.T, table ipvs.Table) {
	for _, state := range []string{Full, Edited, Full, "", Edited, ""} {
		mustReach(t, table, state)
	}
}

func testTimeouts(t *testing.T, table ipvs.Table) {
	for _, tt := range []struct{ set, want ipvs.Timeouts }{
		{ipvs.Timeouts{}, ipvs.Timeouts{TCP: 15 * time.Minute, TCPFin: 2 * time.Minute, UDP: 5 * time.Minute}},
		{ipvs.Timeouts{TCP: time.Hour, TCPFin: time.Minute, UDP: time.Second}, ipvs.Timeouts{TCP: time.Hour, TCPFin: time.Minute, UDP: time.Second}},
		{ipvs.Timeouts{UDP: time.Minute}, ipvs.Timeouts{TCP: time.Hour, TCPFin: time.Minute, UDP: time.Minute}},
	} {
		if err := table.Apply(t.Context(), ipvs.Op{Kind: ipvs.SetTimeouts, Timeouts: tt.set}); err != nil {
			t.Fatal(err)
		}
		if got, err := table.Timeouts(t.Context()); err != nil || got != tt.want {
			t.Errorf("set %v: got %v, %v, want %v", tt.set, got, err, tt.want)
		}
	}
}

func daemon(role ipvs.SyncRole) ipvs.SyncDaemon {
	return ipvs.SyncDaemon{Role: role, Interface: "lo", ID: 51, Group: netip.MustParseAddr("224.0.0.81"), Port: 8848, TTL: 1}
}

func testSync(t *testing.T, table ipvs.Table) {
	master, backup := daemon(ipvs.SyncMaster), daemon(ipvs.SyncBackup)
	backup.ID, backup.Group, backup.Port, backup.TTL = 0, netip.MustParseAddr("239.1.2.3"), 9000, 7
	absent, unicast := daemon(ipvs.SyncBackup), daemon(ipvs.SyncBackup)
	absent.Interface, unicast.Group = AbsentInterface, netip.MustParseAddr("10.9.0.1")
	for _, tt := range []struct {
		kind    ipvs.Kind
		daemon  ipvs.SyncDaemon
		err     error
		running []ipvs.SyncDaemon
	}{
		{ipvs.StopSync, master, syscall.ESRCH, nil},
		{ipvs.StartSync, absent, syscall.ENODEV, nil},
		{ipvs.StartSync, unicast, syscall.EINVAL, nil},
		{ipvs.StartSync, backup, nil, []ipvs.SyncDaemon{backup}},
		{ipvs.StartSync, daemon(ipvs.SyncBackup), syscall.EEXIST, []ipvs.SyncDaemon{backup}},
		{ipvs.StartSync, master, nil, []ipvs.SyncDaemon{master, backup}},
		{ipvs.StopSync, backup, nil, []ipvs.SyncDaemon{master}},
		{ipvs.StopSync, backup, syscall.ESRCH, []ipvs.SyncDaemon{master}},
		{ipvs.StopSync, master, nil, nil},
	} {
		op := ipvs.Op{Kind: tt.kind, Sync: tt.daemon}
		if err := table.Apply(t.Context(), op); !errors.Is(err, tt.err) {
			t.Errorf("%s: got %v, want %v", op, err, tt.err)
		}
		if got, err := table.SyncDaemons(t.Context()); err != nil || !slices.Equal(got, tt.running) {
			t.Errorf("after %s: got %v, %v, want %v", op, got, err, tt.running)
		}
	}
}

// testMixedAndSync: a destination of another family and a sync daemon exclude each other.
func testMixedAndSync(t *testing.T, table ipvs.Table) {
	const plain = "-A -t 10.9.0.1:80 -s rr\n"
	const mixed = plain + "-a -t 10.9.0.1:80 -r [fd00:9:1::1]:80 -i -w 1 --tun-type ipip"
	mustReach(t, table, mixed)
	start, stop := ipvs.Op{Kind: ipvs.StartSync, Sync: daemon(ipvs.SyncMaster)}, ipvs.Op{Kind: ipvs.StopSync, Sync: daemon(ipvs.SyncMaster)}
	if err := table.Apply(t.Context(), start); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("%s: got %v, want %v", start, err, syscall.EINVAL)
	}
	mustReach(t, table, plain)
	if err := table.Apply(t.Context(), start); err != nil {
		t.Fatal(err)
	}
	add := ipvs.Diff(Parse(mixed), Parse(plain))[0]
	if err := table.Apply(t.Context(), add); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("%s: got %v, want %v", add, err, syscall.EINVAL)
	}
	if err := table.Apply(t.Context(), stop); err != nil {
		t.Fatal(err)
	}
	mustReach(t, table, mixed)
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
	mustReach(t, table, Full)
	key, other := Parse("-A -t 10.9.0.1:80 -s rr")[0].Key, Parse("-A -t 10.9.0.9:80 -s rr")[0].Key
	dest := func(addr string, weight uint32) ipvs.Destination {
		return ipvs.Destination{Address: netip.MustParseAddrPort(addr), Forward: ipvs.NAT, Weight: weight}
	}
	there, absent, heavy := dest("10.9.1.2:80", 1), dest("10.9.1.9:80", 1), dest("10.9.1.2:80", 1<<31)
	v6 := Parse("-A -t [fd00:9::1]:80 -s rr")[0].Key
	mark := ipvs.MarkKey(99, false)
	with := func(d ipvs.Destination, change func(*ipvs.Destination)) ipvs.Destination { change(&d); return d }
	upside := with(there, func(d *ipvs.Destination) { d.Upper, d.Lower = 1, 2 })
	gue := with(absent, func(d *ipvs.Destination) {
		d.Forward, d.Encapsulation = ipvs.Tunnel, ipvs.Encapsulation{Type: ipvs.GUE}
	})
	wide := ipvs.Settings{Scheduler: "rr", Persistence: ipvs.Persistence{Timeout: time.Minute, Netmask: 129}}
	engine := ipvs.Settings{Scheduler: "rr", Persistence: ipvs.Persistence{Timeout: time.Minute, Netmask: 32, Engine: "psychic"}}
	for _, tt := range []struct {
		name string
		op   ipvs.Op
		want error
	}{
		{"add service that exists", ipvs.Op{Kind: ipvs.AddService, Service: key, Settings: ipvs.Settings{Scheduler: "rr"}}, syscall.EEXIST},
		{"add service, no such scheduler", ipvs.Op{Kind: ipvs.AddService, Service: other, Settings: ipvs.Settings{Scheduler: "best"}}, syscall.ENOENT},
		{"update service, no such scheduler", ipvs.Op{Kind: ipvs.UpdateService, Service: key, Settings: ipvs.Settings{Scheduler: "best"}}, syscall.ENOENT},
		{"add service, no such engine", ipvs.Op{Kind: ipvs.AddService, Service: other, Settings: engine}, syscall.ENOENT},
		{"update service, no such engine", ipvs.Op{Kind: ipvs.UpdateService, Service: key, Settings: engine}, syscall.ENOENT},
		{"update service, IPv6 netmask too long", ipvs.Op{Kind: ipvs.UpdateService, Service: v6, Settings: wide}, syscall.EINVAL},
		{"add service that exists, by mark", ipvs.Op{Kind: ipvs.AddService, Service: ipvs.MarkKey(7, true), Settings: ipvs.Settings{Scheduler: "rr"}}, syscall.EEXIST},
		{"update service that is absent, by mark", ipvs.Op{Kind: ipvs.UpdateService, Service: mark, Settings: ipvs.Settings{Scheduler: "rr"}}, syscall.ESRCH},
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
		{"add with thresholds upside down", ipvs.Op{Kind: ipvs.AddDestination, Service: key, Destination: with(upside, func(d *ipvs.Destination) { d.Address = absent.Address })}, syscall.ERANGE},
		{"update with thresholds upside down", ipvs.Op{Kind: ipvs.UpdateDestination, Service: key, Destination: upside}, syscall.ERANGE},
		{"gue without a port", ipvs.Op{Kind: ipvs.AddDestination, Service: key, Destination: gue}, syscall.EINVAL},
		{"delete destination of another family that is absent", ipvs.Op{Kind: ipvs.DeleteDestination, Service: key, Destination: dest("[fd00:9:1::9]:80", 0)}, syscall.ENOENT},
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
			wantTable(t, table, Full)
		})
	}
}

func testStats(t *testing.T, table ipvs.Table) {
	mustReach(t, table, Full)
	stats, err := table.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := Parse(Full)
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
