// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestDeletedAddressIsRestoredAndAnnounced(t *testing.T) {
	test(t, func(t *testing.T, w *world) {
		c := config()
		c.Addresses = []Address{vip(100), vip(101)}
		r := w.master(c)
		w.until(3500 * ms)
		w.change(func() { delete(w.have, vip(101)) })
		w.wrote("3.5s hold[.101] for 0s", "3.5s announce[.101]")
		if s := r.Status(); s.Restored != 1 || s.State != Master || s.Sent != 1 {
			t.Errorf("got %+v", s)
		}
	})
}

func TestLeaseIsRenewedWithTheAdverts(t *testing.T) {
	tests := []struct {
		interval time.Duration
		want     []string
	}{
		{time.Second, []string{"10s", "11s", "12s"}},
		{100 * ms, []string{"10.1s", "10.6s", "11.1s", "11.6s"}}, // no more often than need be
	}
	for _, tt := range tests {
		test(t, func(t *testing.T, w *world) {
			c := config()
			c.Interval, c.Lease = tt.interval, 3*time.Second
			c.Announcements.Refresh = 170 * ms // what else the keeper wakes up for renews nothing
			w.have[vip(100)] = time.Minute
			w.run(c, func(o *Options) { o.Resume = true }) // so that adverts are sent at whole intervals
			w.until(9950 * ms)
			w.forget()
			w.until(12050 * ms)
			w.mu.Lock()
			defer w.mu.Unlock()
			var got []string
			for _, e := range w.diary {
				if e.what == "hold[.100] for 3s" {
					got = append(got, e.at.String())
				}
			}
			if len(got) != len(tt.want) || got[0] != tt.want[0] || got[1] != tt.want[1] {
				t.Errorf("interval %v: renewed at %v, want %v", tt.interval, got, tt.want)
			}
		})
	}
}

func TestReloadOfAddresses(t *testing.T) {
	test(t, func(t *testing.T, w *world) {
		r := w.master(config())
		r.tell(func(in *Input) { in.Config.Addresses = []Address{vip(101), vip(102)} })
		w.until(4500 * ms)
		w.wrote("3.21875s release[.100]", "3.21875s hold[.101 .102] for 0s", "3.21875s announce[.101]", "3.21875s announce[.102]",
			"4.21875s send 200")
		if s := r.Status(); s.Restored != 0 || s.State != Master {
			t.Errorf("got %+v", s)
		}
	})
}

// What stays in the list is left alone.
func TestReloadAddsAnAddress(t *testing.T) {
	test(t, func(t *testing.T, w *world) {
		c := config()
		c.Addresses = []Address{vip(100), vip(101)}
		r := w.master(c)
		r.tell(func(in *Input) { in.Config.Addresses = []Address{vip(102), vip(101)} })
		w.until(4 * time.Second)
		w.wrote("3.21875s release[.100]", "3.21875s hold[.102] for 0s", "3.21875s announce[.102]")
	})
}

func TestExcludedAddressesMoveWithTheOthers(t *testing.T) {
	test(t, func(t *testing.T, w *world) {
		c := config()
		c.Excluded, c.Lease, c.Handover = []Address{vip(101)}, 3*time.Second, false
		r := w.run(c)
		w.until(3300 * ms)
		w.wrote("0s init -> backup", "3.21875s backup -> master", "3.21875s send 200", "3.21875s hold[.100 .101] for 3s",
			"3.21875s announce[.100]", "3.21875s announce[.101]")
		w.change(func() { delete(w.have, vip(101)) })
		w.until(4300 * ms)
		w.wrote("3.3s hold[.101] for 3s", "3.3s announce[.101]", "4.21875s send 200", "4.21875s hold[.100 .101] for 3s")
		r.stop()
		w.wrote("4.3s master -> init", "4.3s send 0", "4.3s release[.100 .101]")
	})
}

