// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestHandoverServesUntilRelieved(t *testing.T) {
	tests := []struct {
		name     string
		interval time.Duration
		down     time.Duration
		relieved time.Duration // after hearing the next master at 200 ms
	}{
		{"1 s", time.Second, 3218750 * time.Microsecond, 500 * ms},
		{"100 ms", 100 * ms, 321875 * time.Microsecond, 300 * ms},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := params(200)
			p.Interval = tt.interval
			m := newMaster(p)
			wants(t, m.Stop(t0), send(0))
			is(t, m, Master, true, tt.down)
			if !m.Silent() {
				t.Error("a master that leaves announces")
			}
			wants(t, m.Stop(at(10*ms))) // asked twice
			m.Receive(at(100*ms), higher, heard(0, tt.interval))
			is(t, m, Master, true, tt.down) // one that leaves, too, is no relief
			wants(t, m.Receive(at(200*ms), lower, heard(150, tt.interval)))
			is(t, m, Master, true, tt.relieved)
			m.Receive(at(250*ms), lower, heard(150, tt.interval)) // does not put it off
			wants(t, m.Tick(at(tt.relieved-1)))
			wants(t, m.Tick(at(tt.relieved)), release)
			is(t, m, Init, false, 0)
		})
	}
}

func TestHandoverEndsAfterAMasterDownInterval(t *testing.T) {
	m := newMaster(params(200))
	m.Stop(at(500 * ms))
	wants(t, m.Tick(at(3718*ms))) // and no advert meanwhile
	wants(t, m.Tick(at(3718750*time.Microsecond)), release)
	is(t, m, Init, false, 0)
}

func TestRelievedLateStillLeavesInTime(t *testing.T) {
	m := newMaster(params(200))
	m.Stop(t0)
	m.Receive(at(3100*ms), lower, heard(150, time.Second))
	is(t, m, Master, true, 3218750*time.Microsecond)
}

func TestYieldServesOnSilently(t *testing.T) {
	m := newMaster(params(100))
	if m.Silent() {
		t.Error("a master is silent")
	}
	// The last advert tells the winner to announce over us.
	wants(t, m.Receive(at(500*ms), higher, heard(200, time.Second)), send(100))
	is(t, m, Backup, true, 650*ms)
	if !m.Silent() {
		t.Error("announces what is another's")
	}
	wants(t, m.Receive(at(600*ms), higher, heard(200, time.Second))) // it has heard that
	is(t, m, Backup, true, 800*ms)
	wants(t, m.Tick(at(800*ms)), release)
	is(t, m, Backup, false, 4209375*time.Microsecond)
}

// A winner that does not answer the last advert may not have heard it, and so does not announce.
func TestLastAdvertIsSaidAgain(t *testing.T) {
	yielded := func() *Machine {
		m := newMaster(params(100))
		m.Receive(at(500*ms), higher, heard(200, time.Second))
		return m
	}
	m := yielded()
	wants(t, m.Tick(at(650*ms)), send(100))
	is(t, m, Backup, true, 800*ms)
	wants(t, m.Tick(at(800*ms)), release)

	m = yielded()
	p := params(250) // the winner would yield to that
	m.SetParams(at(600*ms), p)
	is(t, m, Backup, true, 800*ms)
	m = yielded()
	wants(t, m.Stop(at(600*ms)))
	wants(t, m.Tick(at(650*ms)))
}

func TestStopWhileServingOnServesOn(t *testing.T) {
	m := newMaster(params(100))
	m.Receive(at(500*ms), higher, heard(200, time.Second)) // serves on until 800 ms
	wants(t, m.Stop(at(600*ms)))
	is(t, m, Backup, true, 800*ms)
	wants(t, m.Receive(at(700*ms), higher, heard(200, time.Second)))
	wants(t, m.Tick(at(800*ms)), release)
	is(t, m, Init, false, 0)
}

