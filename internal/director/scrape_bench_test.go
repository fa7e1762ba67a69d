// SPDX-License-Identifier: Apache-2.0

package director

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/configs"
)

// BenchmarkScrape is what a reader of 10,000 checks costs.
func BenchmarkScrape(b *testing.B) {
	var text strings.Builder
	for v := range 10 {
		fmt.Fprintf(&text, "virtual_server \"v%d\" {\n  address = \"10.9.%d.1:80\"\n  check \"tcp\" {}\n", v, v)
		for i := range 1000 {
			fmt.Fprintf(&text, "  real_server \"s%d\" { address = \"10.%d.%d.%d:80\" }\n", i, v, i/250, 1+i%250)
		}
		text.WriteString("}\n")
	}
	cfg, diags := configs.LoadBytes("test.hcl", []byte(text.String()))
	if diags.Errors() > 0 {
		b.Fatal(diags)
	}
	d := New(Options{Config: cfg, Log: slog.New(slog.DiscardHandler), Level: new(slog.LevelVar)})
	d.applyChecks()
	d.decide(time.Now())
	d.publish()
	w, err := openWeb(d, "")
	if err != nil {
		b.Fatal(err)
	}
	b.Run("snapshot", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_ = d.checks.Snapshot()
		}
	})
	b.Run("metrics", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			r := httptest.NewRecorder()
			r.Body = nil
			w.handler.ServeHTTP(r, httptest.NewRequest("GET", "/metrics", nil))
		}
	})
	b.Run("status", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_ = json.NewEncoder(io.Discard).Encode(d.Status(b.Context()))
		}
	})
}
