// SPDX-License-Identifier: Apache-2.0

package ipvs_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-lb/holdfast/ipvs"
	"github.com/holdfast-lb/holdfast/ipvs/ipvstest"
)

// running is a reconciler at work on a fake, in a synctest bubble.
type running struct {
	*ipvs.Reconciler
	table *ipvstest.Fake
	begin time.Time
	log   bytes.Buffer

	mu      sync.Mutex
	openErr error
	opened  int
	reports []ipvs.Report
}

// start runs a reconciler until the test ends.
func start(t *testing.T) *running {
	t.Helper()
	r := &running{table: &ipvstest.Fake{}, begin: time.Now()}
	r.Reconciler = ipvs.NewReconciler(slog.New(slog.NewTextHandler(&r.log, nil)),
		func(context.Context) (ipvs.Table, error) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.opened++
			return r.table, r.openErr
		},
		func(report ipvs.Report) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.reports = append(r.reports, report)
		})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- r.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	return r
}

// set sets a table and waits until nothing happens any more.
func (r *running) set(state string) {
	r.Set(ipvs.Goal{Services: ipvstest.Parse(state), Owned: []ipvs.Key{ipvstest.Parse(pair)[0].Key}})
	synctest.Wait()
}

// open makes opening the table end with err from now on and returns how often it was tried.
func (r *running) open(err error) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.openErr = err
	return r.opened
}

// last takes the reports, the times at which they came, and returns the newest report.
func (r *running) last(t *testing.T) (ipvs.Report, []time.Duration) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.reports) == 0 {
		t.Fatal("got no report")
	}
	var times []time.Duration
	for _, report := range r.reports {
		times = append(times, report.Time.Sub(r.begin))
	}
	newest := r.reports[len(r.reports)-1]
	r.reports = nil
	return newest, times
}

func (r *running) wantOps(t *testing.T, want ...string) {
	t.Helper()
	if got := r.table.Applied(); !slices.Equal(got, want) {
		t.Errorf("got operations %q, want %q", got, want)
	}
}

func TestReconcilerTouchesNothingBeforeSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t)
		time.Sleep(time.Minute)
		if n := r.open(nil); n != 0 {
			t.Errorf("opened the table %d times, want never", n)
		}
	})
}

func TestReconcilerNewestWins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t)
		r.table.Fail(func(call string) error {
			if strings.HasPrefix(call, "-A") {
				time.Sleep(time.Second)
			}
			return nil
		})
		r.set("-A -t 10.0.0.1:80 -s rr") // takes a second
		for i := range 100 {
			r.Set(ipvs.Goal{Services: ipvstest.Parse(fmt.Sprintf("-A -t 10.0.0.1:80 -s rr\n-a -t 10.0.0.1:80 -r 10.0.1.1:80 -m -w %d", i))})
		}
		time.Sleep(time.Second)
		synctest.Wait()
		r.wantOps(t, "-A -t 10.0.0.1:80 -s rr", "-a -t 10.0.0.1:80 -r 10.0.1.1:80 -m -w 99")
		if _, times := r.last(t); len(times) != 2 {
			t.Errorf("got reports at %v, want 2", times)
		}
	})
}

func TestReconcilerDoesNothingTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t)
		r.set(pair)
		r.table.Applied()
		for range 3 {
			r.set(pair)
		}
		r.wantOps(t)
		if got := r.table.Lists(); got != 1 {
			t.Errorf("got %d readings, want 1", got)
		}
		if report, times := r.last(t); report.Err != nil || len(times) != 4 {
			t.Errorf("got %d reports, the last %+v, want 4 without error", len(times), report)
		}
	})
}

func TestReconcilerMendsDrift(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t)
		r.set(pair)
		key := ipvstest.Parse(pair)[0].Key
		for i := range 3 {
			time.Sleep(4 * time.Second) // drift comes 4 s after a reading and 0.5 s before the next
			if err := r.table.Apply(t.Context(), ipvs.Op{Kind: ipvs.DeleteService, Service: key}); err != nil {
				t.Fatal(err)
			}
			r.last(t)
			time.Sleep(500 * time.Millisecond)
			synctest.Wait()
			want := ipvs.Counts{ipvs.AddService: 1, ipvs.AddDestination: 2}
			report, times := r.last(t)
			if report.Drift != want || report.Done != want || !slices.Equal(times, []time.Duration{time.Duration(i+1) * 4500 * time.Millisecond}) {
				t.Errorf("got %+v at %v, want drift %s at the next reading", report, times, want)
			}
			if r.table.String() != pair {
				t.Errorf("got\n%swant\n%s", r.table, pair)
			}
			r.set(pair)
		}
		if got := strings.Count(r.log.String(), "changed by others"); got != 1 {
			t.Errorf("logged drift %d times, want once:\n%s", got, &r.log)
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if report, _ := r.last(t); report.Drift.Total()+report.Done.Total() != 0 {
			t.Errorf("got %+v, want nothing to mend", report)
		}
	})
}

