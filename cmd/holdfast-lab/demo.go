// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// demo is one run of the demo.
type demo struct {
	binary  string   // holdfast
	keep    string   // a directory for configurations and logs; empty: a temporary one
	wanted  []string // scenarios or set-ups; empty: all
	out     reporter
	trouble io.Writer // for the logs of directors when a bound is missed
}

func newDemoCommand() *cobra.Command {
	var asJSON, listOnly bool
	d := &demo{}
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run a pair of directors through the faults that it is made for",
		Long: "Run a pair of directors through the faults that it is made for, while a client opens a new connection every\n" +
			"10 ms, and hold what the client saw against the bounds. Exits with 1 if a bound was missed.",
		Example: "  deploy/lab/vm bin/holdfast-lab demo\n  deploy/lab/vm bin/holdfast-lab demo --run dr/cut --run nat",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			out := cmd.OutOrStdout()
			chosen, err := choose(d.wanted)
			if err != nil {
				return err
			}
			if listOnly {
				listScenarios(out, chosen, len(d.wanted) == 0)
				return nil
			}
			if d.binary, err = besideSelf(d.binary); err != nil {
				return err
			}
			d.trouble = cmd.ErrOrStderr()
			d.out = newReporter(out, asJSON)
			return d.run(cmd.Context(), chosen)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&d.binary, "holdfast", "", "the holdfast to run: a `path` (default: beside this program)")
	flags.StringVar(&d.keep, "keep", "", "leave configurations, state and logs in this `directory`")
	flags.StringArrayVar(&d.wanted, "run", nil, "run only this `scenario`, or those of this set-up; may be repeated (see --list)")
	flags.BoolVar(&listOnly, "list", false, "list the scenarios and run none")
	flags.BoolVar(&asJSON, "json", false, "print JSON, at the end")
	return cmd
}

// choose returns the scenarios that are named, or whose set-up is, in their own order; without names those of the demo.
func choose(names []string) ([]scenario, error) {
	known := make(map[string]bool)
	var chosen []scenario
	if len(names) == 0 {
		return scenarios, nil
	}
	for _, s := range bySetup() {
		known[s.id()], known[s.setup] = true, true
		if slices.Contains(names, s.id()) || slices.Contains(names, s.setup) {
			chosen = append(chosen, s)
		}
	}
	for _, n := range names {
		if !known[n] {
			return nil, fmt.Errorf("no scenario is named %q; --list shows them", n)
		}
	}
	return chosen, nil
}

// listScenarios lists scenarios, and what else there is.
func listScenarios(out io.Writer, chosen []scenario, others bool) {
	for _, s := range chosen {
		fmt.Fprintf(out, "%-14s %s\n", s.id(), s.says)
	}
	if others {
		fmt.Fprintln(out, "only when named:")
		listScenarios(out, more, false)
	}
}

// bySetup returns all scenarios, those of a set-up in a row.
func bySetup() []scenario {
	order := func(s scenario) int {
		return slices.IndexFunc(setups, func(u *setup) bool { return u.name == s.setup })
	}
	all := slices.Concat(scenarios, more)
	slices.SortStableFunc(all, func(a, b scenario) int { return cmp.Compare(order(a), order(b)) })
	return all
}

