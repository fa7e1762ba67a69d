// SPDX-License-Identifier: Apache-2.0

package checker

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"text/tabwriter"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"golang.org/x/sys/unix"
)

// hostile is a server that means no good, and what a check says of it.
type hostile struct {
	name   string
	server func(*net.TCPConn)
	change func(*Config) // of a GET of /health in HTTP/1.1 that wants a 2xx; nil: none
	reason string        // empty: passes
	detail string        // a part of it
}

const httpOK = "HTTP/1.1 200 OK\r\n"

// then says something and then goes on.
func then(s string, next func(*net.TCPConn)) func(*net.TCPConn) {
	return answer(func(c *net.TCPConn) {
		_, _ = io.WriteString(c, s)
		next(c)
	})
}

// floods writes s for ever.
func floods(s string) func(*net.TCPConn) { return func(c *net.TCPConn) { pour(c, []byte(s), 0) } }

// crawls writes s for ever, a piece in a while.
func crawls(s string) func(*net.TCPConn) {
	return func(c *net.TCPConn) { pour(c, []byte(s), 20*time.Millisecond) }
}

// pour writes b until the other side is gone.
func pour(c io.Writer, b []byte, pause time.Duration) {
	for {
		if _, err := c.Write(b); err != nil {
			return
		}
		time.Sleep(pause)
	}
}

func hostileHTTP1() []hostile {
	expect := func(c *Config) { c.Expect = "needle" }
	redirects := func(c *Config) { c.HTTP.Redirects = true }
	spam := strings.Repeat("spam", 4000)
	return []hostile{
		{"half-open", silent, nil, "timeout", "read response of"},
		{"accepts, then RST", reset, nil, "connection reset", ""},
		{"closed without an answer", says(""), nil, "connection closed", ""},
		{"RST instead of an answer", answer(reset), nil, "connection reset", ""},
		{"RST in the body", then(httpOK+"Content-Length: 10\r\n\r\nab", func(c *net.TCPConn) {
			time.Sleep(20 * time.Millisecond)
			reset(c)
		}), nil, "connection reset", "read body of"},
		{"garbage", says("\x16\x03\x01\x02\x00\x01\r\n\r\n"), nil, "malformed response", ""},
		{"garbage without end", answer(floods("spam")), nil, "response too large", ""},
		{"1 byte at a time", answer(crawls("H")), nil, "timeout", "read response of"},
		{"slow header", then(httpOK+"X-Slow: ", crawls("a")), nil, "timeout", "read response of"},
		{"endless header", then(httpOK, floods("X-Spam: spam\r\n")), nil, "response too large", "header over 16384 bytes"},
		{"endless line", answer(floods(httpOK[:9])), nil, "response too large", ""},
		{"interim responses for ever", answer(floods("HTTP/1.1 103 Early Hints\r\n\r\n")), nil, "response too large", ""},
		{"interim responses, slowly", answer(crawls("HTTP/1.1 103 Early Hints\r\n\r\n")), nil, "timeout", ""},
		{"slow body", then(httpOK+"\r\n", crawls("a")), nil, "timeout", "read body of"},
		{"slow body, end expected", then(httpOK+"\r\n", crawls("a")), func(c *Config) { c.Expect = "a$" }, "timeout", "read body of"},
		{"endless body", then(httpOK+"\r\n", floods(spam)), nil, "", "200 OK"},
		{"endless body, not the expected", then(httpOK+"\r\n", floods(spam)), expect, "body", ""},
		{"endless body, digest", then(httpOK+"\r\n", floods(spam)), func(c *Config) { c.HTTP.Digest = "md5:" + strings.Repeat("0", 32) },
			"response too large", ""},
		{"1 GB announced and sent", then(httpOK+"Content-Length: 1000000000\r\n\r\n", floods(spam)), nil, "", "200 OK"},
		{"1 GB announced, not sent", then(httpOK+"Content-Length: 1000000000\r\n\r\n", silent), nil, "timeout", ""},
		{"chunks for ever", then(httpOK+"Transfer-Encoding: chunked\r\n\r\n", floods("4\r\nspam\r\n")), nil, "", "200 OK"},
		{"chunks of 1 byte, long extensions", then(httpOK+"Transfer-Encoding: chunked\r\n\r\n", floods("1;"+strings.Repeat("x", 2000)+"\r\na\r\n")), nil,
			"malformed response", ""},
		{"chunk without end of its length", then(httpOK+"Transfer-Encoding: chunked\r\n\r\n", floods("0")), nil, "malformed response", ""},
		{"trailers for ever", then(httpOK+"Transfer-Encoding: chunked\r\n\r\n0\r\n", floods("X-Spam: spam\r\n")), nil, "malformed response", ""},
		{"gzip bomb", bomb(), expect, "body", ""},
		{"redirect to itself", says("HTTP/1.1 302 Found\r\nLocation: /health\r\n\r\n"), redirects, "redirect", "in a circle"},
		{"redirects for ever", further(), redirects, "redirect", "more than 10"},
		{"redirect elsewhere", says("HTTP/1.1 302 Found\r\nLocation: http://192.0.2.1/\r\n\r\n"), redirects, "redirect", "another server"},
		{"expected in TCP for ever", floods("spam"), func(c *Config) { c.Kind, c.Expect = TCP, "needle" }, "response too large", ""},
		{"expected in TCP, 1 byte at a time", crawls("a"), func(c *Config) { c.Kind, c.Expect = TCP, "needle" }, "timeout", ""},
		{"reads nothing of much to send", func(c *net.TCPConn) { _, _ = unixPoll(c) }, func(c *Config) {
			c.Kind, c.Send = TCP, strings.Repeat("a", 12<<20)
		}, "timeout", "send to"},
	}
}

