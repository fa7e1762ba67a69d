// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/holdfast-lb/holdfast/internal/drill"
)

// perform makes the fault happen under load, waits until all is quiet, and judges.
func (s *scene) perform(ctx context.Context, result *row) error {
	if !s.cold {
		if err := s.start(ctx); err != nil {
			return err
		}
		if err := s.settle(ctx, 0); err != nil {
			return fmt.Errorf("before the fault: %w", err)
		}
	}
	before := make([]usage, len(s.nodes))
	for i, n := range s.nodes {
		before[i] = n.usage(ctx)
	}
	o, err := s.measure(ctx)
	s.fill(result, o)
	if err != nil {
		return err
	}
	if s.holdfast() && s.said != nil {
		if err := s.said(ctx, s); err != nil {
			return err
		}
	}
	// What it took for the fault is given back after a while.
	return poll(ctx, 15*time.Second, func() error {
		for i, n := range s.nodes {
			if more := n.usage(ctx).grown(before[i]); more != "" && s.holdfast() {
				return fmt.Errorf("%s has %s", n.name, more)
			}
		}
		return nil
	})
}

// measure injects the fault while the client loads the address and holds connections, and the watch looks at who has it.
func (s *scene) measure(ctx context.Context) (*outcome, error) {
	target := netip.AddrPortFrom(sceneAddress, 80)
	t := drill.Trial{
		Load:   drill.Load{Target: target, Interval: pace, Timeout: patience, ServerHeader: serverHeader, Within: s.client.Do},
		Watch:  drill.Watch{Every: lookEach, Candidates: s.candidates()},
		LeadIn: leadIn, LeadOut: leadOut,
	}
	if !s.cold {
		t.Hold = drill.Hold{Target: target, Count: heldByClient, Patience: holdPatience, ServerHeader: serverHeader, Within: s.client.Do}
	}
	o, err := t.Run(ctx, func(ctx context.Context, _ drill.SoFar) error {
		s.injected = time.Now()
		if err := s.inject(ctx, s); err != nil {
			return err
		}
		return s.settle(ctx, s.end)
	})
	if err == nil {
		err = s.settle(ctx, s.end) // still
	}
	return (*outcome)(&o), err
}

// fill puts what was seen into the row, and what it may be.
func (s *scene) fill(r *row, o *outcome) {
	if s.cold { // nobody served before
		o.Report = drill.Summarize(s.served(o.Samples))
	}
	r.Requests, r.Lost, r.LongestGap = o.Requests, o.Lost, o.LongestGap.Seconds()
	r.Servers, r.Errors, r.Late = o.Servers, o.Errors, o.Late.Seconds()
	r.Holders = append(r.Holders, o.holders()...)
	r.Unheld = drill.Unheld(o.spans(time.Time{})).Seconds()
	shared := drill.Shared(o.spans(s.sharing))
	r.Shared = shared.Seconds()
	if s.lost != unbounded {
		r.Bounds = append(r.Bounds, atMost("lost", o.Lost, s.lost))
	}
	if s.gap > 0 {
		r.Bounds = append(r.Bounds, within("gap", o.LongestGap, s.gap))
	}
	r.Bounds = append(r.Bounds, within("two holders", shared, s.shared))
	if s.takeovers != unbounded {
		r.Bounds = append(r.Bounds, atMost("takeovers", gains(o.spans(s.injected)), s.takeovers))
	}
	if o.Held != nil && s.resets != unbounded {
		r.Bounds = append(r.Bounds, atMost("held connections lost", heldByClient-o.Held.Survived, s.resets))
	}
	r.Bounds = append(r.Bounds, s.bounds...)
}

// gains counts how often a director got the address that it had not.
func gains(spans []drill.Span) (n int) {
	for i := 1; i < len(spans); i++ {
		for _, holder := range spans[i].Holders {
			if !slices.Contains(spans[i-1].Holders, holder) {
				n++
			}
		}
	}
	return n
}

// served are the samples from the first answer on.
func (s *scene) served(samples []drill.Sample) []drill.Sample {
	for _, f := range samples {
		if f.OK() {
			return drill.Between(samples, f.Start, f.Start.Add(time.Hour))
		}
	}
	return samples
}

// only says that from now on only one may hold the address: before, they could not hear each other.
func (s *scene) only() { s.sharing = time.Now() }

// bound adds a figure of the fault's own.
func (s *scene) bound(b bound) { s.bounds = append(s.bounds, b) }
