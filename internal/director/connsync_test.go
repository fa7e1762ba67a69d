// SPDX-License-Identifier: Apache-2.0

package director

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/ipvs"
	"github.com/holdfast-lb/holdfast/vrrp"
)

var syncStart = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// at is a time after the start of a test, in seconds.
func at(s float64) time.Time { return syncStart.Add(time.Duration(s * float64(time.Second))) }

func TestSyncRoles(t *testing.T) {
	backup := connSync{backup: at(0)}
	master := backup.follow(at(10), true)
	again := master.follow(at(12), false)
	for _, tt := range []struct {
		name     string
		state    connSync
		at       float64
		want     string
		deadline float64 // 0: none
	}{
		{"backup from the start", backup, 1, "[backup]", 0},
		{"master of the last run", connSync{master: true}, 1, "[master]", 0},
		{"just become master", master, 10, "[master backup]", 15},
		{"told again of the same role", master.follow(at(14), true), 14.9, "[master backup]", 15},
		{"long a master", master, 15, "[master]", 0},
		{"master for a moment", again, 13, "[master backup]", 17},
		{"back to backup", again, 17, "[backup]", 0},
	} {
		roles, deadline := tt.state.roles(at(tt.at))
		if fmt.Sprint(roles) != tt.want || deadline.IsZero() != (tt.deadline == 0) || tt.deadline != 0 && !deadline.Equal(at(tt.deadline)) {
			t.Errorf("%s: %v until %v, want %s until %v s", tt.name, roles, deadline.Sub(at(0)), tt.want, tt.deadline)
		}
	}
}

func TestSyncWarmUp(t *testing.T) {
	start := connSync{backup: at(0)}
	up := start.running(at(1), true, true)
	growing := up
	for s := range 120 {
		growing = growing.knows(at(float64(s)), uint64(100*s*s))
	}
	settled := up.knows(at(12), 1000).knows(at(14.5), 1049) // not notably more
	for _, tt := range []struct {
		name  string
		state connSync
		until float64 // from when on it is warm; 0: it is at once
	}{
		{"a master", connSync{master: true}, 0},
		{"the half does not come up", start, 60},
		{"the half runs, and there are no connections", up, 14},
		{"told again that it runs", up.running(at(5), true, false), 14},
		{"it was killed and started again", up.running(at(5), true, true), 18},
		{"it was killed", up.running(at(5), false, false), 60},
		{"it came after the longest wait", start.running(at(59), true, true), 60},
		{"many connections just before", up.knows(at(12), 1000), 15},
		{"few more after them", settled, 15},
		{"their number never settles", growing, 60},
		{"its link was down", up.knows(at(90), 1000).missed(at(100)), 113},
		{"its link was down, and the half does not come up", start.missed(at(100)), 160},
		{"a master misses nothing", connSync{master: true}.missed(at(100)), 0},
		{"backup once more", up.follow(at(20), true).follow(at(30), false).running(at(31), true, true), 44},
	} {
		cold, deadline := tt.state.cold(at(tt.until - 0.001))
		if tt.until == 0 {
			if cold {
				t.Errorf("%s: cold until %v", tt.name, deadline.Sub(at(0)))
			}
			continue
		}
		if still, _ := tt.state.cold(at(tt.until)); !cold || still || !deadline.Equal(at(tt.until)) {
			t.Errorf("%s: cold %v, until %v, cold then %v; want it to end after %v s", tt.name, cold, deadline.Sub(at(0)), still, tt.until)
		}
	}
}

const syncBlock = `connection_sync {
  interface = "eth0"
  id        = 51
}`

// syncRuns waits until these halves run in the table.
func (s *site) syncRuns(want ...ipvs.SyncRole) {
	s.t.Helper()
	s.eventually(func() error {
		list, err := s.table.SyncDaemons(s.t.Context())
		var roles []ipvs.SyncRole
		for _, d := range list {
			roles = append(roles, d.Role)
		}
		if err == nil && !slices.Equal(roles, want) {
			err = fmt.Errorf("sync daemons %v run, want %v", list, want)
		}
		return err
	})
}

