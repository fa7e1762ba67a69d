// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// measured is a result with one figure of each contender in each round.
func measured(kernel string, ours, theirs []float64) benchResult {
	r := benchResult{
		Subject: "table", Rounds: len(ours), Programs: map[string]string{"holdfast": "holdfast 1", "keepalived": "keepalived 2"},
		Machine: machine{Kernel: kernel, Processor: "P", Processors: 2, Load: []float64{.5, 1.5}, Work: []float64{.05, .06}},
		Figures: make(map[string][]figure), Failed: []string{"holdfast: no luck"},
	}
	for i := range ours {
		r.Figures["holdfast"] = append(r.Figures["holdfast"], figure{reloadOne, "s", ours[i]}, figure{"status", "s", .125})
		r.Figures["keepalived"] = append(r.Figures["keepalived"], figure{reloadOne, "s", theirs[i]})
	}
	return r
}

func results(t *testing.T, all ...benchResult) string {
	t.Helper()
	dir := t.TempDir()
	for i, r := range all {
		text, err := json.Marshal([]benchResult{r})
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, string(rune('a'+i))+".json"), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestBenchDocument(t *testing.T) {
	dir := results(t, measured("6.1", []float64{1, 5, 3}, []float64{4, 4, 4}), measured("6.1", []float64{2}, []float64{40}))
	const goText = "pkg: github.com/holdfast-lb/holdfast/ipvs\nBenchmarkDiff/all_new-2 \t 10\t 120 ns/op\t 7.5 cpu-ms/op\t 64 B/op\t 3 allocs/op\nPASS\n"
	if err := os.WriteFile(filepath.Join(dir, goResults), []byte(goText), 0o644); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := writeBenchDocument(&b, dir); err != nil {
		t.Fatal(err)
	}
	page := b.String()
	for _, want := range []string{
		"holdfast 1 beside keepalived 2",
		"rounds 4, Linux 6.1, 2 processors (P). The fixed work took 50 to 60 ms, the load average was 0.5 to 1.5.\nA turn did not end and was begun again: holdfast: no luck.\n",
		"| " + reloadOne + " | 2.5 s | 4 s | 0.62 | 1-5 | 4-40 | ≤ 0.6: **missed** |\n",
		"| status | 0.12 s | – | – | 0.12-0.12 |  |  |\n",
		"0 of 1 aims were met.",
		"| 50 services with 5,000 real servers, unchecked | " + reloadOne + " | 2.5 s | 4 s | 0.62 | ≤ 0.6: **missed** |\n",
		"## 200 virtual routers, adverts each 100 ms\n\nNot run.\n",
		"| ipvs | Diff/all_new | 120 ns | 64 B | 3 |\n",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("no %q in\n%s", want, page)
		}
	}
}

func TestBenchResultsOfTwoMachines(t *testing.T) {
	one := measured("6.1", []float64{1}, []float64{1})
	other := measured("6.1", []float64{1}, []float64{1})
	other.Programs["keepalived"] = "keepalived 3"
	for name, dir := range map[string]string{
		"two machines":       results(t, one, measured("6.2", []float64{1}, []float64{1})),
		"different versions": results(t, one, other),
		"no *.json":          t.TempDir(),
	} {
		if err := writeBenchDocument(&strings.Builder{}, dir); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAim(t *testing.T) {
	for _, tt := range []struct {
		aim          aim
		ours, theirs float64
		met          bool
		text         string
	}{
		{aim{ratio: .6}, 6, 10, true, "≤ 0.6"},
		{aim{ratio: .6}, 6.1, 10, false, "≤ 0.6"},
		{aim{ratio: 1, slack: 20}, 20, 0, true, "≤ 1.0 + 20 ms"},
		{aim{ratio: 1, slack: 20}, 31, 10, false, "≤ 1.0 + 20 ms"},
		{aim{most: 2}, 2, 100, true, "at most 2 ms"},
		{aim{most: 2}, 3, 100, false, "at most 2 ms"},
	} {
		if met := tt.aim.met(tt.ours, tt.theirs); met != tt.met {
			t.Errorf("%+v of %v and %v: %t", tt.aim, tt.ours, tt.theirs, met)
		}
		if text := tt.aim.text("ms"); text != tt.text {
			t.Errorf("%+v: %q, not %q", tt.aim, text, tt.text)
		}
	}
}

func TestChange(t *testing.T) {
	const table = "IP Virtual Server version 1.2.1 (size=4096)\n" +
		"Prot LocalAddress:Port Scheduler Flags\n  -> RemoteAddress:Port Forward Weight ActiveConn InActConn\n" +
		"TCP  0A640001:0050 wrr \n" +
		"  -> 0A800001:0050      Route   1      0          0         \n" +
		"  -> 0A800002:0050      Route   6      0          0         \n" +
		"  -> 0A800003:0050      Route   6      0          0         \n"
	if n := destinations([]byte(table)); n != 3 {
		t.Errorf("%d destinations", n)
	}
	for c, want := range map[change]bool{{2, 6}: true, {1, 6}: false, {3, 6}: false, {1, 1}: true} {
		if got := c.done([]byte(table)); got != want {
			t.Errorf("%+v: %t", c, got)
		}
	}
	c := change{2, 6}
	if a, b := c.of(7, 10), c.of(8, 10); a != 1 || b != 6 {
		t.Errorf("weights %d, %d", a, b)
	}
}

func TestChooseSubjects(t *testing.T) {
	if _, err := chooseSubjects([]string{"nonsense"}); err == nil || !strings.Contains(err.Error(), "failover-10ms") {
		t.Errorf("an unknown subject: %v", err)
	}
	chosen, err := chooseSubjects([]string{"table", "routers"})
	if err != nil || len(chosen) != 2 || chosen[0].name != "routers" {
		t.Errorf("%v, %v", chosen, err)
	}
	for _, s := range subjects() {
		named, _ := chooseSubjects(nil)
		if got := slices.ContainsFunc(named, func(n subject) bool { return n.name == s.name }); got == s.asked {
			t.Errorf("%s is chosen without being named: %t", s.name, got)
		}
	}
}

// aimsAreOf tells of aims of a subject for figures that it has not.
func aimsAreOf(t *testing.T, name string, figures []figure) {
	t.Helper()
	i := slices.IndexFunc(subjects(), func(s subject) bool { return s.name == name })
	for aimed := range subjects()[i].aims {
		if !slices.ContainsFunc(figures, func(f figure) bool { return f.Name == aimed }) {
			t.Errorf("%s has an aim for %q, and no such figure", name, aimed)
		}
	}
}
