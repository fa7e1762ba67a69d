// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestInstanceBecomesMaster(t *testing.T) {
	test(t, func(t *testing.T, w *world) {
		c := config()
		c.Addresses = []Address{vip(100), vip(101)}
		r := w.run(c)
		w.until(4500 * ms)
		w.wrote("0s init -> backup", "3.21875s backup -> master", "3.21875s send 200", "3.21875s hold[.100 .101] for 0s",
			"3.21875s announce[.100]", "3.21875s announce[.101]", "4.21875s send 200")
		s := r.Status()
		if s.State != Master || s.Since.Sub(w.start) != 3218750*time.Microsecond || s.Sent != 2 || s.Announced != 2 || s.Source != own ||
			s.Master() != own || s.Reason != "no master heard for 3.219s" {
			t.Errorf("got %+v", s)
		}
	})
}

func TestAdvertsDoNotWaitForTheHost(t *testing.T) {
	for _, call := range []string{"hold", "announce"} {
		test(t, func(t *testing.T, w *world) {
			hung := w.blocks(call)
			w.run(config())
			w.until(6500 * ms)
			want := []string{"0s init -> backup", "3.21875s backup -> master", "3.21875s send 200", "3.21875s hold[.100] for 0s"}
			if call == "announce" {
				want = append(want, "3.21875s announce[.100]")
			}
			w.wrote(append(want, "4.21875s send 200", "5.21875s send 200", "6.21875s send 200")...)
			close(hung)
			if synctest.Wait(); call == "hold" {
				w.wrote("6.5s announce[.100]")
			}
		})
	}
}

func TestUnicast(t *testing.T) {
	test(t, func(t *testing.T, w *world) {
		c := config()
		c.Unicast = Unicast{Source: own, Peers: []netip.Addr{higher, lower}, TTL: 64, MinTTL: 60}
		r := w.run(c)
		w.until(3218750 * time.Microsecond)
		w.wrote("0s init -> backup", "3.21875s backup -> master", "3.21875s send 200 to 192.0.2.11",
			"3.21875s send 200 to 192.0.2.9", "3.21875s hold[.100] for 0s", "3.21875s announce[.100]")
		a := Advert{Version: 3, ID: 51, Priority: 201, Interval: time.Second, Addresses: addrs("192.0.2.100")}
		for _, from := range []netip.Addr{addr("192.0.2.77"), higher, higher, higher} {
			n := len(r.Status().Peers) + int(sum(r.Status().Refused))
			h := Header{Src: from, Dst: []netip.Addr{own, own, groupIPv4, own}[n], TTL: []uint8{255, 59, 255, 60}[n]}
			w.conn().deliver(datagram{b: a.Append(nil, h.Src, h.Dst), h: h})
			synctest.Wait()
		}
		s := r.Status()
		if s.Refused[RefusedPeer] != 1 || s.Refused[RefusedTTL] != 1 || s.Refused[RefusedDestination] != 1 || s.State != Backup {
			t.Errorf("got %v, refused %v", s.State, s.Refused)
		}
	})
}

func sum(counters map[Refusal]uint64) (n uint64) {
	for _, c := range counters {
		n += c
	}
	return n
}

// In a flood that never ends, each packet of which takes a millisecond, adverts may be late but not few.
func TestFloodDoesNotSilenceTheMaster(t *testing.T) {
	test(t, func(t *testing.T, w *world) {
		r := w.master(config())
		c := w.conn()
		c.slow, c.endless = time.Millisecond, true
		poke(c.arrived)
		sent := r.Status().Sent
		time.Sleep(60 * time.Second)
		if n := r.Status().Sent - sent; n < 50 {
			t.Errorf("sent %d adverts in 60 s", n)
		}
		r.stop()
		c.hear(lower, 100)
		<-r.ended
	})
}

// What has arrived counts before a timer that has run out, even if nobody has told of it yet.
func TestBackupReadsBeforeItTakesOver(t *testing.T) {
	test(t, func(t *testing.T, w *world) {
		r := w.run(config())
		c := w.conn()
		for range 300 {
			c.in <- datagram{b: []byte("junk"), h: Header{Src: lower, Dst: groupIPv4, TTL: 255}}
		}
		c.in <- advertOf(higher, 250)
		w.until(4 * time.Second)
		w.wrote("0s init -> backup")
		if s := r.Status(); s.Received != 1 || s.Master() != higher {
			t.Errorf("got %+v", s)
		}
	})
}

