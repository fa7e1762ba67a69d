// SPDX-License-Identifier: Apache-2.0

package checker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/holdfast-lb/holdfast/internal/netlab"
)

// pathSite is a director and a real server on one LAN, and another director that holds the virtual addresses.
type pathSite struct {
	director, server, other *netlab.Host
	wires                   *wires
	changes                 uint64
	lab                     *netlab.Lab
	lan                     *netlab.LAN
}

var (
	service4 = netip.MustParseAddrPort("10.9.0.100:80")
	service6 = netip.MustParseAddrPort("[fd09::100]:80")
	target4  = netip.MustParseAddrPort("10.9.0.21:80")
	target6  = netip.MustParseAddrPort("[fd09::21]:80")
)

func newPathSite(t testing.TB) *pathSite {
	lab := netlab.Test(t)
	lan := lab.LAN("lan")
	host := func(name string, last int) *netlab.Host {
		h := lab.Host(name)
		h.Join(lan, "eth0", prefix("10.9.0.%d/24", last), prefix("fd09::%d/64", last))
		return h
	}
	s := &pathSite{director: host("lb1", 11), other: host("lb2", 12), server: host("web1", 21), wires: newWires(), lab: lab, lan: lan}
	t.Cleanup(func() { s.wires.close() })
	s.hold(s.other)
	return s
}

func prefix(format string, args ...any) netip.Prefix {
	return netip.MustParsePrefix(fmt.Sprintf(format, args...))
}

// hold gives a director the virtual addresses.
func (s *pathSite) hold(h *netlab.Host) {
	h.Address("eth0", prefix("10.9.0.100/32"))
	_ = h.Do(func() error {
		link, err := netlink.LinkByName("eth0")
		if err == nil { // deprecated, as a virtual router has it
			_, all, _ := net.ParseCIDR("fd09::100/128")
			err = netlink.AddrReplace(link, &netlink.Addr{IPNet: all, ValidLft: 1 << 30})
		}
		return err
	})
}

// realServer sets the server up as it has to be.
func (s *pathSite) realServer() {
	s.quiet()
	s.server.Address("lo", prefix("10.9.0.100/32"))
	s.server.Address("lo", prefix("fd09::100/128"))
}

func (s *pathSite) quiet() {
	s.server.Sysctl("net.ipv4.conf.all.arp_ignore", "1")
	s.server.Sysctl("net.ipv4.conf.all.arp_announce", "2")
}

// listen starts services on a host.
func listen(t testing.TB, h *netlab.Host, addrs ...string) {
	t.Helper()
	for _, addr := range addrs {
		var l net.Listener
		if err := netlab.Poll(5*time.Second, func() (err error) { // an IPv6 address is not there at once
			l, err = h.Listen("tcp", addr)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if errors.Is(err, net.ErrClosed) {
					return
				}
				if err == nil {
					_ = c.Close()
				}
			}
		}()
	}
}

// check runs one check inside the director.
func (s *pathSite) check(t testing.TB, c Config, then Probe) Result {
	t.Helper()
	var res Result
	err := s.director.Do(func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second) // the kernel solicits a neighbour once a second
		defer cancel()
		res = (&pathCheck{config: &c, wires: s.wires, changes: s.changes, then: then}).run(ctx)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return res
}

var ends = map[string]Config{
	"IPv4": {Kind: TCP, Path: true, Target: target4, Service: service4, Source: netip.MustParseAddr("10.9.0.11")},
	"IPv6": {Kind: TCP, Path: true, Target: target6, Service: service6, Source: netip.MustParseAddr("fd09::11")},
}

