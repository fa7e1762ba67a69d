// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/internal/director"
	"github.com/holdfast-lb/holdfast/internal/notify"
)

func init() { time.Local = time.UTC } // events are printed in local time

// someEvents are what a director may tell.
func someEvents() []director.Recorded {
	return []director.Recorded{
		{Sequence: 7, Event: notify.Event{Kind: "virtual_router", Name: "web", From: "backup", To: "master", Reason: "no master heard for 3.609s", Time: now, Director: "lb1"}},
		{Sequence: 8, Event: notify.Event{Kind: "real_server", Name: "web/*", To: "down", Reason: "2 of 3 of web (web1, web2); web/web1: http: \x1b[31m503", Time: now, Director: "lb1", Count: 2}},
		{Sequence: 9, Event: notify.Event{Kind: "reload", Name: "/etc/holdfast/holdfast.hcl", From: "loading", To: "failed", Reason: "a\nb", Time: now, Director: "lb1"}},
	}
}

// TestEvents holds what events prints against testdata/events.txt.
func TestEvents(t *testing.T) {
	var asked []string
	socket := serveControlSocket(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		if q.Has("since") {
			q.Set("since", "SINCE")
		}
		asked = append(asked, q.Encode())
		switch {
		case q.Get("name") == "refused":
			w.WriteHeader(http.StatusConflict)
			fmt.Fprintln(w, `{"error":"events: refused"}`)
		case q.Get("name") == "none":
			_ = json.NewEncoder(w).Encode(director.Events{Run: "1", Events: []director.Recorded{}})
		default:
			_ = json.NewEncoder(w).Encode(director.Events{Run: "1", Forgotten: 6, Events: someEvents()})
		}
	}))
	var out strings.Builder
	for _, line := range []string{
		"events", "events --json", "events --name none", "events --since 1h --kind virtual_router,real_server", "events --since 1h -n 5", "events --name refused",
		"events --kind weather",
		"events --last -1", "events --since 5", "events now",
	} {
		asked = nil
		var stdout, stderr bytes.Buffer
		code := run(append(strings.Fields(line), "--socket", socket), &stdout, &stderr)
		fmt.Fprintf(&out, "$ holdfast %s\n%s%sexit code %d, asked for %q\n\n", line, &stdout, &stderr, code, asked)
	}
	golden(t, "testdata/events.txt", out.String())
}

// serveControlSocket answers on a control socket.
func serveControlSocket(t *testing.T, h http.Handler) (socket string) {
	t.Helper()
	socket = filepath.Join(t.TempDir(), "control.sock")
	listenAgain(t, socket, h)
	return socket
}

func listenAgain(t *testing.T, socket string, h http.Handler) *http.Server {
	t.Helper()
	_ = os.Remove(socket)
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: h}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	return server
}

// shared is a buffer that a command writes to while a test reads it.
type shared struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *shared) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *shared) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// has waits until the buffer has a text.
func (s *shared) has(t *testing.T, text string) {
	t.Helper()
	s.from(t, 0, text)
}

// from waits until the buffer has a text after so many bytes.
func (s *shared) from(t *testing.T, at int, text string) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !strings.Contains(s.String()[at:], text); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("no %q in %q", text, s.String())
		}
	}
}

// TestEventsFollow follows a director that stops and comes back: each event is printed once, what happened is said, and the
// end of the context is a good end.
func TestEventsFollow(t *testing.T) {
	var asked shared
	stream := func(runs string, events []director.Recorded, end bool) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(&asked, "%s after %s in %q\n", r.FormValue("follow"), r.FormValue("after"), r.FormValue("run"))
			w.Header().Set("Holdfast-Run", runs)
			for _, e := range events {
				_ = json.NewEncoder(w).Encode(e)
			}
			if end {
				_ = json.NewEncoder(w).Encode(director.Recorded{Event: notify.Event{Kind: "stream", To: "ended"}})
				return
			}
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		})
	}
	all := someEvents()
	socket := filepath.Join(t.TempDir(), "control.sock")
	first := listenAgain(t, socket, stream("one", all[:2], true))
	ctx, cancel := context.WithCancel(t.Context())
	var stdout, stderr shared
	ended := make(chan error, 1)
	go func() {
		ended <- followEvents(ctx, &globals{}, director.Client{Socket: socket}, director.EventQuery{Last: 2}, &stdout, &stderr)
	}()
	stderr.has(t, "holdfast: the director has stopped; waiting for it\n")
	_ = first.Close()
	listenAgain(t, socket, stream("two", all[2:], false))
	stdout.has(t, "reload /etc/holdfast/holdfast.hcl: loading -> failed: a; b\n")
	asked.has(t, `true after 8 in "one"`)
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if n := strings.Count(stderr.String(), "\n"); strings.Count(stdout.String(), "\n") < 3 || n < 1 || !strings.HasPrefix(asked.String(), `true after  in ""`) {
		t.Errorf("%q, %q, %q", &stdout.b, &stderr.b, &asked.b)
	}
}

func TestEventsFollowNobody(t *testing.T) {
	var stdout, stderr bytes.Buffer
	socket := filepath.Join(t.TempDir(), "none.sock")
	if code := run([]string{"events", "--follow", "--socket", socket}, &stdout, &stderr); code != 1 ||
		!strings.HasPrefix(stderr.String(), "holdfast: no control socket "+socket+": ") || strings.Count(stderr.String(), "\n") != 1 {
		t.Errorf("got %d, %q", code, &stderr)
	}
}
