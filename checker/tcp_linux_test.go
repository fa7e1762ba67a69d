// SPDX-License-Identifier: Apache-2.0

package checker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A connection that has come while this process stood still counts, although the deadline has passed.
func TestExpireAsksOnceMore(t *testing.T) {
	d, err := newDialer()
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	for _, tc := range []struct {
		name   string
		config Config
		reason string
	}{
		{"connected", Config{Target: serve(t, silent)}, ""},
		{"refused", Config{Target: closed(t)}, "connection refused"},
		{"no answer", Config{Target: blackhole(t)}, "timeout"},
	} {
		e := &entry{job: job{target: tc.config.Target}}
		if res, done := d.start(e, netip.Addr{}); done { // nothing runs d, so only a result at once is one
			if res.Reason != tc.reason {
				t.Errorf("%s, at once: got %q, want %q", tc.name, res.Reason, tc.reason)
			}
			continue
		}
		if err := d.watch(e); err != nil {
			t.Fatal(err)
		}
		if tc.reason != reasonTimeout {
			poll := []unix.PollFd{{Fd: int32(e.fd), Events: unix.POLLOUT}}
			if n, err := unix.Poll(poll, 5000); n != 1 {
				t.Fatalf("%s: poll: %d %v", tc.name, n, err)
			}
		}
		res, done := d.expire(e)
		if !done || res.Reason != tc.reason {
			t.Errorf("%s: got %v %q, want %q", tc.name, done, res.Reason, tc.reason)
		}
		if _, done := d.expire(e); done {
			t.Errorf("%s: expired twice", tc.name)
		}
	}
}

// What has ended when it is first looked at needs no epoll; what has not is left to it.
func TestSettle(t *testing.T) {
	d, err := newDialer()
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	near, far := &entry{job: job{target: serve(t, silent)}}, &entry{job: job{target: blackhole(t)}}
	for _, e := range []*entry{near, far} {
		if res, done := d.start(e, netip.Addr{}); done {
			t.Skipf("%s: %v at once", e.target, res.Err)
		}
	}
	poll := []unix.PollFd{{Fd: int32(near.fd), Events: unix.POLLOUT}}
	if n, err := unix.Poll(poll, 5000); n != 1 {
		t.Fatalf("poll: %d %v", n, err)
	}
	if out := d.settle(); len(out) != 1 || out[0].entry != near || out[0].res.Err != nil {
		t.Errorf("got %v, want a pass of %s", out, near.target)
	}
	if len(d.inFlight) != 1 || d.inFlight[far.fd] != far || len(d.begun) > 0 {
		t.Errorf("in flight are %v and %v, want %s alone", d.inFlight, d.begun, far.target)
	}
	if err := unix.EpollCtl(d.fd, unix.EPOLL_CTL_MOD, far.fd, &unix.EpollEvent{}); err != nil {
		t.Errorf("nobody waits for %s: %v", far.target, err)
	}
	if out := d.settle(); len(out) > 0 {
		t.Errorf("settled twice: %v", out)
	}
}

// Connects in flight end with Run, and with them their descriptors.
func TestTCPShutdown(t *testing.T) {
	target := blackhole(t)
	before := descriptors(t)
	s := NewSet(Options{OnResult: func(_ Status, r Result) { t.Errorf("got a result: %v", r.Err) }})
	s.Apply(checks(100, Config{Kind: TCP, Target: target, Interval: time.Hour, Timeout: time.Hour}))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	eventually(t, func() bool { return descriptors(t) >= before+100 })
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("run: %v", err)
	}
	eventually(t, func() bool { return descriptors(t) <= before })
}

