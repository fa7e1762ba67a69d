// SPDX-License-Identifier: Apache-2.0

package director

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/checker"
)

// states are servers 0 to n-1 of each service, all in one state but for those of down.
func states(services []string, n int, was string, down func(service string, i int) bool) []change {
	var list []change
	for _, s := range services {
		for i := range n {
			to := "up"
			if down(s, i) {
				to = "down"
			}
			list = append(list, change{object{s, fmt.Sprintf("s%d", i)}, was, to, "tcp: timeout", time.Unix(1000, 0)})
		}
	}
	return list
}

func TestNews(t *testing.T) {
	none := func(string, int) bool { return false }
	below := func(m int) func(string, int) bool { return func(_ string, i int) bool { return i < m } }
	web, both, many := []string{"web"}, []string{"web", "dns"}, strings.Fields("a b c d e")
	gone := change{object{"web", "old"}, "draining", "removed", "it has no connections", time.Unix(1000, 0)}
	type call struct {
		at     time.Duration
		states []change
		events string
		again  time.Duration // when to be asked; 0: no need
	}
	tests := []struct {
		name  string
		calls []call
	}{
		{"a few are told at once", []call{
			{0, states(web, 10, "up", none), "", 0},
			{1, states(web, 10, "up", below(1)), "web/s0 up-down", 0},
			{2, states(web, 10, "up", none), "web/s0 down-up", 0},
			{3, states(web, 10, "up", below(3)), "web/s0 up-down, web/s1 up-down, web/s2 up-down", 0},
		}},
		{"many at once are one", []call{
			{0, states(web, 1000, "up", none), "", 0},
			{5 * time.Second, states(web, 1000, "up", below(1)), "web/s0 up-down", 0},
			{5100 * time.Millisecond, states(web, 1000, "up", below(400)), "", 6100 * time.Millisecond},
			{5200 * time.Millisecond, states(web, 1000, "up", below(900)), "", 6100 * time.Millisecond},
			{6100 * time.Millisecond, states(web, 1000, "up", below(900)), "web/* up-down x899: 899 of 1000 of web (s1, s2, s3, …); web/s1: tcp: timeout", 7100 * time.Millisecond},
			{6200 * time.Millisecond, states(web, 1000, "up", below(901)), "", 7100 * time.Millisecond},
			{6300 * time.Millisecond, states(web, 1000, "up", below(1000)), "", 7100 * time.Millisecond},
			{7100 * time.Millisecond, states(web, 1000, "up", below(1000)), "web/* up-down x100: 100 of 1000 of web (s900, s901, s902, …); web/s900: tcp: timeout", 8100 * time.Millisecond},
			{8100 * time.Millisecond, states(web, 1000, "up", below(1000)), "", 0},
			{8200 * time.Millisecond, states(web, 1000, "up", below(999)), "web/s999 down-up", 0},
		}},
		{"what has changed back is no news", []call{
			{0, states(web, 10, "up", none), "", 0},
			{1, states(web, 10, "up", below(8)), "", time.Second + 1},
			{time.Second + 1, states(web, 10, "up", below(2)), "web/s0 up-down, web/s1 up-down", 0},
			{time.Second + 2, states(web, 10, "up", below(2)), "", 0},
		}},
		{"what is removed is listed once only", []call{
			{0, states(web, 7, "up", none), "", 0},
			{1, append(states(web, 7, "up", below(7)), gone), "", time.Second + 1},
			{2, states(web, 7, "up", below(7)), "", time.Second + 1},
			{time.Second + 1, states(web, 7, "up", below(1)), "web/s0 up-down, web/old draining-removed", 0},
			{time.Second + 2, states(web, 7, "up", below(1)), "", 0},
		}},
		{"one for each state, and each service named", []call{
			{0, states(both, 4, "unknown", below(2)), "", time.Second},
			{time.Second, states(both, 4, "unknown", below(2)),
				"* unknown-down x4: 2 of 4 of web (s0, s1), 2 of 4 of dns (s0, s1); web/s0: tcp: timeout; " +
					"* unknown-up x4: 2 of 4 of web (s2, s3), 2 of 4 of dns (s2, s3); web/s2: tcp: timeout", 2 * time.Second},
		}},
		{"of many services the first", []call{
			{0, states(many, 2, "up", below(2)), "", time.Second},
			{time.Second, states(many, 2, "up", below(2)),
				"* up-down x10: 2 of 2 of a (s0, s1), 2 of 2 of b (s0, s1), 2 of 2 of c (s0, s1), and those of 2 more virtual servers; a/s0: tcp: timeout", 2 * time.Second},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n, begin := news{kind: "real_server", window: time.Second}, time.Unix(1000, 0)
			for _, c := range tt.calls {
				events, again := n.take(begin.Add(c.at), slices.Clone(c.states))
				var got []string
				join := ", "
				for _, e := range events {
					text := fmt.Sprintf("%s %s-%s", e.Name, e.From, e.To)
					if e.Count > 0 {
						text += fmt.Sprintf(" x%d: %s", e.Count, e.Reason)
						join = "; "
					}
					got = append(got, text)
				}
				if text := strings.Join(got, join); text != c.events {
					t.Errorf("at %v:\ngot  %s\nwant %s", c.at, text, c.events)
				}
				if want := begin.Add(c.again); c.again == 0 && !again.IsZero() || c.again != 0 && !again.Equal(want) {
					t.Errorf("at %v: to be asked again at %v, want %v", c.at, again.Sub(begin), c.again)
				}
			}
		})
	}
}