// unixPoll waits without reading until the other side is gone.
func unixPoll(c *net.TCPConn) (int, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	for range 1000 {
		var n int
		if err := raw.Control(func(fd uintptr) {
			n, _ = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}, 0)
		}); err != nil || n > 0 {
			return n, err
		}
		time.Sleep(10 * time.Millisecond)
	}
	return 0, errors.New("still there")
}

// bomb answers 256 MB of zeros in a few hundred kB that nobody has asked for.
func bomb() func(*net.TCPConn) {
	var b bytes.Buffer
	z, _ := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	zeros := make([]byte, 1<<20)
	for range 256 {
		_, _ = z.Write(zeros)
	}
	_ = z.Close()
	return says(fmt.Sprintf("%sContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s", httpOK, b.Len(), b.Bytes()))
}

// further redirects to a path that is new each time.
func further() func(*net.TCPConn) {
	var mu sync.Mutex
	n := 0
	return answer(func(c *net.TCPConn) {
		mu.Lock()
		n++
		to := n
		mu.Unlock()
		_, _ = fmt.Fprintf(c, "HTTP/1.1 302 Found\r\nLocation: /%d\r\n\r\n", to)
	})
}

func hostileTLS(t *testing.T) []hostile {
	ca := newAuthority(t)
	trusted := func(c *Config) { c.TLS = TLS{On: true, CA: ca.file(t)} }
	with := func(a *authority, change func(*x509.Certificate)) func(*net.TCPConn) {
		return secured(&tls.Config{Certificates: []tls.Certificate{a.issue(t, change)}}, greets)
	}
	stall := func(after int) func(*net.TCPConn) { // of what the server says in the handshake
		config := &tls.Config{Certificates: []tls.Certificate{ca.issue(t, nil)}}
		return func(c *net.TCPConn) {
			s := tls.Server(&stalled{c, after}, config)
			_ = s.Handshake()
			silent(c)
		}
	}
	say := func(s string) func(*net.TCPConn) {
		return func(c *net.TCPConn) { _, _ = io.WriteString(c, s); silent(c) }
	}
	return []hostile{
		{"TLS: stalls before its hello", silent, trusted, "timeout", "shake hands with"},
		{"TLS: stalls in a record header", stall(3), trusted, "timeout", "shake hands with"},
		{"TLS: stalls in its hello", stall(40), trusted, "timeout", "shake hands with"},
		{"TLS: stalls in its certificate", stall(400), trusted, "timeout", "shake hands with"},
		{"TLS: stalls after the handshake", secured(&tls.Config{Certificates: []tls.Certificate{ca.issue(t, nil)}},
			func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }), trusted, "timeout", "read response of"},
		{"TLS: 1 byte at a time", func(c *net.TCPConn) {
			_, _ = io.WriteString(c, "\x16\x03\x03\x40\x00")
			crawls("\x02")(c)
		}, trusted, "timeout", ""},
		{"TLS: hello without end", func(c *net.TCPConn) {
			floods("\x16\x03\x03\x00\x04\x0b\xff\xff\xff")(c)
		}, trusted, "tls handshake", ""},
		{"TLS: empty records for ever", floods("\x16\x03\x03\x00\x00"), trusted, "tls handshake", ""},
		{"TLS: plain HTTP", say("HTTP/1.1 400 Bad Request\r\n\r\n"), trusted, "tls handshake", ""},
		{"TLS: alert", say("\x15\x03\x03\x00\x02\x02\x28"), trusted, "tls handshake", "handshake failure"},
		{"TLS: RST in the handshake", func(c *net.TCPConn) {
			_, _ = c.Read(make([]byte, 1000))
			reset(c)
		}, trusted, "connection reset", ""},
		{"TLS: closed in the handshake", func(c *net.TCPConn) { _, _ = c.Read(make([]byte, 5000)) }, trusted, "connection closed", ""},
		{"TLS: unknown authority", with(newAuthority(t), nil), trusted, "certificate of unknown authority", ""},
		{"TLS: expired", with(ca, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }), trusted, "certificate expired", ""},
		{"TLS: another name", with(ca, func(c *x509.Certificate) { c.IPAddresses = nil }), trusted, "certificate for another name", ""},
		{"TLS: endless body", secured(&tls.Config{Certificates: []tls.Certificate{ca.issue(t, nil)}}, func(c net.Conn) {
			_, _ = c.Read(make([]byte, 1000))
			_, _ = io.WriteString(c, httpOK+"\r\n")
			pour(c, bytes.Repeat([]byte("spam"), 4000), 0)
		}), trusted, "", "200 OK"},
	}
}

