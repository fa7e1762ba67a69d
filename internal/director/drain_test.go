// SPDX-License-Identifier: Apache-2.0

package director

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/checker"
	"github.com/holdfast-lb/holdfast/configs"
	"github.com/holdfast-lb/holdfast/ipvs"
)

// drainStep is what happens then, and what follows. Orders are "drain a", "drain a 5s", "undrain a", "weight a 7",
// "weight a", "maintain a", "serve a", "idle a", "remove a", "add a", "move a", "back a", "at a 8", "sorry 7", "drop", "backup", "master".
type drainStep struct {
	at            int // seconds
	order, say    string
	table, states string
}

// scene is a configuration of three servers and what is said about it.
type scene struct {
	cfg  *configs.Config
	f    facts
	prev decisions
}

func newScene(change func(*configs.VirtualServer)) *scene {
	s := &scene{cfg: farm([]uint32{1, 2, 3}, func(vs *configs.VirtualServer) {
		vs.DrainTimeout = time.Minute
		if change != nil {
			change(vs)
		}
	})}
	s.f = facts{
		cfg: s.cfg, health: make(map[checker.Key]checker.Change), holding: make(map[string]bool),
		overrides: make(map[object]override), idle: make(map[serverID]bool),
	}
	return s
}

// edit makes a new configuration, as a reload does.
func (s *scene) edit(f func(*configs.VirtualServer)) {
	cfg := *s.f.cfg
	cfg.VirtualServers = append([]configs.VirtualServer(nil), cfg.VirtualServers...)
	vs := &cfg.VirtualServers[0]
	vs.RealServers = append([]configs.RealServer(nil), vs.RealServers...)
	f(vs)
	s.f.cfg = &cfg
}

func (s *scene) order(text string) {
	if text == "" {
		return
	}
	words := strings.Fields(text)
	target := object{"web", strings.Join(words[1:min(2, len(words))], "")}
	o := s.f.overrides[target]
	server := func(f func(*configs.RealServer)) {
		s.edit(func(vs *configs.VirtualServer) {
			for i := range vs.RealServers {
				if vs.RealServers[i].Name == target.server {
					f(&vs.RealServers[i])
				}
			}
		})
	}
	switch words[0] {
	case "drain":
		o = override{drain: true, timed: len(words) > 2}
		if o.timed {
			o.timeout, _ = time.ParseDuration(words[2])
		}
	case "undrain":
		o.drain = false
	case "weight":
		o.weight = checker.Weight{Set: len(words) > 2}
		if len(words) > 2 {
			_, _ = fmt.Sscan(words[2], &o.weight.Value)
		}
	case "maintain", "serve":
		server(func(rs *configs.RealServer) { rs.Maintenance = words[0] == "maintain" })
	case "sorry":
		s.edit(func(vs *configs.VirtualServer) {
			vs.Sorry.Address = netip.MustParseAddrPort("10.0.0." + target.server + ":80")
		})
	case "at":
		server(func(rs *configs.RealServer) {
			rs.Address = netip.MustParseAddrPort("10.0.0." + words[2] + ":80")
			delete(s.f.health, rs.Checks[0].Key)
		})
	case "move", "back":
		host := map[string]byte{"move": 9, "back": 0}[words[0]] + target.server[0] - 'a'
		server(func(rs *configs.RealServer) {
			rs.Address = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, host + 1}), 80)
			delete(s.f.health, rs.Checks[0].Key)
		})
	case "remove":
		s.edit(func(vs *configs.VirtualServer) {
			for i, rs := range vs.RealServers {
				if rs.Name == target.server {
					delete(s.f.health, rs.Checks[0].Key)
					vs.RealServers = append(vs.RealServers[:i], vs.RealServers[i+1:]...)
					return
				}
			}
		})
	case "add":
		s.edit(func(vs *configs.VirtualServer) {
			for _, rs := range s.cfg.VirtualServers[0].RealServers {
				there := func(o configs.RealServer) bool { return o.Name == rs.Name }
				if rs.Name == target.server && !slices.ContainsFunc(vs.RealServers, there) {
					vs.RealServers = append(vs.RealServers, rs)
				}
			}
		})
	case "drop":
		s.edit(func(*configs.VirtualServer) {})
		s.f.cfg.VirtualServers = nil
	case "idle":
		s.f.idle[serverID{s.cfg.VirtualServers[0].Key, netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, target.server[0] - 'a' + 1}), 80)}] = true
	case "master", "backup":
		s.f.holding["r"] = words[0] == "master"
	}
	if s.f.overrides[target] = o; o == (override{}) {
		delete(s.f.overrides, target)
	}
}

