// SPDX-License-Identifier: Apache-2.0

package checker

import (
	"fmt"
	"testing"
	"time"
	"unsafe"
)

func TestSlot(t *testing.T) {
	for _, tc := range []struct{ now, phase, interval, want string }{
		{"0s", "0s", "10s", "10s"},
		{"0s", "3s", "10s", "3s"},
		{"2999ms", "3s", "10s", "3s"},
		{"3s", "3s", "10s", "13s"},
		{"3001ms", "3s", "10s", "13s"},
		{"12999ms", "3s", "10s", "13s"},
		{"59s", "3s", "10s", "1m3s"}, // a stall: what was missed is left out
	} {
		got := slot(duration(t, tc.now), duration(t, tc.phase), duration(t, tc.interval))
		if got != duration(t, tc.want) {
			t.Errorf("slot(%s, %s, %s): got %s, want %s", tc.now, tc.phase, tc.interval, got, tc.want)
		}
	}
}

func TestNext(t *testing.T) {
	for _, tc := range []struct {
		name                        string
		start, now, interval, retry string
		pending                     bool
		want                        string
	}{
		{"on the slot, no drift", "13s", "13050ms", "10s", "1s", false, "23s"},
		{"late, back on the slots", "14s", "14s", "10s", "1s", false, "23s"},
		{"longer than the interval skips", "13s", "25s", "10s", "1s", false, "33s"},
		{"pending counts from the start", "13s", "13900ms", "10s", "1s", true, "14s"},
		{"pending, at once after a long run", "13s", "16s", "10s", "1s", true, "16s"},
		{"pending without retry", "13s", "13s", "10s", "0s", true, "23s"},
		{"no interval", "13s", "13s", "0s", "0s", true, "14s"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := Config{Interval: duration(t, tc.interval), Retry: duration(t, tc.retry)}
			got := next(duration(t, tc.start), duration(t, tc.now), 3*time.Second, &c, tc.pending)
			if got != duration(t, tc.want) {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}

// The phases fill the interval evenly, and never change: two directors and two runs agree.
func TestPhase(t *testing.T) {
	const n, parts = 10_000, 20
	var count [parts]int
	for i := range n {
		k := Key{Service: "web", Server: fmt.Sprintf("web%d", i), Check: "http"}
		count[phase(k, 10*time.Second)*parts/(10*time.Second)]++
	}
	for i, c := range count {
		if c < 400 || c > 600 {
			t.Errorf("part %d of %d: got %d of %d checks, want about %d", i, parts, c, n, n/parts)
		}
	}
	if got, want := phase(Key{"web", "web1", "http"}, 10*time.Second), 1731000165*time.Nanosecond; got != want {
		t.Errorf("web1: got %s, want %s", got, want)
	}
	if phase(Key{"a", "bc", ""}, time.Hour) == phase(Key{"ab", "c", ""}, time.Hour) {
		t.Error("keys with equal letters: got equal phases")
	}
}

func TestEntrySize(t *testing.T) {
	if got := unsafe.Sizeof(entry{}) + unsafe.Sizeof(member{}) + unsafe.Sizeof(&member{}); got > 512 {
		t.Errorf("an idle check takes %d bytes, want at most 512", got)
	}
}

func duration(t *testing.T, s string) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}
