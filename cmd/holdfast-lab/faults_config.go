// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// configFaults happen to what the director reads: its configuration and its state file.
var configFaults = []fault{
	{
		name: "config/reload-in-failover", what: "the backup reloads while it becomes master, and after it",
		limits: limits{lost: 2, shared: leaseEnds, takeovers: 1, resets: unbounded, end: 1},
		inject: func(ctx context.Context, s *scene) error {
			if err := s.nodes[0].kill(); err != nil {
				return err
			}
			for until := time.Now().Add(s.masterDown() + time.Second); time.Now().Before(until); {
				if err := errors.Join(s.nodes[1].reload(ctx), pause(ctx, 100*time.Millisecond)); err != nil {
					return err
				}
			}
			return nil
		},
	},
	{
		name: "config/reloads", what: "the master reloads 1,000 times in a row, each time with another priority", ours: true,
		inject: manyReloads,
	},
	{
		name: "config/broken-reload", what: "the master is told to reload a broken configuration: syntax, an unknown name, an id twice", ours: true,
		inject: brokenReload,
		said: func(ctx context.Context, s *scene) error {
			v, err := s.nodes[0].metric(ctx, "holdfast_config_last_reload_successful", "")
			if err == nil && v != 0 {
				err = errors.New("lb1 does not tell that the last reload failed")
			}
			return errors.Join(err, s.nodes[0].logs(ctx, `reload.*config:\d+`))
		},
	},
	{
		name: "config/broken-start", what: "the master is stopped, and its configuration broken before it is started again", ours: true,
		limits: limits{lost: 2, shared: yields, takeovers: 1, resets: unbounded, end: 1},
		inject: func(ctx context.Context, s *scene) error {
			n := s.nodes[0]
			if err := errors.Join(n.stop(), os.WriteFile(n.config(), []byte("director {\n  nme = 1\n}\n"), 0o644), n.start(ctx)); err != nil {
				return err
			}
			return errors.Join(poll(ctx, 10*time.Second, func() error {
				if n.running() {
					return fmt.Errorf("%s runs with a broken configuration", n.name)
				}
				return nil
			}), n.logs(ctx, `config:2`), s.becomes(ctx, 1))
		},
	},
	{
		name: "config/state-corrupt", what: "the master is killed, its state file overwritten with noise, and it is started again", ours: true,
		note: "the addresses on the host still tell who was master",
		inject: stateIs(func(b []byte) []byte {
			for i := range b {
				b[i] ^= 0x55
			}
			return b
		}),
		said: func(ctx context.Context, s *scene) error { return s.nodes[0].logs(ctx, `read state .*state\.json`) },
	},
	{
		name: "config/state-truncated", what: "the master is killed, half of its state file lost, and it is started again", ours: true,
		inject: stateIs(func(b []byte) []byte { return b[:len(b)/2] }),
		said:   func(ctx context.Context, s *scene) error { return s.nodes[0].logs(ctx, `read state .*state\.json`) },
	},
}

// manyReloads changes something each time, so that it cannot be left out.
func manyReloads(ctx context.Context, s *scene) error {
	n, from := s.nodes[0], time.Now()
	for i := range 1000 {
		n.priority = 200 + i%2
		if err := os.WriteFile(n.config(), []byte(n.holdfastText(extra{})), 0o644); err != nil {
			return err
		}
		if err := n.reload(ctx); err != nil {
			return fmt.Errorf("reload %d: %w", i, err)
		}
	}
	s.bound(within("longest silence of the master", s.silence(n, from), 2*s.interval))
	return nil
}

// brokenReload tries what must be refused, by signal and by command.
func brokenReload(ctx context.Context, s *scene) error {
	n := s.nodes[0]
	good, err := os.ReadFile(n.config())
	if err != nil {
		return err
	}
	for _, more := range []string{
		"virtual_router {",
		"nonsense = 1",
		"virtual_router \"other\" {\n  interface = \"eth0\"\n  id = 51\n  addresses = [\"10.0.0.101/32\"]\n}",
		"virtual_router \"other\" {\n  interface = \"eth0\"\n  id = 52\n}",
	} {
		if err := os.WriteFile(n.config(), []byte(string(good)+more+"\n"), 0o644); err != nil {
			return err
		}
		if err := n.reload(ctx); err == nil {
			return fmt.Errorf("%s took a configuration with %q", n.name, more)
		}
		if err := errors.Join(n.run.cmd.Process.Signal(syscall.SIGHUP), pause(ctx, 300*time.Millisecond)); err != nil {
			return err
		}
	}
	return pause(ctx, s.masterDown())
}

// stateIs kills the master, does something to its state file, and starts it again.
func stateIs(change func([]byte) []byte) func(context.Context, *scene) error {
	return func(ctx context.Context, s *scene) error {
		n := s.nodes[0]
		if err := n.kill(); err != nil {
			return err
		}
		file := filepath.Join(n.dir, "state.json")
		state, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if err := os.WriteFile(file, change(state), 0o600); err != nil {
			return err
		}
		return errors.Join(n.start(ctx), s.becomes(ctx, 0), pause(ctx, s.masterDown()))
	}
}