// states are those of the servers in the configuration: "up draining maintenance".
func (s *scene) states(d decisions) string {
	var list []string
	for _, vs := range s.f.cfg.VirtualServers {
		for _, rs := range vs.RealServers {
			list = append(list, d.server(vs, rs).state())
		}
	}
	return strings.Join(list, " ")
}

func TestDrains(t *testing.T) {
	const up = "a+ b+ c+"
	inactive := func(vs *configs.VirtualServer) { vs.Active = "r" }
	sorry := func(vs *configs.VirtualServer) {
		vs.Sorry = configs.SorryServer{Address: netip.MustParseAddrPort("10.0.0.8:80"), Forward: ipvs.NAT}
	}
	tests := []struct {
		name   string
		change func(*configs.VirtualServer)
		steps  []drainStep
	}{
		{"by command, until nothing is left, and back", nil, []drainStep{
			{0, "", up, "1:1 2:2 3:3", "up up up"},
			{1, "drain b", "", "1:1 2:0 3:3", "up draining up"},
			{60, "", "", "1:1 2:0 3:3", "up draining up"},
			{60, "idle b", "", "1:1 3:3", "up maintenance up"},
			{900, "", "b-", "1:1 3:3", "up maintenance up"},
			{901, "", "b+", "1:1 3:3", "up maintenance up"},
			{902, "undrain b", "", "1:1 2:2 3:3", "up up up"},
		}},
		{"by command, and the time is over", nil, []drainStep{
			{0, "", up, "1:1 2:2 3:3", "up up up"},
			{1, "drain b", "", "1:1 2:0 3:3", "up draining up"},
			{61, "", "", "1:1 3:3", "up maintenance up"},
		}},
		{"with a time of its own", nil, []drainStep{
			{0, "", up, "1:1 2:2 3:3", "up up up"},
			{1, "drain b 5s", "", "1:1 2:0 3:3", "up draining up"},
			{5, "", "", "1:1 2:0 3:3", "up draining up"},
			{6, "", "", "1:1 3:3", "up maintenance up"},
		}},
		{"0s cuts at once", func(vs *configs.VirtualServer) { vs.DrainTimeout = 0 }, []drainStep{
			{0, "", up, "1:1 2:2 3:3", "up up up"},
			{1, "drain b", "", "1:1 3:3", "up maintenance up"},
			{1, "remove c", "", "1:1", "up maintenance"},
		}},
		{"what the checks say does not matter", nil, []drainStep{
			{0, "", up, "1:1 2:2 3:3", "up up up"},
			{1, "drain b", "b-", "1:1 2:0 3:3", "up draining up"},
			{2, "", "b+", "1:1 2:0 3:3", "up draining up"},
			{3, "undrain b", "b-", "1:1 3:3", "up down up"},
		}},
		{"one that is not in the table has nothing to drain", nil, []drainStep{
			{0, "", "a+ b- c+", "1:1 3:3", "up down up"},
			{1, "drain b", "", "1:1 3:3", "up maintenance up"},
			{2, "", "b+", "1:1 3:3", "up maintenance up"},
		}},
		{"maintenance is the same", nil, []drainStep{
			{0, "", up, "1:1 2:2 3:3", "up up up"},
			{1, "maintain b", "", "1:1 2:0 3:3", "up draining up"},
			{2, "drain b", "", "1:1 2:0 3:3", "up draining up"},
			{3, "serve b", "", "1:1 2:0 3:3", "up draining up"},
			{61, "", "", "1:1 3:3", "up maintenance up"},
			{62, "undrain b", "", "1:1 2:2 3:3", "up up up"},
		}},
		{"from the first start", nil, []drainStep{
			{0, "maintain b", up, "1:1 3:3", "up maintenance up"},
		}},
		{"a slow start follows", func(vs *configs.VirtualServer) { vs.SlowStart = 10 * time.Second }, []drainStep{
			{0, "", up, "1:1 2:2 3:3", "up up up"},
			{1, "drain c", "", "1:1 2:2 3:0", "up up draining"},
			{2, "undrain c", "", "1:1 2:2 3:1", "up up up"},
			{12, "", "", "1:1 2:2 3:3", "up up up"},
		}},
		{"drained ones count for nothing", func(vs *configs.VirtualServer) {
			vs.Sorry, vs.PanicThreshold, vs.Quorum.Weight = sorryServer, 50, 3
		}, []drainStep{
			{0, "", up, "1:1 2:2 3:3", "up up up"},
			{1, "drain c", "", "1:1 2:2 3:0", "up up draining"},
			{2, "drain a", "", "3:0 1:0 sorry:1", "draining up draining"},
			{3, "drain b", "", "1:0 3:0 sorry:1", "draining maintenance draining"}, // the sorry server had its place
			{4, "undrain c", "c-", "1:0 3:3", "draining maintenance down"},         // a panic, to all but those
		}},
		{"another weight", nil, []drainStep{
			{0, "weight b 9", up, "1:1 2:9 3:3", "up up up"},
			{1, "", "b=4", "1:1 2:9 3:3", "up up up"},
			{2, "weight b", "", "1:1 2:4 3:3", "up up up"},
			{3, "weight b 0", "b-", "1:1 3:3", "up down up"},
			{4, "", "b+", "1:1 2:0 3:3", "up up up"},
		}},
		{"one that leaves the configuration", nil, []drainStep{
			{0, "", up, "1:1 2:2 3:3", "up up up"},
			{1, "remove b", "", "1:1 2:0 3:3", "up up"},
			{60, "", "", "1:1 2:0 3:3", "up up"},
			{61, "", "", "1:1 3:3", "up up"},
		}},
		{"one that leaves without a connection", nil, []drainStep{
			{0, "", up, "1:1 2:2 3:3", "up up up"},
			{1, "remove b", "", "1:1 2:0 3:3", "up up"},
			{2, "idle b", "", "1:1 3:3", "up up"},
		}},
		{"one that leaves and comes back", nil, []drainStep{
			{0, "", up, "1:1 2:2 3:3", "up up up"},
			{1, "remove b", "", "1:1 2:0 3:3", "up up"},
			{2, "add b", "", "1:1 2:0 3:3", "up up unknown"},
			{99, "", "", "1:1 2:0 3:3", "up up unknown"},
			{99, "", "b+", "1:1 2:2 3:3", "up up up"},
		}},
		{"one that leaves while it drains keeps its time", nil, []drainStep{
			{0, "", up, "1:1 2:2 3:3", "up up up"},
			{1, "drain b", "", "1:1 2:0 3:3", "up draining up"},
			{50, "remove b", "", "1:1 2:0 3:3", "up up"},
			{61, "", "", "1:1 3:3", "up up"},
		}},
		{"one that is down leaves at once", nil, []drainStep{
			{0, "", "a+ b- c+", "1:1 3:3", "up down up"},
			{1, "remove b", "", "1:1 3:3", "up up"},
		}},
		{"another address: the old one serves until there is a verdict", nil, []drainStep{
			{0, "", up, "1:1 2:2 3:3", "up up up"},
			{1, "move b", "", "1:1 2:2 3:3", "up unknown up"},
			{9, "", "b+", "1:1 2:0 3:3 11:2", "up up up"},
			{69, "", "", "1:1 3:3 11:2", "up up up"},
		}},
		{"another address that is down", nil, []drainStep{
			{0, "", up, "1:1 2:2 3:3", "up up up"},
			{1, "move b", "b-", "1:1 2:0 3:3", "up down up"},
		}},
		{"another address that nobody can check", nil, []drainStep{
			{0, "", up, "1:1 2:2 3:3", "up up up"},
			{1, "move b", "", "1:1 2:2 3:3", "up unknown up"},
			{61, "", "", "1:1 2:0 3:3", "up unknown up"},
		}},
		{"the sorry server while it has the traffic", sorry, []drainStep{
			{0, "", "a- b- c-", "8:1", "down down down"},
			{1, "sorry 7", "", "7:1 8:0", "down down down"},
			{2, "", up, "1:1 2:2 3:3 8:0", "up up up"},
			{61, "", "", "1:1 2:2 3:3", "up up up"},
			{62, "sorry 8", "", "1:1 2:2 3:3", "up up up"},
		}},
		{"a sorry server that becomes a real server", sorry, []drainStep{
			{0, "", "a- b- c-", "8:1", "down down down"},
			{1, "at b 8", "", "8:1", "down unknown down"},
			{2, "", "b+", "8:2", "down up down"},
		}},
		{"the whole service", nil, []drainStep{
			{0, "", up, "1:1 2:2 3:3", "up up up"},
			{1, "drop", "", "1:0 2:0 3:0", ""},
			{2, "idle a", "", "2:0 3:0", ""},
			{61, "", "", "none", ""},
		}},
		{"a service of the master alone", inactive, []drainStep{
			{0, "", up, "none", "up up up"},
			{1, "backup", "", "none", "up up up"},
			{2, "master", "", "1:1 2:2 3:3", "up up up"},
			{3, "drain b", "", "1:1 2:0 3:3", "up draining up"},
			{4, "backup", "", "none", "up maintenance up"},
			{5, "remove c", "", "none", "up maintenance"},
			{6, "master", "", "1:1", "up maintenance"},
		}},
		{"what leaves a service of the master alone goes with it", inactive, []drainStep{
			{0, "master", up, "1:1 2:2 3:3", "up up up"},
			{1, "remove b", "", "1:1 2:0 3:3", "up up"},
			{2, "backup", "", "none", "up up"},
			{3, "master", "", "1:1 3:3", "up up"},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newScene(tt.change)
			for i, step := range tt.steps {
				s.order(step.order)
				say(s.f.health, step.say)
				now := time.Unix(int64(1000+step.at), 0)
				want, next, deadline := desired(now, s.f, s.prev)
				got := "none"
				if len(want) > 0 {
					got = table(want)
				}
				if states := s.states(next); !sameWords(got, step.table) || states != step.states {
					t.Fatalf("step %d, %q: got %q, %s, want %q, %s", i, step.order, got, states, step.table, step.states)
				}
				if deadline.IsZero() && len(next.running()) > 0 || !deadline.IsZero() && !deadline.After(now) {
					t.Errorf("step %d: deadline %v with %v", i, deadline, next.running())
				}
				s.prev = next
			}
		})
	}
}

