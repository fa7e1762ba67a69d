// SPDX-License-Identifier: Apache-2.0

package track

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-lb/holdfast/internal/command"
)

func TestTally(t *testing.T) {
	for _, tt := range []struct {
		rise, fall int
		known      bool // from passed
		in, want   string
	}{
		{1, 1, false, "+-+--", "+-+--"},
		{2, 3, false, "-+-++", "----+"}, // the first decides at once
		{2, 3, false, "+--+---+-++", "++++++----+"},
		{3, 2, true, "-+---", "+++--"},
		{0, 0, false, "+-+", "+-+"},
	} {
		tally := tally{rise: tt.rise, fall: tt.fall, known: tt.known, verdict: tt.known}
		got := ""
		for _, c := range tt.in {
			tally.add(c == '+')
			got += map[bool]string{true: "+", false: "-"}[tally.verdict]
		}
		if got != tt.want {
			t.Errorf("rise %d fall %d: %s gives %s, want %s", tt.rise, tt.fall, tt.in, got, tt.want)
		}
	}
}

// scripts are programs that are functions of a test.
type scripts struct {
	mu    sync.Mutex
	at    map[string][]time.Time
	takes time.Duration
	exit  atomic.Int32
	err   error
}

func (p *scripts) run(ctx context.Context, c command.Command) (command.Result, error) {
	p.mu.Lock()
	if p.at == nil {
		p.at = make(map[string][]time.Time)
	}
	p.at[c.Args[0]] = append(p.at[c.Args[0]], time.Now())
	err := p.err
	p.mu.Unlock()
	select {
	case <-time.After(p.takes):
	case <-ctx.Done():
		return command.Result{Exit: -1}, ctx.Err()
	}
	return command.Result{Exit: int(p.exit.Load()), Output: "out", Duration: p.takes}, err
}

func (p *scripts) runs(name string) []time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.at["/"+name])
}

func script(name string, change func(*Tracker)) Tracker {
	t := Tracker{
		Key: Key{"web", Script, name}, Command: []string{"/" + name}, Interval: 2 * time.Second, Timeout: time.Second, Rise: 2, Fall: 2,
	}
	if change != nil {
		change(&t)
	}
	return t
}

func TestScriptSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &scripts{takes: 100 * time.Millisecond}
		w := newWatch(t, func(s *Set) { s.run = p.run })
		var all []Tracker
		for i := range 50 {
			all = append(all, script(fmt.Sprint("s", i), nil))
		}
		w.Apply(all)
		begin := time.Now()
		time.Sleep(9 * time.Second)
		distinct := make(map[time.Duration]bool)
		for i := range 50 {
			at := p.runs(fmt.Sprint("s", i))
			first := at[0].Sub(begin)
			distinct[first] = true
			if first < 0 || first >= spread || len(at) != 5 {
				t.Errorf("script %d: %d runs, the first after %s", i, len(at), first)
			}
			for n := 1; n < len(at); n++ {
				if gap := at[n].Sub(at[n-1]); gap != 2*time.Second {
					t.Errorf("script %d: %s between runs", i, gap)
				}
			}
		}
		if len(distinct) < 45 {
			t.Errorf("50 scripts begin at %d times", len(distinct))
		}
		if n := w.changes(); n != 50 {
			t.Errorf("%d changes, want 50: from pending", n)
		}
		st := w.Snapshot()[0]
		if st.Key.Name != "s0" || st.Pending || st.Failed || st.Detail != "exit 0 (5 in a row)" || st.Output != "out" || st.Duration != p.takes || st.Last.IsZero() {
			t.Errorf("%+v", st)
		}
	})
}

// TestScriptSlow: a script longer than its interval skips slots and never meets itself, not even its successor.
func TestScriptSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &scripts{takes: 5 * time.Second}
		var busy atomic.Bool
		w := newWatch(t, func(s *Set) {
			s.run = func(ctx context.Context, c command.Command) (command.Result, error) {
				if busy.Swap(true) {
					t.Error("two at a time")
				}
				defer busy.Store(false)
				r, err := p.run(ctx, c)
				time.Sleep(time.Millisecond) // being killed takes a moment
				return r, err
			}
		})
		w.Apply([]Tracker{script("slow", nil)})
		time.Sleep(20 * time.Second)
		at := p.runs("slow")
		for n := 1; n < len(at); n++ {
			if gap := at[n].Sub(at[n-1]); gap != 6*time.Second {
				t.Errorf("%s between runs, want 6s", gap)
			}
		}
		for i := range 3 { // the second and the third come before their predecessor has ended
			w.Apply([]Tracker{script("slow", func(t *Tracker) { t.User = fmt.Sprint(i); t.Interval = time.Microsecond })})
			time.Sleep(10 * time.Microsecond)
		}
		time.Sleep(20 * time.Second)
	})
}

// TestScriptThatCannotBeKilled: it waits for a disk, say. It fails as any other that is too slow, is not run beside itself,
// and holds up neither its successor nor the end.
func TestScriptThatCannotBeKilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var runs atomic.Int32
		disk := make(chan struct{})
		defer close(disk)
		w := newWatch(t, func(s *Set) {
			s.run = func(context.Context, command.Command) (command.Result, error) {
				if runs.Add(1) != 1 {
					<-disk
				}
				return command.Result{}, nil
			}
		})
		w.Apply([]Tracker{script("s", nil)})
		time.Sleep(3 * time.Second) // the second run has begun
		if st := w.Snapshot()[0]; st.Pending || st.Failed {
			t.Fatalf("%+v", st)
		}
		time.Sleep(10 * time.Second)
		if st := w.Snapshot()[0]; !st.Failed || !strings.Contains(st.Detail, "does not end") || runs.Load() != 2 {
			t.Errorf("%+v after %d runs", st, runs.Load())
		}
		disk <- struct{}{}
		time.Sleep(10 * time.Second)
		if st := w.Snapshot()[0]; !st.Failed || runs.Load() != 3 { // passed once
			t.Errorf("%+v after %d runs", st, runs.Load())
		}
		w.Apply([]Tracker{script("s", func(t *Tracker) { t.Command = []string{"/other"} })})
		time.Sleep(3 * time.Second)
		if runs.Load() != 4 {
			t.Errorf("%d runs: its successor waits", runs.Load())
		}
	})
}

