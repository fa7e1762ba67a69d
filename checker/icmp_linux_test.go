// SPDX-License-Identifier: Apache-2.0

package checker

import (
	"context"
	"errors"
	"net/netip"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/holdfast-lb/holdfast/internal/netlab"
)

var (
	director  = netip.MustParsePrefix("10.15.144.2/24")
	director2 = netip.MustParsePrefix("10.15.144.9/24")
	server    = netip.MustParsePrefix("10.15.144.3/24")
	director6 = netip.MustParsePrefix("fd00:15::2/64")
	other6    = netip.MustParsePrefix("fd00:15::9/64")
	server6   = netip.MustParsePrefix("fd00:15::3/64")
)

// pings returns a pinger whose sockets are on the host.
func pings(t *testing.T, h *netlab.Host) *pinger {
	t.Helper()
	p := new(pinger)
	t.Cleanup(p.close)
	if err := h.Do(func() error {
		_, err := p.socket(false)
		_, err6 := p.socket(true)
		return errors.Join(err, err6)
	}); err != nil {
		t.Fatal(err)
	}
	return p
}

// ping runs one check.
func ping(t *testing.T, p *pinger, c Config) Result {
	t.Helper()
	probe, err := p.newICMP(&c)
	if err != nil {
		t.Fatal(err)
	}
	if c.Timeout == 0 {
		c.Timeout = 10 * time.Second
	}
	ctx, cancel := context.WithTimeout(t.Context(), c.Timeout)
	defer cancel()
	return probe(ctx)
}

func target(addr netip.Addr) netip.AddrPort { return netip.AddrPortFrom(addr, 80) }

func TestICMP(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	lab := netlab.Test(t)
	lan, far := lab.LAN("lan"), lab.LAN("far")
	a := lab.Host("director").Join(lan, "eth0", director, director6)
	lab.Host("server").Join(lan, "eth0", server, server6)
	router := lab.Host("router")
	router.Join(lan, "eth0", netip.MustParsePrefix("10.15.144.1/24"), netip.MustParsePrefix("fd00:15::1/64"))
	router.Join(far, "eth1", netip.MustParsePrefix("10.16.0.1/24"), netip.MustParsePrefix("fd00:16::1/64"))
	router.Sysctl("net.ipv4.ip_forward", "1")
	router.Sysctl("net.ipv6.conf.all.forwarding", "1")
	a.Host.Route(netip.MustParsePrefix("10.16.0.0/15"), netip.MustParseAddr("10.15.144.1"))
	a.Host.Route(netip.MustParsePrefix("fd00:16::/31"), netip.MustParseAddr("fd00:15::1"))
	p := pings(t, a.Host)

	for _, tc := range []struct {
		name, target   string
		timeout        time.Duration
		reason, detail string
	}{
		{"answers", "10.15.144.3", 0, "", ""},
		{"answers, v6", "fd00:15::3", 0, "", ""},
		{"itself", "10.15.144.2", 0, "", ""},
		{"no such neighbour", "10.15.144.77", 0, "no route", "host unreachable, says 10.15.144.2"},
		{"no such neighbour, v6", "fd00:15::77", 0, "no route", "host unreachable, says fd00:15::2"},
		{"no such neighbour, in a hurry", "10.15.144.78", patience, "timeout", "ping 10.15.144.78"},
		{"router knows no host", "10.16.0.77", 0, "no route", "host unreachable, says 10.15.144.1"},
		{"router knows no network", "10.17.0.1", 0, "no route", "network unreachable, says 10.15.144.1"},
		{"router knows no network, v6", "fd00:17::1", 0, "no route", "no route, says fd00:15::1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := Config{Kind: ICMP, Target: target(netip.MustParseAddr(tc.target)), Timeout: tc.timeout}
			var res Result
			// explain asks for the route, so that all runs on the host.
			if err := a.Host.Do(func() error { res = ping(t, p, c); return nil }); err != nil {
				t.Fatal(err)
			}
			wantResult(t, res, tc.reason, tc.detail)
			if errors.Is(res.Err, ErrLocal) {
				t.Errorf("local: %v", res.Err)
			}
		})
	}
	t.Run("no route here", func(t *testing.T) {
		c := Config{Kind: ICMP, Target: target(netip.MustParseAddr("192.0.2.1"))}
		var res Result
		_ = a.Host.Do(func() error { res = ping(t, p, c); return nil })
		if wantResult(t, res, "no local network", "unreachable"); !errors.Is(res.Err, ErrLocal) {
			t.Errorf("not local: %v", res.Err)
		}
	})
}

