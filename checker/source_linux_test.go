// SPDX-License-Identifier: Apache-2.0

package checker

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/holdfast-lb/holdfast/internal/netlab"
)

// hosts are a director and a real server that notes who connects.
type hosts struct {
	director *netlab.Host
	server   *netlab.Host
	port     *netlab.Port // of the director

	mu   sync.Mutex
	from map[netip.Addr]bool
}

func newHosts(t *testing.T) *hosts {
	t.Helper()
	netlab.Require(t)
	lab := netlab.New()
	t.Cleanup(func() { _ = lab.Close() })
	lan := lab.LAN("lan")
	h := &hosts{director: lab.Host("lb1"), from: make(map[netip.Addr]bool)}
	h.port = h.director.Join(lan, "eth0", netip.MustParsePrefix("10.1.0.2/16"), netip.MustParsePrefix("2001:db8::2/48"))
	server := lab.Host("web1")
	h.server = server
	server.Join(lan, "eth0", netip.MustParsePrefix("10.1.5.7/16"), netip.MustParsePrefix("2001:db8:0:5::107/48"))
	if err := lab.Err(); err != nil {
		t.Fatal(err)
	}
	l, err := server.Listen("tcp", ":80")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	t.Cleanup(func() { _ = l.Close(); wg.Wait() })
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			h.mu.Lock()
			h.from[c.RemoteAddr().(*net.TCPAddr).AddrPort().Addr().Unmap()] = true
			h.mu.Unlock()
			_ = c.Close()
		}
	})
	return h
}

// seen is who connected since it was last asked; it waits for somebody.
func (h *hosts) seen(t *testing.T) map[netip.Addr]bool {
	t.Helper()
	h.mu.Lock()
	clear(h.from)
	h.mu.Unlock()
	eventually(t, func() bool { h.mu.Lock(); defer h.mu.Unlock(); return len(h.from) > 0 })
	time.Sleep(100 * time.Millisecond) // of any more
	h.mu.Lock()
	defer h.mu.Unlock()
	out := h.from
	h.from = make(map[netip.Addr]bool)
	return out
}

// run runs checks on the director until the test ends.
func (h *hosts) run(t *testing.T, o Options, checks ...Check) *Set {
	t.Helper()
	s := NewSet(o)
	s.Apply(checks)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- h.director.Do(func() error { return s.Run(ctx) }) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	return s
}

