// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"strings"
	"testing"
)

func TestRouteString(t *testing.T) {
	for want, r := range map[string]Route{
		"198.51.100.0/24 dev eth0": {Destination: prefix("198.51.100.0/24"), Device: "eth0"},
		"192.0.2.0/24 via 10.0.0.1 dev eth1 src 10.0.0.100 table 100 metric 50": {
			Destination: prefix("192.0.2.0/24"), Via: addr("10.0.0.1"), Device: "eth1", Source: addr("10.0.0.100"), Table: 100, Metric: 50,
		},
		"::/0 via fe80::1 dev eth0": {Destination: prefix("::/0"), Via: addr("fe80::1"), Device: "eth0"},
	} {
		if got := r.String(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestHoldRoutes(t *testing.T) {
	_, port, n := oneHost(t)
	port.Host.Address("eth0", prefix("2001:db8::10/64"))
	virtual := []Address{vip(100), vip6("2001:db8::100/64")}
	routes := []Route{
		{Destination: prefix("198.51.100.0/24"), Via: addr("192.0.2.1"), Device: "eth0", Source: addr("192.0.2.100"), Metric: 50},
		{Destination: prefix("198.51.100.7/24"), Device: "eth0", Table: 100},
		{Destination: prefix("0.0.0.0/0"), Via: addr("192.0.2.1"), Device: "eth0", Table: 1000},
		{Destination: prefix("2001:db8:1::/48"), Via: addr("2001:db8::1"), Device: "eth0", Source: addr("2001:db8::100"), Metric: 7},
		{Destination: prefix("2001:db8:2::/48"), Device: "eth0"},
	}
	shown := func() (lines []string) {
		for _, show := range []string{"-4 route show table all proto 112", "-6 route show table all proto 112"} {
			for line := range strings.Lines(ip(t, port.Host, show)) {
				lines = append(lines, strings.Join(strings.Fields(line), " "))
			}
		}
		return lines
	}
	want := []string{
		"default via 192.0.2.1 dev eth0 table 1000",
		"198.51.100.0/24 dev eth0 table 100 scope link",
		"198.51.100.0/24 via 192.0.2.1 dev eth0 src 192.0.2.100 metric 50",
		"2001:db8:1::/48 via 2001:db8::1 dev eth0 src 2001:db8::100 metric 7 pref medium",
		"2001:db8:2::/48 dev eth0 metric 1024 pref medium",
	}
	are := func(what string, want []string) {
		t.Helper()
		got := strings.Join(shown(), "\n")
		for _, w := range want {
			if !strings.Contains(got, w) {
				t.Errorf("%s: no %s among\n%s", what, w, got)
			}
		}
		if n := len(shown()); n != len(want) {
			t.Errorf("%s: %d routes, want %d:\n%s", what, n, len(want), got)
		}
	}
	// Another's to the same destination is replaced, and not put beside.
	ip(t, port.Host, "route add 198.51.100.0/24 via 192.0.2.7 metric 50")
	must(t, n.Hold(virtual, 0))
	must(t, n.HoldRoutes(routes))
	are("held", want)
	if out := ip(t, port.Host, "route show 198.51.100.0/24"); strings.Contains(out, "192.0.2.7") {
		t.Errorf("still there: %s", out)
	}
	must(t, n.HoldRoutes(routes))
	are("held again", want)
	ip(t, port.Host, "route del 198.51.100.0/24 metric 50")
	ip(t, port.Host, "-6 route del 2001:db8:2::/48")
	must(t, n.HoldRoutes(routes))
	are("put back", want)

	// Only ours go, and what went with its source address is no error.
	ip(t, port.Host, "route add 198.51.100.0/24 via 192.0.2.7 table 100 metric 9")
	must(t, n.Release(virtual))
	must(t, n.ReleaseRoutes(routes))
	must(t, n.ReleaseRoutes(routes))
	are("released", nil)
	if out := ip(t, port.Host, "route show table 100"); !strings.Contains(out, "192.0.2.7") {
		t.Errorf("another's route is gone: %s", out)
	}

	err := n.HoldRoutes([]Route{{Destination: prefix("203.0.113.0/24"), Via: addr("10.9.9.9"), Device: "eth0"}})
	if want := "add route 203.0.113.0/24 via 10.9.9.9 dev eth0: network is unreachable"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	err = n.HoldRoutes([]Route{{Destination: prefix("203.0.113.0/24"), Device: "eth9"}})
	if want := "add route 203.0.113.0/24 dev eth9: interface eth9 does not exist"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	must(t, n.ReleaseRoutes([]Route{{Destination: prefix("203.0.113.0/24"), Device: "eth9"}}))
}