// run runs the scenarios. It goes on after a missed bound, and after a failure in a new lab.
func (d *demo) run(ctx context.Context, chosen []scenario) (err error) {
	if _, err := os.Stat(d.binary); err != nil {
		return fmt.Errorf("find holdfast: %w; build it with make build, or say --holdfast", err)
	}
	if out, err := exec.CommandContext(ctx, "modprobe", "ip_vs").CombinedOutput(); err != nil {
		return fmt.Errorf("this kernel has no IPVS (modprobe ip_vs: %w: %s); run: deploy/lab/vm %s", err, out, strings.Join(os.Args, " "))
	}
	dir := d.keep
	if dir == "" {
		if dir, err = os.MkdirTemp("", "holdfast-lab-"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	}
	bad := false
	for len(chosen) > 0 && ctx.Err() == nil {
		n := 1
		for n < len(chosen) && chosen[n].setup == chosen[0].setup {
			n++
		}
		missed, err := d.runSetup(ctx, chosen[:n], dir)
		if err != nil {
			return err
		}
		bad = bad || missed
		chosen = chosen[n:]
	}
	if err := errors.Join(context.Cause(ctx), d.out.end()); err != nil {
		return err
	}
	if bad {
		return errMissed
	}
	return nil
}

// runSetup runs scenarios of one set-up, in one lab as long as all goes well.
func (d *demo) runSetup(ctx context.Context, chosen []scenario, dir string) (missed bool, err error) {
	i := slices.IndexFunc(setups, func(s *setup) bool { return s.name == chosen[0].setup })
	var p *pair
	defer func() {
		if p != nil {
			err = errors.Join(err, p.close())
		}
	}()
	for _, s := range chosen {
		if p == nil {
			if p, err = newPair(ctx, setups[i], d.binary, dir); err != nil {
				return missed, err
			}
		}
		ok, err := d.runScenario(ctx, s, p)
		missed = missed || !ok
		if err == nil {
			continue
		}
		if ctx.Err() != nil {
			return missed, context.Cause(ctx)
		}
		err = p.close()
		if p = nil; err != nil {
			return missed, err
		}
	}
	return missed, nil
}

// attempts is how often a scenario is run, if the machine is too busy to measure on.
const attempts = 3

// errBusy ends a scenario whose row says nothing about the directors.
var errBusy = errors.New("the machine was too busy to measure on")

// runScenario runs one scenario, again if need be. An error says that the pair is in no state to go on.
func (d *demo) runScenario(ctx context.Context, s scenario, p *pair) (ok bool, err error) {
	for left := attempts - 1; ; left-- {
		ok, err = d.tryScenario(ctx, s, p, left)
		if !errors.Is(err, errBusy) {
			return ok, err
		}
		if err := calm(ctx, 20*time.Second); err != nil {
			return false, err
		}
	}
}

// calm waits until a second has gone by in which this machine was not too busy to measure on, but not for ever.
func calm(ctx context.Context, timeout time.Duration) error {
	deadline := time.Now().Add(timeout)
	for since := time.Now(); time.Since(since) < time.Second && time.Now().Before(deadline); {
		before := time.Now()
		if err := pause(ctx, pace); err != nil {
			return err
		}
		if time.Since(before) > pace+busyFrom {
			since = time.Now()
		}
	}
	return nil
}

// tryScenario runs one scenario. A bound missed while the client itself was held up ends it with errBusy, unless none of
// the further tries is left.
func (d *demo) tryScenario(ctx context.Context, s scenario, p *pair, left int) (ok bool, err error) {
	ok, reported := true, false
	report := func(title string, o *outcome, err error, bounds ...bound) error {
		if ctx.Err() != nil {
			return context.Cause(ctx) // interrupted: what was measured means nothing
		}
		r := newRow(p.setup, title, o, bounds, err)
		if err == nil && !r.OK && r.busy() && left > 0 {
			r.Repeated, err = true, errBusy
		}
		d.out.row(r)
		if !r.OK && !r.Repeated {
			ok = false
			d.showLogs(p)
		}
		reported = err != nil
		return err
	}
	err = p.settle(ctx)
	if err == nil {
		err = s.run(ctx, p, report)
	}
	if err != nil && !reported {
		_ = report(s.name, nil, err)
	}
	return ok, err
}

// showLogs prints what the directors said last.
func (d *demo) showLogs(p *pair) {
	for _, h := range p.directors {
		fmt.Fprintf(d.trouble, "-- last lines of %s (%s):\n%s\n", h.name, h.logFile(), h.lastLines(25))
	}
}