func TestYieldLingersNoLongerThanAnInterval(t *testing.T) {
	p := params(100)
	p.Interval = 100 * ms
	m := newMaster(p)
	m.Receive(at(50*ms), higher, heard(200, time.Second))
	m.Tick(at(100 * ms))
	is(t, m, Backup, true, 150*ms)
}

// A winner that goes at once leaves the addresses where they still are.
func TestLingeringMasterTakesOverAgain(t *testing.T) {
	m := newMaster(params(254))
	m.Receive(at(500*ms), higher, heard(255, time.Second))
	wants(t, m.Receive(at(510*ms), higher, heard(0, time.Second)))
	wants(t, m.Tick(at(517812500*time.Nanosecond)), send(254), hold)
	is(t, m, Master, true, 1517812500*time.Nanosecond)
	if m.Silent() {
		t.Error("a master is silent")
	}
}

func TestAnswersToALowerMasterAreLimited(t *testing.T) {
	m := newMaster(params(100))
	var adverts, announcements int
	for d := time.Millisecond; d <= 3000*ms; d += 10 * ms {
		for _, a := range m.Receive(at(d), lower, heard(50, time.Second)) {
			switch a {
			case send(100):
				adverts++
			case announce:
				announcements++
			default:
				t.Errorf("at %v: %v", d, a)
			}
		}
	}
	// Of 300 in three seconds.
	if adverts != 30 || announcements != 3 {
		t.Errorf("got %d adverts and %d announcements, want 30 and 3", adverts, announcements)
	}
	wants(t, m.Tick(at(3001*ms)), announce, send(100)) // after the last of them, and our own rhythm goes on
}

// A lower master that does not hear us is answered in vain until it does, and yields. Its neighbours learn of us then,
// also when its last advert comes soon after one that was answered.
func TestLastAdvertOfALowerMasterIsAnswered(t *testing.T) {
	start := func() *Machine {
		m := newMaster(params(100))
		wants(t, m.Receive(at(100*ms), lower, heard(50, time.Second)), send(100), announce)
		wants(t, m.Receive(at(600*ms), lower, heard(50, time.Second)), send(100))
		return m
	}
	m := start()
	is(t, m, Master, true, time.Second)
	wants(t, m.Tick(at(time.Second)), send(100))
	is(t, m, Master, true, 1100*ms)
	wants(t, m.Tick(at(1100*ms)), announce)
	is(t, m, Master, true, 2*time.Second)

	m = start() // not over another master
	m.Receive(at(700*ms), higher, heard(200, time.Second))
	wants(t, m.Tick(at(850*ms)), send(100))
	wants(t, m.Tick(at(1100*ms)), release)
	m = start()
	m.Stop(at(700 * ms))
	if slices.Contains(m.Tick(at(1100*ms)), announce) {
		t.Error("announced while another one takes over")
	}
}

// A process that was held up for longer than a master-down interval finds another master.
func TestStall(t *testing.T) {
	master := func() *Machine { return newMaster(params(100)) } // last advert at 0, down after 3.609375 s
	backup := func() *Machine { return newBackup(params(100)) } // timer ends at 3.609375 s
	leaving := func() *Machine { m := master(); m.Stop(t0); return m }
	lingering := func() *Machine { m := master(); m.Receive(t0, higher, heard(200, time.Second)); return m }
	tests := []struct {
		name    string
		machine func() *Machine
		late    time.Duration // the last moment that is no stall
		then    State
	}{
		{"master", master, 3609375 * time.Microsecond, Backup},
		{"backup", backup, 7218750 * time.Microsecond, Backup},
		{"leaving", leaving, 7218750 * time.Microsecond, Init},
		{"lingering", lingering, 3759375 * time.Microsecond, Backup},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := tt.machine()
			wants(t, m.CatchUp(at(tt.late)))
			late := tt.late + time.Nanosecond
			again := late + 3609375*time.Microsecond
			if tt.then == Init {
				again = 0
			}
			calls := map[string]func(*Machine) []Action{
				"tick":    func(m *Machine) []Action { return m.Tick(at(late)) },
				"catch":   func(m *Machine) []Action { return m.CatchUp(at(late)) },
				"receive": func(m *Machine) []Action { return m.Receive(at(late), lower, heard(1, time.Second)) },
			}
			for name, call := range calls {
				m := tt.machine()
				wants(t, call(m), release)
				is(t, m, tt.then, false, again)
				if t.Failed() {
					t.Fatal(name)
				}
			}
			m = tt.machine()
			if slices.ContainsFunc(m.Stop(at(late)), func(a Action) bool { return a.Kind == SendAdvert }) {
				t.Error("stop sends an advert")
			}
			is(t, m, Init, false, 0)
			m = tt.machine()
			if slices.ContainsFunc(m.Fail(at(late), "down"), func(a Action) bool { return a.Kind == SendAdvert }) {
				t.Error("fail sends an advert")
			}
			is(t, m, Fault, false, 0)
		})
	}
}

