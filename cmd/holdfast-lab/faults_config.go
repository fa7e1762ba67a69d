// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
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
		name: "config/other-interval", what: "the master is told to send adverts each 100 ms, and then each 2 s; the backup is told nothing. Then the master is suspended for 4 s",
		note:   "a backup waits as long as its master's adverts say, RFC 9568 section 6.4.2, and not as its own interval would have it",
		inject: otherInterval,
		said: func(ctx context.Context, s *scene) error {
			return s.nodes[1].logs(ctx, `peer differs.*advertise interval`)
		},
	},
	{
		name: "config/two-owners", cold: true,
		what:    "both have priority 255 and say that they own the address, and for 8 s the second one's switch port is dead",
		note:    "of two masters the one with the higher address stays",
		options: options{priorities: []int{255, 255}, with: func(*node) extra { return extra{router: "  owner = true"} }},
		limits:  limits{lost: 2, shared: 1500 * time.Millisecond, takeovers: 2, end: 1},
		inject:  twoOwners,
		said: func(ctx context.Context, s *scene) error {
			const both = "peer differs.*owner of the addresses"
			return errors.Join(s.nodes[0].logs(ctx, both), s.nodes[1].logs(ctx, both))
		},
	},
	{
		name: "config/kill-in-reload", what: "ten times, the master is killed up to 300 ms after it is told to reload another table, and started again",
		needs: needIPVS, ours: true,
		note:   "what it has written down of its table and what is in the table are then not the same",
		limits: limits{lost: 2},
		inject: killInReload,
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

// otherInterval changes the interval of the master alone.
func otherInterval(ctx context.Context, s *scene) error {
	n := s.nodes[0]
	for _, interval := range []time.Duration{100 * time.Millisecond, 2 * time.Second} {
		n.interval = interval
		if err := errors.Join(n.configure(ctx, extra{}), n.reload(ctx)); err != nil {
			return err
		}
		if err := errors.Join(pause(ctx, 5*time.Second), s.learned(ctx, 1, interval)); err != nil {
			return err
		}
	}
	return errors.Join(n.freeze(ctx, 4*time.Second), pause(ctx, 3*n.interval))
}

// twoOwners lets both become master before they hear each other.
func twoOwners(ctx context.Context, s *scene) error {
	first, second := s.nodes[0], s.nodes[1]
	if err := errors.Join(first.start(ctx), s.becomes(ctx, 0), second.start(ctx), pause(ctx, 2*s.interval)); err != nil {
		return err
	}
	cut := time.Now()
	if err := errors.Join(second.port.Cut(), s.becomes(ctx, 1), pause(ctx, time.Until(cut.Add(8*time.Second)))); err != nil {
		return err
	}
	s.only()
	return second.port.Heal()
}

// learned waits until a director says that its master sends adverts at that interval.
func (s *scene) learned(ctx context.Context, i int, interval time.Duration) error {
	if !s.holdfast() {
		return nil // there is nobody to ask
	}
	return poll(ctx, 10*time.Second, func() error {
		status, err := s.nodes[i].api().Status(ctx)
		if err != nil {
			return err
		}
		if got := status.VirtualRouters[0].MasterIntervalSeconds; got != interval.Seconds() {
			return fmt.Errorf("%s waits for adverts each %v s, not each %v", s.nodes[i].name, got, interval)
		}
		return nil
	})
}

// killInReload changes what the director remembers of its table and the table itself, at once.
func killInReload(ctx context.Context, s *scene) error {
	const more = 40 // real servers, to take a while
	n, moments := s.nodes[0], rand.New(rand.NewPCG(7, 0))
	for i := range 10 {
		port := 81 + i%2
		if err := n.configure(ctx, extra{top: secondService(port, more)}); err != nil {
			return err
		}
		reloaded := make(chan struct{})
		go func() {
			defer close(reloaded)
			_ = n.reload(ctx) // it is killed meanwhile, or was done
		}()
		err := errors.Join(pause(ctx, time.Duration(moments.IntN(300))*time.Millisecond), n.run.end(syscall.SIGKILL))
		<-reloaded
		if err := errors.Join(err, n.start(ctx), s.becomes(ctx, 0), poll(ctx, 20*time.Second, func() error {
			return n.tableHas(ctx, map[uint16]int{80: len(sceneServers), uint16(port): more})
		})); err != nil {
			return fmt.Errorf("kill %d: %w", i+1, err)
		}
	}
	return pause(ctx, s.masterDown())
}

// secondService is one without checks.
func secondService(port, servers int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "virtual_server \"other\" {\n  address = \"%s:%d\"\n  start = \"up\"\n  drain_timeout = \"0s\"\n", sceneAddress, port)
	for i := range servers {
		fmt.Fprintf(&b, "  real_server \"o%d\" {\n    address = \"10.0.1.%[1]d\"\n  }\n", i+1)
	}
	b.WriteString("}\n")
	return b.String()
}

// tableHas holds when the kernel's table has those services of the virtual address, each with so many servers, and no others.
func (n *node) tableHas(ctx context.Context, want map[uint16]int) error {
	services, err := n.table(ctx)
	if err != nil {
		return err
	}
	got := make(map[uint16]int)
	for _, s := range services {
		got[s.Key.Port] = len(s.Destinations)
	}
	if !maps.Equal(got, want) {
		return fmt.Errorf("%s has servers by port %v in its table, not %v", n.name, got, want)
	}
	return nil
}
