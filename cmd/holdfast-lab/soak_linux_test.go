// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/internal/drill"
	"github.com/holdfast-lb/holdfast/internal/netlab"
)

// A few rounds of random faults, without what needs IPVS.
func TestSoak(t *testing.T) {
	if testing.Short() {
		t.Skip("takes most of a minute")
	}
	netlab.Require(t)
	// A seed whose first rounds have most of what there is.
	soakFor(t, "--seed", "2224", "--rounds", "3", "--interval", "500ms")
}

// The same with a table.
func TestSoakIPVS(t *testing.T) {
	if testing.Short() {
		t.Skip("takes most of a minute")
	}
	netlab.RequireIPVS(t)
	soakFor(t, "--seed", "2534", "--rounds", "2")
}

func soakFor(t *testing.T, args ...string) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(asHoldfast, "1")
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), append([]string{"soak", "--json", "--holdfast", self}, args...), &stdout, &stderr)
	t.Logf("%s", stdout.Bytes())
	var report soakReport
	if err := json.Unmarshal(stdout.Bytes(), &report); err != nil || code != exitDone || !report.OK || report.Rounds == 0 {
		t.Fatalf("exit %d, %v\n%s", code, err, stderr.Bytes())
	}
}

// A plan is told by its seed and round, and undoing one of its steps undoes no other.
func TestSoakPlans(t *testing.T) {
	kinds := make(map[soakKind]bool)
	together, stays := 0, false
	for round := range 500 {
		balances := round%2 == 0
		steps := planRound(9, round, balances)
		if !slices.Equal(steps, planRound(9, round, balances)) {
			t.Fatalf("round %d has two plans", round)
		}
		if len(steps) == 0 {
			t.Errorf("round %d does nothing", round)
		}
		together = max(together, len(steps))
		taken := make(map[string]bool)
		for _, s := range steps {
			if taken[s.place()] || soakKinds[s.kind] == "" || s.at > soakBegins || s.lasts < soakShortest || s.lasts > soakLongest {
				t.Errorf("round %d: %v", round, s)
			}
			taken[s.place()] = true
			if balances {
				kinds[s.kind] = true
			} else if s.kind >= soakSick {
				t.Errorf("round %d needs IPVS: %v", round, s)
			}
			stays = stays || s.stays
			if s.kind == soakReload && (s.configs[0].weights[0] == 0 || s.configs[1].weights[0] == 0) {
				t.Errorf("round %d leaves no real server: %v", round, s)
			}
		}
	}
	if len(kinds) != len(soakKinds) || together != soakTogether || !stays {
		t.Errorf("500 rounds have only %v, at most %d at once, and some that stay: %t", kinds, together, stays)
	}
	if slices.Equal(planRound(9, 1, true), planRound(10, 1, true)) {
		t.Error("the seed has no effect")
	}
}

// Two that hold the address are counted from when they can hear each other.
func TestSharing(t *testing.T) {
	start := time.Now()
	var w sharing
	at := func(ms int, holders ...string) {
		w.see(drill.Observation{At: start.Add(time.Duration(ms) * time.Millisecond), Holders: holders})
	}
	at(0, "a")
	at(100, "a", "b")
	at(400, "a", "b")
	at(500, "b")
	at(600, "a", "b")
	if got := w.most(); got != 300*time.Millisecond {
		t.Errorf("shared for %s, not 300 ms", got)
	}
	w.hear(false)
	at(700, "a", "b")
	w.hear(false)
	at(2000, "a", "b")
	w.hear(true)
	at(4000, "a", "b")
	if got := w.most(); got != 300*time.Millisecond {
		t.Errorf("shared for %s: they could not hear each other", got)
	}
	w.hear(true)
	at(5000, "a", "b")
	at(5400, "a", "b")
	if got := w.most(); got != 400*time.Millisecond {
		t.Errorf("shared for %s, not 400 ms after they could hear each other again", got)
	}
	at(9400, "a", "b")
	at(9500, "a", "b")
	if got := w.most(); got != time.Second {
		t.Errorf("shared for %s, not 1 s: the machine stood still for 3.5 s", got)
	}
}

// What grows is seen through noise, what comes and goes is not growth.
func TestGrowth(t *testing.T) {
	for _, c := range []struct {
		name   string
		rounds int
		at     func(i int) usage
		want   string
	}{
		{"noise", 30, func(int) usage {
			return usage{files: 20 + rand.IntN(5), goroutines: 40 + rand.IntN(8), resident: 30 + rand.IntN(10)}
		}, ""},
		{"one peak at the end", 30, func(i int) usage { return usage{files: 20 + i/29*500} }, ""},
		{"files", 30, func(i int) usage { return usage{files: 20 + i} }, "open files"},
		{"goroutines", 30, func(i int) usage { return usage{goroutines: 40 + i} }, "goroutines"},
		{"memory", 30, func(i int) usage { return usage{resident: 30 + i} }, "MiB"},
		{"too short a life", soakFewest - 1, func(i int) usage { return usage{files: 100 * i} }, ""},
	} {
		var series []usage
		for i := range c.rounds {
			series = append(series, c.at(i))
		}
		if got := growth(series); (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, wanted %q", c.name, got, c.want)
		}
	}
}
