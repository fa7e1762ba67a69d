// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
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
	n := k*g.servers + i
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(128 + n/62500), byte(n / 250 % 250), byte(1 + n%250)}), 80)
}

// weights are those of all real servers but the last one.
func (g grid) weight(k, i, last int) int {
	return fleetWeight(k == g.services-1 && i == g.servers-1, last)
}

func holdfastGrid(dir string, g grid, weight int) string {
	var b strings.Builder
	b.WriteString(holdfastConfig(dir, nil, 0, 0))
	for k := range g.services {
		fmt.Fprintf(&b, "virtual_server \"s%d\" {\n  address   = %q\n  scheduler = \"wrr\"\n  forward   = \"dr\"\n", k, g.service(k))
		for i := range g.servers {
			a := g.server(k, i)
			fmt.Fprintf(&b, "  real_server %q {\n    address = %q\n    weight = %d\n  }\n", a.Addr(), a, g.weight(k, i, weight))
		}
		b.WriteString("}\n")
	}
	return b.String()
}

func keepalivedGrid(_ string, g grid, weight int) string {
	var b strings.Builder
	for k := range g.services {
		s := g.service(k)
		fmt.Fprintf(&b, "virtual_server %s %d {\n  lb_algo wrr\n  lb_kind DR\n  protocol TCP\n", s.Addr(), s.Port())
		for i := range g.servers {
			a := g.server(k, i)
			fmt.Fprintf(&b, "  real_server %s %d {\n    weight %d\n  }\n", a.Addr(), a.Port(), g.weight(k, i, weight))
		}
		b.WriteString("}\n")
	}
	return b.String()
}

// table measures how the kernel's table follows a large configuration.
func (b *bench) table(ctx context.Context, g grid) (figures []figure, err error) {
	all := g.services * g.servers
	measure := func(name string, do func() error, want func(table []byte) bool) error {
		before, err := b.master.cpu()
		if err != nil {
			before = 0 // it does not run yet
		}
		began := time.Now()
		if err := do(); err != nil {
			return err
		}
		var took time.Duration
		err = until(ctx, 10*time.Minute, func() (bool, error) {
			table, err := b.master.table()
			took = time.Since(began)
			return err == nil && want(table), err
		})
		if err != nil {
			return fmt.Errorf("%s: %w: the log ends with\n%s", name, err, lastLines(filepath.Join(b.master.dir, "log"), 5))
		}
		after, err := b.master.cpu()
		figures = append(figures, figure{name, "s", took.Seconds()}, figure{name + ": CPU", "s", (after - before).Seconds()})
		return err
	}
	if err := measure("start to full table", func() error {
		return b.master.launch(ctx, b.contender, b.grid(b.master.dir, g, 1), b.contender.args(b.master.dir, true))
	}, func(t []byte) bool { return destinations(t) == all }); err != nil {
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

	weight := 1
	reload := func() error {
		if err := os.WriteFile(filepath.Join(b.master.dir, "config"), []byte(b.grid(b.master.dir, g, weight)), 0o644); err != nil {
			return err
		}
		return b.master.process.Signal(syscall.SIGHUP)
	}
	last := g.server(g.services-1, g.servers-1)
	for range 2 { // the first one after the start may meet what the start has left to do
		weight = 9 - weight
		name := "reload with one weight changed"
		if err := measure(name, reload, func(t []byte) bool { return bytes.Contains(t, weighed(last, weight)) }); err != nil {
			return nil, err
		}
		if err := pause(ctx, b.settle); err != nil {
			return nil, err
		}
	}
	figures = append(figures[:len(figures)-4], figures[len(figures)-2:]...)
	if b.contender.name != "holdfast" {
		return figures, nil
	}
	own, err := b.tableAlone(ctx)
	return append(figures, own...), err
}

// weighed is how a table begins the line of a real server of DR.
func weighed(server netip.AddrPort, weight int) []byte {
	a := server.Addr().As4()
	return fmt.Appendf(nil, "  -> %02X%02X%02X%02X:%04X      Route   %-6d", a[0], a[1], a[2], a[3], server.Port(), weight)
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
	cpu, err := b.master.cpu()
	if err != nil {
		return nil, err
	}
	began := time.Now()
	if _, err := api.Reload(ctx); err != nil {
		return nil, err
	}
	took := time.Since(began)
	used, err := b.master.cpu()
	if err != nil {
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
		figure{"reload without a change", "s", took.Seconds()},
		figure{"reload without a change: CPU", "s", (used - cpu).Seconds()},
		figure{"reload without a change: operations", "", after - before},
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
