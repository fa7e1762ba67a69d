// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// ended checks how the last order to step down has ended.
func ended(t *testing.T, m *Machine, want Outcome) {
	t.Helper()
	if got, _ := m.Outcome(); got != want {
		t.Errorf("the order to step down: %v, want %v", got, want)
	}
}

func TestStepDownServesOnUntilAnotherIsHeard(t *testing.T) {
	m := newMaster(params(200))
	wants(t, m.StepDown(at(500*ms)), send(0))
	is(t, m, Master, true, 1500*ms)
	ended(t, m, 0)
	if !m.Silent() {
		t.Error("a master that hands over announces")
	}
	m.Receive(at(600*ms), higher, heard(0, time.Second)) // one that leaves, too, takes nothing over
	ended(t, m, 0)
	wants(t, m.Receive(at(700*ms), lower, heard(150, time.Second)))
	is(t, m, Backup, true, 1000*ms) // serves on for 300 ms
	ended(t, m, HandedOver)
	if _, to := m.Outcome(); to != lower {
		t.Errorf("handed over to %v, want %v", to, lower)
	}
	_, _, reason := m.State()
	if want := "stepped down by an operator: " + lower.String() + " is master with priority 150 against 200"; reason != want {
		t.Errorf("reason %q, want %q", reason, want)
	}
	wants(t, m.Tick(at(1000*ms)), release)
	// It does not preempt.
	for n := time.Duration(1); n < 8; n++ {
		now := at(700*ms + n*time.Second)
		wants(t, m.Tick(now))
		wants(t, m.Receive(now, lower, heard(150, time.Second)))
		is(t, m, Backup, false, 700*ms+n*time.Second+3218750*time.Microsecond)
	}
	// It takes over when no master is heard.
	wants(t, m.Tick(at(700*ms+7*time.Second+3218750*time.Microsecond)), send(200), hold)
	is(t, m, Master, true, 700*ms+8*time.Second+3218750*time.Microsecond)
	if !m.SteppedDown() {
		t.Error("not stepped down any more")
	}
}

// Priority 0 is said again: one advert that is lost must not cost the hand-over.
func TestStepDownThatNobodyTakesIsUndone(t *testing.T) {
	m := newMaster(params(200))
	wants(t, m.StepDown(at(500*ms)), send(0))
	wants(t, m.Tick(at(1500*ms)), send(0))
	wants(t, m.Tick(at(2500*ms)), send(0))
	wants(t, m.Tick(at(3500*ms)), send(0))
	wants(t, m.Tick(at(3718*ms)))
	wants(t, m.Tick(at(3718750*time.Microsecond)), send(200), announce)
	is(t, m, Master, true, 4718750*time.Microsecond)
	ended(t, m, NotTaken)
	if m.Silent() {
		t.Error("a master that goes on is silent")
	}
}

func TestStepDownWithoutHandoverLeavesOnlyForAnother(t *testing.T) {
	p := params(200)
	p.Handover = false
	m := newMaster(p)
	wants(t, m.StepDown(t0), send(0))
	is(t, m, Master, true, time.Second)
	wants(t, m.Receive(at(100*ms), lower, heard(150, time.Second)), release)
	is(t, m, Backup, false, 3318750*time.Microsecond)
}

func TestStepDownOfOthersMarksThem(t *testing.T) {
	m := newBackup(params(200))
	m.Receive(at(100*ms), lower, heard(150, time.Second)) // will be taken over from
	wants(t, m.StepDown(at(200*ms)))
	ended(t, m, WasBackup)
	wants(t, m.Tick(m.Deadline()))
	is(t, m, Backup, false, 6437500*time.Microsecond)

	m = NewMachine(params(255))
	wants(t, m.StepDown(t0))
	ended(t, m, TookNoPart)
	wants(t, m.Start(t0, 0, false), release) // an owner waits, too
	is(t, m, Backup, false, 3003906250*time.Nanosecond)
	m.Receive(at(100*ms), lower, heard(150, time.Second))
	is(t, m, Backup, false, 3103906250*time.Nanosecond)
}

// After a split has healed, the one that is stepped down leaves the role to a lower one, and serves until that is heard.
func TestSteppedDownMasterLeavesTheRole(t *testing.T) {
	for _, handover := range []bool{true, false} {
		p := params(200)
		p.Handover = handover
		m := newMaster(p)
		m.stepped.on = true
		acts := m.Receive(at(500*ms), lower, heard(100, time.Second))
		if !handover {
			wants(t, acts, send(0), release)
			continue
		}
		wants(t, acts, send(0))
		is(t, m, Backup, true, 3718750*time.Microsecond)
		m.Receive(at(1000*ms), lower, heard(100, time.Second))
		wants(t, m.Tick(at(1300*ms)), release)
	}
}

