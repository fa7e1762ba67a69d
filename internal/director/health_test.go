// SPDX-License-Identifier: Apache-2.0

package director

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-lb/holdfast/checker"
	"github.com/holdfast-lb/holdfast/configs"
	"github.com/holdfast-lb/holdfast/ipvs"
)

// restart is what the next run decides at first, having read the state and the table that decisions have led to.
func restart(t *testing.T, now time.Time, cfg *configs.Config, table []ipvs.Service, d decisions) ([]ipvs.Service, decisions) {
	t.Helper()
	last := State{Version: stateVersion, Health: d.health()}
	dir := t.TempDir()
	if err := last.write(dir); err != nil {
		t.Fatal(err)
	}
	last, err := ReadState(dir)
	if err != nil {
		t.Fatal(err)
	}
	want, next, _ := desired(now, facts{cfg: cfg}, leftBehind(now, cfg, table, last))
	return want, next
}

// What was down before a restart is down after it, and a panic goes on: the table stays as it is, nothing is told again,
// and every check begins with the verdict that it had.
func TestRestartKeepsHealth(t *testing.T) {
	type change = func(*configs.VirtualServer)
	sorry := func(vs *configs.VirtualServer) { vs.Sorry = sorryServer }
	quorum := func(weight, hysteresis uint32) change {
		return func(vs *configs.VirtualServer) { vs.Quorum = configs.Quorum{Weight: weight, Hysteresis: hysteresis} }
	}
	panicAt := func(vs *configs.VirtualServer) { vs.PanicThreshold = 50 }
	for _, tt := range []struct {
		name   string
		change []change
		say    []string
		table  string
		mark   string
		starts string
	}{
		{"all up", nil, []string{"a+ b+ c+"}, "1:1 2:1 3:1", "up", "up up up"},
		{"one down", nil, []string{"a+ b- c+"}, "1:1 3:1", "up", "up down up"},
		{"all down", nil, []string{"a- b- c-"}, "", "down", "down down down"},
		{"inhibit", []change{func(vs *configs.VirtualServer) { vs.Inhibit = true }}, []string{"a+ b- c+"}, "1:1 2:0 3:1", "up", "up down up"},
		{"sorry server", []change{sorry, quorum(2, 0)}, []string{"a- b- c+"}, "sorry:1", "down sorry", "down down unknown"},
		{"panic", []change{panicAt}, []string{"a- b- c+"}, "1:1 2:1 3:1", "up panic", "down down up"},
		{"panic without a quorum", []change{panicAt, sorry, quorum(3, 0)}, []string{"a- b- c+"}, "1:1 2:1 3:1", "down panic", "down down up"},
		{"panic with everything down", []change{panicAt}, []string{"a- b- c-"}, "1:1 2:1 3:1", "down panic", "down down down"},
		{"start up", []change{func(vs *configs.VirtualServer) { vs.StartUp = true }}, []string{"a- b+"}, "2:1 3:1", "up", "down up up"},
		{"lost, and not met by far enough", []change{quorum(1, 1)}, []string{"a- b- c-", "c+"}, "3:1", "down", "down down up"},
		{"met, with hysteresis", []change{quorum(2, 1)}, []string{"a+ b+ c+", "a- b-"}, "3:1", "up", "down down up"},
		{"not known", nil, []string{"a- b+"}, "2:1", "up", "down up unknown"},
		{"a weight of 0 for one that is up", nil, []string{"a+ b=0 c-"}, "1:1 2:0", "up", "up unknown down"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := farm([]uint32{1, 1, 1}, func(vs *configs.VirtualServer) {
				for _, f := range tt.change {
					f(vs)
				}
			})
			key := cfg.VirtualServers[0].Key
			now, health, before := time.Unix(1000, 0), make(map[checker.Key]checker.Change), decisions{}
			var have []ipvs.Service
			for _, words := range tt.say {
				say(health, words)
				have, before, _ = desired(now, facts{cfg: cfg, health: health}, before)
			}
			if got := table(have); got != tt.table {
				t.Fatalf("before the restart %q, want %q", got, tt.table)
			}
			later := now.Add(time.Minute)
			want, after := restart(t, later, cfg, have, before)
			if ops := ipvs.Diff(want, have); len(ops) > 0 {
				t.Errorf("operations after a restart: %v", ops)
			}
			if got := marks(after.services[key]); got != tt.mark || marks(before.services[key]) != tt.mark {
				t.Errorf("before %s, after %s, want %s", marks(before.services[key]), got, tt.mark)
			}
			var starts []string
			for _, c := range checks(cfg, after) {
				starts = append(starts, c.Start.String())
				if c.Start == checker.Down && !c.Since.Equal(now) {
					t.Errorf("%v starts as down since %v, want %v", c.Key, c.Since, now)
				}
			}
			if got := strings.Join(starts, " "); got != tt.starts {
				t.Errorf("checks start %s, want %s", got, tt.starts)
			}
			for id, s := range after.servers {
				if s.verdict == checker.Down && !s.since.Equal(before.servers[id].since) {
					t.Errorf("%v is down since %v, want %v", id, s.since, before.servers[id].since)
				}
			}
		})
	}
}