func TestScriptVerdicts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &scripts{}
		w := newWatch(t, func(s *Set) { s.run = p.run })
		w.Apply([]Tracker{script("s", nil)})
		if st := w.Snapshot()[0]; !st.Pending {
			t.Errorf("before it ran: %+v", st)
		}
		after := func(d time.Duration, want bool, changes int, detail string) {
			t.Helper()
			time.Sleep(d)
			synctest.Wait()
			st := w.Snapshot()[0]
			if st.Pending || st.Failed != want || w.changes() != changes || !strings.Contains(st.Detail, detail) {
				t.Errorf("%+v after %d changes, want failed %t, %d changes, %q", st, w.changes(), want, changes, detail)
			}
		}
		after(time.Second, false, 1, "exit 0 (1 in a row)")
		p.exit.Store(3)
		after(2*time.Second, false, 1, "exit 3 (1 in a row)")
		after(2*time.Second, true, 2, "exit 3 (2 in a row)")
		p.mu.Lock()
		p.err = fmt.Errorf("run /s: %w: too many open files", command.ErrLocal)
		p.mu.Unlock()
		p.exit.Store(0)
		after(20*time.Second, true, 2, "no verdict: run /s: could not run here")
		p.mu.Lock()
		p.err = nil
		p.mu.Unlock()
		after(2*time.Second, true, 2, "exit 0 (1 in a row)")
		after(2*time.Second, false, 3, "exit 0 (2 in a row)")
		p.mu.Lock()
		p.err = errors.New("run /s: no such file")
		p.mu.Unlock()
		after(4*time.Second, true, 4, "run /s: no such file (2 in a row)")
	})
}

func TestApplyKeepsHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &scripts{}
		p.exit.Store(1)
		w := newWatch(t, func(s *Set) { s.run = p.run })
		w.Apply([]Tracker{script("s", nil)})
		time.Sleep(time.Second)
		synctest.Wait()
		before := len(p.runs("s"))

		w.Apply([]Tracker{script("s", func(t *Tracker) { t.Weight = -20 })})
		if st := w.Snapshot()[0]; !st.Failed || len(p.runs("s")) != before {
			t.Errorf("another weight: %+v", st)
		}
		p.exit.Store(0)
		w.Apply([]Tracker{script("s", func(t *Tracker) { t.Interval = time.Second; t.Rise = 3 })})
		if st := w.Snapshot()[0]; st.Pending || !st.Failed {
			t.Errorf("another interval: %+v", st)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if st := w.Snapshot()[0]; !st.Failed {
			t.Errorf("the verdict goes on, with rise: %+v", st)
		}
		w.Apply([]Tracker{script("s", func(t *Tracker) { t.Command = []string{"/other"} })})
		if st := w.Snapshot()[0]; !st.Pending {
			t.Errorf("another command: %+v", st)
		}
		w.Apply(nil)
		if len(w.Snapshot()) != 0 {
			t.Error("a tracker that is gone is still known")
		}
		changes := w.changes()
		time.Sleep(time.Minute)
		if w.changes() != changes || len(p.runs("other")) > 1 {
			t.Error("a tracker that is gone goes on")
		}
	})
}

// TestOnChangeMayCallTheSet as the director does.
func TestOnChangeMayCallTheSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &scripts{}
		var s *Set
		s = NewSet(Options{OnChange: func(st Status) { s.Apply([]Tracker{script("s", nil)}); s.Snapshot() }})
		s.run = p.run
		s.Apply([]Tracker{script("s", nil)})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := s.Run(ctx); err != nil {
			t.Error(err)
		}
	})
}

// TestRealScripts: hostile programs fail, with what they did in the detail.
func TestRealScripts(t *testing.T) {
	dir := t.TempDir()
	for _, tt := range []struct {
		name, body, detail, output string
	}{
		{"fails", "echo no upstream; exit 7", "exit 7 (", "no upstream\n"},
		{"hangs", "trap '' TERM; sleep 1000 & wait; sleep 1000", "timeout after 300ms", ""},
		{"crashes", "kill -ABRT $$", "aborted", ""},
		{"floods", "head -c 3000000 /dev/zero | tr '\\0' y; exit 1", "exit 1 (", strings.Repeat("y", command.OutputMost)},
		{"deletes-itself", "rm $0; exit 1", "no such file or directory (", ""},
	} {
		path := filepath.Join(dir, tt.name)
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"+tt.body+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		t.Run(tt.name, func(t *testing.T) {
			w := newWatch(t, nil)
			timeout := 20 * time.Second
			if tt.name == "hangs" {
				timeout = 300 * time.Millisecond
			}
			w.Apply([]Tracker{script(tt.name, func(t *Tracker) {
				t.Command, t.Interval, t.Timeout = []string{path}, 100*time.Millisecond, timeout
			})})
			st := w.until(t, "fails", func(s Status) bool { return failed(s) && strings.Contains(s.Detail, tt.detail) })
			if st.Output != tt.output {
				t.Errorf("output %.80q", st.Output)
			}
		})
	}
}
