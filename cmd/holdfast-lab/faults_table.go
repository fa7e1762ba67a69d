// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"time"
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
			for i := range 100 {
				if err := s.ipvsadm(ctx, 0, "-A", "-t", fmt.Sprintf("10.9.0.1:%d", 1000+i), "-s", "rr"); err != nil {
					return err
				}
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
