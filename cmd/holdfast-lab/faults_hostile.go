// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/holdfast-lb/holdfast/internal/netlab"
)

// hostileFaults are what a stranger on the same network can send.
var hostileFaults = []fault{
	forged("ttl", "adverts of priority 255 that have crossed a router", 10, "ttl", func(f *forgery) { f.ttl = 254 }),
	forged("checksum", "adverts of priority 255 with a wrong checksum", 10, "checksum", func(f *forgery) { f.spoil = func(b []byte) { b[6] ^= 0xff } }),
	forged("short", "adverts that are cut short", 10, "length", func(f *forgery) { f.cut = 7 }),
	forged("type", "packets of an unknown type", 10, "type", func(f *forgery) { f.header = 0x32 }),
	forged("version", "adverts of version 4", 10, "version", func(f *forgery) { f.header = 0x41 }),
	forged("version-2", "adverts of version 2 for a router of version 3", 10, "version", func(f *forgery) { f.header = 0x21 }),
	forged("interval-0", "adverts with an interval of 0", 10, "interval", func(f *forgery) { f.interval = 0 }),
	forged("count-0", "adverts without an address", 10, "count", func(f *forgery) { f.addresses = nil }),
	forged("other-id", "1,000 adverts a second of another virtual router", 1000, "", func(f *forgery) { f.id = 99 }),
	{
		name: "hostile/lower", what: "ten valid adverts of priority 1 a second, for 10 s",
		inject: func(ctx context.Context, s *scene) error {
			from := time.Now()
			err := s.forge(ctx, 10, 10*time.Second, func(f *forgery) { f.priority = 1 })
			s.bound(atMost("adverts of the master a second", len(s.advertsOf(s.nodes[0], from))/10, 12))
			return err
		},
		said: otherMasterSeen,
	},
	{
		name: "hostile/goodbye", what: "ten valid adverts of priority 0 a second from a stranger, for 10 s",
		note:   "a backup has to believe it, RFC 9568 section 6.4.2, but the master objects at once",
		limits: limits{lost: 5, shared: 1300 * time.Millisecond, takeovers: unbounded},
		inject: func(ctx context.Context, s *scene) error {
			return s.forge(ctx, 10, 10*time.Second, func(f *forgery) { f.priority = 0 })
		},
	},
	{
		name: "hostile/owner", what: "ten valid adverts of priority 255 a second from a stranger, for 10 s",
		note:   "multicast has no secrets: the pair yields, and is back when it ends; unicast peers would refuse it",
		limits: limits{lost: unbounded, gap: 16 * time.Second, shared: yields, takeovers: unbounded, resets: unbounded},
		inject: func(ctx context.Context, s *scene) error {
			return s.forge(ctx, 10, 10*time.Second, func(f *forgery) { f.priority = 255 })
		},
	},
	{
		name: "hostile/other-addresses", what: "for 8 s a peer of lower priority sends adverts with an address more, as on a half-done change",
		inject: func(ctx context.Context, s *scene) error {
			return s.forge(ctx, 1, 8*time.Second, func(f *forgery) {
				f.priority, f.addresses = 90, append(f.addresses, addr("10.0.0.101"))
			})
		},
		said: func(ctx context.Context, s *scene) error {
			return s.nodes[0].tells(ctx, "holdfast_virtual_router_other_addresses_total", "")
		},
	},
	{
		name: "hostile/flood", what: "50,000 spoilt adverts a second for 10 s, or as many as this machine can send",
		note:   "the client shares the machine with the flood",
		limits: limits{lost: unbounded, gap: 2 * time.Second},
		inject: func(ctx context.Context, s *scene) error {
			from := time.Now()
			err := s.forge(ctx, 50_000, 10*time.Second, func(f *forgery) { f.spoil = func(b []byte) { b[6] ^= 0xff } })
			s.bound(within("longest silence of the master", s.silence(s.nodes[0], from), 2*s.interval))
			return err
		},
	},
	{
		name: "hostile/same-id", what: "a second pair has the same id by mistake, lower priorities and another address",
		note: "the second pair's address is served by nobody, and it says why",
		options: options{directors: 4, priorities: []int{200, 150, 120, 110}, with: func(n *node) extra {
			if n.priority >= 150 {
				return extra{}
			}
			return extra{address: "10.0.0.200"}
		}},
		ours:   true, // its pairs have one address here
		inject: func(ctx context.Context, s *scene) error { return pause(ctx, 8*time.Second) },
		said: func(ctx context.Context, s *scene) error {
			return s.nodes[2].tells(ctx, "holdfast_virtual_router_other_addresses_total", "")
		},
	},
	{
		name: "hostile/arp", what: "a stranger answers ARP for the virtual address, and announces it each second for 8 s",
		note:   "a switch that lets it pass gives the client to the stranger, until its entry has failed",
		limits: limits{lost: unbounded, gap: 20 * time.Second, resets: unbounded},
		inject: arpByStranger,
	},
}

