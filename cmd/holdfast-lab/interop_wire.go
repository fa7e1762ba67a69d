// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/holdfast-lb/holdfast/internal/netlab"
)

// An advert is what the wire shows of one, whoever sent it. It is read here and not by package vrrp, so that a mistake
// there cannot hide itself.
type advert struct {
	at       time.Time
	src      netip.Addr
	vmac     bool // sent from a virtual MAC address
	version  int
	id       int
	priority int
}

// A tape keeps all adverts that pass a LAN.
type tape struct {
	stop func() error

	mu   sync.Mutex
	seen []advert
}

// record begins a tape.
func record(lan *netlab.LAN) (t *tape, err error) {
	t = &tape{}
	t.stop, err = lan.Capture(t.frame)
	return t, err
}

func (t *tape) frame(f netlab.Frame) {
	if a, ok := readAdvert(f.Data); ok {
		a.at = f.At
		t.mu.Lock()
		t.seen = append(t.seen, a)
		t.mu.Unlock()
	}
}

// readAdvert finds the advert in an Ethernet frame.
func readAdvert(b []byte) (a advert, ok bool) {
	const protocol = 112
	if len(b) < ethernetLen+ipLen+8 {
		return a, false
	}
	a.vmac = slices.Equal(b[6:10], []byte{0, 0, 0x5e, 0})
	ip := b[ethernetLen:]
	var payload []byte
	switch kind := binary.BigEndian.Uint16(b[12:]); {
	case kind == etherIPv4 && ip[9] == protocol:
		a.src, payload = netip.AddrFrom4([4]byte(ip[12:16])), ip[min(int(ip[0]&0xf)*4, len(ip)):]
	case kind == etherIPv6 && len(ip) > 40 && ip[6] == protocol:
		a.src, payload = netip.AddrFrom16([16]byte(ip[8:24])), ip[40:]
	}
	if len(payload) < 8 {
		return a, false
	}
	a.version, a.id, a.priority = int(payload[0]>>4), int(payload[1]), int(payload[2])
	return a, true
}

// since are the adverts that were seen after a moment.
func (t *tape) since(after time.Time) []advert {
	t.mu.Lock()
	defer t.mu.Unlock()
	i, _ := slices.BinarySearchFunc(t.seen, after, func(a advert, t time.Time) int { return a.at.Compare(t) })
	return slices.Clone(t.seen[i:])
}

// next waits for the first advert after a moment that fits.
func (t *tape) next(ctx context.Context, after time.Time, timeout time.Duration, what string, fits func(advert) bool) (found advert, err error) {
	err = poll(ctx, timeout, func() error {
		for _, a := range t.since(after) {
			if fits(a) {
				found = a
				return nil
			}
		}
		return fmt.Errorf("no %s on the wire", what)
	})
	return found, err
}