func TestReturn(t *testing.T) {
	p := params(200)
	p.PreemptDelay = time.Hour
	m := newMaster(p)
	m.StepDown(t0)
	m.Receive(at(100*ms), lower, heard(150, time.Second))
	m.Tick(at(400 * ms))
	m.Receive(at(1100*ms), lower, heard(150, time.Second))
	wants(t, m.Return(at(1200*ms)))
	// At the end of its timer, and without preempt_delay.
	m.Receive(at(2100*ms), lower, heard(150, time.Second))
	m.Receive(at(3100*ms), lower, heard(150, time.Second))
	wants(t, m.Tick(at(4318750*time.Microsecond)), send(200), hold)
}

func TestReturnWithoutPreemption(t *testing.T) {
	p := params(200)
	p.Preempt = false
	m := newMaster(p)
	m.StepDown(t0)
	m.Receive(at(100*ms), lower, heard(150, time.Second))
	m.Tick(at(400 * ms))
	m.Return(at(500 * ms))
	m.Receive(at(1100*ms), lower, heard(150, time.Second))
	is(t, m, Backup, false, 1100*ms+3218750*time.Microsecond)
	if _, _, reason := m.State(); !strings.HasSuffix(reason, "preempt is off") {
		t.Errorf("reason %q", reason)
	}
}

func TestReturnCallsAHandOverOff(t *testing.T) {
	m := newMaster(params(200))
	m.StepDown(t0)
	wants(t, m.Return(at(100*ms)), send(200), announce)
	is(t, m, Master, true, 1100*ms)
	ended(t, m, Interrupted)
	// From here on as any master.
	wants(t, m.Receive(at(2*time.Second), lower, heard(150, time.Second)), send(200), announce)
}

func TestHandOverEndsOtherwise(t *testing.T) {
	t.Run("stop", func(t *testing.T) {
		m := newMaster(params(200))
		m.StepDown(t0)
		wants(t, m.Stop(at(100*ms)))
		is(t, m, Master, true, 3218750*time.Microsecond)
		ended(t, m, Interrupted)
		wants(t, m.Tick(at(3218750*time.Microsecond)), release)
		is(t, m, Init, false, 0)
	})
	t.Run("stop without handover", func(t *testing.T) {
		p := params(200)
		p.Handover = false
		m := newMaster(p)
		m.StepDown(t0)
		wants(t, m.Stop(at(100*ms)), release)
		is(t, m, Init, false, 0)
	})
	t.Run("fault", func(t *testing.T) {
		m := newMaster(params(200))
		m.StepDown(t0)
		wants(t, m.Fail(at(100*ms), "link down"), release)
		is(t, m, Fault, false, 0)
		ended(t, m, Interrupted)
	})
	t.Run("stall since priority 0 was sent last", func(t *testing.T) {
		m := newMaster(params(200))
		m.StepDown(t0)
		wants(t, m.Tick(at(time.Second)), send(0))
		wants(t, m.Tick(at(4219*ms)), release)
		ended(t, m, Interrupted)
	})
	t.Run("stall", func(t *testing.T) { // somebody has taken over by now
		m := newMaster(params(200))
		m.StepDown(t0)
		wants(t, m.Tick(at(7*time.Second)), release)
		is(t, m, Backup, false, 10218750*time.Microsecond)
		ended(t, m, Interrupted)
	})
}

func TestStepDownTwice(t *testing.T) {
	m := newMaster(params(200))
	m.StepDown(t0)
	wants(t, m.StepDown(at(100*ms)))
	m.Tick(at(3218750 * time.Microsecond))
	ended(t, m, NotTaken)
	wants(t, m.StepDown(at(4*time.Second)), send(0)) // another order
	ended(t, m, 0)
}

// A group that hands over waits for all: the one that is through does not depose the others, which serve on as long.
func TestStandingWhileHandingOver(t *testing.T) {
	p := params(200)
	p.Grouped = true
	m := newMaster(p)
	m.Promote(t0)
	stands(t, m, Leading)
	m.StepDown(t0)
	stands(t, m, Waiting)
	wants(t, m.Withdraw(at(100*ms), "another one follows"))
	m.Receive(at(200*ms), lower, heard(150, time.Second))
	stands(t, m, Following)
}

func TestInstanceStepsDown(t *testing.T) {
	test(t, func(t *testing.T, w *world) {
		var told []SteppedDown
		r := w.master(config(), func(o *Options) { o.OnStepDown = func(s SteppedDown) { told = append(told, s) } })
		w.forget()
		r.tell(func(in *Input) { in.StepDown = 7 })
		w.until(8 * time.Second)
		if len(told) != 1 || told[0].Outcome != NotTaken || told[0].Order != 7 || r.Status().State != Master {
			t.Errorf("told %+v, state %v: want one order 7 that nobody took, and a master", told, r.Status().State)
		}
		r.tell(func(in *Input) { in.StepDown = 8 })
		w.conn().hear(lower, 50)
		w.until(9 * time.Second)
		if len(told) != 2 || told[1].Outcome != HandedOver || told[1].Master != lower || r.Status().State != Backup {
			t.Errorf("told %+v, state %v: want a hand-over to %v", told, r.Status().State, lower)
		}
	})
}

