// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"time"

	"github.com/spf13/cobra"
)

// interop is one run of the interop matrix.
type interop struct {
	binary   string // holdfast
	keep     string // a directory for configurations and logs; empty: a temporary one
	parallel int
	trouble  io.Writer // for logs of what failed
}

func newInteropCommand() *cobra.Command {
	var asJSON, asMarkdown, listOnly bool
	var pattern string
	run := &interop{}
	cmd := &cobra.Command{
		Use:   "interop",
		Short: "Run holdfast beside keepalived and FRR, in every form of VRRP that they have in common",
		Long: "Run holdfast beside keepalived and FRR's vrrpd, in every form of VRRP that they have in common, each side once\n" +
			"as master and once as backup. Needs root, but no IPVS. Exits with 1 if a row failed.",
		Example: "  bin/holdfast-lab interop\n  bin/holdfast-lab interop --run keepalived-v2",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			wanted, err := regexp.Compile(pattern)
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			chosen := choosePlays(wanted)
			switch {
			case run.parallel < 1:
				return fmt.Errorf("--parallel %d: at least 1 has to run at a time", run.parallel)
			case len(chosen) == 0:
				return fmt.Errorf("--run %q finds nothing; --list shows all there is", pattern)
			}
			if listOnly {
				for _, t := range chosen {
					fmt.Fprintln(out, t.id())
				}
				return nil
			}
			if run.binary, err = besideSelf(run.binary); err != nil {
				return err
			}
			run.trouble = cmd.ErrOrStderr()
			report, err := run.run(cmd.Context(), chosen, wanted)
			switch {
			case err != nil:
				return err
			case asJSON:
				err = report.writeJSON(out)
			case asMarkdown:
				err = report.writeMarkdown(out)
			default:
				err = report.writeText(out)
			}
			if err == nil && !report.OK {
				err = errMissed
			}
			return err
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&run.binary, "holdfast", "", "the holdfast to run: a `path` (default: beside this program)")
	flags.StringVar(&run.keep, "keep", "", "leave configurations and logs in this `directory`")
	flags.IntVar(&run.parallel, "parallel", 4, "run so `many` at a time")
	flags.StringVar(&pattern, "run", "", "run only what this `regexp` finds (see --list)")
	flags.BoolVar(&listOnly, "list", false, "list what would be run, and run nothing")
	flags.BoolVar(&asJSON, "json", false, "print JSON")
	flags.BoolVar(&asMarkdown, "markdown", false, "print the matrix as docs/interop.md has it")
	return cmd
}

// besideSelf is the holdfast to run: a path, or the one beside this program.
func besideSelf(path string) (string, error) {
	if path == "" {
		self, err := os.Executable()
		if err != nil {
			return "", err
		}
		path = filepath.Join(filepath.Dir(self), "holdfast")
	}
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("find holdfast: %w; build it with make build, or say --holdfast", err)
	}
	return path, nil
}

// A staging is a play with one match.
type staging struct {
	match
	play
}

func (t staging) id() string { return t.match.name() + "/" + t.direct + "-master/" + t.play.name }

// choosePlays returns what the regular expression finds.
func choosePlays(wanted *regexp.Regexp) (chosen []staging) {
	for _, m := range matches {
		for _, p := range plays {
			if t := (staging{m, p}); m.cannot == "" && p.fits(m) && wanted.MatchString(t.id()) {
				chosen = append(chosen, t)
			}
		}
	}
	return chosen
}

// run runs all that is chosen, some at a time, and reports in the order given.
func (r *interop) run(ctx context.Context, chosen []staging, wanted *regexp.Regexp) (_ *interopReport, err error) {
	dir := r.keep
	if dir == "" {
		if dir, err = os.MkdirTemp("", "holdfast-lab-"); err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	}
	report := newInteropReport(wanted)
	for _, t := range chosen {
		if report.Versions[t.peer] != "" {
			continue
		}
		if report.Versions[t.peer], err = peerVersion(ctx, t.peer); err != nil {
			return nil, err
		}
	}
	results := make([][]interopRow, len(chosen))
	places := make(chan struct{}, r.parallel)
	var wg sync.WaitGroup
	for i, t := range chosen {
		places <- struct{}{}
		wg.Go(func() {
			defer func() { <-places }()
			if ctx.Err() == nil {
				results[i] = r.perform(ctx, t, filepath.Join(dir, filepath.FromSlash(t.id())))
			}
		})
	}
	wg.Wait()
	for _, rows := range results {
		report.add(rows)
	}
	report.Seconds = time.Since(report.Started).Seconds()
	return report, context.Cause(ctx)
}

// perform runs one play on a stage of its own.
func (r *interop) perform(ctx context.Context, t staging, dir string) (rows []interopRow) {
	s := &stage{match: t.match, ctx: ctx, binary: r.binary}
	err := os.RemoveAll(dir) // an earlier run's logs would be read as this one's
	if err == nil {
		err = s.build(dir)
	}
	for _, step := range t.steps {
		var found finding
		if err == nil {
			found, err = step.run(s)
		}
		if err == nil && !t.disputed {
			err = s.clean()
		}
		rows = append(rows, newInteropRow(t, step, found, err))
		if err != nil {
			break
		}
	}
	if err != nil && ctx.Err() == nil {
		fmt.Fprintf(r.trouble, "-- %s: %v\n", t.id(), err)
		if s.theirs != nil {
			fmt.Fprintf(r.trouble, "-- holdfast:\n%s\n-- %s:\n%s\n", s.ours.lastLines(15), t.peer, s.theirs.lastLines(15))
		}
	}
	if err := s.close(); err != nil {
		fmt.Fprintf(r.trouble, "-- %s: %v\n", t.id(), err)
	}
	return rows
}