// Both halves run after a take-over. A configuration that loses the block stops what an earlier run has started, and
// without one the daemons of others are left alone.
func TestConnectionSync(t *testing.T) {
	s := newSite(t)
	s.write(1, syncBlock)
	d, stop := s.run()
	s.routerIs("web", "master") // though it cannot have warmed up: nobody else is master
	s.syncRuns(ipvs.SyncMaster, ipvs.SyncBackup)
	s.eventually(func() error {
		c := s.status().ConnectionSync
		_, text := s.get("/metrics")
		if c == nil || len(c.Running) != 2 || !c.Warm || c.Error != "" || !strings.Contains(text, `holdfast_sync_daemon_up{role="master"} 1`) {
			return fmt.Errorf("status %+v", c)
		}
		return nil
	})
	if reason := d.view.Load().routers[0].instance.Status().Unready; reason != "" {
		t.Errorf("a master is unready: %s", reason)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	s.syncRuns(ipvs.SyncMaster, ipvs.SyncBackup) // what they have gathered still goes out

	s.write(1)
	_, stop = s.run()
	s.syncRuns()
	s.eventually(func() error {
		if last, err := ReadState(filepath.Join(filepath.Dir(s.path), "state")); err != nil || last.ConnectionSync {
			return errors.New("the state still names the daemons")
		}
		return nil
	})
	if err := stop(); err != nil {
		t.Fatal(err)
	}

	theirs := ipvs.SyncDaemon{Role: ipvs.SyncMaster, Interface: "eth9", ID: 7, Group: d.cfg.ConnectionSync.Daemon.Group, Port: 8848, TTL: 1}
	if err := s.table.Apply(t.Context(), ipvs.Op{Kind: ipvs.StartSync, Sync: theirs}); err != nil {
		t.Fatal(err)
	}
	_, stop = s.run()
	s.ready()
	s.routerIs("web", "master")
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	s.syncRuns(ipvs.SyncMaster)

	s.write(1, syncBlock)
	s.edit(`name           = "lb1"`, "name           = \"lb1\"\n  on_exit = \"clear\"")
	_, stop = s.run()
	s.syncRuns(ipvs.SyncMaster, ipvs.SyncBackup)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	s.syncRuns()
}

// A director that comes back holds its preemption, and a reload that changes the daemons begins the warm-up anew.
func TestSyncHoldsPreemption(t *testing.T) {
	s := newSite(t)
	s.write(1, syncBlock)
	s.edit(`id                 = 51`, `id                 = 51
  startup_delay      = "1h"`)
	_, _ = s.run()
	s.syncRuns(ipvs.SyncBackup)
	waits := func(want string) {
		t.Helper()
		s.eventually(func() error {
			if got := s.status().VirtualRouters[0].Unready; got != want {
				return fmt.Errorf("unready %q, want %q", got, want)
			}
			return nil
		})
	}
	waits(warmingUp)
	if c := s.status().ConnectionSync; c.Warm {
		t.Errorf("warm already: %+v", c)
	}
	s.edit(syncBlock, "")
	s.reload()
	waits("")
	s.syncRuns()
	s.write(1, syncBlock)
	s.edit(`id                 = 51`, `id                 = 51
  startup_delay      = "1h"`)
	s.reload()
	waits(warmingUp)
}

// A virtual router that comes back from a fault may have heard nothing meanwhile, however long its half has run.
func TestSyncWarmsUpAfterFault(t *testing.T) {
	s := newSite(t)
	s.write(1, syncBlock)
	s.edit(`id                 = 51`, `id                 = 51
  startup_delay      = "1h"`)
	d, _ := s.run()
	s.syncRuns(ipvs.SyncBackup)
	cold := func(from, to vrrp.State) (is bool) {
		t.Helper()
		err := d.call(t.Context(), func() {
			hourAgo := time.Now().Add(-time.Hour)
			d.sync.connSync = connSync{backup: hourAgo, up: hourAgo, grown: hourAgo}
			d.followSync(time.Now())
			d.transition(vrrp.Transition{Router: "web", From: from, To: to, At: time.Now()})
			is = d.sync.isCold
		})
		if err != nil {
			t.Fatal(err)
		}
		return is
	}
	if cold(vrrp.Init, vrrp.Backup) {
		t.Error("cold after a transition that is none of a fault")
	}
	if !cold(vrrp.Fault, vrrp.Backup) {
		t.Error("warm right after a fault")
	}
}

// With the module ip_vs go its parameters, and when it is loaded again they are set again: that they have the kernel's values
// then is nobody's doing.
func TestSysctlsOfAModuleThatIsLoadedAgain(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	s := newSite(t)
	s.sysctls = t.TempDir()
	file := filepath.Join(s.sysctls, "net/ipv4/vs/expire_nodest_conn")
	if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte("0"), 0o644)); err != nil {
		t.Fatal(err)
	}
	isSet := func() error {
		b, err := os.ReadFile(file)
		if err == nil && strings.TrimSpace(string(b)) != "1" {
			err = fmt.Errorf("it is %q", b)
		}
		return err
	}
	s.run()
	s.eventually(isSet)
	s.tableHas("web1=1 web2=1")
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	s.table.Fail(func(string) error { return ipvs.ErrNoIPVS })
	s.routerIs("web", "fault")
	s.eventually(func() error {
		last, err := ReadState(filepath.Join(filepath.Dir(s.path), "state"))
		if err == nil && len(last.Sysctls.List) > 0 {
			err = fmt.Errorf("the state has %v", last.Sysctls.List)
		}
		return err
	})
	if err := os.WriteFile(file, []byte("0"), 0o644); err != nil {
		t.Fatal(err)
	}
	s.table.Fail(nil)
	s.eventually(isSet)
}

