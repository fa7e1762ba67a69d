// SPDX-License-Identifier: Apache-2.0

package director

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/configs"
	"github.com/holdfast-lb/holdfast/ipvs"
)

// connected is a table in which some destinations have connections.
type connected struct {
	ipvs.Table
	mu    sync.Mutex
	count map[string]ipvs.DestinationStats // by address
}

func (c *connected) set(address string, n ipvs.DestinationStats) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.count[address] = n
}

func (c *connected) Stats(ctx context.Context) ([]ipvs.ServiceStats, error) {
	stats, err := c.Table.Stats(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range stats {
		for i, d := range s.Destinations {
			n := c.count[d.Address.String()]
			n.Address = d.Address
			s.Destinations[i] = n
		}
	}
	return stats, err
}

// connect makes the site's table one in which web1 has connections.
func (s *site) connect() *connected {
	c := &connected{Table: s.table, count: map[string]ipvs.DestinationStats{s.servers[0].addr(): {Active: 1}}}
	s.open = func(context.Context) (ipvs.Table, error) { return c, nil }
	return c
}

// serverIs waits for the state of a real server.
func (s *site) serverIs(server int, state string) (is RealServerStatus) {
	s.t.Helper()
	s.eventually(func() error {
		is = s.status().VirtualServers[0].RealServers[server]
		if is.State != state {
			return fmt.Errorf("it is %s: %s", is.State, is.Reason)
		}
		return nil
	})
	return is
}

func TestDrainByCommand(t *testing.T) {
	s := newSite(t)
	c := s.connect()
	_, stop := s.run()
	s.tableHas("web1=1 web2=1")
	o, err := s.client.Drain(t.Context(), "web/web1", nil)
	if err != nil || o.State.State != "draining" || o.State.Drain.Cause != "command" {
		t.Fatalf("got %+v, %v", o, err)
	}
	s.tableHas("web1=0 web2=1")
	out := func(draining, maintenance int) {
		t.Helper()
		_, body := s.get("/metrics")
		for name, want := range map[string]int{"draining": draining, "maintenance": maintenance} {
			series := fmt.Sprintf(`holdfast_real_server_%s\{[^}]*real_server="web1"[^}]*\} %d\n`, name, want)
			if !regexp.MustCompile(series).MatchString(body) {
				t.Errorf("/metrics has no %s", series)
			}
		}
	}
	out(1, 1)
	c.set(s.servers[0].addr(), ipvs.DestinationStats{Inactive: 1})
	s.reload()
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	s.table.Applied()
	_, stop = s.run()
	s.ready()
	if is := s.serverIs(0, "draining"); !is.Drain.Since.Equal(o.State.Drain.Since) {
		t.Errorf("since %v after a restart, %v before", is.Drain.Since, o.State.Drain.Since)
	}
	if ops := s.table.Applied(); len(ops) > 0 {
		t.Errorf("operations after a restart: %v", ops)
	}
	c.set(s.servers[0].addr(), ipvs.DestinationStats{Persistent: 1})
	s.serverIs(0, "draining")
	c.set(s.servers[0].addr(), ipvs.DestinationStats{})
	if is := s.serverIs(0, "maintenance"); is.Drain.Cut {
		t.Errorf("%+v: it had no connection", is.Drain)
	}
	s.tableHas("web2=1")
	s.logged(`real_server=web/web1 from=draining to=maintenance reason="drained by command: it has no connections"`)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	s.run()
	s.ready()
	s.serverIs(0, "maintenance")
	out(0, 1)
	if _, err := s.client.Undrain(t.Context(), "web/web1"); err != nil {
		t.Fatal(err)
	}
	s.tableHas("web1=1 web2=1")
	out(0, 0)
}

func TestDrainEndsWithItsTime(t *testing.T) {
	s := newSite(t)
	s.connect()
	s.run()
	s.tableHas("web1=1 web2=1")
	begin, timeout := time.Now(), 300*time.Millisecond
	if _, err := s.client.Drain(t.Context(), "web/web1", &timeout); err != nil {
		t.Fatal(err)
	}
	if is := s.serverIs(0, "maintenance"); !is.Drain.Cut || time.Since(begin) < timeout {
		t.Errorf("%+v after %v", is.Drain, time.Since(begin))
	}
	s.tableHas("web2=1")
}

func TestWeightByCommand(t *testing.T) {
	s := newSite(t)
	_, stop := s.run()
	s.tableHas("web1=1 web2=1")
	weight := uint32(9)
	if o, err := s.client.SetWeight(t.Context(), "web/web1", &weight); err != nil || *o.State.OverrideWeight != 9 {
		t.Fatalf("got %+v, %v", o, err)
	}
	s.tableHas("web1=9 web2=1")
	s.write(4)
	s.reload()
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	s.table.Applied()
	s.run()
	s.ready()
	s.tableHas("web1=9 web2=1")
	if ops := s.table.Applied(); len(ops) > 0 {
		t.Errorf("operations after a restart: %v", ops)
	}
	if _, err := s.client.SetWeight(t.Context(), "web/web1", nil); err != nil {
		t.Fatal(err)
	}
	s.tableHas("web1=4 web2=1")
}

func TestOrdersThatCannotBe(t *testing.T) {
	s := newSite(t)
	d, _ := s.run()
	s.tableHas("web1=1 web2=1")
	long, heavy := 1000*time.Hour, uint32(65536)
	for name, tt := range map[string]struct {
		try  func(context.Context) (Override, error)
		want string
	}{
		"no server":   {func(ctx context.Context) (Override, error) { return s.client.Drain(ctx, "web/web3", nil) }, `drain web/web3: virtual_server "web" has no real_server "web3": there is web1, web2`},
		"no service":  {func(ctx context.Context) (Override, error) { return s.client.Drain(ctx, "wbe/web1", nil) }, `no virtual_server "wbe" runs here: there is web`},
		"half":        {func(ctx context.Context) (Override, error) { return s.client.Undrain(ctx, "web") }, "write SERVICE/SERVER"},
		"not drained": {func(ctx context.Context) (Override, error) { return s.client.Undrain(ctx, "web/web1") }, "undrain web/web1: it is not drained by command"},
		"not set":     {func(ctx context.Context) (Override, error) { return s.client.SetWeight(ctx, "web/web1", nil) }, "it has its configured weight"},
		"too long":    {func(ctx context.Context) (Override, error) { return s.client.Drain(ctx, "web/web1", &long) }, "a timeout is between 0s and 720h0m0s"},
		"too heavy":   {func(ctx context.Context) (Override, error) { return s.client.SetWeight(ctx, "web/web1", &heavy) }, "a weight is between 0 and 65535"},
	} {
		if _, err := tt.try(t.Context()); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", name, err, tt.want)
		}
	}
	if len(d.view.Load().decided.running()) > 0 {
		t.Error("something drains")
	}
	s.tableHas("web1=1 web2=1")
}