// A server is found to be wrong although its own address answers, by a director that holds the virtual address and by
// one that does not.
func TestPath(t *testing.T) {
	for _, tc := range []struct {
		name           string
		server         func(*testing.T, *pathSite)
		reason, detail string
	}{
		{"right", func(t *testing.T, s *pathSite) {
			s.realServer()
			listen(t, s.server, ":80")
		}, "", ""},
		{"on the virtual address alone", func(t *testing.T, s *pathSite) {
			s.realServer()
			listen(t, s.server, service4.String(), service6.String())
		}, "", ""},
		{"without the virtual address", func(t *testing.T, s *pathSite) {
			s.quiet()
			listen(t, s.server, ":80")
		}, "virtual address", "is it on lo of the server?"},
		{"on its own address alone", func(t *testing.T, s *pathSite) {
			s.realServer()
			listen(t, s.server, target4.String(), target6.String())
		}, "virtual address", "nothing listens on it"},
		{"no service", func(_ *testing.T, s *pathSite) { s.realServer() }, "connection refused", ""},
		{"neither service nor virtual address", func(_ *testing.T, s *pathSite) { s.quiet() }, "connection refused", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := newPathSite(t)
			tc.server(t, s)
			for _, role := range []string{"backup", "master"} {
				if role == "master" {
					s.hold(s.director)
				}
				for family, c := range ends {
					res := s.check(t, c, nil)
					if res.Reason != tc.reason || !strings.Contains(res.Detail, tc.detail) {
						t.Errorf("%s, %s: got %q: %s", role, family, res.Reason, res.Detail)
					}
				}
			}
		})
	}
}

