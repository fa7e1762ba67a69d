// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"bytes"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mdlayher/arp"
)

// play runs a schedule until d after t0 and writes down what it announces when.
func play(s *Schedule, d time.Duration) []string {
	var log []string
	for {
		next := s.Deadline()
		if next.IsZero() || next.After(at(d)) {
			return log
		}
		log = append(log, fmt.Sprint(next.Sub(t0), s.Tick(next)))
	}
}

// turns is one link's, with the pause of a configuration.
func turns(a Announcements) func(int, time.Time) time.Time {
	var p pace
	return func(_ int, now time.Time) time.Time { return p.turn("eth0", a.Interval, now) }
}

func TestSchedule(t *testing.T) {
	usual := Announcements{Burst: 5, Repeat: 5, Delay: 5 * time.Second, Refresh: time.Minute, Interval: 0}
	paced := usual
	paced.Interval = 10 * ms
	tests := []struct {
		name      string
		a         Announcements
		addresses int
		until     time.Duration
		want      []string
	}{
		{"as configured by default", usual, 1, 125 * time.Second, []string{
			"0s [0 0 0 0 0]", "5s [0 0 0 0 0]", "1m0s [0]", "2m0s [0]",
		}},
		{"several addresses take turns", Announcements{Burst: 2, Refresh: time.Minute}, 3, time.Minute, []string{
			"0s [0 1 2 0 1 2]", "1m0s [0 1 2]",
		}},
		{"paced", paced, 2, 61 * time.Second, []string{
			"0s [0]", "10ms [1]", "20ms [0]", "30ms [1]", "40ms [0]", "50ms [1]", "60ms [0]", "70ms [1]", "80ms [0]", "90ms [1]",
			"5s [0]", "5.01s [1]", "5.02s [0]", "5.03s [1]", "5.04s [0]", "5.05s [1]", "5.06s [0]", "5.07s [1]", "5.08s [0]",
			"5.09s [1]", "1m0s [0]", "1m0.01s [1]",
		}},
		{
			"a second burst close to the first keeps the pace",
			Announcements{Burst: 2, Repeat: 2, Delay: 150 * ms, Interval: 100 * ms}, 1, time.Minute,
			[]string{"0s [0]", "100ms [0]", "150ms []", "200ms [0]", "300ms [0]"},
		},
		{"nothing but a second burst", Announcements{Repeat: 1, Delay: time.Second}, 1, time.Hour, []string{"1s [0]"}},
		{"off", Announcements{}, 1, time.Hour, nil},
		{"no addresses", usual, 0, 61 * time.Second, []string{"1m0s []"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var s Schedule
			s.Begin(t0, tt.a, tt.addresses, turns(tt.a))
			if got := play(&s, tt.until); !slices.Equal(got, tt.want) {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
}

func TestScheduleAgain(t *testing.T) {
	var s Schedule
	s.Begin(t0, Announcements{Burst: 5, Repeat: 5, Delay: 5 * time.Second}, 2, turns(Announcements{}))
	play(&s, 20*time.Second)
	s.Again(at(30 * time.Second))
	want := []string{"30s [0 1]", "35s [0 1 0 1 0 1 0 1 0 1]"}
	if got := play(&s, time.Hour); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Once more, while a burst is running, adds nothing to it.
func TestScheduleAgainDuringABurst(t *testing.T) {
	var s Schedule
	a := Announcements{Burst: 3, Interval: 100 * ms}
	s.Begin(t0, a, 1, turns(a))
	got := play(&s, 0)
	s.Again(at(50 * ms))
	got = append(got, play(&s, time.Minute)...)
	if want := []string{"0s [0]", "100ms [0]", "200ms [0]"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestScheduleStops(t *testing.T) {
	var s Schedule
	if d := s.Deadline(); !d.IsZero() {
		t.Errorf("the zero value is due at %v", d)
	}
	s.Begin(t0, Announcements{Burst: 5, Repeat: 5, Delay: time.Second, Refresh: time.Minute}, 1, turns(Announcements{}))
	s.Stop()
	if d := s.Deadline(); !d.IsZero() {
		t.Errorf("a stopped one is due at %v", d)
	}
}

// Late by a whole period, a refresh is made once.
func TestScheduleCatchesUpOnce(t *testing.T) {
	var s Schedule
	s.Begin(t0, Announcements{Refresh: time.Second}, 1, turns(Announcements{}))
	if got := s.Tick(at(10 * time.Second)); !slices.Equal(got, []int{0}) {
		t.Errorf("got %v", got)
	}
	if d := s.Deadline(); !d.Equal(at(11 * time.Second)) {
		t.Errorf("next at %v", d.Sub(t0))
	}
}

// The columns are those of Ethernet and of RFC 826: hardware and protocol type, their lengths, operation, sender, target.
func TestARPFrames(t *testing.T) {
	hw := net.HardwareAddr{0x02, 0, 0, 0, 0, 0x01}
	tests := []struct {
		op   arp.Operation
		want string
	}{
		{arp.OperationRequest, "ffffffffffff 020000000001 0806  0001 0800 06 04 0001  020000000001 c0000264  ffffffffffff c0000264"},
		{arp.OperationReply, "ffffffffffff 020000000001 0806  0001 0800 06 04 0002  020000000001 c0000264  020000000001 c0000264"},
	}
	for _, tt := range tests {
		got, err := arpFrame(tt.op, hw, addr("192.0.2.100"))
		if want := unhex(t, tt.want+strings.Repeat("00", 18)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%v: got %x, %v, want %x", tt.op, got, err, want)
		}
	}
	both := []arp.Operation{arp.OperationRequest, arp.OperationReply}
	for format, want := range map[ARPFormat][]arp.Operation{ARPRequest: both[:1], ARPReply: both[1:], ARPBoth: both} {
		if got := format.operations(); !slices.Equal(got, want) {
			t.Errorf("%v: got %v", format, got)
		}
	}
}

// The columns are Ethernet, IPv6, and RFC 4861 section 4.4: type, code, checksum, flags, target, option. The checksums
// were computed by another program.
func TestNeighbourAdvertisementFrames(t *testing.T) {
	hw := net.HardwareAddr{0x02, 0, 0, 0, 0, 0x01}
	const ethernetIPv6 = "333300000001 020000000001 86dd  60000000 0020 3a ff  20010db8000000000000000000000100 ff020000000000000000000000000001"
	for router, flags := range map[bool]string{false: "f72c 20", true: "772c a0"} {
		got, err := naFrame(hw, addr("2001:db8::100"), router)
		want := unhex(t, ethernetIPv6+"  88 00 "+flags+" 000000 20010db8000000000000000000000100  02 01 020000000001")
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("router %v: got %x, %v, want %x", router, got, err, want)
		}
	}
}

// One link is one queue, whichever router asks; another link is another.
func TestPace(t *testing.T) {
	var p pace
	for _, tt := range []struct {
		device string
		now    time.Duration
		want   time.Duration
	}{
		{"eth0", 0, 0}, {"eth0", 0, 10 * ms}, {"eth1", 0, 0}, {"eth0", 5 * ms, 20 * ms}, {"eth0", 100 * ms, 100 * ms}, {"eth0", 100 * ms, 110 * ms},
	} {
		if got := p.turn(tt.device, 10*ms, at(tt.now)); !got.Equal(at(tt.want)) {
			t.Errorf("%s at %v: got %v, want %v", tt.device, tt.now, got.Sub(t0), tt.want)
		}
	}
}
