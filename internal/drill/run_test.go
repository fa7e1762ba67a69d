// SPDX-License-Identifier: Apache-2.0

package drill

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-lb/holdfast/internal/director"
)

// fakePair is a director, and how the other one and the clients behave. All happens in the time of a synctest bubble.
type fakePair struct {
	status             director.Status
	calls              []string // in order, with the time since the start
	began              time.Time
	after              time.Duration // of the order to step down
	hand               time.Duration // that the hand-over takes
	back               time.Duration // and the return; below 0: it does not come
	result             string        // of the hand-over; empty: handed_over
	stays              string        // why the role stays with the other; empty: it does not
	failErr, returnErr error
	dies               time.Duration // when the other director does, after the hand-over; 0: never
	away, home         time.Time     // when the role has gone, and comes back
	at                 func(string)  // is told of each call
}

func (f *fakePair) called(what string) {
	f.calls = append(f.calls, fmt.Sprintf("%s %v", what, time.Since(f.began)))
	if f.at != nil {
		f.at(what)
	}
}

func (f *fakePair) Status(ctx context.Context) (director.Status, error) {
	if err := ctx.Err(); err != nil {
		return director.Status{}, err
	}
	s := f.status
	s.VirtualRouters = slices.Clone(s.VirtualRouters)
	now := time.Now()
	s.IPVS.LastReconcile = now
	gone := !f.away.IsZero() && (f.home.IsZero() || now.Before(f.home)) && (f.dies == 0 || now.Before(f.away.Add(f.dies)))
	if gone {
		s.VirtualRouters[0].State = "backup"
	}
	return s, nil
}

func (f *fakePair) Failover(ctx context.Context, routers []string, after time.Duration) (director.Failover, error) {
	f.called("failover " + strings.Join(routers, " "))
	f.after = after
	if err := pause(ctx, f.hand); err != nil {
		return director.Failover{}, err
	}
	if f.failErr != nil {
		return director.Failover{}, f.failErr
	}
	r := director.RouterFailover{Router: "web", Result: "handed_over", Master: "10.0.0.3", Seconds: f.hand.Seconds()}
	if f.result != "" {
		r.Result, r.Error = f.result, "no peer took over"
	} else {
		f.away = time.Now()
	}
	return director.Failover{Routers: []director.RouterFailover{r}}, nil
}

func (f *fakePair) Return(ctx context.Context, routers []string) (director.Failover, error) {
	f.called("return " + strings.Join(routers, " "))
	if err := ctx.Err(); err != nil {
		return director.Failover{}, err
	}
	if f.returnErr != nil {
		return director.Failover{}, f.returnErr
	}
	if f.back >= 0 && f.stays == "" {
		f.home = time.Now().Add(f.back)
	}
	return director.Failover{Routers: []director.RouterFailover{{Router: "web", Result: "returned", Returns: f.stays == "", Outlook: f.stays}}}, nil
}

// fakeClients ask each 20 ms, lead in for 1 s and out for 1 s.
type fakeClients struct {
	lose   func(n int) bool // the request with this number; nil: none
	breaks time.Duration    // when the load fails; 0: never
}

func (c fakeClients) Run(ctx context.Context, do func(context.Context, SoFar) error) (Outcome, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	begin := time.Now()
	if c.breaks > 0 {
		defer time.AfterFunc(c.breaks, func() { cancel(errors.New("no sockets")) }).Stop()
	}
	soFar := func() []Sample {
		var all []Sample
		for at, n := begin, 0; at.Before(time.Now()); at, n = at.Add(ms(20)), n+1 {
			s := Sample{Start: at, End: at.Add(ms(2))}
			if c.lose != nil && c.lose(n) {
				s.Error = "connect timeout"
			}
			all = append(all, s)
		}
		return all
	}
	err := pause(ctx, time.Second)
	if err == nil {
		err = errors.Join(do(ctx, soFar), pause(ctx, time.Second))
	}
	o := Outcome{Samples: soFar(), Held: &HeldReport{Opened: 10, Survived: 10, Stall: ms(210), Errors: map[string]int{}}}
	o.Report = Summarize(o.Samples)
	return o, err
}

// night is a drill of a fake pair, with its usual options.
func night(f *fakePair, c Clients) Drill {
	f.status, f.began = well(), time.Now()
	f.status.VirtualRouters[0].Peers[0].LastSeen = f.began.Add(-100 * 24 * time.Hour)
	return Drill{
		Options:  Options{For: 10 * time.Second, ReturnWithin: time.Minute, Bounds: Bounds{Lost: 2, Gap: time.Second, Broken: -1}},
		Director: f, Clients: func(Target) Clients { return c }, Local: elsewhere,
		Reach: func(context.Context, netip.Addr) error { return syscall.ECONNREFUSED },
		Say:   func(string, ...any) {},
	}
}

