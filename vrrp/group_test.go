// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"strings"
	"testing"
	"time"
)

func TestTogether(t *testing.T) {
	tests := []struct {
		members []Standing
		want    Verdict
	}{
		{[]Standing{Ripe}, Lead},
		{[]Standing{Ripe, Ripe}, Lead},
		{[]Standing{Leading, Ripe}, Lead}, // it has been promoted before the other
		{[]Standing{Leading, Leading}, Lead},
		{[]Standing{Ripe, Waiting}, Stay},
		{[]Standing{Leading, Waiting}, Stay}, // a member that was started anew does not depose the others
		{[]Standing{Ripe, Following}, Withdraw},
		{[]Standing{Leading, Following}, Withdraw},
		{[]Standing{Leading, Ripe, Unable}, Withdraw},
		{[]Standing{Waiting, Following}, Withdraw},
	}
	for _, tt := range tests {
		if got := Together(tt.members...); got != tt.want {
			t.Errorf("%v: got %v, want %v", tt.members, got, tt.want)
		}
	}
}

func grouped(priority uint8) Params {
	p := params(priority)
	p.Grouped = true
	return p
}

func stands(t *testing.T, m *Machine, want Standing) {
	t.Helper()
	if got := m.Standing(); got != want {
		t.Errorf("got standing %v, want %v", got, want)
	}
}

func TestGroupedMachineWaitsForItsGroup(t *testing.T) {
	m := newBackup(grouped(200))
	stands(t, m, Waiting)
	wants(t, m.Promote(at(ms))) // not yet
	wants(t, m.Tick(at(3218750*time.Microsecond)))
	stands(t, m, Ripe)
	is(t, m, Backup, false, 4218750*time.Microsecond)
	wants(t, m.Tick(at(4218750*time.Microsecond)))
	stands(t, m, Ripe)
	wants(t, m.Promote(at(4500*ms)), send(200), hold)
	stands(t, m, Leading)
	is(t, m, Master, true, 5500*ms)
}

func TestRipeMachineThatHearsAMasterFollows(t *testing.T) {
	m := newBackup(grouped(200))
	m.Tick(at(3218750 * time.Microsecond))
	m.Receive(at(3500*ms), higher, heard(250, time.Second))
	stands(t, m, Following)
	wants(t, m.Promote(at(3600*ms)))
	// One that it would take over from is no hindrance, and one that resigns even less.
	m = newBackup(grouped(200))
	m.Tick(at(3218750 * time.Microsecond))
	m.Receive(at(3500*ms), lower, heard(100, time.Second))
	stands(t, m, Ripe)
	m.Receive(at(3600*ms), lower, heard(0, time.Second))
	stands(t, m, Ripe)
}

func TestGroupedOwnerWaitsForItsGroup(t *testing.T) {
	m := NewMachine(grouped(255))
	wants(t, m.Start(t0, 0, false), release)
	stands(t, m, Waiting)
}

func TestWithdraw(t *testing.T) {
	m := newMaster(grouped(200))
	if m.Standing() != Ripe {
		t.Fatal("not ripe")
	}
	m.Promote(t0)
	wants(t, m.Withdraw(at(500*ms), "web6 of sync group edge is not master"), send(0))
	is(t, m, Backup, true, 3718750*time.Microsecond) // serves on
	m.Receive(at(700*ms), lower, heard(100, time.Second))
	is(t, m, Backup, true, 1000*ms) // until another one has taken over
	wants(t, m.Tick(at(1000*ms)), release)
	wants(t, m.Withdraw(at(1100*ms), "again"))
}

func TestWithdrawEndsWithoutASuccessor(t *testing.T) {
	p := grouped(200)
	m := newMaster(p)
	m.Promote(t0)
	m.Withdraw(at(500*ms), "")
	wants(t, m.Tick(at(3718750*time.Microsecond)), release)
	stands(t, m, Ripe)
	p.Handover = false
	m = newMaster(p)
	m.Promote(t0)
	wants(t, m.Withdraw(at(500*ms), ""), send(0), release)
}

