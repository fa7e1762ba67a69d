// SPDX-License-Identifier: Apache-2.0

package ipvs_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-lb/holdfast/ipvs"
	"github.com/holdfast-lb/holdfast/ipvs/ipvstest"
)

func syncDaemon(role ipvs.SyncRole, id uint8) ipvs.SyncDaemon {
	return ipvs.SyncDaemon{Role: role, Interface: "eth0", ID: id, Group: netip.MustParseAddr("224.0.0.81"), Port: 8848, TTL: 1}
}

const (
	startMaster51 = "--start-daemon master --mcast-interface eth0 --syncid 51 --mcast-group 224.0.0.81 --mcast-port 8848 --mcast-ttl 1"
	startMaster52 = "--start-daemon master --mcast-interface eth0 --syncid 52 --mcast-group 224.0.0.81 --mcast-port 8848 --mcast-ttl 1"
	startBackup51 = "--start-daemon backup --mcast-interface eth0 --syncid 51 --mcast-group 224.0.0.81 --mcast-port 8848 --mcast-ttl 1"
)

func (r *running) setGoal(g ipvs.Goal) {
	r.Set(g)
	synctest.Wait()
}

func TestReconcilerTimeouts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t)
		r.setGoal(ipvs.Goal{Timeouts: ipvs.Timeouts{TCP: 15 * time.Minute, UDP: 5 * time.Minute}})
		r.wantOps(t) // as they are
		wanted := ipvs.Goal{Timeouts: ipvs.Timeouts{TCP: time.Hour}}
		r.setGoal(wanted)
		r.wantOps(t, "--set 3600 0 0")
		r.setGoal(wanted)
		time.Sleep(time.Minute)
		r.wantOps(t)
		// Others change one that we want and one that we do not.
		r.last(t)
		if err := r.table.Apply(t.Context(), ipvs.Op{Kind: ipvs.SetTimeouts, Timeouts: ipvs.Timeouts{TCP: time.Minute, UDP: time.Minute}}); err != nil {
			t.Fatal(err)
		}
		r.table.Applied()
		time.Sleep(4500 * time.Millisecond)
		synctest.Wait()
		r.wantOps(t, "--set 3600 0 0")
		if report, _ := r.last(t); report.Drift != (ipvs.Counts{ipvs.SetTimeouts: 1}) || report.Err != nil {
			t.Errorf("got %+v, want one drift", report)
		}
		if got, err := r.table.Timeouts(t.Context()); err != nil || got != (ipvs.Timeouts{TCP: time.Hour, TCPFin: 2 * time.Minute, UDP: time.Minute}) {
			t.Errorf("got %v, %v", got, err)
		}
	})
}

func TestReconcilerSyncDaemons(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t)
		master, other, backup := syncDaemon(ipvs.SyncMaster, 51), syncDaemon(ipvs.SyncMaster, 52), syncDaemon(ipvs.SyncBackup, 51)
		for _, step := range []struct {
			name string
			want []ipvs.SyncDaemon
			ops  []string
		}{
			{"start", []ipvs.SyncDaemon{backup}, []string{startBackup51}},
			{"same", []ipvs.SyncDaemon{backup}, nil},
			{"both", []ipvs.SyncDaemon{backup, master}, []string{startMaster51}},
			{"same in another order", []ipvs.SyncDaemon{master, backup}, nil},
			{"other parameters: stop before start", []ipvs.SyncDaemon{other, backup}, []string{"--stop-daemon master", startMaster52}},
			{"one", []ipvs.SyncDaemon{backup}, []string{"--stop-daemon master"}},
			{"change of role", []ipvs.SyncDaemon{master}, []string{"--stop-daemon backup", startMaster51}},
			{"none", nil, []string{"--stop-daemon master"}},
		} {
			r.setGoal(ipvs.Goal{Sync: step.want, Syncs: true})
			if got := r.table.Applied(); !slices.Equal(got, step.ops) {
				t.Errorf("%s: got operations %q, want %q", step.name, got, step.ops)
			}
			want := slices.SortedFunc(slices.Values(step.want), func(a, b ipvs.SyncDaemon) int { return int(a.Role) - int(b.Role) })
			if report, _ := r.last(t); !slices.Equal(report.Sync, want) || report.SyncErr != nil {
				t.Errorf("%s: got %+v, %v, want %+v", step.name, report.Sync, report.SyncErr, want)
			}
		}
	})
}