// forged is a fault that must not be noticed: packets that are to be refused and counted under that reason.
func forged(name, what string, rate int, reason string, with func(*forgery)) fault {
	return fault{
		name: "hostile/" + name, what: fmt.Sprintf("%s, %d a second for 10 s", what, rate),
		inject: func(ctx context.Context, s *scene) error {
			from := time.Now()
			if err := s.forge(ctx, rate, 10*time.Second, with); err != nil {
				return err
			}
			s.bound(within("longest silence of the master", s.silence(s.nodes[0], from), s.interval*3/2))
			return nil
		},
		said: func(ctx context.Context, s *scene) error {
			if reason == "" {
				return nil
			}
			return s.nodes[0].tells(ctx, "holdfast_virtual_router_adverts_refused_total", fmt.Sprintf("reason=%q", reason))
		},
	}
}

// A forgery is an advert as a stranger makes it.
type forgery struct {
	ttl       byte
	header    byte // version and type
	id        byte
	priority  byte
	interval  uint16 // centiseconds
	addresses []netip.Addr
	cut       int          // to so many bytes; 0: not
	spoil     func([]byte) // the message, when its checksum is in
}

// stranger is where forged packets come from.
var stranger = addr("10.0.0.66")

// packet is the whole IP packet.
func (f forgery) packet() []byte {
	m := []byte{f.header, f.id, f.priority, byte(len(f.addresses)), byte(f.interval >> 8), byte(f.interval), 0, 0}
	for _, a := range f.addresses {
		m = append(m, a.AsSlice()...)
	}
	const group = "\xe0\x00\x00\x12" // 224.0.0.18
	source := stranger.As4()
	pseudo := append(append(source[:], group...), 0, 112, byte(len(m)>>8), byte(len(m)))
	binary.BigEndian.PutUint16(m[6:], internetChecksum(append(pseudo, m...)))
	if f.spoil != nil {
		f.spoil(m)
	}
	if f.cut > 0 {
		m = m[:f.cut]
	}
	ip := []byte{0x45, 0xc0, 0, byte(20 + len(m)), 0, 0, 0, 0, f.ttl, 112, 0, 0}
	ip = append(append(ip, source[:]...), group...)
	binary.BigEndian.PutUint16(ip[10:], internetChecksum(ip))
	return append(ip, m...)
}

// internetChecksum is that of RFC 1071.
func internetChecksum(b []byte) uint16 {
	var sum uint32
	for i := 0; i+1 < len(b); i += 2 {
		sum += uint32(b[i])<<8 | uint32(b[i+1])
	}
	if len(b)%2 == 1 {
		sum += uint32(b[len(b)-1]) << 8
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// forge sends forged adverts, so many a second, for so long.
func (s *scene) forge(ctx context.Context, rate int, d time.Duration, with func(*forgery)) error {
	f := forgery{
		ttl: 255, header: 0x31, id: sceneRouter, priority: 255, interval: 100, addresses: []netip.Addr{sceneAddress},
	}
	with(&f)
	port, err := s.strangerPort()
	if err != nil {
		return err
	}
	frame := append([]byte{0x01, 0, 0x5e, 0, 0, 0x12}, port.MAC...)
	frame = append(append(frame, 0x08, 0x00), f.packet()...)
	return port.Send(ctx, frame, rate, d)
}

// strangerPort is where the stranger is plugged in.
func (s *scene) strangerPort() (*netlab.Port, error) {
	if s.stranger == nil {
		s.stranger = s.lab.Host("stranger").Join(s.lan, "eth0", netip.PrefixFrom(stranger, 24))
	}
	return s.stranger, s.lab.Err()
}

// arpByStranger announces the virtual address from a MAC address that has nothing to do with it.
func arpByStranger(ctx context.Context, s *scene) error {
	port, err := s.strangerPort()
	if err != nil {
		return err
	}
	vip := sceneAddress.AsSlice()
	frame := append([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, port.MAC...)
	frame = append(frame, 0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 1) // a request, of Ethernet for IPv4
	frame = append(append(append(frame, port.MAC...), vip...), 0, 0, 0, 0, 0, 0)
	frame = append(frame, vip...)
	return errors.Join(port.Send(ctx, frame, 1, 8*time.Second), s.reached(ctx))
}
