// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/internal/director"
	"github.com/holdfast-lb/holdfast/internal/drill"
	"github.com/holdfast-lb/holdfast/internal/netlab"
)

// failoverPair is a pair whose directors choose the same server for the same client, so that a packet may come to either.
func failoverPair(t *testing.T) *pair {
	t.Helper()
	t.Setenv(asHoldfast, "1")
	self, err := os.Executable()
	must(t, err)
	s := *setups[0] // DR, adverts each second
	p, err := newPair(t.Context(), &s, self, t.TempDir())
	must(t, err)
	t.Cleanup(func() {
		must(t, p.close())
		for _, d := range p.directors {
			if t.Failed() {
				t.Logf("%s:\n%s", d.name, d.lastLines(40))
			}
		}
	})
	mh := defaultOptions
	mh.scheduler, mh.flags = "mh", []string{"mh-port"}
	must(t, p.configure(t.Context(), mh))
	for _, d := range p.directors {
		must(t, d.start(t.Context(), p.binary))
	}
	must(t, p.await(t.Context(), settleWithin, p.master(0), p.serverState(0, "", "up"), p.serverState(1, "", "up")))
	return p
}

// lost does something while a client opens a new connection each 20 ms, and says how many came to nothing. A connection is
// waited for as long as a busy machine needs, and not so long that a lost SYN is sent again. Where the client itself was held
// up, what it lost says nothing.
func (p *pair) lost(t *testing.T, what string, do func() error) {
	t.Helper()
	var samples []drill.Sample
	load := drill.Load{
		Target: netip.AddrPortFrom(p.vip, 80), Interval: 20 * time.Millisecond, Timeout: 900 * time.Millisecond,
		ServerHeader: serverHeader, Within: p.client.Do,
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := load.Run(ctx, func(s drill.Sample) { samples = append(samples, s) }); err != nil {
			t.Error(err)
		}
	})
	err := pause(ctx, leadIn)
	if err == nil {
		err = do()
	}
	_ = pause(ctx, leadOut)
	stop()
	wg.Wait()
	must(t, err)
	r := drill.Summarize(samples)
	t.Logf("%s: %d requests, %d lost, longest gap %v, client late by up to %v", what, r.Requests, r.Lost,
		r.LongestGap.Round(time.Millisecond), r.Late.Round(time.Millisecond))
	if r.Requests == 0 || r.Lost > 0 && r.Late < busyFrom {
		t.Errorf("%s: %+v", what, r)
	}
}

// result says that all virtual routers have ended an order like this.
func result(f director.Failover, err error, want string) error {
	if err == nil && (len(f.Routers) != 1 || f.Routers[0].Result != want) {
		err = fmt.Errorf("got %+v, want %s", f.Routers, want)
	}
	return err
}

// TestFailoverLosesNothing: not on a failover and not on the return, not over a restart meanwhile, and not if nobody takes
// the role.
func TestFailoverLosesNothing(t *testing.T) {
	netlab.RequireIPVS(t)
	p := failoverPair(t)
	ctx, lb1 := t.Context(), p.directors[0].api()
	steppedDown := func(is bool) condition {
		return func(ctx context.Context) error {
			s, err := lb1.Status(ctx)
			if err == nil && (s.VirtualRouters[0].SteppedDown != nil) != is {
				err = fmt.Errorf("stepped down: %+v", s.VirtualRouters[0].SteppedDown)
			}
			return err
		}
	}
	p.lost(t, "failover", func() error {
		f, err := lb1.Failover(ctx, nil, 0)
		if err = result(f, err, "handed_over"); err != nil {
			return err
		}
		t.Logf("handed over in %.3f s", f.Routers[0].Seconds)
		return p.await(ctx, settleWithin, p.master(1), steppedDown(true))
	})
	p.lost(t, "SIGKILL and a start while stepped down", func() error {
		if err := p.directors[0].signal(syscall.SIGKILL); err != nil {
			return err
		}
		if err := p.directors[0].ended(ctx, settleWithin); err != nil {
			return err
		}
		if err := p.directors[0].start(ctx, p.binary); err != nil {
			return err
		}
		return p.await(ctx, settleWithin, p.serverState(0, "", "up"), p.master(1), steppedDown(true))
	})
	p.lost(t, "return", func() error {
		f, err := lb1.Return(ctx, nil)
		if err = result(f, err, "returned"); err != nil {
			return err
		}
		return p.await(ctx, settleWithin, p.master(0), steppedDown(false))
	})
	p.lost(t, "failover for 3 s", func() error {
		f, err := lb1.Failover(ctx, nil, 3*time.Second)
		if err = result(f, err, "handed_over"); err != nil {
			return err
		}
		return p.await(ctx, settleWithin, p.master(0), steppedDown(false))
	})
	must(t, p.directors[1].signal(syscall.SIGTERM))
	must(t, p.directors[1].ended(ctx, settleWithin))
	p.lost(t, "failover that nobody takes", func() error {
		f, err := lb1.Failover(ctx, nil, 0)
		if err = result(f, err, "not_taken"); err != nil {
			return err
		}
		return p.await(ctx, settleWithin, p.master(0), steppedDown(false))
	})
}
