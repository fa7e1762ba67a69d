// SPDX-License-Identifier: Apache-2.0

package drill

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/holdfast-lb/holdfast/internal/director"
)

// A Director is the one to drill. director.Client is one.
type Director interface {
	Status(context.Context) (director.Status, error)
	Failover(ctx context.Context, routers []string, returnAfter time.Duration) (director.Failover, error)
	Return(ctx context.Context, routers []string) (director.Failover, error)
}

// Clients make the load. A Trial is some.
type Clients interface {
	Run(context.Context, func(context.Context, SoFar) error) (Outcome, error)
}

const (
	// returnMargin is how much later than planned the director returns by itself, if the drill was killed.
	returnMargin = time.Minute
	// orderPatience is how long a director may take to confirm a return.
	orderPatience = 30 * time.Second

	lookAtOther  = time.Second            // each, while the other director serves
	lookAtReturn = 100 * time.Millisecond // each, while the role comes back
)

// A Drill is a failover drill on a running pair, from the director that is master.
type Drill struct {
	Options
	Director Director
	Clients  func(Target) Clients
	Local    []netip.Addr                                 // addresses of this host
	Reach    func(context.Context, netip.Addr) error      // tries whether a host is there; nil: that is not tried
	Ready    func(context.Context) (what string, _ error) // asks the other director whether it is ready; nil: it is not asked
	Say      func(format string, args ...any)             // tells how far it is
}

// Run drills. When ctx ends the director is told to return, at once, and Run waits for that; it gives up when force ends,
// and the result says what is left to do by hand. Whatever fails is in the result.
func (d Drill) Run(ctx, force context.Context) Result {
	r := &run{Drill: d, force: force, result: Result{Started: time.Now().UTC(), Routers: []string{}, Checks: []Check{}, Bounds: []Check{}}}
	plan := r.prepare(ctx)
	if d.Try || anyFailed(r.result.Checks) || ctx.Err() != nil {
		return r.end(ctx)
	}
	d.Say("%s", r.intent(plan))
	if plan.Target == nil {
		_ = r.steps(ctx, nil) // fails for the load only
		return r.end(ctx)
	}
	o, err := d.Clients(*plan.Target).Run(ctx, r.steps)
	if err != nil && ctx.Err() == nil {
		r.loadFailed(err)
	}
	r.result.measured(*plan.Target, o, r.ordered, r.returned)
	if !r.ordered.IsZero() {
		r.result.Bounds = append(r.result.Bounds, d.Bounds.judge(o)...)
	}
	return r.end(ctx)
}

// run is a drill that goes on.
type run struct {
	Drill
	force    context.Context
	result   Result
	ordered  time.Time // when the director was told to step down; zero: it was not
	returned time.Time // and when to return
}

func (r *run) bound(c Check) {
	r.result.Bounds = append(r.result.Bounds, c)
	r.Say("%s: %s: %s", c.Verdict, c.Name, c.Text)
}

// loadFailed notes that there could be no load any more.
func (r *run) loadFailed(err error) {
	c := failed("load", "%v", err)
	if r.ordered.IsZero() {
		r.result.Checks = append(r.result.Checks, c)
		return
	}
	r.bound(c)
}

// prepare makes the checks before the drill.
func (r *run) prepare(ctx context.Context) Plan {
	s, err := r.Director.Status(ctx)
	if err != nil {
		r.result.Checks = append(r.result.Checks, failed("director", "%v", err))
		return Plan{}
	}
	r.result.Director = s.Name
	p := Prepare(s, time.Now(), r.Local, r.Options)
	r.result.Routers = append(r.result.Routers, p.Routers...)
	for _, peer := range p.Peers {
		if r.Reach != nil {
			p.Checks = append(p.Checks, reached(peer, r.Reach(ctx, peer)))
		}
	}
	if r.Ready != nil {
		const name = "readiness of the peer"
		if what, err := r.Ready(ctx); err != nil {
			p.Checks = append(p.Checks, failed(name, "%v", err))
		} else {
			p.Checks = append(p.Checks, passed(name, "%s", what))
		}
	}
	r.result.Checks = append(r.result.Checks, p.Checks...)
	return p
}

