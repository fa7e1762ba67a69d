// SPDX-License-Identifier: Apache-2.0

package checker

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// speak1 sends a request in HTTP/1.1 and reads the header of the response. The caller calls done in the end, after
// closing conn, whatever came of it.
func (h *httpCheck) speak1(conn net.Conn, req *http.Request, body string) (resp *http.Response, done func(), res Result) {
	limit := &io.LimitedReader{R: conn, N: maxHeader}
	in := &failReader{r: limit}
	r := buffered(in)
	done = func() { release(r) }
	if _, err := conn.Write(appendRequest(nil, req, body)); err != nil {
		return nil, done, fault("send request to", h.config.Target, err)
	}
	resp, err := readResponse(r, req)
	switch {
	case err == nil:
	case limit.N <= 0:
		return nil, done, h.unreadable("read response of", fmt.Errorf("header over %d bytes: %w", maxHeader, errTooLarge))
	case in.err != nil: // before what the half of a line looks like
		return nil, done, h.unreadable("read response of", in.err)
	default:
		return nil, done, h.unreadable("read response of", err)
	}
	limit.N = math.MaxInt64 // the body has its own limit, after decoding
	return resp, done, Result{}
}

// appendRequest writes a request as it goes over the wire (RFC 9112).
func appendRequest(b []byte, req *http.Request, body string) []byte {
	b = append(b, req.Method+" "+req.URL.RequestURI()+" HTTP/1.1\r\nHost: "+req.Host+"\r\n"...)
	first := []string{"User-Agent", "Accept"}
	for _, name := range slices.Concat(first, names(req.Header, first)) {
		for _, value := range req.Header[name] {
			b = append(b, name+": "+value+"\r\n"...)
		}
	}
	// RFC 9110 section 8.6: methods that mean to have content say that it is empty.
	if body != "" || req.Method == http.MethodPost || req.Method == http.MethodPut || req.Method == http.MethodPatch {
		b = append(b, "Content-Length: "+strconv.Itoa(len(body))+"\r\n"...)
	}
	if req.Header["Connection"] == nil {
		b = append(b, "Connection: close\r\n"...)
	}
	return append(append(b, "\r\n"...), body...)
}

// names are the names of a header without some of them, in order.
func names(header http.Header, without []string) []string {
	out := make([]string, 0, len(header))
	for name := range header {
		if !slices.Contains(without, name) {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// readResponse reads the final response; interim ones (100 to 199) may come before it.
func readResponse(r *bufio.Reader, req *http.Request) (*http.Response, error) {
	for {
		resp, err := http.ReadResponse(r, req)
		if err == nil && resp.ProtoMajor != 1 { // net/http takes any
			return nil, fmt.Errorf("answers in %.16q, not in HTTP/1", resp.Proto)
		}
		if err != nil || resp.StatusCode >= 200 || resp.StatusCode == http.StatusSwitchingProtocols {
			return resp, err
		}
	}
}

// speak2 is speak1 in HTTP/2, without and with TLS: with prior knowledge (RFC 9113 section 3.3), and as ALPN has agreed
// on.
func (h *httpCheck) speak2(conn net.Conn, req *http.Request, body string) (resp *http.Response, done func(), res Result) {
	req = req.Clone(req.Context())
	req.Body, req.ContentLength = http.NoBody, int64(len(body))
	if body != "" {
		req.Body = io.NopCloser(strings.NewReader(body))
	}
	resp, done, err := roundTrip2(conn, req, h.config.Target, min(h.maxBody, 4<<20))
	if err != nil {
		return nil, done, h.unreadable("read response of", err)
	}
	return resp, done, Result{}
}

// roundTrip2 sends a request in HTTP/2 on a connection that open has made, and secured if the scheme is https. buffer is
// how many bytes of the body the server may send before they are read, at least 64 KiB. The caller calls done in the
// end, after closing conn, whatever came of it; the goroutines of net/http end with conn.
func roundTrip2(conn net.Conn, req *http.Request, target netip.AddrPort, buffer int) (resp *http.Response, done func(), err error) {
	given := func(context.Context, string, string) (net.Conn, error) { return conn, nil }
	t := &http.Transport{
		DialContext:            given,
		DialTLSContext:         given,
		Protocols:              new(http.Protocols),
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxHeader,
		HTTP2:                  &http.HTTP2Config{MaxReceiveBufferPerStream: max(64<<10, buffer), MaxReceiveBufferPerConnection: 4 << 20},
	}
	t.Protocols.SetHTTP2(true)
	t.Protocols.SetUnencryptedHTTP2(req.URL.Scheme == "http")
	ctx := req.Context()
	cc, err := t.NewClientConn(ctx, req.URL.Scheme, target.String())
	if err != nil {
		return nil, func() {}, cause(ctx, conn, err)
	}
	done = func() { _ = cc.Close() }
	if resp, err = cc.RoundTrip(req); err != nil {
		return nil, done, cause(ctx, conn, err)
	}
	return resp, done, nil
}

// cause is why a connection has failed. What net/http makes of it depends on when it has: of one that fails before the
// request it does not keep the error.
func cause(ctx context.Context, conn net.Conn, err error) error {
	b := bounded(conn)
	failed := b.failed.Load()
	if secured, ok := conn.(*tls.Conn); ok && ctx.Err() == nil {
		_ = secured.SetReadDeadline(time.Unix(1, 0)) // an alert that has been read is said again, and nothing waited for
		if _, alert := secured.Read(make([]byte, 1)); isAlert(alert) {
			return alert
		}
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case b.http1.Load():
		return errors.New("answers in HTTP/1")
	case failed != nil && strings.Contains(err.Error(), "http2: client conn"):
		return *failed
	}
	return err
}

// explain2 is the reason of an error of HTTP/2; empty: of none. net/http has texts for them, and no types.
func explain2(err error) string {
	for _, known := range [...]struct{ text, reason string }{
		{"header list ", reasonTooLarge},
		{" GOAWAY", reasonClosed},
		{"received from peer", reasonReset}, // RST_STREAM
	} {
		if strings.Contains(err.Error(), known.text) {
			return known.reason
		}
	}
	return ""
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
