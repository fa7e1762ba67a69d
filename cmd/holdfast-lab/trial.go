// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"time"

	"github.com/holdfast-lb/holdfast/internal/drill"
)

const (
	pace           = 10 * time.Millisecond  // of the client: a new connection each
	patience       = 200 * time.Millisecond // of the client with a request
	patienceToOpen = 10 * time.Second       // with the connections to be held
	lookEach       = 50 * time.Millisecond  // at who holds the address

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
type outcome struct {
	drill.Report
	held         *drill.HeldReport // nil: none were held
	samples      []drill.Sample
	observations []drill.Observation
}

// spans says who held the address from a time on.
func (o *outcome) spans(from time.Time) []drill.Span { return drill.Spans(o.observations, from) }

// holders are those that held the address at the end.
func (o *outcome) holders() []string {
	if len(o.observations) == 0 {
		return nil
	}
	return o.observations[len(o.observations)-1].Holders
}

// measure does something while the client loads the virtual address and the watch looks at who holds it.
func (p *pair) measure(ctx context.Context, do func() error) (*outcome, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	o := &outcome{}
	load := drill.Load{
		Target: netip.AddrPortFrom(p.vip, 80), Interval: pace, Timeout: patience, ServerHeader: serverHeader, Within: p.client.Do,
	}
	watch := drill.Watch{Every: lookEach, Candidates: p.candidates()}
	var wg sync.WaitGroup
	var loadErr, watchErr, heldErr error
	settled := leadIn
	if p.sync {
		settled, load.Interval = heldLeadIn, heldPace
		opened := make(chan struct{})
		hold := drill.Hold{Target: load.Target, Count: heldConnections, ServerHeader: serverHeader, Within: p.client.Do}
		wg.Go(func() {
			all, err := hold.Run(ctx, func() { close(opened) })
			held := drill.SummarizeHeld(all)
			o.held, heldErr = &held, err
		})
		select {
		case <-opened:
		case <-time.After(patienceToOpen):
		case <-ctx.Done():
		}
	}
	wg.Go(func() { loadErr = load.Run(ctx, func(s drill.Sample) { o.samples = append(o.samples, s) }) })
	wg.Go(func() {
		watchErr = watch.Run(ctx, func(s drill.Observation) { o.observations = append(o.observations, s) })
	})
	err := errors.Join(pause(ctx, settled), do(), pause(ctx, leadOut))
	cancel()
	wg.Wait()
	o.Report = drill.Summarize(o.samples)
	return o, errors.Join(err, loadErr, watchErr, heldErr)
}
