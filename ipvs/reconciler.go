// SPDX-License-Identifier: Apache-2.0

package ipvs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"
)

const (
	readPeriod = 4500 * time.Millisecond // IPVS sends no events: drift is found by reading, and mended within 5 s
	readShare  = 20                      // one part in 20 of the time at most is spent on reading, if each takes as long as the last two
	firstRetry = 100 * time.Millisecond  // doubled after each attempt that fails
	lastRetry  = 5 * time.Second
	statsAge   = time.Second

	openTimeout = 30 * time.Second // modprobe may have to read a slow disk
)

// A Reconciler keeps a table equal to the newest wanted one until its context ends. It mends what others change in our
// services, and when the kernel has no IPVS it waits for it.
type Reconciler struct {
	log      *slog.Logger
	open     func(context.Context) (Table, error)
	onReport func(Report)
	goals    atomic.Uint64         // how many Set has given
	mailbox  chan goal             // size 1: the newest goal
	stats    chan snapshot         // size 1: who holds it may renew it
	table    atomic.Pointer[Table] // for Stats; nil while none is open

	// The goroutine of Run owns the rest.
	goal      goal
	mirror    mirror
	failures  int
	tableEdge edge
	syncEdge  edge
	drifting  bool
}

type snapshot struct {
	at    time.Time // when the reading began
	stats []ServiceStats
}

// NewReconciler returns a reconciler for the table that open returns. Every attempt ends in a call of onReport, from
// the goroutine of Run, which must not block. The reconciler closes the table.
func NewReconciler(log *slog.Logger, open func(context.Context) (Table, error), onReport func(Report)) *Reconciler {
	r := &Reconciler{
		log: log, open: open, onReport: onReport,
		mailbox: make(chan goal, 1), stats: make(chan snapshot, 1),
	}
	r.stats <- snapshot{}
	return r
}

// Set makes want the goal. It never blocks: a goal that nobody has come round to is replaced. The caller must not change
// its slices afterwards.
// It returns the number that the reports about this goal bear.
func (r *Reconciler) Set(want Goal) uint64 {
	g := newGoal(want)
	g.number = r.goals.Add(1)
	for {
		select {
		case r.mailbox <- g:
			return g.number
		default:
		}
		select {
		case <-r.mailbox:
		default:
		}
	}
}

// Run works until the context ends and then returns nil, leaving the table as it is. It touches nothing before the
// first Set.
func (r *Reconciler) Run(ctx context.Context) error {
	defer r.close()
	var due <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case r.goal = <-r.mailbox:
			if due != nil && r.mirror.table == nil {
				continue // opening is tried at its own pace
			}
		case <-due:
			r.mirror.due = !time.Now().Before(r.mirror.nextRead())
		}
		report := r.attempt(ctx)
		if ctx.Err() != nil {
			return nil
		}
		due = time.After(time.Until(r.next(errors.Join(report.Err, report.SyncErr))))
		r.tell(report)
		r.onReport(report)
	}
}

// attempt opens the table if need be, and anew at once if it is not the one that was opened: then it is empty.
func (r *Reconciler) attempt(ctx context.Context) Report {
	report := r.attemptOnce(ctx)
	if errors.Is(report.Err, ErrReloaded) {
		r.log.Warn("ipvs table made anew", "err", report.Err)
		report = r.attemptOnce(ctx)
	}
	return report
}

func (r *Reconciler) attemptOnce(ctx context.Context) Report {
	if r.mirror.table == nil {
		begin := time.Now()
		openCtx, cancel := context.WithTimeout(ctx, openTimeout)
		t, err := r.open(openCtx)
		cancel()
		if err != nil {
			return Report{Goal: r.goal.number, Time: begin, Duration: time.Since(begin), Err: fmt.Errorf("open table: %w", err)}
		}
		r.mirror = mirror{table: t}
		r.table.Store(&t)
	}
	report := r.mirror.reconcile(ctx, r.goal)
	if errors.Is(report.Err, ErrNoIPVS) || errors.Is(report.Err, ErrReloaded) {
		r.close()
	}
	return report
}

func (r *Reconciler) close() {
	if r.mirror.table == nil {
		return
	}
	r.table.Store(nil)
	if err := r.mirror.table.Close(); err != nil {
		r.log.Warn("ipvs table not closed", "err", err)
	}
	r.mirror = mirror{}
}

// next says when to try again after an error, and when to look for drift without one.
func (r *Reconciler) next(err error) time.Time {
	if err == nil {
		r.failures = 0
		return r.mirror.nextRead()
	}
	wait := min(firstRetry<<min(r.failures, 10), lastRetry)
	r.failures++
	return time.Now().Add(wait)
}

// tell logs what is new about a report: an error once until it changes or ends, drift once until a reading finds none.
func (r *Reconciler) tell(report Report) {
	if report.Done.Total() > 0 {
		r.log.Info("ipvs table changed", "op", report.Done.String())
	}
	r.tableEdge.tell(r.log, report.Err, "ipvs table not as wanted", "ipvs table as wanted again")
	r.syncEdge.tell(r.log, report.SyncErr, "connection sync not as wanted", "connection sync as wanted again")

	drift := report.Drift.Total() > 0
	if drift && !r.drifting {
		r.log.Warn("ipvs table changed by others", "op", report.Drift.String())
	}
	if report.Read {
		r.drifting = drift
	}
}

// edge is the text of the error that was logged last, or empty.
type edge string

func (e *edge) tell(log *slog.Logger, err error, begins, ends string) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	switch {
	case text == string(*e):
	case text != "":
		log.Warn(begins, "err", err)
	default:
		log.Info(ends)
	}
	*e = edge(text)
}

// Stats returns what the kernel counts, read at most a second before the call, with the services of others. It reads on
// its own, beside the goroutine that writes. ErrNoIPVS means that no table is open.
func (r *Reconciler) Stats(ctx context.Context) ([]ServiceStats, error) {
	var s snapshot
	called := time.Now()
	select {
	case s = <-r.stats:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { r.stats <- s }()
	if called.Sub(s.at) < statsAge {
		return s.stats, nil
	}
	t := r.table.Load()
	if t == nil {
		return nil, fmt.Errorf("read statistics: %w", ErrNoIPVS)
	}
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	begin := time.Now()
	stats, err := (*t).Stats(ctx)
	if err != nil {
		return nil, fmt.Errorf("read statistics: %w", err)
	}
	s = snapshot{begin, stats}
	return stats, nil
}
