// SPDX-License-Identifier: Apache-2.0

package checker

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Run runs the checks until ctx ends, and returns nil then. It returns an error if it cannot begin. It is called once.
func (s *Set) Run(ctx context.Context) error {
	r := &run{Set: s, ctx: ctx, local: local{virtual: s.virtual}}
	defer r.wg.Wait()
	if s.probe == nil {
		d, err := newDialer()
		if err != nil {
			return fmt.Errorf("run checks: %w", err)
		}
		defer d.close()
		r.dialer, r.wires = d, newWires()
		defer r.pinger.close()
		defer r.wires.close()
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
	wires  *wires
	local  local

	pinger   pinger
	programs programs

	// Used again and again.
	late []time.Duration
	news []news
}

// news is what finish has to tell of a member.
type news struct {
	member  *member
	status  Status
	change  Change
	changed bool
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
			r.finishAll(out)
		}
		r.finishMore()
		ready, expired := r.collect(time.Since(r.base))
		for _, late := range r.late {
			r.onLate(late)
		}
		for _, e := range expired {
			if res, done := r.dialer.expire(e); done {
				r.finish(outcome{entry: e, res: res, end: time.Now()})
			}
		}
		for batch := range slices.Chunk(ready, batchMost) {
			r.startAll(batch)
		}
		timer.Reset(r.wait())
	}
}

func (r *run) finishAll(out []outcome) {
	for _, o := range out {
		r.finish(o)
	}
}

// finishMore takes results that wait, as many as one round of checks gives: they must not pile up while checks are begun.
func (r *run) finishMore() {
	for range roundMost {
		select {
		case out := <-r.done:
			r.finishAll(out)
		default:
			return
		}
	}
}

// collect takes all entries off the heap that are due: those to start now, and the TCP checks whose deadline has passed.
func (r *run) collect(now time.Duration) (ready, expired []*entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.late = r.late[:0]
	for len(r.deadlines) > 0 && r.deadlines[0].due <= now {
		e := heap.Pop(&r.deadlines).(*entry)
		switch {
		case e.running:
			expired = append(expired, e)
		case e.missed(now):
			r.late = append(r.late, now-e.due)
			r.deadlines.add(e, slot(now, e.phase, interval(e.config)))
		default:
			l := r.lane(e)
			l.waiting = append(l.waiting, e)
		}
	}
	for _, l := range [...]*lane{&r.tcp, &r.rest} {
		for begun := 0; begun < roundMost && len(l.waiting) > 0 && l.running < l.limit; {
			e := l.waiting[0]
			l.waiting[0], l.waiting = nil, l.waiting[1:]
			if e.gone() {
				continue
			}
			begun++
			l.running++
			e.running = true
			r.late = append(r.late, now-e.due)
			ready = append(ready, e)
		}
	}
	return ready, expired
}

// lane is the one that an entry runs in.
func (r *run) lane(e *entry) *lane {
	if r.dialer != nil && plain(e.config) {
		return &r.tcp
	}
	return &r.rest
}

// plain reports a check that a connection is enough for.
func plain(c *Config) bool {
	return c.Kind == TCP && c.Send == "" && c.Expect == "" && !c.TLS.On && !c.Path
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
	due := r.deadlines[0].due
	if r.dialer != nil {
		due = (due + together - 1) / together * together
	}
	return due - time.Since(r.base)
}

// together is how far apart the loop wakes: what is due in between waits for the others, which saves most of the switches
// between threads that a check costs.
const together = 5 * time.Millisecond

// batchMost is how many checks are begun before their results are looked at: so long may the first one's wait.
const batchMost = 16

// roundMost is how many checks of a lane are begun before the loop looks at results, deadlines and what has become due
// meanwhile. Where more is due than this machine can do, all of it waits in the lane then, for its turn. If a round were as
// long as the lane, what became due during one would be left out as late, though it has not had a turn.
const roundMost = 4 * batchMost

// startAll begins checks, and finishes those that have a result at once.
func (r *run) startAll(batch []*entry) {
	for _, e := range batch {
		r.start(e)
	}
	if r.dialer == nil {
		return
	}
	for _, o := range r.dialer.settle() {
		r.finish(o)
	}
}