// stalled passes on what is written up to a number of bytes.
type stalled struct {
	net.Conn
	left int
}

func (s *stalled) Write(b []byte) (int, error) {
	n := min(len(b), s.left)
	s.left -= n
	if _, err := s.Conn.Write(b[:n]); err != nil {
		return 0, err
	}
	return len(b), nil
}

// h2 is a server of HTTP/2 that reads up to the header of the request and then plays.
func h2(settings []http2.Setting, play func(c *net.TCPConn, f *http2.Framer)) func(*net.TCPConn) {
	return func(c *net.TCPConn) {
		if _, err := io.ReadFull(c, make([]byte, len(http2.ClientPreface))); err != nil {
			return
		}
		f := http2.NewFramer(c, c)
		if settings != nil {
			_ = f.WriteSettings(settings...)
		}
		for {
			frame, err := f.ReadFrame()
			if err != nil {
				return
			}
			if frame.Header().Type == http2.FrameHeaders {
				break
			}
		}
		play(c, f)
	}
}

// headers is a header block.
func headers(pairs ...string) []byte {
	var b bytes.Buffer
	e := hpack.NewEncoder(&b)
	for i := 0; i < len(pairs); i += 2 {
		_ = e.WriteField(hpack.HeaderField{Name: pairs[i], Value: pairs[i+1]})
	}
	return b.Bytes()
}

