// SPDX-License-Identifier: Apache-2.0

package drill

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// maxAnswer bounds what is kept of an answer, in bytes. A longer one is a failure.
const maxAnswer = 64 << 10

// A Load sends one small HTTP request per interval, each on a connection of its own, or only opens these.
//
// It runs on one thread, with one epoll and no goroutine per request: about ten system calls per request, so that a slow
// machine measures the directors and not the load.
type Load struct {
	Target       netip.AddrPort
	Interval     time.Duration // 0: 10 ms
	Timeout      time.Duration // for a whole request, from its start; 0: 200 ms
	ConnectOnly  bool          // a connection that opens is an answer: nothing is sent
	Path         string        // empty: "/"
	Host         string        // of the request; empty: the target
	ServerHeader string        // header of the answer that names who answered; empty: nobody is named
	// Within runs a function on a thread where it may open its sockets, a network namespace for one. nil: here.
	Within func(func() error) error
}

// Run sends requests until ctx ends and hands over each as it ends, on the load's own thread. The start of request n is
// due n intervals after the first: delays do not add up, and what is overdue is sent at once. Run returns when the last
// request has ended. Requests that fail are samples; an error means that the load could not be made.
func (l Load) Run(ctx context.Context, record func(Sample)) error {
	if l.Interval == 0 {
		l.Interval = 10 * time.Millisecond
	}
	if l.Timeout == 0 {
		l.Timeout = 200 * time.Millisecond
	}
	if l.Path == "" {
		l.Path = "/"
	}
	if l.Host == "" {
		l.Host = l.Target.String()
	}
	if l.Within == nil {
		l.Within = func(f func() error) error { return f() }
	}
	err := l.Within(func() error { return l.run(ctx, record) })
	if err != nil {
		return fmt.Errorf("load %s: %w", l.Target, err)
	}
	return nil
}

func (l Load) run(ctx context.Context, record func(Sample)) error {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return fmt.Errorf("epoll: %w", err)
	}
	defer func() { _ = unix.Close(epoll) }()
	e := &engine{
		load: l, epoll: epoll, record: record, requests: make(map[int32]*request),
		ask: fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: holdfast-drill\r\nConnection: close\r\n\r\n", l.Path, l.Host),
	}
	defer e.close()
	return e.run(ctx)
}

// engine is a running load.
type engine struct {
	load     Load
	epoll    int
	record   func(Sample)
	ask      []byte
	requests map[int32]*request // under way, by file descriptor
	oldest   []*request         // in the order of their starts, and so of their deadlines; ended ones included
	buf      [4096]byte
}

type request struct {
	fd     int
	start  time.Time
	late   time.Duration
	asked  bool
	ended  bool
	answer []byte
}

func (e *engine) run(ctx context.Context) error {
	due := time.Now()
	events := make([]unix.EpollEvent, 64)
	for {
		now := time.Now()
		sending := ctx.Err() == nil
		for ; sending && !now.Before(due); due = due.Add(e.load.Interval) {
			if err := e.start(due); err != nil {
				return err
			}
		}
		e.expire(time.Now())
		if !sending && len(e.requests) == 0 {
			return nil
		}
		n, err := unix.EpollWait(e.epoll, events, e.wait(due, sending))
		if err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("epoll wait: %w", err)
		}
		for _, ev := range events[:max(n, 0)] {
			if r := e.requests[ev.Fd]; r != nil {
				e.advance(r)
			}
		}
	}
}

// wait returns the milliseconds until something is due, rounded up.
func (e *engine) wait(due time.Time, sending bool) int {
	next := time.Now().Add(e.load.Timeout)
	if len(e.oldest) > 0 {
		next = e.oldest[0].start.Add(e.load.Timeout)
	}
	if sending && due.Before(next) {
		next = due
	}
	return int(max(0, time.Until(next)+time.Millisecond-1) / time.Millisecond)
}

// start opens a connection.
func (e *engine) start(due time.Time) error {
	fd, err := dial(e.epoll, e.load.Target)
	if fd < 0 {
		return err
	}
	r := &request{fd: fd, start: time.Now()}
	r.late = r.start.Sub(due)
	e.requests[int32(fd)] = r
	e.oldest = append(e.oldest, r)
	if err != nil {
		e.end(r, "", reason(err))
	}
	return nil
}

