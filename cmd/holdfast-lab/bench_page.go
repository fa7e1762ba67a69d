// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// goResults is the output of go test -bench, beside the results.
const goResults = "go.txt"

// writeBenchDocument prints docs/benchmarks.md from the results of earlier runs.
func writeBenchDocument(out io.Writer, dir string) error {
	found, err := readResults(dir)
	if err != nil {
		return err
	}
	var sections, missed strings.Builder
	var met, judged int
	for _, s := range subjects() {
		r, ok := found[s.name]
		if !ok {
			fmt.Fprintf(&sections, "\n## %s\n\nNot run.\n", s.title)
			continue
		}
		if err := r.write(&sections, s); err != nil {
			return err
		}
		for _, c := range r.compare() {
			verdict := s.judge(c)
			if verdict == "" {
				continue
			}
			if judged++; strings.HasSuffix(verdict, wasMet) {
				met++
				continue
			}
			fmt.Fprintf(&missed, "| %s | %s | %s | %s | %s | %s |\n", s.title, c.name, show(c.ours.middle, c.unit), show(c.theirs.middle, c.unit), c.ratio(), verdict)
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, benchHead, programsOf(found))
	fmt.Fprintf(&b, "\n## Aims\n\n%d of %d aims were met.\n", met, judged)
	if missed.Len() > 0 {
		fmt.Fprintf(&b, "\n| subject | | holdfast | keepalived | ratio | aim |\n|---|---|---|---|---|---|\n%s\n%s", missed.String(), inTheWay)
	}
	b.WriteString(bettered)
	b.WriteString(sections.String())
	text, err := os.ReadFile(filepath.Join(dir, goResults))
	if err == nil {
		writeGoBenchmarks(&b, string(text))
	} else if !os.IsNotExist(err) {
		return err
	}
	_, err = io.WriteString(out, b.String())
	return err
}

const benchHead = `# Benchmarks

Written by ` + "`make bench`" + `; do not edit. %s, on the same work and with
their defaults for all else, each with hosts of its own in network namespaces, in turns. The figures are medians of all rounds, and from-to is
the least and the most of them. The ratio is holdfast's figure to keepalived's: below 1 is better for holdfast. Memory is the
proportional set size of all processes.

Each subject says how busy the machine was with other things: before each turn a fixed piece of work was done on all
processors, which takes equally long each time on a quiet machine. Figures of a machine where the most is far above the least
are worth little. The load average holds what the turn before had left.
`

const inTheWay = `What stands in the way: keepalived fills the table at the start before it has checked anything, and holdfast after
the first passed check; it never reads the table again, and holdfast does every 5 s or longer; its configuration costs next to
nothing to parse, and HCL most of the time of a reload; Go keeps a heap that may grow by half before it is collected, and wakes up
more often than a program of one thread. With adverts each 10 ms an emulated machine needs longer than an interval to announce an address,
and an old master serves no longer than that beside the new one.
`

const bettered = `
## What profiles bettered

Of the ratios that were the worst at 5,000 checks, on the same machine, holdfast's figures before and after:

- **All back to full table**, 1.95 of keepalived's time (47 to 60 s). The profile showed few checks, and those of servers that were up
  already: where more checks were due than the machine could do, those that became due during a long round were left out as late, again
  and again. Now rounds are short, and what is due waits in the lane for its turn: 20 s. A decision about 10,000 servers costs 2.6 instead
  of 6.0 MB and 66 instead of 10,064 allocations, for what is equal is shared with the decision before. By the same, all dead to
  empty table came from 32 to 49 s to 12, and start to full table from 33 to 37 s to 14.
- **Memory**, 3.74 of keepalived's (51 to 55 MiB). The heap held 700 bytes of configuration for each check, of which all but the target was
  the same: now all have one. A TCP check leaves 350 bytes less garbage, and garbage is collected at half of Go's default, which then
  costs no time that can be told from noise. 15 MiB are pages of the program itself.
- **Reload of a large file**, 4 times keepalived's where nothing is checked. Two thirds of it are the scanner and parser of HCL, which
  works on pieces of the file on all processors already. Garbage is collected more seldom meanwhile: reading 5,000 servers costs 86 ms of
  processor time natively, and 132 ms without that. The rest stays.
`

// programsOf names the versions that were measured.
func programsOf(found map[string]benchResult) string {
	versions := make(map[string]bool)
	for _, r := range found {
		for _, v := range r.Programs {
			versions[v] = true
		}
	}
	return strings.Join(slices.Sorted(maps.Keys(versions)), " beside ")
}

// write writes the section of a subject.
func (r benchResult) write(out io.Writer, s subject) error {
	var b strings.Builder
	fmt.Fprintf(&b, "\n## %s\n\n", s.title)
	if s.note != "" {
		fmt.Fprintf(&b, "%s\n\n", s.note)
	}
	load, work := extent(r.Machine.Load), extent(r.Machine.Work)
	fmt.Fprintf(&b, "On %s: rounds %d, %s. The fixed work took %.0f to %.0f ms, the load average was %.1f to %.1f.\n",
		r.Made.Format(time.DateOnly), r.Rounds, r.Machine, 1000*work[0], 1000*work[1], load[0], load[1])
	for _, f := range r.Failed {
		fmt.Fprintf(&b, "A turn did not end and was begun again: %s.\n", strings.ReplaceAll(f, "|", "/"))
	}
	b.WriteString("\n")
	if s.alone {
		b.WriteString("| | holdfast | from-to |\n|---|---|---|\n")
		for _, c := range r.compare() {
			fmt.Fprintf(&b, "| %s | %s | %s |\n", c.name, show(c.ours.middle, c.unit), c.ours)
		}
	} else {
		b.WriteString("| | holdfast | keepalived | ratio | holdfast from-to | keepalived from-to | aim |\n|---|---|---|---|---|---|---|\n")
		for _, c := range r.compare() {
			theirs := "–" // it does not tell
			if c.theirs.count > 0 {
				theirs = show(c.theirs.middle, c.unit)
			}
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %s |\n",
				c.name, show(c.ours.middle, c.unit), theirs, c.ratio(), c.ours, c.theirs, s.judge(c))
		}
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// extent is the least and the most of a list.
func extent(list []float64) [2]float64 {
	if len(list) == 0 {
		return [2]float64{}
	}
	return [2]float64{slices.Min(list), slices.Max(list)}
}

func (c comparison) ratio() string {
	if c.theirs.count == 0 || c.theirs.middle == 0 {
		return "–"
	}
	return fmt.Sprintf("%.2f", c.ours.middle/c.theirs.middle)
}

// String is from the least to the most.
func (s spread) String() string {
	if s.count == 0 {
		return ""
	}
	return show(s.least, "") + "-" + show(s.most, "")
}

const (
	wasMet    = ": met"
	wasMissed = ": **missed**"
)

// judge holds the medians against the aim; empty: there is none.
func (s subject) judge(c comparison) string {
	a, ok := s.aims[c.name]
	if !ok || a.ratio > 0 && c.theirs.count == 0 {
		return ""
	}
	if a.met(c.ours.middle, c.theirs.middle) {
		return a.text(c.unit) + wasMet
	}
	return a.text(c.unit) + wasMissed
}

func show(v float64, unit string) string {
	text := fmt.Sprintf("%.1f", v)
	if v != 0 && v < 1 && v > -1 {
		text = fmt.Sprintf("%.2f", v)
	}
	if strings.Contains(text, ".") {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	return strings.TrimSpace(text + " " + unit)
}

// goBenchmark is a line of go test -bench: name and processors, count, then values with their units.
var goBenchmark = regexp.MustCompile(`^Benchmark(\S+?)(?:-\d+)?\s+\d+\s+(.*)$`)

// writeGoBenchmarks writes a table of what go test -bench printed.
func writeGoBenchmarks(b *strings.Builder, text string) {
	b.WriteString("\n## Go benchmarks\n\n| package | benchmark | time | memory | allocations |\n|---|---|---|---|---|\n")
	pkg := ""
	for line := range strings.Lines(text) {
		if name, ok := strings.CutPrefix(line, "pkg: github.com/holdfast-lb/holdfast/"); ok {
			pkg = strings.TrimSpace(name)
		}
		m := goBenchmark.FindStringSubmatch(strings.TrimSpace(line))
		if m == nil {
			continue
		}
		values := make(map[string]string)
		fields := strings.Fields(m[2])
		for i := 0; i+1 < len(fields); i += 2 {
			values[fields[i+1]] = fields[i]
		}
		fmt.Fprintf(b, "| %s | %s | %s ns | %s B | %s |\n", pkg, m[1], values["ns/op"], values["B/op"], values["allocs/op"])
	}
}