// reached judges an attempt to reach the host of another director.
func reached(peer netip.Addr, err error) Check {
	name := "host " + peer.String()
	switch {
	case err == nil, errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ECONNRESET):
		return passed(name, "is there")
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return failed(name, "no such host answers: %v; nobody could take over", err)
	}
	return warning(name, "not known whether it is there, a firewall may be in the way: %v", err)
}

// intent says what the drill is about to do.
func (r *run) intent(p Plan) string {
	text := "drill of " + strings.Join(p.Routers, ", ") + " on " + r.result.Director + ": "
	if p.Target != nil {
		text += p.Target.String() + " from this host, "
	} else {
		text += "no load from this host, "
	}
	if r.Stay {
		return text + fmt.Sprintf("hand over, look for %s, and leave it so", r.For)
	}
	return text + fmt.Sprintf("hand over, return after %s", r.For)
}

// steps is the drill itself. soFar is nil without load.
func (r *run) steps(ctx context.Context, soFar SoFar) error {
	if soFar != nil {
		c := loadCheck(Summarize(soFar()))
		if r.result.Checks = append(r.result.Checks, c); c.Verdict == Failed {
			return nil
		}
	}
	taken := r.stepDown(ctx)
	if taken {
		r.watch(ctx)
	}
	// Also what was not taken: of several virtual routers some may have been.
	if !taken || !r.Stay {
		r.giveBack(taken)
	}
	return nil
}

// loadCheck judges the requests before anything was done.
func loadCheck(before Report) Check {
	const name = "load"
	switch {
	case before.Requests == 0:
		return failed(name, "no request has ended before the drill: nothing was done")
	case before.Lost > 0:
		return failed(name, "%d of %d requests were lost before anything was done (%s): nothing was done; look at the target, and at the way there",
			before.Lost, before.Requests, Counts(before.Errors))
	}
	return passed(name, "all of %d requests answered before the drill", before.Requests)
}

// stepDown reports whether other directors have taken over all that was handed over. An order that has been given is
// waited for, also when ctx ends: what to do next depends on how it ends.
func (r *run) stepDown(ctx context.Context) bool {
	after := r.For + returnMargin
	if r.Stay {
		after = 0
	}
	order, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(r.force, cancel)()
	r.ordered = time.Now()
	r.Say("stepping down")
	answer, err := r.Director.Failover(order, r.result.Routers, after)
	r.result.HandOver = answer.Routers
	const name = "handed over"
	if err != nil {
		r.bound(failed(name, "%v", err))
		return false
	}
	var took time.Duration
	var masters, bad []string
	for _, f := range answer.Routers {
		took = max(took, time.Duration(f.Seconds*float64(time.Second)))
		if f.Result != "handed_over" {
			bad = append(bad, fmt.Sprintf("%s: %s", f.Router, cause(f)))
		} else if !slices.Contains(masters, f.Master) {
			masters = append(masters, f.Master)
		}
	}
	if len(bad) > 0 {
		r.bound(failed(name, "%s; what nobody takes over stays here", strings.Join(bad, ", ")))
		return false
	}
	r.result.HandOverSeconds = took.Seconds()
	r.bound(passed(name, "to %s in %s", strings.Join(masters, ", "), figure(took)))
	return true
}

func cause(f director.RouterFailover) string {
	if f.Error != "" {
		return f.Error
	}
	return strings.ReplaceAll(f.Result, "_", " ")
}