// sameWords compares tables in any order: the sorry server has the highest address.
func sameWords(a, b string) bool {
	count := make(map[string]int)
	for w := range strings.FieldsSeq(a) {
		count[w]++
	}
	for w := range strings.FieldsSeq(b) {
		count[w]--
	}
	for _, n := range count {
		if n != 0 {
			return false
		}
	}
	return true
}

// A restart goes on with what the state file and the table say, and changes nothing.
func TestRestartGoesOnWithDrains(t *testing.T) {
	s := newScene(nil)
	start := time.Unix(1000, 0)
	run := func(at int, orders ...string) []ipvs.Service {
		for _, o := range orders {
			s.order(o)
		}
		want, next, _ := desired(start.Add(time.Duration(at)*time.Second), s.f, s.prev)
		s.prev = next
		return want
	}
	say(s.f.health, "a+ b+ c+")
	run(0)
	have := run(10, "drain a", "weight b 0", "remove c")
	if got := table(have); got != "1:0 2:0 3:0" {
		t.Fatalf("before the restart: %s", got)
	}
	last := State{
		Services:  []ServiceKey{newServiceKey(have[0].Key)},
		Overrides: overrideStates(s.f.overrides), Drains: drainStates(s.prev.running()),
	}
	now := start.Add(30 * time.Second)
	s.f.overrides, s.f.health = last.overrides(), make(map[checker.Key]checker.Change)
	s.prev = leftBehind(now, s.f.cfg, have, last)
	if ops := ipvs.Diff(run(30), have); len(ops) > 0 {
		t.Errorf("operations after a restart: %v", ops)
	}
	if got := s.states(s.prev); got != "draining up" {
		t.Errorf("states after a restart: %s", got)
	}
	if got := table(run(69)); got != "1:0 2:0 3:0" {
		t.Errorf("a second before the end: %s", got)
	}
	if got := table(run(70)); got != "2:0" {
		t.Errorf("at the end: %s", got)
	}
	say(s.f.health, "a+ b+")
	if got := table(run(80, "undrain a", "weight b")); got != "1:1 2:2" {
		t.Errorf("without the orders: %s", got)
	}
}