// A server that answers ARP for the virtual address takes it from the director: found at once, and passed at once when
// mended. One that does not is not asked again and again.
func TestPathARP(t *testing.T) {
	s := newPathSite(t)
	probes := make(chan struct{}, 100)
	stop, err := s.lan.Capture(func(f netlab.Frame) {
		if who := f.Data[14:]; len(who) >= 28 && f.Data[12] == 8 && f.Data[13] == 6 && [4]byte(who[14:]) == [4]byte{} {
			probes <- struct{}{}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	s.realServer()
	s.server.Sysctl("net.ipv4.conf.all.arp_ignore", "0")
	listen(t, s.server, ":80")
	for range 2 {
		if res := s.check(t, ends["IPv4"], nil); res.Reason != "arp" || !strings.Contains(res.Detail, "arp_ignore = 1") {
			t.Fatalf("got %q: %s", res.Reason, res.Detail)
		}
	}
	s.quiet()
	for range 5 {
		if res := s.check(t, ends["IPv4"], nil); res.Err != nil {
			t.Fatalf("mended: %s", res.Detail)
		}
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if len(probes) != 3 {
		t.Errorf("got %d ARP probes, want 3: each time while it answers, and once after", len(probes))
	}
}

// The server is left without a connection that is half open, and SYN is sent once more when it is not answered.
func TestPathSegments(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	s := newPathSite(t)
	var mu sync.Mutex
	var seen []byte
	stop, err := s.lan.Capture(func(f netlab.Frame) {
		if seg, ok := parseSegment(f.Data[14:]); ok && seg.to == service4 {
			mu.Lock()
			defer mu.Unlock()
			seen = append(seen, seg.flags)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	s.quiet()
	s.hold(s.director) // whose kernel then drops the answer; a backup's sends RST, too, to whoever holds the address
	listen(t, s.server, ":80")
	if res := s.check(t, ends["IPv4"], nil); res.Reason != "virtual address" {
		t.Errorf("got %q", res.Reason)
	}
	s.realServer()
	if res := s.check(t, ends["IPv4"], nil); res.Err != nil {
		t.Error(res.Err)
	}
	want := []byte{flagSYN, flagSYN, flagSYN, flagRST}
	if err := netlab.Poll(5*time.Second, func() error {
		mu.Lock()
		defer mu.Unlock()
		if !bytes.Equal(seen, want) {
			return fmt.Errorf("got flags %#x, want %#x", seen, want)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

// What is left to ask is asked at the server's own address, once the way is open.
func TestPathThen(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	s := newPathSite(t)
	listen(t, s.server, ":80")
	asked := 0
	then := func(context.Context) Result {
		asked++
		return failure(reasonStatus, errors.New("503"))
	}
	if res := s.check(t, ends["IPv4"], then); res.Reason != "virtual address" || asked != 0 {
		t.Errorf("closed: got %q, asked %d times", res.Reason, asked)
	}
	s.realServer()
	if res := s.check(t, ends["IPv4"], then); res.Reason != "status" || asked != 1 {
		t.Errorf("open: got %q, asked %d times", res.Reason, asked)
	}
}

// A server that is gone does not answer ARP, and one behind a router cannot be reached with direct routing.
func TestPathNoWay(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	s := newPathSite(t)
	for family, c := range ends {
		c.Target = netip.MustParseAddrPort(map[string]string{"IPv4": "10.9.0.22:80", "IPv6": "[fd09::22]:80"}[family])
		if res := s.check(t, c, nil); res.Reason != "no route" || errors.Is(res.Err, ErrLocal) {
			t.Errorf("gone, %s: got %v", family, res.Err)
		}
	}
	c := ends["IPv4"]
	c.Target = netip.MustParseAddrPort("192.0.2.1:80")
	if res := s.check(t, c, nil); res.Reason != "no local network" || !errors.Is(res.Err, ErrLocal) {
		t.Errorf("no route here: got %v", res.Err)
	}
	s.director.Route(prefix("192.0.2.0/24"), netip.MustParseAddr("10.9.0.12"))
	if res := s.check(t, c, nil); res.Reason != "router" || errors.Is(res.Err, ErrLocal) {
		t.Errorf("behind a router: got %v", res.Err)
	}
	c = ends["IPv4"]
	c.Source = c.Service.Addr()
	if res := s.check(t, c, nil); !errors.Is(res.Err, ErrLocal) {
		t.Errorf("from the virtual address: got %v", res.Err)
	}
}

// Many checks at once share the sockets of an interface, and one that has been down is used again.
func TestPathSharedSockets(t *testing.T) {
	s := newPathSite(t)
	s.realServer()
	listen(t, s.server, ":80")
	before := descriptors(t)
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			if res := s.check(t, ends["IPv4"], nil); res.Err != nil {
				t.Error(res.Err)
			}
		})
	}
	wg.Wait()
	if n := descriptors(t) - before; n > 2 {
		t.Errorf("%d descriptors are left open, want one each for IPv4 and ARP", n)
	}
	link, err := s.director.Netlink().LinkByName("eth0")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.director.Netlink().LinkSetDown(link), s.director.Netlink().LinkSetUp(link)); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return s.check(t, ends["IPv4"], nil).Err == nil })
	gone := s.wires.send(wireKey{link.Attrs().Index + 1000, unix.ETH_P_IP}, mac{}, nil)
	s.wires.close()
	eventually(t, func() bool { return descriptors(t) <= before })
	if closed := s.wires.send(wireKey{link.Attrs().Index, unix.ETH_P_IP}, mac{}, nil); closed != unix.ENETDOWN || gone != unix.ENETDOWN {
		t.Errorf("on an interface that is gone: %v; closed: %v", gone, closed)
	}
}

// The kernel is asked for a route once, until addresses or links change or a check fails.
func TestPathRoute(t *testing.T) {
	s := newPathSite(t)
	s.realServer()
	listen(t, s.server, ":80")
	want := func(what, reason string) {
		t.Helper()
		if res := s.check(t, ends["IPv4"], nil); res.Reason != reason {
			t.Errorf("%s: got %q, want %q: %v", what, res.Reason, reason, res.Err)
		}
	}
	want("at first", "")
	_, all, _ := net.ParseCIDR("10.9.0.21/32")
	detour := &netlink.Route{Dst: all, Gw: net.IPv4(10, 9, 0, 12)}
	if err := s.director.Netlink().RouteAdd(detour); err != nil {
		t.Fatal(err)
	}
	want("as it was known", "")
	s.changes++
	want("after a change", "router")
	if err := s.director.Netlink().RouteDel(detour); err != nil {
		t.Fatal(err)
	}
	want("after a failure", "")
}

// The answers to as many checks as may be in flight find room before the first one is read.
func TestPathAnswersAtOnce(t *testing.T) {
	s := newPathSite(t)
	local := netip.MustParseAddrPort("10.9.0.11:1024")
	link, err := s.director.Netlink().LinkByName("eth0")
	if err != nil {
		t.Fatal(err)
	}
	key := wireKey{link.Attrs().Index, unix.ETH_P_IP}
	var w *wire
	if err := s.director.Do(func() (err error) { w, err = openWire(key); return err }); err != nil {
		t.Fatal(err)
	}
	defer w.f.Close()
	answers := newWires()
	defer answers.close()
	answer := appendSegment(nil, service4, local, 0, flagSYN|flagACK)
	answer[20+8] = sequenceMark
	if err := s.server.Do(func() error {
		from, err := net.InterfaceByName("eth0")
		if err != nil {
			return err
		}
		for range defaultConcurrency {
			if err := answers.send(wireKey{from.Index, unix.ETH_P_IP}, mac(link.Attrs().HardwareAddr), answer); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	got := 0
	eventually(t, func() bool {
		if err := w.conn.Control(func(fd uintptr) {
			for b := make([]byte, 128); ; got++ {
				if _, _, err := unix.Recvfrom(int(fd), b, unix.MSG_DONTWAIT); err != nil {
					return
				}
			}
		}); err != nil {
			t.Fatal(err)
		}
		return got == defaultConcurrency
	})
}

// A Set runs it, and asks a server on this very host directly.
func TestPathInSet(t *testing.T) {
	up, down := serve(t, silent), closed(t)
	c := Config{Kind: TCP, Path: true, Service: service4, Interval: time.Hour, Timeout: 5 * time.Second, Rise: 1, Fall: 1}
	changes := make(chan Change)
	s := NewSet(Options{OnChange: func(c Change) { changes <- c }})
	var in []Check
	for name, target := range map[string]netip.AddrPort{"up": up, "down": down} {
		c.Target = target
		in = append(in, NewCheck(Key{"web", name, "tcp"}, c))
	}
	s.Apply(in)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	for range in {
		if c := <-changes; c.Verdict.String() != c.Key.Server {
			t.Errorf("%s: got %s: %s", c.Key.Server, c.Verdict, c.Detail)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// A server that has not the virtual address but forwards sends the packet on to the director, whose IPVS passes it to
// another server, which answers. That passes nobody; nor is the director's own service in the way of its checks.
func TestPathBesideIPVS(t *testing.T) {
	netlab.RequireIPVS(t)
	s := newPathSite(t)
	right := s.lab.Host("web2")
	right.Join(s.lan, "eth0", prefix("10.9.0.22/24"), prefix("fd09::22/64"))
	wrong := s.server
	s.server = right
	s.realServer()
	wrong.Sysctl("net.ipv4.ip_forward", "1")
	wrong.Sysctl("net.ipv6.conf.all.forwarding", "1")
	wrong.Sysctl("net.ipv4.conf.all.send_redirects", "0")
	listen(t, right, ":80")
	listen(t, wrong, ":80")
	balance := func(h *netlab.Host) {
		for family, c := range ends {
			server := map[string]string{"IPv4": "10.9.0.22:80", "IPv6": "[fd09::22]:80"}[family]
			for _, args := range [][]string{
				{"-A", "-t", c.Service.String(), "-s", "rr"},
				{"-a", "-t", c.Service.String(), "-r", server, "-g"},
			} {
				if out, err := h.Command(t.Context(), "ipvsadm", args...).CombinedOutput(); err != nil {
					t.Fatalf("ipvsadm %v: %v: %s", args, err, out)
				}
			}
		}
	}
	balance(s.other)
	for family, c := range ends {
		conn, err := s.director.Dial(t.Context(), "tcp", c.Service.String())
		if err != nil {
			t.Fatalf("%s: the service does not work: %v", family, err)
		}
		_ = conn.Close()
	}
	for _, role := range []string{"backup", "master"} {
		if role == "master" {
			s.hold(s.director)
			balance(s.director)
		}
		for family, c := range ends {
			if res := s.check(t, c, nil); res.Reason != "virtual address" || !strings.Contains(res.Detail, "is it on lo of the server?") {
				t.Errorf("%s, %s, wrong server: got %q: %s", role, family, res.Reason, res.Detail)
			}
			c.Target = netip.MustParseAddrPort(map[string]string{"IPv4": "10.9.0.22:80", "IPv6": "[fd09::22]:80"}[family])
			if res := s.check(t, c, nil); res.Err != nil {
				t.Errorf("%s, %s, right server: got %q: %s", role, family, res.Reason, res.Detail)
			}
		}
	}
}

func BenchmarkPath(b *testing.B) {
	s := newPathSite(b)
	s.realServer()
	listen(b, s.server, ":80")
	b.ReportAllocs()
	for b.Loop() {
		if res := s.check(b, ends["IPv4"], nil); res.Err != nil {
			b.Fatal(res.Err)
		}
	}
}