func TestShortStallIsNone(t *testing.T) {
	m := newMaster(params(100))
	wants(t, m.Tick(at(3609375*time.Microsecond)), send(100))
	is(t, m, Master, true, 4609375*time.Microsecond)
}

func TestResumeAfterARestart(t *testing.T) {
	m := NewMachine(params(200))
	wants(t, m.Start(t0, 0, true))
	is(t, m, Backup, true, 1000*ms)
	wants(t, m.Receive(at(500*ms), lower, heard(0, time.Second))) // one that leaves is no master
	is(t, m, Backup, true, 1000*ms)
	wants(t, m.Tick(at(1000*ms)), send(200), hold)
	is(t, m, Master, true, 2000*ms)
}

func TestNoResumeAgainstAnotherMaster(t *testing.T) {
	for _, priority := range []uint8{1, 200, 255} {
		m := NewMachine(params(200))
		m.Start(t0, 0, true)
		wants(t, m.Receive(at(500*ms), lower, heard(priority, time.Second)), release)
		is(t, m, Backup, false, 3718750*time.Microsecond)
	}
}

func TestNoResumeWithoutTheAddresses(t *testing.T) {
	m := NewMachine(params(200))
	m.Start(t0, 0, true)
	wants(t, m.Lost(at(500*ms)), release)
	is(t, m, Backup, false, 3718750*time.Microsecond)
	wants(t, m.Lost(at(600*ms))) // is news once
}

func TestNoResumeAfterAStall(t *testing.T) {
	m := NewMachine(params(200))
	m.Start(t0, 0, true)
	wants(t, m.Tick(at(4218750*time.Microsecond+1)), release)
	is(t, m, Backup, false, 7437500*time.Microsecond+1)
}

func TestStopWhileResumingReleases(t *testing.T) {
	m := NewMachine(params(200))
	m.Start(t0, 0, true)
	wants(t, m.Stop(at(500*ms)), release)
	is(t, m, Init, false, 0)
}

func TestStartupDelay(t *testing.T) {
	m := NewMachine(params(200))
	m.Start(t0, 10*time.Second, false)
	is(t, m, Backup, false, 10*time.Second)
	m.Receive(at(time.Second), lower, heard(0, time.Second)) // gives up the role: not ours yet
	is(t, m, Backup, false, 10*time.Second)
	m.Receive(at(9*time.Second), lower, heard(150, time.Second)) // a lower master puts nothing off
	is(t, m, Backup, false, 10*time.Second)
	wants(t, m.Tick(at(10*time.Second)), send(200), hold)

	m = NewMachine(params(255))
	wants(t, m.Start(t0, 10*time.Second, false), release)
	is(t, m, Backup, false, 10*time.Second)

	m = NewMachine(params(200)) // shorter than the master-down interval
	m.Start(t0, time.Second, false)
	is(t, m, Backup, false, 3218750*time.Microsecond)
}

