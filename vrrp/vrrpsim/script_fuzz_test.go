// SPDX-License-Identifier: Apache-2.0

package vrrpsim

import (
	"strings"
	"testing"
	"time"
)

// FuzzScript reads whatever may be in a script: each line is an event, in order, or an error that names it.
func FuzzScript(f *testing.F) {
	n, _, _ := pair(1, time.Second)
	text, _ := n.DefaultScript()
	f.Add(text)
	for _, line := range []string{
		"0s lb1 unready \"pool #3 is down\" # a comment", "1s network delay 1s 10ms", "1s master:web stall 1s", "1h all boot\n1s all boot", "0s lb1 link eth0 down",
		"0s lb1 track script x fail", "0s network partition lb1 | lb2", "9000h lb1 boot", "-1s lb1 boot", "\ufeff\r\n#", strings.Repeat("x", 70_000),
	} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, text string) {
		events, err := ParseScript("x", []byte(text), n)
		if lines := strings.Count(text, "\n") + 1; len(events) > lines {
			t.Errorf("%d events of %d lines", len(events), lines)
		}
		if err != nil && !strings.Contains(err.Error(), "x:") && !strings.Contains(err.Error(), "read x: ") {
			t.Errorf("%q: the error names no line: %v", text, err)
		}
		last := time.Duration(0)
		for _, e := range events {
			if e.At < last || e.Lasts < 0 || e.do == nil || e.Text == "" {
				t.Errorf("%q: got %+v after %s", text, e, last)
			}
			last = e.At
		}
	})
}
