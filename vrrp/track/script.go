// SPDX-License-Identifier: Apache-2.0

package track

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"strings"
	"sync"
	"time"

	"github.com/holdfast-lb/holdfast/internal/command"
)

const (
	defaultInterval = time.Second
	spread          = 500 * time.Millisecond // over which the scripts begin
	// giveUp is how long after its deadline a script is waited for: it was killed, but a process that waits for a device
	// or a file system cannot be.
	giveUp = time.Second
)

// followScripts has a goroutine for each script.
func (s *Set) followScripts(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		s.mu.Lock()
		for key, e := range s.entries {
			if key.Kind != Script || e.stop != nil {
				continue
			}
			var own context.Context
			own, e.stop = context.WithCancel(ctx)
			wg.Go(func() {
				defer close(e.ended)
				s.followScript(own, e)
			})
		}
		s.mu.Unlock()
		select {
		case <-ctx.Done():
			return
		case <-s.wake[Script]:
		}
	}
}

// followScript runs the script of e until ctx ends: in slots of its interval, the first one soon. A slot that has passed
// is skipped, so that neither a slow script nor a stall of this process makes up for lost runs.
func (s *Set) followScript(ctx context.Context, e *entry) {
	if e.after != nil {
		<-e.after.ended
		e.after = nil
	}
	interval := e.settings.interval
	if interval <= 0 {
		interval = defaultInterval
	}
	first := time.Now().Add(phase(e.settings.key, min(interval, spread)))
	t := tally{verdict: !s.statusOf(e).Failed, known: !s.statusOf(e).Pending, rise: e.settings.rise, fall: e.settings.fall}
	for due := first; ; due = slot(first, time.Now(), interval) {
		for {
			timer := time.NewTimer(time.Until(due))
			select {
			case <-ctx.Done():
				timer.Stop()
				return
			case <-timer.C:
			}
			now := time.Now()
			if now.Sub(due) < interval {
				break
			}
			due = slot(first, now, interval) // after a stall: all are late
		}
		s.runScript(ctx, e, &t)
	}
}

// slot returns the first slot after now.
func slot(first, now time.Time, interval time.Duration) time.Time {
	return first.Add((now.Sub(first)/interval + 1) * interval)
}

// phase is the same for the same tracker in every run of the program.
func phase(k Key, most time.Duration) time.Duration {
	h := fnv.New64a()
	fmt.Fprintf(h, "%s\x00%s", k.Router, k.Name)
	return time.Duration(h.Sum64() % uint64(most))
}

// runScript runs the script once and notes what came of it. One that does not end fails again in each interval, and is
// not run a second time beside itself.
func (s *Set) runScript(ctx context.Context, e *entry, t *tally) {
	type outcome struct {
		command.Result
		err error
	}
	start, ended := time.Now(), make(chan outcome, 1)
	go func() { // waited for, unless it cannot be
		r, err := s.run(ctx, command.Command{Args: strings.Split(e.settings.command, "\x00"), User: e.settings.user, Timeout: e.settings.timeout})
		ended <- outcome{r, err}
	}()
	late, stop := time.NewTimer(e.settings.timeout+giveUp), ctx.Done()
	defer late.Stop()
	if e.settings.timeout <= 0 {
		late.Stop()
	}
	for {
		select {
		case o := <-ended:
			if ctx.Err() == nil || o.Exit == 0 { // else killed by us
				s.ran(e, t, start, o.Result, o.err)
			}
			return
		case <-stop:
			stop = nil
			late.Reset(giveUp)
		case <-late.C:
			if ctx.Err() != nil {
				s.log.Warn("script left behind, it cannot be killed", "virtual_router", e.settings.key.Router, "tracker", e.settings.key.Name)
				return
			}
			late.Reset(max(e.settings.interval, giveUp))
			s.ran(e, t, start, command.Result{Exit: -1, Duration: time.Since(start)}, errors.New("killed, but does not end"))
		}
	}
}

// ran notes a result.
func (s *Set) ran(e *entry, t *tally, start time.Time, r command.Result, err error) {
	local := errors.Is(err, command.ErrLocal)
	if !local {
		t.add(err == nil && r.Exit == 0)
	}
	s.update(e, func(st *Status) {
		st.Last, st.Duration, st.Output = start, r.Duration, r.Output
		switch {
		case local:
			st.Detail = "no verdict: " + err.Error()
			return
		case err != nil:
			st.Detail = fmt.Sprintf("%v (%d in a row)", err, t.row)
		default:
			st.Detail = fmt.Sprintf("exit %d (%d in a row)", r.Exit, t.row)
		}
		st.Pending, st.Failed = false, !t.verdict
	})
}

// tally turns results into a verdict. The first result decides at once; then it takes rise passes in a row to pass again
// and fall failures in a row to fail.
type tally struct {
	rise, fall int
	known      bool // verdict means something
	verdict    bool // true: passed
	last       bool
	row        int // results in a row that are as the last one
}

func (t *tally) add(pass bool) {
	if t.row == 0 || t.last != pass {
		t.last, t.row = pass, 0
	}
	t.row++
	need := t.fall
	if pass {
		need = t.rise
	}
	if !t.known || t.row >= need {
		t.known, t.verdict = true, pass
	}
}
