// SPDX-License-Identifier: Apache-2.0

package checker

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const (
	patience = 300 * time.Millisecond // the timeout of checks that are to meet it
	slack    = 2 * time.Second        // of a machine with much else to do
)

// check runs one check on a Set and returns its first result and status.
func check(t *testing.T, c Config) (Result, Status) {
	t.Helper()
	if c.Timeout == 0 {
		c.Timeout = 10 * time.Second
	}
	c.Interval = time.Hour
	type first struct {
		Result
		Status
	}
	got := make(chan first, 1)
	s := NewSet(Options{OnResult: func(st Status, r Result) {
		select {
		case got <- first{r, st}:
		default:
		}
	}})
	s.Apply([]Check{NewCheck(Key{"web", "web1", c.Kind.String()}, c)})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("run: %v", err)
		}
	}()
	select {
	case f := <-got:
		if f.Duration > c.Timeout+slack {
			t.Errorf("took %s with a timeout of %s", f.Duration, c.Timeout)
		}
		return f.Result, f.Status
	case <-time.After(c.Timeout + slack):
		t.Fatalf("no result after %s with a timeout of %s", c.Timeout+slack, c.Timeout)
	}
	panic("unreachable")
}

// serve accepts connections and hands each to handle, which must end when the connection does.
func serve(t *testing.T, handle func(*net.TCPConn)) netip.AddrPort {
	t.Helper()
	l, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.AcceptTCP()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				handle(c)
			}()
		}
	}()
	return l.Addr().(*net.TCPAddr).AddrPort()
}

// answer reads the request and then calls write.
func answer(write func(c *net.TCPConn)) func(*net.TCPConn) {
	return func(c *net.TCPConn) {
		if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
			write(c)
		}
	}
}

func says(s string) func(*net.TCPConn) {
	return answer(func(c *net.TCPConn) { _, _ = io.WriteString(c, s) })
}

// forever writes s until the other side is gone.
func forever(c *net.TCPConn, s string, pause time.Duration) {
	for {
		if _, err := io.WriteString(c, s); err != nil {
			return
		}
		if pause > 0 {
			time.Sleep(pause)
		}
	}
}

func reset(c *net.TCPConn) { _ = c.SetLinger(0) }

// silent reads what comes and says nothing.
func silent(c *net.TCPConn) { _, _ = io.Copy(io.Discard, c) }

// closed returns an address that nothing listens on.
func closed(t *testing.T) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).AddrPort()
}

// blackhole returns an address that answers no SYN: the backlog of its listener is full.
func blackhole(t *testing.T) netip.AddrPort {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), unix.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	sa, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(sa.(*unix.SockaddrInet4).Port))
	for range 8 {
		c, err := net.DialTimeout("tcp", addr.String(), 200*time.Millisecond)
		if err != nil {
			return addr
		}
		t.Cleanup(func() { _ = c.Close() })
	}
	t.Fatal("a full backlog still accepts")
	panic("unreachable")
}

func httpConfig(target netip.AddrPort) Config {
	c := Config{Kind: HTTP, Target: target, HTTP: HTTPConfig{Path: "/health"}}
	c.HTTP.Status.Add(200, 299)
	return c
}
