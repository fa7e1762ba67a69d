// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"net/netip"
	"slices"
	"testing"
	"time"
)

// The tests of this file are the clauses of RFC 9568 section 6, one each. What we add is in machine_test.go.

// t0 is when every test begins.
var t0 = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

func at(d time.Duration) time.Time { return t0.Add(d) }

const ms = time.Millisecond

var (
	own    = addr("192.0.2.10")
	lower  = addr("192.0.2.9")
	higher = addr("192.0.2.11")
)

func params(priority uint8) Params {
	return Params{Priority: priority, Interval: time.Second, Preempt: true, Handover: true, Source: own}
}

// newBackup returns a machine that has become backup at t0.
func newBackup(p Params) *Machine {
	m := NewMachine(p)
	m.Start(t0, 0, false)
	return m
}

// newMaster returns a machine that has become master at t0.
func newMaster(p Params) *Machine {
	m := NewMachine(p)
	m.Start(t0.Add(-m.MasterDownInterval()), 0, false)
	m.Tick(t0)
	return m
}

func heard(priority uint8, interval time.Duration) Advert {
	return Advert{ID: 51, Priority: priority, Interval: interval}
}

func send(priority uint8) Action { return Action{Kind: SendAdvert, Priority: priority} }

var (
	hold     = Action{Kind: HoldAddresses}
	announce = Action{Kind: AnnounceAgain}
	release  = Action{Kind: ReleaseAddresses}
)

// wants checks what a machine asked for.
func wants(t *testing.T, got []Action, want ...Action) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got actions %v, want %v", got, want)
	}
}

// is checks a machine's state, whether it holds the addresses, and when, after t0, it wants to be called; 0: never.
func is(t *testing.T, m *Machine, state State, holding bool, deadline time.Duration) {
	t.Helper()
	s, _, reason := m.State()
	if s != state || m.Holding() != holding {
		t.Errorf("got state %v, holding %v (%s); want %v, %v", s, m.Holding(), reason, state, holding)
	}
	var got time.Duration
	if d := m.Deadline(); !d.IsZero() {
		got = d.Sub(t0)
	}
	if got != deadline {
		t.Errorf("got deadline %v, want %v", got, deadline)
	}
}

// 6.1: Skew_Time = ((256 - Priority) * Active_Adver_Interval) / 256; Active_Down_Interval = 3 * Active_Adver_Interval +
// Skew_Time. Nothing is rounded to centiseconds.
func TestRFC61Timers(t *testing.T) {
	tests := []struct {
		priority   uint8
		interval   time.Duration
		skew, down time.Duration
	}{
		{100, time.Second, 609375 * time.Microsecond, 3609375 * time.Microsecond},
		{200, time.Second, 218750 * time.Microsecond, 3218750 * time.Microsecond},
		{254, time.Second, 7812500 * time.Nanosecond, 3007812500 * time.Nanosecond},
		{1, time.Second, 996093750 * time.Nanosecond, 3996093750 * time.Nanosecond},
		{100, 100 * ms, 60937500 * time.Nanosecond, 360937500 * time.Nanosecond},
		{200, 100 * ms, 21875 * time.Microsecond, 321875 * time.Microsecond},
		{100, 10 * ms, 6093750 * time.Nanosecond, 36093750 * time.Nanosecond},
		{100, 40950 * ms, 24953906250 * time.Nanosecond, 147803906250 * time.Nanosecond},
	}
	for _, tt := range tests {
		p := params(tt.priority)
		p.Interval = tt.interval
		m := newBackup(p)
		if skew, down := m.skew(m.masterInterval), m.MasterDownInterval(); skew != tt.skew || down != tt.down {
			t.Errorf("priority %d, interval %v: got %v and %v, want %v and %v", tt.priority, tt.interval, skew, down, tt.skew, tt.down)
		}
	}
}

// 6.4.1: Startup, the priority is 255: send an ADVERTISEMENT, announce, start the Adver_Timer, go to Active.
func TestRFC641StartupOfTheOwner(t *testing.T) {
	m := NewMachine(params(255))
	is(t, m, Init, false, 0)
	wants(t, m.Start(t0, 0, false), send(255), hold)
	is(t, m, Master, true, 1000*ms)
}