func TestStalledMemberFollows(t *testing.T) {
	m := newMaster(grouped(200))
	m.Promote(t0)
	wants(t, m.Withdraw(at(20*time.Second), ""), release) // held up: another is master by now
	stands(t, m, Following)
	m.Tick(m.Deadline())
	stands(t, m, Ripe)
	wants(t, m.Promote(at(60*time.Second)), release)
	stands(t, m, Following)
}

func TestResumingMemberDoesNotHoldForEver(t *testing.T) {
	m := NewMachine(grouped(200))
	wants(t, m.Start(t0, 0, true))
	wants(t, m.Tick(at(1000*ms)))
	stands(t, m, Ripe)
	for d := 2 * time.Second; d <= 4*time.Second; d += time.Second {
		wants(t, m.Tick(at(d)))
		is(t, m, Backup, true, min(d+time.Second, 4218750*time.Microsecond))
	}
	wants(t, m.Tick(at(4218750*time.Microsecond)), release)
	is(t, m, Backup, false, 5000*ms)
}

// pair runs two virtual routers of one sync group, each on a network of its own.
func pair(t *testing.T, w *world, change ...func(*Config)) (a, b *router) {
	g := NewGroup("edge")
	start := func(w *world, name string) *router {
		c := config()
		c.Name = name
		for _, f := range change {
			f(&c)
		}
		r := w.run(c)
		r.tell(func(in *Input) { in.Group = g })
		return r
	}
	return start(w, "web"), start(newWorld(t), "web6")
}

func TestSyncGroupIsMasterTogether(t *testing.T) {
	test(t, func(t *testing.T, w *world) {
		a, b := pair(t, w)
		for n := range 4 { // one hears a master, so the other one does not become it either
			w.until(time.Duration(n) * time.Second)
			b.world.conn().hear(higher, 250)
		}
		w.until(6 * time.Second)
		a.wrote("0s init -> backup")
		if s := a.Status(); s.Group != "edge" || s.Reason != "web6 of sync group edge is not master: 192.0.2.11 has priority 250 against 200" {
			t.Errorf("got group %q, reason %q", s.Group, s.Reason)
		}
		w.until(6500 * ms)
		b.wrote("0s init -> backup", "6.21875s backup -> master", "6.21875s send 200", "6.21875s hold[.100] for 0s", "6.21875s announce[.100]")
		a.wrote("6.21875s backup -> master", "6.21875s send 200", "6.21875s hold[.100] for 0s", "6.21875s announce[.100]")
	})
}

// TestRipeMemberHearsBeforeItLeads: what has arrived while the group made up its mind counts.
func TestRipeMemberHearsBeforeItLeads(t *testing.T) {
	test(t, func(t *testing.T, w *world) {
		a, b := pair(t, w)
		w.until(2500 * ms)
		b.world.conn().hear(higher, 250)
		w.until(5500 * ms)
		a.world.conn().in <- advertOf(higher, 250) // nobody has been told yet
		w.until(6 * time.Second)
		a.wrote("0s init -> backup")
		if s := b.Status(); s.State != Backup || !strings.HasPrefix(s.Reason, "web of sync group edge is not master") {
			t.Errorf("got %v: %s", s.State, s.Reason)
		}
	})
}

func TestSyncGroupLeavesTogether(t *testing.T) {
	test(t, func(t *testing.T, w *world) {
		a, b := pair(t, w)
		w.until(3500 * ms)
		a.forget()
		b.forget()
		b.world.conn().hear(higher, 250)
		w.until(3700 * ms)
		b.wrote("3.5s master -> backup", "3.5s send 200", "3.65s send 200")
		a.wrote("3.5s master -> backup", "3.5s send 0") // and serves on
		if s := a.Status(); s.Reason != "web6 of sync group edge is not master: 192.0.2.11 has priority 250 against 200" {
			t.Errorf("got reason %q", s.Reason)
		}
		a.world.conn().hear(higher, 250)
		w.until(4500 * ms)
		a.wrote("4s release[.100]")
		b.wrote("3.8s release[.100]")
	})
}

