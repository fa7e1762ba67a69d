// SPDX-License-Identifier: Apache-2.0

package vrrpsim

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/vrrp"
)

var (
	oneSeed = flag.Int64("seed", -1, "run this seed of TestSimulation alone, and print what happens")
	seeds   = flag.Int("seeds", 10000, "how many seeds TestSimulation runs")
)

// TestSimulation lets chance do its worst to two or three directors, then leaves them in peace. Once the network is quiet
// each election has exactly one master and one holder, for good: of the highest priority if all preempt, and the same
// director for all members of a sync group. Nobody waits longer for a master than the bound says, quiet or not.
func TestSimulation(t *testing.T) {
	if *oneSeed >= 0 {
		tr := newTrial(uint64(*oneSeed))
		tr.trace = func(format string, args ...any) { t.Logf(format, args...) }
		if err := tr.run(); err != nil {
			t.Error(err)
		}
		return
	}
	n := *seeds
	if testing.Short() {
		n = min(n, 1000)
	}
	results := make([]result, n)
	var wg sync.WaitGroup
	for first := range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for seed := first; seed < n; seed += runtime.GOMAXPROCS(0) {
				tr := newTrial(uint64(seed))
				err := tr.run()
				results[seed] = result{tr.kind, tr.gap, tr.bound, tr.settled, tr.settle(), err}
			}
		})
	}
	wg.Wait()
	rows := make(map[string]*row)
	for seed, r := range results {
		if r.err != nil {
			t.Errorf("seed %d: %v\nrepeat: go test ./vrrp/vrrpsim -run Simulation -v -seed %d", seed, r.err, seed)
		}
		if rows[r.kind] == nil {
			rows[r.kind] = &row{}
		}
		rows[r.kind].add(r)
	}
	t.Log(table(rows))
}

// trial is one seed.
type trial struct {
	r         *rand.Rand
	n         *Network
	kind      string
	interval  time.Duration // the longest
	delayed   time.Duration // by preempt_delay
	startup   time.Duration
	grouped   bool
	elections [][]*Router
	trace     func(format string, args ...any)

	disturbed time.Time   // when chance struck last
	served    []time.Time // when each election had a master last, or nobody who could be
	gap       time.Duration
	bound     time.Duration // of a time without a master
	settled   time.Duration
	failure   error
}

func newTrial(seed uint64) *trial {
	t := &trial{r: rand.New(rand.NewPCG(seed, 1)), n: NewNetwork(seed), trace: func(string, ...any) {}}
	t.n.OnTransition = func(x Transition) {
		t.trace("%10v  %s %s: %v -> %v (%d): %s", x.At.Sub(Epoch), x.Router.director.Name, x.Router.Config.Name, x.From, x.To,
			x.Priority, x.Reason)
	}
	t.build()
	t.elections = t.n.Elections()
	t.served = make([]time.Time, len(t.elections))
	t.n.OnStep = t.watch
	return t
}

// oneIn is true once in n times.
func (t *trial) oneIn(n int) bool { return t.r.IntN(n) == 0 }

func (t *trial) upTo(d time.Duration) time.Duration { return time.Duration(t.r.Int64N(int64(d) + 1)) }

func pick[T any](t *trial, list ...T) T { return list[t.r.IntN(len(list))] }

// build chooses directors, virtual routers and what they depend on.
func (t *trial) build() {
	n, version := t.n, pick[uint8](t, 3, 3, 2)
	interval := pick(t, 10*time.Millisecond, 100*time.Millisecond, time.Second)
	if version == 2 {
		interval = time.Second
	}
	t.grouped = t.oneIn(3)
	t.kind = fmt.Sprintf("VRRPv%d", version)
	if t.grouped {
		t.kind += ", sync group"
	}
	learned, owner := version == 3 && t.oneIn(4), version == 3 && t.oneIn(10)
	allPreempt, equal, tracked := t.oneIn(2), t.oneIn(4), t.oneIn(2)
	routers := 1 + t.r.IntN(2)
	for i := range 2 + t.r.IntN(2) {
		c := vrrp.Config{
			Version: version, Priority: uint8(1 + t.r.IntN(254)), Interval: interval,
			Preempt: allPreempt || t.oneIn(2), Handover: !t.oneIn(4),
		}
		if equal {
			c.Priority = 100
		}
		if owner && i == 0 {
			c.Priority = 255
		}
		if learned {
			c.Interval *= time.Duration(1 + t.r.IntN(3))
		}
		if t.oneIn(8) {
			c.PreemptDelay = t.upTo(5 * interval)
		}
		if t.oneIn(8) {
			c.StartupDelay = t.upTo(5 * interval)
		}
		c.Lease = 5 * c.Interval
		t.interval, t.delayed, t.startup = max(t.interval, c.Interval), max(t.delayed, c.PreemptDelay), max(t.startup, c.StartupDelay)
		t.director(n.Add(fmt.Sprintf("lb%d", i+1)), c, routers, tracked)
	}
	n.Loss, n.Duplicate, n.Late = pick(t, 0, 0.05, 0.3), pick(t, 0, 0.2), pick(t, 0, 0.2)
	n.MinDelay, n.MaxDelay, n.LateBy = interval/10000, interval/50, 2*interval
	// Every skew at its most, clocks that are slow by 1 %, and an advert that was on its way.
	t.bound = t.masterDown() + t.startup + n.MaxDelay
	if n.Late > 0 {
		t.bound += n.LateBy
	}
}

