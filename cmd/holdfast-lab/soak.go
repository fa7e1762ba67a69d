// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-lb/holdfast/internal/drill"
)

// A soak is one run of random faults.
type soak struct {
	binary   string
	keep     string
	seed     uint64
	from     int // the first round, from 1
	rounds   int // 0: until the time is up
	duration time.Duration
	interval time.Duration // between adverts
	out      io.Writer
	asJSON   bool
	trouble  io.Writer // for the logs of directors when something is wrong

	scene  *soakScene
	usages [2][]usage // of the directors after each round, of the processes that run
	report soakReport
}

// soakReport is what a run says in the end.
type soakReport struct {
	OK         bool           `json:"ok"`
	Seed       uint64         `json:"seed"`
	IPVS       bool           `json:"ipvs"`
	Rounds     int            `json:"rounds"`
	Seconds    float64        `json:"duration_seconds"`
	Faults     map[string]int `json:"faults"`              // by kind
	Refused    int            `json:"refused_orders"`      // to directors that could not be asked at the time
	Settled    float64        `json:"settled_seconds"`     // the longest from the last fault's end until all was well, twice
	Shared     float64        `json:"shared_seconds"`      // the longest that two held the address and could hear each other
	SharedMost float64        `json:"shared_most_seconds"` // its bound
	Lived      int            `json:"longest_life_rounds"` // of one process, judged for growth
	Usage      []string       `json:"usage"`
	Requests   int            `json:"requests"`
	Lost       int            `json:"lost"`
	Violation  *violation     `json:"violation"`
}

// A violation is what may not be, and how it came.
type violation struct {
	Round   int      `json:"round"`
	Seen    string   `json:"seen"`
	Plan    string   `json:"plan"`
	Refused []string `json:"refused_orders"`
	Again   string   `json:"again"` // the command that repeats it
}

func newSoakCommand() *cobra.Command {
	k := &soak{}
	cmd := &cobra.Command{
		Use:   "soak",
		Short: "Run a pair of directors through random faults, and see that it is well after each round",
		Long: "Run a pair of directors through rounds of random faults, some at once, and see after each that one of them is\n" +
			"master, that their tables and configurations are the last ones, and that they do not grow. Needs root; without\n" +
			"IPVS it leaves out what needs the table. Exits with 1 when something is wrong, and says how to repeat it.",
		Example: "  deploy/lab/vm -t 2400 bin/holdfast-lab soak --for 30m\n  bin/holdfast-lab soak --for 5m --seed 7\n" +
			"  bin/holdfast-lab soak --seed 7 --from 12 --rounds 1",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if k.from < 1 || k.rounds < 0 {
				return fmt.Errorf("--from %d --rounds %d: rounds are counted from 1", k.from, k.rounds)
			}
			if k.binary, err = besideSelf(k.binary); err != nil {
				return err
			}
			k.out, k.trouble = cmd.OutOrStdout(), cmd.ErrOrStderr()
			return k.run(cmd.Context())
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&k.binary, "holdfast", "", "the holdfast to run: a `path` (default: beside this program)")
	flags.StringVar(&k.keep, "keep", "", "leave configurations, state and logs in this `directory`")
	flags.Uint64Var(&k.seed, "seed", 1, "of what happens")
	flags.DurationVar(&k.duration, "for", 30*time.Minute, "begin no round after so long")
	flags.IntVar(&k.rounds, "rounds", 0, "run so `many` rounds, however long they take")
	flags.IntVar(&k.from, "from", 1, "begin with this `round`: it depends on the seed and its number alone")
	flags.DurationVar(&k.interval, "interval", time.Second, "between adverts")
	flags.BoolVar(&k.asJSON, "json", false, "print JSON, at the end")
	return cmd
}

// run builds the pair, runs the rounds and tells what was seen.
func (k *soak) run(ctx context.Context) (err error) {
	dir := k.keep
	if dir == "" {
		if dir, err = os.MkdirTemp("", "holdfast-lab-"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	k.report = soakReport{Seed: k.seed, IPVS: hasIPVS(), Faults: make(map[string]int)}
	started := time.Now()
	if err := k.build(ctx, filepath.Join(dir, "soak")); err != nil {
		return err
	}
	s := k.scene
	measuring, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := (drill.Watch{Every: lookEach, Candidates: s.candidates()}).Run(measuring, s.sharing.see); err != nil {
			cancel(err)
		}
	})
	wg.Go(func() {
		load := drill.Load{Target: netip.AddrPortFrom(sceneAddress, 80), Interval: lookEach, Timeout: patience, Within: s.client.Do}
		err := load.Run(measuring, func(one drill.Sample) {
			k.report.Requests++
			if !one.OK() {
				k.report.Lost++
			}
		})
		if err != nil {
			cancel(err)
		}
	})
	err = k.allRounds(ctx, started)
	stop()
	wg.Wait()
	k.report.Seconds = time.Since(started).Seconds()
	err = errors.Join(err, s.end())
	k.report.OK = err == nil
	return errors.Join(err, k.tell())
}

