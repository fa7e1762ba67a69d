// SPDX-License-Identifier: Apache-2.0

package director

import (
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/checker"
	"github.com/holdfast-lb/holdfast/configs"
	"github.com/holdfast-lb/holdfast/ipvs"
)

// farm is a service with servers a, b, c … of these weights at 10.0.0.1, 10.0.0.2, … with one check each, and the sorry
// server at 10.0.0.99 if there is one.
func farm(weights []uint32, change func(*configs.VirtualServer)) *configs.Config {
	vs := configs.VirtualServer{
		Name: "web", Key: ipvs.Key{Address: netip.MustParseAddr("10.0.0.100"), Port: 80, Protocol: ipvs.TCP},
		Settings: ipvs.Settings{Scheduler: "wlc"}, Forward: ipvs.DR,
	}
	for i, w := range weights {
		name := string(rune('a' + i))
		vs.RealServers = append(vs.RealServers, configs.RealServer{
			Forward: ipvs.DR,
			Name:    name, Address: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)}), 80), Weight: w,
			Checks: []checker.Check{checker.NewCheck(checker.Key{Service: "web", Server: name, Check: "tcp"}, checker.Config{Kind: checker.TCP})},
		})
	}
	if change != nil {
		change(&vs)
	}
	return &configs.Config{VirtualServers: []configs.VirtualServer{vs}}
}

// asksForWeight makes a check one that may ask for a weight.
func asksForWeight(c *checker.Check) {
	*c = checker.NewCheck(c.Key, checker.Config{Kind: checker.Exec, DynamicWeight: true})
}

var sorryServer = configs.SorryServer{Address: netip.MustParseAddrPort("10.0.0.99:80"), Forward: ipvs.NAT}

// say changes what the checks say: "a+" up, "b-" down, "c?" not checked, "a=7" up with a weight that it asks for.
func say(health map[checker.Key]checker.Change, words string) {
	for word := range strings.FieldsSeq(words) {
		k := checker.Key{Service: "web", Server: word[:1], Check: "tcp"}
		c := checker.Change{Key: k, Verdict: checker.Up}
		switch word[1] {
		case '-':
			c.Verdict, c.Reason = checker.Down, "timeout"
		case '?':
			delete(health, k)
			continue
		case '=':
			c.Weight.Set = true
			_, _ = fmt.Sscan(word[2:], &c.Weight.Value)
		}
		health[k] = c
	}
}

// table is "1:3 2:0 sorry" of the first service: last byte of the address and weight.
func table(services []ipvs.Service) string {
	var list []string
	for _, d := range services[0].Destinations {
		if d.Address == sorryServer.Address {
			list = append(list, fmt.Sprintf("sorry:%d", d.Weight))
			continue
		}
		list = append(list, fmt.Sprintf("%d:%d", d.Address.Addr().As4()[3], d.Weight))
	}
	return strings.Join(list, " ")
}

// marks are the verdict of the service and its flags.
func marks(s service) string {
	text := s.verdict.String()
	if s.panic {
		text += " panic"
	}
	if s.sorry {
		text += " sorry"
	}
	return text
}

// step of a policy test: what the checks say then, a second count, and what is wanted.
type policyStep struct {
	at          int // seconds
	say         string
	table, mark string
}