// A reading that takes long is done less often, 20 times as long as it takes, but only if the next one takes long, too.
func TestReconcilerSparesSlowKernel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t)
		took := []time.Duration{0, 3, 0, 0, 1, 1, 1}
		r.table.Fail(func(call string) error {
			if call == "list" && len(took) > 0 {
				time.Sleep(took[0] * time.Second)
				took = took[1:]
			}
			return nil
		})
		r.set(pair)
		time.Sleep(72 * time.Second)
		synctest.Wait()
		var want []time.Duration
		for _, s := range []float64{0, 4.5, 12, 16.5, 21, 26.5, 47.5, 68.5} {
			want = append(want, time.Duration(s*float64(time.Second)))
		}
		if _, times := r.last(t); !slices.Equal(times, want) {
			t.Errorf("got attempts at %v, want %v", times, want)
		}
	})
}

func TestReconcilerBacksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t)
		r.table.Fail(refuse("-A", syscall.EINVAL, 8))
		r.set(pair)
		time.Sleep(30 * time.Second)
		synctest.Wait()
		report, times := r.last(t)
		var want []time.Duration
		for _, ms := range []int{0, 100, 300, 700, 1500, 3100, 6300, 11300, 16300, 20800, 25300, 29800} {
			want = append(want, time.Duration(ms)*time.Millisecond)
		}
		if !slices.Equal(times, want) {
			t.Errorf("got attempts at %v, want %v", times, want)
		}
		if report.Err != nil || r.table.String() != pair {
			t.Errorf("got %+v and\n%s", report, r.table)
		}
		if got := strings.Count(r.log.String(), "not as wanted") + strings.Count(r.log.String(), "as wanted again"); got != 2 {
			t.Errorf("got %d lines about it, want 2:\n%s", got, &r.log)
		}
	})
}

// A service that cannot be made does not hold up the others until the next retry.
func TestReconcilerServesNewTableDuringBackOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t)
		r.table.Fail(refuse("-A -t 10.0.0.1:80", syscall.ENOENT, 1<<30))
		r.set(pair)
		time.Sleep(20 * time.Second)
		synctest.Wait()
		r.table.Applied()
		r.last(t)
		r.set(pair + "-A -t 10.0.0.2:80 -s rr")
		r.wantOps(t, "-A -t 10.0.0.1:80 -s rr", "-A -t 10.0.0.2:80 -s rr")
		if report, _ := r.last(t); !errors.Is(report.Err, syscall.ENOENT) {
			t.Errorf("got %+v, want ENOENT", report)
		}
	})
}

func TestReconcilerWaitsForIPVS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t)
		noIPVS := fmt.Errorf("%w: %w", ipvs.ErrNoIPVS, syscall.ENOENT)
		r.open(noIPVS)
		r.set(pair)
		if report, _ := r.last(t); !errors.Is(report.Err, ipvs.ErrNoIPVS) {
			t.Errorf("got %+v, want %v", report, ipvs.ErrNoIPVS)
		}
		if _, err := r.Stats(t.Context()); !errors.Is(err, ipvs.ErrNoIPVS) {
			t.Errorf("statistics: got %v, want %v", err, ipvs.ErrNoIPVS)
		}
		r.set("") // is not tried at once: opening runs modprobe
		if n := r.open(noIPVS); n != 1 {
			t.Errorf("opened %d times, want once", n)
		}
		r.set(pair)
		time.Sleep(time.Minute)
		r.open(nil)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if report, _ := r.last(t); report.Err != nil || r.table.String() != pair {
			t.Errorf("got %+v and\n%s", report, r.table)
		}
		// The module is unloaded under our hands.
		opened := r.open(nil)
		r.table.Fail(refuse("list", ipvs.ErrNoIPVS, 1))
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if report, _ := r.last(t); report.Err != nil || r.open(nil) != opened+1 {
			t.Errorf("got %+v, want the table opened once more", report)
		}
	})
}