// dial begins to connect, and has the epoll tell of what comes of it: edge-triggered, and told of the state as it is, so
// that nothing that happened before is missed. An error with a descriptor is about the connection; without one there are
// no sockets.
func dial(epoll int, target netip.AddrPort) (fd int, err error) {
	family := unix.AF_INET6
	if target.Addr().Is4() {
		family = unix.AF_INET
	}
	if fd, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0); err != nil {
		return -1, fmt.Errorf("socket: %w", err)
	}
	if err := unix.Connect(fd, sockaddr(target)); err != nil && !errors.Is(err, unix.EINPROGRESS) {
		return fd, err
	}
	ev := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET, Fd: int32(fd)}
	if err := unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, fd, &ev); err != nil {
		_ = unix.Close(fd)
		return -1, fmt.Errorf("epoll add: %w", err)
	}
	return fd, nil
}

// advance takes a request as far as it goes without waiting.
func (e *engine) advance(r *request) {
	if !r.asked {
		if code, err := unix.GetsockoptInt(r.fd, unix.SOL_SOCKET, unix.SO_ERROR); err == nil && code != 0 {
			e.end(r, "", reason(unix.Errno(code)))
			return
		}
		if e.load.ConnectOnly {
			if _, err := unix.Getpeername(r.fd); err == nil { // ENOTCONN: not connected yet
				e.end(r, "", "")
			}
			return
		}
		n, err := unix.Write(r.fd, e.ask)
		switch {
		case errors.Is(err, unix.EAGAIN):
			return // not connected yet
		case err != nil:
			e.end(r, "", reason(err))
			return
		case n < len(e.ask):
			e.end(r, "", "request not taken")
			return
		}
		r.asked = true
	}
	for {
		n, err := unix.Read(r.fd, e.buf[:])
		switch {
		case errors.Is(err, unix.EAGAIN):
			return
		case err != nil:
			e.end(r, "", reason(err))
			return
		case n == 0:
			server, failure := e.judge(r.answer)
			e.end(r, server, failure)
			return
		case len(r.answer)+n > maxAnswer:
			e.end(r, "", "answer too long")
			return
		}
		r.answer = append(r.answer, e.buf[:n]...)
	}
}

// judge says who gave the answer, or what is wrong with it. Redirects are answers.
func (e *engine) judge(answer []byte) (server, failure string) {
	if len(answer) == 0 {
		return "", "no answer"
	}
	resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(answer)), nil)
	if err != nil {
		return "", "answer cut short"
	}
	defer func() { _ = resp.Body.Close() }()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return "", "answer cut short"
	}
	if resp.StatusCode >= 400 {
		return "", "status " + strconv.Itoa(resp.StatusCode)
	}
	if e.load.ServerHeader != "" {
		server = resp.Header.Get(e.load.ServerHeader)
	}
	return server, ""
}

// expire gives up what has taken too long.
func (e *engine) expire(now time.Time) {
	for len(e.oldest) > 0 {
		r := e.oldest[0]
		if !r.ended {
			over := now.Sub(r.start.Add(e.load.Timeout))
			if over < 0 {
				return
			}
			r.late = max(r.late, over)
			what := "connect timeout"
			if r.asked {
				what = "answer timeout"
			}
			e.end(r, "", what)
		}
		e.oldest = e.oldest[1:]
	}
}

func (e *engine) end(r *request, server, failure string) {
	r.ended, r.answer = true, nil
	delete(e.requests, int32(r.fd))
	_ = unix.Close(r.fd)
	e.record(Sample{Start: r.start, End: time.Now(), Late: r.late, Server: server, Error: failure})
}

func (e *engine) close() {
	for _, r := range e.requests {
		_ = unix.Close(r.fd)
	}
}

// reason is an error in the words of a report.
func reason(err error) string {
	for _, known := range []struct {
		err  error
		text string
	}{
		{unix.ECONNREFUSED, "refused"},
		{unix.ECONNRESET, "reset"},
		{unix.EPIPE, "reset"},
		{unix.EHOSTUNREACH, "unreachable"},
		{unix.ENETUNREACH, "unreachable"},
		{unix.ETIMEDOUT, "connect timeout"},
		{unix.EADDRNOTAVAIL, "no local port"},
	} {
		if errors.Is(err, known.err) {
			return known.text
		}
	}
	return err.Error()
}

func sockaddr(a netip.AddrPort) unix.Sockaddr {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}
	}
	return &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}
}
