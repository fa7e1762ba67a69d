// SPDX-License-Identifier: Apache-2.0

package ipvs

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// ErrNoIPVS means that the running kernel has no IPVS: neither built in nor as a module that could be loaded.
var ErrNoIPVS = errors.New("the kernel has no IPVS")

// ErrReloaded means that ip_vs was unloaded and loaded again since the table was opened, so that it is empty: open it anew.
var ErrReloaded = errors.New("ip_vs was unloaded and loaded again")

// The kernel answers an operation in microseconds and lists ten thousand destinations in a fraction of a second; what
// takes longer than this has been lost.
const (
	applyTimeout = 5 * time.Second
	readTimeout  = 15 * time.Second
)

// Table is an IPVS table: the kernel's, or the fake of package ipvstest. A context without a deadline may wait for ever.
type Table interface {
	// List returns every service ordered by key, with its destinations in the order of their addresses.
	List(ctx context.Context) ([]Service, error)
	// Timeouts returns the timeouts in force.
	Timeouts(ctx context.Context) (Timeouts, error)
	// SyncDaemons returns the connection sync daemons that run, ordered by role.
	SyncDaemons(ctx context.Context) ([]SyncDaemon, error)
	// Apply carries out one operation. Its error wraps the kernel's errno and leaves naming the operation to the
	// caller: EEXIST and ENOENT for a destination that exists or does not, EEXIST and ESRCH for a service or a sync
	// daemon, ENOENT for a scheduler or an engine that is missing, EINVAL for what a service cannot have, ERANGE for a
	// weight above 2^31-1 or thresholds the wrong way round, ENODEV for an interface that is missing, EPERM.
	Apply(ctx context.Context, op Op) error
	// Stats returns what is counted for every service, in the order of List.
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

func (c *Counts) add(ops []Op) {
	for _, op := range ops {
		c[op.Kind]++
	}
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
	Drift    Counts // what others changed of ours since the last attempt, by the kind that mends it
	Left     Counts // with Goal.ReportOnly: all that others changed and that stays so, by the kind that would mend it
	Foreign  int    // services in the table that are not ours

	Sync    []SyncDaemon // with Goal.Syncs: the daemons that run, as far as known
	SyncErr error        // nil: they are as wanted. It has no part in Err: services are kept without them
	Err     error        // nil: services and timeouts are as wanted
}

// Reconcile reads the table and changes it to what is wanted. Ours are the services that are wanted or that owned
// names, all others are left alone. An operation that fails does not keep the later ones from being tried; the error
// joins them all and is also in the report.
func Reconcile(ctx context.Context, t Table, g Goal) (Report, error) {
	r := (&mirror{table: t}).reconcile(ctx, newGoal(g))
	return r, errors.Join(r.Err, r.SyncErr)
}

// Plan returns what Reconcile would do to a table, and how many services in it are not ours.
func Plan(have State, g Goal) (ops []Op, foreign int) {
	ours, others := newGoal(g).split(have.Services)
	if g.Syncs {
		ops = diffSync(g.Sync, have.Sync)
	}
	ops = append(ops, diffTimeouts(g.Timeouts, have.Timeouts)...)
	return append(ops, Diff(g.Services, ours)...), len(others)
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
	ours = make([]Service, 0, len(table))
	for _, s := range table {
		if g.ours[s.Key] {
			ours = append(ours, s)
		} else {
			foreign = append(foreign, s)
		}
	}
	return ours, foreign
}
