// SPDX-License-Identifier: Apache-2.0

package checker

import "testing"

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
				changed += mark(tally.Add(c == '+'), "!")
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

func mark(set bool, s string) string {
	if set {
		return s
	}
	return "."
}