func TestRoutesMoveWithTheAddresses(t *testing.T) {
	test(t, func(t *testing.T, w *world) {
		c := config()
		one := Route{Destination: netip.MustParsePrefix("198.51.100.0/24"), Via: addr("192.0.2.1"), Device: "eth0", Source: vip(100).Prefix.Addr()}
		two := Route{Destination: netip.MustParsePrefix("203.0.113.0/24"), Device: "eth1", Table: 100, Metric: 50}
		c.Routes, c.Handover = []Route{one}, false
		w.routed[one] = true // an earlier run's
		r := w.run(c)
		w.wrote("0s init -> backup", "0s remove routes [198.51.100.0/24 via 192.0.2.1 dev eth0 src 192.0.2.100]")
		w.until(3300 * ms)
		w.wrote("3.21875s backup -> master", "3.21875s send 200", "3.21875s hold[.100] for 0s",
			"3.21875s add routes [198.51.100.0/24 via 192.0.2.1 dev eth0 src 192.0.2.100]", "3.21875s announce[.100]")
		w.mu.Lock()
		delete(w.routed, one) // of which nobody tells
		w.mu.Unlock()
		w.until(4300 * ms)
		w.wrote("4.21875s send 200", "4.21875s add routes [198.51.100.0/24 via 192.0.2.1 dev eth0 src 192.0.2.100]")
		w.change(func() { delete(w.have, vip(100)); delete(w.routed, one) })
		w.until(4400 * ms)
		w.wrote("4.3s hold[.100] for 0s", "4.3s add routes [198.51.100.0/24 via 192.0.2.1 dev eth0 src 192.0.2.100]", "4.3s announce[.100]")
		r.tell(func(in *Input) { in.Config.Routes = []Route{two} })
		w.until(4500 * ms)
		w.wrote("4.4s remove routes [198.51.100.0/24 via 192.0.2.1 dev eth0 src 192.0.2.100]",
			"4.4s add routes [203.0.113.0/24 dev eth1 table 100 metric 50]")
		r.stop()
		w.wrote("4.5s master -> init", "4.5s send 0", "4.5s remove routes [203.0.113.0/24 dev eth1 table 100 metric 50]", "4.5s release[.100]")
	})
}

func TestARouteThatCannotBeAddedOrRemovedIsTriedAgain(t *testing.T) {
	test(t, func(t *testing.T, w *world) {
		c := config()
		c.Routes = []Route{{Destination: netip.MustParsePrefix("198.51.100.0/24"), Device: "eth0"}}
		w.fails("add", errFake)
		r := w.run(c)
		w.until(3300 * ms)
		w.fails("add", nil)
		w.forget()
		w.until(4200 * ms)
		w.wrote("3.41875s add routes [198.51.100.0/24 dev eth0]")
		w.fails("remove", errFake)
		r.tell(func(in *Input) { in.Config.Routes = nil })
		w.until(4300 * ms)
		w.forget()
		w.fails("remove", nil)
		w.until(4600 * ms)
		w.wrote("4.4s remove routes [198.51.100.0/24 dev eth0]")
	})
}

// What is on a link that came back, or has another hardware address, is announced as after becoming master.
func TestAChangedLinkIsAnnounced(t *testing.T) {
	test(t, func(t *testing.T, w *world) {
		c := config()
		other := Address{Prefix: vip(101).Prefix, Device: "eth1"}
		c.Addresses = []Address{vip(100), other}
		c.Announcements.Repeat, c.Announcements.Delay = 1, 500*ms
		w.master(c)
		w.until(4 * time.Second)
		w.forget()
		w.change(func() { w.changes["eth1"]++ })
		w.until(4100 * ms)
		w.wrote("4s announce[.101]")
		w.until(4600 * ms)
		w.wrote("4.21875s send 200", "4.5s announce[.100]", "4.5s announce[.101]")
	})
}

// The pause holds between two announcements on one interface, of whatever router.
func TestAnnouncementsOfSeveralRoutersArePaced(t *testing.T) {
	test(t, func(t *testing.T, w *world) {
		c := config()
		c.Announcements.Burst, c.Announcements.Interval = 2, 100*ms
		w.run(c)
		c.Addresses = []Address{{Prefix: vip(101).Prefix, Device: "eth0"}, {Prefix: vip(102).Prefix, Device: "eth0"}}
		w.run(c)
		w.until(4200 * ms)
		w.mu.Lock()
		defer w.mu.Unlock()
		var last time.Duration
		count := 0
		for _, e := range w.diary {
			if strings.HasPrefix(e.what, "announce") {
				if count++; count > 1 && e.at-last != 100*ms {
					t.Errorf("%v %s, %v after the one before", e.at, e.what, e.at-last)
				}
				last = e.at
			}
		}
		if count != 6 {
			t.Errorf("%d announcements", count)
		}
	})
}