// watch looks on while the other director serves: until the time is over, ctx ends, or the role is back here.
func (r *run) watch(ctx context.Context) {
	const name = "kept by the other director"
	begin := time.Now()
	for left := r.For; left > 0; left = r.For - time.Since(begin) {
		if err := pause(ctx, min(left, lookAtOther)); err != nil {
			r.bound(skipped(name, "given up after %s: %v", figure(time.Since(begin)), err))
			return
		}
		if back := r.masterOf(ctx); len(back) > 0 {
			r.bound(failed(name, "%s is back here after %s: the other director serves no more", strings.Join(back, ", "), figure(time.Since(begin))))
			return
		}
	}
	r.bound(passed(name, "for %s", figure(r.For)))
}

// masterOf returns those virtual routers of the drill that the director is master of, as far as it says so.
func (r *run) masterOf(ctx context.Context) []string {
	var list []string
	s, err := r.Director.Status(ctx)
	if err != nil {
		return nil
	}
	for _, vr := range s.VirtualRouters {
		for _, name := range r.result.Routers {
			if vr.Name == name && vr.State == "master" {
				list = append(list, name)
			}
		}
	}
	return list
}

// giveBack tells the director to return, and waits until it has.
func (r *run) giveBack(taken bool) {
	r.returned = time.Now()
	order, cancel := context.WithTimeout(r.force, orderPatience)
	defer cancel()
	if taken {
		r.Say("returning")
	}
	const name = "returned"
	answer, err := r.Director.Return(order, r.result.Routers)
	if err != nil {
		if len(r.masterOf(order)) < len(r.result.Routers) {
			r.bound(failed(name, "%v", err))
			r.result.ByHand = "on " + r.result.Director + ": holdfast failover --return " + strings.Join(r.result.Routers, " ")
			if !r.Stay {
				r.result.ByHand += fmt.Sprintf("; if it runs, it returns by itself at %s", r.ordered.Add(r.For+returnMargin).UTC().Format("15:04:05 MST"))
			}
		}
		return
	}
	if !taken {
		return // it is master, or an order of its own that is not over is so no more
	}
	for _, f := range answer.Routers {
		if !f.Returns {
			r.bound(warning(name, "the order is over, but %s %s", f.Router, f.Outlook))
			return
		}
	}
	r.await(name)
}

// await waits until the director is master again.
func (r *run) await(name string) {
	ctx, cancel := context.WithTimeout(r.force, r.ReturnWithin)
	defer cancel()
	for len(r.masterOf(ctx)) < len(r.result.Routers) {
		if pause(ctx, lookAtReturn) != nil {
			r.bound(failed(name, "not master again within %s; holdfast explain router %s says why", figure(time.Since(r.returned)), r.result.Routers[0]))
			return
		}
	}
	took := time.Since(r.returned)
	r.result.ReturnSeconds = took.Seconds()
	r.bound(passed(name, "master again after %s", figure(took)))
}

// end draws up the result.
func (r *run) end(ctx context.Context) Result {
	res := r.result
	res.Seconds = time.Since(res.Started).Seconds()
	res.Tried = r.Try
	if res.Interrupted = ctx.Err() != nil; res.Interrupted {
		res.Bounds = append(res.Bounds, failed("completed", "the drill was interrupted"))
	}
	res.Verdict = Passed
	if anyFailed(res.Checks) || anyFailed(res.Bounds) {
		res.Verdict = Failed
	}
	return res
}

// OnlyLoad is the part of the clients alone: load for a time, or until ctx ends, held against the bounds.
func OnlyLoad(ctx context.Context, c Clients, t Target, last time.Duration, b Bounds) Result {
	r := &run{Drill: Drill{Say: func(string, ...any) {}}, result: Result{Started: time.Now().UTC(), Routers: []string{}, Checks: []Check{}, Bounds: []Check{}}}
	o, err := c.Run(ctx, func(ctx context.Context, _ SoFar) error { return pause(ctx, last) })
	if err != nil && ctx.Err() == nil {
		r.bound(failed("load", "%v", err))
	}
	r.result.measured(t, o, time.Time{}, time.Time{})
	r.result.Bounds = append(r.result.Bounds, b.judge(o)...)
	return r.end(context.WithoutCancel(ctx))
}
