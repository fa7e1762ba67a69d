// SPDX-License-Identifier: Apache-2.0

package director

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/vrrp"
)

// randomRouters writes some of four virtual routers, or all of them, with what a reload may change of one: name,
// interface, priority, addresses, trackers, sync group. It also returns the addresses that they have.
func randomRouters(r *rand.Rand, tracked string, all bool) (text string, have []vrrp.Address) {
	var b strings.Builder
	var names []string
	for n, last := range r.Perm(4) {
		if !all && r.IntN(3) == 0 {
			continue
		}
		name, device, priority := fmt.Sprintf("%c%d", "ab"[r.IntN(2)], n), fmt.Sprintf("eth%d", r.IntN(2)), 1+r.IntN(255)
		fmt.Fprintf(&b, "virtual_router %q {\n interface = %q\n id = %d\n priority = %d\n owner = %v\n handover = %v\n", name, device,
			51+n, priority, priority == 255, r.IntN(2) == 0)
		fmt.Fprintf(&b, " advertise_interval = \"20ms\"\n addresses = [\"127.0.1.%d/32\"]\n excluded_addresses = [\"127.0.2.%d/32\"]\n", last, last)
		if r.IntN(2) == 0 {
			fmt.Fprintf(&b, " track_file \"m\" {\n path = %q\n weight = %d\n }\n", tracked, 20*(r.IntN(3)-1))
		}
		b.WriteString("}\n")
		names = append(names, name)
		for _, a := range addresses(fmt.Sprintf("127.0.1.%d/32", last), fmt.Sprintf("127.0.2.%d/32", last)) {
			have = append(have, vrrp.Address{Prefix: a.Prefix, Device: device})
		}
	}
	if len(names) > 1 {
		fmt.Fprintf(&b, "sync_group \"g%d\" { members = [%q, %q] }\n", r.IntN(2), names[0], names[1])
	}
	return b.String(), have
}

// In whatever order reloads come, what is there in the end is the last configuration, every event begins with the state
// that the one before it has told, and a stop ends everything.
func TestReloadsInAnyOrder(t *testing.T) {
	s := newSite(t)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	whole, err := os.ReadFile(s.path)
	if err != nil {
		t.Fatal(err)
	}
	head, _, _ := strings.Cut(string(whole), "virtual_router")
	tracked := filepath.Join(filepath.Dir(s.path), "maintenance")
	write := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(s.path, head)
	_, stop := s.run()
	for range 40 {
		text, _ := randomRouters(r, tracked, false)
		write(s.path, head+text)
		write(tracked, fmt.Sprint(r.IntN(2)))
		s.reload()
		time.Sleep(time.Duration(r.IntN(40)) * time.Millisecond) // so that reloads find it in any state
	}
	text, want := randomRouters(r, tracked, true)
	write(s.path, head+text)
	write(tracked, "0")
	s.reload()
	s.eventually(func() error {
		for _, vr := range s.status().VirtualRouters {
			if vr.State != "master" {
				return fmt.Errorf("%s is %s: %s\n%s", vr.Name, vr.State, vr.Reason, text)
			}
		}
		return s.hostHas(want)
	})
	if err := stop(); err != nil {
		t.Error(err)
	}
	s.eventsFollow()
}

// hostHas compares the addresses that are held.
func (s *site) hostHas(want []vrrp.Address) error {
	s.host.mu.Lock()
	defer s.host.mu.Unlock()
	for a, held := range s.host.held {
		if held != slices.Contains(want, a) {
			return fmt.Errorf("%v held: %v, want %v", a, held, want)
		}
	}
	return nil
}

// eventsFollow checks the logged events of virtual routers, all of which have been stopped.
func (s *site) eventsFollow() {
	s.t.Helper()
	state := make(map[string]string)
	for line := range strings.Lines(s.log.String()) {
		_, event, found := strings.Cut(line, `msg="state changed" virtual_router=`)
		if !found {
			continue
		}
		var name, from, to string
		if _, err := fmt.Sscanf(event, "%s from=%s to=%s", &name, &from, &to); err != nil {
			s.t.Fatalf("%s: %v", line, err)
		}
		if was := state[name]; was != from && was != "" {
			s.t.Errorf("was %s: %s", was, line)
		}
		state[name] = to
	}
	for name, is := range state {
		if is != "init" {
			s.t.Errorf("%s ends as %s", name, is)
		}
	}
	if len(state) == 0 {
		s.t.Error("no events")
	}
}