func TestFaultOfOneDeposesTheGroup(t *testing.T) {
	test(t, func(t *testing.T, w *world) {
		a, b := pair(t, w)
		w.until(3500 * ms)
		a.forget()
		b.forget()
		b.change(func() { b.links["eth0"] = 0 })
		b.wrote("3.5s master -> fault", "3.5s send 0", "3.5s release[.100]")
		a.wrote("3.5s master -> backup", "3.5s send 0")
		if s := a.Status(); !strings.HasSuffix(s.Reason, "interface eth0 is down") {
			t.Errorf("got reason %q", s.Reason)
		}
		w.until(20 * time.Second) // nobody takes over, and still there is no half of a group
		a.wrote("6.71875s release[.100]")
		b.change(func() { b.links["eth0"] = 2 })
		w.until(24 * time.Second)
		a.wrote("23.21875s backup -> master", "23.21875s send 200", "23.21875s hold[.100] for 0s", "23.21875s announce[.100]")
		b.wrote("20s fault -> backup", "23.21875s backup -> master", "23.21875s send 200", "23.21875s hold[.100] for 0s", "23.21875s announce[.100]")
	})
}

func TestMemberStartedAnewDoesNotDepose(t *testing.T) {
	test(t, func(t *testing.T, w *world) {
		a, b := pair(t, w)
		w.until(3500 * ms)
		b.stop()
		<-b.ended // at 6.71875 s
		a.forget()
		again := newWorld(t)
		r := again.run(b.input.Config)
		r.tell(func(in *Input) { in.Group = a.input.Group })
		w.until(10 * time.Second)
		a.wrote("7.21875s send 200", "8.21875s send 200", "9.21875s send 200")
		if s := r.Status(); s.State != Master {
			t.Errorf("got %v: %s", s.State, s.Reason)
		}
	})
}

func TestLeavingTheGroupFreesTheOther(t *testing.T) {
	test(t, func(t *testing.T, w *world) {
		a, b := pair(t, w)
		w.until(1000 * ms)
		b.world.conn().hear(higher, 250)
		w.until(3400 * ms)
		a.wrote("0s init -> backup")
		b.tell(func(in *Input) { in.Group = nil })
		w.until(3500 * ms)
		a.wrote("3.4s backup -> master", "3.4s send 200", "3.4s hold[.100] for 0s", "3.4s announce[.100]")
		if s := b.Status(); s.State != Backup || s.Group != "" {
			t.Errorf("got %+v", s)
		}
	})
}

// A reload that renames a group moves its members one after the other; one that is ripe must not lead what is there so far.
func TestMemberWaitsUntilAllHaveJoined(t *testing.T) {
	test(t, func(t *testing.T, w *world) {
		a, b := pair(t, w)
		for n := range 5 {
			w.until(time.Duration(n) * time.Second)
			b.world.conn().hear(higher, 250)
		}
		a.forget()
		renamed := NewGroup("renamed")
		renamed.Resize(2)
		a.tell(func(in *Input) { in.Group = renamed })
		if s := a.Status(); s.State != Backup || s.Reason != "not every member of sync group renamed has started" {
			t.Errorf("got %v: %s", s.State, s.Reason)
		}
		b.tell(func(in *Input) { in.Group = renamed })
		w.until(4500 * ms)
		if s := a.Status(); s.State != Backup || !strings.HasPrefix(s.Reason, "web6 of sync group renamed is not master") {
			t.Errorf("got %v: %s", s.State, s.Reason)
		}
		b.tell(func(in *Input) { in.Group = nil })
		renamed.Resize(1)
		w.until(6 * time.Second)
		if s := a.Status(); s.State != Master {
			t.Errorf("alone in the group: got %v: %s", s.State, s.Reason)
		}
	})
}

// One that could not read what has arrived is not promoted.
func TestNoPromotionOfAMemberWithoutAConnection(t *testing.T) {
	test(t, func(t *testing.T, w *world) {
		a, b := pair(t, w)
		for n := range 4 {
			w.until(time.Duration(n) * time.Second)
			b.world.conn().hear(higher, 250)
		}
		w.until(6 * time.Second)
		a.world.conn().in <- datagram{err: errFake} // and nobody is told
		w.mu.Lock()
		w.dialError = errFake
		w.mu.Unlock()
		w.until(8 * time.Second)
		a.wrote("0s init -> backup", "6.21875s backup -> fault")
	})
}
