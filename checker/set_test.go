// SPDX-License-Identifier: Apache-2.0

package checker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
	"unique"
)

var errRefused = errors.New("refused")

// fake answers for all servers, and notes when it is asked. Times count from its making.
type fake struct {
	base time.Time

	mu      sync.Mutex
	answer  func(ctx context.Context, server string) error
	runs    map[string][]time.Duration
	flying  int
	most    int // in flight at once
	changes []string
	results int
}

// start runs a Set on a fake until the test ends. By then nothing of it may be left, which synctest sees to.
func start(t *testing.T, o Options, checks ...Check) (*Set, *fake) {
	t.Helper()
	f := &fake{base: time.Now(), runs: make(map[string][]time.Duration)}
	f.answers(func(context.Context, string) error { return nil })
	onResult, onChange := o.OnResult, o.OnChange
	o.OnResult = func(st Status, r Result) {
		f.mu.Lock()
		f.results++
		f.mu.Unlock()
		if onResult != nil {
			onResult(st, r)
		}
	}
	o.OnChange = func(c Change) {
		f.mu.Lock()
		f.changes = append(f.changes, strings.TrimSpace(fmt.Sprintf("%s %s %s %s %s",
			c.At.Sub(f.base), c.Key.Server, c.Verdict, c.Reason, c.Detail)))
		f.mu.Unlock()
		if onChange != nil {
			onChange(c)
		}
	}
	s := NewSet(o)
	s.probe = f.probe
	s.Apply(checks)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	synctest.Wait()
	return s, f
}

func (f *fake) probe(c *Config) Probe {
	server := c.HTTP.Host
	return func(ctx context.Context) Result {
		f.mu.Lock()
		f.runs[server] = append(f.runs[server], time.Since(f.base))
		f.flying++
		f.most = max(f.most, f.flying)
		answer := f.answer
		f.mu.Unlock()
		err := answer(ctx, server)
		f.mu.Lock()
		f.flying--
		f.mu.Unlock()
		switch {
		case err == nil:
			return Result{Detail: "200 OK"}
		case errors.Is(err, ErrLocal):
			return Result{Err: err, Reason: reasonDescriptors, Detail: err.Error()}
		}
		return Result{Err: err, Reason: reasonRefused, Detail: "connect"}
	}
}

func (f *fake) answers(with func(ctx context.Context, server string) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answer = with
}

func (f *fake) says(err error) { f.answers(func(context.Context, string) error { return err }) }

// asked returns when a server was asked.
func (f *fake) asked(server string) []time.Duration {
	synctest.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.runs[server]
}

// counts returns the number of results so far, and the most checks in flight at once.
func (f *fake) counts() (results, most int) {
	synctest.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.results, f.most
}

func (f *fake) wantChanges(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	slices.Sort(f.changes) // those of one moment have no order
	slices.Sort(want)
	if !reflect.DeepEqual(f.changes, want) && len(f.changes)+len(want) > 0 {
		t.Errorf("changes:\n got %q\nwant %q", f.changes, want)
	}
	f.changes = nil
}

func web(server string) Check {
	return NewCheck(Key{"web", server, "http"}, Config{
		Kind: HTTP, HTTP: HTTPConfig{Host: server}, Interval: 10 * time.Second, Retry: 2 * time.Second, Timeout: time.Second, Rise: 2, Fall: 3,
	})
}

// with is a check with another configuration.
func with(c Check, change func(*Config)) Check {
	config := c.Config.Value()
	change(&config)
	c.Config = unique.Make(config)
	return c
}

func eachSecond(c *Config) { c.Interval, c.Retry = time.Second, time.Second }

// phaseOf is where the slots of the fakes' servers are.
func phaseOf(server string) time.Duration { return phase(web(server).Key, 10*time.Second) }

func wantTimes(t *testing.T, got []time.Duration, want ...time.Duration) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("asked at %v, want %v", got, want)
	}
}

func TestSetSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, f := start(t, Options{}, web("a"))
		p := phaseOf("a")
		time.Sleep(40 * time.Second)
		wantTimes(t, f.asked("a"), 0, p, p+10*time.Second, p+20*time.Second, p+30*time.Second)
		f.wantChanges(t, "0s a up  200 OK")

		// Failing: the retry while the change is pending, then the slots again.
		f.says(errRefused)
		time.Sleep(20 * time.Second)
		wantTimes(t, f.asked("a")[5:], p+40*time.Second, p+42*time.Second, p+44*time.Second, p+50*time.Second)
		f.wantChanges(t, fmt.Sprintf("%s a down connection refused connect (3 in a row)", p+44*time.Second))

		f.says(nil)
		time.Sleep(10 * time.Second)
		wantTimes(t, f.asked("a")[9:], p+60*time.Second, p+62*time.Second)
		f.wantChanges(t, fmt.Sprintf("%s a up  200 OK (2 in a row)", p+62*time.Second))
	})
}

func TestSetStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		up, down := web("up"), web("down")
		up.Start, down.Start = Up, Down
		s, f := start(t, Options{}, up, down)
		f.wantChanges(t) // neither is new
		time.Sleep(2 * time.Second)
		f.wantChanges(t, "2s down up  200 OK (2 in a row)")
		if st := s.Snapshot()[0]; st.Verdict != Up || !st.Since.Equal(f.base) {
			t.Errorf("got %s since %s, want up since the start", st.Verdict, st.Since)
		}
	})
}

// Why a check that begins as failed fails is told once, and one that has flapped before goes on with what it has to pass.
func TestSetStartDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := with(web("a"), eachSecond)
		c.Start, c.Relapses = Down, 1
		var relapses []int
		s, f := start(t, Options{OnChange: func(c Change) { relapses = append(relapses, c.Relapses) }}, c)
		f.says(errRefused)
		time.Sleep(3 * time.Second)
		f.wantChanges(t, "1s a down connection refused connect, flapping: needs 4 passes") // the first run passes
		if len(relapses) != 1 || relapses[0] != 1 {
			t.Errorf("relapses %v, want 1", relapses)
		}
		f.says(nil)
		time.Sleep(5 * time.Second)
		if st := s.Snapshot()[0]; st.Verdict != Up || st.Run != 4 && st.Run != 5 {
			t.Errorf("got %s after %d passes, want up after 4", st.Verdict, st.Run)
		}
	})
}

// A reload that changes the check before it has failed leaves it to be told why it is down.
func TestSetStartDownReloaded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := with(web("a"), eachSecond)
		c.Start = Down
		s, f := start(t, Options{}, c) // the first run passes
		f.says(errRefused)
		s.Apply([]Check{with(c, func(c *Config) { c.Timeout /= 2 })})
		time.Sleep(3 * time.Second)
		f.wantChanges(t, "0s a down connection refused connect")
	})
}

// How often it flapped is forgotten after a restart when it would have been without one.
func TestSetStartDownLongAgo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := with(web("a"), eachSecond)
		c.Start, c.Relapses, c.Since = Down, 4, time.Now().Add(-time.Hour)
		rise := c.Config.Value().Rise
		s, f := start(t, Options{}, c)
		if st := s.Snapshot()[0]; st.Need != rise || st.Damped != 0 || !st.Since.Equal(c.Since) {
			t.Errorf("needs %d passes, damped for %s, since %s", st.Need, st.Damped, st.Since)
		}
		f.says(nil)
		time.Sleep(time.Duration(rise) * time.Second)
		if st := s.Snapshot()[0]; st.Verdict != Up {
			t.Errorf("got %s after %d passes, want up after %d", st.Verdict, st.Run, rise)
		}
	})
}

// The promise: out no later than fall × interval + timeout after the failure, back after rise × interval + timeout, when
// the retry is the interval, wherever in the interval the failure falls and however long the server takes to fail.
func TestSetPromise(t *testing.T) {
	hang := func(ctx context.Context, _ string) error { <-ctx.Done(); return ctx.Err() }
	for after := time.Duration(0); after < 10*time.Second; after += 777 * time.Millisecond {
		synctest.Test(t, func(t *testing.T) {
			check := with(web("a"), func(c *Config) { c.Retry = c.Interval })
			c := check.Config.Value()
			s, f := start(t, Options{}, check)
			time.Sleep(20*time.Second + after)
			f.answers(hang)
			time.Sleep(3*c.Interval + c.Timeout)
			synctest.Wait()
			if got := s.Snapshot()[0].Verdict; got != Down {
				t.Errorf("failure at +%s: still %s", after, got)
			}
			f.says(nil)
			time.Sleep(2*c.Interval + c.Timeout)
			synctest.Wait()
			if got := s.Snapshot()[0].Verdict; got != Up {
				t.Errorf("back at +%s: still %s", after, got)
			}
		})
	}
}