func TestPreemptionWaitsUntilReady(t *testing.T) {
	m := newBackup(params(200))
	m.SetUnready("no real server is up")
	m.Receive(at(time.Second), lower, heard(100, time.Second))
	is(t, m, Backup, false, 4218750*time.Microsecond)
	if _, _, reason := m.State(); !strings.Contains(reason, "no real server is up") {
		t.Errorf("got reason %q", reason)
	}
	m.SetUnready("")
	m.Receive(at(2*time.Second), lower, heard(100, time.Second))
	is(t, m, Backup, false, 4218750*time.Microsecond)
	wants(t, m.Tick(at(4218750*time.Microsecond)), send(200), hold)
}

// Without any master, one that is not ready is better than none.
func TestNotReadyStillTakesOverFromNobody(t *testing.T) {
	m := newBackup(params(200))
	m.SetUnready("no real server is up")
	wants(t, m.Tick(at(3218750*time.Microsecond)), send(200), hold)
}

func TestOwnerThatIsNotReadyWaits(t *testing.T) {
	m := NewMachine(params(255))
	m.SetUnready("not every check has run yet")
	wants(t, m.Start(t0, 0, false), release)
	is(t, m, Backup, false, 3003906250*time.Nanosecond)
	m.Receive(at(time.Second), lower, heard(100, time.Second))
	is(t, m, Backup, false, 4003906250*time.Nanosecond)
}

// A split has healed, and the one side has no real server: it leaves the role to the other one, whatever the priorities.
func TestMasterThatCouldNotServeResigns(t *testing.T) {
	m := newMaster(params(200))
	m.SetUnready("no real server is up")
	is(t, m, Master, true, time.Second) // alone, it stays: there is nobody better
	wants(t, m.Receive(at(500*ms), lower, heard(100, time.Second)), send(0), release)
	is(t, m, Backup, false, 3718750*time.Microsecond)
	if _, _, reason := m.State(); reason != "192.0.2.9 is master with priority 100 against 200, and here no real server is up" {
		t.Errorf("got reason %q", reason)
	}
	m.Receive(at(time.Second), lower, heard(100, time.Second))
	is(t, m, Backup, false, 4218750*time.Microsecond)
	m.SetUnready("")
	m.Receive(at(2*time.Second), lower, heard(100, time.Second))
	wants(t, m.Tick(at(4218750*time.Microsecond)), send(200), hold)
}

func TestMasterThatCouldNotServeStillYieldsToAHigherOne(t *testing.T) {
	m := newMaster(params(200))
	m.SetUnready("no real server is up")
	wants(t, m.Receive(at(500*ms), higher, heard(210, time.Second)), send(200))
	is(t, m, Backup, true, 650*ms)
}

// Its last real server fails while it waits to take over from a lower master: it goes on waiting.
func TestPreemptionEndsWithReadiness(t *testing.T) {
	m := newBackup(params(200))
	m.Receive(at(3*time.Second), lower, heard(100, time.Second))
	m.SetUnready("no real server is up")
	wants(t, m.Tick(at(3218750*time.Microsecond)))
	is(t, m, Backup, false, 6437500*time.Microsecond)
	wants(t, m.Tick(at(6437500*time.Microsecond)), send(200), hold) // the lower one has gone, too
}

// The other side of it: it has yielded to the higher priority, and hears that this one does not want the role.
func TestLingeringMasterServesOnWhenTheWinnerResigns(t *testing.T) {
	m := newMaster(params(150))
	m.Receive(at(500*ms), higher, heard(200, time.Second))
	is(t, m, Backup, true, 650*ms)
	m.Receive(at(600*ms), higher, heard(0, time.Second))
	is(t, m, Backup, true, 1014062500*time.Nanosecond) // skew: 106/256 s
	wants(t, m.Tick(at(1014062500*time.Nanosecond)), send(150), hold)
	is(t, m, Master, true, 2014062500*time.Nanosecond)

	m = newMaster(params(150)) // or a third one takes it
	m.Receive(at(500*ms), higher, heard(200, time.Second))
	m.Receive(at(600*ms), higher, heard(0, time.Second))
	m.Receive(at(700*ms), lower, heard(180, time.Second))
	is(t, m, Backup, true, time.Second)
	wants(t, m.Tick(at(time.Second)), release)
}

