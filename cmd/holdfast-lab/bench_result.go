// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

// A benchResult is what was measured of a subject, in one run or several.
type benchResult struct {
	Subject  string              `json:"subject"`
	Made     time.Time           `json:"made"`
	Rounds   int                 `json:"rounds"`
	Programs map[string]string   `json:"programs"` // version by contender
	Machine  machine             `json:"machine"`
	Figures  map[string][]figure `json:"figures"` // of all rounds, by contender
	Failed   []string            `json:"failed"`  // turns that did not end, and were begun again
}

// A machine is where it was measured, and how busy that was with other things.
type machine struct {
	Kernel     string    `json:"kernel"`
	Processor  string    `json:"processor"`
	Processors int       `json:"processors"`
	Load       []float64 `json:"load"`         // average of a minute, before each turn; what an earlier turn did is in it
	Work       []float64 `json:"work_seconds"` // what a fixed piece of work took, before each turn
}

func newResult(ctx context.Context, subject string, all []contender) benchResult {
	r := benchResult{
		Subject: subject, Made: time.Now().UTC(), Programs: make(map[string]string), Figures: make(map[string][]figure),
		Machine: machine{Processors: runtime.NumCPU()},
	}
	for _, c := range all {
		text, _ := exec.CommandContext(ctx, c.version[0], c.version[1:]...).CombinedOutput() // what is missing fails when it is run
		r.Programs[c.name], _, _ = strings.Cut(strings.TrimSpace(string(text)), "\n")
	}
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	r.Machine.Kernel = strings.TrimSpace(string(kernel))
	info, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(info)) {
		if name, value, _ := strings.Cut(line, ":"); strings.TrimSpace(name) == "model name" {
			r.Machine.Processor = strings.TrimSpace(value)
			break
		}
	}
	return r
}

// look takes down how busy the machine is: a fixed piece of work takes longer then, also in a virtual machine whose host
// is, of which its own load average says nothing.
func (m *machine) look() error {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return err
	}
	var load float64
	if _, err := fmt.Sscan(string(text), &load); err != nil {
		return fmt.Errorf("read /proc/loadavg: %w", err)
	}
	began := time.Now()
	var wg sync.WaitGroup
	for range m.Processors {
		wg.Go(spin)
	}
	wg.Wait()
	m.Load, m.Work = append(m.Load, load), append(m.Work, time.Since(began).Seconds())
	return nil
}

// spin is a fixed piece of work.
func spin() {
	x := uint64(1)
	for range 50_000_000 {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
	}
	runtime.KeepAlive(x)
}

// add takes in the rounds of another run.
func (r *benchResult) add(o benchResult) error {
	switch {
	case r.Subject == "":
		*r = o
		return nil
	case r.Machine.Kernel != o.Machine.Kernel || r.Machine.Processor != o.Machine.Processor || r.Machine.Processors != o.Machine.Processors:
		return fmt.Errorf("%s was measured on two machines: %s and %s", r.Subject, r.Machine, o.Machine)
	case !maps.Equal(r.Programs, o.Programs):
		return fmt.Errorf("%s was measured of different versions: %v and %v", r.Subject, r.Programs, o.Programs)
	}
	if o.Made.After(r.Made) {
		r.Made = o.Made
	}
	r.Rounds, r.Failed = r.Rounds+o.Rounds, append(r.Failed, o.Failed...)
	r.Machine.Load, r.Machine.Work = append(r.Machine.Load, o.Machine.Load...), append(r.Machine.Work, o.Machine.Work...)
	for name, figures := range o.Figures {
		r.Figures[name] = append(r.Figures[name], figures...)
	}
	return nil
}

// String names the machine.
func (m machine) String() string {
	return fmt.Sprintf("Linux %s, %d processors (%s)", m.Kernel, m.Processors, m.Processor)
}

// readResults reads all results in a directory, by subject: several of one are taken together.
func readResults(dir string) (map[string]benchResult, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil || len(files) == 0 {
		return nil, errors.Join(err, fmt.Errorf("no *.json in %s", dir))
	}
	found := make(map[string]benchResult)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		var some []benchResult
		if err := json.Unmarshal(text, &some); err != nil {
			return nil, fmt.Errorf("read %s: %w", file, err)
		}
		for _, s := range some {
			r := found[s.Subject]
			if err := r.add(s); err != nil {
				return nil, fmt.Errorf("read %s: %w", file, err)
			}
			found[s.Subject] = r
		}
	}
	return found, nil
}

// An aim is what a figure of holdfast is to be at most: as large as a part of keepalived's, and a little more where that
// is all that can be told apart, or so large.
type aim struct {
	ratio, slack float64
	most         float64 // without a ratio
}

func (a aim) met(ours, theirs float64) bool {
	if a.ratio == 0 {
		return ours <= a.most
	}
	return ours <= a.ratio*theirs+a.slack
}

func (a aim) text(unit string) string {
	switch {
	case a.ratio == 0:
		return "at most " + show(a.most, unit)
	case a.slack > 0:
		return fmt.Sprintf("≤ %.1f + %s", a.ratio, show(a.slack, unit))
	}
	return fmt.Sprintf("≤ %.1f", a.ratio)
}

// A comparison is a figure of all rounds.
type comparison struct {
	name, unit   string
	ours, theirs spread // a count of 0: it does not tell
}

// spread is what several rounds gave.
type spread struct {
	count               int
	least, middle, most float64
}

func spreadOf(all []figure, name string) (s spread) {
	var values []float64
	for _, f := range all {
		if f.Name == name {
			values = append(values, f.Value)
		}
	}
	if len(values) == 0 {
		return s
	}
	slices.Sort(values)
	n := len(values)
	return spread{n, values[0], (values[(n-1)/2] + values[n/2]) / 2, values[n-1]}
}

// compare returns the figures of holdfast in their order, each beside keepalived's.
func (r benchResult) compare() (all []comparison) {
	seen := make(map[string]bool)
	for _, f := range r.Figures["holdfast"] {
		if !seen[f.Name] {
			seen[f.Name] = true
			all = append(all, comparison{f.Name, f.Unit, spreadOf(r.Figures["holdfast"], f.Name), spreadOf(r.Figures["keepalived"], f.Name)})
		}
	}
	return all
}
