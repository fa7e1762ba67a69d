// SPDX-License-Identifier: Apache-2.0

package vrrpsim

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/vrrp"
)

var upstream = Tracked{"script", "upstream"}

// TestFindings: what the default script finds, in pairs of which each has one thing wrong.
func TestFindings(t *testing.T) {
	tests := []struct {
		name   string
		change func(a, b *Router)
		want   []string
	}{
		{name: "nothing wrong"},
		{
			"weight too small", func(a, _ *Router) { a.Tracked = []Weighted{{upstream, -20}} },
			[]string{"10 s: script upstream failing on lb1 never moved web: priority 200-20=180 is still above 150 of lb2"},
		},
		{
			"weight to a tie", func(a, _ *Router) { a.Tracked = []Weighted{{upstream, -50}} },
			[]string{"10 s: script upstream failing on lb1 never moved web: priority 200-50=150 equals that of lb2, which leaves an equal master alone"},
		},
		{name: "weight enough", change: func(a, _ *Router) { a.Tracked = []Weighted{{upstream, -51}} }},
		{
			"bonus too small", func(a, _ *Router) { a.Tracked = []Weighted{{upstream, 10}} },
			[]string{"10 s: script upstream failing on lb1 never moved web: priority 200 is still above 150 of lb2"},
		},
		{
			"bonus beyond the most", func(a, _ *Router) {
				a.Tracked = []Weighted{{upstream, -20}, {Tracked{"file", "bonus"}, 80}}
			},
			[]string{
				"10 s: script upstream failing on lb1 never moved web: priority 200-20+80 (at most 254 and at least 1)=254 is still above 150 of lb2",
				"14 s: file bonus failing on lb1 never moved web: priority 200 is still above 150 of lb2",
			},
		},
		{
			"preempt off", func(a, b *Router) { a.Tracked, b.Config.Preempt = []Weighted{{upstream, -100}}, false },
			[]string{"10 s: script upstream failing on lb1 never moved web: priority 200-100=100 is below 150 of lb2, but preempt is off there"},
		},
		{name: "fault", change: func(a, b *Router) { a.Tracked, b.Config.Preempt = []Weighted{{upstream, 0}}, false }},
		{
			"other id", func(_, b *Router) { b.Config.ID = 52 },
			[]string{"web of lb1 and web of lb2 have 10.0.0.100 in common but never hear each other: id is 51 here and 52 there"},
		},
		{
			"other version", func(_, b *Router) { b.Config.Version = 2 },
			[]string{"web of lb1 and web of lb2 have 10.0.0.100 in common but never hear each other: version is 3 here and 2 there"},
		},
		{
			"one source", func(a, b *Router) { b.Source = a.Source },
			[]string{"web of lb1 and web of lb2 have 10.0.0.100 in common but never hear each other: both send from 10.0.0.1, and neither hears what comes from its own address"},
		},
		{name: "interface of another name", change: func(_, b *Router) { b.Config.Interface = "ens3" }},
		{
			"one password", func(a, b *Router) {
				a.Config.Version, b.Config.Version, b.Config.Password = 2, 2, "secret"
			},
			[]string{"web of lb1 and web of lb2 have 10.0.0.100 in common but never hear each other: their passwords differ"},
		},
		{
			"not among the peers", func(a, b *Router) {
				a.Config.Unicast = vrrp.Unicast{Source: a.Source, Peers: []netip.Addr{b.Source}}
				b.Config.Unicast = vrrp.Unicast{Source: b.Source, Peers: []netip.Addr{address(8)}}
			},
			[]string{"web of lb1 and web of lb2 have 10.0.0.100 in common but never hear each other: 10.0.0.1 is not among the peers of lb2"},
		},
		{
			name: "unicast over interfaces of different names", change: func(a, b *Router) {
				a.Config.Unicast = vrrp.Unicast{Source: a.Source, Peers: []netip.Addr{b.Source}}
				b.Config.Unicast = vrrp.Unicast{Source: b.Source, Peers: []netip.Addr{a.Source}}
				b.Config.Interface = "ens3"
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n, a, b := pair(1, 100*time.Millisecond)
			for _, r := range []*Router{a, b} {
				r.Config.Addresses = []vrrp.Address{{Prefix: netip.MustParsePrefix("10.0.0.100/32"), Device: "eth0"}}
			}
			if tt.change != nil {
				tt.change(a, b)
			}
			text, length := n.DefaultScript()
			events, err := ParseScript("default", []byte(text), n)
			if err != nil {
				t.Fatal(err)
			}
			got := n.Play(events, length).Findings
			if !slices.Equal(got, tt.want) {
				t.Errorf("script\n%sgot\n\t%s\nwant\n\t%s", text, strings.Join(got, "\n\t"), strings.Join(tt.want, "\n\t"))
			}
		})
	}
}

// play runs a script on a network.
func play(t *testing.T, n *Network, script string) Report {
	t.Helper()
	events, err := ParseScript("test", []byte(script), n)
	if err != nil {
		t.Fatal(err)
	}
	return n.Play(events, events[len(events)-1].At+n.Settle())
}

