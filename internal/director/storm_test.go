// SPDX-License-Identifier: Apache-2.0

package director

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"
)

// A thousand servers die in the same second: the table is changed in a few batches, each server leaves it, and one event
// of a kind tells of it.
func TestAThousandServersDieInTheSameSecond(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	const n = 1000
	s := newSite(t)
	l, err := net.Listen("tcp", "127.0.0.1:0") // one port of 1,000 addresses
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	_ = l.Close()
	l, err = net.Listen("tcp4", "0.0.0.0:"+port)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.Close()
		}
	}()
	var text strings.Builder
	fmt.Fprintf(&text, "virtual_server \"farm\" {\n  address = \"127.0.0.100:81\"\n  check \"tcp\" {\n    interval = \"1s\"\n    timeout = \"1s\"\n    fall = 1\n  }\n")
	for i := range n {
		fmt.Fprintf(&text, "  real_server \"s%d\" { address = \"127.1.%d.%d:%s\" }\n", i, i/250, 1+i%250, port)
	}
	text.WriteString("}\n")
	s.write(1, text.String())
	d, _ := s.run()
	farm := func() int {
		list, _ := s.table.List(t.Context())
		for _, svc := range list {
			if svc.Port == 81 {
				return len(svc.Destinations)
			}
		}
		return -1
	}
	has := func(want int) {
		t.Helper()
		s.eventually(func() error {
			if got := farm(); got != want {
				return fmt.Errorf("%d servers in the table, want %d", got, want)
			}
			return nil
		})
	}
	has(n)
	s.eventually(func() error {
		if text := s.log.String(); !strings.Contains(text, "of farm (s0") {
			return fmt.Errorf("that all are up is not told: %s", text)
		}
		return nil
	})
	goal := func() (n uint64) { // how many tables were wanted so far
		_ = d.call(t.Context(), func() { n = d.goal })
		return n
	}
	before := goal()
	s.table.Applied()
	died := time.Now()
	_ = l.Close()
	has(0)
	took := time.Since(died)
	s.logged(`virtual_server=farm from=up to=down reason="below its quorum: 0 of 1000 real servers up"`)
	s.logged(`level=WARN msg="state changed" real_server=farm/* from=up to=down`)
	goals := goal() - before
	t.Logf("%d operations in %d changes of the table, the last after %v", len(s.table.Applied()), goals, took)
	if most := uint64(took/decisionGap) + 2; goals > most {
		t.Errorf("the table was changed %d times in %v, want at most %d", goals, took, most)
	}
	s.eventually(func() error { // the last window has ended
		var ended bool
		_ = d.call(t.Context(), func() { ended = d.tellAt.IsZero() })
		if !ended {
			return fmt.Errorf("more is to be told")
		}
		return nil
	})
	told := strings.Count(s.log.String(), "from=up to=down")
	t.Logf("%d events", told)
	if most := 1 + newsAtOnce + int(took/newsLeast) + 2; told > most {
		t.Errorf("%d events told of it, want at most %d", told, most)
	}
}

// Quorum, sorry server and panic, from the configuration to the table, the status, the log and the metrics.
func TestFewServersLeft(t *testing.T) {
	s := newSite(t)
	s.edit("address = \"127.0.0.100:80\"\n", "address = \"127.0.0.100:80\"\n  quorum { weight = 2 }\n  sorry_server { address = \"127.0.0.9:80\" }\n  panic_threshold = 50\n")
	s.run()
	s.tableHas("web1=1 web2=1")
	is := func(state string, sorry, panic bool, metrics string) {
		t.Helper()
		s.eventually(func() error {
			vs := s.status().VirtualServers[0]
			if vs.State != state || vs.Sorry != sorry || vs.Panic != panic || strings.Contains(s.table.String(), "127.0.0.9:80") != sorry {
				return fmt.Errorf("%+v with %s", vs, s.table)
			}
			return nil
		})
		_, body := s.get("/metrics")
		for i, name := range []string{"up", "sorry", "panic", "quorum_weight"} {
			if line := fmt.Sprintf("holdfast_virtual_server_%s{virtual_server=\"web\"} %c", name, metrics[i]); !strings.Contains(body, line) {
				t.Errorf("/metrics lacks %s", line)
			}
		}
	}
	is("up", false, false, "1002")
	s.servers[0].sick.Store(true)
	is("down", true, false, "0101")
	s.tableHas("")
	s.servers[1].sick.Store(true)
	is("down", false, true, "0010")
	s.tableHas("web1=1 web2=1")
	s.logged(`level=WARN msg="state changed" virtual_server=web from=down to=panic`)
	s.servers[0].sick.Store(false)
	is("down", true, false, "0101")
	s.servers[1].sick.Store(false)
	is("up", false, false, "1002")
	s.tableHas("web1=1 web2=1")
	s.logged(`virtual_server=web from=down to=up`)
}

// Where a decision takes long, there is time between two of them.
func TestDecisionsLeaveTime(t *testing.T) {
	now := time.Now()
	for took, want := range map[time.Duration]time.Duration{
		0: decisionGap, 5 * time.Millisecond: decisionGap, 200 * time.Millisecond: 600 * time.Millisecond,
		time.Minute: time.Minute + decisionRest, // a stall
	} {
		d := &Director{decidedAt: now, took: took, stale: true}
		if got := d.decideAt().Sub(now); got != want {
			t.Errorf("a decision that took %s: the next one after %s, want %s", took, got, want)
		}
	}
}
