// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"time"

	"github.com/holdfast-lb/holdfast/internal/director"
)

// A grid is a table whose real servers nobody checks.
type grid struct {
	services, servers int // servers of each
}

func (g grid) service(k int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 100, byte(k / 250), byte(1 + k%250)}), 80)
}

func (g grid) server(k, i int) netip.AddrPort {
	n := g.of(k, i)
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(128 + n/62500), byte(n / 250 % 250), byte(1 + n%250)}), 80)
}

// of numbers the real servers through.
func (g grid) of(k, i int) int { return k*g.servers + i }

func (g grid) all() int { return g.services * g.servers }

func holdfastGrid(dir string, g grid, c change) string {
	var b strings.Builder
	b.WriteString(holdfastConfig(dir, nil, 0, 0))
	for k := range g.services {
		fmt.Fprintf(&b, "virtual_server \"s%d\" {\n  address   = %q\n  scheduler = \"wrr\"\n  forward   = \"dr\"\n", k, g.service(k))
		for i := range g.servers {
			a := g.server(k, i)
			fmt.Fprintf(&b, "  real_server %q {\n    address = %q\n    weight = %d\n  }\n", a.Addr(), a, c.of(g.of(k, i), g.all()))
		}
		b.WriteString("}\n")
	}
	return b.String()
}

func keepalivedGrid(_ string, g grid, c change) string {
	var b strings.Builder
	for k := range g.services {
		s := g.service(k)
		fmt.Fprintf(&b, "virtual_server %s %d {\n  lb_algo wrr\n  lb_kind DR\n  protocol TCP\n", s.Addr(), s.Port())
		for i := range g.servers {
			a := g.server(k, i)
			fmt.Fprintf(&b, "  real_server %s %d {\n    weight %d\n  }\n", a.Addr(), a.Port(), c.of(g.of(k, i), g.all()))
		}
		b.WriteString("}\n")
	}
	return b.String()
}

// table measures how the kernel's table follows a large configuration.
func (b *bench) table(ctx context.Context, g grid) (figures []figure, err error) {
	measure := func(name string, do func() error, want func(table []byte) bool) error {
		before, err := b.master.cpu()
		if err != nil {
			before = 0 // it does not run yet
		}
		took, err := b.follows(ctx, name, do, want)
		if err != nil {
			return err
		}
		after, err := b.master.cpu()
		figures = append(figures, figure{name, "s", took.Seconds()}, figure{name + ": CPU", "s", (after - before).Seconds()})
		return err
	}
	if err := measure("start to full table", func() error {
		return b.master.launch(ctx, b.contender, b.grid(b.master.dir, g, change{}), b.contender.args(b.master.dir, true))
	}, func(t []byte) bool { return destinations(t) == g.all() }); err != nil {
		return nil, err
	}
	if err := pause(ctx, b.settle); err != nil {
		return nil, err
	}
	quiet, err := b.quiet(ctx)
	if err != nil {
		return nil, err
	}
	figures = append(figures, quiet[:2]...)
	first := len(figures)
	all := reloads(g.all())
	// The first one after the start may meet what the start has left to do: it does not count.
	for i, r := range append([]reload{{"first", change{servers: 1, weight: 8}}}, all...) {
		if err := measure(r.name, func() error { return b.master.reload(b.grid(b.master.dir, g, r.change)) }, r.done); err != nil {
			return nil, err
		}
		if i == 0 {
			figures = figures[:first]
		}
		if err := pause(ctx, b.settle); err != nil {
			return nil, err
		}
	}
	took, cpu, err := b.reloadNothing(ctx, b.grid(b.master.dir, g, all[len(all)-1].change))
	if err != nil {
		return nil, err
	}
	figures = append(figures, figure{reloadNothing, "s", took.Seconds()}, figure{reloadNothing + ": CPU", "s", cpu.Seconds()})
	if b.contender.name != "holdfast" {
		return figures, nil
	}
	own, err := b.tableAlone(ctx)
	return append(figures, own...), err
}

// tableAlone measures what only holdfast tells.
func (b *bench) tableAlone(ctx context.Context) ([]figure, error) {
	api := director.Client{Socket: filepath.Join(b.master.dir, "control.sock")}
	var figures []figure
	counted := func(what string) (n float64, err error) {
		m, err := b.master.metrics(ctx)
		if err != nil {
			return 0, err
		}
		return sumMetric(m, what, "")
	}
	const operations = "holdfast_ipvs_operations_total"
	before, err := counted(operations)
	if err != nil {
		return nil, err
	}
	if _, err := api.Reload(ctx); err != nil {
		return nil, err
	}
	if err := pause(ctx, b.settle); err != nil {
		return nil, err
	}
	after, err := counted(operations)
	if err != nil {
		return nil, err
	}
	figures = append(figures,
		figure{reloadNothing + ": operations", "", after - before},
		figure{"operations since the start", "", after})
	for _, what := range []struct {
		name string
		do   func() error
	}{
		{"status", func() error { _, err := api.Status(ctx); return err }},
		{"scrape", func() error { _, err := b.master.metrics(ctx); return err }},
	} {
		began := time.Now()
		if err := what.do(); err != nil {
			return nil, fmt.Errorf("%s: %w", what.name, err)
		}
		figures = append(figures, figure{what.name, "s", time.Since(began).Seconds()})
	}
	return figures, nil
}