// TestGroupMovesTogether: what moves one member of a sync group moves the other; a priority that only one of them loses
// moves none.
func TestGroupMovesTogether(t *testing.T) {
	build := func() (*Network, []*Router) {
		n := NewNetwork(1)
		var list []*Router
		for i, name := range []string{"lb1", "lb2"} {
			d := n.Add(name)
			for id, router := range []string{"web", "dns"} {
				c := config(uint8(200-50*i), 100*time.Millisecond)
				c.Name, c.ID, c.Interface = router, uint8(id+1), "eth"+string(rune('0'+id))
				list = append(list, d.Add(Router{Config: c, Source: address(i), Group: "edge"}))
			}
		}
		return n, list
	}
	n, r := build()
	play(t, n, "0s all boot\n5s lb1 link eth1 down")
	if r[0].isMaster() || r[1].isMaster() || !r[2].isMaster() || !r[3].isMaster() {
		t.Errorf("a link down on one moved not all: %v %v %v %v", r[0].State(), r[1].State(), r[2].State(), r[3].State())
	}
	n, r = build()
	r[0].Tracked = []Weighted{{upstream, -100}}
	got := play(t, n, "0s all boot\n5s lb1 track script upstream failed")
	want := "5 s: script upstream failing on lb1 never moved web: priority 200-100=100 is below 150 of lb2, but there: " +
		"dns of sync group edge is not master: lb1 has priority 200 against 150"
	if !slices.Equal(got.Findings, []string{want}) || !r[0].isMaster() || !r[1].isMaster() {
		t.Errorf("got %q, want %q; web is %v and dns %v on lb1", got.Findings, want, r[0].State(), r[1].State())
	}
}

// TestLeaseEndsAHoldUp: the kernel takes the addresses from a director that is held up or dead.
func TestLeaseEndsAHoldUp(t *testing.T) {
	for _, fault := range []string{"stall", "crash"} {
		n, a, _ := pair(1, time.Second)
		play(t, n, "0s lb1 boot\n10s lb1 "+fault)
		n.Run(Epoch.Add(14 * time.Second))
		if !a.Holds() {
			t.Errorf("%s: the addresses are gone before their lease of 5 s has ended", fault)
		}
		n.Run(Epoch.Add(15 * time.Second))
		if a.Holds() {
			t.Errorf("%s: the addresses outlast their lease", fault)
		}
	}
}

// TestRestartWithinTheLease: the director is master again before anybody could take over.
func TestRestartWithinTheLease(t *testing.T) {
	n, a, b := pair(1, time.Second)
	play(t, n, "0s all boot\n10s lb1 crash\n11s lb1 boot")
	if !a.isMaster() || b.isMaster() || !strings.HasPrefix(a.Reason(), "was master before the restart") {
		t.Errorf("lb1 is %v: %s", a.State(), a.Reason())
	}
}

// TestFileValue: the number in a file times its weight counts.
func TestFileValue(t *testing.T) {
	n, a, b := pair(1, time.Second)
	a.Tracked = []Weighted{{Tracked{"file", "level"}, 3}}
	play(t, n, "0s all boot\n10s lb1 track file level value -20")
	if p, _ := a.Priority(); p != 140 || !b.isMaster() {
		t.Errorf("priority %d, lb2 is %v", p, b.State())
	}
}

// TestFileValueOfAFault: a number other than 0 in a file without a weight is a fault, as for a director.
func TestFileValueOfAFault(t *testing.T) {
	n, a, b := pair(1, time.Second)
	a.Tracked = []Weighted{{Tracked{"file", "maintenance"}, 0}}
	play(t, n, "0s all boot\n10s lb1 track file maintenance value 1")
	if a.State() != vrrp.Fault || !b.isMaster() {
		t.Errorf("lb1 is %v, lb2 is %v", a.State(), b.State())
	}
	n, a, _ = pair(1, time.Second)
	a.Tracked = []Weighted{{Tracked{"file", "maintenance"}, 0}}
	play(t, n, "0s all boot\n10s lb1 track file maintenance value 0")
	if !a.isMaster() {
		t.Errorf("with 0 lb1 is %v", a.State())
	}
}

// TestStallEndsOnce: the end of a stall that a crash has cut short does not end the next one.
func TestStallEndsOnce(t *testing.T) {
	n, a, _ := pair(1, time.Second)
	play(t, n, "0s all boot\n5s lb1 stall 20s\n10s lb1 crash\n11s lb1 boot\n16s lb1 stall\n60s network loss 0")
	if !a.director.Stalled() {
		t.Error("lb1 went on by itself")
	}
}

// TestScriptText: what a person may write.
func TestScriptText(t *testing.T) {
	for text, want := range map[string]string{
		"0s lb1 unready \"pool #3 is down\" # a comment": "",
		"0s lb1 boot# a comment":                         "",
		"\ufeff0s lb1 boot\r\n":                          "",
		"9000h lb1 boot":                                 "a year",
		"0s lb1 stall 9000h":                             "a year",
		"0s network delay 1s 9000h":                      "a year",
		"0s lb1 unready \"":                              "takes a reason in quotes",
	} {
		n, _, _ := pair(1, time.Second)
		_, err := ParseScript("x", []byte(text), n)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
}

// TestPlayRepeats: the same seed gives the same time line, another one another.
func TestPlayRepeats(t *testing.T) {
	run := func(seed uint64) []Entry {
		n, _, _ := pair(seed, time.Second)
		n.Loss = 0.2
		return play(t, n, "0s all boot\n10s lb1 crash\n100s lb1 boot").Timeline
	}
	at := func(list []Entry) (times []Seconds) {
		for _, e := range list {
			times = append(times, e.At)
		}
		return times
	}
	if !slices.Equal(at(run(1)), at(run(1))) || slices.Equal(at(run(1)), at(run(2))) {
		t.Error("chance does not follow from the seed")
	}
}
