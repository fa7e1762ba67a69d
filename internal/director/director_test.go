// SPDX-License-Identifier: Apache-2.0

package director

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/holdfast-lb/holdfast/configs"
	"github.com/holdfast-lb/holdfast/ipvs"
	"github.com/holdfast-lb/holdfast/ipvs/ipvstest"
	"github.com/holdfast-lb/holdfast/vrrp"
)

func TestServersJoinAndLeaveTheTable(t *testing.T) {
	s := newSite(t)
	s.servers[1].sick.Store(true)
	s.run()
	s.tableHas("web1=1")
	s.servers[1].sick.Store(false)
	s.tableHas("web1=1 web2=1")
	s.servers[0].sick.Store(true)
	s.tableHas("web2=1")
	s.eventually(func() error {
		st := s.status().VirtualServers[0]
		if rs := st.RealServers[0]; st.State != "up" || rs.State != "down" || rs.EffectiveWeight != 0 || !strings.Contains(rs.Reason, "503") {
			return fmt.Errorf("status: %+v", st)
		}
		return nil
	})
	s.eventually(func() error {
		if !strings.Contains(s.log.String(), `real_server=web/web1 from=up to=down reason="http: 503`) {
			return errors.New("the log does not say that web1 is down, and why")
		}
		return nil
	})
}

func TestRestartChangesNothing(t *testing.T) {
	s := newSite(t)
	_, stop := s.run()
	s.tableHas("web1=1 web2=1")
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if len(s.table.Applied()) == 0 {
		t.Fatal("the first run did nothing")
	}
	d, _ := s.run()
	s.eventually(func() error {
		if st := s.status(); !st.Ready || st.IPVS.LastReconcile.IsZero() {
			return fmt.Errorf("not ready: %+v", st)
		}
		return nil
	})
	if ops := s.table.Applied(); len(ops) > 0 {
		t.Errorf("operations after a restart: %v", ops)
	}
	if n := testutil.ToFloat64(d.metrics.operations.WithLabelValues("add_destination", "done")); n != 0 {
		t.Errorf("holdfast_ipvs_operations_total %v, want 0", n)
	}
}