func TestReloadDropsOverridesOfServersThatAreGone(t *testing.T) {
	s := newSite(t)
	s.run()
	s.tableHas("web1=1 web2=1")
	weight := uint32(9)
	if _, err := s.client.SetWeight(t.Context(), "web/web1", &weight); err != nil {
		t.Fatal(err)
	}
	s.edit(`real_server "web1"`, `real_server "other"`)
	s.reload()
	s.logged(`msg="override dropped: no real server has that name any more" real_server=web/web1`)
	s.tableHas("web1=1 web2=1")
}

func TestLeavingByReload(t *testing.T) {
	s := newSite(t)
	c := s.connect()
	s.run()
	s.tableHas("web1=1 web2=1")
	s.edit(fmt.Sprintf("real_server \"web1\" {\n    address = %q\n    weight  = 1\n  }", s.servers[0].addr()), "")
	s.reload()
	s.tableHas("web1=0 web2=1")
	s.eventually(func() error {
		st := s.status()
		if len(st.Leaving) != 1 || st.Leaving[0].Server != "web1" || st.Leaving[0].ActiveConnections != 1 || st.Leaving[0].Drain == nil {
			return fmt.Errorf("leaving %+v", st.Leaving)
		}
		return nil
	})
	c.set(s.servers[0].addr(), ipvs.DestinationStats{})
	s.tableHas("web2=1")
	s.logged(`real_server=web/web1 from=draining to=removed`)
	if st := s.status(); len(st.Leaving) != 0 {
		t.Errorf("leaving %+v", st.Leaving)
	}
}

