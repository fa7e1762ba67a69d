// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/internal/netlab"
)

// A selection of the faults, on this kernel. One that misses a bound is tried again: a busy machine may have done it.
func TestFaultSuite(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute")
	}
	netlab.Require(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(asHoldfast, "1")
	var names []string
	for _, f := range faults() {
		if f.short {
			names = append(names, f.name)
		}
	}
	for try := 1; len(names) > 0; try++ {
		var stdout, stderr bytes.Buffer
		run(t.Context(), []string{
			"faults", "--json", "--once", "--parallel", "3", "--holdfast", self, "--run", "^(" + strings.Join(names, "|") + ")$",
		}, &stdout, &stderr)
		var report struct{ Rows []row }
		if err := json.Unmarshal(stdout.Bytes(), &report); err != nil {
			t.Fatalf("no report: %v\n%s%s", err, stdout.Bytes(), stderr.Bytes())
		}
		for _, r := range report.Rows {
			t.Logf("%s: %s", r.Scenario, r.verdict())
			if r.OK || try == 3 && r.Failure == "" && r.busy() {
				names = slices.DeleteFunc(names, func(n string) bool { return n == r.Scenario })
			}
		}
		if len(names) > 0 && try == 3 {
			t.Fatalf("three times in vain: %v\n%s", names, stderr.Bytes())
		}
	}
}

// Names say where a fault belongs, and each has a bound that can be told from its result.
func TestFaultsAreTold(t *testing.T) {
	seen := make(map[string]bool)
	for _, f := range faults() {
		group, name, ok := strings.Cut(f.name, "/")
		if !ok || name == "" || groupIntro[group] == "" || seen[f.name] {
			t.Errorf("%q is no name, or no new one", f.name)
		}
		seen[f.name] = true
		if f.what == "" || f.inject == nil {
			t.Errorf("%s does nothing, or does not say what", f.name)
		}
	}
}

func TestRowsOfOneFaultJoin(t *testing.T) {
	one := func(lost int, value float64, ok bool) row {
		return row{Lost: lost, Bounds: []bound{{What: "gap", Value: value, Least: 1, Most: 2}}, OK: ok}
	}
	for _, c := range []struct {
		a, b row
		lost int
		gap  float64
		ok   bool
	}{
		{one(1, 1.5, true), one(3, 1.2, true), 3, 1.5, true},
		{one(4, 1.2, true), one(3, 1.9, true), 4, 1.9, true},
		{one(0, 1.5, true), one(0, 2.5, false), 0, 2.5, false},
		{one(0, 2.5, false), one(0, 1.5, true), 0, 2.5, false},
		{one(0, 1.5, true), one(0, 0.5, false), 0, 0.5, false}, // too early is wrong as well
		{one(0, 0.5, false), one(0, 1.5, true), 0, 0.5, false},
	} {
		got := worse(c.a, c.b)
		if got.Lost != c.lost || got.Bounds[0].Value != c.gap || got.OK != c.ok {
			t.Errorf("worse(%+v, %+v) = %+v", c.a, c.b, got)
		}
	}
}

// The page has a row for each fault, whether it was run or not, and what was measured is in it.
func TestFaultsPage(t *testing.T) {
	dir := t.TempDir()
	report := `{"rows": [{"setup": "holdfast", "scenario": "process/quiet", "ok": true, "lost": 3, "bounds": [{"what": "lost", "value": 3, "most": 4}]}]}`
	if err := os.WriteFile(filepath.Join(dir, "here.json"), []byte(report), 0o644); err != nil {
		t.Fatal(err)
	}
	var page bytes.Buffer
	if err := writeFaultsDocument(&page, dir); err != nil {
		t.Fatal(err)
	}
	for _, f := range faults() {
		theirs := "not run"
		if f.ours {
			theirs = "not compared"
		}
		ours, limits := "not run", ""
		if f.name == "process/quiet" {
			ours, limits = "lost 3, gap 0 ms", "lost 4"
		}
		_, row, found := strings.Cut(page.String(), "\n| "+f.name+" | "+f.what)
		row, _, _ = strings.Cut(row, "\n")
		if want := fmt.Sprintf(" | %s | %s | %s |", ours, theirs, limits); !found || !strings.HasSuffix(row, want) {
			t.Errorf("%s: no row that ends with %q", f.name, want)
		}
	}
}

// A client of HTTP/1.0 waits for the end of the connection, and keepalived's check is one.
func TestWebServerEndsOldConnections(t *testing.T) {
	host := netlab.Test(t).Host("web")
	w, err := startWebServer(host, 80)
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	c, err := host.Dial(t.Context(), "tcp4", "127.0.0.1:80")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write([]byte("GET /health HTTP/1.0\r\nHost: web\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(c); err != nil || !strings.HasPrefix(string(b), "HTTP/1.1 200 OK\r\n") {
		t.Errorf("got %q, %v", b, err)
	}
}
