// SPDX-License-Identifier: Apache-2.0

package vrrpsim

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/vrrp"
)

func pair(seed uint64, interval time.Duration) (*LAN, *Node, *Node) {
	l := NewLAN(seed)
	l.MinDelay, l.MaxDelay = 100*time.Microsecond, time.Millisecond
	p := vrrp.Params{Priority: 200, Interval: interval, Preempt: true, Handover: true, Source: Address(0)}
	a := l.Add(p)
	p.Priority, p.Source = 150, Address(1)
	return l, a, l.Add(p)
}

// TestSeeds lets chance do its worst to two to four routers for a minute, then leaves them in peace: once the network has
// been quiet for a master-down interval there is exactly one master, and one lingering moment later one holder, for good.
func TestSeeds(t *testing.T) {
	seeds := 2000
	if testing.Short() {
		seeds = 1000
	}
	for seed := range uint64(seeds) {
		if err := trial(seed); err != nil {
			t.Errorf("seed %d: %v", seed, err)
		}
	}
}

func trial(seed uint64) error {
	r := rand.New(rand.NewPCG(seed, 1))
	l := NewLAN(seed)
	interval := []time.Duration{10 * time.Millisecond, 100 * time.Millisecond, time.Second}[r.IntN(3)]
	l.MinDelay, l.MaxDelay = interval/10000, interval/50
	l.Loss = []float64{0, 0.05, 0.3}[r.IntN(3)]
	for i := range 2 + r.IntN(3) {
		n := l.Add(vrrp.Params{
			Priority: uint8(1 + r.IntN(254)), Interval: interval, Preempt: r.IntN(4) > 0, Handover: r.IntN(4) > 0, Source: Address(i),
		})
		n.Rate = 0.99 + 0.02*r.Float64()
		n.Start()
	}
	faults(l, r, interval, Epoch.Add(60*interval))

	// Peace: everyone is up and hears everyone.
	l.Loss = 0
	for _, n := range l.Nodes {
		n.Segment = 0
		if n.Resume(); !n.Alive() || r.IntN(3) == 0 {
			n.Start()
		}
		if r.IntN(4) > 0 { // some cannot serve: there must be a master all the same
			n.Machine.SetUnready("")
		}
	}
	quiet := l.Now()
	// With every skew at its most, and a clock that is slow by 1 %.
	down := 4*interval + interval/10
	l.Run(quiet.Add(down + 2*l.MaxDelay))
	if got := l.Masters(); got != 1 {
		return fmt.Errorf("%d masters after %v of quiet", got, l.Now().Sub(quiet))
	}
	l.Run(l.Now().Add(min(interval, 300*time.Millisecond) + interval/10))
	for range 200 {
		if m, h := l.Masters(), l.Holders(); m != 1 || h != 1 {
			return fmt.Errorf("%d masters and %d holders after %v of quiet", m, h, l.Now().Sub(quiet))
		}
		l.Run(l.Now().Add(interval / 10))
	}
	return nil
}

// faults injects one fault every other interval.
func faults(l *LAN, r *rand.Rand, interval time.Duration, until time.Time) {
	for l.Now().Before(until) {
		n := l.Nodes[r.IntN(len(l.Nodes))]
		switch r.IntN(9) {
		case 0:
			n.Crash(4 * interval)
		case 1:
			n.Start()
		case 2:
			n.Leave()
		case 3:
			n.Segment = 1 + r.IntN(2)
		case 4:
			n.Segment = 0
		case 5:
			n.Suspend()
			l.At(l.Now().Add(time.Duration(r.Int64N(int64(8*interval)))), n.Resume)
		case 6:
			if n.Machine != nil {
				n.Machine.SetUnready([]string{"", "no real server is up"}[r.IntN(2)])
			}
		case 7:
			for _, m := range l.Nodes {
				m.Segment = 0
			}
		}
		l.Run(l.Now().Add(time.Duration(r.Int64N(int64(4 * interval)))))
	}
	// A process that is still stopped goes on before peace is counted from.
	l.Run(l.Now().Add(8 * interval))
}