func TestFailAndRecover(t *testing.T) {
	m := newMaster(params(200))
	wants(t, m.Fail(at(500*ms), "interface eth0 is down"), send(0), release)
	is(t, m, Fault, false, 0)
	wants(t, m.Fail(at(600*ms), "no IPVS")) // told once more, for another reason
	_, since, reason := m.State()
	if !since.Equal(at(500*ms)) || reason != "no IPVS" {
		t.Errorf("got since %v, reason %q", since.Sub(t0), reason)
	}
	wants(t, m.Receive(at(700*ms), lower, heard(1, time.Second)))
	wants(t, m.Tick(at(100*time.Second)))
	is(t, m, Fault, false, 0)
	wants(t, m.Start(at(100*time.Second), 0, false), release)
	is(t, m, Backup, false, 103218750*time.Microsecond)

	wants(t, m.Fail(at(101*time.Second), "interface eth0 is down"), release) // a backup has nothing to say
	wants(t, m.Stop(at(102*time.Second)), release)
	is(t, m, Init, false, 0)
}

func TestFailWhileLeaving(t *testing.T) {
	m := newMaster(params(200))
	m.Stop(t0)
	wants(t, m.Fail(at(100*ms), "interface eth0 is down"), release) // has resigned already
	is(t, m, Fault, false, 0)
}

func TestSetParamsOfAMaster(t *testing.T) {
	m := newMaster(params(200))
	faster := params(100)
	faster.Interval = 10 * ms
	m.SetParams(at(900*ms), faster)
	is(t, m, Master, true, 910*ms) // not a stall, though the last advert is 90 intervals old
	wants(t, m.Tick(at(910*ms)), send(100))
	is(t, m, Master, true, 920*ms)
	m.SetParams(at(915*ms), params(100))
	is(t, m, Master, true, 920*ms) // the others must hear of the longer interval in time
	wants(t, m.Tick(at(920*ms)), send(100))
	is(t, m, Master, true, 1920*ms)
	m.SetParams(at(1915*ms), faster)
	is(t, m, Master, true, 1920*ms) // not put off
}

func TestSetParamsOfABackup(t *testing.T) {
	m := newBackup(params(100))
	m.Receive(t0, higher, heard(200, time.Second))
	m.SetParams(at(100*ms), params(250))
	is(t, m, Backup, false, 3609375*time.Microsecond)
	m.Receive(at(time.Second), higher, heard(200, time.Second)) // lower now
	is(t, m, Backup, false, 3609375*time.Microsecond)
	m.Receive(at(2*time.Second), higher, heard(251, time.Second))
	is(t, m, Backup, false, 5023437500*time.Nanosecond)
}

func TestIntervalOfABackup(t *testing.T) {
	m := newBackup(params(100))
	faster := params(100)
	faster.Interval = 100 * ms
	down := func(want time.Duration) {
		t.Helper()
		if got := m.MasterDownInterval(); got != want {
			t.Errorf("got %v, want %v", got, want)
		}
	}
	m.SetParams(at(100*ms), faster) // ours, as long as no master has told its own
	down(360937500 * time.Nanosecond)
	m.Receive(at(200*ms), higher, heard(200, 2*time.Second))
	m.SetParams(at(300*ms), params(100))
	down(7218750 * time.Microsecond)
	m.CatchUp(at(20 * time.Second)) // whose that was, nobody knows any more
	is(t, m, Backup, false, 23609375*time.Microsecond)
}

