// SPDX-License-Identifier: Apache-2.0

package director

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/checker"
)

// randomService writes the service "web" with some of what a reload may change of it. In the end, when last is true, it has
// both servers.
func (s *site) randomService(r *rand.Rand, last bool) string {
	maybe := func(text string) string {
		if r.IntN(2) == 0 {
			return ""
		}
		return text
	}
	var b strings.Builder
	fmt.Fprintf(&b, "virtual_server \"web\" {\n  address = \"127.0.0.100:%d\"\n", 80+r.IntN(2))
	b.WriteString(maybe("  on_failure = \"inhibit\"\n") + maybe("  start = \"up\"\n") + maybe("  panic_threshold = 40\n"))
	b.WriteString(maybe("  slow_start = \"1s\"\n") + maybe("  sorry_server { address = \"127.0.0.9:80\" }\n"))
	b.WriteString(maybe("  quorum {\n    weight = 2\n  }\n"))
	check := func(name, kind string) {
		fmt.Fprintf(&b, "  check %q {\n    name = %q\n    interval = \"20ms\"\n    timeout = \"20ms\"\n    rise = %d\n    fall = %d\n  }\n",
			kind, name, 1+r.IntN(2), 1+r.IntN(2))
	}
	check("a", []string{"tcp", "http"}[r.IntN(2)])
	if r.IntN(2) == 0 {
		check("b", "http")
	}
	for i, server := range s.servers {
		if last || r.IntN(3) > 0 {
			fmt.Fprintf(&b, "  real_server \"%s%d\" {\n    address = %q\n    weight = %d\n  }\n",
				[]string{"web", "old"}[r.IntN(2)], i+1, server.addr(), 2+r.IntN(5))
		}
	}
	if !last {
		b.WriteString(maybe("  real_server \"dead\" {\n    address = \"127.0.0.8:1\"\n    weight = 2\n  }\n"))
	}
	return b.String() + "}\n"
}

// In whatever order reloads and failures come, in the end each server that passes is up, and in the table with its weight.
func TestServicesReloadedInAnyOrder(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	s := newSite(t)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	whole, err := os.ReadFile(s.path)
	if err != nil {
		t.Fatal(err)
	}
	head, _, _ := strings.Cut(string(whole), "virtual_server")
	write := func(last bool) {
		t.Helper()
		if err := os.WriteFile(s.path, []byte(head+s.randomService(r, last)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	d, _ := s.run()
	for range 40 {
		write(false)
		s.reload()
		for _, server := range s.servers {
			server.sick.Store(r.IntN(2) == 0)
		}
		time.Sleep(time.Duration(r.IntN(60)) * time.Millisecond) // so that reloads find it in any state
		s.get("/metrics")
	}
	for _, server := range s.servers {
		server.sick.Store(false)
	}
	write(true)
	s.reload()
	s.eventually(func() error {
		vs := s.status().VirtualServers[0]
		for _, rs := range vs.RealServers {
			if rs.State != "up" || rs.EffectiveWeight != rs.Weight {
				return fmt.Errorf("not whole: %+v", vs)
			}
		}
		if vs.State != "up" || vs.Sorry || vs.Panic {
			return fmt.Errorf("not well: %+v", vs)
		}
		list, _ := s.table.List(t.Context())
		if len(list) != 1 || len(list[0].Destinations) != len(vs.RealServers) {
			return fmt.Errorf("table %v", list)
		}
		return nil
	})
	for _, c := range d.checks.Snapshot() {
		if c.Verdict != checker.Up {
			t.Errorf("%v is %v", c.Key, c.Verdict)
		}
	}
}