// All at first at once, from then on spread.
func TestSetSpread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 1000
		var checks []Check
		for i := range n {
			checks = append(checks, web(fmt.Sprint("web", i)))
		}
		_, f := start(t, Options{Concurrency: n}, checks...)
		if got, _ := f.counts(); got != n {
			t.Errorf("at once: got %d results, want %d", got, n)
		}
		wantSpread(t, f, n)
		wantSpread(t, f, n)
	})
}

// wantSpread wants n results evenly over the next interval.
func wantSpread(t *testing.T, f *fake, n int) {
	t.Helper()
	for i := range 10 {
		before, _ := f.counts()
		time.Sleep(time.Second)
		if after, _ := f.counts(); after-before < n/10/2 || after-before > n/10*2 {
			t.Errorf("second %d: got %d results, want about %d", i, after-before, n/10)
		}
	}
}

// After this process has stood still, the checks that were missed are not made up for at once.
func TestSetStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 1000
		var checks []Check
		for i := range n {
			checks = append(checks, web(fmt.Sprint("web", i)))
		}
		var stall atomic.Bool
		_, f := start(t, Options{Concurrency: n, OnResult: func(Status, Result) {
			if stall.CompareAndSwap(true, false) {
				time.Sleep(60 * time.Second)
			}
		}}, checks...)
		time.Sleep(10 * time.Second)
		stall.Store(true)
		time.Sleep(20 * time.Second)
		before, _ := f.counts()
		time.Sleep(41 * time.Second) // to the end of the stall, and up to a second more
		if after, _ := f.counts(); after-before > n/5 {
			t.Errorf("after a stall: got %d results in a second, want about %d", after-before, n/10)
		}
		wantSpread(t, f, n)
	})
}

// More checks than this machine can do are late, but none has to wait while others have turn after turn.
func TestSetOverload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 1000
		rnd := rand.New(rand.NewPCG(1, 2))
		var cost time.Duration
		begun, longest := 0, 0
		last := make(map[string]int)
		s := NewSet(Options{Concurrency: n})
		s.probe = func(c *Config) Probe { // from the loop of the Set
			if begun%200 == 0 {
				cost = time.Duration(rnd.IntN(80)) * time.Millisecond // all take up to 80 s, and are due each 10 s
			}
			time.Sleep(cost)
			begun++
			if was := last[c.HTTP.Host]; was > 0 {
				longest = max(longest, begun-was)
			}
			last[c.HTTP.Host] = begun
			return func(context.Context) Result { return Result{} }
		}
		var checks []Check
		for i := range n {
			checks = append(checks, web(fmt.Sprint("web", i)))
		}
		s.Apply(checks)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- s.Run(ctx) }()
		time.Sleep(time.Hour)
		cancel()
		<-ended
		if longest > 2*n {
			t.Errorf("a check ran again after %d others, want at most %d", longest, 2*n)
		}
	})
}

// A timeout that this process notices long after the deadline is its own: the answer may be here unread.
func TestSetStallInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewSet(Options{})
		s.probe = func(c *Config) Probe {
			return func(context.Context) Result {
				switch c.HTTP.Host {
				case "dead":
					time.Sleep(c.Timeout + maxLate)
				case "stalled":
					time.Sleep(c.Timeout + 3*time.Second)
				case "refused":
					time.Sleep(c.Timeout + 3*time.Second)
					return fault("connect", c.Target, syscall.ECONNREFUSED)
				}
				return fault("connect", c.Target, os.ErrDeadlineExceeded)
			}
		}
		s.Apply([]Check{web("dead"), web("stalled"), web("refused")})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- s.Run(ctx) }()
		defer func() { cancel(); <-ended }()
		time.Sleep(5 * time.Second)
		synctest.Wait()
		for i, want := range []struct {
			verdict Verdict
			reason  string
		}{{Down, reasonTimeout}, {Unknown, reasonStalled}, {Down, reasonRefused}} {
			if st := s.Snapshot()[i]; st.Verdict != want.verdict || st.Reason != want.reason {
				t.Errorf("%s: got %s %q, want %s %q", st.Key.Server, st.Verdict, st.Reason, want.verdict, want.reason)
			}
		}
	})
}