// build makes the pair and starts it.
func (k *soak) build(ctx context.Context, dir string) error {
	f := fault{name: "soak", options: options{interval: k.interval}}
	if k.report.IPVS {
		f.needs = needIPVS
	}
	base, err := newScene(ctx, f, "holdfast", k.binary, dir)
	if err != nil {
		return err
	}
	base.needs = 0 // the service is written here, with weights
	s := &soakScene{scene: base, serves: k.report.IPVS, arp: arpTape{from: make(map[string]bool)}, wanted: soakConfig{weights: [3]int{1, 1, 1}}}
	k.scene = s
	k.report.SharedMost = (s.lease() + 500*time.Millisecond).Seconds()
	stop, err := s.lan.Capture(s.arp.frame)
	if err != nil {
		return errors.Join(err, s.close())
	}
	s.stopARP = stop
	for i := range s.nodes {
		err = errors.Join(err, s.write(i, s.wanted))
	}
	if err = errors.Join(err, s.start(ctx)); err == nil {
		_, err = s.quiet(ctx, nil)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("before any fault: %w", err), s.end())
	}
	return nil
}

// allRounds runs rounds until the time is up or something is wrong.
func (k *soak) allRounds(ctx context.Context, started time.Time) error {
	var before []soakStep
	for round := k.from; ; round++ {
		if k.rounds > 0 && round >= k.from+k.rounds || k.rounds == 0 && time.Since(started) > k.duration {
			return nil
		}
		steps := planRound(k.seed, round, k.report.IPVS)
		err := k.round(ctx, round, before, steps)
		before = steps
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			return err
		}
		if k.report.Violation != nil {
			return errMissed
		}
	}
}

// round makes the faults of a round happen, and looks at what they leave. What stayed of the round before ends first.
func (k *soak) round(ctx context.Context, number int, before, steps []soakStep) error {
	s := k.scene
	s.refused = nil
	for _, step := range before {
		if step.stays {
			if err := s.undo(ctx, step); err != nil {
				return err
			}
		}
	}
	errs := make([]error, len(steps))
	var wg sync.WaitGroup
	for i, step := range steps {
		k.report.Faults[step.kind.String()]++
		wg.Go(func() { errs[i] = s.perform(ctx, step) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	over := time.Now()
	last, seen := s.quiet(ctx, steps)
	took := time.Since(over)
	if ctx.Err() != nil {
		return nil // interrupted: what was seen means nothing
	}
	k.report.Rounds++
	k.report.Settled = max(k.report.Settled, took.Seconds())
	k.report.Refused += len(s.refused)
	if seen == nil {
		seen = k.judge(ctx)
	}
	if !k.asJSON {
		if last != "" {
			last = "; before: " + last
		}
		fmt.Fprintf(k.out, "round %3d: %s: well after %s%s\n", number, planText(steps), seconds(took.Seconds()), last)
	}
	if seen != nil {
		k.report.Violation = &violation{
			Round: number, Seen: oneLine(seen), Plan: planText(steps), Refused: s.refused,
			Again: fmt.Sprintf("holdfast-lab soak --seed %d --interval %s --from %d --rounds %d; all: --rounds %d",
				k.seed, k.interval, max(k.from, number-1), min(2, number-k.from+1), number),
		}
	}
	return nil
}

// judge says what was not to be, at any time until now.
func (k *soak) judge(ctx context.Context) error {
	s := k.scene
	k.report.Shared = s.sharing.most().Seconds()
	s.mu.Lock()
	wrong := strings.Join(s.wrong, "; ")
	s.mu.Unlock()
	if wrong != "" {
		return errors.New(wrong)
	}
	if k.report.Shared > k.report.SharedMost {
		return fmt.Errorf("two held the address for %s, longer than %s", seconds(k.report.Shared), seconds(k.report.SharedMost))
	}
	k.report.Usage = nil
	for i, n := range s.nodes {
		u := n.usage(ctx)
		if len(k.usages[i]) > 0 && k.usages[i][0].pid != u.pid {
			k.usages[i] = nil
		}
		k.usages[i] = append(k.usages[i], u)
		k.report.Lived = max(k.report.Lived, len(k.usages[i]))
		k.report.Usage = append(k.report.Usage, fmt.Sprintf("%s: %d files, %d goroutines, %d MiB", n.name, u.files, u.goroutines, u.resident))
		if grown := growth(k.usages[i]); grown != "" {
			return fmt.Errorf("%s: %s", n.name, grown)
		}
	}
	return nil
}

// tell prints the report.
func (k *soak) tell() error {
	r := &k.report
	if v := r.Violation; v != nil {
		fmt.Fprintf(k.trouble, "round %d of seed %d: %s\n  plan: %s\n  refused: %s\n  again: %s\n",
			v.Round, r.Seed, v.Seen, v.Plan, strings.Join(v.Refused, "; "), v.Again)
		for _, n := range k.scene.nodes {
			fmt.Fprintf(k.trouble, "-- last lines of %s:\n%s\n", n.name, lastLines(n.logFile(), 40))
		}
	}
	if k.asJSON {
		enc := json.NewEncoder(k.out)
		enc.SetIndent("", "  ")
		return enc.Encode(r)
	}
	_, err := fmt.Fprintf(k.out, "%d rounds in %s, faults %v; longest until all was well %s, two holders at most %s (bound %s); "+
		"%d requests, %d lost; longest life %d rounds; %s\n", r.Rounds, time.Duration(r.Seconds*float64(time.Second)).Round(time.Second), r.Faults,
		seconds(r.Settled), seconds(r.Shared), seconds(r.SharedMost), r.Requests, r.Lost, r.Lived, strings.Join(r.Usage, ", "))
	return err
}

// end takes the lab down.
func (s *soakScene) end() error { return errors.Join(s.stopARP(), s.close()) }
