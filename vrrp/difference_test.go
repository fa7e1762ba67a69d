// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

// What a peer does otherwise is told once for each peer, a minute apart, and anew when it ended and began again.
func TestDifferencesAreToldOnce(t *testing.T) {
	const (
		checksum  = `msg="peer differs" in="computation of checksums" peer=%v theirs=plain ours=pseudo hint="its adverts are understood; set checksum to what it can read"`
		interval  = `msg="peer differs" in="advertise interval" peer=%v theirs=2s ours=1s hint="a backup waits as its master says; set the same advertise_interval on both"`
		addresses = `msg="peer differs" in="list of addresses" peer=%v theirs=[192.0.2.101] ours=[192.0.2.100] hint="each moves its own list; give both the same"`
	)
	plain := func(a *Advert) { a.Checksum = Plain }
	slow := func(a *Advert) { a.Interval = 2 * time.Second }
	others := func(a *Advert) { a.Addresses = addrs("192.0.2.101") }
	same := func(*Advert) {}
	test(t, func(t *testing.T, w *world) {
		log := new(logged)
		r := w.run(config(), log.to)
		hears := func(src netip.Addr, change func(*Advert), want ...string) {
			t.Helper()
			w.conn().deliver(from(config(), src, change))
			for n, line := range want {
				want[n] = fmt.Sprintf(line, src)
			}
			if got := log.lines(); !slices.Equal(got, want) {
				t.Errorf("at %v logged\n\t%s\nwant\n\t%s", time.Since(w.start), strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
			}
		}
		hears(higher, same)
		hears(higher, plain, checksum)
		hears(higher, slow, interval)
		hears(higher, others, addresses)
		hears(lower, others) // its turn comes
		if s := r.Status(); s.OtherAddresses != 2 || s.Received != 5 || len(s.Peers) != 2 || s.Peers[0].SameAddresses ||
			s.Peers[1].SameAddresses || s.Peers[0].Interval != time.Second {
			t.Errorf("got %+v", s)
		}
		w.until(61 * time.Second)
		hears(higher, others)
		hears(lower, others, addresses)
		w.until(122 * time.Second)
		hears(lower, others)
		hears(lower, same)
		hears(lower, others, addresses)
		hears(higher, same)
		if s := r.Status(); !s.Peers[1].SameAddresses {
			t.Errorf("got %+v", s.Peers)
		}
	})
}

// A checksum differs only where there is a choice.
func TestDiffers(t *testing.T) {
	for _, tt := range []struct {
		name   string
		config func(*Config)
		change func(*Advert)
		want   difference
	}{
		{"nothing", func(*Config) {}, func(*Advert) {}, 0},
		{"checksum", func(*Config) {}, func(a *Advert) { a.Checksum = Plain }, otherChecksum},
		{"version 2", withPassword, func(*Advert) {}, 0},
		{"IPv6, whatever is configured", func(c *Config) { overIPv6(c); c.Checksum = Plain }, func(*Advert) {}, 0},
		{
			"all", func(c *Config) { c.Checksum = Plain },
			func(a *Advert) { a.Checksum, a.Interval, a.Addresses = Pseudo, 2*time.Second, addrs("192.0.2.101") },
			otherChecksum | otherInterval | otherAddresses,
		},
		{"two owners", func(c *Config) { c.Priority = 255 }, func(a *Advert) { a.Priority = 255 }, otherOwner},
		{"an owner that gives up", func(c *Config) { c.Priority = 255 }, func(a *Advert) { a.Priority = 0 }, 0},
	} {
		c := config()
		tt.config(&c)
		d := from(c, higher, tt.change)
		if c.Family6() {
			d = from(c, higher6, tt.change)
		}
		a, err := Parse(d.b, d.h)
		if got := differs(&a, &c); err != nil || got != tt.want {
			t.Errorf("%s: got %b, %v; want %b", tt.name, got, err, tt.want)
		}
	}
}

func TestSameAddresses(t *testing.T) {
	ours := []Address{vip(1), vip(2), vip(3)}
	tests := []struct {
		theirs string
		want   bool
	}{
		{"192.0.2.1 192.0.2.2 192.0.2.3", true},
		{"192.0.2.3 192.0.2.1 192.0.2.2", true},
		{"192.0.2.1 192.0.2.2", false},
		{"192.0.2.1 192.0.2.2 192.0.2.4", false},
		{"192.0.2.1 192.0.2.1 192.0.2.1", false},
		{"192.0.2.1 192.0.2.2 192.0.2.3 192.0.2.4", false},
	}
	for _, tt := range tests {
		if got := sameAddresses(addrs(strings.Fields(tt.theirs)...), ours); got != tt.want {
			t.Errorf("%s: got %v", tt.theirs, got)
		}
	}
}
