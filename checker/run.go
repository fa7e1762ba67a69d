// SPDX-License-Identifier: Apache-2.0

package checker

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Run runs the checks until ctx ends, and returns nil then. It returns an error if it cannot begin. It is called once.
func (s *Set) Run(ctx context.Context) error {
	r := &run{Set: s, ctx: ctx}
	defer r.wg.Wait()
	if s.probe == nil {
		d, err := newDialer()
		if err != nil {
			return fmt.Errorf("run checks: %w", err)
		}
		defer d.close()
		r.dialer = d
		r.wg.Go(func() { d.run(r.report) })
	}
	r.loop()
	return nil
}

// run is what Run needs beside the Set. Its loop alone starts checks and takes their results, so that those of one
// check follow each other.
type run struct {
	*Set
	ctx    context.Context // every probe ends with it
	wg     sync.WaitGroup
	dialer *dialer // nil: a test probes
}

func (r *run) loop() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-r.ctx.Done():
			return
		case <-r.wake:
		case <-timer.C:
		case out := <-r.done:
			for _, o := range out {
				r.finish(o)
			}
		}
		ready, expired := r.collect(time.Since(r.base))
		for _, e := range expired {
			if res, done := r.dialer.expire(e); done {
				r.finish(outcome{entry: e, res: res, end: time.Now()})
			}
		}
		for _, e := range ready {
			r.start(e)
		}
		timer.Reset(r.wait())
	}
}

// collect takes all entries off the heap that are due: those to start now, and the TCP checks whose deadline has passed.
func (r *run) collect(now time.Duration) (ready, expired []*entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.deadlines) > 0 && r.deadlines[0].due <= now {
		e := heap.Pop(&r.deadlines).(*entry)
		switch {
		case e.running:
			expired = append(expired, e)
		case e.missed(now):
			r.deadlines.add(e, slot(now, e.phase, interval(&e.config)))
		default:
			l := r.lane(e)
			l.waiting = append(l.waiting, e)
		}
	}
	for _, l := range [...]*lane{&r.tcp, &r.rest} {
		for len(l.waiting) > 0 && l.running < l.limit {
			e := l.waiting[0]
			l.waiting[0], l.waiting = nil, l.waiting[1:]
			if e.gone {
				continue
			}
			l.running++
			e.running = true
			ready = append(ready, e)
		}
	}
	return ready, expired
}

// lane is the one that an entry runs in.
func (r *run) lane(e *entry) *lane {
	if e.config.Kind == TCP && r.dialer != nil {
		return &r.tcp
	}
	return &r.rest
}

// wait is the time until collect has something to do again.
func (r *run) wait() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, l := range [...]*lane{&r.tcp, &r.rest} {
		if len(l.waiting) > 0 && l.running < l.limit {
			return 0
		}
	}
	if len(r.deadlines) == 0 {
		return time.Hour // whatever comes next wakes the loop
	}
	return r.deadlines[0].due - time.Since(r.base)
}

// start runs one check.
func (r *run) start(e *entry) {
	started := time.Now()
	r.mu.Lock()
	tcp := r.lane(e) == &r.tcp
	e.started = started.Sub(r.base)
	if tcp {
		r.deadlines.add(e, e.started+e.config.Timeout)
	}
	r.mu.Unlock()
	if tcp {
		if res, done := r.dialer.start(e); done {
			r.finish(outcome{entry: e, res: res, end: time.Now()})
		}
		return
	}
	probe, err := r.probeOf(e)
	if err != nil {
		r.finish(outcome{entry: e, res: localFault(reasonInvalid, err), end: started})
		return
	}
	r.wg.Go(func() {
		deadline := started.Add(e.config.Timeout)
		ctx, cancel := context.WithDeadline(r.ctx, deadline)
		defer cancel()
		res := probe(ctx)
		end := time.Now()
		r.report([]outcome{{entry: e, res: judgeLate(res, end.Sub(deadline)), end: end}})
	})
}

func (r *run) probeOf(e *entry) (Probe, error) {
	if r.probe != nil {
		return r.probe(e.key, &e.config), nil
	}
	if e.config.Kind != HTTP {
		return nil, fmt.Errorf("kind %d: unknown", e.config.Kind)
	}
	r.mu.Lock()
	expect, known := r.exprs[e.config.Expect]
	r.mu.Unlock()
	if known && expect == nil {
		return nil, fmt.Errorf("expect %q: not a regular expression", e.config.Expect)
	}
	return newHTTP(&e.config, expect)
}

// report hands results to the loop. A probe that ctx has ended says nothing of its server.
func (r *run) report(out []outcome) {
	if r.ctx.Err() != nil {
		return
	}
	select {
	case r.done <- out:
	case <-r.ctx.Done():
	}
}

// finish records the result of a check, tells it, and schedules the next run.
func (r *run) finish(o outcome) {
	e, now := o.entry, o.end.Sub(r.base)
	r.mu.Lock()
	e.running = false
	r.lane(e).running--
	r.deadlines.remove(e)
	if e.gone {
		r.mu.Unlock()
		return
	}
	fault, was := "", e.fault
	if errors.Is(o.res.Err, ErrLocal) {
		fault = o.res.Reason
	}
	begins, ends := r.setFault(e, fault)
	change, changed := e.record(o, now-e.started)
	e.fresh = false
	r.deadlines.add(e, next(e.started, now, e.phase, &e.config, e.tally.Pending()))
	status := e.status()
	r.mu.Unlock()

	if begins {
		r.log.Warn("checks cannot run here", "service", e.key.Service, "server", e.key.Server, "check", e.key.Check,
			"reason", fault, "err", o.res.Err)
	}
	if ends {
		r.log.Info("checks run here again", "reason", was)
	}
	r.onResult(status, o.res)
	if changed {
		r.onChange(change)
	}
	r.countFirst(e)
}

// countFirst notes for FirstRound that a check has run.
func (r *run) countFirst(e *entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e.first {
		e.first = false
		r.first--
		r.checkFirstRound()
	}
}
