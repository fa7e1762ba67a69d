// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"slices"
	"syscall"
	"time"

	"github.com/holdfast-lb/holdfast/internal/drill"
)

// A scenario injects one fault, and what mends it, into a pair that is well, and reports a row for each.
type scenario struct {
	setup string
	name  string
	says  string // for --list
	run   func(context.Context, *pair, rows) error
}

func (s scenario) id() string { return s.setup + "/" + s.name }

// rows takes the result of one trial.
type rows func(title string, o *outcome, err error, bounds ...bound) error

// scenarios in the order of the demo.
var scenarios = []scenario{
	{"dr", "quiet", "nothing happens", quiet},
	{"dr", "server", "a real server's health fails, and returns", serverFails},
	{"dr", "stop", "the master is stopped, and started again", plannedStop},
	{"dr", "cut", "the master's switch port is cut, and put back at several phases of the adverts", portCut(3800*time.Millisecond, nil, []float64{.1, .45, .8})},
	{"dr", "kill", "every process of the master is killed", kill},
	{"dr", "hang", "the master is suspended for 10 s", hang},
	{"dr", "restart", "the director is killed and started again at once", restart},
	{"dr", "reload", "one weight is changed", reloadWeight},
	{"dr", "mh", "planned stop with a scheduler that chooses alike on both directors", maglevStop},
	{"dr100", "quiet", "nothing happens", quiet},
	{"dr100", "cut", "the master's switch port is cut, and put back at several phases of the adverts", portCut(450*time.Millisecond, []float64{0, .2, .4, .6, .8}, []float64{.5})},
	{"dr100", "stop", "the master is stopped, and started again", plannedStop},
	{"nat", "quiet", "nothing happens", quiet},
	{"nat", "server", "a real server's health fails, and returns", serverFails},
	{"nat", "stop", "the master is stopped, and started again", plannedStop},
	{"nat", "cut", "both of the master's switch ports are cut, and put back", portCut(3800*time.Millisecond, nil, []float64{.3, .7})},
	{"nat", "kill", "every process of the master is killed", kill},
	{"drsync", "stop", "the master is stopped, and started again, while connections are held", plannedStop},
	{"natsync", "kill", "every process of the master is killed, while connections are held", kill},
}

// more scenarios, which are run when asked for: each waits for connection sync to warm up.
var more = []scenario{
	{"drsync", "cut", "the master's switch port is cut, and put back, while connections are held", portCut(3800*time.Millisecond, nil, []float64{.45})},
	{"drsync", "kill", "every process of the master is killed, while connections are held", kill},
	{"natsync", "stop", "the master is stopped, and started again, while connections are held", plannedStop},
	{"natsync", "cut", "both of the master's switch ports are cut, and put back, while connections are held", portCut(3800*time.Millisecond, nil, []float64{.45})},
}

func quiet(ctx context.Context, p *pair, report rows) error {
	o, err := p.measure(ctx, func() error { return pause(ctx, 3*time.Second) })
	return report("quiet", o, err, atMost("lost", o.Lost, 0))
}

func serverFails(ctx context.Context, p *pair, report rows) error {
	const name = "web2"
	server := p.web[1]
	var failed, out, mended time.Time
	o, err := p.measure(ctx, func() error {
		failed = time.Now()
		server.sick.Store(true)
		if err := p.await(ctx, 15*time.Second, p.serverState(0, name, "down")); err != nil {
			return err
		}
		out = time.Now().Add(100 * time.Millisecond) // the table follows the verdict
		if err := pause(ctx, time.Second); err != nil {
			return err
		}
		mended = time.Now()
		server.sick.Store(false)
		return p.await(ctx, 15*time.Second, p.serverState(0, name, "up"))
	})
	if err != nil {
		return report("server fails and returns", o, err)
	}
	back := drill.FirstFrom(o.Samples, name, mended)
	if back.IsZero() {
		return report("server fails and returns", o, fmt.Errorf("%s got no request after it had come back", name))
	}
	// The first passed check may come at once, the last one that makes it up not before rise-1 intervals have gone.
	returned := within("back after", back.Sub(mended), checkRise*checkInterval+200*time.Millisecond)
	returned.Least = ((checkRise - 1) * checkInterval).Seconds()
	return report("server fails and returns", o, nil,
		atMost("lost", o.Lost, 0),
		within("out after", drill.LastFrom(drill.Between(o.Samples, failed, out), name).Sub(failed), checkFall*checkInterval+checkTimeout),
		returned,
		atMost("sent to it while out", drill.Summarize(drill.Between(o.Samples, out, mended)).Servers[name], 0))
}