func TestPolicy(t *testing.T) {
	quorum := func(weight, hysteresis uint32) func(*configs.VirtualServer) {
		return func(vs *configs.VirtualServer) { vs.Quorum = configs.Quorum{Weight: weight, Hysteresis: hysteresis} }
	}
	with := func(list ...func(*configs.VirtualServer)) func(*configs.VirtualServer) {
		return func(vs *configs.VirtualServer) {
			for _, f := range list {
				f(vs)
			}
		}
	}
	sorry := func(vs *configs.VirtualServer) { vs.Sorry = sorryServer }
	inhibit := func(vs *configs.VirtualServer) { vs.Inhibit = true }
	startUp := func(vs *configs.VirtualServer) { vs.StartUp = true }
	panicAt := func(percent int) func(*configs.VirtualServer) {
		return func(vs *configs.VirtualServer) { vs.PanicThreshold = percent }
	}
	slow := func(d time.Duration) func(*configs.VirtualServer) {
		return func(vs *configs.VirtualServer) { vs.SlowStart = d }
	}
	tests := []struct {
		name    string
		weights []uint32
		change  func(*configs.VirtualServer)
		steps   []policyStep
	}{
		{"a quorum is of weights", []uint32{1, 2, 3}, quorum(3, 0), []policyStep{
			{0, "", "", "unknown"},
			{0, "a+", "1:1", "unknown"},
			{0, "b+", "1:1 2:2", "up"},
			{0, "c-", "1:1 2:2", "up"},
			{0, "a-", "2:2", "down"},
			{0, "b- c+", "3:3", "up"},
		}},
		{"weight 0 counts nothing, unless another one is up", []uint32{0, 1}, nil, []policyStep{
			{0, "a+ b-", "1:0", "down"}, {0, "b+", "1:0 2:1", "up"},
		}},
		{"hysteresis", []uint32{1, 1, 1, 1}, quorum(2, 1), []policyStep{
			{0, "a+ b+ c- d-", "1:1 2:1", "up"},
			{0, "b-", "1:1", "up"},
			{0, "a-", "", "down"},
			{0, "a+ b+", "1:1 2:1", "down"},
			{0, "c+", "1:1 2:1 3:1", "up"},
			{0, "b- c-", "1:1", "up"},
		}},
		{"the hysteresis never lets a service be up without a server", []uint32{1, 1}, quorum(1, 1), []policyStep{
			{0, "a+ b-", "1:1", "up"}, {0, "a-", "", "down"}, {0, "a+", "1:1", "down"}, {0, "b+", "1:1 2:1", "up"},
		}},
		{"sorry server", []uint32{1, 1}, with(quorum(2, 0), sorry), []policyStep{
			{0, "", "", "unknown"},
			{0, "a+", "1:1", "unknown"},
			{0, "b-", "sorry:1", "down sorry"},
			{0, "b+", "1:1 2:1", "up"},
		}},
		{"sorry server and inhibit", []uint32{1, 1}, with(quorum(2, 0), sorry, inhibit), []policyStep{
			{0, "a+ b+", "1:1 2:1", "up"}, {0, "a-", "1:0 2:0 sorry:1", "down sorry"}, {0, "b-", "1:0 2:0 sorry:1", "down sorry"},
		}},
		{"what is lost stays lost until it is there again", []uint32{1, 1}, sorry, []policyStep{
			{0, "a- b-", "sorry:1", "down sorry"}, {0, "a? b?", "sorry:1", "down sorry"}, {0, "a+", "1:1", "up"},
		}},
		{"panic", []uint32{3, 1, 1, 1}, panicAt(50), []policyStep{
			{0, "a- b-", "", "unknown"}, // the others may be up
			{0, "c-", "1:3 2:1 3:1", "unknown panic"},
			{0, "d+", "1:3 2:1 3:1 4:1", "up panic"},
			{0, "c+", "3:1 4:1", "up"},
			{0, "c- d-", "1:3 2:1 3:1 4:1", "down panic"},
			{0, "a+ b+", "1:3 2:1", "up"},
		}},
		{"a reload that adds servers does not end a panic", []uint32{1, 1, 1, 1}, panicAt(50), []policyStep{
			{0, "a+ b- c- d-", "1:1 2:1 3:1 4:1", "up panic"},
			{0, "c? d?", "1:1 2:1 3:1 4:1", "up panic"},
		}},
		{"panic counts servers that have a verdict", []uint32{1, 1, 1, 1}, panicAt(50), []policyStep{
			{0, "a+ b+ c+ d-", "1:1 2:1 3:1", "up"},
			{0, "b- c-", "1:1 2:1 3:1 4:1", "up panic"},
			{0, "b+", "1:1 2:1", "up"},
		}},
		{"panic beats the quorum and the sorry server", []uint32{1, 1, 1}, with(quorum(2, 0), sorry, panicAt(50)), []policyStep{
			{0, "a+ b+ c-", "1:1 2:1", "up"}, {0, "b-", "1:1 2:1 3:1", "down panic"},
		}},
		{"between them the sorry server", []uint32{1, 1, 1}, with(quorum(3, 0), sorry, panicAt(50)), []policyStep{
			{0, "a+ b+ c-", "sorry:1", "down sorry"}, {0, "b-", "1:1 2:1 3:1", "down panic"}, {0, "b+", "sorry:1", "down sorry"},
		}},
		{"panic and inhibit", []uint32{2, 2}, with(inhibit, panicAt(60)), []policyStep{
			{0, "a+ b+", "1:2 2:2", "up"}, {0, "a-", "1:2 2:2", "up panic"}, {0, "a+", "1:2 2:2", "up"},
		}},
		{"start up", []uint32{10, 1}, with(startUp, slow(10*time.Second)), []policyStep{
			{0, "", "1:10 2:1", "up"}, {0, "a- b+", "2:1", "up"}, {1, "a+", "1:1 2:1", "up"},
		}},
		{"slow start", []uint32{100, 1}, slow(10 * time.Second), []policyStep{
			{0, "a+ b+", "1:100 2:1", "up"}, // a first start
			{1, "a-", "2:1", "up"},
			{2, "a+", "1:1 2:1", "up"},
			{3, "", "1:10 2:1", "up"},
			{11, "", "1:90 2:1", "up"},
			{12, "", "1:100 2:1", "up"},
			{13, "", "1:100 2:1", "up"},
		}},
		{"slow start of one that falls again begins anew", []uint32{100, 1}, slow(10 * time.Second), []policyStep{
			{0, "a- b+", "2:1", "up"}, {0, "a+", "1:1 2:1", "up"}, {5, "a-", "2:1", "up"}, {6, "a+", "1:1 2:1", "up"}, {7, "", "1:10 2:1", "up"},
		}},
		{"slow start with weight 0", []uint32{0, 1}, slow(10 * time.Second), []policyStep{
			{0, "a- b+", "2:1", "up"}, {0, "a+", "1:0 2:1", "up"}, {20, "", "1:0 2:1", "up"},
		}},
		{"no slow start in a panic, nor after it", []uint32{100, 100}, with(slow(10*time.Second), panicAt(60)), []policyStep{
			{0, "a- b+", "1:100 2:100", "up panic"}, {1, "a+", "1:100 2:100", "up"}, {2, "", "1:100 2:100", "up"},
		}},
		{"a panic ends a slow start", []uint32{100, 100, 100}, with(slow(10*time.Second), panicAt(60)), []policyStep{
			{0, "a- b+ c+", "2:100 3:100", "up"},
			{1, "a+", "1:1 2:100 3:100", "up"},
			{2, "b- c-", "1:100 2:100 3:100", "up panic"},
			{3, "b+", "1:100 2:100", "up"},
		}},
		{"dynamic weight", []uint32{3, 0}, nil, []policyStep{
			{0, "a+ b+", "1:3 2:0", "up"},
			{0, "a=7 b=9", "1:7 2:0", "up"},
			{0, "a=0", "1:0 2:0", "down"},
			{0, "a=70000", "1:65535 2:0", "up"},
			{0, "a-", "2:0", "down"},
			{0, "a+", "1:3 2:0", "up"},
		}},
		{"the quorum counts configured weights", []uint32{2, 2}, quorum(3, 0), []policyStep{
			{0, "a=100 b-", "1:100", "down"}, {0, "b=1", "1:100 2:1", "up"},
		}},
		{"a server whose checks ask for no new connections does not count", []uint32{2, 2}, with(quorum(2, 0), sorry), []policyStep{
			{0, "a=0 b+", "1:0 2:2", "up"}, {0, "b=0", "sorry:1", "down sorry"}, {0, "a=1", "1:1 2:0", "up"},
		}},
		{"slow start goes on while a check asks for little", []uint32{3, 1}, slow(10 * time.Second), []policyStep{
			{0, "a- b+", "2:1", "up"}, {0, "a=0", "1:0 2:1", "up"}, {1, "a=1", "1:1 2:1", "up"}, {5, "a=101", "1:51 2:1", "up"},
			{10, "", "1:101 2:1", "up"},
		}},
		{"dynamic weight with slow start", []uint32{3, 1}, slow(10 * time.Second), []policyStep{
			{0, "a- b+", "2:1", "up"}, {0, "a=101", "1:1 2:1", "up"}, {5, "", "1:51 2:1", "up"}, {6, "a=11", "1:7 2:1", "up"},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := farm(tt.weights, tt.change)
			health, prev := make(map[checker.Key]checker.Change), decisions{}
			for i, s := range tt.steps {
				say(health, s.say)
				want, next, _ := desired(time.Unix(int64(1000+s.at), 0), facts{cfg: cfg, health: health}, prev)
				if got, mark := table(want), marks(next.services[cfg.VirtualServers[0].Key]); got != s.table || mark != s.mark {
					t.Fatalf("step %d, %q: got %q, %s, want %q, %s", i, s.say, got, mark, s.table, s.mark)
				}
				prev = next
			}
		})
	}
}

