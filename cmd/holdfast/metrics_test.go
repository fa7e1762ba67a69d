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
			"virtual_server_bytes_total", "real_server_bytes_total",
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

// metricTable makes the table of docs/metrics.md out of an exposition.
func metricTable(exposition string) string {
	all := make(map[string]*metric)
	scan := bufio.NewScanner(strings.NewReader(exposition))
	for scan.Scan() {
		if words := strings.SplitN(scan.Text(), " ", 4); len(words) == 4 && words[0] == "#" {
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
			if l[1] != "le" {
				all[m[1]].labels = append(all[m[1]].labels, "`"+l[1]+"`")
			}
		}
	}
	var b strings.Builder
	b.WriteString("| metric | type | labels | meaning |\n|---|---|---|---|\n")
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if !strings.HasPrefix(name, "holdfast_") {
			continue
		}
		m := all[name]
		slices.Sort(m.labels)
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", name, m.kind, strings.Join(slices.Compact(m.labels), ", "), m.help)
	}
	return b.String()
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
	got := metricTable(exposition(t))
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
