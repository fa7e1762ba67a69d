// SPDX-License-Identifier: Apache-2.0

// Package vrrpsim runs the election machines of several directors on virtual networks, in virtual time.
//
// A [Network] carries adverts with loss, duplication, reordering, delay and partitions. A [Director] has virtual routers
// on its interfaces, sync groups and tracked things as a real one; it can crash, be held up like a process that got
// SIGSTOP, and have a clock that runs fast or slow. Nothing here waits: an hour takes milliseconds.
//
// [Network.Play] adds what a person asks of it: a script of events, the time line, and what of it is not as it should be.
package vrrpsim

import (
	"container/heap"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/holdfast-lb/holdfast/vrrp"
)

// Network is several directors, the segments between them, and the queue of what is going to happen there.
// Interfaces of the same name are on the same segment.
type Network struct {
	Loss      float64 // part of the adverts that never arrive
	Duplicate float64 // part of those that arrive a second time
	Late      float64 // part of what arrives that comes up to LateBy later, so that others overtake it
	LateBy    time.Duration
	MinDelay  time.Duration // of all that arrives
	MaxDelay  time.Duration
	Directors []*Director
	// OnTransition, if set, is called for every change of state of a virtual router.
	OnTransition func(Transition)
	// OnStep, if set, is called after everything that has happened.
	OnStep func()

	rand     *rand.Rand
	now      time.Time
	events   events
	order    int
	sides    map[string]map[*Director]int // of a partitioned segment
	deafness map[deaf]bool
}

// Transition is one change of state of a virtual router.
type Transition struct {
	At       time.Time
	Router   *Router
	From, To vrrp.State
	Priority uint8
	Reason   string
}

// deaf is one direction of a segment that is cut.
type deaf struct {
	segment  string
	from, to *Director
}

// Epoch is the time at which every simulation starts.
var Epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// NewNetwork returns an empty network on which all chance follows from the seed.
func NewNetwork(seed uint64) *Network {
	return &Network{
		rand: rand.New(rand.NewPCG(seed, 0)), now: Epoch,
		sides: make(map[string]map[*Director]int), deafness: make(map[deaf]bool),
	}
}

// Now is the virtual time.
func (n *Network) Now() time.Time { return n.now }

// At makes f happen at t.
func (n *Network) At(t time.Time, f func()) {
	n.order++
	heap.Push(&n.events, event{at: t, order: n.order, do: f})
}

// Run lets time pass until t.
func (n *Network) Run(t time.Time) {
	for len(n.events) > 0 && !n.events[0].at.After(t) {
		e := heap.Pop(&n.events).(event)
		if e.at.After(n.now) {
			n.now = e.at
		}
		e.do()
		if n.OnStep != nil {
			n.OnStep()
		}
	}
	n.now = t
}

// Partition cuts a segment into sides that do not hear each other. Directors in none of them make up one more.
func (n *Network) Partition(segment string, sides ...[]*Director) {
	of := make(map[*Director]int)
	for i, side := range sides {
		for _, d := range side {
			of[d] = i + 1
		}
	}
	n.sides[segment] = of
}

// Deafen cuts a segment in one direction.
func (n *Network) Deafen(segment string, from, to *Director) {
	n.deafness[deaf{segment, from, to}] = true
}

// Heal ends all that cuts a segment; empty: that cuts any.
func (n *Network) Heal(segment string) {
	for s := range n.sides {
		if segment == "" || s == segment {
			delete(n.sides, s)
		}
	}
	for d := range n.deafness {
		if segment == "" || d.segment == segment {
			delete(n.deafness, d)
		}
	}
}

// Elections returns the virtual routers of all directors, those that take part in the same election together.
func (n *Network) Elections() [][]*Router {
	var all [][]*Router
	for _, d := range n.Directors {
		for _, r := range d.Routers {
			at := slices.IndexFunc(all, func(e []*Router) bool {
				return slices.ContainsFunc(e, func(o *Router) bool { return r.accepts(o) || o.accepts(r) })
			})
			if at < 0 {
				all = append(all, []*Router{r})
				continue
			}
			all[at] = append(all[at], r)
		}
	}
	return all
}

// send delivers an advert to everyone who takes part and is lucky.
func (n *Network) send(from *Router, priority uint8) {
	if from.director.down[from.Config.Interface] {
		return
	}
	a := vrrp.Advert{ID: from.Config.ID, Priority: priority, Interval: from.Config.Interval}
	for _, d := range n.Directors {
		for _, to := range d.Routers {
			if d == from.director || !to.accepts(from) || n.cut(from, to) || n.chance(n.Loss) {
				continue
			}
			n.deliver(from.Source, to, a)
			if n.chance(n.Duplicate) {
				n.deliver(from.Source, to, a)
			}
		}
	}
}

func (n *Network) deliver(from netip.Addr, to *Router, a vrrp.Advert) {
	delay := n.MinDelay + n.upTo(n.MaxDelay-n.MinDelay)
	if n.chance(n.Late) {
		delay += n.upTo(n.LateBy)
	}
	n.At(n.now.Add(delay), func() { to.receive(from, a) })
}

// cut reports whether what one router sends cannot reach another.
func (n *Network) cut(from, to *Router) bool {
	for _, segment := range []string{from.Config.Interface, to.Config.Interface} {
		if of := n.sides[segment]; of[from.director] != of[to.director] {
			return true
		}
		if len(n.deafness) > 0 && n.deafness[deaf{segment, from.director, to.director}] {
			return true
		}
	}
	return false
}

func (n *Network) chance(p float64) bool { return p > 0 && n.rand.Float64() < p }

func (n *Network) upTo(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return time.Duration(n.rand.Int64N(int64(d)))
}

type event struct {
	at    time.Time
	order int // of those at the same time
	do    func()
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at.Before(e[j].at) || e[i].at.Equal(e[j].at) && e[i].order < e[j].order
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}
