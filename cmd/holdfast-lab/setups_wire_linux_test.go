// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/binary"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/internal/netlab"
)

// A packet is a TCP packet on a LAN, or an ARP answer.
type packet struct {
	to, from net.HardwareAddr
	id       uint16         // of the IP header
	outer    [2]netip.Addr  // of a tunnel's header: source and destination; not valid: there is none
	src, dst netip.AddrPort // an ARP answer: src says whose
	arp      bool
}

// readPacket reads a frame.
func readPacket(b []byte) (p packet, ok bool) {
	if len(b) < ethernetLen+ipLen+8 {
		return p, false
	}
	p.to, p.from = slices.Clone(b[:6]), slices.Clone(b[6:12])
	ip := b[ethernetLen:]
	switch binary.BigEndian.Uint16(b[12:]) {
	case etherARP:
		p.arp = true
		p.src = netip.AddrPortFrom(netip.AddrFrom4([4]byte(ip[14:])), 0)
		return p, binary.BigEndian.Uint16(ip[6:]) == 2
	case etherIPv4:
	default:
		return p, false
	}
	const ipip, tcp = 4, 6
	if ip[9] == ipip && len(ip) >= 2*ipLen+8 {
		p.outer = [2]netip.Addr{netip.AddrFrom4([4]byte(ip[12:])), netip.AddrFrom4([4]byte(ip[16:]))}
		ip = ip[ipLen:]
	}
	p.id = binary.BigEndian.Uint16(ip[4:])
	p.src = netip.AddrPortFrom(netip.AddrFrom4([4]byte(ip[12:])), binary.BigEndian.Uint16(ip[ipLen:]))
	p.dst = netip.AddrPortFrom(netip.AddrFrom4([4]byte(ip[16:])), binary.BigEndian.Uint16(ip[ipLen+2:]))
	return p, ip[9] == tcp && ip[0] == 0x45
}

// capture returns what there is to see while the client asks for the target, the address of which it has forgotten.
func (l *customerLab) capture(t *testing.T) []packet {
	t.Helper()
	var mu sync.Mutex
	var seen []packet
	stop, err := l.watch.Capture(func(f netlab.Frame) {
		if p, ok := readPacket(f.Data); ok {
			mu.Lock()
			defer mu.Unlock()
			seen = append(seen, p)
		}
	})
	must(t, err)
	out, err := l.client.Command(t.Context(), "ip", "neighbour", "flush", "all").CombinedOutput()
	if err != nil {
		t.Fatalf("ip neighbour flush: %v: %s", err, out)
	}
	l.load(t, func() error { return nil })
	time.Sleep(200 * time.Millisecond)
	must(t, stop())
	return seen
}

// clientIP is the address that the client asks from.
func (l *customerLab) clientIP() netip.Addr {
	if l.routed != nil {
		return addr("10.9.0.10")
	}
	addresses, err := l.client.Addresses("eth0")
	if err != nil {
		return netip.Addr{}
	}
	i := slices.IndexFunc(addresses, func(p netip.Prefix) bool { return p.Addr().Is4() })
	return addresses[i].Addr()
}

// mac is the address of the first director in the LAN that is looked at.
func (l *customerLab) mac() string {
	i := slices.IndexFunc(l.directors[0].ports, func(p *netlab.Port) bool { return p.LAN == l.watch })
	return l.directors[0].ports[i].MAC.String()
}

func (l *customerLab) serverMAC(mac net.HardwareAddr) bool {
	return slices.ContainsFunc(l.wires, func(p *netlab.Port) bool { return p.MAC.String() == mac.String() })
}

// translated: NAT changes the destination on the way in, and the servers' answers go to the director's MAC.
func translated(t *testing.T, l *customerLab, seen []packet) {
	in, out := 0, 0
	for _, p := range seen {
		switch client := l.clientIP(); {
		case p.arp:
		case p.src.Addr() == client && slices.Contains(l.servers, p.dst.Addr()) && l.serverMAC(p.to):
			in++
		case p.dst.Addr() == client && slices.Contains(l.servers, p.src.Addr()) && p.to.String() == l.mac():
			out++
		case p.src.Addr() == client || p.dst.Addr() == client:
			t.Errorf("between director and servers: %+v", p)
		}
	}
	if in == 0 || out == 0 {
		t.Errorf("saw %d packets to the servers and %d answers in %d", in, out, len(seen))
	}
}

// answeredByDirector: nobody but the director answers who-has for the virtual address, and no answer of a real server
// passes the director.
func answeredByDirector(t *testing.T, l *customerLab, seen []packet) {
	answers := 0
	for _, p := range seen {
		if p.arp && p.src.Addr() == l.vip {
			answers++
			if p.from.String() != l.mac() {
				t.Errorf("%s answers for the virtual address", p.from)
			}
		}
	}
	if answers == 0 {
		t.Errorf("no ARP answer for the virtual address in %d packets", len(seen))
	}
	out := l.ipvsadm(t, "-Ln", "--stats", "--exact")
	for line := range strings.Lines(out) {
		f := strings.Fields(strings.TrimPrefix(strings.TrimSpace(line), "-> "))
		if i := slices.IndexFunc(f, func(s string) bool { return strings.Contains(s, ":") }); f[i+1] == "0" || f[i+3] != "0" {
			t.Errorf("want connections and no packets out: %s", line)
		}
	}
}

// readdressed: DR changes the destination MAC of a request and nothing of its IP header.
func readdressed(t *testing.T, l *customerLab, seen []packet) {
	type header struct {
		id       uint16
		src, dst netip.AddrPort
	}
	arrived, passed := make(map[header]bool), 0
	for _, p := range seen {
		h := header{p.id, p.src, p.dst}
		switch {
		case p.arp || p.dst != l.target:
		case p.to.String() == l.mac():
			arrived[h] = true
		case l.serverMAC(p.to) && arrived[h]:
			passed++
		default:
			t.Errorf("to the virtual address, and neither to the director nor as it came: %+v", p)
		}
	}
	if passed == 0 || passed < len(arrived)*9/10 {
		t.Errorf("of %d packets %d went on unchanged", len(arrived), passed)
	}
	answeredByDirector(t, l, seen)
}

// wrapped: a tunnel puts a header from the director to the real server around the client's packet.
func wrapped(t *testing.T, l *customerLab, seen []packet) {
	n := 0
	for _, p := range seen {
		switch {
		case p.arp || p.dst != l.target:
		case p.outer[0] == addr("192.168.1.100") && slices.Contains(l.servers, p.outer[1]) && p.src.Addr() == l.clientIP() && l.serverMAC(p.to):
			n++
		default:
			t.Errorf("to the virtual address, and not in a tunnel: %+v", p)
		}
	}
	if n == 0 {
		t.Errorf("no packet in a tunnel among %d", len(seen))
	}
}
