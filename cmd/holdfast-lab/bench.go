// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-lb/holdfast/internal/netlab"
)

// A subject is something that is measured of each contender.
type subject struct {
	name    string
	title   string
	measure func(context.Context, *bench) ([]figure, error)
	alone   bool // of holdfast only
	asked   bool // only when named: it needs a kernel with IPVS
	note    string
	aims    map[string]aim // by figure
}

// A figure is one measured number.
type figure struct {
	Name  string  `json:"name"`
	Unit  string  `json:"unit"`
	Value float64 `json:"value"`
}

func newBenchCommand() *cobra.Command {
	var binary, document string
	var rounds int
	var wanted []string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure holdfast and keepalived at the same work, in turns",
		Long: "Measure holdfast and Debian's keepalived at the same work, in turns, and print medians, their spread and ratios.\n" +
			"Keep the machine quiet meanwhile. All takes hours: it can be run in pieces with --run and --json, whose\n" +
			"output --markdown makes a page of; rounds of one subject in several files are taken together.",
		Example: "  bin/holdfast-lab bench --run routers --rounds 1\n" +
			"  deploy/lab/vm -t 7200 bin/holdfast-lab bench --run table --json > bin/bench/table.json\n" +
			"  bin/holdfast-lab bench --markdown bin/bench > docs/benchmarks.md",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			out := cmd.OutOrStdout()
			if document != "" {
				return writeBenchDocument(out, document)
			}
			binary, err := besideSelf(binary)
			if err != nil {
				return err
			}
			if rounds < 1 {
				return fmt.Errorf("--rounds %d: at least one is needed", rounds)
			}
			chosen, err := chooseSubjects(wanted)
			if err != nil {
				return err
			}
			return runSubjects(cmd.Context(), out, chosen, contenders(binary), rounds, asJSON)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&binary, "holdfast", "", "the holdfast to run: a `path` (default: beside this program)")
	flags.IntVar(&rounds, "rounds", 5, "how often each is measured")
	flags.StringArrayVar(&wanted, "run", nil, "only this `subject`: "+subjectNames())
	flags.BoolVar(&asJSON, "json", false, "print JSON, at the end")
	flags.StringVar(&document, "markdown", "", "run nothing: print docs/benchmarks.md from the results in this `directory`")
	return cmd
}

func subjectNames() string {
	var names []string
	for _, s := range subjects() {
		names = append(names, s.name)
	}
	return strings.Join(names, ", ")
}

// chooseSubjects returns those that are named, or all that need no kernel with IPVS.
func chooseSubjects(names []string) (chosen []subject, err error) {
	all := subjects()
	for _, name := range names {
		if !slices.ContainsFunc(all, func(s subject) bool { return s.name == name }) {
			return nil, fmt.Errorf("no subject %q: there are %s", name, subjectNames())
		}
	}
	for _, s := range all {
		if slices.Contains(names, s.name) || len(names) == 0 && !s.asked {
			chosen = append(chosen, s)
		}
	}
	return chosen, nil
}

// runSubjects measures, and prints each result as it comes, or all as JSON.
func runSubjects(ctx context.Context, out io.Writer, chosen []subject, all []contender, rounds int, asJSON bool) error {
	var results []benchResult
	for _, s := range chosen {
		r, err := s.run(ctx, all, rounds)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		results = append(results, r)
		if asJSON {
			continue
		}
		if err := r.write(out, s); err != nil {
			return err
		}
	}
	if !asJSON {
		return nil
	}
	enc := json.NewEncoder(out)
	enc.SetIndent("", "  ")
	return enc.Encode(results)
}

// run measures all contenders in turns, changing who goes first.
func (s subject) run(ctx context.Context, all []contender, rounds int) (benchResult, error) {
	if s.alone {
		all = all[:1]
	}
	r := newResult(ctx, s.name, all)
	order := slices.Clone(all)
	for round := range rounds {
		for _, c := range order {
			figures, err := s.turn(ctx, &r, c, round)
			if err != nil {
				return r, fmt.Errorf("%s: %w", c.name, err)
			}
			figures = slices.DeleteFunc(figures, func(f figure) bool { return math.IsNaN(f.Value) }) // not known
			r.Figures[c.name] = append(r.Figures[c.name], figures...)
		}
		r.Rounds++
		slices.Reverse(order)
	}
	return r, nil
}

// turn measures one contender, again if it fails: all takes hours.
func (s subject) turn(ctx context.Context, r *benchResult, c contender, round int) (figures []figure, err error) {
	for range attempts {
		if err := r.Machine.look(); err != nil {
			return nil, err
		}
		figures, err = s.measure(ctx, &bench{contender: c, round: round, settle: settled, watch: watched, cut: cutOff})
		if err == nil || ctx.Err() != nil {
			return figures, err
		}
		r.Failed = append(r.Failed, c.name+": "+oneLine(err))
	}
	return nil, err
}

// A bench is one turn of a contender.
type bench struct {
	contender
	round  int           // from 0
	settle time.Duration // before it is watched
	watch  time.Duration
	cut    time.Duration // for how long a director is cut off
	// Of onHosts:
	wire   *wire
	master *benchHost
	backup *benchHost
}

const (
	settled = 7 * time.Second  // with its second burst of announcements, a new master is quiet after this
	watched = 10 * time.Second // for how long it is watched then
	cutOff  = 10 * time.Second // enough for either program to find all its servers down
)

// onHosts measures on two fresh hosts of one LAN.
func (b *bench) onHosts(ctx context.Context, measure func(context.Context) ([]figure, error)) (figures []figure, err error) {
	dir, err := os.MkdirTemp("", "holdfast-bench-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	lab := netlab.New()
	defer func() { err = errors.Join(err, lab.Close()) }()
	lan := lab.LAN("lan")
	hosts := make([]*benchHost, 2)
	for i := range hosts {
		name := fmt.Sprintf("lb%d", i+1)
		h := &benchHost{Host: lab.Host(name), address: netip.AddrFrom4([4]byte{10, 0, 0, byte(2 + i)}), dir: filepath.Join(dir, name)}
		h.Join(lan, "eth0", netip.PrefixFrom(h.address, 16))
		if err := os.Mkdir(h.dir, 0o755); err != nil {
			return nil, err
		}
		hosts[i] = h
	}
	if err := lab.Err(); err != nil {
		return nil, err
	}
	b.master, b.backup = hosts[0], hosts[1]
	var stop func() error
	if b.wire, stop, err = watchWire(lan); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, stop()) }()
	return measure(ctx)
}