// 6.4.1: Startup otherwise: Active_Adver_Interval is our own, start the Active_Down_Timer, go to Backup. A backup must not
// have the addresses, so those that an earlier run left are removed.
func TestRFC641StartupOfOthers(t *testing.T) {
	m := NewMachine(params(200))
	wants(t, m.Start(t0, 0, false), release)
	is(t, m, Backup, false, 3218750*time.Microsecond)
}

// 6.4.2: Shutdown: cancel the timer, go to Initialize. Nothing is sent.
func TestRFC642Shutdown(t *testing.T) {
	m := newBackup(params(100))
	wants(t, m.Stop(at(time.Second)), release)
	is(t, m, Init, false, 0)
	wants(t, m.Tick(at(10*time.Second)))
}

// 6.4.2: the Active_Down_Timer fires: send an ADVERTISEMENT, only then announce, set the Adver_Timer, go to Active.
func TestRFC642ActiveDownTimerFires(t *testing.T) {
	m := newBackup(params(100))
	wants(t, m.Tick(at(3609*ms)))
	is(t, m, Backup, false, 3609375*time.Microsecond)
	wants(t, m.Tick(at(3609375*time.Microsecond)), send(100), hold)
	is(t, m, Master, true, 4609375*time.Microsecond)
}

// 6.4.2: an ADVERTISEMENT of priority 0: set the Active_Down_Timer to Skew_Time.
func TestRFC642MasterResigns(t *testing.T) {
	m := newBackup(params(100))
	wants(t, m.Receive(at(time.Second), higher, heard(0, time.Second)))
	is(t, m, Backup, false, 1609375*time.Microsecond)
}

// 6.4.2: of a higher or equal priority: the timer starts again. The address does not matter.
func TestRFC642HigherOrEqualMaster(t *testing.T) {
	for _, priority := range []uint8{100, 101, 255} {
		for _, from := range []netip.Addr{lower, higher} {
			m := newBackup(params(100))
			wants(t, m.Receive(at(time.Second), from, heard(priority, time.Second)))
			is(t, m, Backup, false, 4609375*time.Microsecond)
		}
	}
}

// 6.4.2: of a lower priority, and Preempt_Mode is true: discard it. The timer runs on.
func TestRFC642LowerMaster(t *testing.T) {
	m := newBackup(params(100))
	for _, d := range []time.Duration{1000 * ms, 2000 * ms, 3000 * ms} {
		wants(t, m.Receive(at(d), higher, heard(99, time.Second)))
		is(t, m, Backup, false, 3609375*time.Microsecond)
	}
	wants(t, m.Tick(at(3609375*time.Microsecond)), send(100), hold)
}

// 6.4.2: of a lower priority, and Preempt_Mode is false: the timer starts again.
func TestRFC642LowerMasterWithoutPreemption(t *testing.T) {
	p := params(100)
	p.Preempt = false
	m := newBackup(p)
	wants(t, m.Receive(at(time.Second), higher, heard(1, time.Second)))
	is(t, m, Backup, false, 4609375*time.Microsecond)
}

// 6.1 on Preempt_Mode: the router that owns the addresses always preempts, whatever the setting.
func TestRFC61OwnerAlwaysPreempts(t *testing.T) {
	p := params(255)
	p.Preempt = false
	m := NewMachine(p)
	m.Start(t0, time.Second, false)
	wants(t, m.Receive(at(time.Second), higher, heard(254, time.Second)))
	is(t, m, Backup, false, 3003906250*time.Nanosecond)
}

// 6.4.2: Active_Adver_Interval is learned from what is accepted, and Skew_Time and Active_Down_Interval computed anew.
func TestRFC642LearnsTheInterval(t *testing.T) {
	m := newBackup(params(100))
	m.Receive(at(time.Second), higher, heard(200, 100*ms))
	is(t, m, Backup, false, 1360937500*time.Nanosecond)
	m.Receive(at(1100*ms), higher, heard(0, 100*ms))
	is(t, m, Backup, false, 1160937500*time.Nanosecond) // 60.9375 ms of skew
	m.Receive(at(1200*ms), higher, heard(200, 2*time.Second))
	is(t, m, Backup, false, 8418750*time.Microsecond)
}

// 6.4.2: nothing is learned from an ADVERTISEMENT that is discarded.
func TestRFC642LearnsNothingFromALowerMaster(t *testing.T) {
	m := newBackup(params(100))
	m.Receive(at(time.Second), higher, heard(99, 100*ms))
	m.Receive(at(1500*ms), higher, heard(0, 100*ms))
	is(t, m, Backup, false, 2109375*time.Microsecond)
}

