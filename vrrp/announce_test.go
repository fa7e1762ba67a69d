// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"bytes"
	"fmt"
	"net"
	"slices"
	"testing"
	"time"
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
		{"no addresses", usual, 0, 61 * time.Second, []string{"5s []", "1m0s []"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var s Schedule
			s.Begin(t0, tt.a, tt.addresses)
			if got := play(&s, tt.until); !slices.Equal(got, tt.want) {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
}

func TestScheduleAgain(t *testing.T) {
	var s Schedule
	s.Begin(t0, Announcements{Burst: 5, Repeat: 5, Delay: 5 * time.Second}, 2)
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
	s.Begin(t0, Announcements{Burst: 3, Interval: 100 * ms}, 1)
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
	s.Begin(t0, Announcements{Burst: 5, Repeat: 5, Delay: time.Second, Refresh: time.Minute}, 1)
	s.Stop()
	if d := s.Deadline(); !d.IsZero() {
		t.Errorf("a stopped one is due at %v", d)
	}
}

// Late by a whole period, a refresh is made once.
func TestScheduleCatchesUpOnce(t *testing.T) {
	var s Schedule
	s.Begin(t0, Announcements{Refresh: time.Second}, 1)
	if got := s.Tick(at(10 * time.Second)); !slices.Equal(got, []int{0}) {
		t.Errorf("got %v", got)
	}
	if d := s.Deadline(); !d.Equal(at(11 * time.Second)) {
		t.Errorf("next at %v", d.Sub(t0))
	}
}

// The columns are those of RFC 826: hardware and protocol type, their lengths, operation, sender, target.
func TestARPFrames(t *testing.T) {
	hw := net.HardwareAddr{0x02, 0, 0, 0, 0, 0x01}
	tests := []struct {
		format ARPFormat
		want   []string
	}{
		{ARPRequest, []string{"0001 0800 06 04 0001  020000000001 c0000264  ffffffffffff c0000264"}},
		{ARPReply, []string{"0001 0800 06 04 0002  020000000001 c0000264  020000000001 c0000264"}},
		{ARPBoth, []string{
			"0001 0800 06 04 0001  020000000001 c0000264  ffffffffffff c0000264",
			"0001 0800 06 04 0002  020000000001 c0000264  020000000001 c0000264",
		}},
	}
	for _, tt := range tests {
		var got [][]byte
		for _, op := range tt.format.operations() {
			p, err := arpFrame(op, hw, addr("192.0.2.100"))
			if err != nil {
				t.Fatal(err)
			}
			b, err := p.MarshalBinary()
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, b)
		}
		if len(got) != len(tt.want) {
			t.Fatalf("%v: got %d frames, want %d", tt.format, len(got), len(tt.want))
		}
		for i, w := range tt.want {
			if !bytes.Equal(got[i], unhex(t, w)) {
				t.Errorf("%v: got %x, want %s", tt.format, got[i], w)
			}
		}
	}
}
