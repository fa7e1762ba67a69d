// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"log/slog"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

var (
	own6    = addr("fe80::10")
	higher6 = addr("fe80::11")
)

// logged is what an instance logs, a line each, without times and levels.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// lines returns what was logged since the last time.
func (l *logged) lines() []string {
	synctest.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.b.Reset()
	return strings.FieldsFunc(l.b.String(), func(r rune) bool { return r == '\n' })
}

// to is an option of world.run.
func (l *logged) to(o *Options) {
	o.Log = slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey || a.Key == slog.LevelKey || a.Key == "virtual_router" {
			return slog.Attr{}
		}
		return a
	}}))
}

// from is an advert that a peer with the highest priority sends to a router of the configuration.
func from(c Config, src netip.Addr, change ...func(*Advert)) datagram {
	a := c.advert(255, nil)
	for _, f := range change {
		f(&a)
	}
	dst := c.group()
	if c.Unicast.Enabled() {
		dst = sourceOf(c)
	}
	return datagram{b: a.Append(nil, src, dst), h: Header{Src: src, Dst: dst, TTL: 255}}
}

// damaged is a packet with some bytes changed and, so that it is they that count, a checksum which holds.
func damaged(d datagram, f func(b []byte) []byte) datagram {
	d.b = f(slices.Clone(d.b))
	if len(d.b) > 8 {
		d.b[6], d.b[7] = 0, 0
		binary.BigEndian.PutUint16(d.b[6:], ^fold(plainSum(d.b)))
	}
	return d
}

func signed(d datagram) datagram {
	d.b = append(d.b, append([]byte{trailerType, 7}, make([]byte, 26)...)...)
	return d
}

func version2(c *Config) { c.Version = 2 }

func withPassword(c *Config) { c.Version, c.Password = 2, "secret" }

func overIPv6(c *Config) {
	c.Addresses = []Address{{Prefix: prefix("fe80::100/64"), Device: "eth0"}, {Prefix: prefix("2001:db8::100/64"), Device: "eth0"}}
}

func byUnicast(c *Config) {
	c.Unicast = Unicast{Source: own, Peers: []netip.Addr{higher, lower}, TTL: 64, MinTTL: 60}
}

// refusals has at least one row for each reason: a packet that would make any router yield, were it not for one thing.
var refusals = []struct {
	name   string
	config func(*Config)
	packet func(c Config) datagram
	want   Refusal
	hint   string // after the reason and the sender
}{
	{
		"unicast to a multicast router", nil,
		func(c Config) datagram { d := from(c, higher); d.h.Dst = own; return d },
		RefusedDestination, "it was sent to 192.0.2.10, this router takes multicast adverts: give both a unicast block, or none",
	},
	{
		"multicast to a unicast router", byUnicast,
		func(c Config) datagram { d := from(c, higher); d.h.Dst = groupIPv4; return d },
		RefusedDestination, "it was sent to 224.0.0.18, this router takes unicast adverts: give both a unicast block, or none",
	},
	{
		"over IPv6, destination unknown", overIPv6,
		func(c Config) datagram { d := from(c, higher6); d.h = Header{Src: higher6}; return d },
		RefusedDestination, "it was sent to invalid IP, this router takes multicast adverts: give both a unicast block, or none",
	},
	{
		"crossed a router", nil,
		func(c Config) datagram { d := from(c, higher); d.h.TTL = 254; return d },
		RefusedTTL, "its TTL is 254, at least 255 is asked for: it has crossed a router, or was forged",
	},
	{
		"crossed a router, unicast", byUnicast,
		func(c Config) datagram { d := from(c, higher); d.h.TTL = 59; return d },
		RefusedTTL, "its TTL is 59, at least 60 is asked for: lower min_ttl if that is what the peer sends",
	},
	{
		"over IPv6, hop limit unknown", overIPv6,
		func(c Config) datagram { d := from(c, higher6); d.h.TTL = 0; return d },
		RefusedTTL, "its TTL is 0, at least 255 is asked for: it has crossed a router, or was forged",
	},
	{
		"our own address", nil,
		func(c Config) datagram { return from(c, own) },
		RefusedOwn, "it has the address of this router: the network loops, or the address is in use twice",
	},
	{
		"not a peer", byUnicast,
		func(c Config) datagram { return from(c, addr("192.0.2.77")) },
		RefusedPeer, "the sender is not among the unicast peers",
	},
	{
		"no header", nil,
		func(c Config) datagram { d := from(c, higher); d.b = d.b[:7]; return d },
		RefusedLength, "its 7 bytes are too few or too many for what it says is in it",
	},
	{
		"address cut", nil,
		func(c Config) datagram { return damaged(from(c, higher), func(b []byte) []byte { return b[:10] }) },
		RefusedLength, "its 10 bytes are too few or too many for what it says is in it",
	},
	{
		"longer than any", nil,
		func(c Config) datagram {
			return damaged(from(c, higher), func(b []byte) []byte { return append(b, make([]byte, 65000)...) })
		},
		RefusedLength, "its 4117 bytes are too few or too many for what it says is in it",
	},
	{
		"version 2 to version 3", nil,
		func(c Config) datagram { return from(c, higher, func(a *Advert) { a.Version = 2 }) },
		RefusedVersion, "this router speaks version 3, the sender 2: set the same version on both",
	},
	{
		"version 3 to version 2", version2,
		func(c Config) datagram { return from(c, higher, func(a *Advert) { a.Version = 3 }) },
		RefusedVersion, "this router speaks version 2, the sender 3: set the same version on both",
	},
	{
		"version 4", nil,
		func(c Config) datagram { return from(c, higher, func(a *Advert) { a.Version = 4 }) },
		RefusedVersion, "this router speaks version 3, the sender 4: set the same version on both",
	},
	{
		"type", nil,
		func(c Config) datagram { return damaged(from(c, higher), func(b []byte) []byte { b[0]++; return b }) },
		RefusedType, "its type is 2, that of an advert is 1",
	},
	{
		"id", nil,
		func(c Config) datagram { return from(c, higher, func(a *Advert) { a.ID = 52 }) },
		RefusedID, "its id is 52, ours 51",
	},
	{
		"password to none", version2,
		func(c Config) datagram { return from(c, higher, func(a *Advert) { a.Auth = Password("hidden") }) },
		RefusedAuth, "this router uses no authentication, the sender a password: set the same on both",
	},
	{
		"none to a password", withPassword,
		func(c Config) datagram { return from(c, higher, func(a *Advert) { a.Auth = Auth{} }) },
		RefusedAuth, "this router uses a password, the sender no authentication: set the same on both",
	},
	{
		"another password", withPassword,
		func(c Config) datagram { return from(c, higher, func(a *Advert) { a.Auth = Password("hidden") }) },
		RefusedAuth, "the password is another one",
	},
	{
		"authentication header", withPassword,
		func(c Config) datagram { return from(c, higher, func(a *Advert) { a.Auth = Auth{Type: 2} }) },
		RefusedAuth, "this router uses a password, the sender an IP authentication header: set the same on both",
	},
	{
		"signed", nil,
		func(c Config) datagram { return signed(from(c, higher)) },
		RefusedHMAC, "it is signed by keepalived's auth_hmac, which holdfast does not verify yet: turn that off on the sender",
	},
	{
		"signed, version 2", withPassword,
		func(c Config) datagram { return signed(from(c, higher)) },
		RefusedHMAC, "it is signed by keepalived's auth_hmac, which holdfast does not verify yet: turn that off on the sender",
	},
	{
		"interval 0", nil,
		func(c Config) datagram { return from(c, higher, func(a *Advert) { a.Interval = 0 }) },
		RefusedInterval, "its interval is 0",
	},
	{
		"another interval in version 2", version2,
		func(c Config) datagram { return from(c, higher, func(a *Advert) { a.Interval = 2 * time.Second }) },
		RefusedInterval, "its interval is 2s, ours 1s: version 2 asks for the same on every router",
	},
	{
		"no address", nil,
		func(c Config) datagram { return from(c, higher, func(a *Advert) { a.Addresses = nil }) },
		RefusedCount, "it carries no address: give the sender's virtual router one",
	},
	{
		"checksum", nil,
		func(c Config) datagram { d := from(c, higher); d.b[6]++; return d },
		RefusedChecksum, "no way to compute the checksum gives its own: it was damaged on the way",
	},
	{
		"checksum over IPv6", overIPv6,
		func(c Config) datagram { d := from(c, higher6); d.b[6]++; return d },
		RefusedChecksum, "no way to compute the checksum gives its own: it was damaged on the way",
	},
}