// No check is sent from an address that moves, unless it is told to.
func TestSource(t *testing.T) {
	for _, tc := range []struct{ family, target, virtual, own string }{
		{"IPv4", "10.1.5.7", "10.1.5.100/24", "10.1.0.2"},
		{"IPv6", "2001:db8:0:5::107", "2001:db8:0:5::100/64", "2001:db8::2"},
	} {
		t.Run(tc.family, func(t *testing.T) {
			h := newHosts(t)
			virtual, own := netip.MustParsePrefix(tc.virtual), netip.MustParseAddr(tc.own)
			c := NewCheck(Key{"web", "web1", "tcp"}, Config{
				Kind: TCP, Target: netip.AddrPortFrom(netip.MustParseAddr(tc.target), 80), Interval: 20 * time.Millisecond, Timeout: time.Second,
			})
			s := h.run(t, Options{Virtual: func(a netip.Addr) bool { return a == virtual.Addr() }}, c)
			want := func(when string, addr netip.Addr) {
				t.Helper()
				if got := h.seen(t); len(got) != 1 || !got[addr] {
					t.Errorf("%s: checked from %v, want %v", when, got, addr)
				}
			}
			want("as backup", own)
			h.director.Address("eth0", virtual)
			if err := h.director.Do(func() error { // not before duplicate address detection
				eventually(t, func() bool { a, err := kernelSource(c.Target.Addr()); return err == nil && a == virtual.Addr() })
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			s.AddressesChanged()
			time.Sleep(50 * time.Millisecond) // for those in flight
			want("as master", own)
			s.Apply([]Check{with(c, func(c *Config) { c.Source = virtual.Addr() })})
			time.Sleep(50 * time.Millisecond)
			want("as told", virtual.Addr())
		})
	}
}

// What is behind a link of ours that is down is not judged; what does not answer on one that is up, is.
func TestLinkDown(t *testing.T) {
	h := newHosts(t)
	web := NewCheck(Key{"web", "web1", "tcp"}, Config{
		Kind: TCP, Target: netip.MustParseAddrPort("10.1.5.7:80"), Interval: 20 * time.Millisecond, Timeout: 100 * time.Millisecond, Rise: 1, Fall: 2,
	})
	dead := web
	dead.Key.Server, dead.Target = "web2", netip.MustParseAddrPort("10.1.5.8:80")
	names := with(web, func(c *Config) { c.Kind, c.Timeout = UDP, 20*time.Millisecond }) // silence passes
	names.Key, names.Target = Key{"dns", "ns1", "udp"}, netip.MustParseAddrPort("10.1.5.7:53")
	mute, err := h.server.ListenPacket("udp", "10.1.5.7:53")
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	s := h.run(t, Options{}, web, dead, names)
	verdicts := func(web, dead Verdict) func() bool {
		return func() bool { st := s.Snapshot(); return st[0].Verdict == web && st[1].Verdict == dead }
	}
	eventually(t, verdicts(Up, Down))
	if err := h.port.Unplug(); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return s.Snapshot()[0].Counts.Local > 5 })
	if st := s.Snapshot()[0]; st.Verdict != Up || st.Counts.Failed > 0 || st.Reason != reasonNetwork || !strings.Contains(st.Detail, "eth0 here was down") {
		t.Errorf("carrier lost: got %s, %d failed, %q %q; want up, 0, %q", st.Verdict, st.Counts.Failed, st.Reason, st.Detail, reasonNetwork)
	}
	eventually(t, func() bool { return s.Snapshot()[2].Counts.Local > 5 })
	passed := s.Snapshot()[2].Counts.Passed
	eventually(t, func() bool { return s.Snapshot()[2].Counts.Local > 10 })
	if st := s.Snapshot()[2]; st.Counts.Passed != passed || passed == 0 || st.Verdict != Up || !strings.Contains(st.Detail, "no answer, and no ICMP error, and eth0 here was down") {
		t.Errorf("carrier lost: silence passed %d times, then %d; %s, %s", passed, st.Counts.Passed-passed, st.Verdict, st.Detail)
	}
	if err := h.port.Plug(); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return s.Snapshot()[0].Reason == "" && verdicts(Up, Down)() })
	if err := h.port.Down(); err != nil {
		t.Fatal(err)
	}
	before := s.Snapshot()[0].Counts.Local
	eventually(t, func() bool { return s.Snapshot()[0].Counts.Local > before+5 })
	if !verdicts(Up, Down)() {
		t.Errorf("set down: got %+v, want verdicts as before", s.Snapshot())
	}
}

// That the source could not be chosen is no reason to check from a virtual address once it could be.
func TestSourceAfterFault(t *testing.T) {
	h := newHosts(t)
	target, virtual, own := netip.MustParseAddr("10.1.5.7"), netip.MustParsePrefix("10.1.5.100/24"), netip.MustParseAddr("10.1.0.2")
	h.director.Address("eth0", virtual)
	l := local{virtual: func(a netip.Addr) bool { return a == virtual.Addr() }}
	for what, fault := range map[string]func(begins bool) error{
		"no route": func(begins bool) error {
			if begins {
				return h.port.Down()
			}
			return h.port.Up()
		},
		"no descriptor": func(begins bool) error {
			var now unix.Rlimit
			if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &now); err != nil {
				return err
			}
			now.Cur = now.Max
			if begins {
				now.Cur = 0
			}
			return unix.Setrlimit(unix.RLIMIT_NOFILE, &now)
		},
	} {
		l.chosen, l.addresses = nil, nil
		if err := h.director.Do(func() error {
			if err := fault(true); err != nil {
				return err
			}
			_ = l.source(target, 0, 0)
			if err := fault(false); err != nil {
				return err
			}
			eventually(t, func() bool { a, err := kernelSource(target); return err == nil && a == virtual.Addr() })
			if got := l.source(target, 0, 0); got != own {
				t.Errorf("after %s: from %v, want %v", what, got, own)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
}
