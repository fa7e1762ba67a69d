// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/holdfast-lb/holdfast/ipvs"
)

// tableFaults happen to what the director has put into the kernel: addresses, interfaces, the table of IPVS.
var tableFaults = []fault{
	{
		name: "table/address-deleted", what: "someone deletes the virtual address, five times", short: true,
		limits: limits{lost: unbounded, gap: 400 * time.Millisecond, takeovers: 5, resets: unbounded},
		inject: func(ctx context.Context, s *scene) error {
			for range 5 {
				if err := errors.Join(s.ip(ctx, 0, "addr", "del", sceneAddress.String()+"/32", "dev", "eth0"), pause(ctx, time.Second)); err != nil {
					return err
				}
			}
			return nil
		},
		said: func(ctx context.Context, s *scene) error {
			return s.nodes[0].tells(ctx, "holdfast_virtual_router_addresses_restored_total", "")
		},
	},
	{
		name: "table/interface-recreated", what: "the master's interface is deleted, and made anew after 5 s with another MAC address",
		limits: limits{lost: unbounded, gap: detected, shared: yields, takeovers: 2, resets: unbounded},
		inject: func(ctx context.Context, s *scene) error {
			n := s.nodes[0]
			if err := errors.Join(s.ip(ctx, 0, "link", "del", "eth0"), s.becomes(ctx, 1), pause(ctx, time.Second)); err != nil {
				return err
			}
			n.port = n.host.Join(s.lan, "eth0", prefix(n.address.String()+"/24"))
			return errors.Join(s.lab.Err(), s.becomes(ctx, 0))
		},
	},
	{
		name: "table/interface-renamed", what: "the master's interface is renamed, and named as before after 5 s",
		limits: limits{lost: unbounded, gap: detected, shared: yields, takeovers: 2, resets: unbounded},
		inject: func(ctx context.Context, s *scene) error {
			rename := func(from, to string) error {
				return errors.Join(s.ip(ctx, 0, "link", "set", from, "down"), s.ip(ctx, 0, "link", "set", from, "name", to), s.ip(ctx, 0, "link", "set", to, "up"))
			}
			return errors.Join(rename("eth0", "other"), s.becomes(ctx, 1), pause(ctx, time.Second), rename("other", "eth0"), s.becomes(ctx, 0))
		},
	},
	{
		name: "table/mac-changed", what: "the master's interface gets another MAC address while it is up", ours: true,
		note:   "a client knows the old one until the addresses are announced again",
		limits: limits{lost: unbounded, gap: 3 * time.Second},
		inject: func(ctx context.Context, s *scene) error {
			return errors.Join(s.ip(ctx, 0, "link", "set", "eth0", "address", "02:68:66:00:aa:01"), s.reached(ctx), pause(ctx, 2*time.Second))
		},
	},
	{
		name: "table/mtu-changed", what: "the master's interface gets another MTU",
		inject: func(ctx context.Context, s *scene) error {
			return errors.Join(s.ip(ctx, 0, "link", "set", "eth0", "mtu", "1400"), pause(ctx, s.masterDown()))
		},
	},
	{
		name: "table/address-flood", what: "5,000 addresses are added to the master's host and deleted again, so that netlink overruns", short: true,
		limits: limits{lost: 2},
		inject: func(ctx context.Context, s *scene) error {
			var batch strings.Builder
			for _, do := range []string{"add", "del"} {
				for i := range 5000 {
					fmt.Fprintf(&batch, "addr %s 10.77.%d.%d/32 dev lo\n", do, i/250, i%250+1)
				}
			}
			file := filepath.Join(s.run, "addresses")
			if err := os.WriteFile(file, []byte(batch.String()), 0o644); err != nil {
				return err
			}
			from := time.Now()
			if err := s.ip(ctx, 0, "-batch", file); err != nil {
				return err
			}
			if err := errors.Join(s.ip(ctx, 0, "addr", "del", sceneAddress.String()+"/32", "dev", "eth0"), pause(ctx, 3*time.Second)); err != nil {
				return err
			}
			s.bound(within("longest silence of the master", s.silence(s.nodes[0], from), s.interval*3/2))
			return nil
		},
	},
	{
		name: "table/flushed", what: "someone flushes the master's table of IPVS", needs: needIPVS,
		limits: limits{lost: unbounded, gap: 6500 * time.Millisecond, resets: unbounded},
		inject: func(ctx context.Context, s *scene) error { return s.ipvsadm(ctx, 0, "-C") },
		said: func(ctx context.Context, s *scene) error {
			return s.nodes[0].tells(ctx, "holdfast_ipvs_drift_total", "")
		},
	},
	{
		name: "table/foreign-services", what: "someone adds services of their own, 100 of them", needs: needIPVS,
		inject: func(ctx context.Context, s *scene) error {
			var rules strings.Builder
			for i := range 100 {
				fmt.Fprintf(&rules, "-A -t 10.9.0.1:%d -s rr\n", 1000+i)
			}
			if err := s.feed(ctx, 0, rules.String(), "ipvsadm", "-R"); err != nil {
				return err
			}
			return pause(ctx, 6*time.Second)
		},
		said: func(ctx context.Context, s *scene) error {
			n, err := s.nodes[0].metric(ctx, "holdfast_ipvs_foreign_services", "")
			if err == nil && n != 100 {
				err = fmt.Errorf("lb1 tells of %v foreign services, not of 100", n)
			}
			return err
		},
	},
	{
		name: "table/service-deleted", what: "someone deletes the service from the master's table, and then changes a weight", needs: needIPVS,
		limits: limits{lost: unbounded, gap: 6500 * time.Millisecond, resets: unbounded},
		inject: func(ctx context.Context, s *scene) error {
			service := sceneAddress.String() + ":80"
			return errors.Join(s.ipvsadm(ctx, 0, "-D", "-t", service), s.settle(ctx, 0),
				s.ipvsadm(ctx, 0, "-e", "-t", service, "-r", sceneServers[0].String(), "-g", "-w", "0"))
		},
		said: func(ctx context.Context, s *scene) error {
			return s.nodes[0].tells(ctx, "holdfast_ipvs_drift_total", "")
		},
	},
	{
		name: "table/sync-stopped", what: "someone stops both halves of connection sync", needs: needIPVS, ours: true,
		options: options{with: func(*node) extra {
			return extra{top: "connection_sync {\n  interface = \"eth0\"\n  id = 51\n}\n"}
		}},
		inject: func(ctx context.Context, s *scene) error {
			return errors.Join(s.ipvsadm(ctx, 0, "--stop-daemon", "master"), s.ipvsadm(ctx, 1, "--stop-daemon", "backup"),
				s.nodes[0].syncs(ctx), s.nodes[1].syncs(ctx))
		},
	},
	{
		name: "table/module-reloaded", what: "the module ip_vs is unloaded under both directors, and loaded again", needs: needIPVS | needMachine, ours: true,
		limits: limits{lost: unbounded, gap: 10 * time.Second, takeovers: 2, shared: yields, resets: unbounded},
		inject: func(ctx context.Context, s *scene) error {
			// What is in use cannot be unloaded, and the directors soon put back what somebody has flushed.
			unload := func() error {
				return errors.Join(s.ipvsadm(ctx, 0, "-C"), s.ipvsadm(ctx, 1, "-C"), s.tool(ctx, 0, "rmmod", "ip_vs_rr", "ip_vs"))
			}
			return errors.Join(poll(ctx, 10*time.Second, unload), pause(ctx, 2*time.Second), s.tool(ctx, 0, "modprobe", "ip_vs"))
		},
	},
}

// ip runs the tool of that name on a director.
func (s *scene) ip(ctx context.Context, i int, args ...string) error {
	return s.tool(ctx, i, "ip", args...)
}

func (s *scene) ipvsadm(ctx context.Context, i int, args ...string) error {
	return s.tool(ctx, i, "ipvsadm", args...)
}

func (s *scene) tool(ctx context.Context, i int, name string, args ...string) error {
	if out, err := s.nodes[i].host.Command(ctx, name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %v on %s: %w: %s", name, args, s.nodes[i].name, err, out)
	}
	return nil
}

// syncs waits until the kernel runs a half of connection sync on the director.
func (n *node) syncs(ctx context.Context) error {
	return poll(ctx, 20*time.Second, func() error {
		table, err := ipvs.OpenKernel(ctx, n.host.Path())
		if err != nil {
			return err
		}
		defer func() { _ = table.Close() }()
		running, err := table.SyncDaemons(ctx)
		if err == nil && len(running) == 0 {
			err = fmt.Errorf("no connection sync on %s", n.name)
		}
		return err
	})
}
