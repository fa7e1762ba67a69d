// SPDX-License-Identifier: Apache-2.0

package checker

import (
	"encoding/binary"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// arpEvery is how long a server that has not answered ARP is not asked again.
	arpEvery = 10 * time.Second
	// arpWait is how long its answer may come after that to SYN, which was sent later.
	arpWait = 50 * time.Millisecond

	arpRequest = 1
	arpReply   = 2
)

// arpKey is a server that may answer ARP for a virtual address.
type arpKey struct {
	index   int // of the interface
	server  mac
	virtual netip.Addr
}

// arpAsk is a server that was asked.
type arpAsk struct {
	at    time.Time
	heard chan struct{} // closed when it has answered
}

// ask sends a server alone an ARP probe (RFC 5227 section 1.1) for a virtual address, unless it was asked lately and was
// silent. Nobody learns anything of a probe, and who has set arp_ignore does not answer one.
func (w *wires) ask(key arpKey, ours mac) (a *arpAsk, fresh bool, err error) {
	now := time.Now()
	w.mu.Lock()
	if a = w.asked[key]; a != nil && !a.answered() && now.Sub(a.at) < arpEvery {
		w.mu.Unlock()
		return a, false, nil
	}
	a = &arpAsk{at: now, heard: make(chan struct{})}
	w.asked[key] = a
	w.forget(now)
	w.mu.Unlock()
	return a, true, w.send(wireKey{key.index, unix.ETH_P_ARP}, key.server, appendProbe(nil, ours, key.virtual))
}

// forget drops what was asked long ago, now and then.
func (w *wires) forget(now time.Time) {
	if now.Sub(w.forgot) < time.Minute {
		return
	}
	w.forgot = now
	for key, a := range w.asked {
		if now.Sub(a.at) >= arpEvery {
			delete(w.asked, key)
		}
	}
}

func (a *arpAsk) answered() bool {
	select {
	case <-a.heard:
		return true
	default:
		return false
	}
}

// takeARP notes a reply to a probe.
func (w *wires) takeARP(index int, b []byte) {
	server, virtual, ok := parseReply(b)
	if !ok {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if a := w.asked[arpKey{index, server, virtual}]; a != nil && !a.answered() {
		close(a.heard)
	}
}

// appendProbe appends an ARP request for an address with none of the sender's (RFC 826, RFC 5227).
func appendProbe(b []byte, ours mac, addr netip.Addr) []byte {
	b = append(b, 0, 1, unix.ETH_P_IP>>8, unix.ETH_P_IP&0xff, 6, 4, 0, arpRequest)
	b = append(b, ours[:]...)
	b = append(b, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	return append(b, addr.AsSlice()...)
}

// parseReply reads an ARP reply for IPv4 over Ethernet: who says that it has which address.
func parseReply(b []byte) (who mac, addr netip.Addr, ok bool) {
	if len(b) < 28 || binary.BigEndian.Uint16(b[2:]) != unix.ETH_P_IP || b[4] != 6 || b[5] != 4 ||
		binary.BigEndian.Uint16(b[6:]) != arpReply {
		return mac{}, netip.Addr{}, false
	}
	return mac(b[8:14]), netip.AddrFrom4([4]byte(b[14:])), true
}
