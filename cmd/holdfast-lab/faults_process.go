// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	// yields is how long two may hold the address when one gives it to the other: until it has heard the new master, and
	// min(advertise_interval, 300ms) more.
	yields = 700 * time.Millisecond
	// leaseEnds is when a dead director has lost its addresses at the latest: the lease at adverts of 1 s, and half a second.
	leaseEnds = 5*time.Second + 500*time.Millisecond
)

// processFaults happen to the program.
var processFaults = []fault{
	{
		name: "process/quiet", what: "nothing happens", short: true,
		inject: func(ctx context.Context, s *scene) error { return pause(ctx, 5*time.Second) },
	},
	{
		name: "process/kill", what: "every process of the master is killed", times: 5, short: true,
		note:   "the address goes with its lease, 5 s, and not by a supervisor",
		limits: limits{lost: 2, shared: leaseEnds, takeovers: 1, resets: unbounded, end: 1},
		inject: killMaster,
	},
	{
		name: "process/kill-restart", what: "the master is killed and started again at once, as by systemd", times: 5,
		inject: func(ctx context.Context, s *scene) error {
			return errors.Join(s.nodes[0].crash(ctx), s.becomes(ctx, 0), pause(ctx, s.masterDown()))
		},
	},
	{
		name: "process/kill-restart-twice", what: "killed and started again, and again before it has settled",
		inject: func(ctx context.Context, s *scene) error {
			return errors.Join(s.nodes[0].crash(ctx), pause(ctx, 300*time.Millisecond), s.nodes[0].crash(ctx),
				s.becomes(ctx, 0), pause(ctx, s.masterDown()))
		},
	},
	{
		name: "process/stop", what: "the master is stopped as planned", times: 5,
		limits: limits{lost: 2, shared: yields, takeovers: 1, resets: unbounded, end: 1},
		inject: func(ctx context.Context, s *scene) error {
			if err := errors.Join(s.nodes[0].stop(), s.becomes(ctx, 1)); err != nil {
				return err
			}
			byes := 0
			for _, a := range s.advertsOf(s.nodes[0], s.injected) {
				if a.priority == 0 {
					byes++
				}
			}
			s.bound(exactly("adverts of priority 0", byes, 1))
			return nil
		},
	},
	{
		name: "process/stop-start", what: "the master is stopped, and started again",
		limits: limits{lost: 4, shared: yields, takeovers: 2, resets: unbounded},
		inject: func(ctx context.Context, s *scene) error {
			return errors.Join(s.nodes[0].stop(), s.becomes(ctx, 1), s.nodes[0].start(ctx), s.becomes(ctx, 0))
		},
	},
	{
		name: "process/freeze-1s", what: "the master is suspended for 1 s", inject: freezeMaster(time.Second),
	},
	{
		name: "process/freeze-short", what: "the master is suspended three times for 50 ms less than what lets the backup take over",
		inject: func(ctx context.Context, s *scene) error {
			for range 3 {
				if err := errors.Join(s.nodes[0].freeze(ctx, s.masterDown()-s.interval-50*time.Millisecond), pause(ctx, 1300*time.Millisecond)); err != nil {
					return err
				}
			}
			return nil
		},
	},
	{
		name: "process/freeze-3s", what: "the master is suspended for 3 s, which the phase of the adverts may make a fail-over",
		limits: limits{lost: 5, shared: yields, takeovers: 2, resets: unbounded}, inject: freezeMaster(3 * time.Second),
	},
	{
		name: "process/freeze-10s", what: "the master is suspended for 10 s", times: 5,
		limits: limits{lost: 5, shared: yields, takeovers: 2, resets: unbounded}, inject: freezeMaster(10 * time.Second),
	},
	{
		name: "process/frozen-host", what: "the master's host stands still for 30 s, as a virtual machine that is stopped and continued",
		needs: needCgroup,
		note:  "its processes are frozen, its line is dead and the addresses have no lease, for no time passes there",
		options: options{
			wrap: inCgroup,
			with: func(*node) extra { return extra{router: `  address_lease = "off"`} },
		},
		limits: limits{lost: unbounded, gap: detected, shared: yields, takeovers: 2, resets: unbounded},
		inject: frozenHost,
		said: func(ctx context.Context, s *scene) error {
			return s.nodes[0].logs(ctx, `"to":"backup","reason":"was held up for 3\d\.\d+s`)
		},
	},
	{
		name: "process/freeze-backup", what: "the backup is suspended for 10 s",
		inject: func(ctx context.Context, s *scene) error {
			return errors.Join(s.nodes[1].freeze(ctx, 10*time.Second), pause(ctx, s.masterDown()))
		},
	},
	{
		name: "process/clock", what: "the clock of the machine is set an hour ahead, and back again", needs: needMachine,
		inject: func(ctx context.Context, s *scene) error {
			for _, step := range []string{"+1 hour", "-1 hour"} {
				if err := errors.Join(s.tool(ctx, 0, "date", "-s", step), pause(ctx, 5*time.Second)); err != nil {
					return err
				}
			}
			return nil
		},
	},
	{
		name: "process/power", what: "the master loses power and comes back with nothing but its state file",
		limits: limits{lost: unbounded, gap: 3900 * time.Millisecond, shared: yields, takeovers: 2, resets: unbounded},
		inject: powerCycle,
	},
	{
		name: "process/start-together", what: "both start at once with equal priorities", cold: true, times: 5, short: true,
		options: options{priorities: []int{100, 100}}, limits: limits{lost: 2, shared: yields, takeovers: 1, end: either},
		inject: func(ctx context.Context, s *scene) error { return s.start(ctx) },
	},
	{
		name: "process/three", what: "of three directors the master is killed, and then the next one",
		options: options{directors: 3}, limits: limits{lost: 4, shared: leaseEnds, takeovers: 2, resets: unbounded, end: 2},
		inject: func(ctx context.Context, s *scene) error {
			return errors.Join(s.nodes[0].kill(), s.becomes(ctx, 1), s.nodes[1].kill(), s.becomes(ctx, 2))
		},
	},
	{
		name: "process/upgrade", what: "the master is replaced by another binary, with on_exit = keep", ours: true,
		options: options{with: func(*node) extra { return extra{director: `on_exit = "keep"`} }},
		inject:  upgrade,
	},
}

