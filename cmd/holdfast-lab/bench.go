// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-lb/holdfast/internal/netlab"
)

// A subject is something that is measured of each contender on fresh hosts.
type subject struct {
	name    string
	title   string
	measure func(context.Context, *bench) ([]figure, error)
	alone   bool // of holdfast only
	asked   bool // only when named: it needs a kernel with IPVS
}

// A figure is one measured number.
type figure struct {
	name  string
	unit  string
	value float64
}

var subjects = []subject{
	{name: "routers", title: "200 virtual routers, adverts each 100 ms", measure: func(ctx context.Context, b *bench) ([]figure, error) {
		return b.routers(ctx, 200, 100*time.Millisecond)
	}},
	{name: "addresses", title: "One virtual router, 255 addresses and 245 excluded ones, adverts each 100 ms", measure: func(ctx context.Context, b *bench) ([]figure, error) {
		return b.addresses(ctx, 255, 245, 100*time.Millisecond)
	}},
	{name: "checks", title: "10,000 TCP checks each 5 s, of 1,000 addresses with 10 ports", alone: true, measure: func(ctx context.Context, b *bench) ([]figure, error) {
		return b.checksNative(ctx, fleet{10_000, 5 * time.Second})
	}},
	{name: "checks-kernel", title: "1,000 TCP checks each 1 s", asked: true, measure: func(ctx context.Context, b *bench) ([]figure, error) {
		return b.checksKernel(ctx, fleet{1000, time.Second})
	}},
	{name: "checks-kernel-5000", title: "5,000 TCP checks each 5 s", asked: true, measure: func(ctx context.Context, b *bench) ([]figure, error) {
		return b.checksKernel(ctx, fleet{5000, 5 * time.Second})
	}},
	{name: "table", title: "50 services with 5,000 real servers, unchecked", asked: true, measure: func(ctx context.Context, b *bench) ([]figure, error) {
		return b.table(ctx, grid{50, 100})
	}},
	{name: "table-40000", title: "2,000 services with 40,000 real servers, unchecked", asked: true, measure: func(ctx context.Context, b *bench) ([]figure, error) {
		return b.table(ctx, grid{2000, 20})
	}},
}

func newBenchCommand() *cobra.Command {
	var binary string
	var rounds int
	var wanted []string
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure holdfast and keepalived at the same work, in turns",
		Long: "Measure holdfast and Debian's keepalived at the same work, in turns, and print medians and ratios as Markdown.\n" +
			"Keep the machine quiet meanwhile.",
		Example: "  bin/holdfast-lab bench > docs/benchmarks.md\n  bin/holdfast-lab bench --run routers --rounds 1",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			binary, err := holdfastBinary(binary)
			if err != nil {
				return err
			}
			for _, name := range wanted {
				if !slices.ContainsFunc(subjects, func(s subject) bool { return s.name == name }) {
					return fmt.Errorf("no subject %q: there are %s", name, subjectNames())
				}
			}
			out := cmd.OutOrStdout()
			header(out, binary, rounds)
			for _, s := range subjects {
				if !slices.Contains(wanted, s.name) && (s.asked || len(wanted) > 0) {
					continue
				}
				all := contenders(binary)
				if s.alone {
					all = all[:1]
				}
				if err := s.run(cmd.Context(), out, all, rounds); err != nil {
					return fmt.Errorf("%s: %w", s.name, err)
				}
			}
			return nil
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&binary, "holdfast", "", "the holdfast to run: a `path` (default: beside this program)")
	flags.IntVar(&rounds, "rounds", 5, "how often each is measured")
	flags.StringArrayVar(&wanted, "run", nil, "only this `subject`: "+subjectNames())
	return cmd
}

func subjectNames() string {
	names := make([]string, len(subjects))
	for i, s := range subjects {
		names[i] = s.name
	}
	return strings.Join(names, ", ")
}