// effects is all that a packet could change, but the counters of what was refused.
func (r *router) effects() (Status, Machine) {
	synctest.Wait()
	s := r.Status()
	s.Refused = nil
	return s, *r.machine
}

// A refused packet has no effect but its counter, and a line in the log once a minute, whatever state we are in.
func TestRefusedPacketsOnlyCount(t *testing.T) {
	seen := make(map[Refusal]bool)
	for _, tt := range refusals {
		seen[tt.want] = true
		t.Run(tt.name, func(t *testing.T) {
			test(t, func(t *testing.T, w *world) {
				c := config()
				if tt.config != nil {
					tt.config(&c)
				}
				d, log := tt.packet(c), new(logged)
				r := w.run(c, log.to)
				for n, state := range []State{Backup, Master} {
					w.until(time.Duration(1+3*n) * time.Second)
					status, machine := r.effects()
					if status.State != state {
						t.Fatalf("is %v, want %v", status.State, state)
					}
					for range 3 {
						w.conn().deliver(d)
					}
					s, m := r.effects()
					if !reflect.DeepEqual(s, status) || !reflect.DeepEqual(m, machine) {
						t.Errorf("as %v:\nbefore %+v %+v\nafter  %+v %+v", state, status, machine, s, m)
					}
					r.tell(func(*Input) {}) // so that the race detector knows that what follows comes later
				}
				w.until(62 * time.Second)
				w.conn().deliver(d)
				line := `msg="advert refused" reason=%s from=%v hint=%q suppressed=%d`
				want := []string{
					fmt.Sprintf(line, string(tt.want), d.h.Src, tt.hint, 0),
					fmt.Sprintf(line, string(tt.want), d.h.Src, tt.hint, 5),
				}
				if got := log.lines(); !slices.Equal(got, want) {
					t.Errorf("logged\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
				}
				for reason, n := range r.Status().Refused {
					if want := map[bool]uint64{reason == tt.want: 7}[true]; n != want {
						t.Errorf("refused for %s: %d, want %d", string(reason), n, want)
					}
				}
			})
		})
	}
	for _, reason := range Refusals {
		if !seen[reason] {
			t.Errorf("no row for %s", string(reason))
		}
	}
}