// What the kernel is set to goes back at the end, also of a run after a crash, and with the configuration that needed it.
func TestSysctls(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	s := newSite(t)
	s.sysctls = t.TempDir()
	value := func(path, want string) {
		t.Helper()
		s.eventually(func() error {
			b, err := os.ReadFile(filepath.Join(s.sysctls, path))
			if got := strings.TrimSpace(string(b)); err == nil && got != want {
				err = fmt.Errorf("%s is %q, want %q", path, got, want)
			}
			return err
		})
	}
	put := func(path, value string) {
		t.Helper()
		file := filepath.Join(s.sysctls, path)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(value), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	const forward, nodest, sloppy = "net/ipv4/ip_forward", "net/ipv4/vs/expire_nodest_conn", "net/ipv4/vs/sloppy_tcp"
	put(forward, "0")
	put(sloppy, "0")
	_, stop := s.run()
	value(forward, "1")
	put(nodest, "0") // IPVS comes
	value(nodest, "1")
	value(sloppy, "0")
	s.edit(`virtual_server "web" {`, "virtual_server \"web\" {\n  scheduler = \"mh\"")
	s.reload()
	value(sloppy, "1")
	s.eventually(func() error { // what a crash from now on leaves behind
		last, err := ReadState(filepath.Join(filepath.Dir(s.path), "state"))
		if err == nil && len(last.Sysctls.List) != 3 {
			err = fmt.Errorf("the state has %v", last.Sysctls.List)
		}
		return err
	})
	state, err := os.ReadFile(filepath.Join(filepath.Dir(s.path), "state", stateName))
	if err != nil {
		t.Fatal(err)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	value(forward, "0")
	value(nodest, "0")

	put(forward, "1")
	put(nodest, "1")
	put(sloppy, "7") // somebody else's now
	if err := os.WriteFile(filepath.Join(filepath.Dir(s.path), "state", stateName), state, 0o600); err != nil {
		t.Fatal(err)
	}
	_, stop = s.run()
	s.ready()
	s.edit(`name           = "lb1"`, "name           = \"lb1\"\n  manage_sysctls = false")
	s.add("log { level = \"debug\" }")
	s.reload()
	value(forward, "0")
	value(sloppy, "7")
	s.logged("sysctl=net.ipv4.ip_forward")
	s.logged("sysctl is not as needed")
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	value(nodest, "0")
}