// header says what was measured, where and by which command.
func header(out io.Writer, binary string, rounds int) {
	version := func(name string, args ...string) string {
		text, _ := exec.Command(name, args...).CombinedOutput()
		line, _, _ := strings.Cut(strings.TrimSpace(string(text)), "\n")
		return line
	}
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	fmt.Fprintf(out, `# Benchmarks

Made by `+"`bin/holdfast-lab bench`"+` on %s: %s beside %s, on Linux %s with %d processors, in network namespaces, in turns,
%d rounds; the figures are medians. The ratio is holdfast's figure to keepalived's: below 1 is better for holdfast. Memory is
the proportional set size of all processes.
`, time.Now().UTC().Format(time.DateOnly), version(binary, "version"), version("keepalived", "--version"),
		strings.TrimSpace(string(kernel)), runtime.NumCPU(), rounds)
}

// run measures all contenders in turns, changing who goes first.
func (s subject) run(ctx context.Context, out io.Writer, all []contender, rounds int) error {
	results := make(map[string][]figure) // of every round, by contender
	order := slices.Clone(all)
	for range rounds {
		for _, c := range order {
			b := &bench{contender: c, settle: settled, watch: watched}
			figures, err := b.run(ctx, s.measure)
			if err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			results[c.name] = append(results[c.name], figures...)
		}
		slices.Reverse(order)
	}
	s.report(out, all, results, rounds)
	return nil
}

// report writes the medians, and the ratio of two contenders.
func (s subject) report(out io.Writer, all []contender, results map[string][]figure, rounds int) {
	fmt.Fprintf(out, "\n## %s\n\n|", s.title)
	for _, c := range all {
		fmt.Fprintf(out, " | %s", c.name)
	}
	if len(all) == 2 {
		fmt.Fprint(out, " | ratio")
	}
	fmt.Fprintf(out, " |\n%s|---|\n", strings.Repeat("|---", 2*len(all)-1))
	for _, f := range results[all[0].name][:len(results[all[0].name])/rounds] {
		ours := median(results[all[0].name], f.name)
		fmt.Fprintf(out, "| %s | %s |", f.name, show(ours, f.unit))
		if len(all) == 2 {
			theirs := median(results[all[1].name], f.name)
			value, ratio := show(theirs, f.unit), "–"
			if math.IsNaN(theirs) {
				value = "–" // it does not tell
			} else if theirs != 0 {
				ratio = fmt.Sprintf("%.2f", ours/theirs)
			}
			fmt.Fprintf(out, " %s | %s |", value, ratio)
		}
		fmt.Fprintln(out)
	}
}

func show(v float64, unit string) string {
	text := fmt.Sprintf("%.1f", v)
	return strings.TrimSpace(strings.TrimSuffix(text, ".0") + " " + unit)
}

func median(all []figure, name string) float64 {
	var values []float64
	for _, f := range all {
		if f.name == name {
			values = append(values, f.value)
		}
	}
	if len(values) == 0 {
		return math.NaN()
	}
	slices.Sort(values)
	return values[len(values)/2]
}

// A bench is a pair of directors on fresh hosts.
type bench struct {
	contender
	settle time.Duration // before it is watched
	watch  time.Duration
	wire   *wire
	master *benchHost
	backup *benchHost
}

const (
	settled = 7 * time.Second  // with its second burst of announcements, a new master is quiet after this
	watched = 10 * time.Second // for how long it is watched then
)

func (b *bench) run(ctx context.Context, measure func(context.Context, *bench) ([]figure, error)) (figures []figure, err error) {
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
	return measure(ctx, b)
}

// begin starts the pair and waits until one is master of everything and quiet.
func (b *bench) begin(ctx context.Context, routers []benchRouter, interval time.Duration) error {
	if err := b.master.start(ctx, b.contender, routers, 200, interval); err != nil {
		return err
	}
	if err := b.masterOf(b.master, routers); err != nil {
		return err
	}
	if err := b.backup.start(ctx, b.contender, routers, 100, interval); err != nil {
		return err
	}
	return pause(ctx, b.settle)
}

// masterOf waits until a host sends adverts of all routers and has announced all addresses.
func (b *bench) masterOf(h *benchHost, routers []benchRouter) error {
	return netlab.Poll(time.Minute, func() error {
		for _, r := range routers {
			if b.wire.of(h.address, r.id).count == 0 {
				return fmt.Errorf("%s is not master of %d: see its log", h.Name, r.id)
			}
			if _, missing := b.wire.announced(r.all()); missing > 0 {
				return fmt.Errorf("%s has not announced %d addresses of %d", h.Name, missing, r.id)
			}
		}
		return nil
	})
}

