// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/holdfast-lb/holdfast/internal/netlab"
)

const (
	// detected is what a client waits for when the master is not there any more: three intervals, the skew of the backup
	// and its own time-out.
	detected = 3900 * time.Millisecond
	// adverts is what nft matches, to do something to adverts alone.
	adverts = "ip protocol 112"
)

// networkFaults happen to the lines between the directors.
var networkFaults = []fault{
	{
		name: "network/cut", what: "the master's switch port is dead for 15 s, with carrier", times: 5, short: true,
		limits: limits{lost: unbounded, gap: detected, shared: 1300 * time.Millisecond, takeovers: 2, resets: unbounded},
		inject: func(ctx context.Context, s *scene) error {
			port := s.nodes[0].port
			if err := errors.Join(port.Cut(), s.becomes(ctx, 1), pause(ctx, 10*time.Second)); err != nil {
				return err
			}
			s.only()
			return port.Heal()
		},
	},
	{
		name: "network/cut-backup", what: "the backup's switch port is dead for 10 s, so that it becomes a master that nobody hears",
		limits: limits{lost: 2, shared: 1300 * time.Millisecond, takeovers: 2},
		inject: func(ctx context.Context, s *scene) error {
			port := s.nodes[1].port
			if err := errors.Join(port.Cut(), s.becomes(ctx, 1), pause(ctx, 5*time.Second)); err != nil {
				return err
			}
			s.only()
			return port.Heal()
		},
	},
	{
		name: "network/carrier", what: "the master's cable is pulled for 8 s", times: 5,
		limits: limits{lost: unbounded, gap: detected, shared: yields, takeovers: 2, resets: unbounded},
		inject: func(ctx context.Context, s *scene) error {
			port := s.nodes[0].port
			gone, err := s.goneAfter(ctx, port.Unplug)
			s.bound(within("address gone after", gone, 150*time.Millisecond))
			return errors.Join(err, s.becomes(ctx, 1), pause(ctx, 4*time.Second), port.Plug())
		},
	},
	{
		name: "network/down", what: "the master's interface is set down, and up after 8 s",
		limits: limits{lost: unbounded, gap: detected, shared: yields, takeovers: 2, resets: unbounded},
		inject: func(ctx context.Context, s *scene) error {
			port := s.nodes[0].port
			gone, err := s.goneAfter(ctx, port.Down)
			s.bound(within("address gone after", gone, 150*time.Millisecond))
			return errors.Join(err, s.becomes(ctx, 1), pause(ctx, 4*time.Second), port.Up())
		},
	},
	{
		name: "network/flap", what: "the master's cable is pulled and put back ten times, 400 ms each",
		limits: limits{lost: unbounded, gap: detected, shared: yields, takeovers: 10, resets: unbounded},
		inject: func(ctx context.Context, s *scene) error {
			port := s.nodes[0].port
			for range 10 {
				err := errors.Join(port.Unplug(), pause(ctx, 400*time.Millisecond), port.Plug(), pause(ctx, 400*time.Millisecond))
				if err != nil {
					return err
				}
			}
			return nil
		},
	},
	{
		name: "network/mute", what: "for 10 s nothing that the master sends arrives, but it hears all",
		limits: limits{lost: unbounded, gap: detected, shared: 1300 * time.Millisecond, takeovers: unbounded, resets: unbounded},
		inject: func(ctx context.Context, s *scene) error {
			return s.filtered(ctx, 10*time.Second, s.leaving(0)+" drop")
		},
		said: otherMasterSeen,
	},
	{
		name: "network/mute-adverts", what: "for 10 s the backup does not get the master's adverts, and all else passes",
		note:   "both are master, and each says so to the client: no election can know better",
		limits: limits{lost: unbounded, shared: 1300 * time.Millisecond, takeovers: unbounded, resets: unbounded},
		inject: func(ctx context.Context, s *scene) error {
			return s.filtered(ctx, 10*time.Second, s.leaving(0)+" "+adverts+" drop")
		},
		said: otherMasterSeen,
	},
	{
		name: "network/split-adverts", what: "for 10 s no advert passes, and all else does",
		note:   "both are master, and a client has the one that it heard of last",
		limits: limits{lost: 5, shared: 1300 * time.Millisecond, takeovers: unbounded, resets: unbounded},
		inject: func(ctx context.Context, s *scene) error {
			return s.filtered(ctx, 10*time.Second, adverts+" drop")
		},
	},
	{
		name: "network/loss-5", what: "for a minute every 20th frame to and from the directors is lost",
		note:   "a fail-over needs three adverts in a row to be lost: 1 in 8,000",
		limits: limits{lost: unbounded, gap: time.Second, shared: 2300 * time.Millisecond, takeovers: 2, resets: unbounded},
		inject: func(ctx context.Context, s *scene) error {
			return s.filtered(ctx, time.Minute, "numgen random mod 100 < 5 drop")
		},
	},
	{
		name: "network/loss-30", what: "for a minute every third frame to and from the directors is lost",
		note:   "three adverts in a row are lost about twice a minute",
		limits: limits{lost: unbounded, shared: 6 * time.Second, takeovers: 12, resets: unbounded},
		inject: func(ctx context.Context, s *scene) error {
			return s.filtered(ctx, time.Minute, "numgen random mod 100 < 30 drop")
		},
	},
	{
		name: "network/deaf", what: "for 20 s nothing arrives at the master, but all hear it; it tracks its service", needs: needIPVS, ours: true,
		note: "its checks fail within 4 s, its priority falls, and the other one takes over: without tracking it would stay master",
		options: options{with: func(*node) extra {
			return extra{router: "  track_service \"web\" {\n    weight = -100\n  }"}
		}},
		limits: limits{lost: unbounded, gap: 9 * time.Second, shared: 1300 * time.Millisecond, takeovers: unbounded, resets: unbounded},
		inject: func(ctx context.Context, s *scene) error {
			return s.filtered(ctx, 20*time.Second, "oifname "+s.nodes[0].port.SwitchPort()+" drop")
		},
	},
	impaired("delay", "all that the master sends comes 200 ms late, give or take 100", netlab.Impairment{Delay: 200 * time.Millisecond, Jitter: 100 * time.Millisecond}),
	impaired("duplicate", "every other frame of the master comes twice", netlab.Impairment{Duplicate: 50}),
	impaired("reorder", "a quarter of the master's frames overtake the others, which are 50 ms late", netlab.Impairment{Delay: 50 * time.Millisecond, Reorder: 25}),
}

