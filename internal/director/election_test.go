// SPDX-License-Identifier: Apache-2.0

package director

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/holdfast-lb/holdfast/configs"
	"github.com/holdfast-lb/holdfast/internal/notify"
	"github.com/holdfast-lb/holdfast/vrrp"
)

// sick takes the health of both servers away, or gives it back.
func (s *site) sick(is bool) {
	for _, b := range s.servers {
		b.sick.Store(is)
	}
}

// partIs waits for the effective priority and one part of the virtual router "web".
func (s *site) partIs(priority uint8, want PartStatus) {
	s.t.Helper()
	s.routerBecomes("web", func(vr VirtualRouterStatus) bool {
		return vr.EffectivePriority == priority && slices.Contains(vr.Parts, want)
	})
}

func TestTrackedServiceChangesThePriority(t *testing.T) {
	s := newSite(t)
	s.track(`track_service "web" { weight = -50 }`)
	s.run()
	s.partIs(100, PartStatus{Kind: "service", Name: "web", Weight: -50, Detail: "2 of 2 real servers up"})
	s.routerBecomes("web", func(vr VirtualRouterStatus) bool { return vr.LatenessWorstSeconds > 0 })
	s.sick(true)
	s.partIs(50, PartStatus{Kind: "service", Name: "web", Weight: -50, Value: -50, Failed: true, Detail: "below its quorum: 0 of 2 real servers up"})
	s.logged(`virtual_server=web from=up to=down reason="below its quorum: 0 of 2 real servers up"`)
	_, body := s.get("/metrics")
	for _, want := range []string{
		`holdfast_virtual_router_priority{kind="configured",virtual_router="web"} 100`,
		`holdfast_virtual_router_priority{kind="effective",virtual_router="web"} 50`,
		`holdfast_virtual_router_priority_part{kind="service",name="web",virtual_router="web"} -50`,
		`holdfast_virtual_router_track_up{kind="service",name="web",virtual_router="web"} 0`,
		`holdfast_virtual_router_lateness_seconds_count{virtual_router="web"}`,
		`holdfast_notify_total{result="dropped"} 0`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("metrics lack %s", want)
		}
	}
	s.sick(false)
	s.partIs(100, PartStatus{Kind: "service", Name: "web", Weight: -50, Detail: "2 of 2 real servers up"})
	s.logged(`virtual_server=web from=down to=up`)
}

// A member whose tracked service has failed takes the other one of its group along, and back.
func TestSyncGroupMovesTogether(t *testing.T) {
	s := newSite(t)
	s.track(`track_service "web" { weight = 0 }`)
	s.add(`
virtual_router "two" {
  interface          = "eth0"
  id                 = 52
  advertise_interval = "20ms"
  addresses          = ["127.0.0.101/32"]
}
sync_group "edge" { members = ["web", "two"] }`)
	d, _ := s.run()
	s.routerIs("web", "master")
	s.routerIs("two", "master")
	group := s.groupOf(d, "two")
	s.sick(true)
	s.routerBecomes("web", func(vr VirtualRouterStatus) bool {
		return vr.State == "fault" && strings.HasPrefix(vr.Reason, "tracked service web has failed")
	})
	s.routerBecomes("two", func(vr VirtualRouterStatus) bool { return vr.State == "backup" && vr.SyncGroup == "edge" })
	s.reload()
	if s.groupOf(d, "two") != group || s.groupOf(d, "web") != group {
		t.Error("a reload that changes nothing has made another group")
	}
	s.sick(false)
	s.routerIs("web", "master")
	s.routerIs("two", "master")

	s.edit(`sync_group "edge" { members = ["web", "two"] }`, "")
	s.reload()
	s.routerBecomes("two", func(vr VirtualRouterStatus) bool { return vr.SyncGroup == "" && vr.State == "master" })
}

// groupOf is the sync group that a virtual router was told.
func (s *site) groupOf(d *Director, router string) (g *vrrp.Group) {
	s.t.Helper()
	if err := d.call(s.t.Context(), func() { g = d.routers[router].told.Group }); err != nil {
		s.t.Fatal(err)
	}
	return g
}

func TestStartRemovesWhatTheLastRunLeft(t *testing.T) {
	s := newSite(t)
	cfg, _ := configs.Load(s.path)
	state := newState(cfg, nil, nil, nil)
	old := RouterState{
		Name: "old", Addresses: []AddressState{{netip.MustParsePrefix("127.0.0.9/32"), "eth0"}},
		Routes: []RouteState{{Destination: netip.MustParsePrefix("192.0.2.0/24"), Device: "eth0"}}, VMAC: &VMACState{"eth0", 9},
	}
	state.VirtualRouters = append(state.VirtualRouters, old)
	if err := state.write(cfg.Director.StateDir); err != nil {
		t.Fatal(err)
	}
	s.host.held[vrrp.Address(old.Addresses[0])] = true
	s.run()
	s.routerIs("web", "master")
	s.host.mu.Lock()
	defer s.host.mu.Unlock()
	want := []string{"release route 192.0.2.0/24", "release 127.0.0.9/32 dev eth0", "discard " + vrrp.VMACDevice("eth0", 9, false)}
	if len(s.host.did) < 3 || !slices.Equal(s.host.did[:3], want) {
		t.Errorf("did %v, want first %v", s.host.did, want)
	}
}

