// SPDX-License-Identifier: Apache-2.0

package vrrpsim

import (
	"net/netip"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/vrrp"
)

func config(priority uint8, interval time.Duration) vrrp.Config {
	return vrrp.Config{
		Name: "web", Interface: "eth0", ID: 51, Version: 3, Priority: priority, Interval: interval,
		Preempt: true, Handover: true, Lease: 5 * interval,
	}
}

func address(n int) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, 0, byte(n + 1)}) }

func pair(seed uint64, interval time.Duration) (*Network, *Router, *Router) {
	n := NewNetwork(seed)
	n.MinDelay, n.MaxDelay = 100*time.Microsecond, time.Millisecond
	a := n.Add("lb1").Add(Router{Config: config(200, interval), Source: address(0)})
	b := n.Add("lb2").Add(Router{Config: config(150, interval), Source: address(1)})
	return n, a, b
}

func boot(n *Network) {
	for _, d := range n.Directors {
		d.Boot()
	}
}

func (r *Router) isMaster() bool { return r.State() == vrrp.Master }

func count(routers []*Router, f func(*Router) bool) int {
	found := 0
	for _, r := range routers {
		if f(r) {
			found++
		}
	}
	return found
}

func (n *Network) holders() int { return count(n.Elections()[0], (*Router).Holds) }

func (n *Network) masters() int { return count(n.Elections()[0], (*Router).isMaster) }

func TestCrashIsNoticedAfterTheMasterDownInterval(t *testing.T) {
	n, a, b := pair(1, time.Second)
	boot(n)
	n.Run(Epoch.Add(10 * time.Second))
	if !a.isMaster() || b.isMaster() {
		t.Fatalf("masters: a %v, b %v, want a only", a.isMaster(), b.isMaster())
	}
	a.Director().Crash()
	crashed := n.Now()
	for !b.isMaster() {
		n.Run(n.Now().Add(time.Millisecond))
	}
	// 3 s and (256-150)/256 s after the last advert, which was sent up to 1 s before.
	if took := n.Now().Sub(crashed); took < 2413*time.Millisecond || took > 3417*time.Millisecond {
		t.Errorf("took over after %v", took)
	}
	n.Run(crashed.Add(5 * time.Second))
	if n.holders() != 1 {
		t.Errorf("%d holders when the lease has ended", n.holders())
	}
}

func TestPlannedStopNeverLeavesTheAddressAlone(t *testing.T) {
	n, a, b := pair(1, time.Second)
	boot(n)
	n.Run(Epoch.Add(10 * time.Second))
	a.Director().Stop()
	for range 5000 {
		n.Run(n.Now().Add(time.Millisecond))
		if n.holders() == 0 {
			t.Fatalf("nobody holds the addresses at %v", n.Now().Sub(Epoch))
		}
	}
	if !b.isMaster() || a.Holds() {
		t.Errorf("after the hand-over: b master %v, a holds %v", b.isMaster(), a.Holds())
	}
}

func TestHealedSplitEndsWithinAnInterval(t *testing.T) {
	for phase := range 10 {
		n, a, b := pair(uint64(phase), 100*time.Millisecond)
		boot(n)
		n.Run(Epoch.Add(time.Second))
		n.Partition("eth0", []*Director{b.director})
		n.Run(Epoch.Add(2*time.Second + time.Duration(phase)*10*time.Millisecond))
		if n.masters() != 2 {
			t.Fatalf("phase %d: %d masters in a split", phase, n.masters())
		}
		n.Heal("")
		n.Run(n.Now().Add(102 * time.Millisecond))
		if !a.isMaster() || b.isMaster() {
			t.Errorf("phase %d: masters after healing: a %v, b %v", phase, a.isMaster(), b.isMaster())
		}
	}
}

// TestHealedSplitIsServedThroughout: the preferred router was cut off from its real servers, too. The other one serves
// until that one can, and the address is never alone.
func TestHealedSplitIsServedThroughout(t *testing.T) {
	for phase := range 100 {
		n, a, b := pair(uint64(phase), time.Second)
		boot(n)
		n.Run(Epoch.Add(10 * time.Second))
		n.Partition("eth0", []*Director{a.director})
		a.Director().SetUnready("no real server is up")
		n.Run(Epoch.Add(20*time.Second + time.Duration(phase)*10*time.Millisecond))
		n.Heal("")
		for range 4000 {
			n.Run(n.Now().Add(time.Millisecond))
			if !b.Holds() {
				t.Fatalf("phase %d: the one that can serve let go %v after the start", phase, n.Now().Sub(Epoch))
			}
		}
		if !b.isMaster() || a.isMaster() || a.Holds() {
			t.Fatalf("phase %d: a master %v, holds %v, b master %v", phase, a.isMaster(), a.Holds(), b.isMaster())
		}
		a.Director().SetUnready("")
		n.Run(n.Now().Add(5 * time.Second))
		if !a.isMaster() || b.Holds() {
			t.Fatalf("phase %d: a master %v, b holds %v when a could serve again", phase, a.isMaster(), b.Holds())
		}
	}
}

func TestStoppedProcessIsNoSecondMaster(t *testing.T) {
	n, a, b := pair(1, time.Second)
	boot(n)
	n.Run(Epoch.Add(10 * time.Second))
	a.Director().Stall()
	n.Run(n.Now().Add(10 * time.Second))
	if !b.isMaster() {
		t.Fatal("nobody took over from a stopped master")
	}
	a.Director().Resume()
	if a.isMaster() || a.Holds() {
		t.Error("a resumed process is still master")
	}
	// It preempts as any returning router does.
	n.Run(n.Now().Add(5 * time.Second))
	if !a.isMaster() || b.isMaster() || n.holders() != 1 {
		t.Errorf("after resuming: a %v, b %v, %d holders", a.isMaster(), b.isMaster(), n.holders())
	}
}

func BenchmarkHour(b *testing.B) {
	for b.Loop() {
		n, _, _ := pair(1, time.Second)
		boot(n)
		n.Run(Epoch.Add(time.Hour))
	}
}
