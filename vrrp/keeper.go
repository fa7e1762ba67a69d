// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"
)

// renewEvery is the least time between two renewals of the lease.
const renewEvery = 500 * time.Millisecond

// order is what the election wants of the addresses: the whole of it, the newest counts.
type order struct {
	cfg   Config
	news  uint64 // how often cfg has changed
	hold  bool
	at    time.Time     // when it was given
	valid time.Duration // after this long nothing may be added on its strength: the process was held up
	begin uint64        // how often the router has become master
	again uint64        // how often its addresses were to be announced once more
	quiet bool          // the addresses are another's to announce
}

// keeper keeps the addresses of one virtual router as the newest order says: installed, renewed, put back when someone
// removed them, announced, or gone.
type keeper struct {
	host  Host
	log   *slog.Logger
	wake  chan struct{}
	pulse pulse

	mu      sync.Mutex // guards what follows
	order   order
	known   bool      // an order was given
	renewed time.Time // of the addresses
	seen    keeperCounters

	// Owned by run's goroutine.
	done     order             // as far as it was carried out
	held     []Address         // have been installed
	gone     []Address         // no longer configured, and still to be removed
	links    map[string]uint64 // Host.Changes of the devices, when their addresses were announced
	routes   routeKeeper
	schedule Schedule
	unsent   []Address // could not be announced
	resend   time.Time // when to try them again
	tried    bool      // something in this step
	failed   []error   // of what was tried in this step
	retry    time.Time // after an error
}

type keeperCounters struct {
	announced, errors, restored uint64
	err                         string
}

func newKeeper(h Host, log *slog.Logger) *keeper {
	return &keeper{host: h, log: log, wake: make(chan struct{}, 1)}
}

// now is the clock of the orders.
func (k *keeper) now() time.Time { return time.Now().Add(k.host.Suspended()) }

func (k *keeper) poke() { poke(k.wake) }

// set gives a new order. One that only confirms the last one wakes nobody up, unless it is time to renew the addresses or
// to look for the routes, of whose end nobody tells.
func (k *keeper) set(o order) {
	k.mu.Lock()
	same := k.known && o.news == k.order.news && o.hold == k.order.hold && o.begin == k.order.begin &&
		o.again == k.order.again && o.quiet == k.order.quiet
	due := o.hold && (len(o.cfg.Routes) > 0 || o.cfg.Lease > 0 && o.at.Sub(k.renewed) >= renewEvery)
	k.order, k.known = o, true
	k.mu.Unlock()
	if !same || due {
		k.poke()
	}
}

func (k *keeper) counters() (announced, errors, restored uint64, err string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.seen.announced, k.seen.errors, k.seen.restored, k.seen.err
}

// run works until ctx ends, and then once more, so that the last order is carried out.
func (k *keeper) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	defer k.pulse.waits(-1)
	for {
		stops := false
		select {
		case <-k.wake:
		case <-timer.C:
		case <-ctx.Done():
			stops = true
		}
		k.pulse.works()
		k.step(k.now())
		if stops {
			return
		}
		d := k.schedule.Deadline()
		if !k.retry.IsZero() {
			d = earlier(d, k.retry)
		}
		k.pulse.waits(arm(timer, d, k.now()))
	}
}

// step brings the host to what the newest order says.
func (k *keeper) step(now time.Time) {
	k.mu.Lock()
	o, known, renewed := k.order, k.known, k.renewed
	k.mu.Unlock()
	if !known {
		return
	}
	k.retry, k.tried, k.failed = time.Time{}, false, nil
	defer k.note()
	all := o.cfg.All()
	k.gone = without(union(k.gone, k.done.cfg.All()), all)
	k.routes.configure(k.done.cfg.Routes, o.cfg.Routes)
	k.releaseRoutes(k.routes.gone)
	if len(k.gone) > 0 && k.attempt(k.host.Release(k.gone)) {
		k.gone = nil
	}
	switch {
	case !o.hold:
		k.silence()
		if !k.routes.clean {
			k.routes.clean = k.releaseRoutes(o.cfg.Routes)
		}
		k.done, k.held = o, nil
		k.attempt(k.host.Release(all))
	case now.Sub(o.at) <= o.valid:
		k.hold(now, o, all, renewed)
	default:
		// Held up: what is due may be another's by now. The election, once it is awake, gives a new order.
		k.silence()
	}
}

// hold installs or renews the addresses, all of them, then the routes, which may need them, and then announces what is
// due. To install an address takes a fraction of the time of its announcements, so that the last one is served no later
// for it, and the first ones would wait for their routes anyhow.
func (k *keeper) hold(now time.Time, o order, all []Address, renewed time.Time) {
	before := k.done.cfg.All()
	missing := k.host.Missing(all)
	begins := o.begin != k.done.begin
	fresh := without(all, before)
	renew := begins || o.cfg.Lease != k.done.cfg.Lease ||
		o.cfg.Lease > 0 && o.at.After(k.done.at) && now.Sub(renewed) >= renewEvery
	done, back := o, []Address(nil)
	want := union(fresh, missing)
	if renew {
		want = all
	}
	if len(want) > 0 {
		switch ok := k.attempt(k.host.Hold(want, o.cfg.Lease)); {
		case !ok: // what could not be renewed is still to be renewed
			done.at, done.cfg.Lease = k.done.at, k.done.cfg.Lease
		case renew:
			k.mu.Lock()
			k.renewed = now
			k.mu.Unlock()
		}
		still := k.host.Missing(all)
		back, missing = without(missing, still), still
	}
	if !begins {
		k.restored(back)
	}
	k.held = intersection(all, union(k.held, without(all, missing)))
	k.holdRoutes(now, o, begins || len(back) > 0)
	k.plan(now, o, all, before, begins, union(fresh, back))
	k.done = done
	for _, n := range k.schedule.Tick(now) {
		if a := all[n]; !slices.Contains(missing, a) {
			k.announce(a, o.cfg.Announcements.Format)
		}
	}
}

