// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"testing"
	"time"
)

// The tests of this file are what RFC 3768 (VRRPv2) section 6 says otherwise than RFC 9568.

func params2(priority uint8, interval time.Duration) Params {
	p := params(priority)
	p.Version, p.Interval = 2, interval
	return p
}

// 6.1: Skew_Time = ((256 - Priority) / 256) in seconds, whatever the interval; Master_Down_Interval = 3 *
// Advertisement_Interval + Skew_Time.
func TestRFC3768Timers(t *testing.T) {
	tests := []struct {
		priority   uint8
		interval   time.Duration
		skew, down time.Duration
	}{
		{100, time.Second, 609375 * time.Microsecond, 3609375 * time.Microsecond},
		{254, time.Second, 7812500 * time.Nanosecond, 3007812500 * time.Nanosecond},
		{100, 5 * time.Second, 609375 * time.Microsecond, 15609375 * time.Microsecond},
		{1, 255 * time.Second, 996093750 * time.Nanosecond, 765996093750 * time.Nanosecond},
	}
	for _, tt := range tests {
		m := newBackup(params2(tt.priority, tt.interval))
		if skew, down := m.skew(m.masterInterval), m.MasterDownInterval(); skew != tt.skew || down != tt.down {
			t.Errorf("priority %d, interval %v: got %v and %v, want %v and %v", tt.priority, tt.interval, skew, down, tt.skew, tt.down)
		}
	}
}

// 6.4.2: a master that resigns is waited for as long as the skew, which is not shorter for a long interval.
func TestRFC3768MasterResigns(t *testing.T) {
	m := newBackup(params2(100, 5*time.Second))
	wants(t, m.Receive(at(ms), higher, heard(0, 5*time.Second)))
	is(t, m, Backup, false, ms+609375*time.Microsecond)
}

// 6.4.2 and 6.4.3: the transitions are those of version 3; there is no interval to learn, because an advert with another
// one is discarded (7.1).
func TestRFC3768Transitions(t *testing.T) {
	m := newBackup(params2(200, time.Second))
	m.Receive(at(500*ms), higher, heard(200, time.Second))
	is(t, m, Backup, false, 3718750*time.Microsecond)
	wants(t, m.Receive(at(600*ms), lower, heard(199, time.Second)))
	is(t, m, Backup, false, 3718750*time.Microsecond)
	wants(t, m.Tick(at(3718750*time.Microsecond)), send(200), hold)
	wants(t, m.Receive(at(4000*ms), higher, heard(200, time.Second)), send(200))
	wants(t, m.Tick(at(4150*ms)), send(200))
	is(t, m, Backup, true, 4300*ms)
}

// 6.4.3: a lower advert is discarded. RFC 9568 has it answered at once, and so do we: the other one may not have heard us.
func TestRFC3768LowerMasterIsAnswered(t *testing.T) {
	m := newMaster(params2(200, time.Second))
	wants(t, m.Receive(at(500*ms), lower, heard(100, time.Second)), send(200), announce)
	is(t, m, Master, true, 1000*ms)
}