// The table is changed at once, and the file a little later: of what was just found the table tells.
func TestRestartBelievesTheTableFirst(t *testing.T) {
	cfg := farm([]uint32{1, 1}, func(vs *configs.VirtualServer) {
		vs.Sorry, vs.Quorum = sorryServer, configs.Quorum{Weight: 1, Hysteresis: 1}
	})
	now, health := time.Unix(1000, 0), make(map[checker.Key]checker.Change)
	say(health, "a- b-")
	_, old, _ := desired(now, facts{cfg: cfg, health: health}, decisions{})
	say(health, "a+ b+")
	_, between, _ := desired(now, facts{cfg: cfg, health: health}, old)
	say(health, "b-")
	have, _, _ := desired(now, facts{cfg: cfg, health: health}, between)
	want, after := restart(t, now, cfg, have, old)
	if got := table(want) + ", " + marks(after.services[cfg.VirtualServers[0].Key]); got != "1:1, up" {
		t.Errorf("got %s, want 1:1, up", got)
	}
}

// In a panic those that are down get traffic beside those that are up. Where the table is lost, as by a boot, they would get
// it alone until the first checks have passed: all begin anew.
func TestBootAfterAPanic(t *testing.T) {
	cfg := farm([]uint32{1, 1, 1}, func(vs *configs.VirtualServer) { vs.PanicThreshold = 50 })
	key := cfg.VirtualServers[0].Key
	now, health := time.Unix(1000, 0), make(map[checker.Key]checker.Change)
	say(health, "a- b- c+")
	_, before, _ := desired(now, facts{cfg: cfg, health: health}, decisions{})
	want, after := restart(t, now, cfg, nil, before)
	if got := table(want) + ", " + marks(after.services[key]); got != ", unknown" {
		t.Errorf("before the first check %s, want nobody, unknown", got)
	}
	want, after, _ = desired(now, facts{cfg: cfg, health: health, ready: true}, after)
	if got := table(want) + ", " + marks(after.services[key]); got != "1:1 2:1 3:1, up panic" {
		t.Errorf("after the first round %s", got)
	}
}

