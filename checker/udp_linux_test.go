// SPDX-License-Identifier: Apache-2.0

package checker

import (
	"context"
	"errors"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/internal/netlab"
)

// A host that is off, or that a router does not reach, fails the checks over UDP, also where silence would pass.
func TestUDPUnreachable(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	lab := netlab.Test(t)
	lan := lab.LAN("lan")
	a := lab.Host("director").Join(lan, "eth0", director, director6)
	router := lab.Host("router")
	router.Join(lan, "eth0", netip.MustParsePrefix("10.15.144.1/24"), netip.MustParsePrefix("fd00:15::1/64"))
	router.Sysctl("net.ipv4.ip_forward", "1")
	router.Sysctl("net.ipv6.conf.all.forwarding", "1")
	a.Host.Route(netip.MustParsePrefix("10.16.0.0/15"), netip.MustParseAddr("10.15.144.1"))
	a.Host.Route(netip.MustParsePrefix("fd00:16::/31"), netip.MustParseAddr("fd00:15::1"))
	for _, addr := range []string{"10.15.144.77", "fd00:15::77", "10.17.0.1", "fd00:17::1"} {
		c := Config{Kind: UDP, Target: target(netip.MustParseAddr(addr)), Send: "ping", DNS: DNSConfig{Name: "."}}
		udp, err := newUDP(&c, nil)
		dns, err2 := newDNS(&c, nil)
		if err := errors.Join(err, err2); err != nil {
			t.Fatal(err)
		}
		for kind, probe := range map[Kind]Probe{UDP: udp, DNS: dns} {
			var res Result
			if err := a.Host.Do(func() error {
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				res = probe(ctx)
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			if res.Reason != reasonNoRoute || errors.Is(res.Err, ErrLocal) {
				t.Errorf("%s of %s: got %q %q (%v), want %q", kind, addr, res.Reason, res.Detail, res.Err, reasonNoRoute)
			}
		}
	}
}

// What a router has dropped as too large is sent once more, in pieces.
func TestUDPTooLarge(t *testing.T) {
	lab := netlab.Test(t)
	lan, far := lab.LAN("lan"), lab.LAN("far")
	a := lab.Host("director").Join(lan, "eth0", director, director6)
	b := lab.Host("server").Join(far, "eth0", netip.MustParsePrefix("10.16.0.3/24"), netip.MustParsePrefix("fd00:16::3/64"))
	router := lab.Host("router")
	router.Join(lan, "eth0", netip.MustParsePrefix("10.15.144.1/24"), netip.MustParsePrefix("fd00:15::1/64"))
	narrow := router.Join(far, "eth1", netip.MustParsePrefix("10.16.0.1/24"), netip.MustParsePrefix("fd00:16::1/64"))
	router.Sysctl("net.ipv4.ip_forward", "1")
	router.Sysctl("net.ipv6.conf.all.forwarding", "1")
	for host, via := range map[*netlab.Host][2]string{a.Host: {"10.15.144.1", "fd00:15::1"}, b.Host: {"10.16.0.1", "fd00:16::1"}} {
		host.Route(netip.MustParsePrefix("10.0.0.0/8"), netip.MustParseAddr(via[0]))
		host.Route(netip.MustParsePrefix("fd00::/16"), netip.MustParseAddr(via[1]))
	}
	link, err := narrow.Host.Netlink().LinkByName("eth1")
	if err == nil {
		err = narrow.Host.Netlink().LinkSetMTU(link, 1300)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, addr := range []string{"10.16.0.3", "fd00:16::3"} {
		to := target(netip.MustParseAddr(addr))
		server, err := b.Host.ListenPacket("udp", to.String())
		if err != nil {
			t.Fatal(err)
		}
		defer server.Close()
		go func() {
			buf := make([]byte, 2000)
			for {
				n, from, err := server.ReadFrom(buf)
				if err != nil {
					return
				}
				_, _ = server.WriteTo([]byte(strconv.Itoa(n)), from)
			}
		}()
		c := Config{Kind: UDP, Target: to, Send: strings.Repeat("a", 1400)}
		probe, err := newUDP(&c, regexp.MustCompile("^1400$"))
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Host.Do(func() error {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			return probe(ctx).Err
		}); err != nil {
			t.Errorf("%s: %v", addr, err)
		}
	}
}
