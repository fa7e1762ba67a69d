// SPDX-License-Identifier: Apache-2.0

package checker

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
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
	s.Apply([]Check{{Key: Key{"web", "web1", c.Kind.String()}, Config: c}})
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

func TestHTTP(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\n"
	for _, tc := range []struct {
		name   string
		target netip.AddrPort
		expect string
		reason string
		detail string // a part of it
	}{
		{"ok", serve(t, says(ok+"Content-Length: 2\r\n\r\nok")), "", "", "200 OK"},
		{"ok until closed", serve(t, says(ok+"\r\nok")), "^ok$", "", "200 OK"},
		{"ok in chunks", serve(t, says(ok+"Transfer-Encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n")), "^ok$", "", ""},
		{"ok after interim", serve(t, says("HTTP/1.1 103 Early Hints\r\n\r\n"+ok+"Content-Length: 0\r\n\r\n")), "", "", "200 OK"},
		{"no content", serve(t, says("HTTP/1.1 204 No Content\r\n\r\n")), "", "", "204 No Content"},
		{"body differs", serve(t, says(ok+"\r\nall is lost")), "^ok", "body", `"^ok"`},
		{"status", serve(t, says("HTTP/1.1 503 \x1b[2J\r\n\r\n")), "", "status", "503 Service Unavailable"},
		{"redirect", serve(t, says("HTTP/1.1 302 Found\r\nLocation: /health\r\n\r\n")), "", "status", "302 Found"},
		{"refused", closed(t), "", "connection refused", "connect 127.0.0.1:"},
		{"no answer to SYN", blackhole(t), "", "timeout", "connect 127.0.0.1:"},
		{"half-open", serve(t, silent), "", "timeout", "read response of"},
		{"closed without answer", serve(t, says("")), "", "connection closed", "read response of"},
		{"reset without answer", serve(t, answer(reset)), "", "connection reset", ""},
		{"garbage", serve(t, says("\x16\x03\x01\x02\x00\x01\r\n\r\n")), "", "malformed response", ""},
		{"garbage without end", serve(t, answer(func(c *net.TCPConn) { forever(c, "spam", 0) })), "", "response too large", ""},
		{"bad header", serve(t, says(ok+"no colon\r\n\r\n")), "", "malformed response", ""},
		{"bad chunk", serve(t, says(ok+"Transfer-Encoding: chunked\r\n\r\nzz\r\n")), "", "malformed response", "read body of"},
		{"short body", serve(t, says(ok+"Content-Length: 10\r\n\r\nok")), "", "connection closed", "read body of"},
		{"endless interim", serve(t, answer(func(c *net.TCPConn) { forever(c, "HTTP/1.1 100 Continue\r\n\r\n", 0) })), "", "response too large", ""},
		{"endless header", serve(t, answer(func(c *net.TCPConn) {
			_, _ = io.WriteString(c, ok)
			forever(c, "X-Spam: spam\r\n", 0)
		})), "", "response too large", ""},
		{"endless line", serve(t, answer(func(c *net.TCPConn) { forever(c, ok[:9], 0) })), "", "response too large", ""},
		{"slow header", serve(t, answer(func(c *net.TCPConn) {
			_, _ = io.WriteString(c, ok+"X-Slow: ")
			forever(c, "a", 20*time.Millisecond)
		})), "", "timeout", "read response of"},
		{"endless body", serve(t, answer(func(c *net.TCPConn) {
			_, _ = io.WriteString(c, ok+"\r\n")
			forever(c, strings.Repeat("spam", 1000), 0)
		})), "", "", "200 OK"},
		{"endless body without the expected", serve(t, answer(func(c *net.TCPConn) {
			_, _ = io.WriteString(c, ok+"\r\n")
			forever(c, strings.Repeat("spam", 1000), 0)
		})), "needle", "body", ""},
		{"endless body with the expected", serve(t, answer(func(c *net.TCPConn) {
			_, _ = io.WriteString(c, ok+"\r\nneedle")
			forever(c, strings.Repeat("spam", 1000), 0)
		})), "needle", "", ""},
		{"slow body", serve(t, answer(func(c *net.TCPConn) {
			_, _ = io.WriteString(c, ok+"\r\n")
			forever(c, "a", 20*time.Millisecond)
		})), "a$", "timeout", "read body of"},
		{"slow body, nothing expected", serve(t, answer(func(c *net.TCPConn) {
			_, _ = io.WriteString(c, ok+"\r\n")
			forever(c, "a", 20*time.Millisecond)
		})), "", "timeout", "read body of"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := httpConfig(tc.target)
			c.Expect = tc.expect
			if tc.reason == reasonTimeout {
				c.Timeout = patience
			}
			res, st := check(t, c)
			if res.Reason != tc.reason || (res.Err == nil) != (tc.reason == "") {
				t.Errorf("got %q (%v), want %q", res.Reason, res.Err, tc.reason)
			}
			if !strings.Contains(res.Detail, tc.detail) {
				t.Errorf("detail: got %q, want %q in it", res.Detail, tc.detail)
			}
			if st.Reason != res.Reason || st.Detail != res.Detail || st.Run != 1 {
				t.Errorf("status differs from the result: %+v", st)
			}
		})
	}
}

