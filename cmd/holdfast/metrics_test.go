// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-lb/holdfast/configs"
	"github.com/holdfast-lb/holdfast/internal/director"
	"github.com/holdfast-lb/holdfast/internal/netlab"
	"github.com/holdfast-lb/holdfast/ipvs"
	"github.com/holdfast-lb/holdfast/ipvs/ipvstest"
	"github.com/holdfast-lb/holdfast/vrrp"
)

// noHost is a network without links or addresses of its own.
type noHost struct{}

func (noHost) Link(string) (int, error)                    { return 1, nil }
func (noHost) Owns(string, netip.Addr) bool                { return true }
func (noHost) Missing([]vrrp.Address) []vrrp.Address       { return nil }
func (noHost) Lease([]vrrp.Address) time.Duration          { return 0 }
func (noHost) Hold([]vrrp.Address, time.Duration) error    { return nil }
func (noHost) Release([]vrrp.Address) error                { return nil }
func (noHost) Announce(vrrp.Address, vrrp.ARPFormat) error { return nil }
func (noHost) Watch(func()) (stop func())                  { return func() {} }

// oneAdvert is a connection on which one peer is heard once.
type oneAdvert struct{ read bool }

func (c *oneAdvert) Ready() <-chan struct{} {
	ready := make(chan struct{}, 1)
	if !c.read {
		ready <- struct{}{}
	}
	return ready
}

func (c *oneAdvert) Read(b []byte) (int, vrrp.Header, error) {
	if c.read {
		return 0, vrrp.Header{}, vrrp.ErrNothing
	}
	c.read = true
	h := vrrp.Header{Src: netip.MustParseAddr("10.0.0.3"), Dst: netip.MustParseAddr("224.0.0.18"), TTL: 255}
	a := vrrp.Advert{Version: 3, ID: 51, Priority: 200, Interval: time.Second, Addresses: []netip.Addr{netip.MustParseAddr(vip)}}
	return copy(b, a.Append(nil, h.Src, h.Dst)), h, nil
}

func (c *oneAdvert) Write([]byte, netip.Addr) error { return nil }
func (c *oneAdvert) Source() netip.Addr             { return netip.MustParseAddr("10.0.0.2") }
func (c *oneAdvert) Close() error                   { return nil }