func TestSmallestDynamicWeightCounts(t *testing.T) {
	cfg := farm([]uint32{5}, nil)
	rs := &cfg.VirtualServers[0].RealServers[0]
	more := rs.Checks[0]
	more.Key.Check = "exec"
	rs.Checks = append(rs.Checks, more)
	asks := func(w uint32) checker.Change {
		return checker.Change{Verdict: checker.Up, Weight: checker.Weight{Set: true, Value: w}}
	}
	for _, w := range [][2]uint32{{3, 8}, {8, 3}} {
		want, _, _ := desired(time.Now(), facts{cfg: cfg, health: map[checker.Key]checker.Change{rs.Checks[0].Key: asks(w[0]), more.Key: asks(w[1])}}, decisions{})
		if got := table(want); got != "1:3" {
			t.Errorf("%v: table %s", w, got)
		}
	}
}

// A restart finds in the table what the last run left, changes nothing, and goes on from there.
func TestRestartKeepsWhatTheTableSays(t *testing.T) {
	dynamic := func(vs *configs.VirtualServer) {
		for i := range vs.RealServers {
			asksForWeight(&vs.RealServers[i].Checks[0])
		}
	}
	tests := []struct {
		name, table string
		change      func(*configs.VirtualServer)
		later       string // ten seconds after the first round, in which all have passed
	}{
		{"full", "1:100 2:100", nil, "1:100 2:100"},
		{"in the middle of a slow start", "1:30 2:100", func(vs *configs.VirtualServer) { vs.SlowStart = 20 * time.Second }, "1:80 2:100"},
		{"dynamic weights", "1:40 2:0", dynamic, "1:100 2:100"},
		{"the sorry server", "sorry:1", func(vs *configs.VirtualServer) { vs.Sorry = sorryServer }, "1:100 2:100"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := farm([]uint32{100, 100}, tt.change)
			left := ipvs.Service{Key: cfg.VirtualServers[0].Key, Settings: ipvs.Settings{Scheduler: "wlc"}}
			for word := range strings.FieldsSeq(tt.table) {
				name, weight, _ := strings.Cut(word, ":")
				d := ipvs.Destination{Address: sorryServer.Address, Forward: ipvs.NAT}
				if name != "sorry" {
					d = ipvs.Destination{Address: netip.MustParseAddrPort("10.0.0." + name + ":80"), Forward: ipvs.DR}
				}
				_, _ = fmt.Sscan(weight, &d.Weight)
				left.Destinations = append(left.Destinations, d)
			}
			now, health := time.Unix(1000, 0), make(map[checker.Key]checker.Change)
			want, decided, _ := desired(now, facts{cfg: cfg, health: health}, leftBehind(now, cfg, []ipvs.Service{left}, State{}))
			if ops := ipvs.Diff(want, []ipvs.Service{left}); len(ops) > 0 {
				t.Errorf("operations after a restart: %v", ops)
			}
			say(health, "a+ b+")
			want, _, _ = desired(now.Add(10*time.Second), facts{cfg: cfg, health: health, ready: true}, decided)
			if got := table(want); got != tt.later {
				t.Errorf("later %s, want %s", got, tt.later)
			}
		})
	}
}

