// SPDX-License-Identifier: Apache-2.0

package director

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/configs"
	"github.com/holdfast-lb/holdfast/internal/netlab"
	"github.com/holdfast-lb/holdfast/ipvs"
	"github.com/holdfast-lb/holdfast/ipvs/ipvstest"
)

// crowded returns a director with so many servers in services of 1,000, which all have a check and are in the table.
func crowded(t testing.TB, servers int) *Director {
	var text strings.Builder
	for v := range servers / 1000 {
		fmt.Fprintf(&text, "virtual_server \"v%d\" {\n  address = \"10.255.%d.1:80\"\n  start = \"up\"\n  check \"tcp\" {}\n", v, v)
		for i := range 1000 {
			fmt.Fprintf(&text, "  real_server \"s%d\" { address = \"10.%d.%d.%d:80\" }\n", i, v, i/250, 1+i%250)
		}
		text.WriteString("}\n")
	}
	cfg, diags := configs.LoadBytes("test.hcl", []byte(text.String()))
	if diags.Errors() > 0 {
		t.Fatal(diags)
	}
	d := New(Options{
		Config: cfg, Log: slog.New(slog.DiscardHandler), Level: new(slog.LevelVar),
		OpenTable: func(context.Context) (ipvs.Table, error) { return &ipvstest.Fake{}, nil },
	})
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		d.table.Run(ctx)
	}()
	t.Cleanup(func() { stop(); <-ended })
	d.applyChecks()
	d.decide(time.Now())
	d.publish()
	err := netlab.Poll(time.Minute, func() error {
		stats, err := d.table.Stats(ctx)
		if n := len(destinationStats(stats)); n != servers {
			return fmt.Errorf("%d real servers are in the table: %w", n, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// BenchmarkScrape is what a reader of many checks costs: 560,000 series with 40,000 servers.
func BenchmarkScrape(b *testing.B) {
	for _, servers := range []int{10_000, 40_000} {
		b.Run(fmt.Sprint(servers), func(b *testing.B) { benchmarkScrape(b, crowded(b, servers)) })
	}
}

func benchmarkScrape(b *testing.B, d *Director) {
	b.Run("snapshot", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_ = d.checks.Snapshot()
		}
	})
	metrics := newExposition(d)
	for name, header := range map[string][2]string{
		"plain": {"Accept", "text/plain"}, "gzip": {"Accept-Encoding", "gzip"},
		"protobuf": {"Accept", "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			var answer sink
			before := cpuTime()
			for b.Loop() {
				r := httptest.NewRequest("GET", "/metrics", nil)
				r.Header.Set(header[0], header[1])
				answer = sink{header: make(http.Header)}
				metrics.ServeHTTP(&answer, r)
			}
			b.ReportMetric(float64((cpuTime()-before).Milliseconds())/float64(b.N), "cpu-ms/op")
			b.ReportMetric(float64(answer.n)/1e6, "MB")
		})
	}
	b.Run("status", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_ = json.NewEncoder(io.Discard).Encode(d.Status(b.Context()))
		}
	})
}

// sink counts what is answered.
type sink struct {
	header http.Header
	n      int
}

func (s *sink) Header() http.Header         { return s.header }
func (s *sink) WriteHeader(int)             {}
func (s *sink) Write(b []byte) (int, error) { s.n += len(b); return len(b), nil }

// cpuTime is what this process has used, with what collects its garbage.
func cpuTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
