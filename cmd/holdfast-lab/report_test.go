// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"regexp"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-lb/holdfast/internal/drill"
)

var update = flag.Bool("update", false, "write the golden files")

// exampleRows is one row of each kind.
func exampleRows() []row {
	seen := func(requests, lost int, gap time.Duration, holders ...string) *outcome {
		o := &outcome{
			Report:       drill.Report{Requests: requests, Lost: lost, LongestGap: gap, Servers: map[string]int{"web1": requests - lost}, Errors: map[string]int{}},
			Observations: []drill.Observation{{Holders: holders}},
		}
		if lost > 2 {
			o.Errors["connect timeout"], o.Errors["refused"] = lost-2, 2
		}
		return o
	}
	busy := seen(400, 12, 350*time.Millisecond, "lb1")
	busy.Late = 180 * time.Millisecond
	repeated := newRow(setups[1], "quiet", busy, []bound{atMost("lost", 12, 0)}, nil)
	repeated.Repeated = true
	back := within("back after", 1950*time.Millisecond, 2200*time.Millisecond)
	back.Least = 1
	return []row{
		newRow(setups[0], "quiet", seen(421, 0, 21*time.Millisecond, "lb1"), []bound{atMost("lost", 0, 0)}, nil),
		newRow(setups[0], "server fails and returns", seen(681, 0, 40*time.Millisecond, "lb1"), []bound{
			atMost("lost", 0, 0), within("out after", 2590*time.Millisecond, 3500*time.Millisecond), back,
		}, nil),
		newRow(setups[0], "switch port cut", seen(471, 390, 3910*time.Millisecond, "lb1", "lb2"), []bound{within("gap", 3910*time.Millisecond, 3800*time.Millisecond)}, nil),
		newRow(setups[0], "reload that changes one weight", seen(190, 0, 20*time.Millisecond, "lb1"), []bound{
			atMost("lost", 0, 0), exactly("operations on IPVS", 0, 1),
		}, nil),
		repeated,
		newRow(setups[1], "master killed", seen(90, 0, 30*time.Millisecond), nil, errors.New("not within 15s:\nlb2 is not master")),
		newRow(setups[1], "switch port cut", nil, nil, errors.New("lb1 has not stopped within 15s")),
	}
}

// golden compares with a file of testdata, durations of the whole run aside.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	got = regexp.MustCompile(`rows in \S+,|"duration_seconds": [-+.e0-9]+`).ReplaceAllFunc(got, func(b []byte) []byte {
		return regexp.MustCompile(`[.0-9]\S*?([,s]*)$`).ReplaceAll(b, []byte("TIME$1"))
	})
	path := "testdata/" + name
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; go test -update writes it", err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

func TestReports(t *testing.T) {
	for _, tt := range []struct {
		file string
		make func(*bytes.Buffer) reporter
	}{
		{"table.txt", func(b *bytes.Buffer) reporter { return &table{out: b, start: time.Now()} }},
		{"report.json", func(b *bytes.Buffer) reporter { return &jsonReport{out: b, start: time.Now()} }},
	} {
		t.Run(tt.file, func(t *testing.T) {
			var b bytes.Buffer
			r := tt.make(&b)
			for _, row := range exampleRows() {
				r.row(row)
			}
			if err := r.end(); err != nil {
				t.Fatal(err)
			}
			golden(t, tt.file, b.Bytes())
		})
	}
}

func TestReportWithoutRows(t *testing.T) {
	var b bytes.Buffer
	if err := (&jsonReport{out: &b, start: time.Now()}).end(); err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(b.Bytes(), []byte(`"ok": true`)) || !bytes.Contains(b.Bytes(), []byte(`"rows": []`)) {
		t.Errorf("an empty report is\n%s", b.Bytes())
	}
}

func TestBounds(t *testing.T) {
	back := within("back", 900*time.Millisecond, 2*time.Second)
	back.Least = 1
	for _, tt := range []struct {
		b    bound
		held bool
		text string
	}{
		{atMost("lost", 2, 2), true, "lost 2 (bound 2)"},
		{atMost("lost", 3, 2), false, "lost 3 (bound 2)"},
		{exactly("operations", 1, 1), true, "operations 1 (bound 1)"},
		{exactly("operations", 0, 1), false, "operations 0 (bound 1)"},
		{within("gap", 3800*time.Millisecond, 3800*time.Millisecond), true, "gap 3.8 s (bound 3.8 s)"},
		{within("gap", 3801*time.Millisecond, 3800*time.Millisecond), false, "gap 3.801 s (bound 3.8 s)"},
		{within("gap", 305*time.Millisecond, 300*time.Millisecond), false, "gap 305 ms (bound 300 ms)"},
		{back, false, "back 900 ms (bound 1 s to 2 s)"},
	} {
		if tt.b.held() != tt.held || tt.b.String() != tt.text {
			t.Errorf("got %q, held %v; want %q, held %v", tt.b.String(), tt.b.held(), tt.text, tt.held)
		}
	}
}

func TestSumMetric(t *testing.T) {
	text := []byte("# HELP ops_total Operations.\nops_total{op=\"add\",result=\"done\"} 3\nops_total{op=\"add\",result=\"failed\"} 1\n" +
		"ops_total_created{op=\"add\"} 1.7e+09\nplain 4.5\n")
	for _, tt := range []struct {
		name, label string
		want        float64
	}{
		{"ops_total", "", 4}, {"ops_total", `result="done"`, 3}, {"plain", "", 4.5},
	} {
		if got, err := sumMetric(text, tt.name, tt.label); err != nil || got != tt.want {
			t.Errorf("%s %s = %v, %v; want %v", tt.name, tt.label, got, err, tt.want)
		}
	}
	if _, err := sumMetric(text, "absent", ""); err == nil {
		t.Error("an absent metric is no error")
	}
}
