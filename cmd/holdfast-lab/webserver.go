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
}

// startWebServer listens on port 80 of all addresses of the host.
func startWebServer(host *netlab.Host) (*webServer, error) {
	l, err := host.Listen("tcp4", ":80")
	if err != nil {
		return nil, fmt.Errorf("start web server on %s: %w", host.Name, err)
	}
	s := &webServer{name: host.Name, host: host, listener: l}
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
	s.running.Wait()
}

// serve answers the one request of a connection.
func (s *webServer) serve(c net.Conn) {
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(2 * time.Second))
	r := bufio.NewReaderSize(c, 1024)
	first, err := r.ReadString('\n')
	for line := first; err == nil && strings.TrimSpace(line) != ""; {
		line, err = r.ReadString('\n')
	}
	if err != nil {
		return
	}
	status, body := "200 OK", s.name+"\n"
	if strings.HasPrefix(first, "GET /health ") && s.sick.Load() {
		status, body = "503 Service Unavailable", "sick\n"
	}
	_, _ = fmt.Fprintf(c, "HTTP/1.1 %s\r\n%s: %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", status, serverHeader, s.name, len(body), body)
}
