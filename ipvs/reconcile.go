// SPDX-License-Identifier: Apache-2.0

package ipvs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"
)

// ErrNoIPVS means that the running kernel has no IPVS: neither built in nor as a module that could be loaded.
var ErrNoIPVS = errors.New("the kernel has no IPVS")

// ErrReloaded means that the kernel's IPVS is not the one that this process has begun with, and that moby/ipvs, which
// remembers the number of its netlink family, cannot write to it any more.
var ErrReloaded = errors.New("ip_vs was unloaded and loaded again: restart holdfast")

// The kernel answers an operation in microseconds and lists ten thousand destinations in a fraction of a second; what
// takes longer than this has been lost.
const (
	applyTimeout = 5 * time.Second
	readTimeout  = 15 * time.Second
)

// Table is an IPVS table: the kernel's, or the fake of package ipvstest. A context without a deadline may wait for ever.
type Table interface {
	// List returns every service ordered by key, with its destinations in the order of their addresses. Services
	// by firewall mark are listed with the zero Key and without destinations: they are only counted.
	List(ctx context.Context) ([]Service, error)
	// Apply carries out one operation. Its error wraps the kernel's errno and leaves naming the operation to the
	// caller: EEXIST and ENOENT for a destination that exists or does not, EEXIST and ESRCH for a service, ENOENT
	// for a scheduler that is missing, EINVAL for a destination that the service cannot have, ERANGE for a weight
	// above 2^31-1, EPERM.
	Apply(ctx context.Context, op Op) error
	// Stats returns what is counted for every service that has a key, in the order of List.
	Stats(ctx context.Context) ([]ServiceStats, error)
	Close() error
}

// Counts says how many operations there were of each kind.
type Counts [numKinds]int

// Total returns the number of operations of all kinds.
func (c Counts) Total() int {
	n := 0
	for _, count := range c {
		n += count
	}
	return n
}

// String lists what is not zero: "add destination 2, delete service 1", or "none".
func (c Counts) String() string {
	var parts []string
	for _, k := range Kinds() {
		if c[k] != 0 {
			parts = append(parts, fmt.Sprintf("%s %d", k, c[k]))
		}
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, ", ")
}

// Report says what one attempt to make the table equal to the wanted one found and did.
type Report struct {
	Goal     uint64 // which call of Reconciler.Set it is about
	Time     time.Time
	Duration time.Duration
	Read     bool   // the table was read, so Drift tells something
	Done     Counts // operations carried out, or found done
	Failed   Counts // operations refused, or not tried because an earlier one was
	Drift    Counts // what others changed in our services since the last attempt, by the kind that mends it
	Foreign  int    // services in the table that are not ours
	Err      error  // nil: the table is as wanted
}

// Reconcile reads the table and changes it to what is wanted. Ours are the services that are wanted or that owned
// names, all others are left alone. An operation that fails does not keep the later ones from being tried; the error
// joins them all and is also in the report.
func Reconcile(ctx context.Context, t Table, g Goal) (Report, error) {
	r := (&mirror{table: t}).reconcile(ctx, newGoal(g))
	return r, r.Err
}

// Plan returns what Reconcile would do to a table, and how many services in it are not ours.
func Plan(table []Service, g Goal) (ops []Op, foreign int) {
	ours, others := newGoal(g).split(table)
	return Diff(g.Services, ours), len(others)
}

// goal is what the table should be.
type goal struct {
	Goal
	number uint64
	ours   map[Key]bool // wanted or owned
}

func newGoal(g Goal) goal {
	ours := make(map[Key]bool, len(g.Services)+len(g.Owned))
	for _, s := range g.Services {
		ours[s.Key] = true
	}
	for _, k := range g.Owned {
		ours[k] = true
	}
	return goal{Goal: g, ours: ours}
}

func (g goal) split(table []Service) (ours, foreign []Service) {
	for _, s := range table {
		if g.ours[s.Key] {
			ours = append(ours, s)
		} else {
			foreign = append(foreign, s)
		}
	}
	return ours, foreign
}

// mirror is a table and our copy of it.
type mirror struct {
	table    Table
	services []Service     // the copy, foreign services included
	known    bool          // the copy is the table, but for what others have done since it was read
	due      bool          // others have had time enough: read before the next attempt
	readAt   time.Time     // when the last reading ended
	readCost time.Duration // and how long it took
}

func (m *mirror) reconcile(ctx context.Context, g goal) Report {
	r := Report{Goal: g.number, Time: time.Now()}
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
	ours, foreign := g.split(m.services)
	r.Foreign = len(foreign)
	ops := Diff(g.Services, ours)
	if len(ops) == 0 {
		return false, nil
	}
	m.known = false
	if again, err = m.apply(ctx, ops, r); err != nil {
		return again, err
	}
	m.services, m.known = append(foreign, g.Services...), true
	return false, nil
}

func (m *mirror) read(ctx context.Context, g goal, r *Report) error {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	begin := time.Now()
	services, err := m.table.List(ctx)
	m.readAt, m.readCost = time.Now(), time.Since(begin)
	if err != nil {
		m.known = false
		return fmt.Errorf("read table: %w", err)
	}
	if m.known {
		before, _ := g.split(m.services)
		now, _ := g.split(services)
		for _, op := range Diff(before, now) {
			r.Drift[op.Kind]++
		}
	}
	m.services, m.known, m.due = services, true, false
	r.Read = true
	return nil
}

func (m *mirror) apply(ctx context.Context, ops []Op, r *Report) (again bool, err error) {
	var errs []error
	missing := make(map[Key]bool) // services that could not be created
	for i, op := range ops {
		if op.Kind == AddDestination && missing[op.Service] {
			r.Failed[op.Kind]++
			continue
		}
		err := m.applyOne(ctx, op)
		if err == nil {
			r.Done[op.Kind]++
			continue
		}
		r.Failed[op.Kind]++
		errs = append(errs, fmt.Errorf("%s %s: %w", op.Kind, op.object(), err))
		switch {
		case hopeless(err):
			for _, op := range ops[i+1:] {
				r.Failed[op.Kind]++
			}
			return false, errors.Join(errs...)
		case raced(op.Kind, err):
			again = true
		case op.Kind == AddService:
			missing[op.Service] = true
		}
	}
	return again, errors.Join(errs...)
}

func (m *mirror) applyOne(ctx context.Context, op Op) error {
	ctx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	err := m.table.Apply(ctx, op)
	deleting := op.Kind == DeleteDestination || op.Kind == DeleteService
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
	}
	return false
}

// hopeless reports whether every later operation would fail in the same way.
func hopeless(err error) bool {
	return slices.ContainsFunc(
		[]error{ErrNoIPVS, os.ErrPermission, context.Canceled, context.DeadlineExceeded},
		func(target error) bool { return errors.Is(err, target) })
}