// What has left the configuration while no director ran is drained, too, once the others have a verdict. A service that
// nobody owns is left alone.
func TestStartDrainsWhatHasLeft(t *testing.T) {
	s := newScene(nil)
	have := ipvs.Service{Key: s.cfg.VirtualServers[0].Key, Settings: ipvs.Settings{Scheduler: "wlc"}, Destinations: []ipvs.Destination{
		{Address: netip.MustParseAddrPort("10.0.0.7:80"), Forward: ipvs.DR, Weight: 5},
	}}
	foreign, old := have, have
	foreign.Key.Port, old.Key.Port = 81, 82
	last := State{Services: []ServiceKey{newServiceKey(old.Key)}}
	now := time.Unix(1000, 0)
	s.prev = leftBehind(now, s.f.cfg, []ipvs.Service{have, foreign, old}, last)
	for _, step := range []struct {
		at        int
		say, want string
	}{
		{0, "", "80 7:5, 82 7:0"}, {1, "a+ b+ c-", "80 1:1 2:2 7:0, 82 7:0"}, {60, "", "80 1:1 2:2 7:0"}, {61, "", "80 1:1 2:2"},
	} {
		say(s.f.health, step.say)
		want, next, _ := desired(now.Add(time.Duration(step.at)*time.Second), s.f, s.prev)
		var list []string
		for _, w := range want {
			list = append(list, fmt.Sprintf("%d %s", w.Key.Port, table([]ipvs.Service{w})))
		}
		if got := strings.Join(list, ", "); got != step.want {
			t.Errorf("at %d: got %s, want %s", step.at, got, step.want)
		}
		s.prev = next
	}
}

