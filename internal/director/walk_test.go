// SPDX-License-Identifier: Apache-2.0

package director

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/checker"
	"github.com/holdfast-lb/holdfast/configs"
	"github.com/holdfast-lb/holdfast/ipvs"
)

// Whatever has happened, the same call gives the same answer, its arguments stay as they are, and calling it again with
// its own decisions changes nothing more: there is no oscillation.
func TestDesiredWalk(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	r := rand.New(rand.NewPCG(seed, 0))
	for range 200 {
		cfg := farm([]uint32{uint32(r.IntN(4)), 1, 2, 100, 7}, func(vs *configs.VirtualServer) {
			vs.PanicThreshold = r.IntN(3) * 30
			vs.Quorum = configs.Quorum{Weight: uint32(r.IntN(8)), Hysteresis: uint32(r.IntN(3))}
			vs.SlowStart = time.Duration(r.IntN(3)) * 7 * time.Second
			vs.Inhibit, vs.StartUp = r.IntN(2) == 0, r.IntN(2) == 0
			if r.IntN(2) == 0 {
				vs.Sorry = sorryServer
			}
		})
		now, health, prev := time.Unix(1000, 0), make(map[checker.Key]checker.Change), decisions{}
		for range 60 {
			now = now.Add(time.Duration(r.IntN(4000)) * time.Millisecond)
			for range r.IntN(3) {
				say(health, string(rune('a'+r.IntN(5)))+[]string{"+", "+", "-", "-", "?", "=5"}[r.IntN(6)])
			}
			before := fmt.Sprint(prev)
			want, next, deadline := desired(now, facts{cfg: cfg, health: health}, prev)
			again, nextAgain, deadlineAgain := desired(now, facts{cfg: cfg, health: health}, prev)
			if !reflect.DeepEqual(want, again) || !reflect.DeepEqual(next, nextAgain) || deadline != deadlineAgain || fmt.Sprint(prev) != before {
				t.Fatalf("seed %d: not pure", seed)
			}
			same, still, at := desired(now, facts{cfg: cfg, health: health}, next)
			if prev.services == nil || prev.services[cfg.VirtualServers[0].Key].panic == next.services[cfg.VirtualServers[0].Key].panic {
				if !reflect.DeepEqual(next, still) {
					t.Fatalf("seed %d: not settled:\n%+v\n%+v", seed, next, still)
				}
			}
			if !reflect.DeepEqual(want, same) || deadline != at {
				t.Fatalf("seed %d: oscillates: %v, %v", seed, want, same)
			}
			if !deadline.IsZero() && !deadline.After(now) {
				t.Fatalf("seed %d: deadline %v at %v", seed, deadline, now)
			}
			checkWanted(t, seed, cfg.VirtualServers[0], want[0], next)
			prev = next
		}
	}
}

// Every way from every verdict of three servers to every other one, with every policy: two steps, in order.
func TestDesiredWalkInOrder(t *testing.T) {
	words := []string{"?", "+", "-"}
	verdicts := func(n int) string {
		return "a" + words[n%3] + " b" + words[n/3%3] + " c" + words[n/9]
	}
	for policy := range 32 {
		on := func(bit int) bool { return policy>>bit&1 == 1 }
		cfg := farm([]uint32{1, 2, 3}, func(vs *configs.VirtualServer) {
			vs.Inhibit, vs.StartUp = on(0), on(1)
			if on(2) {
				vs.Sorry = sorryServer
			}
			if on(3) {
				vs.PanicThreshold = 50
			}
			if on(4) {
				vs.Quorum = configs.Quorum{Weight: 3, Hysteresis: 1}
			}
		})
		now := time.Unix(1000, 0)
		for from := range 27 {
			for to := range 27 {
				health := make(map[checker.Key]checker.Change)
				say(health, verdicts(from))
				want, d, _ := desired(now, facts{cfg: cfg, health: health}, decisions{})
				checkWanted(t, 0, cfg.VirtualServers[0], want[0], d)
				say(health, verdicts(to))
				want, d, _ = desired(now, facts{cfg: cfg, health: health}, d)
				checkWanted(t, 0, cfg.VirtualServers[0], want[0], d)
				again, still, _ := desired(now, facts{cfg: cfg, health: health}, d)
				if !reflect.DeepEqual(want, again) || !reflect.DeepEqual(d, still) {
					t.Fatalf("policy %d, %s to %s: oscillates:\n%v\n%v", policy, verdicts(from), verdicts(to), want, again)
				}
			}
		}
	}
}