// director gives a director its clock and its virtual routers, which have almost the same configuration.
func (t *trial) director(d *Director, c vrrp.Config, routers int, tracked bool) {
	d.Rate = 0.99 + 0.02*t.r.Float64()
	if t.grouped {
		routers = 2
	}
	for i := range routers {
		c.Name, c.Interface, c.ID = fmt.Sprintf("vr%d", i+1), fmt.Sprintf("eth%d", i), uint8(i+1)
		r := Router{Config: c, Source: address(len(t.n.Directors) - 1)}
		if t.grouped {
			r.Group = "all"
		}
		if tracked {
			r.Tracked = []Weighted{{Tracked{"script", "a"}, pick(t, -100, -20, 50)}, {Tracked{"process", "b"}, 0}}
		}
		d.Add(r)
	}
}

// masterDown is the longest master-down interval there can be, by the slowest clock.
func (t *trial) masterDown() time.Duration {
	skew := t.interval
	if t.n.Directors[0].Routers[0].Config.Version == 2 {
		skew = time.Second
	}
	return (3*t.interval + skew) * 102 / 100
}

// settle is how long the network may take, once quiet, until there is one master.
func (t *trial) settle() time.Duration {
	d := t.masterDown() + t.startup + t.n.MaxDelay
	if t.grouped {
		d *= 2
	}
	return d
}

// watch measures the times without a master.
func (t *trial) watch() {
	for i, e := range t.elections {
		now := t.n.Now()
		if !slices.ContainsFunc(e, (*Router).able) || slices.ContainsFunc(e, func(r *Router) bool {
			return r.isMaster() && !r.director.stalled
		}) {
			t.served[i] = now
			continue
		}
		since := t.served[i]
		if t.disturbed.After(since) {
			since = t.disturbed
		}
		gap := now.Sub(since)
		if t.gap = max(t.gap, gap); gap > t.bound && t.failure == nil {
			t.failure = fmt.Errorf("%v: no master of %s for %v, the bound is %v", now.Sub(Epoch), e[0].Config.Name, gap, t.bound)
		}
	}
}

// run is chance first, and then peace.
func (t *trial) run() error {
	t.disturbed = Epoch
	for _, d := range t.n.Directors {
		d.Boot()
	}
	end := Epoch.Add(40 * t.interval)
	for t.n.Now().Before(end) {
		t.n.Run(t.n.Now().Add(t.upTo(4 * t.interval)))
		t.fault()
	}
	t.n.Run(t.n.Now().Add(8 * t.interval)) // who is stopping has stopped, what is held up goes on
	t.peace()
	t.n.Run(t.n.Now().Add(t.n.LateBy)) // what was on its way
	t.disturbed = t.n.Now()
	if err := t.quiet(); err != nil {
		return err
	}
	return t.failure
}

// fault does one thing that nobody wants.
func (t *trial) fault() {
	d := pick(t, t.n.Directors...)
	segment := pick(t, d.Routers...).Config.Interface
	what := t.r.IntN(16)
	t.trace("%10v  fault %d on %s %s", t.n.Now().Sub(Epoch), what, d.Name, segment)
	t.disturbed = t.n.Now()
	switch what {
	case 0:
		d.Crash()
	case 1, 2:
		d.Boot()
	case 3:
		d.Stop()
	case 4:
		t.n.Partition(segment, []*Director{d})
	case 5:
		t.n.Deafen(segment, d, pick(t, t.n.Directors...))
	case 6, 7:
		t.n.Heal("")
	case 8:
		t.stall(d, t.upTo(8*t.interval))
	case 9:
		d.SetUnready(pick(t, "", "no real server is up"))
	case 10:
		d.SetLink(segment, t.oneIn(2))
	case 11:
		d.Track(Tracked{"script", "a"}, t.oneIn(2))
	case 12:
		d.Track(Tracked{"process", "b"}, t.oneIn(2))
	case 13, 14:
		d.StepDown()
	case 15:
		d.Return()
	}
}