func TestSetConcurrency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var checks []Check
		for i := range 10 {
			checks = append(checks, web(fmt.Sprint("web", i)))
		}
		s, f := start(t, Options{Concurrency: 3})
		f.answers(func(context.Context, string) error { time.Sleep(100 * time.Millisecond); return nil })
		s.Apply(checks)
		time.Sleep(350 * time.Millisecond) // four rounds of three
		if got, most := f.counts(); got != 9 || most != 3 {
			t.Errorf("got %d results, %d at once; want 9, 3", got, most)
		}
		time.Sleep(100 * time.Millisecond)
		for i := range 10 {
			if len(f.asked(fmt.Sprint("web", i))) == 0 {
				t.Errorf("web%d: not asked", i)
			}
		}
	})
}

func TestSetApply(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, f := start(t, Options{}, web("same"), web("other"), web("gone"))
		time.Sleep(15 * time.Second)
		before := s.Snapshot()
		other := with(web("other"), func(c *Config) { c.HTTP.Path = "/new" })
		f.says(errRefused)
		f.wantChanges(t, "0s same up  200 OK", "0s other up  200 OK", "0s gone up  200 OK")
		s.Apply([]Check{web("new"), other, web("same"), web("same")})
		time.Sleep(time.Millisecond)
		f.wantChanges(t, "15s new down connection refused connect")

		after := s.Snapshot()
		if len(after) != 3 || after[0].Key.Server != "new" || after[1].Key.Server != "other" || after[2].Key.Server != "same" {
			t.Fatalf("got %+v, want new, other, same", after)
		}
		if after[2] != before[0] {
			t.Errorf("equal check:\n got %+v\nwant %+v", after[2], before[0])
		}
		if o := after[1]; o.Verdict != Up || !o.Since.Equal(before[1].Since) || o.Run != 1 || o.Reason != "connection refused" {
			t.Errorf("changed check: got %+v, want up as before, and asked at once", o)
		}
		gone := len(f.asked("gone"))
		asked := f.asked("same")
		time.Sleep(10 * time.Second)
		if got := f.asked("same"); got[len(asked)] != asked[len(asked)-1]+10*time.Second {
			t.Errorf("equal check: asked at %v, want its schedule kept", got)
		}
		if got := len(f.asked("gone")); got != gone {
			t.Errorf("removed check: asked %d times more", got-gone)
		}
	})
}

// The result of a check that was removed, or replaced, while in flight is of no interest.
func TestSetApplyInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, f := start(t, Options{Concurrency: 1}) // so that the new one waits for the old one
		f.answers(func(context.Context, string) error { time.Sleep(500 * time.Millisecond); return errRefused })
		s.Apply([]Check{web("a"), web("b")})
		synctest.Wait()
		f.says(nil)
		a := with(web("a"), func(c *Config) { c.HTTP.Path = "/new" })
		s.Apply([]Check{a})
		time.Sleep(time.Second)
		f.wantChanges(t, "500ms a up  200 OK")
		if got := f.asked("b"); got != nil {
			t.Errorf("removed check: asked at %v", got)
		}
	})
}

func TestFirstRound(t *testing.T) {
	closed := func(s *Set) bool {
		synctest.Wait()
		select {
		case <-s.FirstRound():
			return true
		default:
			return false
		}
	}
	slow := func(_ context.Context, server string) error {
		if server == "slow" {
			time.Sleep(500 * time.Millisecond)
		}
		return ErrLocal // an attempt is enough
	}
	t.Run("empty", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := NewSet(Options{})
			if closed(s) {
				t.Error("closed before the first Apply")
			}
			s.Apply(nil)
			if !closed(s) {
				t.Error("not closed for an empty set")
			}
			s.Apply([]Check{web("a")}) // does not matter any more
			s.Apply(nil)
		})
	})
	t.Run("all", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := NewSet(Options{})
			f := &fake{runs: make(map[string][]time.Duration), answer: slow}
			s.probe = f.probe
			s.Apply([]Check{web("a"), web("slow")})
			go func() { _ = s.Run(t.Context()) }()
			if closed(s) {
				t.Error("closed while a check is in flight")
			}
			time.Sleep(500 * time.Millisecond)
			if !closed(s) {
				t.Error("not closed when all have run")
			}
		})
	})
	t.Run("removed", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := NewSet(Options{})
			s.Apply([]Check{web("a"), web("b")})
			s.Apply([]Check{web("a"), web("c")})
			if closed(s) {
				t.Error("closed while a check has not run")
			}
			s.Apply([]Check{web("c")})
			if !closed(s) {
				t.Error("not closed when all are gone")
			}
		})
	})
}