func TestPreemptDelayBeginsAnewAfterAStall(t *testing.T) {
	p := params(200)
	p.PreemptDelay = 10 * time.Second
	m := newBackup(p)
	m.Receive(at(time.Second), lower, heard(100, time.Second))
	m.CatchUp(at(30 * time.Second))
	m.Receive(at(30100*ms), lower, heard(100, time.Second))
	stands(t, m, Following)
	is(t, m, Backup, false, 33318750*time.Microsecond)
}

func TestSetParamsWhileLeavingChangesNoDeadline(t *testing.T) {
	m := newMaster(params(200))
	m.Stop(t0)
	faster := params(200)
	faster.Interval = 100 * ms
	m.SetParams(at(10*ms), faster)
	is(t, m, Master, true, 3218750*time.Microsecond)
}

// TestWalk lets anything happen in any order and checks what must hold after each step.
func TestWalk(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 0))
		walk(t, seed, r)
		if t.Failed() {
			return
		}
	}
}

func walk(t *testing.T, seed uint64, r *rand.Rand) {
	p := params(uint8(1 + r.IntN(255)))
	p.Handover, p.Preempt = r.IntN(2) == 0, r.IntN(2) == 0
	m := NewMachine(p)
	now := t0
	for n := range 400 {
		now = now.Add(time.Duration(r.Int64N(int64(time.Second))))
		held := m.Holding()
		var acts []Action
		state, _, _ := m.State()
		switch k := r.IntN(20); {
		case state == Init || state == Fault:
			acts = m.Start(now, time.Duration(r.IntN(2))*time.Second, r.IntN(2) == 0)
			held = held || m.Holding()
		case k < 10:
			if d := m.Deadline(); d.After(now) {
				now = d
			}
			acts = m.Tick(now)
			if d := m.Deadline(); !d.IsZero() && !d.After(now) {
				t.Errorf("seed %d, step %d: still due after tick", seed, n)
			}
		case k < 16:
			acts = m.Receive(now, higher, heard(uint8(r.IntN(256)), time.Second))
		case k == 16:
			acts = m.Stop(now)
		case k == 17:
			acts = m.Fail(now, "")
		case k == 18:
			now = now.Add(time.Minute)
			if acts = m.CatchUp(now); slices.ContainsFunc(acts, func(a Action) bool { return a != release }) {
				t.Errorf("seed %d, step %d: %v after a minute's sleep", seed, n, acts)
			}
		case k == 19:
			m.SetUnready([]string{"", "no real server is up"}[r.IntN(2)])
		}
		state, _, _ = m.State()
		if held && !m.Holding() && !slices.Contains(acts, release) {
			t.Errorf("seed %d, step %d: gave up the addresses without releasing them", seed, n)
		}
		if m.Holding() && slices.Contains(acts, release) && acts[len(acts)-1] != hold {
			t.Errorf("seed %d, step %d: releases what it holds: %v", seed, n, acts)
		}
		if state == Master && !m.Holding() || (state == Init || state == Fault) && (m.Holding() || !m.Deadline().IsZero()) {
			t.Errorf("seed %d, step %d: %v, holding %v, deadline %v", seed, n, state, m.Holding(), m.Deadline())
		}
		if i := slices.Index(acts, hold); i == 0 {
			t.Errorf("seed %d, step %d: addresses before the advert: %v", seed, n, acts)
		}
	}
}

func TestPreemptDelay(t *testing.T) {
	p := params(200)
	p.PreemptDelay = 10 * time.Second
	m := newBackup(p)
	hears := func(d time.Duration, priority uint8) {
		t.Helper()
		wants(t, m.Tick(at(d)))
		wants(t, m.Receive(at(d), lower, heard(priority, time.Second)))
	}
	for d := 500 * ms; d < 10*time.Second; d += time.Second { // it could take over since 500 ms
		hears(d, 100)
		is(t, m, Backup, false, min(d+3218750*time.Microsecond, 10500*ms))
	}
	if _, _, reason := m.State(); reason != "takes over from 192.0.2.9, which has priority 100 against 200, when preempt_delay (10s) has passed" {
		t.Errorf("got reason %q", reason)
	}
	wants(t, m.Tick(at(10500*ms)), send(200), hold)
	if _, _, reason := m.State(); reason != "priority 200 against 100 of 192.0.2.9" {
		t.Errorf("got reason %q", reason)
	}
}

