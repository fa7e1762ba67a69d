// SPDX-License-Identifier: Apache-2.0

package checker

import (
	"testing"
	"time"
)

// Results over verdicts, a column per result: + passed, - failed; U up, D down. A ! below marks the changes.
func TestTally(t *testing.T) {
	for _, tc := range []struct {
		name       string
		rise, fall int
		start      Verdict
		in         string
		want       string
		changed    string
		pending    string // after each: p
	}{
		{"first passes", 2, 3, Unknown, "+++", "UUU", "!..", "..."},
		{"first fails", 2, 3, Unknown, "---", "DDD", "!..", "..."},
		{"first believed, then fall", 1, 2, Unknown, "+--", "UUD", "!.!", ".p."},
		{"first believed, then rise", 3, 1, Unknown, "-+++", "DDDU", "!..!", ".pp."},
		{"one of each is enough", 1, 1, Unknown, "+-+-", "UDUD", "!!!!", "...."},
		{"zero counts as one", 0, 0, Unknown, "+-+-", "UDUD", "!!!!", "...."},
		{"started down needs rise", 2, 2, Down, "++", "DU", ".!", "p."},
		{"started down, interrupted", 2, 2, Down, "+-++", "DDDU", "...!", "p.p."},
		{"started down, fails", 2, 2, Down, "--", "DD", "..", ".."},
		{"started up needs fall", 2, 3, Up, "---", "UUD", "..!", "pp."},
		{"started up, interrupted", 2, 3, Up, "--+---", "UUUUUD", ".....!", "pp.pp."},
		{"a pass between failures", 2, 2, Up, "-+-+-+--", "UUUUUUUD", ".......!", "p.p.p.p."},
		{"down and back", 2, 3, Up, "+---++", "UUUDDU", "...!.!", ".pp.p."},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tally := Tally{Rise: tc.rise, Fall: tc.fall, Verdict: tc.start}
			if got, want := tally.Pending(), tc.start == Unknown; got != want {
				t.Errorf("pending at first: got %v, want %v", got, want)
			}
			var verdicts, changed, pending string
			for _, c := range tc.in {
				changed += mark(tally.Add(0, c == '+'), "!")
				verdicts += map[Verdict]string{Unknown: "?", Up: "U", Down: "D"}[tally.Verdict]
				pending += mark(tally.Pending(), "p")
			}
			if verdicts != tc.want || changed != tc.changed || pending != tc.pending {
				t.Errorf("results %s:\n got %s %s %s\nwant %s %s %s", tc.in,
					verdicts, changed, pending, tc.want, tc.changed, tc.pending)
			}
		})
	}
}

// A check each second, rise 2: a relapse within 20 s doubles what is needed, and 40 s without a change forget it.
func TestDamping(t *testing.T) {
	type step struct {
		passed  bool
		seconds int // results of that kind
		verdict Verdict
		need    int // in the end
	}
	relapse := func(passes, need int) []step { return []step{{true, passes, Up, need / 2}, {false, 3, Down, need}} }
	start := []step{{true, 100, Up, 2}, {false, 3, Down, 2}}
	for _, tc := range []struct {
		name  string
		retry time.Duration
		steps [][]step
	}{
		{"each relapse doubles, to 16 times", time.Second, [][]step{
			start, {{true, 1, Down, 2}}, relapse(1, 4), {{true, 3, Down, 4}}, relapse(1, 8), {{true, 7, Down, 8}}, relapse(1, 16),
			{{true, 15, Down, 16}}, relapse(1, 32), {{true, 31, Down, 32}, {true, 1, Up, 32}, {false, 3, Down, 32}},
		}},
		{"an interruption starts anew", time.Second, [][]step{
			start, relapse(2, 4), {{true, 3, Down, 4}, {false, 1, Down, 4}, {true, 3, Down, 4}, {true, 1, Up, 4}},
		}},
		{"up for long is no relapse", time.Second, [][]step{start, {{true, 22, Up, 2}, {false, 3, Down, 2}}}},
		{"up for a while neither counts nor forgets", time.Second, [][]step{
			start, relapse(2, 4), {{true, 30, Up, 4}, {false, 3, Down, 4}},
		}},
		{"forgotten when up", time.Second, [][]step{start, relapse(2, 4), {{true, 50, Up, 2}, {false, 3, Down, 2}}}},
		{"forgotten when down", time.Second, [][]step{start, relapse(2, 4), {{false, 40, Down, 2}, {true, 2, Up, 2}}}},
		{"the first verdict is at once", time.Second, [][]step{{{true, 1, Up, 2}, {false, 3, Down, 2}, {true, 2, Up, 2}, {false, 3, Down, 4}}}},
		{"5 minutes at most", 100 * time.Second, [][]step{start, relapse(2, 3)[:1], {{false, 3, Down, 3}}}},
		{"longer than 5 minutes anyway", 200 * time.Second, [][]step{start, {{true, 2, Up, 2}, {false, 3, Down, 2}}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tally := newTally(&Config{Interval: time.Second, Retry: tc.retry, Rise: 2, Fall: 3}, Unknown)
			now := time.Hour
			for i, steps := range tc.steps {
				for j, s := range steps {
					for range s.seconds {
						now += time.Second
						tally.Add(now, s.passed)
					}
					if tally.Verdict != s.verdict || tally.Need(now) != max(s.need, 2) {
						t.Fatalf("step %d.%d: got %s, needs %d; want %s, %d", i, j, tally.Verdict, tally.Need(now), s.verdict, s.need)
					}
				}
			}
		})
	}
}

func mark(set bool, s string) string {
	if set {
		return s
	}
	return "."
}