func TestReconcilerRestartsKilledDaemon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t)
		goal := ipvs.Goal{Services: ipvstest.Parse(pair), Sync: []ipvs.SyncDaemon{syncDaemon(ipvs.SyncMaster, 51)}, Syncs: true}
		r.setGoal(goal)
		if err := r.table.Apply(t.Context(), ipvs.Op{Kind: ipvs.StopSync, Sync: goal.Sync[0]}); err != nil {
			t.Fatal(err)
		}
		r.table.Applied()
		time.Sleep(4500 * time.Millisecond)
		synctest.Wait()
		r.wantOps(t, startMaster51)
		want := ipvs.Counts{ipvs.StartSync: 1}
		if report, _ := r.last(t); report.Drift != want || report.Done != want || len(report.Sync) != 1 {
			t.Errorf("got %+v, want %s", report, want)
		}
		// Without connection sync in the configuration daemons are somebody else's.
		goal.Sync, goal.Syncs = nil, false
		r.setGoal(goal)
		time.Sleep(time.Minute)
		r.wantOps(t)
		if report, _ := r.last(t); report.Sync != nil {
			t.Errorf("got %+v, want nothing about daemons", report)
		}
		// They become ours again as they are then.
		daemon := syncDaemon(ipvs.SyncMaster, 51)
		if err := r.table.Apply(t.Context(), ipvs.Op{Kind: ipvs.StopSync, Sync: daemon}); err != nil {
			t.Fatal(err)
		}
		r.table.Applied()
		goal.Sync, goal.Syncs = []ipvs.SyncDaemon{daemon}, true
		r.setGoal(goal)
		r.wantOps(t, startMaster51)
		if report, _ := r.last(t); report.Drift.Total() != 0 {
			t.Errorf("got drift %s, want none", report.Drift)
		}
	})
}

// A daemon that does not start is tried again, at growing intervals, and is nothing to the services.
func TestReconcilerSyncFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t)
		r.table.Fail(refuse("--start", syscall.ENODEV, 3))
		r.setGoal(ipvs.Goal{Services: ipvstest.Parse(pair), Sync: []ipvs.SyncDaemon{syncDaemon(ipvs.SyncMaster, 51)}, Syncs: true})
		report, _ := r.last(t)
		if report.Err != nil || !errors.Is(report.SyncErr, syscall.ENODEV) || len(report.Sync) != 0 || r.table.String() != pair {
			t.Errorf("got %+v and\n%s", report, r.table)
		}
		lists := r.table.Lists()
		time.Sleep(350 * time.Millisecond)
		synctest.Wait()
		// The first attempt tries twice, because it changed the services.
		if report, times := r.last(t); report.SyncErr != nil || len(report.Sync) != 1 || len(times) != 2 {
			t.Errorf("got %+v at %v, want it to run at the third", report, times)
		}
		if got := r.table.Lists(); got != lists {
			t.Errorf("got %d readings of the table for it, want none", got-lists)
		}
		text := r.log.String()
		if strings.Count(text, "connection sync not as wanted") != 1 || strings.Count(text, "connection sync as wanted again") != 1 {
			t.Errorf("got log\n%s", text)
		}
	})
}

// Destinations of another family and daemons exclude each other: what goes makes room for what comes.
func TestReconcilerMixedFamiliesAndSync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const mixed = "-A -t 10.0.0.1:80 -s rr\n-a -t 10.0.0.1:80 -r [fd00::1]:80 -i -w 1 --tun-type ipip\n"
		daemons := []ipvs.SyncDaemon{syncDaemon(ipvs.SyncMaster, 51)}
		r := start(t)
		for _, g := range []ipvs.Goal{
			{Services: ipvstest.Parse(mixed), Syncs: true},
			{Services: ipvstest.Parse(pair), Syncs: true, Sync: daemons},
			{Services: ipvstest.Parse(mixed), Syncs: true},
		} {
			r.setGoal(g)
			report, _ := r.last(t)
			if report.Err != nil || report.SyncErr != nil || len(report.Sync) != len(g.Sync) || r.table.String() != ipvstest.Dump(g.Services) {
				t.Errorf("got %+v and\n%s", report, r.table)
			}
		}
		r.setGoal(ipvs.Goal{Services: ipvstest.Parse(mixed), Syncs: true, Sync: daemons})
		if report, _ := r.last(t); report.Err != nil || !errors.Is(report.SyncErr, syscall.EINVAL) {
			t.Errorf("got %+v, want EINVAL for the daemon alone", report)
		}
	})
}

func TestReconcilerReportOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t)
		const first = `-A -t 10.0.0.1:80 -s rr
-a -t 10.0.0.1:80 -r 10.0.1.1:80 -m -w 1
-a -t 10.0.0.1:80 -r 10.0.1.2:80 -m -w 1
-a -t 10.0.0.1:80 -r 10.0.1.3:80 -m -w 1
-A -t 10.0.0.2:80 -s rr
-a -t 10.0.0.2:80 -r 10.0.1.1:80 -m -w 1
`
		goal := func(state string) ipvs.Goal {
			return ipvs.Goal{Services: ipvstest.Parse(state), Owned: []ipvs.Key{ipvstest.Parse(first)[0].Key, ipvstest.Parse(first)[1].Key}, ReportOnly: true}
		}
		r.setGoal(goal(first)) // the first attempt makes it all
		if r.table.String() != first {
			t.Fatalf("got\n%s", r.table)
		}
		const foreign = `-A -t 10.0.0.1:80 -s wlc
-a -t 10.0.0.1:80 -r 10.0.1.1:80 -m -w 7
-a -t 10.0.0.1:80 -r 10.0.1.3:80 -m -w 1
-a -t 10.0.0.1:80 -r 10.0.1.4:80 -m -w 1
`
		for _, op := range ipvs.Diff(ipvstest.Parse(foreign), ipvstest.Parse(first)) {
			if err := r.table.Apply(t.Context(), op); err != nil {
				t.Fatal(err)
			}
		}
		r.table.Applied()
		drift := ipvs.Counts{ipvs.UpdateService: 1, ipvs.UpdateDestination: 1, ipvs.AddDestination: 2, ipvs.DeleteDestination: 1, ipvs.AddService: 1}
		time.Sleep(4500 * time.Millisecond)
		synctest.Wait()
		if report, _ := r.last(t); report.Err != nil || report.Drift != drift || report.Left != drift {
			t.Errorf("got drift %s, left %s, %v, want %s", report.Drift, report.Left, report.Err, drift)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		r.wantOps(t)
		if report, _ := r.last(t); report.Drift.Total() != 0 || report.Left != drift {
			t.Errorf("got drift %s, left %s, want no more and %s", report.Drift, report.Left, drift)
		}
		if got := strings.Count(r.log.String(), "changed by others"); got != 1 {
			t.Errorf("logged %d times, want once", got)
		}

		// What we change ourselves goes through, and nothing else.
		changed := strings.Replace(first, "10.0.1.3:80 -m -w 1", "10.0.1.3:80 -m -w 3", 1)
		r.setGoal(goal(changed))
		r.wantOps(t, "-e -t 10.0.0.1:80 -r 10.0.1.3:80 -m -w 3")
		changed = strings.Replace(changed, "10.0.1.2:80 -m -w 1", "10.0.1.2:80 -m -w 2", 1) // they deleted it
		r.setGoal(goal(changed))
		r.wantOps(t, "-a -t 10.0.0.1:80 -r 10.0.1.2:80 -m -w 2")
		changed = strings.Replace(changed, "-a -t 10.0.0.2:80 -r 10.0.1.1:80 -m -w 1", "-a -t 10.0.0.2:80 -r 10.0.1.1:80 -m -w 2", 1)
		r.setGoal(goal(changed)) // they deleted its service
		r.wantOps(t, "-A -t 10.0.0.2:80 -s rr", "-a -t 10.0.0.2:80 -r 10.0.1.1:80 -m -w 2")
		r.setGoal(goal(strings.Replace(changed, "10.0.0.1:80 -s rr", "10.0.0.1:80 -s sed", 1)))
		r.wantOps(t, "-E -t 10.0.0.1:80 -s sed")
		r.setGoal(goal(""))
		r.wantOps(t, "-D -t 10.0.0.1:80", "-D -t 10.0.0.2:80")
	})
}

// A change of ours that failed and is then taken back is ours all the same.
func TestReconcilerReportOnlyAfterFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t)
		goal := func(state string) ipvs.Goal { return ipvs.Goal{Services: ipvstest.Parse(state), ReportOnly: true} }
		r.setGoal(goal(pair))
		edit := ipvs.Op{Kind: ipvs.UpdateService, Service: ipvstest.Parse(pair)[0].Key, Settings: ipvs.Settings{Scheduler: "wlc"}}
		if err := r.table.Apply(t.Context(), edit); err != nil {
			t.Fatal(err)
		}
		time.Sleep(4500 * time.Millisecond)
		r.table.Fail(refuse("-e -t 10.0.0.1:80 -r 10.0.1.2:80", syscall.EINVAL, 1))
		r.setGoal(goal(strings.ReplaceAll(pair, "-w 1", "-w 2"))) // half of it succeeds
		r.setGoal(goal(pair))
		want := strings.Replace(pair, "rr", "wlc", 1)
		if report, _ := r.last(t); report.Err != nil || r.table.String() != want || report.Left != (ipvs.Counts{ipvs.UpdateService: 1}) {
			t.Errorf("got %+v and\n%swant\n%s", report, r.table, want)
		}
	})
}