// A fault of this host changes no verdict, does not break a run of failures, and is logged when it begins and ends.
func TestSetLocalFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		h := slog.NewTextHandler(&log, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}})
		s, f := start(t, Options{Log: slog.New(h)}, web("a"), web("b"))
		f.says(fmt.Errorf("%w: too many open files", ErrLocal))
		time.Sleep(60 * time.Second)
		f.wantChanges(t, "0s a up  200 OK", "0s b up  200 OK")
		if st := s.Snapshot()[0]; st.Verdict != Up || st.Reason != "no file descriptors" || st.Run != 1 {
			t.Errorf("got %+v, want up, as after the first pass", st)
		}
		f.says(nil)
		time.Sleep(60 * time.Second)
		synctest.Wait()
		got := strings.Split(strings.TrimSpace(log.String()), "\n")
		if len(got) != 2 ||
			!strings.Contains(got[0], `level=WARN msg="checks cannot run here" service=web server=`) ||
			!strings.Contains(got[0], `check=http reason="no file descriptors" err="check could not run here: too many open files"`) ||
			got[1] != `level=INFO msg="checks run here again" reason="no file descriptors"` {
			t.Errorf("log:\n%s", log.String())
		}
	})
}

// The end of ctx ends the checks in flight, and they say nothing.
func TestSetShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var changes []Change
		s := NewSet(Options{OnChange: func(c Change) { changes = append(changes, c) }})
		s.probe = func(*Config) Probe {
			return func(ctx context.Context) Result { <-ctx.Done(); return Result{Err: ctx.Err()} }
		}
		s.Apply([]Check{web("a"), web("b")})
		ctx, cancel := context.WithCancel(t.Context())
		go func() { time.Sleep(500 * time.Millisecond); cancel() }()
		if err := s.Run(ctx); err != nil {
			t.Errorf("got %v, want nil", err)
		}
		if len(changes) > 0 {
			t.Errorf("got changes: %+v", changes)
		}
	})
}

// The callbacks may look at the Set, and change it.
func TestSetCallbacks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s *Set
		var seen []Verdict
		s, _ = start(t, Options{
			OnResult: func(st Status, _ Result) { seen = append(seen, st.Verdict) },
			OnChange: func(c Change) {
				seen = append(seen, s.Snapshot()[0].Verdict)
				s.Apply([]Check{web(c.Key.Server + "b")})
				if len(seen) > 3 {
					s.Apply(nil)
				}
			},
		})
		s.Apply([]Check{web("a")})
		synctest.Wait()
		if want := []Verdict{Up, Up, Up, Up}; !reflect.DeepEqual(seen, want) {
			t.Errorf("got %v, want %v", seen, want)
		}
	})
}

// same are checks of one server by several services.
func same(services ...string) []Check {
	list := make([]Check, len(services))
	for i, service := range services {
		list[i] = web("a")
		list[i].Key.Service = service
	}
	return list
}