// A hand-over that was taken while the process slept is not undone: what has arrived is read first.
func TestHandOverReadsBeforeItIsUndone(t *testing.T) {
	test(t, func(t *testing.T, w *world) {
		r := w.master(config())
		r.tell(func(in *Input) { in.StepDown = 1 })
		w.forget()
		w.until(6 * time.Second)
		w.conn().in <- advertOf(lower, 50) // nobody is told of it
		w.until(8 * time.Second)
		if s := r.Status(); s.State != Backup || s.Master() != lower {
			t.Errorf("state %v, master %v: want a backup of %v", s.State, s.Master(), lower)
		}
	})
}

// A sync group hands over together, and goes on together.
func TestSyncGroupStepsDown(t *testing.T) {
	test(t, func(t *testing.T, w *world) {
		a, b := pair(t, w)
		w.until(3500 * ms)
		for _, r := range []*router{a, b} {
			r.tell(func(in *Input) { in.StepDown = 1 })
		}
		w.until(6700 * ms)
		a.forget()
		b.forget()
		w.until(7 * time.Second)
		a.wrote("6.71875s send 200", "6.71875s announce[.100]")
		b.wrote("6.71875s send 200", "6.71875s announce[.100]")
		for _, r := range []*router{a, b} {
			r.tell(func(in *Input) { in.StepDown = 0 })
			r.tell(func(in *Input) { in.StepDown = 2 })
		}
		a.forget()
		b.forget()
		a.world.conn().hear(lower, 50)
		w.until(7200 * ms)
		a.wrote("7s master -> backup")
		b.wrote() // the other one follows when it hears it itself
		b.world.conn().hear(lower, 50)
		w.until(8 * time.Second)
		a.wrote("7.3s release[.100]")
		b.wrote("7.2s master -> backup", "7.5s release[.100]")
	})
}

// What an earlier run held is not released because the router is stepped down from the start.
func TestSteppedDownInstanceResumes(t *testing.T) {
	test(t, func(t *testing.T, w *world) {
		c := config()
		c.Lease = 5 * time.Second
		w.have[vip(100)] = 5 * time.Second
		i := NewInstance(Input{Config: c, StepDown: 1}, Options{
			Host: w, Dial: w.Dial, Log: slog.New(slog.DiscardHandler), OnTransition: w.noteTransition, Resume: true,
		})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			if err := i.Run(ctx); err != nil {
				t.Error(err)
			}
		}()
		w.until(1500 * ms)
		w.wrote("0s init -> backup", "1s backup -> master", "1s send 200", "1s hold[.100] for 5s", "1s announce[.100]")
		stop()
		<-ended
	})
}

// A backup that was held up hears priority 0 twice, before its timer is looked at: it takes over nevertheless.
func TestPriorityZeroAgainDoesNotDelayTheTakeover(t *testing.T) {
	m := NewMachine(params(100))
	m.Start(at(0), 0, false)
	m.Receive(at(0), higher, heard(200, time.Second))
	m.Receive(at(100*ms), higher, heard(0, time.Second))
	is(t, m, Backup, false, 709375*time.Microsecond) // the skew time of priority 100
	m.Receive(at(1100*ms), higher, heard(0, time.Second))
	wants(t, m.Tick(at(1100*ms)), send(100), hold)
	// Another one that leaves later is another matter.
	m = NewMachine(params(100))
	m.Start(at(0), 0, false)
	m.Receive(at(0), higher, heard(200, time.Second))
	m.Receive(at(100*ms), higher, heard(0, time.Second))
	m.Receive(at(200*ms), higher, heard(200, time.Second))
	is(t, m, Backup, false, 200*ms+3609375*time.Microsecond)
	m.Receive(at(300*ms), higher, heard(0, time.Second))
	is(t, m, Backup, false, 909375*time.Microsecond)
}

// Another director takes over the members of a sync group together, when it knows that all have lost their master: the fast
// ones wait for the slow ones.
func TestHandOverOfAGroupWaitsForItsSlowest(t *testing.T) {
	slow := func(c *Config) {
		if c.Name == "web6" {
			c.Interval = 4 * time.Second // its master-down interval is 12.875 s, and that of the other one 3.21875 s
		}
	}
	test(t, func(t *testing.T, w *world) {
		a, b := pair(t, w, slow)
		w.until(14 * time.Second)
		if got := [...]State{a.Status().State, b.Status().State}; got != [...]State{Master, Master} {
			t.Fatalf("got %v", got)
		}
		for _, r := range []*router{a, b} {
			r.tell(func(in *Input) { in.StepDown = 1 })
		}
		a.forget()
		w.until(26 * time.Second)
		a.wrote("15s send 0", "16s send 0", "17s send 0", "18s send 0", "19s send 0", "20s send 0", "21s send 0", "22s send 0",
			"23s send 0", "24s send 0", "25s send 0", "26s send 0")
	})
	test(t, func(t *testing.T, w *world) {
		a, _ := pair(t, w, slow)
		w.until(14 * time.Second)
		a.forget()
		a.stop()
		w.until(26 * time.Second)
		a.wrote("14s send 0") // and serves on
	})
}