func TestPlannedStopHandsOver(t *testing.T) {
	test(t, func(t *testing.T, w *world) {
		r := w.master(config())
		w.until(4 * time.Second)
		r.stop()
		w.until(4400 * ms)
		w.wrote("4s send 0")
		w.conn().hear(lower, 100)
		<-r.ended
		w.wrote("4.7s master -> init", "4.7s release[.100]")
	})
}

func TestPlannedStopWithoutASuccessor(t *testing.T) {
	test(t, func(t *testing.T, w *world) {
		r := w.master(config())
		w.until(4 * time.Second)
		r.stop()
		<-r.ended
		w.wrote("4s send 0", "7.21875s master -> init", "7.21875s release[.100]")
	})
}

// Who leaves all as it is sends a last advert, so that its successor has a whole master-down interval, and no priority 0.
func TestStopThatKeepsTheAddresses(t *testing.T) {
	test(t, func(t *testing.T, w *world) {
		c := config()
		c.Lease = 5 * time.Second
		group := NewGroup("edge")
		group.Resize(2)
		grouped := func(o *Options) { o.Resume = true }
		w.have[vip(100)], w.have[vip(101)] = 5*time.Second, 5*time.Second
		r := w.run(c, grouped)
		two := c
		two.Name, two.ID, two.Addresses = "two", 52, []Address{vip(101)}
		other := w.run(two, grouped)
		for _, r := range []*router{r, other} {
			r.tell(func(in *Input) { in.Group = group })
		}
		w.until(4700 * ms)
		w.forget()
		r.leave()
		<-r.ended
		w.until(4800 * ms)
		other.leave()
		<-other.ended
		w.until(6 * time.Second)
		w.wrote("4.7s send 200", "4.7s hold[.100] for 5s", "4.8s send 200", "4.8s hold[.101] for 5s")
	})
}

func TestStopThatKeepsTheAddressesOfABackup(t *testing.T) {
	test(t, func(t *testing.T, w *world) {
		r := w.run(config())
		r.leave()
		<-r.ended
		w.wrote("0s init -> backup", "0s backup -> init")
	})
}

// A router serves the addresses also while it resumes, and for a while after it has yielded; its end is not told.
func TestServedAddressesAreTold(t *testing.T) {
	tells := func(w *world, told *[]string) func(*Options) {
		return func(o *Options) {
			o.Resume = true
			o.OnHolding = func(holds bool) { *told = append(*told, fmt.Sprint(time.Since(w.start), " ", holds)) }
		}
	}
	test(t, func(t *testing.T, w *world) {
		var told []string
		w.have[vip(100)] = 4 * time.Second
		r := w.run(config(), tells(w, &told))
		w.until(4 * time.Second)
		w.conn().hear(higher, 250)
		w.until(5 * time.Second)
		r.stop()
		<-r.ended
		if got, want := strings.Join(told, ", "), "0s true, 4.3s false"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	})
	test(t, func(t *testing.T, w *world) {
		var told []string
		r := w.run(config(), tells(w, &told))
		w.until(4 * time.Second)
		r.stop()
		<-r.ended
		if got, want := strings.Join(told, ", "), "0s false, 3.21875s true"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	})
}

func TestStopOfABackupIsSilent(t *testing.T) {
	test(t, func(t *testing.T, w *world) {
		r := w.run(config())
		r.stop()
		<-r.ended
		w.wrote("0s init -> backup", "0s backup -> init")
	})
}

// While another announces the addresses, ours must not take them back: neither by what is left of the schedule nor by
// mending them.
func TestLingeringIsSilent(t *testing.T) {
	test(t, func(t *testing.T, w *world) {
		c := config()
		c.Announcements.Repeat, c.Announcements.Delay = 5, 5*time.Second
		w.master(c)
		w.until(8200 * ms) // the second burst would be at 8.21875 s
		w.forget()
		w.conn().hear(higher, 250)
		w.until(8300 * ms)
		w.change(func() { delete(w.have, vip(100)) })
		w.until(9 * time.Second)
		w.wrote("8.2s master -> backup", "8.2s send 200", "8.3s hold[.100] for 0s", "8.35s send 200", "8.5s release[.100]")
	})
}

func TestLinkDownAndUp(t *testing.T) {
	test(t, func(t *testing.T, w *world) {
		r := w.master(config())
		w.until(3500 * ms)
		w.change(func() { w.links["eth0"] = 0 })
		w.wrote("3.5s master -> fault", "3.5s send 0", "3.5s release[.100]")
		if s := r.Status(); s.Reason != "interface eth0 is down" || s.Master().IsValid() {
			t.Errorf("got %+v", s)
		}
		w.until(10 * time.Second)
		w.change(func() { w.links["eth0"] = 2 })
		w.until(13500 * ms)
		w.wrote("10s fault -> backup", "13.21875s backup -> master", "13.21875s send 200", "13.21875s hold[.100] for 0s",
			"13.21875s announce[.100]")
		if n := len(w.conns); n != 2 {
			t.Errorf("%d connections, want 2", n)
		}
	})
}