// Equal checks run once, and each has its own verdict, counts and callbacks.
func TestSetShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		results := make(map[string]int)
		s, f := start(t, Options{OnResult: func(st Status, _ Result) { results[st.Key.Service]++ }}, same("one", "two")...)
		select {
		case <-s.FirstRound():
		default:
			t.Error("first round: not done, although both have a result")
		}
		p := phase(same("one")[0].Key, 10*time.Second)
		time.Sleep(15 * time.Second)
		wantTimes(t, f.asked("a"), 0, p, p+10*time.Second)
		f.wantChanges(t, "0s a up  200 OK", "0s a up  200 OK")

		// One more is checked at once; the two before take that result, too.
		f.says(errRefused)
		s.Apply(same("one", "two", "three"))
		synctest.Wait()
		f.wantChanges(t, "15s a down connection refused connect")
		if got := f.asked("a"); len(got) != 4 {
			t.Errorf("asked at %v, want once more at 15s", got)
		}
		for i, want := range []struct {
			verdict        Verdict
			passed, failed uint64
		}{{Up, 3, 1}, {Up, 3, 1}, {Down, 0, 1}} {
			st := s.Snapshot()[i]
			if st.Verdict != want.verdict || st.Counts.Passed != want.passed || st.Counts.Failed != want.failed {
				t.Errorf("%s: got %s %+v, want %+v", st.Key.Service, st.Verdict, st.Counts, want)
			}
		}

		// The first may go: the others keep running as before.
		s.Apply(same("two", "three"))
		time.Sleep(4 * time.Second)
		f.wantChanges(t, "19s a down connection refused connect (3 in a row)")
		if got, _ := f.counts(); results["one"] != 4 || results["two"] != results["three"]+3 || got != results["one"]+results["two"]+results["three"] {
			t.Errorf("got results %v", results)
		}
		n := len(f.asked("a"))
		s.Apply(nil)
		time.Sleep(time.Minute)
		if got := f.asked("a"); len(got) != n {
			t.Errorf("removed: asked at %v", got[n:])
		}
	})
}

// A program is told for whom it runs, and so runs for each.
func TestSetShareExec(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		checks := same("one", "two")
		for i := range checks {
			checks[i] = with(checks[i], func(c *Config) { c.Kind = Exec })
		}
		s, f := start(t, Options{}, checks...)
		wantTimes(t, f.asked("a"), 0, 0)
		s.Apply(checks[1:])
		s.Apply(checks)
		time.Sleep(time.Millisecond)
		if got := f.asked("a"); len(got) != 3 {
			t.Errorf("asked at %v, want once more for the one that is new again", got)
		}
	})
}

// A check in flight counts for those that come meanwhile, and no longer for those that go.
func TestSetShareInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, f := start(t, Options{})
		f.answers(func(context.Context, string) error { time.Sleep(500 * time.Millisecond); return nil })
		s.Apply(same("one", "two"))
		time.Sleep(100 * time.Millisecond)
		s.Apply(same("two", "three"))
		time.Sleep(500 * time.Millisecond)
		f.wantChanges(t, "500ms a up  200 OK", "500ms a up  200 OK")
		wantTimes(t, f.asked("a"), 0)
		for _, st := range s.Snapshot() {
			if st.Counts.Passed != 1 || st.Key.Service == "one" {
				t.Errorf("%s: got %+v, want one pass", st.Key.Service, st.Counts)
			}
		}

		// All go, and the same come back: the one in flight is nobody's.
		time.Sleep(phaseOfService("two") - 500*time.Millisecond)
		s.Apply(nil)
		s.Apply(same("four"))
		time.Sleep(600 * time.Millisecond)
		if st := s.Snapshot()[0]; st.Counts.Passed != 1 {
			t.Errorf("four: got %+v, want one pass", st.Counts)
		}
	})
}

// Each removal and return, at any moment, leaves each check with one entry that runs.
func TestSetShareChurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, f := start(t, Options{Concurrency: 2})
		f.answers(func(context.Context, string) error { time.Sleep(70 * time.Millisecond); return nil })
		services := []string{"one", "two", "three", "four"}
		for i := range 500 {
			var list []Check
			for j, service := range services {
				if (i*7+j*3)%5 < 3 {
					list = append(list, same(service)...)
					other := web(services[(i+j)%4])
					other.Key.Service = service
					list = append(list, other)
				}
			}
			s.Apply(list)
			time.Sleep(time.Duration(i%11) * 13 * time.Millisecond)
		}
		s.Apply(same(services...))
		time.Sleep(10 * time.Second)
		n, before := len(f.asked("a")), s.Snapshot()
		time.Sleep(100 * time.Second)
		if got := len(f.asked("a")) - n; got != 10 {
			t.Errorf("asked %d times in 10 intervals", got)
		}
		for i, st := range s.Snapshot() {
			if got := st.Counts.Passed - before[i].Counts.Passed; st.Verdict != Up || got != 10 {
				t.Errorf("%s: got %s, %d results in 10 intervals", st.Key.Service, st.Verdict, got)
			}
		}
		if len(s.entries) != 1 || len(s.deadlines) != 1 {
			t.Errorf("left: %d entries, %d deadlines; want one of each", len(s.entries), len(s.deadlines))
		}
	})
}

