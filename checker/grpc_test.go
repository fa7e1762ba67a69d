// SPDX-License-Identifier: Apache-2.0

package checker

import (
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"
)

// grpcServer speaks HTTP/2 in clear text; package grpctest has the real one.
func grpcServer(t *testing.T, handle http.HandlerFunc) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: handle, Protocols: new(http.Protocols)}
	s.Protocols.SetUnencryptedHTTP2(true)
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close(); <-done })
	return l.Addr().(*net.TCPAddr).AddrPort()
}

// grpcAnswer is one message with its trailers.
func grpcAnswer(body, status string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/grpc+proto")
		_, _ = io.WriteString(w, body)
		w.Header().Set(http.TrailerPrefix+"Grpc-Status", status)
	}
}

const serving = "\x00\x00\x00\x00\x02\x08\x01"

func TestGRPC(t *testing.T) {
	// raw answers the preface with bytes of its own.
	raw := func(say func(*net.TCPConn)) netip.AddrPort { return serve(t, say) }
	const settings = "\x00\x00\x00\x04\x00\x00\x00\x00\x00"
	for _, tc := range []struct {
		name           string
		target         netip.AddrPort
		reason, detail string
	}{
		{"serving", grpcServer(t, grpcAnswer(serving, "0")), "", "SERVING"},
		{"not serving", grpcServer(t, grpcAnswer("\x00\x00\x00\x00\x02\x08\x02", "0")), "not serving", "NOT_SERVING"},
		{"new status", grpcServer(t, grpcAnswer("\x00\x00\x00\x00\x02\x08\x63", "0")), "not serving", "status 99"},
		{"status left out", grpcServer(t, grpcAnswer("\x00\x00\x00\x00\x00", "0")), "not serving", "UNKNOWN"},
		{"status after the message", grpcServer(t, grpcAnswer(serving, "13")), "grpc status", "code 13"},
		{"trailers only", grpcServer(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/grpc")
			w.Header().Set("Grpc-Status", "14")
			w.Header().Set("Grpc-Message", "going away")
		}), "grpc status", "UNAVAILABLE going away"},
		{"no trailers", grpcServer(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/grpc")
			_, _ = io.WriteString(w, serving)
		}), "malformed response", "grpc-status"},
		{"trailer is no number", grpcServer(t, grpcAnswer(serving, "ok")), "malformed response", "grpc-status"},
		{"a web page", grpcServer(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") }), "malformed response", "text/html"},
		{"http status", grpcServer(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }), "status", "503 Service Unavailable"},
		{"two messages", grpcServer(t, grpcAnswer(serving+serving, "0")), "malformed response", "one message"},
		{"no message", grpcServer(t, grpcAnswer("", "0")), "malformed response", "one message"},
		{"garbage for a message", grpcServer(t, grpcAnswer("\x00\x00\x00\x00\x02\xff\xff", "0")), "malformed response", "protobuf"},
		{"endless body", grpcServer(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/grpc")
			for {
				if _, err := w.Write(make([]byte, 1024)); err != nil {
					return
				}
			}
		}), "response too large", ""},
		{"silent handler", grpcServer(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }), "timeout", ""},
		{"half an answer", grpcServer(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/grpc")
			_, _ = io.WriteString(w, serving[:3])
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}), "timeout", ""},
		{"HTTP/1", raw(func(c *net.TCPConn) { _, _ = io.WriteString(c, "HTTP/1.1 400 Bad Request\r\n\r\n"); silent(c) }), "malformed response", "answers in HTTP/1"},
		{"garbage", raw(func(c *net.TCPConn) { forever(c, "spam", 0) }), "malformed response", ""},
		{"settings for ever", raw(func(c *net.TCPConn) {
			go silent(c)
			forever(c, settings, 0)
		}), "response too large", ""},
		{"settings and no more", raw(func(c *net.TCPConn) { _, _ = io.WriteString(c, settings); silent(c) }), "timeout", ""},
		{"silent", raw(silent), "timeout", ""},
		{"closed", raw(func(c *net.TCPConn) { _ = c.CloseWrite(); silent(c) }), "connection closed", ""},
		{"refused", closed(t), "connection refused", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := Config{Kind: GRPC, Target: tc.target}
			if tc.reason == reasonTimeout {
				c.Timeout = patience
			}
			res, _ := check(t, c)
			wantResult(t, res, tc.reason, tc.detail)
		})
	}
}

func TestGRPCRequest(t *testing.T) {
	type request struct {
		*http.Request
		body string
	}
	got := make(chan request, 1)
	target := grpcServer(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		got <- request{r, string(b)}
		grpcAnswer(serving, "0")(w, r)
	})
	check(t, Config{Kind: GRPC, Target: target, GRPCService: "api", Timeout: 5 * time.Second})
	r := <-got
	if r.Method != "POST" || r.URL.Path != "/grpc.health.v1.Health/Check" || r.Host != target.String() ||
		r.Header.Get("Content-Type") != "application/grpc" || r.Header.Get("Te") != "trailers" || r.body != "\x00\x00\x00\x00\x05\x0a\x03api" {
		t.Errorf("got %s %s, host %s, %v, %q", r.Method, r.URL, r.Host, r.Header, r.body)
	}
	left, err := strconv.Atoi(strings.TrimSuffix(r.Header.Get("Grpc-Timeout"), "m"))
	if err != nil || left < 1 || left > 5000 {
		t.Errorf("grpc-timeout: %q", r.Header.Get("Grpc-Timeout"))
	}
}

func TestServingStatus(t *testing.T) {
	frame := func(message string) []byte {
		return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message))), message...)
	}
	for _, tc := range []struct {
		name string
		b    []byte
		want uint64
		ok   bool
	}{
		{"serving", frame("\x08\x01"), 1, true},
		{"empty", frame(""), 0, true},
		{"last one counts", frame("\x08\x01\x08\x02"), 2, true},
		{"other fields", frame("\x10\x05\x1a\x02ab\x21........\x2d....\x08\x01"), 1, true},
		{"compressed", []byte("\x01\x00\x00\x00\x02\x08\x01"), 0, false},
		{"short", []byte("\x00\x00\x00\x00\x03\x08\x01"), 0, false},
		{"no length", []byte("\x00\x00"), 0, false},
		{"tag without value", frame("\x08"), 0, false},
		{"text over the end", frame("\x1a\x05ab"), 0, false},
		{"text that wraps", frame("\x1a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), 0, false},
		{"8 bytes over the end", frame("\x21...."), 0, false},
		{"group", frame("\x0b\x08\x01\x0c"), 0, false},
		{"endless varint", frame("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), 0, false},
	} {
		got, err := servingStatus(tc.b)
		if got != tc.want || (err == nil) != tc.ok {
			t.Errorf("%s: got %d, %v", tc.name, got, err)
		}
	}
}

// FuzzServingStatus: no answer makes it crash or go on for ever.
func FuzzServingStatus(f *testing.F) {
	f.Add([]byte(serving))
	f.Add([]byte("\x00\x00\x00\x00\x0c\x1a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x08"))
	f.Fuzz(func(_ *testing.T, b []byte) { _, _ = servingStatus(b) })
}
