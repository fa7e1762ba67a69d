// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"net/netip"
	"time"

	"github.com/holdfast-lb/holdfast/internal/drill"
)

const (
	pace     = 10 * time.Millisecond  // of the client: a new connection each
	patience = 200 * time.Millisecond // of the client with a request
	lookEach = 50 * time.Millisecond  // at who holds the address

	// What is measured before a fault and after everything is in its new place.
	leadIn  = 500 * time.Millisecond
	leadOut = 700 * time.Millisecond

	// Connections that are held through a trial with connection sync. The kernel gathers for up to 2 s what it tells the
	// other director, so that younger ones are not known there.
	heldConnections = 50
	heldPace        = 50 * time.Millisecond // of the new ones beside them
	heldLeadIn      = 4 * time.Second
)

// An outcome is what a client and a watch on the address saw during a trial.
type outcome drill.Outcome

// spans says who held the address from a time on.
func (o *outcome) spans(from time.Time) []drill.Span { return drill.Spans(o.Observations, from) }

// holders are those that held the address at the end.
func (o *outcome) holders() []string {
	if len(o.Observations) == 0 {
		return nil
	}
	return o.Observations[len(o.Observations)-1].Holders
}

// measure does something while the client loads the virtual address and the watch looks at who holds it.
func (p *pair) measure(ctx context.Context, do func() error) (*outcome, error) {
	t := drill.Trial{
		Load: drill.Load{
			Target: netip.AddrPortFrom(p.vip, 80), Interval: pace, Timeout: patience, ServerHeader: serverHeader, Within: p.client.Do,
		},
		Watch:  drill.Watch{Every: lookEach, Candidates: p.candidates()},
		LeadIn: leadIn, LeadOut: leadOut,
	}
	if p.sync {
		t.LeadIn, t.Load.Interval = heldLeadIn, heldPace
		t.Hold = drill.Hold{Target: t.Load.Target, Count: heldConnections, ServerHeader: serverHeader, Within: p.client.Do}
	}
	o, err := t.Run(ctx, func(context.Context, drill.SoFar) error { return do() })
	return (*outcome)(&o), err
}