// start runs one check.
func (r *run) start(e *entry) {
	started := time.Now()
	r.mu.Lock()
	tcp := r.lane(e) == &r.tcp
	e.started = started.Sub(r.base)
	var first Key // of those that it runs for
	if !e.gone() {
		first = e.members[0].key
	}
	if tcp {
		r.deadlines.add(e, e.started+e.config.Timeout)
	}
	r.mu.Unlock()
	source := e.config.Source
	if !source.IsValid() {
		source = r.local.source(e.target.Addr(), e.started, r.changes.Load())
	}
	if tcp {
		if res, done := r.dialer.start(e, source); done {
			r.finish(outcome{entry: e, res: res, end: time.Now()})
		}
		return
	}
	c := e.whole()
	c.Source = source
	probe, err := r.probeOf(first, &c)
	if err != nil {
		r.finish(outcome{entry: e, res: localFault(reasonInvalid, err), end: started})
		return
	}
	r.wg.Go(func() {
		deadline := started.Add(c.Timeout)
		ctx, cancel := context.WithDeadline(r.ctx, deadline)
		defer cancel()
		res := probe(ctx)
		end := time.Now()
		r.report([]outcome{{entry: e, res: judgeLate(res, end.Sub(deadline)), end: end}})
	})
}

func (r *run) probeOf(k Key, c *Config) (Probe, error) {
	if r.probe != nil {
		return r.probe(c), nil
	}
	r.mu.Lock()
	expect, known := r.exprs[c.Expect]
	r.mu.Unlock()
	if known && expect == nil {
		return nil, fmt.Errorf("expect %q: not a regular expression", c.Expect)
	}
	if c.Path {
		return r.viaPath(k, c)
	}
	switch c.Kind {
	case TCP:
		return newTCP(c, expect)
	case HTTP:
		return newHTTP(c, expect)
	case DNS:
		return newDNS(c, expect)
	case GRPC:
		return newGRPC(c)
	case SMTP:
		return newSMTP(c)
	case UDP:
		return newUDP(c, expect)
	case ICMP:
		return r.pinger.newICMP(c)
	case Exec:
		return r.programs.newExec(k, c)
	}
	return nil, fmt.Errorf("kind %d: unknown", c.Kind)
}

// viaPath goes a client's way first, and then asks what is left to ask at the server's own address.
func (r *run) viaPath(k Key, c *Config) (Probe, error) {
	p := pathCheck{config: c, wires: r.wires, changes: r.changes.Load()}
	direct := *c
	direct.Path = false
	if !plain(&direct) {
		then, err := r.probeOf(k, &direct)
		if err != nil {
			return nil, err
		}
		p.then = then
	}
	return p.run, nil
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
	if r.probe == nil {
		o.res = r.local.judge(o.res, e.target.Addr(), e.started, now)
	}
	r.mu.Lock()
	e.running = false
	r.lane(e).running--
	r.deadlines.remove(e)
	if e.gone() {
		r.mu.Unlock()
		return
	}
	fault, was := "", e.fault
	if errors.Is(o.res.Err, ErrLocal) {
		fault = o.res.Reason
	}
	begins, ends := r.setFault(e, fault)
	r.news = r.news[:0]
	for _, m := range e.members {
		change, changed := m.record(o, now, now-e.started)
		r.news = append(r.news, news{m, m.status(now), change, changed})
	}
	e.fresh = false
	r.deadlines.add(e, next(e.started, now, e.phase, e.config, e.pending()))
	key := e.members[0].key
	r.mu.Unlock()

	if begins {
		r.log.Warn("checks cannot run here", "service", key.Service, "server", key.Server, "check", key.Check,
			"reason", fault, "err", o.res.Err)
	}
	if ends {
		r.log.Info("checks run here again", "reason", was)
	}
	for _, n := range r.news {
		r.onResult(n.status, o.res)
		if n.changed {
			r.onChange(n.change)
		}
		r.countFirst(n.member)
	}
}

// countFirst notes for FirstRound that a check has run.
func (r *run) countFirst(m *member) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if m.first {
		m.first = false
		r.first--
		r.checkFirstRound()
	}
}
