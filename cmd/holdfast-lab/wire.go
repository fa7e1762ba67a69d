// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/binary"
	"net/netip"
	"sync"
	"time"

	"github.com/holdfast-lb/holdfast/internal/netlab"
)

// wire is what was seen on a LAN: adverts by sender and virtual router, and announcements.
type wire struct {
	mu      sync.Mutex
	adverts map[sender]*seen
	arps    map[netip.Addr]time.Time // by virtual address: the first since reset
}

// sender is a director's part in one election.
type sender struct {
	from netip.Addr
	id   byte
}

// seen is how often something was, when first and last, and the longest pause between.
type seen struct {
	count       int
	first, last time.Time
	longest     time.Duration
}

// watchWire captures until stop.
func watchWire(lan *netlab.LAN) (w *wire, stop func() error, err error) {
	w = &wire{}
	w.reset()
	stop, err = lan.Capture(w.frame)
	return w, stop, err
}

func (w *wire) reset() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.adverts, w.arps = make(map[sender]*seen), make(map[netip.Addr]time.Time)
}

const (
	ethernetLen = 14
	ipLen       = 20 // without options
	etherIPv4   = 0x0800
	etherARP    = 0x0806
	etherIPv6   = 0x86dd
)

// frame takes down adverts and gratuitous ARP requests.
func (w *wire) frame(f netlab.Frame) {
	b := f.Data
	if len(b) < ethernetLen+ipLen+8 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if a, ok := readAdvert(b); ok {
		key := sender{from: a.src, id: byte(a.id)}
		s := w.adverts[key]
		if s == nil {
			s = &seen{first: f.At, last: f.At}
			w.adverts[key] = s
		}
		s.count++
		s.longest = max(s.longest, f.At.Sub(s.last))
		s.last = f.At
		return
	}
	if binary.BigEndian.Uint16(b[12:]) == etherARP {
		source, target := b[ethernetLen+14:][:4], b[ethernetLen+24:][:4]
		if a := netip.AddrFrom4([4]byte(source)); [4]byte(target) == a.As4() && w.arps[a].IsZero() {
			w.arps[a] = f.At
		}
	}
}

// of returns a copy of what one director sent in one election; count 0: nothing.
func (w *wire) of(from netip.Addr, id int) seen {
	w.mu.Lock()
	defer w.mu.Unlock()
	if s := w.adverts[sender{from, byte(id)}]; s != nil {
		return *s
	}
	return seen{}
}

// announced is when each address was first announced; missing ones are counted.
func (w *wire) announced(addresses []netip.Addr) (last time.Time, missing int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range addresses {
		at := w.arps[a]
		if at.IsZero() {
			missing++
		} else if at.After(last) {
			last = at
		}
	}
	return last, missing
}