func hostileHTTP2() []hostile {
	two := func(c *Config) { c.HTTP.HTTP2 = true }
	post := func(c *Config) { c.HTTP.HTTP2, c.HTTP.Method, c.HTTP.Body = true, "POST", strings.Repeat("a", 1000) }
	none := []http2.Setting{}
	quiet := func(c *net.TCPConn, _ *http2.Framer) { silent(c) }
	// loop plays one frame for ever, written with a small buffer.
	loop := func(first, frame func(*http2.Framer)) func(*net.TCPConn, *http2.Framer) {
		return func(c *net.TCPConn, f *http2.Framer) {
			if first != nil {
				first(f)
			}
			var b bytes.Buffer
			frame(http2.NewFramer(&b, nil))
			pour(c, b.Bytes(), 0)
		}
	}
	head := func(f *http2.Framer, status string, end bool) {
		_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: headers(":status", status), EndHeaders: true, EndStream: end})
	}
	return []hostile{
		{"h2: says nothing", silent, two, "timeout", ""},
		{"h2: SETTINGS never", h2(nil, quiet), two, "timeout", ""},
		{"h2: SETTINGS only", h2(none, quiet), two, "timeout", ""},
		{"h2: window of 0 for a body", h2([]http2.Setting{{ID: http2.SettingInitialWindowSize, Val: 0}}, quiet), post, "timeout", ""},
		{"h2: no streams allowed", h2([]http2.Setting{{ID: http2.SettingMaxConcurrentStreams, Val: 0}}, quiet), two, "timeout", ""},
		{"h2: GOAWAY", h2(none, func(c *net.TCPConn, f *http2.Framer) {
			_ = f.WriteGoAway(0, http2.ErrCodeNo, nil)
			silent(c)
		}), two, "connection closed", "GOAWAY"},
		{"h2: GOAWAY for an error", h2(none, func(c *net.TCPConn, f *http2.Framer) {
			_ = f.WriteGoAway(0, http2.ErrCodeEnhanceYourCalm, []byte("calm"))
		}), two, "connection closed", "GOAWAY"},
		{"h2: GOAWAY after the request, and no answer", h2(none, func(c *net.TCPConn, f *http2.Framer) {
			_ = f.WriteGoAway(1, http2.ErrCodeNo, nil)
			silent(c)
		}), two, "timeout", ""},
		{"h2: RST_STREAM", h2(none, func(c *net.TCPConn, f *http2.Framer) {
			_ = f.WriteRSTStream(1, http2.ErrCodeInternal)
			silent(c)
		}), two, "connection reset", "INTERNAL_ERROR"},
		{"h2: REFUSED_STREAM", h2(none, func(c *net.TCPConn, f *http2.Framer) {
			_ = f.WriteRSTStream(1, http2.ErrCodeRefusedStream)
			silent(c)
		}), two, "connection reset", "REFUSED_STREAM"},
		{"h2: RST_STREAM in the body", h2(none, func(c *net.TCPConn, f *http2.Framer) {
			head(f, "200", false)
			_ = f.WriteData(1, false, []byte("o"))
			_ = f.WriteRSTStream(1, http2.ErrCodeInternal)
			silent(c)
		}), two, "connection reset", "INTERNAL_ERROR"},
		{"h2: RST in the body", h2(none, func(c *net.TCPConn, f *http2.Framer) {
			head(f, "200", false)
			_ = f.WriteData(1, false, []byte("o"))
			time.Sleep(20 * time.Millisecond)
			reset(c)
		}), two, "connection reset", ""},
		{"h2: body never", h2(none, func(c *net.TCPConn, f *http2.Framer) { head(f, "200", false); silent(c) }), two, "timeout", "read body of"},
		{"h2: endless CONTINUATION", h2(none, loop(func(f *http2.Framer) {
			_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: headers(":status", "200")})
		}, func(f *http2.Framer) { _ = f.WriteContinuation(1, false, headers("x-spam", "spam")) })), two, "malformed response", ""},
		{"h2: empty CONTINUATION for ever", h2(none, loop(func(f *http2.Framer) {
			_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: headers(":status", "200")})
		}, func(f *http2.Framer) { _ = f.WriteContinuation(1, false, nil) })), two, "response too large", ""},
		{"h2: large header", h2(none, func(c *net.TCPConn, f *http2.Framer) {
			large := strings.Repeat("a", 10<<10)
			_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: headers(":status", "200", "x", large, "y", large), EndHeaders: true})
			silent(c)
		}), two, "response too large", ""},
		{"h2: interim responses for ever", h2(none, loop(nil, func(f *http2.Framer) { head(f, "103", false) })), two, "response too large", ""},
		{"h2: PING for ever", h2(none, loop(nil, func(f *http2.Framer) { _ = f.WritePing(false, [8]byte{}) })), two, "response too large", ""},
		{"h2: SETTINGS for ever", h2(none, loop(nil, func(f *http2.Framer) { _ = f.WriteSettings() })), two, "response too large", ""},
		{"h2: empty DATA for ever", h2(none, loop(func(f *http2.Framer) { head(f, "200", false) },
			func(f *http2.Framer) { _ = f.WriteData(1, false, nil) })), two, "response too large", ""},
		{"h2: more DATA than allowed", h2(none, loop(func(f *http2.Framer) { head(f, "200", false) },
			func(f *http2.Framer) { _ = f.WriteData(1, false, make([]byte, 16<<10)) })), two, "", "200 OK"},
		{"h2: garbage", h2(none, func(c *net.TCPConn, _ *http2.Framer) { floods("spam")(c) }), two, "malformed response", ""},
		{"h2: HTTP/1.1 instead", says("HTTP/1.1 400 Bad Request\r\n\r\n"), two, "malformed response", ""},
		{"h2: closed without an answer", h2(none, func(c *net.TCPConn, _ *http2.Framer) {
			_ = c.CloseWrite() // the client may still write, which a close would answer with RST
			silent(c)
		}), two, "connection closed", ""},
		{"h2: RST instead of an answer", h2(none, func(c *net.TCPConn, _ *http2.Framer) {
			time.Sleep(20 * time.Millisecond)
			reset(c)
		}), two, "connection reset", ""},
	}
}