// A weight in the table may be what a check asks for, or on the way to what none asks for.
func TestRestartInSlowStartWithDynamicWeight(t *testing.T) {
	for _, tt := range []struct{ say, first, tenth string }{
		{"a+", "1:30", "1:80"},
		{"a=30", "1:30", "1:30"},
		{"a=60", "1:30", "1:60"},
		{"a=10", "1:10", "1:10"},
	} {
		cfg := farm([]uint32{100}, func(vs *configs.VirtualServer) {
			vs.SlowStart = 20 * time.Second
			asksForWeight(&vs.RealServers[0].Checks[0])
		})
		vs := cfg.VirtualServers[0]
		left := []ipvs.Service{{Key: vs.Key, Settings: vs.Settings, Destinations: []ipvs.Destination{
			{Address: vs.RealServers[0].Address, Forward: ipvs.DR, Weight: 30},
		}}}
		now, health := time.Unix(1000, 0), make(map[checker.Key]checker.Change)
		f := facts{cfg: cfg, health: health}
		want, d, _ := desired(now, f, leftBehind(now, cfg, left, State{}))
		if got := table(want); got != "1:30" {
			t.Errorf("%s: at first %s, want 1:30", tt.say, got)
		}
		say(health, tt.say)
		f.ready = true
		want, d, _ = desired(now, f, d)
		if got := table(want); got != tt.first {
			t.Errorf("%s: after the first round %s, want %s", tt.say, got, tt.first)
		}
		if want, _, _ = desired(now.Add(10*time.Second), f, d); table(want) != tt.tenth {
			t.Errorf("%s: later %s, want %s", tt.say, table(want), tt.tenth)
		}
	}
}

func TestHealthOfGarbageIsLeftOut(t *testing.T) {
	s, err := parseState([]byte(`{"version": 1, "health": [{}, {"service": {"address": "10.0.0.100:80", "protocol": "icmp"}, "down": true},
		{"service": {"address": "10.0.0.100:80", "protocol": "tcp"}, "down": true, "panic": true, "since": "2126-01-01T00:00:00Z",
			"servers": [{}, {"address": "10.0.0.1:80", "since": "2126-01-01T00:00:00Z", "relapses": 1000000}, {"address": "10.0.0.77:80", "relapses": -1}]}]}`))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1000, 0)
	last := s.lastHealth(now)
	cfg := farm([]uint32{1}, nil)
	id := serverID{cfg.VirtualServers[0].Key, netip.MustParseAddrPort("10.0.0.1:80")}
	if len(last.services) != 1 || len(last.servers) != 2 || last.servers[id].since != now || last.services[id.service].since != now {
		t.Errorf("got %+v", last)
	}
	d := leftBehind(now, cfg, []ipvs.Service{{Key: id.service}}, s)
	if is := d.servers[id]; len(d.servers) != 1 || is.verdict != checker.Down || is.present {
		t.Errorf("decisions %+v", d.servers)
	}
}

func TestHealthIsBounded(t *testing.T) {
	cfg := farm(make([]uint32, 2), nil)
	vs := &cfg.VirtualServers[0]
	one := vs.RealServers[0]
	vs.RealServers = nil
	health := make(map[checker.Key]checker.Change)
	for i := range healthMost + 10 {
		rs := one
		rs.Address = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 80)
		vs.RealServers = append(vs.RealServers, rs)
	}
	say(health, "a-")
	_, d, _ := desired(time.Unix(1000, 0), facts{cfg: cfg, health: health}, decisions{})
	s := State{Version: stateVersion, Health: d.health()}
	if n := len(s.Health[0].Servers); n != healthMost {
		t.Errorf("%d servers, want %d", n, healthMost)
	}
	dir := t.TempDir()
	if err := s.write(dir); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(dir, stateName))
	if err != nil || info.Size() > stateMost/2 {
		t.Errorf("%v, %v", info, err)
	}
}

