// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/holdfast-lb/holdfast/internal/netlab"
)

// A contender is a program that a benchmark runs as director.
type contender struct {
	name    string
	binary  string   // holdfast, whichever this one is
	version []string // the command that says it
	config  func(dir string, routers []benchRouter, priority int, interval time.Duration) string
	fleet   func(dir string, f fleet, c change) string // the configuration of checks instead
	grid    func(dir string, g grid, c change) string  // the configuration of a table without checks
	args    func(dir string, checks bool) []string
}

// A benchRouter is a virtual router, in whatever language it is configured.
type benchRouter struct {
	id                  int
	addresses, excluded []netip.Addr
}

// all are the addresses that move.
func (r benchRouter) all() []netip.Addr {
	return append(r.addresses[:len(r.addresses):len(r.addresses)], r.excluded...)
}

// contenders are holdfast and keepalived, with the same work and their defaults for all else.
func contenders(holdfast string) []contender {
	return []contender{
		{"holdfast", holdfast, []string{holdfast, "version"}, holdfastConfig, holdfastFleet, holdfastGrid, func(dir string, _ bool) []string {
			return []string{holdfast, "run", "-c", filepath.Join(dir, "config")}
		}},
		{"keepalived", holdfast, []string{"keepalived", "--version"}, keepalivedConfig, keepalivedFleet, keepalivedGrid, func(dir string, checks bool) []string {
			only := "-P"
			if checks {
				only = "-C"
			}
			return []string{"keepalived", "-n", "-l", only, "-f", filepath.Join(dir, "config"), "--pid", filepath.Join(dir, "pid"),
				"--vrrp_pid", filepath.Join(dir, "vrrp.pid"), "--checkers_pid", filepath.Join(dir, "checkers.pid")}
		}},
	}
}

func holdfastConfig(dir string, routers []benchRouter, priority int, interval time.Duration) string {
	var b strings.Builder
	fmt.Fprintf(&b, "director {\n  control_socket = %q\n  state_dir = %q\n}\nhttp {\n  listen = %q\n}\n",
		filepath.Join(dir, "control.sock"), dir, metricsAddress)
	for _, r := range routers {
		fmt.Fprintf(&b, `virtual_router "vr%d" {
  interface          = "eth0"
  id                 = %d
  priority           = %d
  advertise_interval = %q
  addresses          = %s
  excluded_addresses = %s
}
`, r.id, r.id, priority, interval, list(prefixes(r.addresses)), list(prefixes(r.excluded)))
	}
	return b.String()
}

func keepalivedConfig(_ string, routers []benchRouter, priority int, interval time.Duration) string {
	var b strings.Builder
	b.WriteString("global_defs {\n  vrrp_version 3\n}\n")
	for _, r := range routers {
		fmt.Fprintf(&b, `vrrp_instance vr%d {
  state BACKUP
  interface eth0
  virtual_router_id %d
  priority %d
  advert_int %v
  virtual_ipaddress {
    %s
  }
  virtual_ipaddress_excluded {
    %s
  }
}
`, r.id, r.id, priority, interval.Seconds(), strings.Join(prefixes(r.addresses), "\n    "), strings.Join(prefixes(r.excluded), "\n    "))
	}
	return b.String()
}

func prefixes(addresses []netip.Addr) []string {
	list := make([]string, len(addresses))
	for i, a := range addresses {
		list[i] = netip.PrefixFrom(a, a.BitLen()).String()
	}
	return list
}

// A benchHost is a host and the director on it.
type benchHost struct {
	*netlab.Host
	address netip.Addr
	dir     string
	process *os.Process
}

// start runs a contender. It ends with the lab.
func (h *benchHost) start(ctx context.Context, c contender, routers []benchRouter, priority int, interval time.Duration) error {
	return h.launch(ctx, c, c.config(h.dir, routers, priority, interval), c.args(h.dir, false))
}

// launch is start with another configuration and command line.
func (h *benchHost) launch(ctx context.Context, c contender, config string, args []string) error {
	if err := os.WriteFile(filepath.Join(h.dir, "config"), []byte(config), 0o644); err != nil {
		return err
	}
	log, err := os.Create(filepath.Join(h.dir, "log"))
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	cmd := h.Command(ctx, args[0], args[1:]...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", c.name, err)
	}
	h.process = cmd.Process
	go func() { _ = cmd.Wait() }() // it is killed
	return nil
}

// crash ends all processes at once: they are stopped first, so that none says good-bye for another.
func (h *benchHost) crash() error {
	return errors.Join(h.Signal(syscall.SIGSTOP), h.Signal(syscall.SIGKILL))
}

// cpu is the time that the processes have used so far.
func (h *benchHost) cpu() (time.Duration, error) {
	const tick = 10 * time.Millisecond // USER_HZ
	var sum time.Duration
	err := h.each(func(pid int) error {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			return err
		}
		fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:])) // from the third on: proc(5)
		for _, f := range fields[11:13] {                                   // utime, stime
			n, err := strconv.Atoi(f)
			if err != nil {
				return err
			}
			sum += time.Duration(n) * tick
		}
		return nil
	})
	return sum, err
}

// memory is what the processes have of their own, in bytes: what they share is counted once.
func (h *benchHost) memory() (int, error) {
	sum := 0
	err := h.each(func(pid int) error {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(b)) {
			var kib int
			if _, err := fmt.Sscanf(line, "Pss: %d kB", &kib); err == nil {
				sum += kib << 10
			}
		}
		return nil
	})
	return sum, err
}

func (h *benchHost) each(f func(pid int) error) error {
	pids, err := h.Processes()
	if err != nil {
		return err
	}
	if len(pids) == 0 {
		return fmt.Errorf("nothing runs on %s any more: see %s", h.Name, filepath.Join(h.dir, "log"))
	}
	for _, pid := range pids {
		if err := f(pid); err != nil {
			return err
		}
	}
	return nil
}