func TestReloadOfOneWeightIsOneOperation(t *testing.T) {
	s := newSite(t)
	s.run()
	s.tableHas("web1=1 web2=1")
	s.table.Applied()
	s.write(7)
	r, err := s.client.Reload(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if want := "virtual_server web: real_server web1: weight 1 -> 7"; len(r.Changes) != 1 || r.Changes[0] != want {
		t.Errorf("changes %q, want %q", r.Changes, want)
	}
	s.tableHas("web1=7 web2=1")
	if ops := s.table.Applied(); len(ops) != 1 || !strings.HasPrefix(ops[0], "-e ") {
		t.Errorf("operations %v, want one update", ops)
	}
	if r, err = s.client.Reload(t.Context()); err != nil || len(r.Changes) > 0 {
		t.Errorf("reload of the same: %v, %v", r, err)
	}
	if ops := s.table.Applied(); len(ops) > 0 {
		t.Errorf("operations of an empty reload: %v", ops)
	}
}

func TestBadReloadLeavesTheOldConfiguration(t *testing.T) {
	s := newSite(t)
	s.run()
	s.tableHas("web1=1 web2=1")
	before := s.status()
	for name, text := range map[string]string{
		"syntax":    `virtual_server "x" {`,
		"semantics": `virtual_server "web" { address = "127.0.0.100:80" }`,
	} {
		s.write(9, text)
		_, err := s.client.Reload(t.Context())
		if err == nil || !strings.Contains(err.Error(), "old configuration is still in force") || !strings.Contains(err.Error(), "holdfast.hcl:") {
			t.Errorf("%s: error %v, want the place and that the old one is in force", name, err)
		}
		after := s.status()
		if after.Config.Hash != before.Config.Hash || after.Config.Error == "" {
			t.Errorf("%s: config %+v, before %+v", name, after.Config, before.Config)
		}
		if _, body := s.get("/metrics"); !strings.Contains(body, "holdfast_config_last_reload_successful 0") {
			t.Errorf("%s: the metric does not show it", name)
		}
	}
	s.tableHas("web1=1 web2=1")

	s.write(9, `log { format = "json" }`)
	if _, err := s.client.Reload(t.Context()); err == nil || !strings.Contains(err.Error(), "log.format cannot change") {
		t.Errorf("error %v, want that log.format cannot change", err)
	}
}

func TestReloadAddsAndRemoves(t *testing.T) {
	s := newSite(t)
	s.run()
	s.tableHas("web1=1 web2=1")
	s.write(1, `
virtual_router "two" {
  interface = "eth0"
  id        = 52
  addresses = ["127.0.0.101/32"]
  advertise_interval = "20ms"
}
virtual_server "two" { address = "127.0.0.101:80" }`)
	if _, err := s.client.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.eventually(func() error {
		st := s.status()
		if len(st.VirtualRouters) != 2 || st.VirtualRouters[1].State != "master" || !strings.Contains(s.table.String(), "127.0.0.101:80") {
			return fmt.Errorf("routers %+v, table %s", st.VirtualRouters, s.table)
		}
		return nil
	})
	s.write(1)
	if _, err := s.client.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.eventually(func() error {
		gone := s.host.Missing([]vrrp.Address{{Prefix: netip.MustParsePrefix("127.0.0.101/32"), Device: "eth0"}})
		if strings.Contains(s.table.String(), "127.0.0.101:80") || len(gone) == 0 {
			return fmt.Errorf("still there: address %v, table %s", len(gone) == 0, s.table)
		}
		return nil
	})
}

func TestWithoutIPVSTheRouterIsInFault(t *testing.T) {
	s := newSite(t)
	var have atomic.Bool
	var opened atomic.Int64
	inFault := make(chan struct{})
	s.open = func(context.Context) (ipvs.Table, error) {
		if opened.Add(1) > 1 { // it is known from the first time on
			<-inFault
		}
		if !have.Load() {
			return nil, fmt.Errorf("probe: %w", ipvs.ErrNoIPVS)
		}
		return s.table, nil
	}
	release := sync.OnceFunc(func() { close(inFault) })
	s.run()
	t.Cleanup(release) // before the end of the run
	s.eventually(func() error {
		if vr := s.status().VirtualRouters[0]; vr.State != "fault" || !strings.Contains(vr.Reason, "no IPVS") {
			return fmt.Errorf("router %+v, want fault for want of IPVS", vr)
		}
		return nil
	})
	if log := s.log.String(); strings.Contains(log, "to=master") {
		t.Errorf("it was master before:\n%s", log)
	}
	release()
	if code, body := s.get("/readyz"); code != http.StatusServiceUnavailable {
		t.Errorf("readyz: %d %s", code, body)
	}
	have.Store(true)
	s.tableHas("web1=1 web2=1")
	s.eventually(func() error {
		if vr := s.status().VirtualRouters[0]; vr.State != "master" {
			return fmt.Errorf("router %+v, want master", vr)
		}
		return nil
	})
}

func TestRouterIsToldWhetherItCouldServe(t *testing.T) {
	s := newSite(t)
	s.servers[0].sick.Store(true)
	s.servers[1].sick.Store(true)
	d, _ := s.run()
	told := func(want string) {
		t.Helper()
		s.eventually(func() error {
			got := "the loop did not answer"
			_ = d.call(t.Context(), func() { got = d.routers["web"].told.Unready })
			if got != want {
				return fmt.Errorf("told %q, want %q", got, want)
			}
			return nil
		})
	}
	told("virtual_server web is below its quorum")
	s.servers[1].sick.Store(false)
	told("")
	s.servers[1].sick.Store(true)
	told("virtual_server web is below its quorum")
}

func TestKilledMasterResumes(t *testing.T) {
	s := newSite(t)
	s.adverts = "500ms" // so that a busy machine does not look like a stall
	s.write(1)
	address := vrrp.Address{Prefix: netip.MustParsePrefix("127.0.0.100/32"), Device: "eth0"}
	cfg, _ := configs.Load(s.path)
	state := newState(cfg, nil, map[string]vrrp.State{"web": vrrp.Master}, nil)
	if err := state.write(cfg.Director.StateDir); err != nil {
		t.Fatal(err)
	}
	s.host.held[address] = true
	s.run()
	s.eventually(func() error {
		if vr := s.status().VirtualRouters[0]; vr.State != "master" {
			return fmt.Errorf("router %+v, want master", vr)
		}
		return nil
	})
	s.host.mu.Lock()
	defer s.host.mu.Unlock()
	if len(s.host.did) > 0 {
		t.Errorf("addresses were touched: %v", s.host.did)
	}
}

// What a state file that cannot be read does not tell is told by the addresses, which end by themselves.
func TestKilledMasterResumesWithoutItsState(t *testing.T) {
	s := newSite(t)
	s.adverts = "500ms" // so that a busy machine does not look like a stall
	s.write(1)
	cfg, _ := configs.Load(s.path)
	for _, err := range []error{os.MkdirAll(cfg.Director.StateDir, 0o755), os.WriteFile(filepath.Join(cfg.Director.StateDir, stateName), []byte(`{"ver`), 0o600)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	s.host.held[addresses("127.0.0.100/32")[0]] = true
	s.run()
	s.routerIs("web", "master")
	s.host.mu.Lock()
	defer s.host.mu.Unlock()
	if len(s.host.did) > 0 {
		t.Errorf("addresses were touched: %v", s.host.did)
	}
}

// A router that resumes is backup until it has heard nobody for an interval. If the director is killed again meanwhile, it
// still was master; if it has let go of the addresses, it was not.
func TestKilledWhileItResumes(t *testing.T) {
	s := newSite(t)
	s.adverts = "1s"
	s.write(1)
	cfg, _ := configs.Load(s.path)
	if err := newState(cfg, nil, map[string]vrrp.State{"web": vrrp.Master}, nil).write(cfg.Director.StateDir); err != nil {
		t.Fatal(err)
	}
	s.host.held[addresses("127.0.0.100/32")[0]] = true
	d, _ := s.run()
	remembered := func(state string) (master bool) {
		t.Helper()
		seen := ""
		done := make(chan struct{})
		d.calls <- func() {
			seen, master = d.roles["web"].String(), d.saved.master(cfg.VirtualRouters[0])
			close(done)
		}
		<-done
		if seen != state {
			t.Skipf("the router is %s already: this machine is too busy", seen)
		}
		return master
	}
	s.routerIs("web", "backup")
	if !remembered("backup") {
		t.Error("the role is forgotten while it is taken up again")
	}
	d.inbox.put(holdingChanged{"web", false})
	s.eventually(func() error {
		if remembered("backup") {
			return errors.New("the role of one that has let go is kept")
		}
		return nil
	})
}

func TestStopHandsOverAndIsRemembered(t *testing.T) {
	s := newSite(t)
	_, stop := s.run()
	s.eventually(func() error {
		if vr := s.status().VirtualRouters[0]; vr.State != "master" {
			return fmt.Errorf("router %+v, want master", vr)
		}
		return nil
	})
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if want := []string{"hold 127.0.0.100/32 dev eth0", "release 127.0.0.100/32 dev eth0"}; !slices.Equal(s.host.did, want) {
		t.Errorf("addresses: %v, want %v", s.host.did, want)
	}
	cfg, _ := configs.Load(s.path)
	state, err := ReadState(cfg.Director.StateDir)
	if err != nil || state.master(cfg.VirtualRouters[0]) {
		t.Errorf("state %+v, %v: want no master", state, err)
	}
}

// What a stopped director had is nobody's: another may have put it there before the next start.
func TestStopLeavesNothingToRemove(t *testing.T) {
	s := newSite(t)
	_, stop := s.run()
	s.routerIs("web", "master")
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	s.host.held[addresses("127.0.0.100/32")[0]] = true
	s.edit(`["127.0.0.100/32"]`, `["127.0.0.101/32"]`)
	s.run()
	s.routerIs("web", "master")
	if missing := s.host.Missing(addresses("127.0.0.100/32")); len(missing) > 0 {
		t.Error("an address that was somebody else's is gone")
	}
}

func TestOneDirectorPerNamespace(t *testing.T) {
	s := newSite(t)
	s.run()
	cfg, _ := configs.Load(s.path)
	other := *cfg
	other.Director.ControlSocket = filepath.Join(t.TempDir(), "other.sock")
	log := NewLog(io.Discard, "text", false)
	defer log.Close()
	d := New(Options{Config: &other, Log: log.Logger, Level: log.Level, Host: s.host, Dial: dialSilence, OpenTable: s.open})
	if err := d.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "another holdfast runs in this network namespace") {
		t.Errorf("error %v, want that another one runs", err)
	}
}

func TestControlSocketTakesThePlaceOfADeadOne(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run", "control.sock")
	c, err := listenControl(path, "")
	if err != nil {
		t.Fatal(err)
	}
	c.listener.(*net.UnixListener).SetUnlinkOnClose(false)
	c.Close()
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("the test needs a socket that was left over: %v", err)
	}
	c, err = listenControl(path, "")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := listenUnix(path); err == nil || !strings.Contains(err.Error(), "another process answers") {
		t.Errorf("error %v, want that another process answers", err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := listenUnix(file); err == nil || !strings.Contains(err.Error(), "no socket") {
		t.Errorf("error %v, want that a file is in the way", err)
	}
}

func TestProbesAndMetrics(t *testing.T) {
	s := newSite(t)
	d, _ := s.run()
	s.tableHas("web1=1 web2=1")
	s.eventually(func() error {
		if code, body := s.get("/readyz"); code != http.StatusOK {
			return fmt.Errorf("readyz: %d %s", code, body)
		}
		return nil
	})
	if code, body := s.get("/healthz"); code != http.StatusOK {
		t.Errorf("healthz: %d %s", code, body)
	}
	d.beat.Store(int64(-time.Minute))
	if problem := d.alive(); !strings.Contains(problem, "last seen alive") {
		t.Errorf("a stuck loop: %q", problem)
	}
	problems, err := testutil.GatherAndLint(prometheus.Gatherers{d.metrics.registry, tableCollector(d.metricTables(t.Context())).registry()})
	if err != nil || len(problems) > 0 {
		t.Errorf("lint: %v, %v", problems, err)
	}
	_, body := s.get("/metrics")
	for _, line := range []string{
		`holdfast_virtual_router_state{state="backup",virtual_router="web"}`,
		`holdfast_virtual_router_priority{kind="effective",virtual_router="web"} 100`,
		`holdfast_virtual_router_adverts_refused_total{reason="checksum",virtual_router="web"} 0`,
		`holdfast_check_up{virtual_server="web",real_server="web1",check="http"} 1`,
		`holdfast_real_server_up{virtual_server="web",real_server="web2"} 1`,
		`holdfast_virtual_server_up{virtual_server="web"} 1`,
		`holdfast_ipvs_operations_total{op="add_destination",result="done"} 2`,
		`holdfast_ipvs_foreign_services 0`,
		`holdfast_config_last_reload_successful 1`,
	} {
		if !strings.Contains(body, line) {
			t.Errorf("/metrics lacks %s", line)
		}
	}
}

func TestReloadMovesTheHTTPListener(t *testing.T) {
	s := newSite(t)
	s.run()
	s.eventually(func() error {
		if code, body := s.get("/healthz"); code != http.StatusOK {
			return fmt.Errorf("healthz: %d %s", code, body)
		}
		return nil
	})
	taken := s.servers[0].addr()
	old := s.web
	s.web = taken
	s.write(1)
	if _, err := s.client.Reload(t.Context()); err == nil || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("error %v, want that the address is in use", err)
	}
	s.web = old
	if code, _ := s.get("/healthz"); code != http.StatusOK {
		t.Error("the old listener is gone after a refused reload")
	}
	s.web = ""
	s.write(1)
	if _, err := s.client.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.web = old
	s.eventually(func() error {
		if code, _ := s.get("/healthz"); code != 0 {
			return errors.New("the listener answers although it was turned off")
		}
		return nil
	})
}

func TestLogNeverWaits(t *testing.T) {
	r, w := io.Pipe() // nobody reads
	log := NewLog(w, "json", false)
	for range 2 * logQueue {
		log.Info("line")
	}
	if log.dropped.Load() == 0 {
		t.Error("nothing was dropped")
	}
	go func() { _, _ = io.Copy(io.Discard, r) }()
	log.Close()
}

func TestOnExitKeep(t *testing.T) {
	s := newSite(t)
	s.adverts = "200ms" // held up for longer, it would be backup in between
	s.write(1)
	s.edit(`name           = "lb1"`, "name = \"lb1\"\n  on_exit = \"keep\"")
	_, stop := s.run()
	s.routerIs("web", "master")
	s.tableHas("web1=1 web2=1")
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	s.table.Applied()
	cfg, _ := configs.Load(s.path)
	if state, err := ReadState(cfg.Director.StateDir); err != nil || !state.master(cfg.VirtualRouters[0]) {
		t.Errorf("state %+v, %v: want the role", state, err)
	}
	s.run()
	s.routerIs("web", "master")
	s.ready()
	if ops := s.table.Applied(); len(ops) > 0 || len(s.host.did) != 1 {
		t.Errorf("operations %v, addresses %v", ops, s.host.did)
	}
}

func TestOnExitClear(t *testing.T) {
	s := newSite(t)
	s.edit(`name           = "lb1"`, "name = \"lb1\"\n  on_exit = \"clear\"")
	foreign := ipvstest.Parse("-A -t 10.9.0.1:80 -s rr\n")
	for _, op := range ipvs.Diff(foreign, nil) {
		if err := s.table.Apply(t.Context(), op); err != nil {
			t.Fatal(err)
		}
	}
	_, stop := s.run()
	s.routerIs("web", "master")
	s.tableHas("web1=1 web2=1")
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if got, want := s.table.String(), ipvstest.Dump(foreign); got != want {
		t.Errorf("left in the table:\n%swant\n%s", got, want)
	}
	if missing := s.host.Missing(addresses("127.0.0.100/32")); len(missing) == 0 {
		t.Error("the address was not given up")
	}
	cfg, _ := configs.Load(s.path)
	if state, err := ReadState(cfg.Director.StateDir); err != nil || len(state.Services) > 0 {
		t.Errorf("state %+v, %v: want no services", state, err)
	}
}

// A table that cannot be written does not hold up a stop.
func TestOnExitClearOfATableThatFails(t *testing.T) {
	s := newSite(t)
	s.edit(`name           = "lb1"`, "name = \"lb1\"\n  on_exit = \"clear\"")
	_, stop := s.run()
	s.tableHas("web1=1 web2=1")
	s.table.Fail(func(string) error { return syscall.EPERM })
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}