// A server that was down comes back after `rise` passes, as if nobody had been away, and that it is down is not told again.
func TestRestartKeepsAServerDown(t *testing.T) {
	s := newSite(t)
	s.edit(`path     = "/"`, "path = \"/\"\n    rise = 4\n    fall = 1")
	_, stop := s.run()
	s.tableHas("web1=1 web2=1")
	s.servers[0].sick.Store(true)
	s.tableHas("web2=1")
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	told := len(s.log.String())
	_, stop = s.run()
	s.ready()
	s.eventually(func() error {
		if rs := s.status().VirtualServers[0].RealServers[0]; rs.State != "down" || !strings.Contains(rs.Reason, "503") {
			return fmt.Errorf("web1 is %s: %s", rs.State, rs.Reason)
		}
		return nil
	})
	s.servers[0].sick.Store(false)
	s.tableHas("web1=1 web2=1")
	if n := s.status().VirtualServers[0].RealServers[0].Checks[0].Run; n < 4 {
		t.Errorf("back after %d passes, want 4", n)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(s.log.String()[told:]) {
		if strings.Contains(line, "to=down") {
			t.Errorf("told again: %s", line)
		}
	}
}

// A restart in a panic takes nobody for up because it is in the table: by such a quorum this director might take over from
// one that has servers.
func TestRestartInAPanic(t *testing.T) {
	s := newSite(t)
	s.edit(`virtual_server "web" {`, "virtual_server \"web\" {\n  panic_threshold = 50")
	_, stop := s.run()
	s.tableHas("web1=1 web2=1")
	for _, b := range s.servers {
		b.sick.Store(true)
	}
	s.logged("virtual_server=web from=up to=panic")
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	s.table.Applied()
	told := len(s.log.String())
	_, stop = s.run()
	s.ready()
	if vs := s.status().VirtualServers[0]; !vs.Panic || vs.RealServers[0].State != "down" || vs.RealServers[1].State != "down" {
		t.Errorf("after a restart: panic %v, %s, %s", vs.Panic, vs.RealServers[0].State, vs.RealServers[1].State)
	}
	s.tableHas("web1=1 web2=1")
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if ops := s.table.Applied(); len(ops) > 0 {
		t.Errorf("operations after a restart: %v", ops)
	}
	if log := s.log.String()[told:]; strings.Contains(log, `virtual_server=web`) || strings.Contains(log, `real_server=web`) {
		t.Errorf("told again: %s", log)
	}
}

// What differs in health alone is written at most once a second; all else at once.
func TestHealthIsWrittenSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		states, ended := make(chan State), make(chan struct{})
		ctx, cancel := context.WithCancel(t.Context())
		go func() { keepState(ctx, dir, states, slog.New(slog.DiscardHandler)); close(ended) }()
		key := newServiceKey(farm(nil, nil).VirtualServers[0].Key)
		state := func(health int, keys ...ServiceKey) State {
			return State{Version: stateVersion, Services: keys, Health: []HealthState{{Service: key, Down: true, Since: time.Unix(int64(health), 0).UTC()}}}
		}
		there := func(want State) {
			t.Helper()
			synctest.Wait()
			if got, err := ReadState(dir); err != nil || !got.equal(want) {
				t.Errorf("the file has %+v, %v, want %+v", got, err, want)
			}
		}
		states <- state(1)
		there(state(1))
		states <- state(2)
		states <- state(3)
		there(state(1))
		time.Sleep(healthEvery)
		there(state(3))
		states <- state(4)
		there(state(3))
		states <- state(5, key)
		there(state(5, key))
		states <- state(6, key)
		cancel()
		<-ended
		there(state(6, key))
	})
}

// What could not be written is tried again, without another change to come first, and in the end.
func TestStateIsWrittenOnceItCanBe(t *testing.T) {
	for _, stops := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "state")
			if err := os.WriteFile(dir, nil, 0o600); err != nil { // no directory: nothing can be written
				t.Fatal(err)
			}
			states, ended := make(chan State), make(chan struct{})
			ctx, cancel := context.WithCancel(t.Context())
			go func() { keepState(ctx, dir, states, slog.New(slog.DiscardHandler)); close(ended) }()
			want := State{Version: stateVersion, Services: []ServiceKey{newServiceKey(farm(nil, nil).VirtualServers[0].Key)}}
			states <- want
			synctest.Wait()
			if err := os.Remove(dir); err != nil {
				t.Fatal(err)
			}
			if !stops {
				time.Sleep(stateRetry)
				synctest.Wait()
			}
			cancel()
			<-ended
			if got, err := ReadState(dir); err != nil || !got.equal(want) {
				t.Errorf("stops %t: the file has %+v, %v, want %+v", stops, got, err, want)
			}
		})
	}
}
