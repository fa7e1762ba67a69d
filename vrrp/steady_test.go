// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// steady is an instance that does not run, with the last of its 20 addresses' adverts always there to be read.
func steady(t testing.TB, change func(*Config)) (i *Instance, next func()) {
	c := config()
	for n := range byte(19) {
		c.Addresses = append(c.Addresses, vip(101+n))
	}
	src := higher
	if change(&c); c.Family6() {
		src = higher6
	}
	i = NewInstance(Input{Config: c}, Options{Host: new(world), Log: slog.New(slog.DiscardHandler), OnTransition: func(Transition) {}})
	i.cfg = c
	i.machine = NewMachine(i.params(sourceOf(c)))
	i.machine.Start(time.Now(), 0, false)
	conn := &stillConn{source: sourceOf(c), d: from(c, src)}
	i.conn = conn
	return i, func() { conn.left = 1; i.drain(drainMost) }
}

// stillConn has the same datagram as often as it is told.
type stillConn struct {
	Conn
	source netip.Addr
	d      datagram
	left   int
}

func (c *stillConn) Source() netip.Addr { return c.source }

func (c *stillConn) Read(b []byte) (int, Header, error) {
	if c.left--; c.left < 0 {
		return 0, Header{}, ErrNothing
	}
	return copy(b, c.d.b), c.d.h, nil
}

var steadyCases = []struct {
	name   string
	config func(*Config)
}{
	{"version 3", func(*Config) {}}, {"version 2", withPassword}, {"IPv6", overIPv6}, {"unicast", byUnicast},
}

// TestReceivingDoesNotAllocate is about a backup that hears its master, and about what is refused: from the connection to
// the machine, and what comes of it.
func TestReceivingDoesNotAllocate(t *testing.T) {
	for _, tt := range steadyCases {
		i, next := steady(t, tt.config)
		if n := testing.AllocsPerRun(100, next); n != 0 {
			t.Errorf("%s: %v allocations for an advert", tt.name, n)
		}
		if s, _, _ := i.machine.State(); s != Backup || i.status.Received != 101 || sum(i.status.Refused) != 0 {
			t.Errorf("%s: is %v, received %d, refused %v", tt.name, s, i.status.Received, i.status.Refused)
		}
		i.cfg.ID++
		if n := testing.AllocsPerRun(100, next); n != 0 || i.status.Refused[RefusedID] != 101 {
			t.Errorf("%s: %v allocations for a refused one, refused %v", tt.name, n, i.status.Refused)
		}
	}
}

func BenchmarkInstanceReceives(b *testing.B) {
	for _, tt := range steadyCases {
		b.Run(strings.ReplaceAll(tt.name, " ", ""), func(b *testing.B) {
			_, next := steady(b, tt.config)
			b.ReportAllocs()
			for b.Loop() {
				next()
			}
		})
	}
}