func TestReconcilerStatsAreCached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t)
		r.set(pair)
		dumps := 0
		r.table.Fail(func(call string) error {
			if call == "stats" {
				dumps++
			}
			return nil
		})
		for range 20 { // two seconds
			stats, err := r.Stats(t.Context())
			if err != nil || len(stats) != 1 || len(stats[0].Destinations) != 2 {
				t.Errorf("got %+v, %v, want one service with two destinations", stats, err)
			}
			time.Sleep(100 * time.Millisecond)
		}
		if dumps != 2 {
			t.Errorf("got %d readings, want 2", dumps)
		}
	})
}

// What the kernel refuses for good neither has the table read for each change nor hides what others do.
func TestReconcilerRefusedForGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t)
		const state = pair + "-A -t 10.0.0.2:80 -s lc\n-a -t 10.0.0.2:80 -r 10.0.1.1:80 -m -w 1\n"
		r.table.Fail(func(call string) error {
			if strings.HasPrefix(call, "-A -t 10.0.0.2:80") || strings.HasSuffix(call, "-w 9") {
				return syscall.EINVAL
			}
			return nil
		})
		r.set(state)
		if r.table.String() != pair {
			t.Fatalf("got\n%swant\n%s", r.table, pair)
		}
		time.Sleep(10 * time.Second) // now attempts are seconds apart
		lists := r.table.Lists()
		changed := state
		for _, step := range []struct{ old, with, want string }{
			{"10.0.1.1:80 -m -w 1\n-a -t 10.0.0.1", "10.0.1.1:80 -m -w 9\n-a -t 10.0.0.1", pair},
			{"10.0.1.2:80 -m -w 1", "10.0.1.2:80 -m -w 3", strings.Replace(pair, "2:80 -m -w 1", "2:80 -m -w 3", 1)},
			{"10.0.1.2:80 -m -w 3", "10.0.1.3:80 -m -w 3", strings.Replace(pair, "2:80 -m -w 1", "3:80 -m -w 3", 1)},
			{"1:80 -s rr", "1:80 -s wlc", strings.NewReplacer("2:80 -m -w 1", "3:80 -m -w 3", "rr", "wlc").Replace(pair)},
		} {
			changed = strings.Replace(changed, step.old, step.with, 1)
			r.set(changed)
			if got := r.table.String(); got != step.want {
				t.Errorf("got\n%swant\n%s", got, step.want)
			}
			if report, _ := r.last(t); !errors.Is(report.Err, syscall.EINVAL) {
				t.Errorf("got %v, want %v", report.Err, syscall.EINVAL)
			}
		}
		if got := r.table.Lists() - lists; got != 0 {
			t.Errorf("read the table %d times for changes of ours", got)
		}

		gone := ipvs.Op{Kind: ipvs.DeleteDestination, Service: ipvstest.Parse(pair)[0].Key, Destination: ipvstest.Parse(pair)[0].Destinations[0]}
		if err := r.table.Apply(t.Context(), gone); err != nil {
			t.Fatal(err)
		}
		r.table.Fail(nil)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if got := r.table.String(); got != ipvstest.Dump(ipvstest.Parse(changed)) {
			t.Errorf("got\n%swant\n%s", got, changed)
		}
		if got := strings.Count(r.log.String(), "changed by others"); got != 1 {
			t.Errorf("logged %d times that others changed something, want once:\n%s", got, r.log.String())
		}
	})
}

// slowCount takes its time to count.
type slowCount struct {
	ipvs.Table
	began chan time.Time
}

func (s slowCount) Stats(ctx context.Context) ([]ipvs.ServiceStats, error) {
	s.began <- time.Now()
	time.Sleep(3 * time.Second)
	return s.Table.Stats(ctx)
}

// What a reading that takes long finds is as old as its beginning.
func TestReconcilerStatsAreAsOldAsTheirReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := slowCount{&ipvstest.Fake{}, make(chan time.Time, 2)}
		r := ipvs.NewReconciler(slog.New(slog.DiscardHandler), func(context.Context) (ipvs.Table, error) { return table, nil }, func(ipvs.Report) {})
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		defer wg.Wait()
		defer cancel()
		wg.Go(func() { _ = r.Run(ctx) })
		r.Set(ipvs.Goal{})
		synctest.Wait()
		wg.Go(func() { _, _ = r.Stats(t.Context()) })
		time.Sleep(1500 * time.Millisecond)
		called := time.Now()
		if _, err := r.Stats(t.Context()); err != nil {
			t.Fatal(err)
		}
		close(table.began)
		var last time.Time
		for last = range table.began {
		}
		if called.Sub(last) > time.Second {
			t.Errorf("got what was read %v before it was asked for", called.Sub(last))
		}
	})
}
