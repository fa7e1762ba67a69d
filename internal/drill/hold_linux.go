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
	"time"

	"golang.org/x/sys/unix"
)

// A Hold opens connections and keeps them, with a small HTTP request on each now and then. The server has to keep
// connections open after an answer, for longer than the interval.
//
// Like a [Load] it is one thread with one epoll.
type Hold struct {
	Target       netip.AddrPort
	Count        int           // of connections
	Interval     time.Duration // between two requests on a connection; 0: 100 ms. None is sent before the last one is answered
	Patience     time.Duration // with the answers that are due at the end; 0: 15 s
	Path         string        // empty: "/"
	Host         string        // of the request; empty: the target
	ServerHeader string        // header of the answer that names who answered; empty: nobody is named
	// Within runs a function on a thread where it may open its sockets, a network namespace for one. nil: here.
	Within func(func() error) error
}

// Run opens the connections, calls opened when each has had an answer or has failed, and holds them until ctx ends and
// all have their last answer. An error means that there could be no connections; what becomes of them is in the result.
func (h Hold) Run(ctx context.Context, opened func()) ([]Held, error) {
	if h.Interval == 0 {
		h.Interval = 100 * time.Millisecond
	}
	if h.Patience == 0 {
		h.Patience = 15 * time.Second
	}
	if h.Path == "" {
		h.Path = "/"
	}
	if h.Host == "" {
		h.Host = h.Target.String()
	}
	if h.Within == nil {
		h.Within = func(f func() error) error { return f() }
	}
	k := &keeper{
		hold: h, opened: opened,
		ask: fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: holdfast-drill\r\n\r\n", h.Path, h.Host),
	}
	err := h.Within(func() error { return k.run(ctx) })
	if err != nil {
		return nil, fmt.Errorf("hold connections to %s: %w", h.Target, err)
	}
	result := make([]Held, len(k.all))
	for i, c := range k.all {
		result[i] = c.Held
	}
	return result, nil
}

// keeper is a running hold.
type keeper struct {
	hold   Hold
	epoll  int
	ask    []byte
	opened func()
	all    []*connection
	byFile map[int32]*connection
	buf    [4096]byte
}

type connection struct {
	Held
	fd      int // -1: closed
	due     time.Time
	asked   time.Time // when the request was sent that is not answered yet; zero: none is
	waiting []byte    // of its answer
}

func (k *keeper) run(ctx context.Context) (err error) {
	if k.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return fmt.Errorf("epoll: %w", err)
	}
	defer func() { _ = unix.Close(k.epoll) }()
	k.byFile = make(map[int32]*connection)
	defer func() {
		for _, c := range k.all {
			k.close(c)
		}
	}()
	start := time.Now()
	for i := range k.hold.Count {
		// Spread over the interval, so that the requests do not come all at once.
		c := &connection{fd: -1, due: start.Add(k.hold.Interval * time.Duration(i) / time.Duration(k.hold.Count))}
		k.all = append(k.all, c)
	}
	return k.loop(ctx)
}

func (k *keeper) loop(ctx context.Context) error {
	events := make([]unix.EpollEvent, 64)
	var end time.Time
	told := false
	for {
		now := time.Now()
		if ctx.Err() != nil && end.IsZero() {
			end = now.Add(k.hold.Patience)
		}
		next, open, err := k.send(now, end.IsZero())
		if err != nil {
			return err
		}
		if !told && open {
			told = true
			k.opened()
		}
		if !end.IsZero() && (!k.waits() || now.After(end)) {
			return nil
		}
		n, err := unix.EpollWait(k.epoll, events, int(max(1, min(next.Sub(now), 50*time.Millisecond).Milliseconds())))
		if err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("epoll wait: %w", err)
		}
		for _, ev := range events[:max(n, 0)] {
			if c := k.byFile[ev.Fd]; c != nil {
				k.receive(c)
			}
		}
	}
}

// send sends what is due, and returns when the next request is, and whether every connection has had an answer or
// has failed.
func (k *keeper) send(now time.Time, going bool) (next time.Time, open bool, err error) {
	next, open = now.Add(time.Second), true
	for _, c := range k.all {
		open = open && (c.Exchanges > 0 || c.Error != "")
		if !going || c.Error != "" || !c.asked.IsZero() {
			continue
		}
		if now.Before(c.due) {
			next = earlier(next, c.due)
			continue
		}
		c.Late = max(c.Late, now.Sub(c.due))
		c.asked = now
		c.due = now.Add(k.hold.Interval)
		if c.fd < 0 {
			if err := k.connect(c); err != nil {
				return next, open, err
			}
		} else if _, err := unix.Write(c.fd, k.ask); err != nil {
			k.end(c, reason(err))
		}
	}
	return next, open, nil
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// connect opens a connection. The first request follows when it is open.
func (k *keeper) connect(c *connection) error {
	fd, err := dial(k.epoll, k.hold.Target)
	if fd < 0 {
		return err
	}
	c.fd = fd
	k.byFile[int32(fd)] = c
	if err != nil {
		k.end(c, reason(err))
	}
	return nil
}

// receive takes what has come on a connection.
func (k *keeper) receive(c *connection) {
	if !c.Opened {
		if code, err := unix.GetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_ERROR); err == nil && code != 0 {
			k.end(c, reason(unix.Errno(code)))
			return
		}
		switch _, err := unix.Write(c.fd, k.ask); {
		case errors.Is(err, unix.EAGAIN):
			return // not connected yet
		case err != nil:
			k.end(c, reason(err))
			return
		}
		c.Opened = true
	}
	for {
		n, err := unix.Read(c.fd, k.buf[:])
		switch {
		case errors.Is(err, unix.EAGAIN):
			return
		case err != nil:
			k.end(c, reason(err))
			return
		case n == 0:
			k.end(c, "closed by the server")
			return
		case len(c.waiting)+n > maxAnswer:
			k.end(c, "answer too long")
			return
		}
		c.waiting = append(c.waiting, k.buf[:n]...)
		k.judge(c)
		if c.Error != "" {
			return
		}
	}
}

// judge takes an answer that is complete.
func (k *keeper) judge(c *connection) {
	if !bytes.Contains(c.waiting, []byte("\r\n\r\n")) {
		return // the header is not whole
	}
	resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(c.waiting)), nil)
	if err == nil {
		_, err = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
	}
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return // more will come
	case err != nil:
		k.end(c, "answer not HTTP")
		return
	case resp.Close:
		k.end(c, "closed by the server")
		return
	}
	server := ""
	if k.hold.ServerHeader != "" {
		server = resp.Header.Get(k.hold.ServerHeader)
	}
	c.Server = server
	c.Exchanges++
	c.Stall = max(c.Stall, time.Since(c.asked))
	c.asked, c.waiting = time.Time{}, nil
}

// waits reports whether an answer is due.
func (k *keeper) waits() bool {
	for _, c := range k.all {
		if c.Error == "" && !c.asked.IsZero() {
			return true
		}
	}
	return false
}

func (k *keeper) end(c *connection, why string) {
	c.Error = why
	k.release(c)
}

// close closes a connection at the end, and says what it was still waiting for.
func (k *keeper) close(c *connection) {
	if c.Error == "" && !c.asked.IsZero() {
		c.Error = Stalled
	}
	k.release(c)
}

func (k *keeper) release(c *connection) {
	if c.fd >= 0 {
		delete(k.byFile, int32(c.fd))
		_ = unix.Close(c.fd)
		c.fd = -1
	}
}