// cost is what one run took.
type cost struct {
	took     time.Duration
	received uint64 // bytes that the kernel took in for the check
	heap     uint64 // bytes allocated in this process, the hostile server's part included
}

// run runs one check against h, and waits until nothing of it is left.
func (h *hostile) run(t *testing.T) (Result, cost) {
	t.Helper()
	var received atomic.Uint64
	c := httpConfig(serve(t, func(c *net.TCPConn) {
		h.server(c)
		received.Add(acked(c))
	}))
	c.Timeout = 10 * time.Second
	if h.reason == reasonTimeout {
		c.Timeout = patience
	}
	if h.change != nil {
		h.change(&c)
	}
	goroutines, files := runtime.NumGoroutine(), descriptors(t)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := time.Now()
	ctx, cancel := context.WithDeadline(t.Context(), start.Add(c.Timeout))
	defer cancel()
	probe, err := newHTTP(&c, compiled(t, c.Expect))
	if c.Kind == TCP {
		probe, err = newTCP(&c, compiled(t, c.Expect))
	}
	if err != nil {
		t.Fatal(err)
	}
	res := probe(ctx)
	took := time.Since(start)
	runtime.ReadMemStats(&after)
	eventually(t, func() bool { return runtime.NumGoroutine() <= goroutines && descriptors(t) <= files })
	if took > c.Timeout+slack {
		t.Errorf("took %s with a timeout of %s", took, c.Timeout)
	}
	return res, cost{took, received.Load(), after.TotalAlloc - before.TotalAlloc}
}

func compiled(t *testing.T, expr string) *regexp.Regexp {
	t.Helper()
	if expr == "" {
		return nil
	}
	return regexp.MustCompile(expr)
}

// acked is how much of what a server has written the other side's kernel has taken in.
func acked(c *net.TCPConn) (n uint64) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0
	}
	_ = raw.Control(func(fd uintptr) {
		if info, err := unix.GetsockoptTCPInfo(int(fd), unix.SOL_TCP, unix.TCP_INFO); err == nil {
			n = info.Bytes_acked
		}
	})
	return n
}

// A hostile server costs its check at most the deadline, and the body that the check is ready to read with what the
// kernel buffers beside it; and nothing is left afterwards, neither goroutine nor descriptor.
func TestHostile(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	const most = 16 << 20
	var table strings.Builder
	w := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "server\tverdict\treason\ttime\treceived\tallocated")
	for _, h := range slices.Concat(hostileHTTP1(), hostileTLS(t), hostileHTTP2()) {
		t.Run(h.name, func(t *testing.T) {
			res, cost := h.run(t)
			verdict := Down
			if res.Err == nil {
				verdict = Up
			}
			if res.Reason != h.reason || !strings.Contains(res.Detail, h.detail) || (verdict == Up) != (h.reason == "") || errors.Is(res.Err, ErrLocal) {
				t.Errorf("got %s %q %q, want %q %q", verdict, res.Reason, res.Detail, h.reason, h.detail)
			}
			if cost.received > most || cost.heap > most {
				t.Errorf("got %d bytes, allocated %d, want at most %d", cost.received, cost.heap, most)
			}
			_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d kB\t%d kB\n", h.name, verdict, res.Reason, cost.took.Round(time.Millisecond),
				cost.received>>10, cost.heap>>10)
		})
	}
	_ = w.Flush()
	t.Logf("deadline of a timeout: %s\n%s", patience, &table)
}
