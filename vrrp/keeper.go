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
	host Host
	log  *slog.Logger
	wake chan struct{}

	mu    sync.Mutex // guards what follows
	order order
	known bool // an order was given
	seen  keeperCounters

	// Owned by run's goroutine.
	done     order     // as far as it was carried out
	held     []Address // have been installed
	gone     []Address // no longer configured, and still to be removed
	renewed  time.Time
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

func (k *keeper) set(o order) {
	k.mu.Lock()
	k.order, k.known = o, true
	k.mu.Unlock()
	k.poke()
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
	for {
		select {
		case <-k.wake:
		case <-timer.C:
		case <-ctx.Done():
			k.step(k.now())
			return
		}
		k.step(k.now())
		d := k.schedule.Deadline()
		if !k.retry.IsZero() {
			d = earlier(d, k.retry)
		}
		arm(timer, d, k.now())
	}
}

// step brings the host to what the newest order says.
func (k *keeper) step(now time.Time) {
	k.mu.Lock()
	o, known := k.order, k.known
	k.mu.Unlock()
	if !known {
		return
	}
	k.retry, k.tried, k.failed = time.Time{}, false, nil
	defer k.note()
	k.gone = without(append(k.gone, without(k.done.cfg.Addresses, k.gone)...), o.cfg.Addresses)
	if len(k.gone) > 0 && k.attempt(k.host.Release(k.gone)) {
		k.gone = nil
	}
	switch {
	case !o.hold:
		k.schedule.Stop()
		k.done, k.held, k.unsent = o, nil, nil
		k.attempt(k.host.Release(o.cfg.Addresses))
	case now.Sub(o.at) <= o.valid:
		k.hold(now, o)
	default:
		// Held up: what is due may be another's by now. The election, once it is awake, gives a new order.
		k.schedule.Stop()
	}
}

// hold installs or renews the addresses and announces them as is due.
func (k *keeper) hold(now time.Time, o order) {
	missing := k.host.Missing(o.cfg.Addresses)
	begins := o.begin != k.done.begin || o.cfg.Announcements != k.done.cfg.Announcements ||
		!slices.Equal(o.cfg.Addresses, k.done.cfg.Addresses)
	renew := o.cfg.Lease != k.done.cfg.Lease ||
		o.cfg.Lease > 0 && o.at.After(k.done.at) && now.Sub(k.renewed) >= renewEvery
	done, back := o, []Address(nil)
	if begins || renew || len(missing) > 0 {
		if k.attempt(k.host.Hold(o.cfg.Addresses, o.cfg.Lease)) {
			k.renewed = now
		} else { // what could not be renewed is still to be renewed
			done.at, done.cfg.Lease = k.done.at, k.done.cfg.Lease
		}
		still := k.host.Missing(o.cfg.Addresses)
		back, missing = without(missing, still), still
	}
	if !begins {
		k.restored(back)
	}
	if len(missing) == 0 {
		k.held = o.cfg.Addresses
	}
	switch {
	case o.quiet:
		k.schedule.Stop()
	case begins || len(back) > 0:
		k.schedule.Begin(now, o.cfg.Announcements, len(o.cfg.Addresses))
	case o.again != k.done.again:
		k.schedule.Again(now)
	}
	k.done = done
	k.announceUnsent(now, o, missing)
	for _, n := range k.schedule.Tick(now) {
		if a := o.cfg.Addresses[n]; !slices.Contains(missing, a) {
			k.announce(a, o.cfg.Announcements.Format)
		}
	}
}

// restored tells of addresses that someone else had removed; others of those that are back were never there.
func (k *keeper) restored(back []Address) {
	ours := without(back, without(back, k.held))
	if len(ours) == 0 {
		return
	}
	k.log.Warn("address restored", "addresses", fmt.Sprint(ours))
	k.count(func(c *keeperCounters) { c.restored += uint64(len(ours)) })
}

// announceUnsent tries again what could not be announced, without the others: one link's trouble is not another's flood.
func (k *keeper) announceUnsent(now time.Time, o order, missing []Address) {
	if len(k.unsent) == 0 || now.Before(k.resend) {
		return
	}
	unsent := k.unsent
	k.unsent = nil
	for _, a := range without(unsent, missing) {
		if !o.quiet && slices.Contains(o.cfg.Addresses, a) {
			k.announce(a, o.cfg.Announcements.Format)
		}
	}
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

// without returns the addresses of a that b lacks.
func without(a, b []Address) []Address {
	return slices.DeleteFunc(slices.Clone(a), func(x Address) bool { return slices.Contains(b, x) })
}
