// SPDX-License-Identifier: Apache-2.0

package ipvs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"
	"time"
)

// mirror is a table and our copy of it.
type mirror struct {
	table    Table
	have     State         // the copy, foreign services included
	known    bool          // services and timeouts are the table's, but for what others have done since they were read
	synced   bool          // so are the daemons
	due      bool          // others have had time enough: read before the next attempt
	readAt   time.Time     // when the last reading ended
	readCost time.Duration // what it took, and
	costWas  time.Duration // the one before
	history  history
}

// nextRead says when others have had time enough to change something. The shorter one of the last two readings tells what
// one costs: the other may have met a stall of this process.
func (m *mirror) nextRead() time.Time {
	return m.readAt.Add(max(readPeriod, readShare*min(m.readCost, m.costWas)))
}

func (m *mirror) reconcile(ctx context.Context, g goal) Report {
	r := Report{Goal: g.number, Time: time.Now()}
	if g.ReportOnly {
		m.history.want(g.Services)
	}
	again, err := m.attempt(ctx, g, &r)
	if again {
		// Others changed the table between reading it and writing it. What is left over from the first attempt
		// is found anew by the second.
		r.Failed = Counts{}
		_, err = m.attempt(ctx, g, &r)
	}
	r.Err = err
	r.Duration = time.Since(r.Time)
	return r
}

// attempt reports in again that it met a change by others and that a new reading will help.
func (m *mirror) attempt(ctx context.Context, g goal, r *Report) (again bool, err error) {
	if m.due || !m.known {
		if err := m.read(ctx, g, r); err != nil {
			return false, err
		}
	}
	// Daemons come first: after a change of role connections are lost every moment that they run in the old one.
	m.synced = m.synced && g.Syncs
	if g.Syncs {
		again, r.SyncErr = m.applySync(ctx, g, r)
	}
	before := r.Done
	againServices, err := m.applyServices(ctx, g, r)
	// A daemon does not start before the last destination of another address family is gone.
	again = again || againServices || r.SyncErr != nil && r.Done != before
	return again, err
}

func (m *mirror) applyServices(ctx context.Context, g goal, r *Report) (again bool, err error) {
	ours, foreign := g.split(m.have.Services)
	r.Foreign = len(foreign)
	target := g.Services
	if g.ReportOnly {
		target = m.history.target(ours)
		r.Left = Counts{}
		r.Left.add(Diff(g.Services, target))
	}
	ops := append(diffTimeouts(g.Timeouts, m.have.Timeouts), Diff(target, ours)...)
	if len(ops) > 0 {
		m.known = false
		var refused map[int]bool
		if refused, again, err = m.apply(ctx, ops, r); err != nil {
			if !g.ReportOnly {
				m.history = history{}
			}
			if !again && !hopeless(err) { // else nobody knows what the table is like
				m.note(ops, refused, target, ours, foreign)
			}
			return again, err
		}
		m.have.Services, m.have.Timeouts, m.known = append(foreign, target...), m.have.Timeouts.set(g.Timeouts), true
	}
	m.history = history{wanted: g.Services, begun: true}
	return false, nil
}

// note takes the operations that were not refused into the copy. Else one thing that the kernel refuses would have the
// table read again for every change.
func (m *mirror) note(ops []Op, refused map[int]bool, target, ours, foreign []Service) {
	var moved parts
	for i, op := range ops {
		switch {
		case refused[i]:
		case op.Kind == SetTimeouts:
			m.have.Timeouts = m.have.Timeouts.set(op.Timeouts)
		default:
			moved.add(op)
		}
	}
	m.have.Services, m.known = append(foreign, moved.move(target, ours)...), true
}

func (m *mirror) applySync(ctx context.Context, g goal, r *Report) (again bool, err error) {
	if !m.synced {
		if err := m.readSync(ctx, r); err != nil {
			return false, err
		}
	}
	r.Sync = m.have.Sync
	ops := diffSync(g.Sync, m.have.Sync)
	if len(ops) == 0 {
		return false, nil
	}
	m.synced = false
	_, again, err = m.apply(ctx, ops, r)
	if err == nil {
		m.have.Sync, m.synced = sorted(g.Sync), true
		r.Sync = m.have.Sync
		return false, nil
	}
	if readErr := m.readSync(ctx, r); readErr != nil {
		return false, errors.Join(err, readErr)
	}
	return again, err
}