// An unloaded module takes the table with it: that is no change by others which could be left as it is.
func TestReconcilerReloadedModule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t)
		r.setGoal(ipvs.Goal{Services: ipvstest.Parse(pair), ReportOnly: true})
		opened := r.open(nil)
		if err := r.table.Apply(t.Context(), ipvs.Op{Kind: ipvs.DeleteService, Service: ipvstest.Parse(pair)[0].Key}); err != nil {
			t.Fatal(err)
		}
		r.table.Fail(refuse("list", ipvs.ErrReloaded, 1))
		r.last(t)
		time.Sleep(4500 * time.Millisecond)
		synctest.Wait()
		report, times := r.last(t)
		if report.Err != nil || len(times) != 1 || r.open(nil) != opened+1 || r.table.String() != pair {
			t.Errorf("got %+v at %v and\n%swant one attempt that opens the table anew", report, times, r.table)
		}
	})
}

// TestReportOnlyWalk lets others and us change a table at random: what we want counts if we changed it last.
func TestReportOnlyWalk(t *testing.T) {
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	synctest.Test(t, func(t *testing.T) {
		r := start(t)
		weights, want := make([]uint32, 8), make([]uint32, 8)
		state := func(w []uint32) []ipvs.Service {
			s := ipvstest.Parse("-A -t 10.0.0.1:80 -s rr")
			for i, weight := range w {
				s[0].Destinations = append(s[0].Destinations, ipvs.Destination{
					Address: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 1, byte(i)}), 80), Forward: ipvs.NAT, Weight: weight,
				})
			}
			return s
		}
		r.setGoal(ipvs.Goal{Services: state(want), ReportOnly: true})
		for step := range 300 {
			i, weight := random.IntN(8), uint32(random.IntN(5))
			if random.IntN(2) == 0 {
				weights[i] = weight
				if err := r.table.Apply(t.Context(), ipvs.Op{Kind: ipvs.UpdateDestination, Service: state(nil)[0].Key, Destination: state(weights)[0].Destinations[i]}); err != nil {
					t.Fatal(err)
				}
				time.Sleep(5 * time.Second)
			} else {
				if want[i] != weight {
					weights[i] = weight
				}
				want = slices.Clone(want)
				want[i] = weight
				r.setGoal(ipvs.Goal{Services: state(want), ReportOnly: true})
			}
			synctest.Wait()
			if got := r.table.String(); got != ipvstest.Dump(state(weights)) {
				t.Fatalf("seed %d, step %d: got\n%swant\n%s", seed, step, got, ipvstest.Dump(state(weights)))
			}
		}
	})
}

// An operation without an answer ends after a while, and with it the attempt; many that take long each do not.
func TestReconcilerLostAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := &ipvstest.Fake{}
		hang := false
		slow := slowTable{table, func(ctx context.Context) error {
			if hang {
				<-ctx.Done()
				return context.Cause(ctx)
			}
			time.Sleep(4 * time.Second)
			return nil
		}}
		begin := time.Now()
		report, err := ipvs.Reconcile(t.Context(), slow, ipvs.Goal{Services: ipvstest.Parse(pair)})
		if err != nil || report.Done.Total() != 3 || time.Since(begin) != 12*time.Second {
			t.Errorf("slow: got %+v after %s", report, time.Since(begin))
		}
		hang = true
		begin = time.Now()
		report, err = ipvs.Reconcile(t.Context(), slow, ipvs.Goal{Services: ipvstest.Parse(strings.ReplaceAll(pair, "-w 1", "-w 2"))})
		if !errors.Is(err, context.DeadlineExceeded) || report.Failed.Total() != 2 || time.Since(begin) != 5*time.Second {
			t.Errorf("lost: got %+v after %s", report, time.Since(begin))
		}
	})
}

// slowTable waits before each operation.
type slowTable struct {
	ipvs.Table
	wait func(context.Context) error
}

func (s slowTable) Apply(ctx context.Context, op ipvs.Op) error {
	if err := s.wait(ctx); err != nil {
		return err
	}
	return s.Table.Apply(ctx, op)
}