func TestHTTPRequest(t *testing.T) {
	t.Setenv("http_proxy", "http://127.0.0.1:1")
	var requests atomic.Int32
	got := make(chan string, 1)
	target := serve(t, func(c *net.TCPConn) {
		requests.Add(1)
		b := make([]byte, 4096)
		n, _ := c.Read(b)
		got <- string(b[:n])
		_, _ = fmt.Fprintf(c, "HTTP/1.1 301 Moved Permanently\r\nLocation: http://%s/\r\n\r\n", c.LocalAddr())
	})
	c := httpConfig(target)
	c.HTTP.Path, c.HTTP.Host = "/health?full=1", "www.example.com"
	check(t, c)
	const want = "GET /health?full=1 HTTP/1.1\r\nHost: www.example.com\r\nUser-Agent: holdfast\r\nAccept: */*\r\nConnection: close\r\n\r\n"
	if r := <-got; r != want {
		t.Errorf("request:\n got %q\nwant %q", r, want)
	}
	if n := requests.Load(); n != 1 {
		t.Errorf("got %d requests, want 1", n)
	}
}

func TestHost(t *testing.T) {
	for url, want := range map[string]string{
		"http://10.0.0.21:80":      "10.0.0.21",
		"http://10.0.0.21:8080":    "10.0.0.21:8080",
		"https://10.0.0.21:80":     "10.0.0.21:80",
		"https://10.0.0.21:443":    "10.0.0.21",
		"http://[2001:db8::1]:80":  "[2001:db8::1]",
		"http://[fe80::1%eth0]:81": "[fe80::1]:81",
	} {
		scheme, target, _ := strings.Cut(url, "://")
		if got := hostOf(netip.MustParseAddrPort(target), scheme); got != want {
			t.Errorf("%s: got %q, want %q", url, got, want)
		}
	}
}

// What cannot be checked says nothing of the server.
func TestInvalid(t *testing.T) {
	target := serve(t, silent)
	expect, path := httpConfig(target), httpConfig(target)
	expect.Expect, path.HTTP.Path = "(", "/ HTTP/1.1\r\nX: y"
	for name, c := range map[string]Config{"expect": expect, "path": path, "kind": {Target: target}} {
		res, st := check(t, c)
		if !errors.Is(res.Err, ErrLocal) || res.Reason != "invalid check" || st.Verdict != Unknown {
			t.Errorf("%s: got %s %q (%v), want unknown %q", name, st.Verdict, res.Reason, res.Err, "invalid check")
		}
	}
}

// The faults of this host need a process of their own.
func TestLocalFaults(t *testing.T) {
	for _, tc := range []struct {
		name   string
		flags  uintptr
		reason string
	}{
		{"descriptors", 0, "no file descriptors"},
		{"route", syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET, "no local network"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cmd := exec.Command(os.Args[0], "-test.run=^TestLocalFaultHelper$", "-test.v")
			cmd.Env = append(os.Environ(), "LOCAL_FAULT="+tc.name)
			cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: tc.flags}
			out, err := cmd.CombinedOutput()
			if err != nil && len(out) == 0 {
				t.Skipf("needs namespaces: %v", err)
			}
			for _, kind := range []Kind{TCP, HTTP} {
				if want := fmt.Sprintf("%s unknown %q true", kind, tc.reason); !strings.Contains(string(out), want) {
					t.Errorf("%s: want %s in\n%s", kind, want, out)
				}
			}
		})
	}
}

func TestLocalFaultHelper(t *testing.T) {
	target := netip.MustParseAddrPort("192.0.2.1:80")
	limit := func(uint64) {}
	switch os.Getenv("LOCAL_FAULT") {
	case "route":
	case "descriptors":
		var was unix.Rlimit
		if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &was); err != nil {
			t.Fatal(err)
		}
		limit = func(n uint64) {
			if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: min(n, was.Max), Max: was.Max}); err != nil {
				t.Fatal(err)
			}
		}
	default:
		t.Skip("runs in the process that TestLocalFaults starts")
	}
	for _, kind := range []Kind{TCP, HTTP} {
		c := httpConfig(target)
		c.Kind, c.Interval, c.Retry, c.Timeout = kind, time.Hour, time.Hour, time.Second
		limit(1024)
		got := make(chan string, 1)
		s := NewSet(Options{OnResult: func(st Status, r Result) {
			if st.Config.Kind == kind {
				got <- fmt.Sprintf("%s %s %q %v", kind, st.Verdict, r.Reason, errors.Is(r.Err, ErrLocal))
			}
		}})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- s.Run(ctx) }()
		s.Apply([]Check{{Config: Config{Interval: time.Hour}}}) // of no kind, but once it has run, Run has its descriptors
		<-s.FirstRound()
		limit(3)
		s.Apply([]Check{{Config: c}})
		fmt.Println(<-got)
		cancel()
		<-ended
	}
}