// Checks of all outcomes at once, round after round, while the set is replaced.
func TestTCPChurn(t *testing.T) {
	up, down, hole := serve(t, silent), closed(t), blackhole(t)
	var in []Check
	for i := range 300 {
		c := Config{Kind: TCP, Interval: 20 * time.Millisecond, Retry: 5 * time.Millisecond, Timeout: 10 * time.Millisecond, Rise: 2, Fall: 2}
		switch i % 3 {
		case 0:
			c.Target, c.Timeout = up, 5*time.Second
		case 1:
			c.Target, c.Timeout = down, 5*time.Second
		case 2:
			c.Target = hole
		}
		in = append(in, NewCheck(Key{"web", fmt.Sprint("web", i), "tcp"}, c))
	}
	targets := make(map[Key]netip.AddrPort)
	for _, c := range in {
		targets[c.Key] = c.Target
	}
	results := make(chan error, 1)
	s := NewSet(Options{OnResult: func(st Status, r Result) {
		want := map[bool]string{true: "", false: reasonRefused}[targets[st.Key] == up]
		if targets[st.Key] == hole {
			want = reasonTimeout
		}
		if r.Reason != want && !errors.Is(r.Err, ErrLocal) {
			t.Errorf("%s: got %q, want %q", st.Key.Server, r.Reason, want)
		}
		select {
		case results <- r.Err:
		default:
		}
	}})
	s.Apply(in)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	for i := range 100 {
		<-results
		s.Apply(in[i:])
		s.Apply(in)
	}
	eventually(t, func() bool {
		for i, st := range s.Snapshot() {
			if want := []Verdict{Up, Down, Down}[i%3]; st.Verdict != want {
				return false
			}
		}
		return true
	})
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("run: %v", err)
	}
}

// A check of either kind leaves no port behind that waits for the end of a connection.
func TestNoTimeWait(t *testing.T) {
	for _, c := range []Config{
		{Kind: TCP, Target: serve(t, silent)},
		httpConfig(serve(t, answer(func(c *net.TCPConn) {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
			silent(c) // so that the check is the one that closes first
		}))),
	} {
		if res, _ := check(t, c); res.Err != nil {
			t.Fatalf("%s: %v", c.Kind, res.Err)
		}
		table, err := os.ReadFile("/proc/self/net/tcp")
		if err != nil {
			t.Skipf("needs /proc/self/net/tcp: %v", err)
		}
		remote := fmt.Sprintf("0100007F:%04X", c.Target.Port())
		for line := range strings.Lines(string(table)) {
			if strings.Fields(line)[2] == remote {
				t.Errorf("%s: a connection is left: %s", c.Kind, line)
			}
		}
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(fds)
}

func eventually(t *testing.T, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("not in 10 s")
		}
	}
}

// An event that was fetched before its connect expired says nothing of the next connect on the same descriptor.
func TestStaleEvent(t *testing.T) {
	d, err := newDialer()
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	live := &entry{job: job{target: serve(t, silent)}}
	hung := &entry{job: job{target: blackhole(t)}}
	for range 100 { // others may take the descriptor
		if res, done := d.start(live, netip.Addr{}); done {
			t.Fatalf("live: got %v at once", res.Err)
		}
		if err := d.watch(live); err != nil {
			t.Fatal(err)
		}
		poll := []unix.PollFd{{Fd: int32(d.fd), Events: unix.POLLIN}}
		if n, err := unix.Poll(poll, 5000); n != 1 {
			t.Fatalf("poll: %d %v", n, err)
		}
		events := make([]unix.EpollEvent, 1)
		if n, err := unix.EpollWait(d.fd, events, 0); n != 1 {
			t.Fatalf("wait: %d %v", n, err)
		}
		if _, done := d.expire(live); !done {
			t.Fatal("live: not expired")
		}
		if res, done := d.start(hung, netip.Addr{}); done {
			t.Fatalf("hung: got %v at once", res.Err)
		}
		if err := d.watch(hung); err != nil {
			t.Fatal(err)
		}
		same := hung.fd == live.fd
		if out := d.finish(events); len(out) > 0 {
			t.Fatalf("a stale event: got %v for the next check", out[0].res.Err)
		}
		if res, done := d.expire(hung); !done || res.Reason != reasonTimeout {
			t.Fatalf("hung: got %v %q, want %q", done, res.Reason, reasonTimeout)
		}
		if same {
			return
		}
	}
	t.Skip("the kernel gave no descriptor out again")
}

