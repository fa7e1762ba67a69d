// SPDX-License-Identifier: Apache-2.0

package checker

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
)

// What a server can make us read.
const (
	maxHeader = 16 << 10
	maxBody   = 1 << 20
)

// httpCheck speaks HTTP/1.1 on a connection of its own rather than through a http.Client: no goroutines and no
// transport per check, nothing of the environment, no redirects, no compression, one deadline.
type httpCheck struct {
	target netip.AddrPort
	path   string
	host   string
	status StatusSet
	expect *regexp.Regexp // nil: any body
}

// newHTTP prepares a check; expect is Config.Expect, compiled.
func newHTTP(c *Config, expect *regexp.Regexp) (Probe, error) {
	h := httpCheck{target: c.Target, path: c.HTTP.Path, host: c.HTTP.Host, status: c.HTTP.Status, expect: expect}
	if h.path == "" {
		h.path = "/"
	}
	if h.host == "" {
		h.host = hostOf(c.Target)
	}
	if strings.ContainsFunc(h.path+h.host, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return nil, errors.New("path or host holds a space or a control character")
	}
	return h.run, nil
}

// hostOf is the Host header for a target: without the zone, which means nothing elsewhere, and without port 80.
func hostOf(target netip.AddrPort) string {
	host := netip.AddrPortFrom(target.Addr().WithZone(""), target.Port()).String()
	return strings.TrimSuffix(host, ":80")
}

func (h *httpCheck) run(ctx context.Context) Result {
	// Not DialTCP: that binds before it connects, and then all targets share one range of local ports.
	conn, err := (&net.Dialer{KeepAlive: -1}).DialContext(ctx, "tcp", h.target.String())
	if err != nil {
		return fault("connect", h.target, err)
	}
	defer conn.Close()
	_ = conn.(*net.TCPConn).SetLinger(0) // as in the TCP check: leave no TIME_WAIT behind
	// One mechanism for deadline and shutdown; what fails afterwards fails with os.ErrDeadlineExceeded.
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()

	if _, err := conn.Write(h.request()); err != nil {
		return fault("send request to", h.target, err)
	}
	limit := &io.LimitedReader{R: conn, N: maxHeader}
	r := buffered(limit)
	defer release(r)
	resp, err := readResponse(r)
	if err != nil {
		return h.unreadable("read response of", limit.N <= 0, err)
	}
	limit.N = math.MaxInt64 // the body has its own limit, after decoding
	detail := strings.TrimSpace(strconv.Itoa(resp.StatusCode) + " " + http.StatusText(resp.StatusCode))
	if !h.status.Contains(resp.StatusCode) {
		return Result{Err: fmt.Errorf("status %s", detail), Reason: reasonStatus, Detail: detail}
	}
	// The body is never closed: that would read the rest of it. The connection is.
	matched, err := h.match(resp.Body)
	if err != nil {
		return h.unreadable("read body of", false, err)
	}
	if !matched {
		return failure(reasonBody, fmt.Errorf("body does not match %q", h.expect))
	}
	return Result{Detail: detail}
}

func (h *httpCheck) request() []byte {
	return []byte("GET " + h.path + " HTTP/1.1\r\nHost: " + h.host +
		"\r\nUser-Agent: holdfast\r\nAccept: */*\r\nConnection: close\r\n\r\n")
}

// readResponse reads the final response; interim ones (100 to 199) may come before it.
func readResponse(r *bufio.Reader) (*http.Response, error) {
	for {
		resp, err := http.ReadResponse(r, nil)
		if err != nil || resp.StatusCode >= 200 || resp.StatusCode == http.StatusSwitchingProtocols {
			return resp, err
		}
	}
}

// match reads the body and reports whether the expected is in it. A body that does not come in time is a failure also
// when nothing is expected of it; one that does not end counts up to its limit.
func (h *httpCheck) match(body io.Reader) (bool, error) {
	in := &failReader{r: io.LimitReader(body, maxBody)}
	if h.expect == nil {
		_, err := io.Copy(io.Discard, in)
		return true, err
	}
	r := buffered(in)
	defer release(r)
	matched := h.expect.MatchReader(r)
	return matched, in.err
}

// unreadable is the result of a response that could not be read to its end.
func (h *httpCheck) unreadable(op string, tooLarge bool, err error) Result {
	if tooLarge {
		return failure(reasonTooLarge, fmt.Errorf("%s %s: header over %d bytes", op, h.target, maxHeader))
	}
	res := fault(op, h.target, err)
	if res.Reason == reasonOther {
		res.Reason = reasonMalformed // no network error, so it is what was read
	}
	return res
}

// failReader remembers the error that a reader ended with, which a regular expression takes for the end of the text.
type failReader struct {
	r   io.Reader
	err error
}

func (f *failReader) Read(b []byte) (int, error) {
	n, err := f.r.Read(b)
	if err != nil && err != io.EOF {
		f.err = err
	}
	return n, err
}

var readers = sync.Pool{New: func() any { return bufio.NewReader(nil) }}

func buffered(r io.Reader) *bufio.Reader {
	b := readers.Get().(*bufio.Reader)
	b.Reset(r)
	return b
}

func release(b *bufio.Reader) {
	b.Reset(nil)
	readers.Put(b)
}