// exposition runs a director on nothing but memory and returns what its /metrics says when all has happened once.
func exposition(t *testing.T) string {
	dir := t.TempDir()
	server := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(server.Close)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	web := l.Addr().String()
	_ = l.Close()
	cfg, diags := configs.LoadBytes("metrics.hcl", fmt.Appendf(nil, `
director {
  control_socket = "%s/control.sock"
  state_dir      = "%s"
}
http { listen = %q }
virtual_router "web" {
  interface = "eth0"
  id        = 51
  addresses = ["%s/32"]
}
connection_sync { interface = "eth0" }
virtual_server "web" {
  address = "%s:80"
  check "tcp" {}
  real_server "web1" { address = %q }
}
`, dir, dir, web, vip, vip, server.Listener.Addr()))
	if err := diags.Err(); err != nil {
		t.Fatal(err)
	}
	cfg.VirtualRouters[0].Links = []vrrp.TrackedLink{{Name: "eth1", Weight: -20}}
	d := director.New(director.Options{
		Config: cfg, Log: slog.New(slog.DiscardHandler), Level: new(slog.LevelVar), Host: noHost{},
		Dial:      func(vrrp.Config) (vrrp.Conn, error) { return new(oneAdvert), nil },
		OpenTable: func(context.Context) (ipvs.Table, error) { return &ipvstest.Fake{}, nil },
	})
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		for { // one director at a time runs in a network namespace, and this one may have others
			err := d.Run(ctx)
			if err == nil || !strings.Contains(err.Error(), "another holdfast runs") || ctx.Err() != nil {
				ended <- err
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
	}()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	var text string
	err = netlab.Poll(settling, func() error {
		resp, err := http.Get("http://" + web + "/metrics")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		text = string(b)
		for _, last := range []string{
			"virtual_router_peer_last_seen_timestamp_seconds", "virtual_router_transitions_total", "virtual_router_priority_part",
			"virtual_server_bytes_total", "real_server_bytes_total", "sync_daemon_up",
		} {
			if !strings.Contains(text, "\nholdfast_"+last+"{") {
				return fmt.Errorf("%s is missing", last)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// metric is one row of docs/metrics.md.
type metric struct {
	kind, help string
	labels     []string // in the order of their names
}

var (
	sample    = regexp.MustCompile(`^(holdfast_\w+?)(?:_bucket|_sum|_count)?(?:\{(.*)\})? \S+$`)
	labelName = regexp.MustCompile(`(\w+)="`)
)

// contract is what dashboards and alerts of others may rely on: name, type, labels.
const contract = `
build_info gauge go_version revision version
config_last_reload_successful gauge
config_last_reload_success_timestamp_seconds gauge
config_info gauge hash
virtual_router_state gauge state virtual_router
virtual_router_priority gauge kind virtual_router
virtual_router_transitions_total counter to virtual_router
virtual_router_adverts_sent_total counter virtual_router
virtual_router_adverts_received_total counter virtual_router
virtual_router_adverts_refused_total counter reason virtual_router
virtual_router_peer_last_seen_timestamp_seconds gauge peer virtual_router
virtual_router_announcements_sent_total counter virtual_router
virtual_router_other_master_seen_total counter virtual_router
virtual_router_lateness_seconds histogram virtual_router
check_up gauge check real_server virtual_server
check_results_total counter check real_server result virtual_server
check_duration_seconds histogram
real_server_up gauge real_server virtual_server
real_server_weight gauge real_server virtual_server
real_server_draining gauge real_server virtual_server
real_server_maintenance gauge real_server virtual_server
real_server_active_connections gauge real_server virtual_server
real_server_inactive_connections gauge real_server virtual_server
real_server_connections_total counter real_server virtual_server
real_server_packets_total counter direction real_server virtual_server
real_server_bytes_total counter direction real_server virtual_server
virtual_server_up gauge virtual_server
virtual_server_sorry gauge virtual_server
virtual_server_panic gauge virtual_server
virtual_server_quorum_weight gauge virtual_server
virtual_server_connections_total counter virtual_server
virtual_server_packets_total counter direction virtual_server
virtual_server_bytes_total counter direction virtual_server
ipvs_operations_total counter op result
ipvs_reconcile_duration_seconds histogram
ipvs_drift_total counter kind
ipvs_foreign_services gauge
sync_daemon_up gauge role
notify_total counter result
`

// metricsOf reads our metrics out of an exposition.
func metricsOf(exposition string) map[string]*metric {
	all := make(map[string]*metric)
	scan := bufio.NewScanner(strings.NewReader(exposition))
	for scan.Scan() {
		words := strings.SplitN(scan.Text(), " ", 4)
		if len(words) == 4 && words[0] == "#" && strings.HasPrefix(words[2], "holdfast_") {
			if all[words[2]] == nil {
				all[words[2]] = new(metric)
			}
			if words[1] == "HELP" {
				all[words[2]].help = words[3]
			} else {
				all[words[2]].kind = words[3]
			}
			continue
		}
		m := sample.FindStringSubmatch(scan.Text())
		if m == nil || all[m[1]] == nil {
			continue
		}
		for _, l := range labelName.FindAllStringSubmatch(m[2], -1) {
			if l[1] != "le" && !slices.Contains(all[m[1]].labels, l[1]) {
				all[m[1]].labels = append(all[m[1]].labels, l[1])
			}
		}
		slices.Sort(all[m[1]].labels)
	}
	return all
}

// metricTables makes the tables of docs/metrics.md.
func metricTables(all map[string]*metric) string {
	var relied, more strings.Builder
	for _, name := range slices.Sorted(maps.Keys(all)) {
		m, b := all[name], &more
		if strings.Contains(contract, "\n"+strings.TrimPrefix(name, "holdfast_")+" ") {
			b = &relied
		}
		labels := ""
		if len(m.labels) > 0 {
			labels = "`" + strings.Join(m.labels, "`, `") + "`"
		}
		fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", name, m.kind, labels, m.help)
	}
	const head = "\n| metric | type | labels | meaning |\n|---|---|---|---|\n"
	return "Dashboards and alerts may rely on these:\n" + head + relied.String() +
		"\nThese come on top, and may change:\n" + head + more.String()
}

// TestMetricsContract: all that others may rely on is there, with its type and labels.
func TestMetricsContract(t *testing.T) {
	all := metricsOf(exposition(t))
	for line := range strings.Lines(strings.TrimSpace(contract)) {
		want := strings.Fields(line)
		m := all["holdfast_"+want[0]]
		if m == nil {
			t.Errorf("no metric holdfast_%s", want[0])
		} else if got := append([]string{want[0], m.kind}, m.labels...); !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// TestMetricsPage: the table in docs/metrics.md is what /metrics has: every name, type, label and help text.
func TestMetricsPage(t *testing.T) {
	const begin, end = "<!-- go test ./cmd/holdfast -run TestMetricsPage -update -->\n", "<!-- end -->\n"
	path := filepath.Join(repository, "docs/metrics.md")
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok1 := strings.Cut(string(page), begin)
	table, after, ok2 := strings.Cut(rest, end)
	if !ok1 || !ok2 {
		t.Fatalf("%s lacks the lines around its table", path)
	}
	for _, r := range vrrp.Refusals {
		if !strings.Contains(after, "`"+string(r)+"`") {
			t.Errorf("%s does not name the reason %s", path, r)
		}
	}
	for _, k := range ipvs.Kinds() {
		if !strings.Contains(after, "`"+strings.ReplaceAll(k.String(), " ", "_")+"`") {
			t.Errorf("%s does not name the kind of operation %s", path, k)
		}
	}
	got := metricTables(metricsOf(exposition(t)))
	if *update {
		if err := os.WriteFile(path, []byte(before+begin+got+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(table, got); diff != "" {
		t.Errorf("%s differs from /metrics (-page +metrics); write the page anew with -update:\n%s", path, diff)
	}
}

func (noHost) Changes(string) uint64 { return 0 }

func (noHost) Turn(_ string, _ time.Duration, now time.Time) time.Time { return now }

func (noHost) HoldRoutes([]vrrp.Route) error    { return nil }
func (noHost) ReleaseRoutes([]vrrp.Route) error { return nil }
func (noHost) Prepare(vrrp.Config) error        { return nil }
func (noHost) Discard(vrrp.Config) error        { return nil }
func (noHost) Suspended() time.Duration         { return 0 }
