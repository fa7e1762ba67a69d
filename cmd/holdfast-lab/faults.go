// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/spf13/cobra"
)

// A fault is one scenario of the fault suite. It has a lab of its own: two directors or more, a client with a new
// connection each 10 ms and some that it holds, and a switch whose adverts are written down.
type fault struct {
	name string // GROUP/NAME
	what string // is done to whom
	note string // what the bound rests on, where it is not plain
	options
	limits
	inject func(context.Context, *scene) error
	// said says what holdfast does not tell of the fault, in its metrics, status or log. nil: nothing is asked for.
	said  func(context.Context, *scene) error
	needs need
	ours  bool // keepalived has nothing like it
	cold  bool // the directors are started by inject
	times int  // how often it is run, because its figures are times; 0: once
	short bool // it is in make test
}

// limits are what a fault may do to a client. The zero value is the strictest: nothing may be noticed.
type limits struct {
	lost   int           // requests; unbounded: whatever goes with the gap
	gap    time.Duration // without an answer; 0: what goes with the lost ones
	shared time.Duration // two holders of the address at once
	// takeovers is how often a director may get the address that it has not.
	takeovers int
	resets    int // held connections that end
	end       int // who is master in the end, or either
}

// unbounded is a limit that is none.
const unbounded = -1

// either says that any director may be master in the end.
const either = -1

// need is what a fault needs beyond namespaces.
type need int

const (
	needIPVS    need = 1 << iota // the directors balance, instead of serving themselves
	needNetem                    // lines that delay
	needCgroup                   // version 2, with cpu and memory
	needMachine                  // a machine whose clock and modules may be changed
)