// stall holds a director up. A master must be none when it goes on after others have taken over.
func (t *trial) stall(d *Director, length time.Duration) {
	if !d.running || d.stalled {
		return
	}
	var masters []*Router
	for _, r := range d.Routers {
		if r.isMaster() {
			masters = append(masters, r)
		}
	}
	d.Stall()
	process := d.Routers[0].machine
	t.n.At(t.n.Now().Add(length), func() {
		if !d.stalled || d.Routers[0].machine != process { // went on, or began anew
			return
		}
		t.disturbed = t.n.Now()
		d.Resume()
		if length > t.masterDown() && slices.ContainsFunc(masters, (*Router).isMaster) && t.failure == nil {
			t.failure = fmt.Errorf("%v: %s is master after a stall of %v", t.n.Now().Sub(Epoch), d.Name, length)
		}
	})
}

// peace ends every fault but some: a director may be dead, unready or without a link for good.
func (t *trial) peace() {
	t.trace("%10v  peace", t.n.Now().Sub(Epoch))
	t.disturbed = t.n.Now()
	t.n.Loss, t.n.Duplicate, t.n.Late = 0, 0, 0
	t.n.Heal("")
	for i, d := range t.n.Directors {
		d.Resume()
		if i > 0 && t.oneIn(3) {
			continue
		}
		if !d.running || t.oneIn(4) {
			d.Boot()
		}
		d.Well()
	}
}

// quiet checks what must be true from now on.
func (t *trial) quiet() error {
	start := t.n.Now()
	end := start.Add(t.settle())
	last := start
	step := t.n.OnStep
	t.n.OnStep = func() {
		step()
		for _, e := range t.elections {
			if m := count(e, (*Router).isMaster); m != 1 && slices.ContainsFunc(e, (*Router).able) {
				last = t.n.Now()
			}
		}
	}
	t.n.Run(end)
	t.settled = last.Sub(start)
	// The old master lingers, and preempt_delay runs.
	t.n.Run(t.n.Now().Add(min(t.interval, 300*time.Millisecond)*102/100 + 5*t.interval))
	for range 2 {
		var wrong error
		t.n.OnStep = func() {
			step()
			if wrong == nil {
				wrong = t.unique()
			}
		}
		t.n.Run(t.n.Now().Add(20 * t.interval))
		if wrong != nil {
			return fmt.Errorf("after %v of quiet: %w", t.n.Now().Sub(start), wrong)
		}
		// Preemption at the end of preempt_delay is a change of masters.
		t.n.OnStep = step
		t.n.Run(t.n.Now().Add(t.delayed + t.settle()))
	}
	return t.right()
}

// unique says where there is not one master, and one holder.
func (t *trial) unique() error {
	for _, e := range t.elections {
		want := 0
		if slices.ContainsFunc(e, (*Router).able) {
			want = 1
		}
		if m := count(e, (*Router).isMaster); m != want {
			return fmt.Errorf("%d masters of %s", m, e[0].Config.Name)
		}
		if h := count(e, (*Router).Holds); h != want {
			return fmt.Errorf("%d holders of %s", h, e[0].Config.Name)
		}
	}
	return nil
}

// right says where the wrong one is master.
func (t *trial) right() error {
	var first *Router
	for _, e := range t.elections {
		at := slices.IndexFunc(e, (*Router).isMaster)
		if at < 0 {
			continue
		}
		m := e[at]
		if first == nil {
			first = m
		}
		if t.grouped && m.director != first.director {
			return fmt.Errorf("%s has %s and %s has %s of one sync group", first.director.Name, first.Config.Name,
				m.director.Name, m.Config.Name)
		}
		if t.grouped || m.director.unready != "" {
			continue
		}
		for _, r := range e {
			if r.able() && r.director.unready == "" && !r.stepped && r.Config.Preempt && r.priority > m.priority {
				return fmt.Errorf("%s is master of %s with priority %d, beside %s with %d", m.director.Name, m.Config.Name,
					m.priority, r.director.Name, r.priority)
			}
		}
	}
	return nil
}
