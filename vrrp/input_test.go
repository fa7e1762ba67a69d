// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"slices"
	"testing"
	"time"
)

func TestTrackedInterface(t *testing.T) {
	test(t, func(t *testing.T, w *world) {
		c := config()
		c.Links = []TrackedLink{{Name: "eth1", Weight: -50}, {Name: "eth2", Weight: 10}, {Name: "eth3"}}
		w.links["eth1"], w.links["eth2"], w.links["eth3"] = 3, 4, 5
		r := w.run(c)
		w.until(4 * time.Second)
		w.forget()
		if s := r.Status(); s.Effective != 210 || s.Config.Priority != 200 {
			t.Errorf("got %+v", s)
		}
		w.change(func() { w.links["eth1"] = 0 })
		w.until(5 * time.Second) // with the next advert
		w.change(func() { w.links["eth2"] = 0 })
		w.until(6 * time.Second)
		// 210 - 0.1796875 s of skew: it has been master since 3.1796875 s
		w.wrote("4.1796875s send 160", "5.1796875s send 150")
		if got, want := r.Status().Parts, []Part{
			{Kind: "interface", Name: "eth1", Weight: -50, Failed: true, Value: -50, Detail: "interface eth1 is down"},
			{Kind: "interface", Name: "eth2", Weight: 10, Failed: true, Detail: "interface eth2 is down"},
			{Kind: "interface", Name: "eth3"},
		}; !slices.Equal(got, want) {
			t.Errorf("got parts %+v", got)
		}
		w.change(func() { w.links["eth3"] = 0 })
		w.wrote("6s master -> fault", "6s send 0", "6s release[.100]")
		if s := r.Status(); s.Reason != "tracked interface eth3 has failed: interface eth3 is down" {
			t.Errorf("got reason %q", s.Reason)
		}
		w.change(func() { w.links["eth3"] = 5 })
		w.wrote("6s fault -> backup")
	})
}

func TestTrackedParts(t *testing.T) {
	test(t, func(t *testing.T, w *world) {
		r := w.master(config())
		r.tell(func(in *Input) { in.Parts = []Part{NewPart("script", "upstream", -60, true, "exit 1")} })
		w.until(4500 * ms)
		w.wrote("4.21875s send 140")
		w.conn().hear(higher, 150)
		w.wrote("4.5s master -> backup", "4.5s send 140")
		if s := r.Status(); s.Reason != "192.0.2.11 has priority 150 against 140" || s.Effective != 140 {
			t.Errorf("got %+v", s)
		}
		// What is not known yet is no reason to take over from somebody.
		r.tell(func(in *Input) { in.Parts = []Part{{Kind: "script", Name: "upstream", Weight: -60, Pending: true}} })
		for n := range 6 {
			w.until(5*time.Second + time.Duration(n)*time.Second)
			w.conn().hear(higher, 150)
		}
		w.wrote("4.8s release[.100]")
		if s := r.Status(); s.Reason != "192.0.2.11 is master with priority 150 against 200, and here the tracked script upstream is not known yet" {
			t.Errorf("got reason %q", s.Reason)
		}
	})
}

// A machine that sleeps is not awake for its adverts; the clock of Go does not tell it.
func TestSuspendIsAStall(t *testing.T) {
	test(t, func(t *testing.T, w *world) {
		r := w.master(config())
		w.until(3500 * ms)
		w.change(func() { w.suspended = time.Minute })
		w.wrote("3.5s master -> backup", "3.5s release[.100]")
		s := r.Status()
		if s.Reason != "was held up for 1m0.281s" || s.Since.Sub(w.start) != 3500*ms {
			t.Errorf("got %+v", s)
		}
		w.until(7 * time.Second)
		w.wrote("6.71875s backup -> master", "6.71875s send 200", "6.71875s hold[.100] for 0s", "6.71875s announce[.100]")
	})
}

func TestLatenessIsTold(t *testing.T) {
	test(t, func(t *testing.T, w *world) {
		var late []time.Duration
		w.run(config(), func(o *Options) { o.OnLate = func(d time.Duration) { late = append(late, d) } })
		w.until(4 * time.Second)
		hung := w.blocks("send")
		w.until(5500 * ms)
		close(hung)
		w.until(6 * time.Second)
		if !slices.Equal(late, []time.Duration{0, 0, 281250 * time.Microsecond}) {
			t.Errorf("got %v", late)
		}
	})
}