// An address that keeps its old lifetime would go when that ends.
func TestReloadOfTheLease(t *testing.T) {
	test(t, func(t *testing.T, w *world) {
		c := config()
		c.Lease = 5 * time.Second
		r := w.master(c)
		w.until(3500 * ms)
		r.tell(func(in *Input) { in.Config.Lease = 0 })
		w.until(10 * time.Second)
		w.wrote("3.5s hold[.100] for 0s", "4.21875s send 200", "5.21875s send 200", "6.21875s send 200", "7.21875s send 200",
			"8.21875s send 200", "9.21875s send 200")
	})
}

func TestReloadOfTheAnnouncements(t *testing.T) {
	test(t, func(t *testing.T, w *world) {
		r := w.master(config())
		w.until(3500 * ms)
		r.tell(func(in *Input) { in.Config.Announcements.Refresh = 500 * ms })
		w.until(4700 * ms)
		w.wrote("3.5s announce[.100]", "4s announce[.100]", "4.21875s send 200", "4.5s announce[.100]")
	})
}

func TestAnAddressThatCannotBeRemovedIsTriedAgain(t *testing.T) {
	test(t, func(t *testing.T, w *world) {
		r := w.master(config())
		w.until(3300 * ms)
		w.fails("release", errFake)
		r.tell(func(in *Input) { in.Config.Addresses = []Address{vip(101)} })
		w.until(3400 * ms)
		w.forget()
		w.fails("release", nil)
		w.until(4 * time.Second)
		w.wrote("3.5s release[.100]")
		if s := r.Status(); s.HostErrors == 0 || s.HostError != "" || w.have[vip(100)] != 0 {
			t.Errorf("got %+v", s)
		}
	})
}

func TestAnAddressThatCannotBeAddedIsTriedAgain(t *testing.T) {
	test(t, func(t *testing.T, w *world) {
		w.fails("hold", errFake)
		r := w.run(config())
		w.until(3500 * ms)
		w.wrote("0s init -> backup", "3.21875s backup -> master", "3.21875s send 200", "3.21875s hold[.100] for 0s",
			"3.41875s hold[.100] for 0s")
		if s := r.Status(); s.HostErrors != 2 || s.HostError != "no such device" || s.Announced != 0 {
			t.Errorf("got %+v", s)
		}
		w.fails("hold", nil)
		w.until(4 * time.Second)
		w.wrote("3.61875s hold[.100] for 0s", "3.61875s announce[.100]")
		if s := r.Status(); s.HostErrors != 2 || s.HostError != "" || s.Announced != 1 || s.Restored != 0 {
			t.Errorf("got %+v", s)
		}
	})
}

// An announcement that a full queue swallowed is sent again soon, and not only with the next refresh.
func TestAnAnnouncementThatFailsIsTriedAgain(t *testing.T) {
	test(t, func(t *testing.T, w *world) {
		w.fails("announce", errFake)
		r := w.run(config())
		w.until(3300 * ms)
		w.forget()
		w.fails("announce", nil)
		w.until(4 * time.Second)
		w.wrote("3.41875s announce[.100]")
		if s := r.Status(); s.HostErrors != 1 || s.Announced != 1 {
			t.Errorf("got %+v", s)
		}
	})
}

// An address that cannot be announced is no reason to announce the others all the time.
func TestOneLinksTroubleIsNotAnothersFlood(t *testing.T) {
	test(t, func(t *testing.T, w *world) {
		w.fails("announce.101", errFake)
		c := config()
		c.Addresses = []Address{vip(100), vip(101)}
		r := w.run(c)
		w.until(3300 * ms)
		w.forget()
		w.until(4 * time.Second)
		w.wrote("3.41875s announce[.101]", "3.61875s announce[.101]", "3.81875s announce[.101]")
		if s := r.Status(); s.Announced != 1 || s.HostError == "" {
			t.Errorf("got %+v", s)
		}
	})
}