// The same with all that operators, reloads and elections do. The table goes from one state to the next without a service
// that runs dry, nothing is in it twice, and what drains is gone in the end.
func TestDesiredWalkWithOrders(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	r := rand.New(rand.NewPCG(seed, 0))
	orders := strings.Split("drain,drain 3s,undrain,weight 5,weight 0,weight,maintain,serve,idle,remove,add,move,back,master,backup", ",")
	for range 300 {
		s := newScene(func(vs *configs.VirtualServer) {
			vs.DrainTimeout = time.Duration(r.IntN(3)) * 5 * time.Second
			vs.PanicThreshold, vs.Inhibit = r.IntN(2)*50, r.IntN(2) == 0
			vs.Active = []string{"", "r"}[r.IntN(2)]
			if r.IntN(2) == 0 {
				vs.Sorry = sorryServer
			}
		})
		now := time.Unix(1000, 0)
		var have []ipvs.Service
		for range 60 {
			now = now.Add(time.Duration(r.IntN(2000)) * time.Millisecond)
			for range r.IntN(3) {
				verb, rest, _ := strings.Cut(orders[r.IntN(len(orders))], " ")
				s.order(verb + " " + string(rune('a'+r.IntN(3))) + " " + rest)
				say(s.f.health, string(rune('a'+r.IntN(3)))+[]string{"+", "+", "-", "?"}[r.IntN(4)])
			}
			before := fmt.Sprintf("%+v", s.prev)
			want, next, deadline := desired(now, s.f, s.prev)
			if fmt.Sprintf("%+v", s.prev) != before {
				t.Fatalf("seed %d: changes its argument", seed)
			}
			same, _, at := desired(now, s.f, next)
			if !reflect.DeepEqual(want, same) || deadline != at || !deadline.IsZero() && !deadline.After(now) {
				t.Fatalf("seed %d: oscillates:\n%v until %v\n%v until %v", seed, want, deadline, same, at)
			}
			checkOrders(t, seed, s, want, next)
			if again, _, _ := desired(now, s.f, leftBehindOf(now, s, want, next)); len(ipvs.Diff(again, want)) > 0 && settledFacts(s, next) {
				t.Fatalf("seed %d: a restart changes the table:\n%v\n%v", seed, want, again)
			}
			s.prev, have = next, want
			s.f.idle = make(map[serverID]bool)
		}
		clear(s.f.overrides)
		for range 2 { // the first wait is for a successor
			now = now.Add(2 * time.Minute)
			have, s.prev, _ = desired(now, s.f, s.prev)
		}
		if len(s.prev.leaving) > 0 {
			t.Fatalf("seed %d: still there: %v, %v", seed, have, s.prev.leaving)
		}
	}
}

// leftBehindOf is what a restart knows after a crash.
func leftBehindOf(now time.Time, s *scene, table []ipvs.Service, d decisions) decisions {
	last := State{Overrides: overrideStates(s.f.overrides), Drains: drainStates(d.running()), Health: d.health()}
	for _, svc := range table {
		last.Services = append(last.Services, newServiceKey(svc.Key))
	}
	return leftBehind(now, s.f.cfg, table, last)
}

// settledFacts reports whether every server has a verdict, so that a restart has nothing to find out. A server that waits
// for its successor is known by its name, which the table does not have.
func settledFacts(s *scene, d decisions) bool {
	for _, vs := range s.f.cfg.VirtualServers {
		if d.services[vs.Key].verdict == checker.Unknown {
			return false
		}
		for _, rs := range vs.RealServers {
			if d.server(vs, rs).verdict == checker.Unknown {
				return false
			}
		}
	}
	for _, l := range d.leaving {
		if l.drain.cause == 0 {
			return false
		}
	}
	return true
}

func checkOrders(t *testing.T, seed uint64, s *scene, want []ipvs.Service, d decisions) {
	t.Helper()
	in := make(map[serverID]uint32)
	for _, svc := range want {
		for _, dest := range svc.Destinations {
			id := serverID{svc.Key, dest.Address}
			if _, twice := in[id]; twice {
				t.Fatalf("seed %d: %v is twice in %v", seed, id, want)
			}
			in[id] = dest.Weight
		}
	}
	for _, r := range d.running() {
		if weight, there := in[r.id]; !there || weight > 0 && r.id.address != sorryServer.Address {
			t.Fatalf("seed %d: %v drains, in the table %v with weight %d", seed, r.id, there, weight)
		}
	}
	for _, vs := range s.f.cfg.VirtualServers {
		for _, rs := range vs.RealServers {
			is, weight := d.server(vs, rs), in[serverID{vs.Key, rs.Address}]
			if is.drain.cause != 0 && weight > 0 || is.weight != weight {
				t.Fatalf("seed %d: %s is %+v, and its weight %d", seed, rs.Name, is, weight)
			}
		}
	}
}

// checkWanted holds what has to be so in every state.
func checkWanted(t *testing.T, seed uint64, vs configs.VirtualServer, s ipvs.Service, d decisions) {
	t.Helper()
	is := d.services[vs.Key]
	sorry := 0
	for _, dest := range s.Destinations {
		if dest.Address == sorryServer.Address {
			sorry++
			continue
		}
		if is.sorry && dest.Weight > 0 {
			t.Fatalf("seed %d: the sorry server is not alone: %v", seed, s)
		}
	}
	if is.sorry && is.panic || (sorry == 1) != is.sorry || is.sorry && is.verdict != checker.Down {
		t.Fatalf("seed %d: %+v with %v", seed, is, s)
	}
	checked := 0
	for _, rs := range vs.RealServers {
		if d.server(vs, rs).verdict != checker.Unknown {
			checked++
		}
	}
	if n := len(s.Destinations) - sorry; vs.Inhibit && n != len(vs.RealServers) || is.panic && n < checked {
		t.Fatalf("seed %d: %d servers in the table: %v", seed, n, s)
	}
}