func TestNewsOfServices(t *testing.T) {
	n, now := news{kind: "virtual_server", window: newsLeast}, time.Unix(1000, 0)
	var list []change
	for i := range 7 {
		list = append(list, change{object{service: fmt.Sprintf("v%d", i)}, "up", "down", "0 of 2 real servers up", now})
	}
	if events, again := n.take(now, list); len(events) > 0 || again != now.Add(newsLeast) {
		t.Fatalf("%v, %v", events, again)
	}
	events, _ := n.take(now.Add(newsLeast), list)
	if len(events) != 1 || events[0].Name != "*" || events[0].Reason != "7 of 7 (v0, v1, v2, …); v0: 0 of 2 real servers up" {
		t.Errorf("got %+v", events)
	}
}

func TestNewsWindow(t *testing.T) {
	for _, tt := range []struct{ interval, want time.Duration }{
		{0, time.Second}, {50 * time.Millisecond, time.Second}, {5 * time.Second, 5 * time.Second}, {time.Minute, 10 * time.Second},
	} {
		list := []checker.Check{
			checker.NewCheck(checker.Key{}, checker.Config{Interval: tt.interval}), checker.NewCheck(checker.Key{}, checker.Config{Interval: time.Millisecond}),
		}
		if got := windowOf(list); got != tt.want {
			t.Errorf("%v: %v, want %v", tt.interval, got, tt.want)
		}
	}
}

// What is gathered when the director stops is told before it ends.
func TestStopTellsWhatIsGathered(t *testing.T) {
	s := newSite(t)
	var more strings.Builder
	more.WriteString("virtual_server \"farm\" {\n  address = \"127.0.0.100:81\"\n  check \"http\" {\n    interval = \"20s\"\n    path = \"/\"\n  }\n")
	for i := range 20 {
		fmt.Fprintf(&more, "  real_server \"s%d\" { address = \"127.1.0.%d:%d\" }\n", i, i+1, 1)
	}
	s.write(1, more.String()+"}\n")
	d, stop := s.run()
	s.eventually(func() error { // told is nothing but the first few
		waits := false
		_ = d.call(t.Context(), func() { waits = d.ready && d.servers.gathering })
		if !waits {
			return errors.New("nothing is gathered")
		}
		return nil
	})
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	told := 0
	for line := range strings.Lines(s.log.String()) {
		if !strings.Contains(line, "real_server=farm/") && !strings.Contains(line, "real_server=*") || !strings.Contains(line, "to=down") {
			continue
		}
		n := 1
		if _, count, found := strings.Cut(line, " count="); found {
			_, _ = fmt.Sscan(count, &n)
		}
		told += n
	}
	if told != 20 {
		t.Errorf("%d servers are told to be down, want 20", told)
	}
}