// Requests come from the source, which is not the address that the kernel would choose.
func TestICMPSource(t *testing.T) {
	lab := netlab.Test(t)
	lan := lab.LAN("lan")
	a := lab.Host("director").Join(lan, "eth0", director, director2, director6, other6)
	lab.Host("server").Join(lan, "eth0", server, server6)
	p := pings(t, a.Host)
	for _, tc := range []struct{ target, source netip.Addr }{
		{server.Addr(), director.Addr()}, {server.Addr(), director2.Addr()},
		{server6.Addr(), director6.Addr()}, {server6.Addr(), other6.Addr()},
	} {
		seen := make(chan netip.Addr, 1)
		stop, err := lan.Capture(func(f netlab.Frame) {
			src, ok := requestSource(f.Data)
			if !ok {
				return
			}
			select {
			case seen <- src:
			default:
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		wantResult(t, ping(t, p, Config{Kind: ICMP, Target: target(tc.target), Source: tc.source}), "", "")
		select {
		case got := <-seen:
			if got != tc.source {
				t.Errorf("request to %s from %s, want %s", tc.target, got, tc.source)
			}
		case <-time.After(10 * time.Second):
			t.Errorf("no request to %s seen", tc.target)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	}
}

// requestSource is the source of an echo request in an Ethernet frame.
func requestSource(b []byte) (netip.Addr, bool) {
	switch {
	case len(b) > 34 && b[12] == 0x08 && b[13] == 0x00 && b[23] == 1 && b[34] == echoRequest:
		return netip.AddrFrom4([4]byte(b[26:30])), true
	case len(b) > 54 && b[12] == 0x86 && b[13] == 0xdd && b[20] == 58 && b[54] == echoRequest6:
		return netip.AddrFrom16([16]byte(b[22:38])), true
	}
	return netip.Addr{}, false
}

// A thousand checks at once share two sockets, and each gets its own answer.
func TestICMPManyAtOnce(t *testing.T) {
	lab := netlab.Test(t)
	lan := lab.LAN("lan")
	a := lab.Host("director").Join(lan, "eth0", director)
	lab.Host("server").Join(lan, "eth0", server)
	p := pings(t, a.Host)
	var wg sync.WaitGroup
	var mu sync.Mutex
	failed := make(map[string]int)
	for range 1000 {
		wg.Go(func() {
			res := ping(t, p, Config{Kind: ICMP, Target: target(server.Addr())})
			mu.Lock()
			defer mu.Unlock()
			if res.Err != nil {
				failed[res.Detail]++
			}
		})
	}
	wg.Wait()
	if len(failed) > 0 {
		t.Errorf("failed: %v", failed)
	}
	if len(p.waiting) != 0 {
		t.Errorf("%d still wait", len(p.waiting))
	}
}

// A server that goes silent times out; the pinger outlives the link that it sent over.
func TestICMPSilentServer(t *testing.T) {
	lab := netlab.Test(t)
	lan := lab.LAN("lan")
	a := lab.Host("director").Join(lan, "eth0", director, director6)
	s := lab.Host("server").Join(lan, "eth0", server, server6)
	p := pings(t, a.Host)
	c := Config{Kind: ICMP, Target: target(server.Addr())}
	wantResult(t, ping(t, p, c), "", "")
	s.Host.Sysctl("net.ipv4.icmp_echo_ignore_all", "1")
	c.Timeout = patience
	wantResult(t, ping(t, p, c), "timeout", "ping 10.15.144.3")
	s.Host.Sysctl("net.ipv4.icmp_echo_ignore_all", "0")
	c.Timeout = 0
	wantResult(t, ping(t, p, c), "", "")
}

// Without CAP_NET_RAW it is a ping socket, or a fault that says what to do.
func TestICMPUnprivileged(t *testing.T) {
	lab := netlab.Test(t)
	lan := lab.LAN("lan")
	a := lab.Host("director").Join(lan, "eth0", director, director6)
	lab.Host("server").Join(lan, "eth0", server, server6)
	for _, allowed := range []bool{true, false} {
		group := "1 0"
		if allowed {
			group = "0 1000"
		}
		a.Host.Sysctl("net.ipv4.ping_group_range", group)
		p := new(pinger)
		var results []Result
		if err := a.Host.Do(func() error {
			if err := dropNetRaw(); err != nil {
				return err
			}
			for _, addr := range []netip.Addr{server.Addr(), server6.Addr()} {
				results = append(results, ping(t, p, Config{Kind: ICMP, Target: target(addr)}))
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		for _, res := range results {
			if allowed {
				wantResult(t, res, "", "")
			} else if wantResult(t, res, "not permitted", "ping_group_range"); !errors.Is(res.Err, ErrLocal) {
				t.Errorf("not local: %v", res.Err)
			}
		}
		p.close()
	}
}

// dropNetRaw takes the capability from this thread, which ends with it.
func dropNetRaw() error {
	runtime.LockOSThread() // for good: Host.Do unlocks it once
	h := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&h, &data[0]); err != nil {
		return err
	}
	data[0].Effective &^= 1 << unix.CAP_NET_RAW
	return unix.Capset(&h, &data[0])
}

// Forged and broken messages are for nobody.
func TestICMPParse(t *testing.T) {
	to, from := netip.MustParseAddr("10.0.0.21"), netip.MustParseAddr("10.0.0.1")
	to6, from6 := netip.MustParseAddr("2001:db8::21"), netip.MustParseAddr("2001:db8::1")
	raw, raw6 := &echoSocket{raw: true, id: 7}, &echoSocket{raw: true, v6: true, id: 7}
	header := func(payload []byte) []byte {
		b := make([]byte, 20)
		b[0], b[9] = 0x45, 1
		copy(b[12:], from.AsSlice())
		copy(b[16:], to.AsSlice())
		return append(b, payload...)
	}
	header6 := func(payload []byte) []byte {
		b := make([]byte, 40)
		b[0], b[6] = 0x60, 58
		copy(b[24:], to6.AsSlice())
		return append(b, payload...)
	}
	reply := func(s *echoSocket, typ byte) []byte {
		b := s.request(9, 0x1122334455667788)
		b[0] = typ
		return b
	}
	good := message{to: to, seq: 9, cookie: 0x1122334455667788}
	good6 := message{to: to6, seq: 9, cookie: good.cookie}
	check := func(name string, s *echoSocket, b []byte, from netip.Addr, want message, ok bool, said string) {
		t.Helper()
		got, gotOK := s.parse(b, from)
		text := ""
		if got.err != nil {
			text = got.err.Error()
		}
		got.err = nil
		if got != want || gotOK != ok || text != said {
			t.Errorf("%s: got %+v %v %q, want %+v %v %q", name, got, gotOK, text, want, ok, said)
		}
	}
	other := &echoSocket{raw: true, id: 8}
	check("reply", raw, header(reply(raw, echoReply)), to, good, true, "")
	check("reply, v6", raw6, reply(raw6, echoReply6), to6, good6, true, "")
	check("ping socket", &echoSocket{}, reply(raw, echoReply), to, good, true, "")
	check("request", raw, header(raw.request(9, 1)), to, message{}, false, "")
	check("of another", raw, header(reply(other, echoReply)), to, message{}, false, "")
	check("without cookie", raw, header(reply(raw, echoReply)[:8]), to, message{}, false, "")

	request, request6 := header(raw.request(9, 1)[:8]), header6(raw6.request(9, 1)[:8])
	lost := message{to: to, seq: 9}
	check("unreachable", raw, header(append([]byte{3, 1, 0, 0, 0, 0, 0, 0}, request...)), from, lost, true, "host unreachable, says 10.0.0.1")
	check("unknown code", raw, header(append([]byte{3, 99, 0, 0, 0, 0, 0, 0}, request...)), from, lost, true, "unreachable, code 99, says 10.0.0.1")
	check("time exceeded", raw, header(append([]byte{11, 0, 0, 0, 0, 0, 0, 0}, request...)), from, lost, true,
		"time to live exceeded, so the route is a circle, says 10.0.0.1")
	check("unreachable, v6", raw6, append([]byte{1, 0, 0, 0, 0, 0, 0, 0}, request6...), from6, message{to: to6, seq: 9}, true, "no route, says 2001:db8::1")
	check("unreachable of another", other, header(append([]byte{3, 1, 0, 0, 0, 0, 0, 0}, request...)), from, message{}, false, "")
	for n := range header(append([]byte{3, 1, 0, 0, 0, 0, 0, 0}, request...)) {
		check("cut", raw, header(append([]byte{3, 1, 0, 0, 0, 0, 0, 0}, request...))[:n], from, message{}, false, "")
	}
	for n := range len(request6) + 8 {
		check("cut, v6", raw6, append([]byte{1, 0, 0, 0, 0, 0, 0, 0}, request6...)[:n], from6, message{}, false, "")
	}
	long := header(reply(raw, echoReply))
	long[0] = 0x4f // options over the end
	check("header too long", raw, long, to, message{}, false, "")
}

// An answer with another cookie, or from another host, is not taken.
func TestICMPCookie(t *testing.T) {
	p := new(pinger)
	to := netip.MustParseAddr("fe80::1%eth0")
	seq, e, err := p.expect(to)
	if err != nil {
		t.Fatal(err)
	}
	plain := to.WithZone("")
	p.answered(message{to: plain, seq: seq, cookie: e.cookie + 1})
	p.answered(message{to: plain, seq: seq + 1, cookie: e.cookie})
	p.answered(message{to: plain.Next(), seq: seq, cookie: e.cookie})
	p.answered(message{to: plain.Next(), seq: seq, err: syscall.EHOSTUNREACH})
	if len(e.answer) != 0 {
		t.Fatal("took a foreign answer")
	}
	p.answered(message{to: plain, seq: seq, cookie: e.cookie})
	p.answered(message{to: plain, seq: seq, cookie: e.cookie}) // to the second request
	if len(e.answer) != 1 || <-e.answer != nil {
		t.Error("did not take its answer")
	}
}

func TestICMPSequence(t *testing.T) {
	p := &pinger{last: 65533}
	for range 1 << 16 {
		if _, _, err := p.expect(netip.IPv6Loopback()); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := p.expect(netip.IPv6Loopback()); !errors.Is(err, unix.ENOBUFS) {
		t.Errorf("with all in use: %v", err)
	}
	p.forget(5)
	if seq, _, err := p.expect(netip.IPv6Loopback()); seq != 5 || err != nil {
		t.Errorf("got %d, %v, want the free one", seq, err)
	}
}

// FuzzICMPParse: no message makes it crash.
func FuzzICMPParse(f *testing.F) {
	f.Add([]byte("\x45\x00\x00\x24\x00\x00\x00\x00\x40\x01\x00\x00\x0a\x00\x00\x01\x0a\x00\x00\x15\x00\x00\x00\x00\x00\x07\x00\x09........"))
	f.Add([]byte("\x03\x01\x00\x00\x00\x00\x00\x00\x60"))
	from := netip.MustParseAddr("10.0.0.1")
	f.Fuzz(func(_ *testing.T, b []byte) {
		for _, s := range []*echoSocket{{raw: true}, {raw: true, v6: true}, {}, {v6: true}} {
			s.parse(b, from)
		}
	})
}