// summary is what a test wants to know: the verdict, and what did not pass.
func summary(r Result) string {
	text := []string{r.Verdict.String()}
	for _, c := range slices.Concat(r.Checks, r.Bounds) {
		if c.Verdict != Passed {
			text = append(text, fmt.Sprintf("%s %s", c.Verdict, c.Name))
		}
	}
	return strings.Join(text, ", ")
}

func TestDrill(t *testing.T) {
	usual := []string{"failover web 1s", "return web 11.2s"}
	for _, tt := range []struct {
		name  string
		pair  fakePair
		load  fakeClients
		plan  func(*Drill)
		want  string
		calls []string
	}{
		{"all well", fakePair{hand: ms(200), back: ms(900)}, fakeClients{}, nil, "passed", usual},
		{"two lost", fakePair{hand: ms(200)}, fakeClients{lose: func(n int) bool { return n == 60 || n == 61 }}, nil, "passed", usual},
		{"three lost", fakePair{hand: ms(200)}, fakeClients{lose: func(n int) bool { return n >= 60 && n < 63 }}, nil, "failed, failed lost", usual},
		{"a gap", fakePair{hand: ms(200)}, fakeClients{lose: func(n int) bool { return n >= 60 && n < 160 }}, nil, "failed, failed lost, failed longest gap", usual},
		{"lost before", fakePair{}, fakeClients{lose: func(n int) bool { return n == 3 }}, nil, "failed, failed load", nil},
		{"not taken", fakePair{hand: 3 * time.Second, result: "not_taken"}, fakeClients{}, nil, "failed, failed handed over", []string{"failover web 1s", "return web 4s"}},
		{"refused", fakePair{failErr: errors.New("not permitted"), returnErr: errors.New("not permitted")}, fakeClients{}, nil, "failed, failed handed over", []string{"failover web 1s", "return web 1s"}},
		{"the other one dies", fakePair{hand: ms(200), dies: 4 * time.Second}, fakeClients{}, nil, "failed, failed kept by the other director", []string{"failover web 1s", "return web 5.2s"}},
		{"the role stays there", fakePair{hand: ms(200), stays: "stays backup: preempt is off"}, fakeClients{}, nil, "passed, warning returned", usual},
		{"it does not come back", fakePair{hand: ms(200), back: -1}, fakeClients{}, nil, "failed, failed returned", usual},
		{"no return", fakePair{hand: ms(200), returnErr: errors.New("gone")}, fakeClients{}, nil, "failed, failed returned", usual},
		{"the load fails on the way", fakePair{hand: ms(200)}, fakeClients{breaks: 5 * time.Second}, nil, "failed, skipped kept by the other director, failed load", []string{"failover web 1s", "return web 5s"}},
		{"the load fails at once", fakePair{}, fakeClients{breaks: ms(500)}, nil, "failed, failed load", nil},
		{"to stay", fakePair{hand: ms(200)}, fakeClients{}, func(d *Drill) { d.Stay = true }, "passed", []string{"failover web 1s"}},
		{"to stay, not taken", fakePair{result: "not_taken"}, fakeClients{}, func(d *Drill) { d.Stay = true }, "failed, failed handed over", []string{"failover web 1s", "return web 1s"}},
		{"pre-checks only", fakePair{}, fakeClients{}, func(d *Drill) { d.Try = true }, "passed", nil},
		{"no load", fakePair{hand: ms(200)}, fakeClients{}, func(d *Drill) { d.NoLoad = true }, "passed, skipped load", []string{"failover web 0s", "return web 10.2s"}},
		{"the other host is gone", fakePair{}, fakeClients{}, func(d *Drill) {
			d.Reach = func(context.Context, netip.Addr) error { return fmt.Errorf("dial: %w", syscall.EHOSTUNREACH) }
		}, "failed, failed host 10.0.0.3", nil},
		{"the other host is silent", fakePair{hand: ms(200)}, fakeClients{}, func(d *Drill) {
			d.Reach = func(context.Context, netip.Addr) error { return errors.New("timeout") }
		}, "passed, warning host 10.0.0.3", usual},
		{"the other director is not ready", fakePair{}, fakeClients{}, func(d *Drill) {
			d.Ready = func(context.Context) (string, error) { return "", errors.New("503") }
		}, "failed, failed readiness of the peer", nil},
		{"broken connections count", fakePair{hand: ms(200)}, fakeClients{}, func(d *Drill) { d.Bounds.Broken = 0 }, "passed", usual},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := night(&tt.pair, tt.load)
				if tt.plan != nil {
					tt.plan(&d)
				}
				r := d.Run(t.Context(), t.Context())
				if got := summary(r); got != tt.want {
					t.Errorf("%s, want %s\n%s", got, tt.want, r.Text())
				}
				if !slices.Equal(tt.pair.calls, tt.calls) {
					t.Errorf("calls %q, want %q", tt.pair.calls, tt.calls)
				}
				// A drill that is killed must not leave the role where it is, unless that is wanted.
				if want := 70 * time.Second; len(tt.calls) > 0 && tt.pair.after != want && !d.Stay {
					t.Errorf("returns by itself after %v, want %v", tt.pair.after, want)
				}
				if byHand := tt.name == "no return"; byHand != strings.Contains(r.ByHand, "holdfast failover --return web") {
					t.Errorf("left to do by hand: %q", r.ByHand)
				}
			})
		})
	}
}