func killMaster(ctx context.Context, s *scene) error {
	killed := time.Now()
	if err := errors.Join(s.nodes[0].kill(), s.becomes(ctx, 1)); err != nil {
		return err
	}
	if s.holdfast() {
		s.tookOver(s.nodes[0], s.nodes[1], killed)
	}
	err := poll(ctx, 10*time.Second, func() error { return s.masterIs(ctx, 1) })
	s.bound(within("address gone after", time.Since(killed), s.lease()+500*time.Millisecond))
	if !s.holdfast() {
		return nil // it never goes: the bound says so
	}
	return err
}

// crash kills the process that keeps the addresses, and sees to it that it is started again: keepalived does that itself.
func (n *node) crash(ctx context.Context) error {
	if n.scene.holdfast() {
		if err := n.run.end(syscall.SIGKILL); err != nil {
			return err
		}
		return n.start(ctx)
	}
	text, err := os.ReadFile(filepath.Join(n.dir, "vrrp.pid"))
	if err != nil {
		return err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return err
	}
	return syscall.Kill(pid, syscall.SIGKILL)
}

func freezeMaster(d time.Duration) func(context.Context, *scene) error {
	return func(ctx context.Context, s *scene) error {
		if err := s.nodes[0].freeze(ctx, d); err != nil {
			return err
		}
		s.only()
		return pause(ctx, s.masterDown()) // for what comes of it
	}
}

// frozenHost stops all of the master but its kernel, which is kept from being heard.
func frozenHost(ctx context.Context, s *scene) error {
	n := s.nodes[0]
	freezer := filepath.Join(n.cgroup(), "cgroup.freeze")
	if err := errors.Join(os.WriteFile(freezer, []byte("1"), 0), n.port.Cut(), pause(ctx, 30*time.Second)); err != nil {
		return err
	}
	s.only()
	if err := errors.Join(n.port.Heal(), os.WriteFile(freezer, []byte("0"), 0)); err != nil {
		return err
	}
	return pause(ctx, s.masterDown()) // for what comes of it
}

// powerCycle leaves of the master what a disk keeps.
func powerCycle(ctx context.Context, s *scene) error {
	n := s.nodes[0]
	if err := errors.Join(n.port.Unplug(), n.kill()); err != nil {
		return err
	}
	if err := n.host.Command(ctx, "ip", "addr", "flush", "dev", "eth0").Run(); err != nil {
		return fmt.Errorf("forget the addresses: %w", err)
	}
	if err := s.becomes(ctx, 1); err != nil {
		return err
	}
	n.host.Address("eth0", prefix(n.address.String()+"/24"))
	if err := errors.Join(s.lab.Err(), n.port.Plug(), n.start(ctx)); err != nil {
		return err
	}
	return s.becomes(ctx, 0)
}

// upgrade stops the master, which keeps all, and starts another file with the same program.
func upgrade(ctx context.Context, s *scene) error {
	program, err := os.ReadFile(s.binary)
	if err != nil {
		return err
	}
	newer := filepath.Join(s.run, "holdfast-new")
	if err := os.WriteFile(newer, program, 0o755); err != nil {
		return err
	}
	s.binary = newer
	return errors.Join(s.nodes[0].stop(), s.nodes[0].start(ctx), s.becomes(ctx, 0), pause(ctx, s.masterDown()))
}
