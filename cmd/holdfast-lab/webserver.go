// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-lb/holdfast/internal/netlab"
)

// serverHeader names the real server in each of its answers.
const serverHeader = "X-Server"

// A webServer is a real server: it says its name, and at /health whether it is well. It is a goroutine per connection of
// this process and not net/http, which costs several times as much on an emulated machine.
type webServer struct {
	name     string
	host     *netlab.Host
	sick     atomic.Bool // /health answers 503; the rest goes on
	listener net.Listener
	running  sync.WaitGroup

	mu     sync.Mutex
	open   map[net.Conn]bool
	closed bool
}

// startWebServer listens on a port of all addresses of the host.
func startWebServer(host *netlab.Host, port uint16) (*webServer, error) {
	l, err := host.Listen("tcp4", fmt.Sprintf(":%d", port))
	if err != nil {
		return nil, fmt.Errorf("start web server on %s: %w", host.Name, err)
	}
	s := &webServer{name: host.Name, host: host, listener: l, open: make(map[net.Conn]bool)}
	s.running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.running.Go(func() { s.serve(c) })
		}
	})
	return s, nil
}

func (s *webServer) close() {
	_ = s.listener.Close()
	s.mu.Lock()
	s.closed = true
	for c := range s.open {
		_ = c.Close()
	}
	s.mu.Unlock()
	s.running.Wait()
}

// keepOpen is how long a connection may be silent, longer than any fault lasts.
const keepOpen = time.Minute

// serve answers requests, as long as the client keeps the connection.
func (s *webServer) serve(c net.Conn) {
	defer func() { _ = c.Close() }()
	s.mu.Lock()
	s.open[c] = true
	closed := s.closed
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.open, c)
		s.mu.Unlock()
	}()
	if closed {
		return
	}
	r := bufio.NewReaderSize(c, 1024)
	for keep := true; keep; {
		_ = c.SetDeadline(time.Now().Add(keepOpen))
		first, err := r.ReadString('\n')
		for line := first; err == nil && strings.TrimSpace(line) != ""; {
			line, err = r.ReadString('\n')
			keep = keep && !strings.HasPrefix(line, "Connection: close")
		}
		if err != nil {
			return
		}
		// Who speaks HTTP/1.0, as keepalived does, reads up to the end of the connection: RFC 9112, section 9.3.
		keep = keep && !strings.HasSuffix(strings.TrimSpace(first), " HTTP/1.0")
		status, body, connection := "200 OK", s.name+"\n", ""
		if strings.HasPrefix(first, "GET /health ") && s.sick.Load() {
			status, body = "503 Service Unavailable", "sick\n"
		}
		if !keep {
			connection = "Connection: close\r\n"
		}
		_, _ = fmt.Fprintf(c, "HTTP/1.1 %s\r\n%s: %s\r\nContent-Length: %d\r\n%s\r\n%s", status, serverHeader, s.name, len(body), connection, body)
	}
}
