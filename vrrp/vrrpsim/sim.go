// SPDX-License-Identifier: Apache-2.0

// Package vrrpsim runs election machines on a virtual LAN, in virtual time.
//
// A [LAN] carries adverts with loss, delay and partitions; a [Node] can crash, stop like a process that got SIGSTOP, and
// have a clock that runs fast or slow. Nothing here waits: an hour takes milliseconds.
package vrrpsim

import (
	"container/heap"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/holdfast-lb/holdfast/vrrp"
)

// LAN is a network of nodes and the queue of what is going to happen on it.
type LAN struct {
	Loss     float64       // part of the adverts that never arrive
	MinDelay time.Duration // of those that do
	MaxDelay time.Duration
	Nodes    []*Node

	rand   *rand.Rand
	now    time.Time
	events events
	order  int
}

// Node is one router.
type Node struct {
	Machine *vrrp.Machine // nil while crashed
	Params  vrrp.Params
	Rate    float64 // of its clock; 1 is true
	Segment int     // nodes of different segments do not hear each other

	lan     *LAN
	wake    time.Time // when the next Tick is queued
	stopped bool
	waiting []func()  // what has arrived while stopped
	lease   time.Time // until when a crashed node's kernel keeps its addresses
}

// Epoch is the time at which every simulation starts.
var Epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// NewLAN returns an empty LAN on which all chance follows from the seed.
func NewLAN(seed uint64) *LAN {
	return &LAN{rand: rand.New(rand.NewPCG(seed, 0)), now: Epoch}
}

// Now is the virtual time.
func (l *LAN) Now() time.Time { return l.now }

// Add puts a node on the LAN; it is crashed until Start.
func (l *LAN) Add(p vrrp.Params) *Node {
	n := &Node{Params: p, Rate: 1, lan: l}
	l.Nodes = append(l.Nodes, n)
	return n
}

// At makes f happen at t.
func (l *LAN) At(t time.Time, f func()) {
	l.order++
	heap.Push(&l.events, event{at: t, order: l.order, do: f})
}

// Run lets time pass until t.
func (l *LAN) Run(t time.Time) {
	for len(l.events) > 0 && !l.events[0].at.After(t) {
		e := heap.Pop(&l.events).(event)
		l.now = e.at
		e.do()
	}
	l.now = t
}

// Masters counts the nodes in state master.
func (l *LAN) Masters() int { return l.count((*Node).Master) }

// Holders counts the nodes that have the addresses, dead ones among them.
func (l *LAN) Holders() int { return l.count((*Node).Holds) }

func (l *LAN) count(f func(*Node) bool) int {
	n := 0
	for _, node := range l.Nodes {
		if f(node) {
			n++
		}
	}
	return n
}

// send delivers an advert to everyone on the sender's segment who is lucky.
func (l *LAN) send(from *Node, priority uint8) {
	a := vrrp.Advert{ID: 1, Priority: priority, Interval: from.Params.Interval}
	for _, to := range l.Nodes {
		if to == from || to.Segment != from.Segment || l.rand.Float64() < l.Loss {
			continue
		}
		delay := l.MinDelay
		if l.MaxDelay > l.MinDelay {
			delay += time.Duration(l.rand.Int64N(int64(l.MaxDelay - l.MinDelay)))
		}
		l.At(l.now.Add(delay), func() { to.receive(from, a) })
	}
}

// Start starts the node, or starts it anew after a crash.
func (n *Node) Start() {
	n.Machine = vrrp.NewMachine(n.Params)
	n.stopped, n.waiting = false, nil
	n.do(n.Machine.Start(n.local(), 0, false))
}

// Crash ends the node's process; the kernel keeps its addresses for the lease.
func (n *Node) Crash(lease time.Duration) {
	if n.Machine != nil && n.Machine.Holding() {
		n.lease = n.lan.now.Add(lease)
	}
	n.Machine = nil
}

// Leave stops the node as planned.
func (n *Node) Leave() {
	if n.Machine != nil {
		n.do(n.Machine.Stop(n.local()))
	}
}

// Suspend holds the node's process up; it misses nothing that arrives, but does nothing.
func (n *Node) Suspend() { n.stopped = true }

// Resume lets it go on: with the timer first if it is a master, with what has arrived first if not, as an Instance does.
func (n *Node) Resume() {
	n.stopped = false
	if n.Machine == nil {
		return
	}
	n.do(n.Machine.CatchUp(n.local()))
	if n.Master() {
		n.tick()
	}
	waiting := n.waiting
	n.waiting = nil
	for _, f := range waiting {
		f()
	}
	n.tick()
}

// Alive reports whether the node's process runs and takes part.
func (n *Node) Alive() bool {
	if n.Machine == nil {
		return false
	}
	s, _, _ := n.Machine.State()
	return s == vrrp.Master || s == vrrp.Backup
}

// Master reports whether the node is master.
func (n *Node) Master() bool {
	if n.Machine == nil {
		return false
	}
	s, _, _ := n.Machine.State()
	return s == vrrp.Master
}

// Holds reports whether the addresses are on the node.
func (n *Node) Holds() bool {
	if n.Machine == nil {
		return n.lan.now.Before(n.lease)
	}
	return n.Machine.Holding()
}

func (n *Node) receive(from *Node, a vrrp.Advert) {
	if n.Machine == nil {
		return
	}
	if n.stopped {
		n.waiting = append(n.waiting, func() { n.receive(from, a) })
		return
	}
	n.do(n.Machine.Receive(n.local(), from.Params.Source, a))
}

func (n *Node) tick() {
	if n.Machine != nil && !n.stopped {
		n.do(n.Machine.Tick(n.local()))
	}
}

func (n *Node) do(acts []vrrp.Action) {
	for _, a := range acts {
		if a.Kind == vrrp.SendAdvert {
			n.lan.send(n, a.Priority)
		}
	}
	d := n.Machine.Deadline()
	if d.IsZero() {
		return
	}
	at := n.global(d)
	if at.Before(n.lan.now) {
		at = n.lan.now
	}
	if at.Equal(n.wake) {
		return
	}
	n.wake = at
	m := n.Machine
	n.lan.At(at, func() {
		if n.Machine == m && n.wake.Equal(at) {
			n.wake = time.Time{}
			n.tick()
		}
	})
}

// local is the node's own clock.
func (n *Node) local() time.Time {
	return Epoch.Add(time.Duration(float64(n.lan.now.Sub(Epoch)) * n.Rate))
}

// global is the true time at which the node's clock shows t, rounded up so that a deadline has passed by then.
func (n *Node) global(t time.Time) time.Time {
	return Epoch.Add(time.Duration(float64(t.Sub(Epoch))/n.Rate) + time.Microsecond)
}

// Address returns an address for the nth node.
func Address(n int) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, 0, byte(n + 1)}) }

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