// fail crashes the master and returns when the last advert of it was seen, and the first and the last of the other one's
// first ones, and the last announcement.
func (b *bench) fail(routers []benchRouter) (last, first, all, announced time.Time, err error) {
	for _, r := range routers {
		if at := b.wire.of(b.master.address, r.id).last; at.After(last) {
			last = at
		}
	}
	b.wire.reset()
	if err = b.master.crash(); err != nil {
		return
	}
	if err = b.masterOf(b.backup, routers); err != nil {
		return
	}
	for _, r := range routers {
		if at := b.wire.of(b.master.address, r.id).last; at.After(last) {
			last = at
		}
		at := b.wire.of(b.backup.address, r.id).first
		if first.IsZero() || at.Before(first) {
			first = at
		}
		if at.After(all) {
			all = at
		}
		if at, _ := b.wire.announced(r.all()); at.After(announced) {
			announced = at
		}
	}
	return
}

// routers measures n virtual routers of one address each.
func (b *bench) routers(ctx context.Context, n int, interval time.Duration) ([]figure, error) {
	routers := make([]benchRouter, n)
	for i := range routers {
		routers[i] = benchRouter{id: i + 1, addresses: block(1, i, 1)}
	}
	if err := b.begin(ctx, routers, interval); err != nil {
		return nil, err
	}
	var figures []figure
	b.wire.reset()
	cpu := func() (c [2]time.Duration, err error) {
		for i, h := range []*benchHost{b.master, b.backup} {
			if c[i], err = h.cpu(); err != nil {
				return c, err
			}
		}
		return c, nil
	}
	before, err := cpu()
	if err != nil {
		return nil, err
	}
	began := time.Now()
	if err := pause(ctx, b.watch); err != nil {
		return nil, err
	}
	after, err := cpu()
	if err != nil {
		return nil, err
	}
	took := time.Since(began)
	missed, longest := 0, time.Duration(0)
	for _, r := range routers {
		s := b.wire.of(b.master.address, r.id)
		missed += max(0, int(s.last.Sub(s.first)/interval)+1-s.count)
		longest = max(longest, s.longest)
	}
	for i, h := range []*benchHost{b.master, b.backup} {
		m, err := h.memory()
		if err != nil {
			return nil, err
		}
		role := []string{"master", "backup"}[i]
		figures = append(figures,
			figure{"CPU of the " + role, "ms/s", (after[i] - before[i]).Seconds() * 1000 / took.Seconds()},
			figure{"memory of the " + role, "MiB", float64(m) / (1 << 20)})
	}
	figures = append(figures, figure{"adverts missed while watched", "", float64(missed)},
		figure{"longest pause between two adverts", "ms", longest.Seconds() * 1000})
	last, _, all, announced, err := b.fail(routers)
	return append(figures,
		figure{"crash: last advert to the last router taken over", "ms", all.Sub(last).Seconds() * 1000},
		figure{"crash: last advert to the last address announced", "ms", announced.Sub(last).Seconds() * 1000}), err
}

// addresses measures one virtual router of many addresses.
func (b *bench) addresses(ctx context.Context, carried, excluded int, interval time.Duration) ([]figure, error) {
	r := benchRouter{id: 51, addresses: block(1, 0, carried), excluded: block(2, 0, excluded)}
	if err := b.begin(ctx, []benchRouter{r}, interval); err != nil {
		return nil, err
	}
	last, first, _, announced, err := b.fail([]benchRouter{r})
	return []figure{
		{"crash: last advert to the first of the new master", "ms", first.Sub(last).Seconds() * 1000},
		{"first advert of the new master to the last address announced", "ms", announced.Sub(first).Seconds() * 1000},
	}, err
}

// block is n addresses in 10.0.net.0/24.
func block(net, from, n int) []netip.Addr {
	list := make([]netip.Addr, n)
	for i := range list {
		list[i] = netip.AddrFrom4([4]byte{10, 0, byte(net), byte(from + i + 1)})
	}
	return list
}