// impaired is a fault in which the line from the master is bad for 20 s.
func impaired(name, what string, i netlab.Impairment) fault {
	return fault{
		name: "network/" + name, what: what + ", for 20 s", needs: needNetem,
		note:   "a client that gives up after 200 ms loses what comes later: what counts is that nobody takes over",
		limits: limits{lost: unbounded},
		inject: func(ctx context.Context, s *scene) error {
			port := s.nodes[0].port
			return errors.Join(port.ImpairOut(i), pause(ctx, 20*time.Second), port.ImpairOut(netlab.Impairment{}))
		},
	}
}

// goneAfter does something to the master and returns how long it still had the address.
func (s *scene) goneAfter(ctx context.Context, do func() error) (time.Duration, error) {
	from := time.Now()
	if err := do(); err != nil {
		return 0, err
	}
	for {
		holds, err := s.nodes[0].host.Holds(sceneAddress)
		if err != nil || !holds || time.Since(from) > 10*time.Second {
			return time.Since(from), err
		}
		if err := pause(ctx, 5*time.Millisecond); err != nil {
			return 0, err
		}
	}
}

// leaving is what the switch's filter calls frames that come from a director.
func (s *scene) leaving(i int) string { return "iifname " + s.nodes[i].port.SwitchPort() }

// filtered has the switch apply a rule of nft for so long. From then on there may be only one holder.
func (s *scene) filtered(ctx context.Context, d time.Duration, rule string) error {
	nft := func(text string) error {
		out, err := s.lan.Command(ctx, "nft", text).CombinedOutput()
		if err != nil {
			return fmt.Errorf("nft %s: %w: %s", text, err, strings.TrimSpace(string(out)))
		}
		return nil
	}
	err := nft("add table bridge f; add chain bridge f pass { type filter hook forward priority 0; }; add rule bridge f pass " + rule)
	if err != nil {
		return err
	}
	if err := pause(ctx, d); err != nil {
		return err
	}
	s.only()
	return nft("delete table bridge f")
}

func otherMasterSeen(ctx context.Context, s *scene) error {
	return s.nodes[0].tells(ctx, "holdfast_virtual_router_other_master_seen_total", "")
}