// A socket that is connected with itself is no server.
func TestSelfConnect(t *testing.T) {
	for _, tc := range []struct {
		name string
		sa   unix.Sockaddr
	}{
		{"IPv4", &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}},
		{"IPv6", &unix.SockaddrInet6{Addr: [16]byte{15: 1}}},
	} {
		family := unix.AF_INET
		if _, ok := tc.sa.(*unix.SockaddrInet6); ok {
			family = unix.AF_INET6
		}
		fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP)
		if err != nil {
			t.Skipf("%s: %v", tc.name, err)
		}
		defer unix.Close(fd)
		if err := unix.Bind(fd, tc.sa); err != nil {
			t.Skipf("%s: %v", tc.name, err)
		}
		sa, err := unix.Getsockname(fd)
		if err != nil {
			t.Fatal(err)
		}
		if err := unix.Connect(fd, sa); err != nil {
			t.Fatalf("%s: connect to itself: %v", tc.name, err)
		}
		if res := connected(fd, addrPort(sa)); res.Reason != reasonRefused || errors.Is(res.Err, ErrLocal) {
			t.Errorf("%s: got %q (%v), want %q", tc.name, res.Reason, res.Err, reasonRefused)
		}
	}
}

func TestTCP(t *testing.T) {
	for _, tc := range []struct {
		name   string
		target netip.AddrPort
		reason string
	}{
		{"accepted", serve(t, silent), ""},
		{"closed at once", serve(t, func(*net.TCPConn) {}), ""},
		{"reset at once", serve(t, reset), ""},
		{"refused", closed(t), "connection refused"},
		{"no answer", blackhole(t), "timeout"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := Config{Kind: TCP, Target: tc.target}
			if tc.reason == reasonTimeout {
				c.Timeout = patience
			}
			res, st := check(t, c)
			want := Up
			if tc.reason != "" {
				want = Down
			}
			if res.Reason != tc.reason || st.Verdict != want {
				t.Errorf("got %s %q (%v), want %s %q", st.Verdict, res.Reason, res.Err, want, tc.reason)
			}
			if tc.reason == reasonTimeout && st.Duration < patience {
				t.Errorf("timeout after %s, want %s", st.Duration, patience)
			}
		})
	}
}

// The server's reset is here before the result is looked at.
func TestTCPAcceptedThenReset(t *testing.T) {
	hang := make(chan struct{})
	addr := serve(t, func(c *net.TCPConn) { reset(c); _ = c.Close(); close(hang) })
	fd, err := connect(addr, netip.Addr{})
	if err != nil && err != unix.EINPROGRESS {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	<-hang
	poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
	for poll[0].Revents&unix.POLLERR == 0 {
		if _, err := unix.Poll(poll, 1000); err != nil && err != unix.EINTR {
			t.Fatal(err)
		}
	}
	if res := connected(fd, addr); res.Err != nil {
		t.Errorf("got %v, want a pass", res.Err)
	}
}

func TestTCPv6(t *testing.T) {
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Skipf("needs IPv6 on the loopback: %v", err)
	}
	defer l.Close()
	if res, _ := check(t, Config{Kind: TCP, Target: l.Addr().(*net.TCPAddr).AddrPort()}); res.Err != nil {
		t.Errorf("got %v, want a pass", res.Err)
	}
}

// Where few descriptors are allowed, checks wait for each other instead of failing for want of one.
func TestMaxConnects(t *testing.T) {
	var was unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &was); err != nil {
			t.Error(err)
		}
	}()
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: min(1024, was.Max), Max: was.Max}); err != nil {
		t.Fatal(err)
	}
	if s := NewSet(Options{}); s.tcp.limit != 512 {
		t.Errorf("%d at once, want 512", s.tcp.limit)
	}
}
