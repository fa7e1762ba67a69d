// SPDX-License-Identifier: Apache-2.0

package drill

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// patienceToOpen is how long connections that are to be held may take to open before the load begins beside them.
const patienceToOpen = 10 * time.Second

// A Trial is what clients do, and what is watched, while something happens to the directors.
type Trial struct {
	Load            Load
	Hold            Hold  // a count of 0: no connections are held
	Watch           Watch // no candidates: nobody is watched
	LeadIn, LeadOut time.Duration
}

// An Outcome is what clients and the watch saw.
type Outcome struct {
	Report
	Held         *HeldReport // nil: none were held
	Samples      []Sample    // in the order of their ends
	Observations []Observation
}

// SoFar returns the requests that have ended.
type SoFar func() []Sample

// Run does something while there is load, after LeadIn and until LeadOut after it. The context that it is given ends with
// ctx, and when the load cannot go on. What was seen until then is returned with an error, too.
func (t Trial) Run(ctx context.Context, do func(context.Context, SoFar) error) (Outcome, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	measuring, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var mu sync.Mutex
	var o Outcome
	var wg sync.WaitGroup
	var errs [3]error
	measure := func(i int, run func() error) {
		wg.Go(func() {
			if errs[i] = run(); errs[i] != nil {
				cancel(errs[i])
			}
		})
	}
	if t.Hold.Count > 0 {
		opened := make(chan struct{})
		measure(0, func() error {
			all, err := t.Hold.Run(measuring, func() { close(opened) })
			held := SummarizeHeld(all)
			o.Held = &held
			return err
		})
		select {
		case <-opened:
		case <-time.After(patienceToOpen):
		case <-ctx.Done():
		}
	}
	measure(1, func() error {
		return t.Load.Run(measuring, func(s Sample) {
			mu.Lock()
			defer mu.Unlock()
			o.Samples = append(o.Samples, s)
		})
	})
	if len(t.Watch.Candidates) > 0 {
		measure(2, func() error {
			return t.Watch.Run(measuring, func(s Observation) { o.Observations = append(o.Observations, s) })
		})
	}
	err := pause(ctx, t.LeadIn)
	if err == nil {
		err = do(ctx, func() []Sample {
			mu.Lock()
			defer mu.Unlock()
			return slices.Clone(o.Samples)
		})
		err = errors.Join(err, pause(ctx, t.LeadOut))
	}
	stop()
	wg.Wait()
	o.Report = Summarize(o.Samples)
	return o, errors.Join(err, errs[0], errs[1], errs[2])
}

// pause waits, unless ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}