// Without its state file a restart does not know why a server has weight 0: it keeps its connections until there is a verdict.
func TestStartCutsNobodyWithoutAVerdict(t *testing.T) {
	s := newScene(nil)
	have := ipvs.Service{Key: s.cfg.VirtualServers[0].Key, Settings: ipvs.Settings{Scheduler: "wlc"}, Destinations: []ipvs.Destination{
		{Address: netip.MustParseAddrPort("10.0.0.1:80"), Forward: ipvs.DR, Weight: 0},
		{Address: netip.MustParseAddrPort("10.0.0.2:80"), Forward: ipvs.DR, Weight: 2},
	}}
	s.prev = leftBehind(time.Now(), s.f.cfg, []ipvs.Service{have}, State{})
	for _, step := range []struct{ say, want string }{{"", "1:0 2:2"}, {"b+", "1:0 2:2"}, {"a-", "2:2"}, {"a+", "1:1 2:2"}} {
		say(s.f.health, step.say)
		want, next, _ := desired(time.Now(), s.f, s.prev)
		if got := table(want); got != step.want {
			t.Fatalf("%q: got %s, want %s", step.say, got, step.want)
		}
		s.prev = next
	}
}

func TestDestinationsHaveAllAttributes(t *testing.T) {
	s := newScene(func(vs *configs.VirtualServer) {
		vs.Settings = ipvs.Settings{Scheduler: "mh", Flags: ipvs.SchedPort, Persistence: ipvs.Persistence{Timeout: time.Minute, Netmask: 24}}
		rs := &vs.RealServers[0]
		rs.Forward, rs.Encapsulation = ipvs.Tunnel, ipvs.Encapsulation{Type: ipvs.GUE, Port: 6080, Checksum: ipvs.RemoteChecksum}
		rs.UpperThreshold, rs.LowerThreshold = 100, 50
	})
	say(s.f.health, "a+")
	want, _, _ := desired(time.Now(), s.f, decisions{})
	is := ipvs.Destination{
		Address: netip.MustParseAddrPort("10.0.0.1:80"), Forward: ipvs.Tunnel, Weight: 1, Upper: 100, Lower: 50,
		Encapsulation: ipvs.Encapsulation{Type: ipvs.GUE, Port: 6080, Checksum: ipvs.RemoteChecksum},
	}
	if want[0].Settings != s.cfg.VirtualServers[0].Settings || want[0].Destinations[0] != is {
		t.Errorf("got %+v", want[0])
	}
}

// A server whose drain is taken back before there is a verdict on it keeps its connections, if it still has any.
func TestUndrainAfterARestartCutsNobody(t *testing.T) {
	s := newScene(nil)
	start := time.Unix(1000, 0)
	say(s.f.health, "a+ b+ c+")
	_, s.prev, _ = desired(start, s.f, s.prev)
	s.order("drain a")
	have, next, _ := desired(start, s.f, s.prev)
	last := State{
		Services: []ServiceKey{newServiceKey(have[0].Key)}, Overrides: overrideStates(s.f.overrides), Drains: drainStates(next.running()),
	}
	for _, steps := range [][]struct{ order, say, want string }{
		{{"", "", "1:0 2:2 3:3"}, {"undrain a", "", "1:0 2:2 3:3"}, {"", "a+", "1:1 2:2 3:3"}},
		{{"drain a 0s", "", "2:2 3:3"}, {"undrain a", "", "2:2 3:3"}, {"", "a+", "1:1 2:2 3:3"}},
	} {
		s.f.overrides, s.f.health = last.overrides(), make(map[checker.Key]checker.Change)
		s.prev = leftBehind(start, s.f.cfg, have, last)
		for _, step := range steps {
			s.order(step.order)
			say(s.f.health, step.say)
			want, next, _ := desired(start, s.f, s.prev)
			if got := table(want); got != step.want {
				t.Fatalf("%s%s: got %s, want %s", step.order, step.say, got, step.want)
			}
			s.prev = next
		}
	}
}
