// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// soakKind is a kind of fault that soak knows.
type soakKind int

const (
	_           soakKind = iota
	soakKill             // the director is killed, and started again later
	soakRestart          // it is stopped as planned, and started again later
	soakFreeze
	soakCut
	soakUnplug
	soakDown
	soakLoss
	soakMute
	soakReload
	soakFailover
	soakAddress // someone deletes the virtual address
	// What needs IPVS.
	soakSick
	soakGone
	soakDrain
	soakTable
)

var soakKinds = map[soakKind]string{
	soakKill: "kill", soakRestart: "restart", soakFreeze: "freeze", soakCut: "cut", soakUnplug: "unplug", soakDown: "down",
	soakLoss: "loss", soakMute: "mute", soakReload: "reload", soakFailover: "failover", soakAddress: "address",
	soakSick: "sick", soakGone: "gone", soakDrain: "drain", soakTable: "table",
}

func (k soakKind) String() string {
	if name := soakKinds[k]; name != "" {
		return name
	}
	return fmt.Sprintf("kind(%d)", int(k))
}

// soakChances are how often a kind is drawn, in proportion. Those that end a process are rare: what grows needs time.
var soakChances = []struct {
	kind soakKind
	part int
}{
	{soakKill, 1}, {soakRestart, 1}, {soakFreeze, 2}, {soakCut, 2}, {soakUnplug, 2}, {soakDown, 2}, {soakLoss, 2}, {soakMute, 2},
	{soakReload, 4}, {soakFailover, 2}, {soakAddress, 2}, {soakSick, 3}, {soakGone, 2}, {soakDrain, 3}, {soakTable, 3},
}

// The times of a round: when a fault begins at the latest, and how long it lasts.
const (
	soakBegins   = 3 * time.Second
	soakShortest = 300 * time.Millisecond
	soakLongest  = 8 * time.Second
	soakTogether = 4 // faults in a round, at most
)

// A soakConfig is what the configuration of the directors has that reloads change.
type soakConfig struct {
	raise   int    // of both priorities
	weights [3]int // of the real servers; 0: it is not configured
}

// A soakStep is one fault of a round.
type soakStep struct {
	kind   soakKind
	who    int // director, or real server, from 0
	at     time.Duration
	lasts  time.Duration
	figure int // percent of loss, or which way to spoil the table
	// stays says that it lasts through the quiet time, which can then be judged with it.
	stays   bool
	configs [2]soakConfig // of a reload: at the beginning and at the end
}

func (s soakStep) String() string {
	who := fmt.Sprintf("lb%d", s.who+1)
	switch s.kind {
	case soakSick, soakGone, soakDrain:
		who = fmt.Sprintf("web%d", s.who+1)
	case soakReload:
		who = fmt.Sprintf("%v then %v", s.configs[0].weights, s.configs[1].weights)
	}
	text := fmt.Sprintf("%s %s at %s for %s", s.kind, who, seconds(s.at.Seconds()), seconds(s.lasts.Seconds()))
	switch {
	case s.stays:
		text += " and on"
	case s.kind == soakLoss:
		text += fmt.Sprintf(" (%d %%)", s.figure)
	case s.kind == soakTable:
		text += fmt.Sprintf(" (%s)", soakSpoils[s.figure])
	}
	return text
}

// deaf reports whether directors may not hear each other, so that two of them hold the address and are right.
func (s soakStep) deaf() bool { return s.kind == soakCut || s.kind == soakLoss || s.kind == soakMute }

// place is what only one step of a round has: undoing two at once would undo the wrong one.
func (s soakStep) place() string {
	switch s.kind {
	case soakKill, soakRestart, soakFreeze:
		return fmt.Sprint("process", s.who)
	case soakUnplug, soakCut, soakDown:
		return fmt.Sprint("port", s.who)
	case soakLoss, soakMute:
		return fmt.Sprint("filter", s.who)
	case soakSick, soakGone, soakDrain:
		return fmt.Sprint("server", s.who)
	case soakReload:
		return "configuration"
	}
	return fmt.Sprint(s.kind, s.who)
}

// planRound draws the steps of a round. The same seed and round give the same steps, whatever came before.
func planRound(seed uint64, round int, balances bool) (steps []soakStep) {
	r := rand.New(rand.NewPCG(seed, uint64(round)))
	between := func(least, most time.Duration) time.Duration {
		return (least + time.Duration(r.Int64N(int64(most-least)))).Round(time.Millisecond)
	}
	taken := make(map[string]bool)
	reloads := false
	for range 1 + r.IntN(soakTogether) {
		s := soakStep{kind: drawKind(r, balances), who: r.IntN(2), at: between(0, soakBegins), lasts: between(soakShortest, soakLongest)}
		stays := r.IntN(3) == 0
		switch s.kind {
		case soakSick, soakGone, soakDrain:
			s.who = 1 + r.IntN(2) // web1 is always there
			s.stays = stays
		case soakLoss:
			s.figure = 10 + r.IntN(50)
		case soakTable:
			s.figure = r.IntN(len(soakSpoils))
		case soakReload:
			s.configs = [2]soakConfig{drawConfig(r), drawConfig(r)}
			reloads = true
		}
		if !taken[s.place()] {
			taken[s.place()] = true
			steps = append(steps, s)
		}
	}
	for i := range steps {
		// A reload that takes a server away ends its drain, and which of the two came last is not told by the plan.
		steps[i].stays = steps[i].stays && !(reloads && steps[i].kind == soakDrain)
	}
	slices.SortFunc(steps, func(a, b soakStep) int { return int(a.at - b.at) })
	return steps
}

func drawKind(r *rand.Rand, balances bool) soakKind {
	all := 0
	for _, c := range soakChances {
		if balances || c.kind < soakSick {
			all += c.part
		}
	}
	drawn := r.IntN(all)
	for _, c := range soakChances {
		if !balances && c.kind >= soakSick {
			continue
		}
		if drawn -= c.part; drawn < 0 {
			return c.kind
		}
	}
	return soakKill // not reached
}

func drawConfig(r *rand.Rand) (c soakConfig) {
	c.raise = r.IntN(10)
	for i := range c.weights {
		c.weights[i] = r.IntN(10)
	}
	c.weights[0]++
	return c
}

// planText is a plan on one line.
func planText(steps []soakStep) string {
	var all []string
	for _, s := range steps {
		all = append(all, s.String())
	}
	return strings.Join(all, "; ")
}