func sorted(daemons []SyncDaemon) []SyncDaemon {
	return slices.SortedFunc(slices.Values(daemons), func(a, b SyncDaemon) int { return int(a.Role) - int(b.Role) })
}

func (m *mirror) read(ctx context.Context, g goal, r *Report) error {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	begin := time.Now()
	services, err := m.table.List(ctx)
	m.readAt, m.readCost, m.costWas = time.Now(), time.Since(begin), m.readCost
	if err != nil {
		m.known = false
		return fmt.Errorf("read table: %w", err)
	}
	timeouts, err := m.table.Timeouts(ctx)
	if err != nil {
		m.known = false
		return fmt.Errorf("read timeouts: %w", err)
	}
	if m.known {
		before, _ := g.split(m.have.Services)
		now, _ := g.split(services)
		r.Drift.add(Diff(before, now))
		r.Drift.add(diffTimeouts(m.have.Timeouts.only(g.Timeouts), timeouts))
	}
	m.have.Services, m.have.Timeouts, m.known, m.due = services, timeouts, true, false
	r.Read = true
	if g.Syncs {
		if err := m.readSync(ctx, r); err != nil {
			m.synced = false // found again, and reported, by applySync
		}
	}
	return nil
}

func (m *mirror) readSync(ctx context.Context, r *Report) error {
	ctx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	daemons, err := m.table.SyncDaemons(ctx)
	if err != nil {
		return fmt.Errorf("read sync daemons: %w", err)
	}
	if m.synced {
		r.Drift.add(diffSync(m.have.Sync, daemons))
	}
	m.have.Sync, m.synced = daemons, true
	r.Sync = daemons
	return nil
}

// apply carries out operations, and says by their index which were refused or not tried.
func (m *mirror) apply(ctx context.Context, ops []Op, r *Report) (refused map[int]bool, again bool, err error) {
	// One timer for all operations, each of which has the whole time: a timer each wakes the runtime each time.
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	timer := time.AfterFunc(applyTimeout, func() { cancel(context.DeadlineExceeded) })
	defer timer.Stop()
	var errs []error
	refused = make(map[int]bool)
	missing := make(map[Key]bool) // services that could not be created
	for i, op := range ops {
		if op.Kind == AddDestination && missing[op.Service] {
			r.Failed[op.Kind]++
			refused[i] = true
			continue
		}
		timer.Reset(applyTimeout)
		err := m.applyOne(ctx, op)
		if err == nil {
			r.Done[op.Kind]++
			continue
		}
		r.Failed[op.Kind]++
		refused[i] = true
		errs = append(errs, fmt.Errorf("%s %s: %w", op.Kind, op.object(), err))
		switch {
		case hopeless(err):
			for _, op := range ops[i+1:] {
				r.Failed[op.Kind]++
			}
			return nil, false, errors.Join(errs...)
		case raced(op.Kind, err):
			again = true
		case op.Kind == AddService:
			missing[op.Service] = true
		}
	}
	return refused, again, errors.Join(errs...)
}

func (m *mirror) applyOne(ctx context.Context, op Op) error {
	err := m.table.Apply(ctx, op)
	deleting := op.Kind == DeleteDestination || op.Kind == DeleteService || op.Kind == StopSync
	if deleting && !hopeless(err) && (errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.ESRCH)) {
		return nil // what should go is gone
	}
	return err
}

// raced reports whether the error shows that the table is no longer what was read.
func raced(k Kind, err error) bool {
	switch k {
	case AddService, AddDestination:
		return errors.Is(err, syscall.EEXIST) || errors.Is(err, syscall.ESRCH)
	case UpdateService: // here ENOENT is about the scheduler
		return errors.Is(err, syscall.ESRCH)
	case UpdateDestination:
		return errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.ESRCH)
	case StartSync:
		return errors.Is(err, syscall.EEXIST)
	}
	return false
}

// hopeless reports whether every later operation would fail in the same way.
func hopeless(err error) bool {
	return slices.ContainsFunc(
		[]error{ErrNoIPVS, ErrReloaded, os.ErrPermission, context.Canceled, context.DeadlineExceeded},
		func(target error) bool { return errors.Is(err, target) })
}