func TestFaultFromOutside(t *testing.T) {
	test(t, func(t *testing.T, w *world) {
		r := w.master(config())
		r.tell(func(in *Input) { in.Fault = "no IPVS" })
		w.wrote("3.21875s master -> fault", "3.21875s send 0", "3.21875s release[.100]")
		r.tell(func(in *Input) { in.Fault = "IPVS is broken" })
		if s := r.Status(); s.Reason != "IPVS is broken" {
			t.Errorf("got reason %q", s.Reason)
		}
		r.tell(func(in *Input) { in.Fault = "" })
		w.wrote("3.21875s fault -> backup")
	})
}

func TestConnectionThatCannotBeOpened(t *testing.T) {
	test(t, func(t *testing.T, w *world) {
		w.dialError = errFake
		r := w.run(config())
		w.until(4500 * ms)
		w.wrote("0s init -> fault")
		if s := r.Status(); s.Reason != "no such device" {
			t.Errorf("got reason %q", s.Reason)
		}
		w.mu.Lock()
		w.dialError = nil
		w.mu.Unlock()
		w.until(5500 * ms)
		w.wrote("5s fault -> backup")
	})
}

func TestLinkMadeAnew(t *testing.T) {
	test(t, func(t *testing.T, w *world) {
		w.master(config())
		before := w.conn()
		w.change(func() { w.links["eth0"] = 7 })
		w.until(5 * time.Second)
		w.wrote("4.21875s send 200")
		if after := w.conn(); after == before {
			t.Error("still the old connection")
		}
		<-before.closed
	})
}

func TestReadErrorOpensANewConnection(t *testing.T) {
	test(t, func(t *testing.T, w *world) {
		r := w.run(config())
		before := w.conn()
		before.deliver(datagram{err: errFake})
		w.until(time.Second)
		<-before.closed
		w.conn().hear(higher, 250)
		w.until(4 * time.Second)
		w.wrote("0s init -> backup")
		if s := r.Status(); s.ReadErrors != 1 || s.Received != 1 {
			t.Errorf("got %+v", s)
		}
	})
}

func TestReloadOfPriority(t *testing.T) {
	test(t, func(t *testing.T, w *world) {
		r := w.master(config())
		r.tell(func(in *Input) { in.Config.Priority = 120 })
		w.until(4500 * ms)
		w.wrote("4.21875s send 120")
		w.conn().hear(lower, 150)
		w.wrote("4.5s master -> backup", "4.5s send 120")
		if s := r.Status(); s.Config.Priority != 120 || s.OtherMasterSeen != 1 || s.Master() != lower {
			t.Errorf("got %+v", s)
		}
	})
}

func TestReadinessIsPassedOn(t *testing.T) {
	test(t, func(t *testing.T, w *world) {
		r := w.run(config())
		r.tell(func(in *Input) { in.Unready = "no real server is up" })
		for n := range 6 {
			w.until(time.Duration(n) * time.Second)
			w.conn().hear(lower, 100)
		}
		w.wrote("0s init -> backup")
		r.tell(func(in *Input) { in.Unready = "" })
		for n := range 6 {
			w.until(time.Duration(5+n)*time.Second + 500*ms)
			w.conn().hear(lower, 100)
		}
		if s := r.Status(); s.State != Master || s.Reason != "priority 200 against 100 of 192.0.2.9" {
			t.Errorf("got %v, %q", s.State, s.Reason)
		}
	})
}