// missing says what this machine lacks of what is needed; empty: nothing.
func (n need) missing(machine bool) string {
	switch {
	case n&needIPVS != 0 && !hasIPVS():
		return "IPVS"
	case n&needNetem != 0 && !hasNetem():
		return "sch_netem"
	case n&needCgroup != 0 && !exists("/sys/fs/cgroup/cgroup.controllers"):
		return "cgroup v2"
	case n&needMachine != 0 && !machine:
		return "--machine"
	}
	return ""
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

var hasIPVS = sync.OnceValue(func() bool {
	_ = exec.Command("modprobe", "-q", "ip_vs").Run() // a kernel that lacks it says so below
	return exists("/proc/net/ip_vs")
})

var hasNetem = sync.OnceValue(func() bool {
	return exec.Command("unshare", "-n", "tc", "qdisc", "add", "dev", "lo", "root", "netem", "loss", "1%").Run() == nil
})

// faults are all there are, by group.
func faults() []fault {
	return slices.Concat(processFaults, networkFaults, tableFaults, addressFaults, ipvsFaults, configFaults, resourceFaults, checkFaults, fleetFaults, hostileFaults)
}

// faultRun is one run of the suite.
type faultRun struct {
	binary   string // holdfast
	keep     string // a directory for configurations and logs; empty: a temporary one
	program  string // holdfast or keepalived
	once     bool   // also what is to be measured several times
	machine  bool
	parallel int
	out      reporter
	trouble  io.Writer // for the logs of directors when a bound is missed
}

func newFaultsCommand() *cobra.Command {
	var pattern, documentFrom string
	var asJSON, listOnly, special bool
	r := &faultRun{}
	cmd := &cobra.Command{
		Use:   "faults",
		Short: "Run directors through faults of every kind, each in a lab of its own",
		Long: "Run directors through faults of every kind, each in a lab of its own, and hold what a client saw against a\n" +
			"stated bound. Needs root; what else this machine lacks is left out and named. Exits with 1 if a bound was missed.",
		Example: "  bin/holdfast-lab faults --run 'network/.*'\n  deploy/lab/vm bin/holdfast-lab faults --special --machine\n" +
			"  bin/holdfast-lab faults --run process/kill --peer keepalived",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			out := cmd.OutOrStdout()
			if documentFrom != "" {
				return writeFaultsDocument(out, documentFrom)
			}
			chosen, err := chooseFaults(pattern, special, r.program)
			if err != nil {
				return err
			}
			if listOnly {
				for _, f := range chosen {
					fmt.Fprintf(out, "%-28s %s\n", f.name, f.what)
				}
				return nil
			}
			if r.binary, err = besideSelf(r.binary); err != nil {
				return err
			}
			r.trouble = cmd.ErrOrStderr()
			r.out = newReporter(out, asJSON)
			return r.run(cmd.Context(), chosen)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&r.binary, "holdfast", "", "the holdfast to run: a `path` (default: beside this program)")
	flags.StringVar(&r.keep, "keep", "", "leave configurations, state and logs in this `directory`")
	flags.StringVar(&r.program, "peer", "holdfast", "run the pairs of this `program`: holdfast or keepalived")
	flags.StringVar(&pattern, "run", ".", "run only what this `regexp` finds (see --list)")
	flags.BoolVar(&special, "special", false, "run only what needs more than network namespaces: IPVS for one")
	flags.BoolVar(&r.machine, "machine", false, "this machine may be changed as a whole: its clock, its modules")
	flags.IntVar(&r.parallel, "parallel", 1, "run so `many` at a time")
	flags.BoolVar(&r.once, "once", false, "run each scenario once, also those of which the worst of five counts")
	flags.BoolVar(&listOnly, "list", false, "list the scenarios and run none")
	flags.BoolVar(&asJSON, "json", false, "print JSON, at the end")
	flags.StringVar(&documentFrom, "document", "", "run nothing: print docs/faults.md from the JSON files in this `directory`")
	return cmd
}

// chooseFaults returns those that the regular expression finds and the program can be in.
func chooseFaults(pattern string, special bool, program string) (chosen []fault, err error) {
	wanted, err := regexp.Compile(pattern)
	if err != nil {
		return nil, err
	}
	if program != "holdfast" && program != "keepalived" {
		return nil, fmt.Errorf("--peer %q: there are holdfast and keepalived", program)
	}
	for _, f := range faults() {
		if wanted.MatchString(f.name) && (f.needs != 0 || !special) && (!f.ours || program == "holdfast") {
			chosen = append(chosen, f)
		}
	}
	if len(chosen) == 0 {
		return nil, fmt.Errorf("--run %q finds nothing; --list shows all there is", pattern)
	}
	return chosen, nil
}

// run runs all that is chosen, some at a time.
func (r *faultRun) run(ctx context.Context, chosen []fault) (err error) {
	dir := r.keep
	if dir == "" {
		if dir, err = os.MkdirTemp("", "holdfast-lab-"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	}
	var mu sync.Mutex // of out, trouble and bad
	bad := false
	places := make(chan struct{}, max(1, r.parallel))
	var wg sync.WaitGroup
	for _, f := range chosen {
		if lack := f.needs.missing(r.machine); lack != "" {
			fmt.Fprintf(r.trouble, "left out: %s needs %s; run it by: deploy/lab/vm\n", f.name, lack)
			continue
		}
		places <- struct{}{}
		wg.Go(func() {
			defer func() { <-places }()
			result, logs := r.runFault(ctx, f, filepath.Join(dir, r.program, filepath.FromSlash(f.name)))
			mu.Lock()
			defer mu.Unlock()
			if ctx.Err() != nil {
				return // interrupted: what was measured means nothing
			}
			r.out.row(result)
			if !result.OK {
				bad = true
				fmt.Fprint(r.trouble, logs)
			}
		})
	}
	wg.Wait()
	if err := errors.Join(context.Cause(ctx), r.out.end()); err != nil {
		return err
	}
	if bad && r.program == "holdfast" { // the other one is there for comparison
		return errMissed
	}
	return nil
}

// runFault runs a fault as often as it is to be run, and makes one row of it: the worst of all.
func (r *faultRun) runFault(ctx context.Context, f fault, dir string) (result row, logs string) {
	if r.once {
		f.times = 1
	}
	left := attempts - 1
	for done := 0; done < max(1, f.times) && ctx.Err() == nil; {
		one, said := r.tryFault(ctx, f, dir)
		if !one.OK && one.Failure == "" && one.busy() && left > 0 {
			left--
			_ = calm(ctx, 20*time.Second)
			continue
		}
		if done++; done == 1 {
			result, logs = one, said
			continue
		}
		if !one.OK && result.OK {
			logs = said
		}
		result = worse(result, one)
	}
	result.Scenario += worstOf(f.times)
	return result, logs
}

// worstOf is what is added to the name of a row that is made of several.
func worstOf(times int) string {
	if times <= 1 {
		return ""
	}
	return fmt.Sprintf(", worst of %d", times)
}

// worse joins the rows of two runs of one fault.
func worse(a, b row) row {
	if b.Lost > a.Lost {
		a.Requests, a.Lost, a.Errors = b.Requests, b.Lost, b.Errors
	}
	a.LongestGap, a.Shared, a.Unheld, a.Late = max(a.LongestGap, b.LongestGap), max(a.Shared, b.Shared), max(a.Unheld, b.Unheld), max(a.Late, b.Late)
	a.OK, a.Failure = a.OK && b.OK, cmp.Or(a.Failure, b.Failure)
	for _, n := range b.Bounds {
		i := slices.IndexFunc(a.Bounds, func(o bound) bool { return o.What == n.What })
		if i < 0 {
			a.Bounds = append(a.Bounds, n)
			continue
		}
		switch old := a.Bounds[i]; {
		case !n.held():
			a.Bounds[i].Value = n.Value
		case old.held():
			a.Bounds[i].Value = max(old.Value, n.Value)
		}
	}
	return a
}

// tryFault runs a fault once.
func (r *faultRun) tryFault(ctx context.Context, f fault, dir string) (result row, logs string) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	result = row{Setup: r.program, Scenario: f.name, Holders: []string{}, Servers: map[string]int{}, Errors: map[string]int{}, Bounds: []bound{}}
	s, err := newScene(ctx, f, r.program, r.binary, dir)
	if err == nil {
		err = s.perform(ctx, &result)
	}
	if err != nil {
		result.Failure = oneLine(err)
	}
	result.OK = err == nil && !slices.ContainsFunc(result.Bounds, func(b bound) bool { return !b.held() })
	if s != nil {
		for _, n := range s.nodes {
			logs += fmt.Sprintf("-- %s: last lines of %s:\n%s\n", f.name, n.name, lastLines(n.logFile(), 25))
		}
		if err := s.close(); err != nil {
			result.OK, result.Failure = false, oneLine(errors.Join(errors.New(result.Failure), err))
		}
	}
	return result, logs
}

// readFaultRows reads the rows of all JSON reports in a directory, by program and scenario.
func readFaultRows(dir string) (map[string]map[string]row, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil || len(files) == 0 {
		return nil, errors.Join(err, fmt.Errorf("no *.json in %s", dir))
	}
	found := map[string]map[string]row{"holdfast": {}, "keepalived": {}}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		var report struct{ Rows []row }
		if err := json.Unmarshal(text, &report); err != nil {
			return nil, fmt.Errorf("read %s: %w", file, err)
		}
		for _, row := range report.Rows {
			if found[row.Setup] != nil {
				found[row.Setup][row.Scenario] = row
			}
		}
	}
	return found, nil
}
