// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/holdfast-lb/holdfast/internal/netlab"
)

// begin starts the pair and waits until one is master of everything and quiet.
func (b *bench) begin(ctx context.Context, routers []benchRouter, interval time.Duration) error {
	if err := b.master.start(ctx, b.contender, routers, 200, interval); err != nil {
		return err
	}
	if err := b.masterOf(b.master, routers); err != nil {
		return err
	}
	if err := b.backup.start(ctx, b.contender, routers, 100, interval); err != nil {
		return err
	}
	return pause(ctx, b.settle)
}

// masterOf waits until a host sends adverts of all routers and has announced all addresses.
func (b *bench) masterOf(h *benchHost, routers []benchRouter) error {
	return netlab.Poll(time.Minute, func() error {
		for _, r := range routers {
			if b.wire.of(h.address, r.id).count == 0 {
				return fmt.Errorf("%s is not master of %d: see its log", h.Name, r.id)
			}
			if _, missing := b.wire.announced(r.all()); missing > 0 {
				return fmt.Errorf("%s has not announced %d addresses of %d", h.Name, missing, r.id)
			}
		}
		return nil
	})
}

// fail crashes the master and returns when the last advert of it was seen, and the first and the last of the other one's
// first ones, and the last announcement.
func (b *bench) fail(routers []benchRouter) (last, first, all, announced time.Time, err error) {
	for _, r := range routers {
		if at := b.wire.of(b.master.address, r.id).last; at.After(last) {
			last = at
		}
	}
	b.wire.reset()
	if err = b.master.crash(); err != nil {
		return
	}
	if err = b.masterOf(b.backup, routers); err != nil {
		return
	}
	for _, r := range routers {
		if at := b.wire.of(b.master.address, r.id).last; at.After(last) {
			last = at
		}
		at := b.wire.of(b.backup.address, r.id).first
		if first.IsZero() || at.Before(first) {
			first = at
		}
		if at.After(all) {
			all = at
		}
		if at, _ := b.wire.announced(r.all()); at.After(announced) {
			announced = at
		}
	}
	return
}

// routers measures n virtual routers of one address each.
func (b *bench) routers(ctx context.Context, n int, interval time.Duration) ([]figure, error) {
	routers := make([]benchRouter, n)
	for i := range routers {
		routers[i] = benchRouter{id: i + 1, addresses: block(1, i, 1)}
	}
	if err := b.begin(ctx, routers, interval); err != nil {
		return nil, err
	}
	var figures []figure
	b.wire.reset()
	cpu := func() (c [2]time.Duration, err error) {
		for i, h := range []*benchHost{b.master, b.backup} {
			if c[i], err = h.cpu(); err != nil {
				return c, err
			}
		}
		return c, nil
	}
	before, err := cpu()
	if err != nil {
		return nil, err
	}
	began := time.Now()
	if err := pause(ctx, b.watch); err != nil {
		return nil, err
	}
	after, err := cpu()
	if err != nil {
		return nil, err
	}
	took := time.Since(began)
	missed, longest := 0, time.Duration(0)
	for _, r := range routers {
		s := b.wire.of(b.master.address, r.id)
		missed += max(0, int(s.last.Sub(s.first)/interval)+1-s.count)
		longest = max(longest, s.longest)
	}
	for i, h := range []*benchHost{b.master, b.backup} {
		m, err := h.memory()
		if err != nil {
			return nil, err
		}
		role := []string{"master", "backup"}[i]
		figures = append(figures,
			figure{"CPU of the " + role, "ms/s", (after[i] - before[i]).Seconds() * 1000 / took.Seconds()},
			figure{"memory of the " + role, "MiB", float64(m) / (1 << 20)})
	}
	figures = append(figures, figure{"adverts missed while watched", "", float64(missed)},
		figure{"longest pause between two adverts", "ms", longest.Seconds() * 1000})
	last, _, all, announced, err := b.fail(routers)
	return append(figures,
		figure{"crash: last advert to the last router taken over", "ms", all.Sub(last).Seconds() * 1000},
		figure{"crash: last advert to the last address announced", "ms", announced.Sub(last).Seconds() * 1000}), err
}

// addresses measures one virtual router of many addresses.
func (b *bench) addresses(ctx context.Context, carried, excluded int, interval time.Duration) ([]figure, error) {
	r := benchRouter{id: 51, addresses: block(1, 0, carried), excluded: block(2, 0, excluded)}
	if err := b.begin(ctx, []benchRouter{r}, interval); err != nil {
		return nil, err
	}
	last, first, _, announced, err := b.fail([]benchRouter{r})
	return []figure{
		{"crash: last advert to the first of the new master", "ms", first.Sub(last).Seconds() * 1000},
		{"first advert of the new master to the last address announced", "ms", announced.Sub(first).Seconds() * 1000},
	}, err
}

// block is n addresses in 10.0.net.0/24.
func block(net, from, n int) []netip.Addr {
	list := make([]netip.Addr, n)
	for i := range list {
		list[i] = netip.AddrFrom4([4]byte{10, 0, byte(net), byte(from + i + 1)})
	}
	return list
}
