// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"maps"
	"time"
)

// subjects are all there are, in the order of the page.
func subjects() []subject {
	return []subject{
		failoverSubject("failover-1s", "Failover, adverts each 1 s", time.Second),
		failoverSubject("failover-100ms", "Failover, adverts each 100 ms", 100*time.Millisecond),
		failoverSubject("failover-10ms", "Failover, adverts each 10 ms", 10*time.Millisecond),
		{
			name: "routers", title: "200 virtual routers, adverts each 100 ms",
			measure: onHosts(func(ctx context.Context, b *bench) ([]figure, error) {
				return b.routers(ctx, 200, 100*time.Millisecond)
			}),
			aims: map[string]aim{
				"CPU of the master": {ratio: 1}, "CPU of the backup": {ratio: 1},
				"memory of the master": {ratio: 2.5}, "memory of the backup": {ratio: 2.5},
				"crash: last advert to the last router taken over": {ratio: 1, slack: aWatch},
				"crash: last advert to the last address announced": {ratio: 1, slack: aWatch},
			},
		},
		{
			name: "addresses", title: "One virtual router, 255 addresses and 245 excluded ones, adverts each 100 ms",
			measure: onHosts(func(ctx context.Context, b *bench) ([]figure, error) {
				return b.addresses(ctx, 255, 245, 100*time.Millisecond)
			}),
			aims: map[string]aim{"crash: last advert to the first of the new master": {ratio: 1, slack: aWatch}},
		},
		{
			name: "checks", title: "10,000 TCP checks each 5 s, of 1,000 addresses with 10 ports", alone: true,
			measure: onHosts(func(ctx context.Context, b *bench) ([]figure, error) {
				return b.checksNative(ctx, fleet{10_000, 5 * time.Second})
			}),
		},
		fleetSubject("checks-kernel", "1,000 TCP checks each 1 s", fleet{1000, time.Second}),
		fleetSubject("checks-kernel-5000", "5,000 TCP checks each 5 s", fleet{5000, 5 * time.Second}),
		gridSubject("table", "50 services with 5,000 real servers, unchecked", grid{50, 100}),
		gridSubject("table-40000", "2,000 services with 40,000 real servers, unchecked", grid{2000, 20}),
	}
}

// aWatch is how exactly a capture tells times, in milliseconds.
const aWatch = 5

// onHosts makes a measurement of a subject that has two hosts of its own.
func onHosts(measure func(context.Context, *bench) ([]figure, error)) func(context.Context, *bench) ([]figure, error) {
	return func(ctx context.Context, b *bench) ([]figure, error) {
		return b.onHosts(ctx, func(ctx context.Context) ([]figure, error) { return measure(ctx, b) })
	}
}

func failoverSubject(name, title string, interval time.Duration) subject {
	s := subject{name: name, title: title, asked: true, aims: failoverAims()}
	s.measure = func(ctx context.Context, b *bench) ([]figure, error) { return b.failover(ctx, interval, true) }
	s.note = "A pair balances three servers by DR, with an HTTP check each second; a client opens a connection every 10 ms and gives it " +
		"up after 200 ms. A gap of 10 to 30 ms is none. Cut is the switch port of the master, at another part of the advert " +
		"interval in each round, and put back when it has found all its servers down."
	return s
}

var reloadAims = map[string]aim{reloadOne: {ratio: .6}, reloadTenth: {ratio: .6}, reloadNothing: {ratio: .6}}

func fleetSubject(name, title string, f fleet) subject {
	s := subject{name: name, title: title, asked: true, aims: map[string]aim{
		"CPU": {ratio: 1}, "memory": {ratio: 2.5}, allDead: {ratio: 1}, allBack: {ratio: .7},
	}}
	maps.Copy(s.aims, reloadAims)
	delete(s.aims, reloadNothing) // which the checks hide
	s.measure = onHosts(func(ctx context.Context, b *bench) ([]figure, error) { return b.checksKernel(ctx, f) })
	return s
}

func gridSubject(name, title string, g grid) subject {
	s := subject{name: name, title: title, asked: true, aims: maps.Clone(reloadAims)}
	s.aims["memory"] = aim{ratio: 2.5}
	s.measure = onHosts(func(ctx context.Context, b *bench) ([]figure, error) { return b.table(ctx, g) })
	s.note = "A reload without a change ends when the program has been idle for half a second: the kernel's table does not tell."
	return s
}
