// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// A change gives the last real servers another weight than 1.
type change struct{ servers, weight int }

// of is the weight of a real server, the n-th of all.
func (c change) of(n, all int) int {
	if n >= all-c.servers {
		return c.weight
	}
	return 1
}

// done reports whether the kernel's table shows the change.
func (c change) done(table []byte) bool {
	return bytes.Count(table, fmt.Appendf(nil, " Route   %-6d ", c.weight)) == c.servers
}

// A reload is a change that is measured.
type reload struct {
	name string
	change
}

const (
	reloadOne     = "reload with one weight changed"
	reloadTenth   = "reload with the weights of 10 % changed"
	reloadNothing = "reload without a change"
)

// reloads are what is measured, from one to the next; the first of them begins with a weight other than its own.
func reloads(servers int) []reload {
	return []reload{{reloadOne, change{1, 7}}, {reloadTenth, change{servers / 10, 6}}}
}

// reload makes the program read a configuration.
func (h *benchHost) reload(config string) error {
	if err := os.WriteFile(filepath.Join(h.dir, "config"), []byte(config), 0o644); err != nil {
		return err
	}
	return h.process.Signal(syscall.SIGHUP)
}

// follows does something and measures until the kernel's table is as it should be.
func (b *bench) follows(ctx context.Context, name string, do func() error, want func(table []byte) bool) (took time.Duration, err error) {
	began := time.Now()
	if err := do(); err != nil {
		return 0, err
	}
	err = until(ctx, 10*time.Minute, func() (bool, error) {
		table, err := b.master.table()
		took = time.Since(began)
		return err == nil && want(table), err
	})
	if err != nil {
		return 0, fmt.Errorf("%s: %w: the log ends with\n%s", name, err, lastLines(filepath.Join(b.master.dir, "log"), 5))
	}
	return took, nil
}

const (
	idleFor = 500 * time.Millisecond // how long a program has to be idle
	idleCPU = 30 * time.Millisecond  // what it may use meanwhile
)

// reloadNothing measures a reload that changes nothing: until the program is idle, for the table does not tell.
func (b *bench) reloadNothing(ctx context.Context, config string) (took, used time.Duration, err error) {
	type sample struct {
		at  time.Time
		cpu time.Duration
	}
	var seen []sample // the first one is from before
	look := func() error {
		cpu, err := b.master.cpu()
		seen = append(seen, sample{time.Now(), cpu})
		return err
	}
	if err := look(); err != nil {
		return 0, 0, err
	}
	before := seen[0]
	if err := b.master.reload(config); err != nil {
		return 0, 0, err
	}
	err = until(ctx, 10*time.Minute, func() (bool, error) {
		if err := look(); err != nil {
			return false, err
		}
		last := seen[len(seen)-1]
		for last.at.Sub(seen[0].at) > idleFor {
			if last.cpu-seen[0].cpu <= idleCPU {
				return true, nil
			}
			seen = seen[1:]
		}
		return false, nil
	})
	return seen[0].at.Sub(before.at), seen[0].cpu - before.cpu, err
}
