// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"net/netip"
	"slices"
	"testing"
	"time"
)

func TestStrangers(t *testing.T) {
	now := time.Now()
	vip, peer := addr("192.0.2.100"), addr("192.0.2.2")
	s := Status{Config: Config{ID: 51, Addresses: []Address{
		{Prefix: prefix("192.0.2.100/24"), Device: "eth0"}, {Prefix: prefix("198.51.100.1/32"), Device: "eth1"}, {Prefix: prefix("2001:db8::1/64"), Device: "eth0"},
	}}}
	heard := s
	heard.Peers = []Peer{{Address: peer, LastSeen: now.Add(-time.Second)}}
	long := s
	long.Peers = []Peer{{Address: peer, LastSeen: now.Add(-time.Hour)}}
	says := func(a netip.Addr, device, mac string) Answer { return Answer{Address: a, Device: device, MAC: mac} }
	x, y := says(vip, "eth0", "02:00:00:00:00:0a"), says(vip, "eth0", "02:00:00:00:00:0b")
	peerIs := says(peer, "eth0", x.MAC)
	for name, c := range map[string]struct {
		s             Status
		answers, want []Answer
	}{
		"nobody":                          {s, nil, nil},
		"two others":                      {s, []Answer{x, y}, []Answer{x, y}},
		"the virtual MAC address":         {s, []Answer{says(vip, "eth0", "00:00:5e:00:01:33"), y}, []Answer{y}},
		"that of another router":          {s, []Answer{says(vip, "eth0", "00:00:5e:00:01:34")}, []Answer{says(vip, "eth0", "00:00:5e:00:01:34")}},
		"a director and another":          {heard, []Answer{x, y, peerIs}, []Answer{y}},
		"a director that is silent":       {heard, []Answer{x, y}, nil},
		"a director long gone":            {long, []Answer{x, peerIs}, []Answer{x}},
		"a director on another interface": {heard, []Answer{says(addr("198.51.100.1"), "eth1", "02:00:00:00:00:0c"), peerIs}, nil},
		"an address on another interface": {s, []Answer{says(vip, "eth1", "02:00:00:00:00:0c")}, nil},
	} {
		if got := c.s.Strangers(c.answers, now); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
	ask := heard.Asked(now)
	if len(ask) != 2 || !slices.Equal(ask["eth0"], []netip.Addr{vip, peer}) || !slices.Equal(ask["eth1"], []netip.Addr{addr("198.51.100.1"), peer}) {
		t.Errorf("asks for %v", ask)
	}
	if ask = long.Asked(now); !slices.Equal(ask["eth0"], []netip.Addr{vip}) {
		t.Errorf("asks for %v", ask)
	}
}