func TestServiceOfTheMasterAlone(t *testing.T) {
	s := newSite(t)
	s.edit(`address = "127.0.0.100:80"`, "address = \"127.0.0.100:80\"\n  active = \"web\"")
	maintenance := filepath.Join(filepath.Dir(s.path), "maintenance")
	s.track(fmt.Sprintf("track_file \"m\" { path = %q }", maintenance))
	if err := os.WriteFile(maintenance, []byte("1"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, stop := s.run()
	s.routerIs("web", "fault")
	s.ready()
	if st := s.status().VirtualServers[0]; st.State != "up" || st.InTable || st.Active != "web" || st.RealServers[0].InTable {
		t.Errorf("while in fault: %+v", st)
	}
	s.tableHas("")
	if err := os.Remove(maintenance); err != nil {
		t.Fatal(err)
	}
	s.routerIs("web", "master")
	s.tableHas("web1=1 web2=1")
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	s.tableHas("web1=1 web2=1") // on_exit = "withdraw"
	if err := os.WriteFile(maintenance, []byte("1"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.run()
	s.tableHas("")
}

// A master that was killed finds its addresses, and its services stay in the table until it is master again.
func TestServiceOfTheMasterAloneOverARestart(t *testing.T) {
	s := newSite(t)
	s.edit(`address = "127.0.0.100:80"`, "address = \"127.0.0.100:80\"\n  active = \"web\"")
	_, stop := s.run()
	s.routerIs("web", "master")
	s.tableHas("web1=1 web2=1")
	var state []byte
	s.eventually(func() (err error) {
		if state, err = os.ReadFile(filepath.Join(filepath.Dir(s.path), "state", stateName)); err == nil && !strings.Contains(string(state), `"master": true`) {
			err = fmt.Errorf("the state is %s", state)
		}
		return err
	})
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(filepath.Dir(s.path), "state", stateName), state, 0o600); err != nil {
		t.Fatal(err)
	}
	_ = s.host.Hold(addresses("127.0.0.100/32"), 0)
	s.table.Applied()
	s.run()
	s.routerIs("web", "master")
	s.ready()
	if ops := s.table.Applied(); len(ops) > 0 {
		t.Errorf("operations: %v", ops)
	}
}

func TestGarbageInTheStateIsLeftOut(t *testing.T) {
	s, err := parseState([]byte(`{"version": 1,
		"overrides": [{"virtual_server": "web", "real_server": "a", "weight": 70000}, {"weight": 3}, {"virtual_server": "web", "real_server": "b",
			"drain": true, "timeout_seconds": 1e300}, {"virtual_server": "web", "real_server": "c", "drain": true, "timeout_seconds": -5, "weight": 7}],
		"drains": [{"service": {"address": "10.0.0.100:80", "protocol": "icmp"}, "address": "10.0.0.1:80"},
			{"service": {"address": "10.0.0.100:80", "protocol": "tcp"}, "address": "10.0.0.1:80", "since": "2026-01-02T00:00:00Z", "until": "2026-01-01T00:00:00Z"},
			{"service": {"address": "0.0.0.0:0", "fwmark": 7}, "address": "10.0.0.2:80", "since": "2126-01-01T00:00:00Z", "until": "2126-01-01T00:01:00Z"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	all := s.overrides()
	if len(all) != 2 || all[object{"web", "b"}] != (override{drain: true}) || !all[object{"web", "c"}].drain || all[object{"web", "c"}].timed {
		t.Errorf("overrides %+v", all)
	}
	now := time.Unix(1000, 0)
	running := s.drains(now)
	r := running[serverID{ipvs.MarkKey(7, false), netip.MustParseAddrPort("10.0.0.2:80")}]
	if len(running) != 1 || r.since != now || r.until != now.Add(time.Minute) {
		t.Errorf("drains %+v", running)
	}
}

func TestWhoMayChange(t *testing.T) {
	as := func(uid uint32, groups ...uint32) context.Context {
		return context.WithValue(t.Context(), credentialsKey{}, credentials{uid, groups})
	}
	nobody := uint32(os.Geteuid() + 65000)
	for name, tt := range map[string]struct {
		ctx   context.Context
		group string
		want  string // of the error; empty: none
	}{
		"root":             {as(0), "", ""},
		"the director":     {as(uint32(os.Geteuid())), "", ""},
		"anybody":          {as(nobody, 0), "", "only root may change something"},
		"a member":         {as(nobody, 65000, 0), "root", ""},
		"no member":        {as(nobody, 65000), "root", "only root and members of group root"},
		"no such group":    {as(nobody, 0), "no-such-group", "director.control_group"},
		"root, no group":   {as(0), "no-such-group", ""},
		"not by a socket":  {t.Context(), "root", "only root and members of group root"},
		"nobody, no group": {t.Context(), "", "only root may change something"},
	} {
		err := mayChange(tt.ctx, tt.group)
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", name, err, tt.want)
		}
	}
}

func TestControlGroup(t *testing.T) {
	s := newSite(t)
	s.edit(`name           = "lb1"`, "name = \"lb1\"\n  control_group = \"root\"")
	s.run()
	if info, err := os.Stat(s.client.Socket); err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("socket %v, %v", info.Mode(), err)
	}
	s.edit(`control_group = "root"`, `control_group = "no-such-group"`)
	if _, err := s.client.Reload(t.Context()); err == nil || !strings.Contains(err.Error(), "director.control_group") {
		t.Errorf("reload: %v", err)
	}
}

func TestCredentialsOfAClient(t *testing.T) {
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "socket"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	who, ok := withCredentials(t.Context(), server).Value(credentialsKey{}).(credentials)
	if !ok || int(who.uid) != os.Geteuid() || int(who.groups[0]) != os.Getegid() {
		t.Fatalf("got %+v", who)
	}
	groups, err := os.Getgroups()
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range groups {
		if !slices.Contains(who.groups[1:], uint32(g)) {
			t.Errorf("%v lacks group %d", who.groups, g)
		}
	}
}

// What others change is put back, or with drift = "report" left and told of; a reload that says otherwise counts at once.
func TestDriftIsReported(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	s := newSite(t)
	s.edit(`name           = "lb1"`, "name = \"lb1\"\n  drift = \"report\"")
	s.run()
	s.tableHas("web1=1 web2=1")
	change := func() {
		list, err := s.table.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		d := list[0].Destinations[0]
		d.Weight = 77
		if err := s.table.Apply(t.Context(), ipvs.Op{Kind: ipvs.UpdateDestination, Service: list[0].Key, Destination: d}); err != nil {
			t.Fatal(err)
		}
	}
	change()
	s.eventually(func() error {
		if st := s.status().IPVS; st.DriftLeft != "update destination 1" || st.DriftTotal != 1 {
			return fmt.Errorf("got %+v", st)
		}
		return nil
	})
	if _, body := s.get("/metrics"); !strings.Contains(body, `holdfast_ipvs_drift_left{kind="update_destination"} 1`) {
		t.Error("no metric says so")
	}
	if text := s.table.String(); !strings.Contains(text, "-w 77") {
		t.Errorf("the table is %s", text)
	}
	s.edit(`drift = "report"`, `drift = "repair"`)
	s.reload()
	s.tableHas("web1=1 web2=1")
}

func TestTimeoutsChangeInAReload(t *testing.T) {
	s := newSite(t)
	s.run()
	s.tableHas("web1=1 web2=1")
	s.add("timeouts { tcp = \"7m\" }")
	s.reload()
	s.eventually(func() error {
		if is, err := s.table.Timeouts(t.Context()); err != nil || is.TCP != 7*time.Minute {
			return fmt.Errorf("got %+v, %v", is, err)
		}
		return nil
	})
}

func TestPlaceOfAService(t *testing.T) {
	for want, key := range map[string]ipvs.Key{
		"10.0.0.100:80/tcp":       {Address: netip.MustParseAddr("10.0.0.100"), Port: 80, Protocol: ipvs.TCP},
		"[2001:db8::1]:5060/sctp": {Address: netip.MustParseAddr("2001:db8::1"), Port: 5060, Protocol: ipvs.SCTP},
		"fwmark 7":                ipvs.MarkKey(7, false),
		"fwmark 7, ipv6":          ipvs.MarkKey(7, true),
	} {
		if got := serviceStatus(configs.VirtualServer{Key: key}, decisions{}, nil, nil).Place(); got != want {
			t.Errorf("%v: got %s, want %s", key, got, want)
		}
	}
}