func TestResume(t *testing.T) {
	resume := func(o *Options) { o.Resume = true }
	t.Run("nobody else", func(t *testing.T) {
		test(t, func(t *testing.T, w *world) {
			w.have[vip(100)] = 4 * time.Second
			w.run(config(), resume)
			w.until(1500 * ms)
			w.wrote("0s init -> backup", "1s backup -> master", "1s send 200", "1s hold[.100] for 0s", "1s announce[.100]")
		})
	})
	t.Run("another master", func(t *testing.T) {
		test(t, func(t *testing.T, w *world) {
			w.have[vip(100)] = 4 * time.Second
			w.run(config(), resume)
			w.until(500 * ms)
			w.conn().hear(lower, 100)
			w.until(1500 * ms)
			w.wrote("0s init -> backup", "500ms release[.100]")
		})
	})
	t.Run("address lost", func(t *testing.T) {
		test(t, func(t *testing.T, w *world) {
			c := config()
			c.Addresses = []Address{vip(100), vip(101)}
			w.have[vip(100)], w.have[vip(101)] = 4*time.Second, 4*time.Second
			w.run(c, resume)
			w.until(500 * ms)
			w.change(func() { delete(w.have, vip(100)) })
			w.until(1500 * ms)
			w.wrote("0s init -> backup", "500ms release[.101]")
		})
	})
	t.Run("lease too short", func(t *testing.T) {
		test(t, func(t *testing.T, w *world) {
			w.have[vip(100)] = time.Second
			w.run(config(), resume)
			w.until(1500 * ms)
			w.wrote("0s init -> backup", "0s release[.100]")
		})
	})
	t.Run("not asked for", func(t *testing.T) {
		test(t, func(t *testing.T, w *world) {
			w.have[vip(100)] = 4 * time.Second
			w.run(config())
			w.wrote("0s init -> backup", "0s release[.100]")
		})
	})
}

func TestPeersAreBounded(t *testing.T) {
	test(t, func(t *testing.T, w *world) {
		r := w.run(config())
		c := w.conn()
		for n := range byte(100) {
			c.hear(netip.AddrFrom4([4]byte{192, 0, 2, 200 - n}), 250)
			w.until(time.Duration(n) * 10 * ms)
		}
		s := r.Status()
		if len(s.Peers) != 16 || s.Received != 100 || s.Master() != addr("192.0.2.101") {
			t.Errorf("got %d peers after %d adverts, master %v", len(s.Peers), s.Received, s.Master())
		}
		// The last heard are kept.
		for n, p := range s.Peers {
			if want := fmt.Sprintf("192.0.2.%d", 101+n); p.Address.String() != want || p.Priority != 250 || p.Checksum != Pseudo {
				t.Errorf("peer %d: got %+v, want %s", n, p, want)
			}
		}
		s.Peers[0].Priority, s.Refused[RefusedTTL] = 1, 7 // a copy
		if s := r.Status(); s.Peers[0].Priority != 250 || s.Refused[RefusedTTL] != 0 {
			t.Errorf("the status is shared: %+v", s)
		}
	})
}

// At a boot the link-local address takes a second or two. That is no fault.
func TestAnAddressThatIsNotUsableYetIsNoFault(t *testing.T) {
	test(t, func(t *testing.T, w *world) {
		w.dialError = fmt.Errorf("tentative: %w", errNotYet)
		r := w.run(config())
		w.until(500 * ms)
		w.wrote()
		if s := r.Status(); s.State != Init || !strings.Contains(s.Reason, "duplicate address detection") {
			t.Errorf("got %v: %s", s.State, s.Reason)
		}
		w.change(func() { w.dialError = nil })
		w.wrote("500ms init -> backup")
	})
}

// A connection that breaks when a timer has run out says nothing of what has arrived.
func TestNoPromotionWithoutAConnection(t *testing.T) {
	test(t, func(t *testing.T, w *world) {
		r := w.run(config())
		c := w.conn()
		w.until(3 * time.Second)
		c.in <- datagram{err: errFake} // and nobody is told
		w.mu.Lock()
		w.dialError = errFake
		w.mu.Unlock()
		w.until(4 * time.Second)
		w.wrote("0s init -> backup", "3.21875s backup -> fault")
		if s := r.Status(); s.ReadErrors != 1 {
			t.Errorf("got %+v", s)
		}
	})
}

func TestPasswordIsNotShown(t *testing.T) {
	c := config()
	c.Password = "hunter2"
	b, err := json.Marshal(c)
	if text := fmt.Sprintf("%v %+v %s", c, c, b); err != nil || strings.Contains(text, "hunter2") {
		t.Errorf("%v: %s", err, text)
	}
}

// A backup whose connection broke waits for the next one without turning in circles.
func TestNoTimersWithoutAConnection(t *testing.T) {
	test(t, func(t *testing.T, w *world) {
		late := 0
		w.run(config(), func(o *Options) { o.OnLate = func(time.Duration) { late++ } })
		w.until(3210 * ms)
		w.conn().deliver(datagram{err: errFake})
		synctest.Wait()
		w.conn().in <- datagram{err: errFake} // and the next one breaks, too
		w.until(3300 * ms)
		if late > 2 {
			t.Errorf("timers fired %d times", late)
		}
	})
}