// silence ends the announcements.
func (k *keeper) silence() {
	k.schedule.Stop()
	k.unsent = nil
}

// plan brings the schedule of the announcements up to date: all are due on becoming master, some when they are new, were
// restored, or are on a link that came back or has another hardware address.
func (k *keeper) plan(now time.Time, o order, all, before []Address, begins bool, news []Address) {
	if o.quiet {
		k.silence()
		return
	}
	turn := func(n int, now time.Time) time.Time {
		return k.host.Turn(all[n].Device, o.cfg.Announcements.Interval, now)
	}
	changed := k.changedLinks(all)
	if begins || o.cfg.Announcements != k.done.cfg.Announcements || k.schedule.idle() {
		k.unsent = nil
		k.schedule.Begin(now, o.cfg.Announcements, len(all), turn)
		return
	}
	if !slices.Equal(all, before) {
		k.schedule.Move(places(all, before), turn)
	}
	for _, a := range all {
		if changed[a.Device] {
			news = append(news, a)
		}
	}
	k.schedule.Start(now, places(intersection(all, news), all))
	if o.again != k.done.again {
		k.schedule.Again(now)
	}
	if len(k.unsent) > 0 && !now.Before(k.resend) {
		// Without the others: one link's trouble is not another's flood.
		k.schedule.Once(now, places(intersection(all, k.unsent), all))
		k.unsent = nil
	}
}

// changedLinks tells which devices have changed since it was last asked, and could carry announcements.
func (k *keeper) changedLinks(all []Address) map[string]bool {
	links, changed := make(map[string]uint64), make(map[string]bool)
	for _, a := range all {
		if _, known := links[a.Device]; !known {
			now := k.host.Changes(a.Device)
			was, known := k.links[a.Device]
			links[a.Device], changed[a.Device] = now, known && was != now
		}
	}
	k.links = links
	return changed
}

// restored tells of addresses that someone else had removed; others of those that are back were never there.
func (k *keeper) restored(back []Address) {
	ours := intersection(back, k.held)
	if len(ours) == 0 {
		return
	}
	k.log.Warn("address restored", "addresses", fmt.Sprint(ours))
	k.count(func(c *keeperCounters) { c.restored += uint64(len(ours)) })
}

func (k *keeper) announce(a Address, f ARPFormat) {
	if err := k.host.Announce(a, f); err != nil {
		if !slices.Contains(k.unsent, a) {
			k.unsent = append(k.unsent, a)
		}
		k.resend = k.now().Add(retryEvery / 5)
		k.attempt(err)
		return
	}
	k.count(func(c *keeperCounters) { c.announced++ })
}

// attempt takes down how something ended.
func (k *keeper) attempt(err error) (ok bool) {
	k.tried = true
	if err != nil {
		k.failed = append(k.failed, err)
	}
	return err == nil
}

// note makes known how a step ended. What failed is tried again, and logged when it is a new error.
func (k *keeper) note() {
	if len(k.unsent) > 0 {
		k.retry = k.resend
	}
	if !k.tried {
		return
	}
	text := ""
	if err := errors.Join(k.failed...); err != nil {
		text = strings.ReplaceAll(err.Error(), "\n", "; ")
		k.retry = k.now().Add(retryEvery / 5)
	}
	news := false
	k.count(func(c *keeperCounters) {
		c.errors += uint64(len(k.failed))
		news = text != "" && text != c.err
		c.err = text
	})
	if news {
		k.log.Warn("addresses not as wanted", "err", text)
	}
}

func (k *keeper) count(f func(*keeperCounters)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	f(&k.seen)
}

// without returns what is in a and not in b.
func without[T comparable](a, b []T) []T {
	if len(a)*len(b) <= 64 {
		return slices.DeleteFunc(slices.Clone(a), func(x T) bool { return slices.Contains(b, x) })
	}
	is := make(map[T]bool, len(b))
	for _, x := range b {
		is[x] = true
	}
	return slices.DeleteFunc(slices.Clone(a), func(x T) bool { return is[x] })
}

func union[T comparable](a, b []T) []T { return slices.Concat(a, without(b, a)) }

func intersection[T comparable](a, b []T) []T { return without(a, without(a, b)) }

// places tells where each of a is in b; -1: nowhere.
func places(a, b []Address) []int {
	at := make(map[Address]int, len(b))
	for i, x := range b {
		at[x] = i
	}
	list := make([]int, len(a))
	for i, x := range a {
		list[i] = -1
		if n, ok := at[x]; ok {
			list[i] = n
		}
	}
	return list
}