func TestPreemptDelayEndsWithTheMaster(t *testing.T) {
	p := params(200)
	p.PreemptDelay = 10 * time.Second
	m := newBackup(p)
	m.Receive(at(500*ms), lower, heard(100, time.Second))
	wants(t, m.Tick(at(3718750*time.Microsecond)), send(200), hold) // it has died
	m = newBackup(p)
	m.Receive(at(500*ms), lower, heard(100, time.Second))
	m.Receive(at(1000*ms), lower, heard(0, time.Second))
	wants(t, m.Tick(at(1218750*time.Microsecond)), send(200), hold) // or leaves
}

func TestPreemptDelayBeginsAnew(t *testing.T) {
	p := params(200)
	p.PreemptDelay = 2 * time.Second
	m := newBackup(p)
	m.Receive(at(500*ms), lower, heard(100, time.Second))
	m.SetUnready("no real server is up")
	m.Receive(at(1500*ms), lower, heard(100, time.Second))
	m.SetUnready("")
	m.Receive(at(2500*ms), lower, heard(100, time.Second))
	is(t, m, Backup, false, 4500*ms)
	m.Receive(at(3500*ms), higher, heard(250, time.Second))
	m.Receive(at(4400*ms), lower, heard(100, time.Second))
	is(t, m, Backup, false, 6400*ms)
}

func TestReceiveAllocatesNothing(t *testing.T) {
	m, now := newBackup(params(100)), t0
	if n := testing.AllocsPerRun(1000, func() {
		now = now.Add(time.Second)
		m.Receive(now, higher, heard(200, time.Second))
	}); n != 0 {
		t.Errorf("%v allocations per advert of a higher master", n)
	}
}

func BenchmarkReceive(b *testing.B) {
	m, now := newBackup(params(100)), t0
	b.ReportAllocs()
	for b.Loop() {
		now = now.Add(time.Second)
		m.Receive(now, higher, heard(200, time.Second))
	}
}

// preempt_delay does not shorten startup_delay.
func TestPreemptDelayWithinStartupDelay(t *testing.T) {
	p := params(200)
	p.PreemptDelay = 5 * time.Second
	m := NewMachine(p)
	m.Start(t0, 30*time.Second, false)
	for d := time.Second; d < 30*time.Second; d += time.Second {
		m.Receive(at(d), lower, heard(100, time.Second))
		wants(t, m.Tick(at(d)))
		is(t, m, Backup, false, 30*time.Second)
	}
	wants(t, m.Tick(at(30*time.Second)), send(200), hold)
}

// What made a lower master of the other one may have gone when the timer ends.
func TestPriorityLostBeforeTakingOver(t *testing.T) {
	for _, grouped := range []bool{false, true} {
		p := params(200)
		p.Grouped = grouped
		m := newBackup(p)
		m.Receive(at(3*time.Second), lower, heard(100, time.Second))
		p.Priority = 90
		m.SetParams(at(3100*ms), p)
		wants(t, m.Tick(at(3218750*time.Microsecond)))
		stands(t, m, Waiting)
	}
}

func TestPromotionOfAMemberThatNoLongerPreempts(t *testing.T) {
	m := newBackup(grouped(200))
	m.Receive(at(3*time.Second), lower, heard(100, time.Second))
	m.Tick(at(3218750 * time.Microsecond))
	stands(t, m, Ripe)
	m.SetUnready("no real server is up")
	wants(t, m.Promote(at(3500*ms)))
	if m.state != Backup {
		t.Errorf("is %v", m.state)
	}
}