func TestCrashIsNoticedAfterTheMasterDownInterval(t *testing.T) {
	l, a, b := pair(1, time.Second)
	a.Start()
	b.Start()
	l.Run(Epoch.Add(10 * time.Second))
	if !a.Master() || b.Master() {
		t.Fatalf("masters: a %v, b %v, want a only", a.Master(), b.Master())
	}
	a.Crash(5 * time.Second)
	crashed := l.Now()
	for !b.Master() {
		l.Run(l.Now().Add(time.Millisecond))
	}
	// 3 s and (256-150)/256 s after the last advert, which was sent up to 1 s before.
	if took := l.Now().Sub(crashed); took < 2413*time.Millisecond || took > 3417*time.Millisecond {
		t.Errorf("took over after %v", took)
	}
	l.Run(crashed.Add(5 * time.Second))
	if l.Holders() != 1 {
		t.Errorf("%d holders when the lease has ended", l.Holders())
	}
}

func TestPlannedStopNeverLeavesTheAddressAlone(t *testing.T) {
	l, a, b := pair(1, time.Second)
	a.Start()
	b.Start()
	l.Run(Epoch.Add(10 * time.Second))
	a.Leave()
	for range 5000 {
		l.Run(l.Now().Add(time.Millisecond))
		if l.Holders() == 0 {
			t.Fatalf("nobody holds the addresses at %v", l.Now().Sub(Epoch))
		}
	}
	if !b.Master() || a.Holds() {
		t.Errorf("after the hand-over: b master %v, a holds %v", b.Master(), a.Holds())
	}
}

func TestHealedSplitEndsWithinAnInterval(t *testing.T) {
	for phase := range 10 {
		l, a, b := pair(uint64(phase), 100*time.Millisecond)
		a.Start()
		b.Start()
		l.Run(Epoch.Add(time.Second))
		b.Segment = 1
		l.Run(Epoch.Add(2*time.Second + time.Duration(phase)*10*time.Millisecond))
		if l.Masters() != 2 {
			t.Fatalf("phase %d: %d masters in a split", phase, l.Masters())
		}
		b.Segment = 0
		l.Run(l.Now().Add(102 * time.Millisecond))
		if !a.Master() || b.Master() {
			t.Errorf("phase %d: masters after healing: a %v, b %v", phase, a.Master(), b.Master())
		}
	}
}

// TestHealedSplitIsServedThroughout: the preferred router was cut off from its real servers, too. The other one serves
// until that one can, and the address is never alone.
func TestHealedSplitIsServedThroughout(t *testing.T) {
	for phase := range 100 {
		l, a, b := pair(uint64(phase), time.Second)
		a.Start()
		b.Start()
		l.Run(Epoch.Add(10 * time.Second))
		a.Segment = 1
		a.Machine.SetUnready("no real server is up")
		l.Run(Epoch.Add(20*time.Second + time.Duration(phase)*10*time.Millisecond))
		a.Segment = 0
		for range 4000 {
			l.Run(l.Now().Add(time.Millisecond))
			if !b.Holds() {
				t.Fatalf("phase %d: the one that can serve let go %v after the start", phase, l.Now().Sub(Epoch))
			}
		}
		if !b.Master() || a.Master() || a.Holds() {
			t.Fatalf("phase %d: a master %v, holds %v, b master %v", phase, a.Master(), a.Holds(), b.Master())
		}
		a.Machine.SetUnready("")
		l.Run(l.Now().Add(5 * time.Second))
		if !a.Master() || b.Holds() {
			t.Fatalf("phase %d: a master %v, b holds %v when a could serve again", phase, a.Master(), b.Holds())
		}
	}
}

func TestStoppedProcessIsNoSecondMaster(t *testing.T) {
	l, a, b := pair(1, time.Second)
	a.Start()
	b.Start()
	l.Run(Epoch.Add(10 * time.Second))
	a.Suspend()
	l.Run(l.Now().Add(10 * time.Second))
	if !b.Master() {
		t.Fatal("nobody took over from a stopped master")
	}
	a.Resume()
	if a.Master() || a.Holds() {
		t.Error("a resumed process is still master")
	}
	// It preempts as any returning router does.
	l.Run(l.Now().Add(5 * time.Second))
	if !a.Master() || b.Master() || l.Holders() != 1 {
		t.Errorf("after resuming: a %v, b %v, %d holders", a.Master(), b.Master(), l.Holders())
	}
}

func BenchmarkHour(b *testing.B) {
	for b.Loop() {
		l, x, y := pair(1, time.Second)
		x.Start()
		y.Start()
		l.Run(Epoch.Add(time.Hour))
	}
}