// The last result of the first round may wait in the inbox when the round is over: the weight that the last run left does
// not give way to the configured one in between.
func TestFirstRoundTakesEveryResult(t *testing.T) {
	cfg := farm([]uint32{100}, func(vs *configs.VirtualServer) {
		asksForWeight(&vs.RealServers[0].Checks[0])
	})
	vs := cfg.VirtualServers[0]
	d := New(Options{Config: cfg, Log: slog.New(slog.DiscardHandler), Level: new(slog.LevelVar)})
	d.decided = leftBehind(time.Now(), cfg, []ipvs.Service{{Key: vs.Key, Destinations: []ipvs.Destination{
		{Address: vs.RealServers[0].Address, Weight: 40},
	}}}, State{})
	d.applyChecks()
	d.inbox.put(checker.Change{
		Key: vs.RealServers[0].Checks[0].Key, Verdict: checker.Up, Weight: checker.Weight{Set: true, Value: 40},
	})
	d.firstRoundDone(time.Now())
	if got := table(d.want); got != "1:40" {
		t.Errorf("after the first round %s, want 1:40", got)
	}
}

// What a service is since when: its verdict, and whether it is a panic.
func TestServiceSince(t *testing.T) {
	cfg := farm([]uint32{1, 1, 1, 1}, func(vs *configs.VirtualServer) { vs.PanicThreshold = 50 })
	health, prev := make(map[checker.Key]checker.Change), decisions{}
	for _, s := range []struct {
		at    int64
		say   string
		since int64
	}{
		{1000, "a+ b+ c+ d+", 1000}, {1001, "a- b-", 1000}, {1002, "c-", 1002}, {1003, "", 1002}, {1004, "c+", 1004},
		{1005, "c- d-", 1005},
	} {
		say(health, s.say)
		_, next, _ := desired(time.Unix(s.at, 0), facts{cfg: cfg, health: health}, prev)
		if is := next.services[cfg.VirtualServers[0].Key]; is.since.Unix() != s.since {
			t.Errorf("at %d: %s since %d, want %d", s.at, marks(is), is.since.Unix(), s.since)
		}
		prev = next
	}
}