// What fails beside something that works is one lasting error, not news each time.
func TestALastingErrorIsSaidOnce(t *testing.T) {
	test(t, func(t *testing.T, w *world) {
		c := config()
		c.Lease = 3 * time.Second // whose renewal succeeds
		r := w.master(c)
		w.fails("release", errFake)
		r.tell(func(in *Input) { in.Config.Addresses = []Address{vip(101)} })
		for i := range time.Duration(10) {
			w.until(4*time.Second + i*150*ms)
			if s := r.Status(); s.HostError != "no such device" {
				t.Fatalf("got error %q", s.HostError)
			}
		}
	})
}

// After a stall nothing is advertised, renewed, restored or announced before the election has gone on: here it is held
// up in a write, while the keeper is awake all the time.
func TestStalledElectionHoldsNothing(t *testing.T) { test(t, stalledElection) }

// An order that was held up between decision and delivery is old, or the keeper would act on it.
func TestOrderIsAsOldAsItsDecision(t *testing.T) {
	test(t, func(t *testing.T, w *world) {
		i := NewInstance(Input{Config: config()}, Options{Host: w, Log: slog.New(slog.DiscardHandler), OnTransition: w.noteTransition})
		i.cfg, i.machine = config(), newMaster(params(200))
		i.conn, _ = w.Dial(i.cfg)
		hung := w.blocks("send")
		go i.do(w.start, []Action{send(200)})
		w.until(10 * time.Second)
		close(hung)
		synctest.Wait()
		if o := i.keeper.order; !o.hold || !o.at.Equal(w.start) {
			t.Errorf("got hold %v, given at %v", o.hold, o.at.Sub(w.start))
		}
	})
}

func stalledElection(t *testing.T, w *world) {
	c := config()
	c.Lease = 3 * time.Second
	c.Announcements.Repeat, c.Announcements.Delay = 5, 5*time.Second
	r := w.master(c)
	hung := w.blocks("send")
	w.until(7 * time.Second)
	w.change(func() { delete(w.have, vip(100)) })
	w.conn().hear(lower, 150) // who has taken over meanwhile
	w.until(14200 * ms)
	w.wrote("4.21875s send 200")
	w.change(func() { w.have[vip(100)] = 0 }) // so that it can be seen to go
	w.forget()
	close(hung)
	w.wrote("14.2s master -> backup", "14.2s release[.100]")
	if s := r.Status(); s.Reason != "takes over from 192.0.2.9, which has priority 150 against 200" || s.Received != 1 {
		t.Errorf("got %q after %d adverts", s.Reason, s.Received)
	}
	w.until(17 * time.Second)
	w.wrote()
}

// The same, when it is the keeper that wakes up first: its order is too old to act on.
func TestStalledKeeperHoldsNothing(t *testing.T) {
	test(t, func(t *testing.T, w *world) {
		k := newKeeper(w, slog.New(slog.DiscardHandler))
		c := config()
		c.Lease = 3 * time.Second
		c.Announcements.Refresh = time.Second
		given := order{cfg: c, hold: true, at: w.start, valid: 3 * time.Second, begin: 1}
		k.set(given)
		k.step(w.start)
		w.wrote("0s hold[.100] for 3s", "0s announce[.100]")
		delete(w.have, vip(100))
		k.step(w.start.Add(3*time.Second + 1))
		if d := k.schedule.Deadline(); !d.IsZero() {
			t.Error("announcements are still due")
		}
		w.wrote()
		k.step(w.start.Add(3 * time.Second)) // the last moment at which the order holds
		w.wrote("0s hold[.100] for 3s", "0s announce[.100]")
		given.hold, given.at = false, w.start.Add(10*time.Second)
		k.set(given)
		k.step(w.start.Add(10 * time.Second))
		w.wrote("0s release[.100]")
	})
}

// The second half of a split that has healed: who was there all the time announces again.
func TestHealedSplitIsAnnounced(t *testing.T) {
	test(t, func(t *testing.T, w *world) {
		w.master(config())
		w.until(3500 * ms)
		for range 3 {
			w.conn().hear(lower, 100)
		}
		w.wrote("3.5s send 200", "3.5s announce[.100]")
	})
}

func TestKeeperDoesNothingBeforeItsFirstOrder(t *testing.T) {
	test(t, func(t *testing.T, w *world) {
		w.have[vip(100)] = 4 * time.Second
		k := newKeeper(w, slog.New(slog.DiscardHandler))
		k.step(w.start)
		synctest.Wait()
		w.wrote()
	})
}
