// SPDX-License-Identifier: Apache-2.0

package drill

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"
)

// drive loads the target for a while and returns what was recorded.
func drive(t *testing.T, l Load, d time.Duration) []Sample {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	var samples []Sample
	if err := l.Run(ctx, func(s Sample) { samples = append(samples, s) }); err != nil {
		t.Fatal(err)
	}
	return samples
}

func target(t *testing.T, l net.Listener) netip.AddrPort {
	t.Helper()
	a, err := netip.ParseAddrPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestLoad(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Host != "www.example.com" || r.URL.Path != "/small" {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		w.Header().Set("X-Server", "web1")
		fmt.Fprintln(w, "hello")
	}))
	defer s.Close()
	entered := 0
	samples := drive(t, Load{
		Target: target(t, s.Listener), Interval: 5 * time.Millisecond, Timeout: 5 * time.Second,
		Host: "www.example.com", Path: "/small", ServerHeader: "X-Server",
		Within: func(f func() error) error { entered++; return f() },
	}, 500*time.Millisecond)

	r := Summarize(samples)
	if r.Lost > 0 || r.Servers["web1"] != r.Requests {
		t.Errorf("lost %d of %d: %v; servers %v", r.Lost, r.Requests, r.Errors, r.Servers)
	}
	// The schedule is absolute: as many as there is time for, however busy this machine is; that may end the load late.
	if lasted := samples[len(samples)-1].End.Sub(samples[0].Start); r.Requests < 70 || r.Requests > int(lasted/(5*time.Millisecond))+2 {
		t.Errorf("%d requests in %v, want one each 5 ms", r.Requests, lasted)
	}
	if entered != 1 {
		t.Errorf("Within was called %d times, want once", entered)
	}
	for i, s := range samples {
		if s.Late < 0 || s.End.Before(s.Start) {
			t.Fatalf("sample %d is %v late, starts %v and ends %v", i, s.Late, s.Start, s.End)
		}
	}
}

// A server that takes connections and says nothing is well enough for a load that only connects.
func TestLoadConnectOnly(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	to := target(t, silent)
	r := Summarize(drive(t, Load{Target: to, ConnectOnly: true, Timeout: 5 * time.Second}, 100*time.Millisecond))
	if r.Requests == 0 || r.Lost > 0 {
		t.Errorf("lost %d of %d: %v", r.Lost, r.Requests, r.Errors)
	}
	_ = silent.Close()
	if r := Summarize(drive(t, Load{Target: to, ConnectOnly: true, Timeout: 5 * time.Second}, 30*time.Millisecond)); r.Requests == 0 || r.Errors["refused"] != r.Requests {
		t.Errorf("nobody listens: %d requests, errors %v, want all refused", r.Requests, r.Errors)
	}
}

func TestLoadIPv6(t *testing.T) {
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Skipf("needs IPv6 on the loopback: %v", err)
	}
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	_ = s.Listener.Close()
	s.Listener = l
	s.Start()
	defer s.Close()
	r := Summarize(drive(t, Load{Target: target(t, l), Timeout: 5 * time.Second}, 50*time.Millisecond))
	if r.Requests == 0 || r.Errors["status 404"] != r.Requests {
		t.Errorf("%d requests, errors %v, want all to fail with status 404", r.Requests, r.Errors)
	}
}

// raw answers every connection with these bytes, after the request if there is one.
func raw(t *testing.T, answer string, reset bool) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = c.Read(make([]byte, 1024))
			_, _ = c.Write([]byte(answer))
			if reset {
				_ = c.(*net.TCPConn).SetLinger(0)
			}
			_ = c.Close()
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-done
	})
	return target(t, l)
}

func TestLoadFailures(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	refusing := target(t, closed)
	_ = closed.Close()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()

	for _, tt := range []struct {
		name   string
		target netip.AddrPort
		want   string
	}{
		{"nobody listens", refusing, "refused"},
		{"nobody accepts", target(t, silent), "answer timeout"},
		{"no answer", raw(t, "", false), "no answer"},
		{"not HTTP", raw(t, "hello\r\n\r\n", false), "answer cut short"},
		{"half a header", raw(t, "HTTP/1.1 200 OK\r\nContent-", false), "answer cut short"},
		{"half a body", raw(t, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello", false), "answer cut short"},
		{"an error of the server", raw(t, "HTTP/1.1 503 Service Unavailable\r\n\r\n", false), "status 503"},
		{"a long answer", raw(t, "HTTP/1.1 200 OK\r\n\r\n"+strings.Repeat("x", maxAnswer), false), "answer too long"},
		{"a reset", raw(t, "", true), "reset"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			samples := drive(t, Load{Target: tt.target, Timeout: 300 * time.Millisecond}, 30*time.Millisecond)
			r := Summarize(samples)
			if r.Requests == 0 || r.Errors[tt.want] != r.Requests {
				t.Errorf("%d requests, errors %v, want all %q", r.Requests, r.Errors, tt.want)
			}
			for _, s := range samples {
				if took := s.End.Sub(s.Start); tt.want == "answer timeout" && (took < 300*time.Millisecond || took-300*time.Millisecond > s.Late+50*time.Millisecond) {
					t.Errorf("given up after %v and %v late, want after 300 ms", took, s.Late)
				}
			}
		})
	}
}

// A load leaves no socket behind, whether requests end by themselves or are given up.
func TestLoadCloses(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	count := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	before := count()
	drive(t, Load{Target: target(t, silent), Timeout: 50 * time.Millisecond}, 100*time.Millisecond)
	if after := count(); after != before {
		t.Errorf("%d open files before, %d after", before, after)
	}
}

func TestLoadCannotEnter(t *testing.T) {
	gone := errors.New("gone")
	err := Load{Target: netip.MustParseAddrPort("127.0.0.1:1"), Within: func(func() error) error { return gone }}.Run(t.Context(), nil)
	if !errors.Is(err, gone) {
		t.Errorf("error %v, want %v", err, gone)
	}
}