func TestReloadNamesWhatTakesPartInTheElection(t *testing.T) {
	const router = `
virtual_router "web" {
  interface = "eth0"
  id        = 51
  addresses = ["10.0.0.100/32"]
  track_file "maintenance" {
    path   = "/etc/maintenance"
    weight = %d
  }
}
virtual_router "two" {
  interface = "eth0"
  id        = 52
  addresses = ["10.0.0.101/32"]
}
`
	old := parse(t, strings.ReplaceAll(router, "%d", "-10")+`sync_group "edge" { members = ["web", "two"] }`)
	cfg := parse(t, strings.ReplaceAll(router, "%d", "-20")+`
sync_group "new" { members = ["web", "two"] }
notify { webhook = "http://192.0.2.1/" }`)
	want := []string{"virtual_router web: track_file maintenance changed", "sync_group edge removed", "sync_group new added", "notify changed"}
	if got := differences(old, cfg); !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if got := differences(cfg, cfg); got == nil || len(got) > 0 {
		t.Errorf("differences from itself: %#v, want none, and not null in JSON", got)
	}
}

func TestReloadCannotTurnOnRealtime(t *testing.T) {
	s := newSite(t)
	s.run()
	s.edit("director {", "director {\n realtime = true")
	if _, err := s.client.Reload(t.Context()); err == nil || !strings.Contains(err.Error(), "director.realtime cannot change from false to true") {
		t.Errorf("error %v, want that realtime cannot change", err)
	}
}

// Every event goes to the notify blocks, and a reload brings others.
func TestEventsAreTold(t *testing.T) {
	var mu sync.Mutex
	var got []notify.Event
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var e notify.Event
		if err := json.NewDecoder(r.Body).Decode(&e); err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		got = append(got, e)
	}))
	t.Cleanup(hook.Close)
	s := newSite(t)
	told := func(kind, name, from, to string) {
		t.Helper()
		s.eventually(func() error {
			mu.Lock()
			defer mu.Unlock()
			for _, e := range got {
				if e.Kind == kind && e.Name == name && e.From == from && e.To == to && e.Director == "lb1" && !e.Time.IsZero() {
					return nil
				}
			}
			return fmt.Errorf("no event of %s %s from %s to %s: %+v", kind, name, from, to, got)
		})
	}
	s.edit(`interval = "50ms"
    timeout  = "50ms"`, "interval = \"500ms\"\n    timeout  = \"500ms\"") // a first check that takes longer on a busy machine would be down
	block := fmt.Sprintf("notify { webhook = %q }", hook.URL)
	s.add(block)
	d, _ := s.run()
	told("virtual_router", "web", "backup", "master")
	told("real_server", "web/web1", "unknown", "up")
	told("virtual_server", "web", "unknown", "up")
	s.sick(true)
	told("real_server", "web/web1", "up", "down")
	told("virtual_server", "web", "up", "down")
	s.reload()
	told("reload", s.path, "loading", "applied")
	if n := testutil.ToFloat64(d.metrics.notify.WithLabelValues("done")); n < 5 {
		t.Errorf("holdfast_notify_total{result=\"done\"} %v, want at least 5", n)
	}
	s.edit(block, fmt.Sprintf("notify {\n webhook = %q\n events = [\"virtual_server\"]\n}", hook.URL))
	s.reload()
	mu.Lock()
	got = nil
	mu.Unlock()
	s.sick(false)
	told("virtual_server", "web", "down", "up")
	mu.Lock()
	defer mu.Unlock()
	for _, e := range got {
		if e.Kind == "real_server" {
			t.Errorf("%+v was told to a block that does not want it", e)
		}
	}
}

// What a reload does to a service is told as well: it may take the last server that was up.
func TestReloadTellsOfAServiceThatGoesDown(t *testing.T) {
	s := newSite(t)
	s.servers[1].sick.Store(true)
	s.run()
	s.logged(`virtual_server=web from=unknown to=up`)
	s.logged(`real_server=web/web2 from=unknown to=down`)
	s.edit(fmt.Sprintf("real_server \"web1\" {\n    address = %q\n    weight  = 1\n  }", s.servers[0].addr()), "")
	s.reload()
	s.logged(`virtual_server=web from=up to=down reason="below its quorum: 0 of 1 real servers up"`)
}