// plannedStop stops the master and starts it again. A request in flight may be lost.
func plannedStop(ctx context.Context, p *pair, report rows) error {
	o, err := p.stop(ctx)
	if err := report("planned stop of the master", o, err, atMost("lost", o.Lost, 2)); err != nil {
		return err
	}
	o, err = p.failBack(ctx)
	return report("planned fail-back", o, err, atMost("lost", o.Lost, 2))
}

// stop measures a planned stop of lb1.
func (p *pair) stop(ctx context.Context) (*outcome, error) {
	return p.measure(ctx, func() error {
		if err := p.directors[0].signal(syscall.SIGTERM); err != nil {
			return err
		}
		if err := p.directors[0].ended(ctx, 15*time.Second); err != nil {
			return err
		}
		return p.await(ctx, 15*time.Second, p.master(1))
	})
}

// failBack measures a start of lb1 until it is master again.
func (p *pair) failBack(ctx context.Context) (*outcome, error) {
	return p.measure(ctx, func() error {
		if err := p.directors[0].start(ctx, p.binary); err != nil {
			return err
		}
		return p.await(ctx, 30*time.Second, p.master(0))
	})
}

// portCut cuts lb1 off and puts it back: soon, and when its checks have taken all its real servers out, each time at
// these parts of the interval after an advert of lb2.
func portCut(gap time.Duration, soon, late []float64) func(context.Context, *pair, rows) error {
	return func(ctx context.Context, p *pair, report rows) error {
		o, err := p.measure(ctx, func() error { return p.cut(ctx) })
		if err := report("switch port cut", o, err, within("gap", o.LongestGap, gap)); err != nil {
			return err
		}
		for i, phase := range append(slices.Clone(soon), late...) {
			if i > 0 {
				if err := p.cut(ctx); err != nil {
					return err
				}
			}
			title := fmt.Sprintf("port back, %.0f %% after an advert", phase*100)
			if i >= len(soon) {
				title = fmt.Sprintf("port back late, %.0f %% after it", phase*100)
				if err := p.await(ctx, 15*time.Second, p.serverState(0, "", "down")); err != nil {
					return err
				}
			}
			o, err := p.measure(ctx, func() error { return p.putBack(ctx, phase) })
			if err := report(title, o, err, within("gap", o.LongestGap, p.interval+200*time.Millisecond)); err != nil {
				return err
			}
		}
		return nil
	}
}

// cut cuts all ports of lb1, as a dead switch does, and waits until lb2 is master. It cuts right after an advert, when
// the longest wait is still to come.
func (p *pair) cut(ctx context.Context) error {
	if err := p.pauseUntil(ctx, p.directors[0], .05); err != nil {
		return err
	}
	for _, port := range p.directors[0].ports {
		if err := port.Cut(); err != nil {
			return err
		}
	}
	return p.await(ctx, 15*time.Second, func(ctx context.Context) error { return p.directors[1].is(ctx, "master") })
}

// pauseUntil waits until that part of the interval has gone since an advert of the director, which is master: it sends
// its first advert at once, and then one each interval.
func (p *pair) pauseUntil(ctx context.Context, d *directorHost, phase float64) error {
	s, err := d.api().Status(ctx)
	if err != nil {
		return err
	}
	since := time.Since(s.VirtualRouters[0].Since)
	return pause(ctx, p.interval-since%p.interval+time.Duration(phase*float64(p.interval)))
}

// putBack heals the ports of lb1 at that part of the interval after an advert of lb2, and waits until lb1 alone is master.
func (p *pair) putBack(ctx context.Context, phase float64) error {
	if err := p.pauseUntil(ctx, p.directors[1], phase); err != nil {
		return err
	}
	for _, port := range p.directors[0].ports {
		if err := port.Heal(); err != nil {
			return err
		}
	}
	return p.await(ctx, 30*time.Second, p.master(0))
}

// kill kills every process of lb1. Its kernel goes on forwarding, so clients notice only the hand-over.
func kill(ctx context.Context, p *pair, report rows) error {
	var killed time.Time
	o, err := p.measure(ctx, func() error {
		killed = time.Now()
		if err := p.directors[0].host.Signal(syscall.SIGKILL); err != nil {
			return err
		}
		return p.await(ctx, 15*time.Second, p.master(1))
	})
	if err := report("master killed", o, err, atMost("lost", o.Lost, 2), p.gone(o, killed)); err != nil {
		return err
	}
	o, err = p.failBack(ctx)
	return report("killed master started again", o, err, atMost("lost", o.Lost, 2))
}

// gone bounds the time that lb1 still held the address after it had died.
func (p *pair) gone(o *outcome, died time.Time) bound {
	at := drill.LetGo(o.spans(died), p.directors[0].name)
	if at.IsZero() {
		at = time.Now() // not yet
	}
	return within("address gone after", at.Sub(died), p.lease()+500*time.Millisecond)
}