// 6.1: a master advertises at its own interval, whatever it learned as a backup.
func TestRFC61MasterKeepsItsOwnInterval(t *testing.T) {
	m := newBackup(params(100))
	m.Receive(t0, higher, heard(200, 100*ms))
	wants(t, m.Tick(at(360937500*time.Nanosecond)), send(100), hold)
	is(t, m, Master, true, 1360937500*time.Nanosecond)
	if down := m.MasterDownInterval(); down != 3609375*time.Microsecond {
		t.Errorf("got a master-down interval of %v", down)
	}
}

// 6.4.3: Shutdown: cancel the timer, send an ADVERTISEMENT of priority 0, go to Initialize.
func TestRFC643Shutdown(t *testing.T) {
	p := params(100)
	p.Handover = false
	m := newMaster(p)
	wants(t, m.Stop(at(500*ms)), send(0), release)
	is(t, m, Init, false, 0)
}

// 6.4.3: the Adver_Timer fires: send an ADVERTISEMENT, start the timer again.
func TestRFC643AdverTimerFires(t *testing.T) {
	m := newMaster(params(100))
	wants(t, m.Tick(at(999*ms)))
	wants(t, m.Tick(at(1000*ms)), send(100))
	is(t, m, Master, true, 2000*ms)
	wants(t, m.Tick(at(2001*ms)), send(100))
	is(t, m, Master, true, 3001*ms)
}

// 6.4.3: an ADVERTISEMENT of priority 0: send one at once, start the timer again.
func TestRFC643OtherMasterResigns(t *testing.T) {
	m := newMaster(params(100))
	wants(t, m.Receive(at(500*ms), higher, heard(0, time.Second)), send(100))
	is(t, m, Master, true, 1500*ms)
}

// 6.4.3: of a higher priority, or of an equal one from a higher address: learn the interval, start the
// Active_Down_Timer, go to Backup.
func TestRFC643HigherMaster(t *testing.T) {
	tests := []struct {
		priority uint8
		from     netip.Addr
	}{{101, lower}, {255, lower}, {100, higher}, {100, addr("192.0.2.200")}}
	for _, tt := range tests {
		p := params(100)
		p.Handover = false
		m := newMaster(p)
		wants(t, m.Receive(at(500*ms), tt.from, heard(tt.priority, 100*ms)), send(100), release)
		is(t, m, Backup, false, 860937500*time.Nanosecond)
	}
}

// 6.4.3: the greater address is that of the greater number, in network byte order.
func TestRFC643AddressesAreComparedAsNumbers(t *testing.T) {
	for from, state := range map[string]State{
		"192.0.2.100": Backup, "192.0.2.9": Master, "10.200.200.200": Master, "193.0.0.1": Backup, "192.0.3.1": Backup,
	} {
		m := newMaster(params(100))
		m.Receive(at(500*ms), addr(from), heard(100, time.Second))
		if s, _, _ := m.State(); s != state {
			t.Errorf("from %s: got %v, want %v", from, s, state)
		}
	}
}

// 6.4.3: otherwise discard it and send an ADVERTISEMENT at once, so that bridges learn where the master is. The
// Adver_Timer runs on.
func TestRFC643LowerMaster(t *testing.T) {
	for _, a := range []Advert{heard(99, 100*ms), heard(1, time.Second), heard(100, time.Second)} {
		m := newMaster(params(100))
		wants(t, m.Receive(at(500*ms), lower, a), send(100), announce)
		is(t, m, Master, true, 1000*ms)
		if down := m.MasterDownInterval(); down != 3609375*time.Microsecond {
			t.Errorf("got a master-down interval of %v", down)
		}
	}
}

// 6.4.3: an owner yields to nobody but another owner of a higher address.
func TestRFC643Owner(t *testing.T) {
	m := newMaster(params(255))
	wants(t, m.Receive(at(500*ms), higher, heard(254, time.Second)), send(255), announce)
	is(t, m, Master, true, 1000*ms)
	m.Receive(at(600*ms), higher, heard(255, time.Second))
	if s, _, _ := m.State(); s != Backup {
		t.Errorf("got %v, want backup", s)
	}
}