func phaseOfService(service string) time.Duration { return phase(same(service)[0].Key, 10*time.Second) }

// Who goes down again soon has to pass for longer, and that is said.
func TestSetDamping(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := with(web("a"), func(c *Config) { c.Interval, c.Retry, c.Fall = time.Second, 500*time.Millisecond, 1 })
		s, f := start(t, Options{}, c)
		f.says(errRefused)
		time.Sleep(2 * time.Second)
		f.says(nil)
		time.Sleep(4 * time.Second)
		if st := s.Snapshot()[0]; st.Verdict != Up || st.Damped != 0 {
			t.Errorf("after a failure: got %s, damped %s; want up, 0s", st.Verdict, st.Damped)
		}
		f.mu.Lock()
		f.changes = nil
		f.mu.Unlock()
		f.says(errRefused)
		time.Sleep(time.Second)
		st := s.Snapshot()[0]
		if st.Verdict != Down || st.Damped != time.Second {
			t.Errorf("after a relapse: got %s, damped %s; want down, 1s", st.Verdict, st.Damped)
		}
		f.wantChanges(t, st.Since.Sub(f.base).String()+" a down connection refused connect, flapping: needs 4 passes")
		f.says(nil)
		time.Sleep(3 * time.Second)
		st = s.Snapshot()[0]
		f.wantChanges(t, st.Since.Sub(f.base).String()+" a up  200 OK (4 in a row)")
		time.Sleep(40 * time.Second)
		if st := s.Snapshot()[0]; st.Damped != 0 {
			t.Errorf("after a quiet time: got damped %s, want 0s", st.Damped)
		}
	})
}

// A weight is of the newest pass, and a change of it alone is told while the server is up.
func TestSetWeight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var answer atomic.Pointer[Result]
		answer.Store(&Result{Weight: Weight{true, 5}})
		var got []string
		s := NewSet(Options{OnChange: func(c Change) {
			got = append(got, fmt.Sprintf("%s %v %d", c.Verdict, c.Weight.Set, c.Weight.Value))
		}})
		s.probe = func(*Config) Probe { return func(context.Context) Result { return *answer.Load() } }
		s.Apply([]Check{web("a")})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- s.Run(ctx) }()
		for _, next := range []Result{
			{Weight: Weight{true, 5}},
			{Weight: Weight{true, 0}},
			{Err: errRefused},         // says nothing of a weight
			{Weight: Weight{true, 0}}, // and so this is no news
			{},
			{Weight: Weight{true, 7}},
			{Err: errRefused},
			{Weight: Weight{true, 8}}, // is told when it is up
		} {
			answer.Store(&next)
			time.Sleep(20 * time.Second)
			synctest.Wait()
		}
		cancel()
		<-ended
		want := []string{"up true 5", "up true 0", "down true 0", "up true 0", "up false 0", "up true 7", "down true 7", "up true 8"}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got %q\nwant %q", got, want)
		}
	})
}

// Each run tells how late it is, and so does a slot that is left out.
func TestSetLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var stall atomic.Bool
		var runs, late, longest atomic.Int64
		_, f := start(t, Options{
			OnLate: func(d time.Duration) {
				runs.Add(1)
				if d > 0 {
					late.Add(1)
					longest.Store(max(longest.Load(), int64(d)))
				}
			},
			OnResult: func(Status, Result) {
				if stall.CompareAndSwap(true, false) {
					time.Sleep(time.Minute)
				}
			},
		}, web("a"), web("b"))
		time.Sleep(10 * time.Second)
		f.counts()
		if runs.Load() != 4 || late.Load() != 0 {
			t.Errorf("got %d runs, %d of them late; want 4, 0", runs.Load(), late.Load())
		}
		stall.Store(true)
		time.Sleep(71 * time.Second)
		f.counts()
		gap := (phaseOf("a") - phaseOf("b")).Abs()
		if got := time.Duration(longest.Load()); late.Load() != 2 || got != time.Minute-gap && got != 50*time.Second+gap {
			t.Errorf("after a stall: got %d late, by up to %s; want both, by almost a minute", late.Load(), got)
		}
	})
}
