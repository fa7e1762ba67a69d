// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"

	"github.com/holdfast-lb/holdfast/internal/drill"
)

// unserved is how long the client is watched after a change of the master, served or not.
const unserved = 15 * time.Second

// failoverSteps are what happens to a pair, in this order.
var failoverSteps = []struct {
	name string
	do   func(context.Context, *bench, *scene) error
}{
	{"planned stop of the master", func(ctx context.Context, _ *bench, s *scene) error {
		return errors.Join(s.nodes[0].stop(), s.serves(ctx, 1))
	}},
	{startedAgain, func(ctx context.Context, _ *bench, s *scene) error {
		return errors.Join(s.nodes[0].start(ctx), s.serves(ctx, 0))
	}},
	{"switch port cut", func(ctx context.Context, b *bench, s *scene) error {
		if err := errors.Join(s.phase(ctx, s.nodes[0], b.phase()), s.nodes[0].port.Cut()); err != nil {
			return err
		}
		_ = poll(ctx, unserved, func() error { return s.answers(ctx) })
		return context.Cause(ctx)
	}},
	{portBack, func(ctx context.Context, b *bench, s *scene) error {
		return errors.Join(s.phase(ctx, s.nodes[1], b.phase()), s.nodes[0].port.Heal(), s.serves(ctx, 0))
	}},
}

const (
	startedAgain = "started again"
	portBack     = "port put back"
)

// phase is the part of the advert interval at which this round cuts and mends, the same for all contenders.
func (b *bench) phase() float64 { return .1 + .2*float64(b.round%5) }

// failover measures what a client sees of each step.
func (b *bench) failover(ctx context.Context, interval time.Duration, balance bool) (figures []figure, err error) {
	dir, err := os.MkdirTemp("", "holdfast-bench-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	f := fault{name: "failover", options: options{interval: interval}}
	if balance {
		f.needs = needIPVS
		if lack := f.needs.missing(false); lack != "" {
			return nil, fmt.Errorf("this kernel has no %s: run it with deploy/lab/vm", lack)
		}
	}
	s, err := newScene(ctx, f, b.name, b.binary, dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if err := errors.Join(s.start(ctx), s.settle(ctx, 0)); err != nil {
		return nil, err
	}
	for _, step := range failoverSteps {
		if err := b.before(ctx, step.name, s); err != nil {
			return nil, err
		}
		// Not with the context of the load, which would end what is started with the load.
		seen, err := s.watch(ctx, func() error { return step.do(ctx, b, s) })
		if err != nil {
			return nil, fmt.Errorf("%s: %w", step.name, err)
		}
		figures = append(figures,
			figure{step.name + ": lost", "", float64(seen.Lost)},
			figure{step.name + ": gap", "ms", seen.LongestGap.Seconds() * 1000})
	}
	return figures, nil
}

// before waits until all is in its place for a step, or until that has taken too long: a program that never gets there is
// measured as it is.
func (b *bench) before(ctx context.Context, step string, s *scene) error {
	switch step {
	case portBack:
		return pause(ctx, b.cut)
	case startedAgain:
		_ = s.settle(ctx, 1)
	default:
		_ = s.settle(ctx, 0)
	}
	return pause(ctx, b.settle)
}

// serves waits until that director is master and a client has an answer, or until that has taken too long, which the
// client's figures tell.
func (s *scene) serves(ctx context.Context, i int) error {
	_ = poll(ctx, unserved, func() error { return errors.Join(s.masterIs(ctx, i), s.answers(ctx)) })
	return context.Cause(ctx)
}

// failoverAims are those of each step: no worse than the other one, as far as the client can tell.
func failoverAims() map[string]aim {
	aims := make(map[string]aim)
	for _, step := range failoverSteps {
		aims[step.name+": lost"] = aim{ratio: 1, slack: 2}
		aims[step.name+": gap"] = aim{ratio: 1, slack: 2 * pace.Seconds() * 1000}
	}
	aims[failoverSteps[0].name+": lost"] = aim{most: 2}
	return aims
}

// watch does something while the client loads the address.
func (s *scene) watch(ctx context.Context, do func() error) (drill.Outcome, error) {
	target := netip.AddrPortFrom(sceneAddress, 80)
	t := drill.Trial{
		Load:   drill.Load{Target: target, Interval: pace, Timeout: patience, ServerHeader: serverHeader, Within: s.client.Do},
		LeadIn: leadIn, LeadOut: leadOut,
	}
	return t.Run(ctx, func(context.Context, drill.SoFar) error { return do() })
}

// answers says why a client has no answer.
func (s *scene) answers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	c, err := s.client.Dial(ctx, "tcp", netip.AddrPortFrom(sceneAddress, 80).String())
	if err != nil {
		return err
	}
	return c.Close()
}

// phase waits until that part of the interval has gone since an advert of the director, which is master, or should be.
func (s *scene) phase(ctx context.Context, n *node, part float64) error {
	var last time.Time
	began := time.Now()
	err := poll(ctx, 10*time.Second, func() error {
		sent := s.advertsOf(n, began)
		if len(sent) == 0 {
			return fmt.Errorf("no advert of %s", n.name)
		}
		last = sent[len(sent)-1].at
		return nil
	})
	if err != nil {
		return context.Cause(ctx)
	}
	next := last.Add((time.Since(last)/s.interval + 1) * s.interval)
	return pause(ctx, time.Until(next.Add(time.Duration(part*float64(s.interval)))))
}