// Each step of a slow start comes when the deadline said, and they are few and not too close.
func TestSlowStartSteps(t *testing.T) {
	for _, tt := range []struct {
		over   time.Duration
		weight uint32
		want   string
	}{
		{10 * time.Second, 65535, "1 6554 13107 19661 26214 32768 39321 45874 52428 58981 65535"},
		{time.Minute, 5, "1 2 3 4 5"},
		{3500 * time.Millisecond, 100, "1 34 67 100"},
		{500 * time.Millisecond, 100, "1 100"},
		{time.Minute, 1, "1"},
		{0, 100, "100"},
	} {
		cfg := farm([]uint32{tt.weight}, func(vs *configs.VirtualServer) { vs.SlowStart = tt.over })
		health, now := make(map[checker.Key]checker.Change), time.Unix(1000, 0)
		say(health, "a-")
		_, decided, _ := desired(now, facts{cfg: cfg, health: health}, decisions{})
		say(health, "a+")
		var got []string
		for begin := now; ; {
			want, next, deadline := desired(now, facts{cfg: cfg, health: health}, decided)
			got = append(got, fmt.Sprint(want[0].Destinations[0].Weight))
			decided = next
			if deadline.IsZero() {
				if tt.want != fmt.Sprint(tt.weight) && now.Sub(begin) > tt.over {
					t.Errorf("%v: took %v", tt.over, now.Sub(begin))
				}
				break
			}
			if step := deadline.Sub(now); step < min(time.Second, tt.over) || len(got) > 20 {
				t.Fatalf("%v to %d: next step after %v", tt.over, tt.weight, step)
			}
			now = deadline
		}
		if text := strings.Join(got, " "); text != tt.want {
			t.Errorf("%v to %d: %s, want %s", tt.over, tt.weight, text, tt.want)
		}
	}
}