func hang(ctx context.Context, p *pair, report rows) error {
	var stopped, resumed time.Time
	o, err := p.measure(ctx, func() error {
		stopped = time.Now()
		if err := p.directors[0].host.Signal(syscall.SIGSTOP); err != nil {
			return err
		}
		if err := pause(ctx, 10*time.Second); err != nil {
			return err
		}
		resumed = time.Now()
		if err := p.directors[0].host.Signal(syscall.SIGCONT); err != nil {
			return err
		}
		return p.await(ctx, 30*time.Second, p.master(0))
	})
	return report("master hangs 10 s and resumes", o, err,
		atMost("lost", o.Lost, 5), p.gone(o, stopped),
		within("two holders after it", drill.Shared(o.spans(resumed)), p.interval+300*time.Millisecond))
}

// restart kills the director and starts it again within the lease.
func restart(ctx context.Context, p *pair, report rows) error {
	const toMaster = `to="master"`
	lb1, lb2 := p.directors[0], p.directors[1]
	taken, err := lb2.metric(ctx, "holdfast_virtual_router_transitions_total", toMaster)
	if err != nil {
		return err
	}
	var operations, took float64
	o, err := p.measure(ctx, func() error {
		before, err := p.connectionsOver(ctx, 0)
		if err != nil {
			return err
		}
		if err := lb1.host.Signal(syscall.SIGKILL); err != nil {
			return err
		}
		if err := lb1.ended(ctx, 5*time.Second); err != nil {
			return err
		}
		if err := lb1.start(ctx, p.binary); err != nil {
			return err
		}
		if err := p.await(ctx, 15*time.Second, p.master(0), ready(lb1)); err != nil {
			return err
		}
		if err := pause(ctx, p.masterDown()); err != nil { // in which the other one would have taken over
			return err
		}
		if operations, err = lb1.metric(ctx, "holdfast_ipvs_operations_total", ""); err != nil {
			return err
		}
		if took, err = lb2.metric(ctx, "holdfast_virtual_router_transitions_total", toMaster); err != nil {
			return err
		}
		_, err = p.connectionsOver(ctx, before) // they go on, and do not begin anew
		return err
	})
	return report("kill -9 and restart in the lease", o, err,
		atMost("lost", o.Lost, 0),
		atMost("operations on IPVS", int(operations), 0),
		atMost("times the other one was master", int(took-taken), 0),
		within("time without the address", drill.Without(o.spans(time.Time{}), lb1.name), 0))
}

// ready holds when the director's first round of checks is done.
func ready(d *directorHost) condition {
	return func(ctx context.Context) error {
		s, err := d.api().Status(ctx)
		if err == nil && !s.Ready {
			err = fmt.Errorf("%s is not ready", d.name)
		}
		return err
	}
}

// reloadWeight changes the weight of one real server.
func reloadWeight(ctx context.Context, p *pair, report rows) error {
	const metric = "holdfast_ipvs_operations_total"
	before, err := p.directors[0].metric(ctx, metric, "")
	if err != nil {
		return err
	}
	var after float64
	o, err := p.measure(ctx, func() error {
		changed := defaultOptions
		changed.weights[0] = 3
		if err := p.reload(ctx, changed); err != nil {
			return err
		}
		return p.await(ctx, 5*time.Second, func(ctx context.Context) error {
			after, err = p.directors[0].metric(ctx, metric, "")
			if err == nil && after == before {
				err = fmt.Errorf("no operation yet")
			}
			return err
		})
	})
	if err == nil {
		after, err = p.directors[0].metric(ctx, metric, "") // once more, after the lead-out
	}
	return report("reload that changes one weight", o, err,
		atMost("lost", o.Lost, 0), exactly("operations on IPVS", int(after-before), 1))
}

// maglevStop is the planned stop with mh, which chooses the same server for the same client on both directors, and
// sloppy_tcp, which holdfast sets then, and which lets the new master take up connections whose first packet it has not seen.
func maglevStop(ctx context.Context, p *pair, report rows) error {
	mh := defaultOptions
	mh.scheduler, mh.flags = "mh", []string{"mh-port"}
	if err := p.reload(ctx, mh); err != nil {
		return err
	}
	if err := pause(ctx, time.Second); err != nil { // both tables follow
		return err
	}
	o, err := p.stop(ctx)
	if err := report("planned stop, mh and sloppy_tcp", o, err, atMost("lost", o.Lost, 0)); err != nil {
		return err
	}
	o, err = p.failBack(ctx)
	return report("fail-back, mh and sloppy_tcp", o, err, atMost("lost", o.Lost, 0))
}