// TestInterrupted interrupts a drill at each of its moments: once the director was told to step down, it is told to return,
// and the drill waits for that.
func TestInterrupted(t *testing.T) {
	for _, load := range []bool{false, true} {
		for at := range 40 {
			after := time.Duration(at)*ms(400) + ms(50)
			synctest.Test(t, func(t *testing.T) {
				f := &fakePair{hand: ms(600), back: 2 * time.Second}
				d := night(f, fakeClients{})
				d.NoLoad = !load
				ctx, interrupt := context.WithCancelCause(t.Context())
				defer time.AfterFunc(after, func() { interrupt(errors.New("interrupted")) }).Stop()
				r := d.Run(ctx, t.Context())
				told, calls := len(f.calls) > 0, strings.Join(f.calls, ", ")
				if told && !strings.Contains(calls, "return web") || told && (f.home.IsZero() || time.Now().Before(f.home)) {
					t.Errorf("interrupted after %v: %s; home at %v, ended at %v", after, calls, f.home.Sub(f.began), time.Since(f.began))
				}
				if load && after < time.Second && told {
					t.Errorf("interrupted before the step-down: %s", calls)
				}
				if ended := ctx.Err() != nil; ended != r.Interrupted || ended == (r.Verdict == Passed) {
					t.Errorf("interrupted after %v: %v, interrupted: %t", after, r.Verdict, r.Interrupted)
				}
				interrupt(nil)
			})
		}
	}
}

// TestForced interrupts twice, at each of the moments: the drill ends soon, and says what is left to do if anything is.
func TestForced(t *testing.T) {
	for at := range 20 {
		after := time.Duration(at)*ms(400) + ms(50)
		synctest.Test(t, func(t *testing.T) {
			f := &fakePair{hand: 5 * time.Second, back: -1}
			d := night(f, fakeClients{})
			force, giveUp := context.WithCancel(t.Context())
			ctx, interrupt := context.WithCancel(force)
			defer time.AfterFunc(after, interrupt).Stop()
			defer time.AfterFunc(after+time.Second, giveUp).Stop()
			r := d.Run(ctx, force)
			if took := time.Since(f.began); took > after+3*time.Second {
				t.Errorf("forced after %v: ended after %v", after+time.Second, took)
			}
			if r.Verdict != Failed {
				t.Errorf("forced after %v: %v", after, r.Verdict)
			}
			if len(f.calls) == 0 {
				return
			}
			// The order to return was given, and so nothing is left but to look; or it could not be given.
			text := r.Text()
			if !strings.Contains(text, "holdfast failover --return web") && !strings.Contains(text, "holdfast explain router web") {
				t.Errorf("forced after %v: nothing says what to do:\n%s", after, text)
			}
			giveUp()
		})
	}
}

func TestOnlyLoad(t *testing.T) {
	to := Target{Address: netip.MustParseAddrPort("10.0.0.100:80")}
	for _, tt := range []struct {
		name string
		load fakeClients
		want string
	}{
		{"all well", fakeClients{}, "passed"},
		{"lost", fakeClients{lose: func(n int) bool { return n%20 == 0 }}, "failed, failed lost"},
		{"no sockets", fakeClients{breaks: 3 * time.Second}, "failed, failed load"},
	} {
		synctest.Test(t, func(t *testing.T) {
			r := OnlyLoad(t.Context(), tt.load, to, 5*time.Second, Bounds{Lost: 2, Gap: time.Second, Broken: -1})
			if got := summary(r); got != tt.want {
				t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		r := OnlyLoad(ctx, fakeClients{}, to, time.Hour, Bounds{Lost: 2, Gap: time.Second, Broken: -1})
		if r.Verdict != Passed || r.Load.Requests != 100 {
			t.Errorf("ended by ^C: %v, %d requests, want passed with 100", r.Verdict, r.Load.Requests)
		}
	})
}
