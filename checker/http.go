// SPDX-License-Identifier: Apache-2.0

package checker

import (
	"bytes"
	"cmp"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// What a server can make an HTTP check read beside the body.
const (
	maxHeader    = 16 << 10
	maxBody      = 1 << 20 // where HTTPConfig.MaxBody says nothing
	maxRedirects = 10
)

// httpCheck speaks on a connection of its own rather than through a http.Client: nothing of the environment, no
// compression, one deadline, and for HTTP/1.1 no goroutines.
type httpCheck struct {
	config  *Config
	expect  *regexp.Regexp // nil: any body
	request *http.Request  // the first one, without its body
	hash    func() hash.Hash
	digest  []byte // nil: any body
	maxBody int
}

// newHTTP prepares a check; expect is Config.Expect, compiled.
func newHTTP(c *Config, expect *regexp.Regexp) (Probe, error) {
	h := httpCheck{config: c, expect: expect, maxBody: c.HTTP.MaxBody}
	if h.maxBody <= 0 {
		h.maxBody = maxBody
	}
	header, err := parseHeaders(c.HTTP.Headers)
	if err != nil {
		return nil, err
	}
	u, err := url.ParseRequestURI(cmp.Or(c.HTTP.Path, "/"))
	if err != nil || u.IsAbs() || strings.ContainsFunc(c.HTTP.Path, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return nil, fmt.Errorf("path %q: not one of a URL", c.HTTP.Path)
	}
	u.Scheme = "http"
	if c.TLS.On {
		u.Scheme = "https"
	}
	u.Host = cmp.Or(c.HTTP.Host, header.Get("Host"), hostOf(c.Target, u.Scheme))
	header.Del("Host")
	if !httpguts.ValidHostHeader(u.Host) || strings.Contains(u.Host, "/") {
		return nil, fmt.Errorf("host %q: not a host", u.Host)
	}
	method := cmp.Or(c.HTTP.Method, http.MethodGet)
	if !httpguts.ValidHeaderFieldName(method) { // the same letters
		return nil, fmt.Errorf("method %q: not a method", method)
	}
	h.request = &http.Request{Method: method, URL: u, Host: u.Host, Header: header}
	if h.hash, h.digest, err = parseDigest(c.HTTP.Digest); err != nil {
		return nil, err
	}
	return h.run, nil
}

// parseHeaders adds what every request of a check says to the lines of HTTPConfig.Headers, unless those say it.
func parseHeaders(lines string) (http.Header, error) {
	header := http.Header{"User-Agent": {"holdfast"}, "Accept": {"*/*"}}
	own := make(http.Header)
	for line := range strings.SplitSeq(strings.TrimSuffix(lines, "\r\n"), "\r\n") {
		if line == "" {
			continue
		}
		name, value, ok := strings.Cut(line, ":")
		value = strings.Trim(value, " \t")
		if !ok || !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(value) {
			return nil, fmt.Errorf("header %q: not of the form name: value", line)
		}
		own.Add(name, value)
	}
	for _, name := range [...]string{"Content-Length", "Transfer-Encoding"} {
		if own[name] != nil {
			return nil, fmt.Errorf("header %s: follows from the body", name)
		}
	}
	for name, values := range own {
		header[name] = values
	}
	return header, nil
}

// parseDigest reads HTTPConfig.Digest.
func parseDigest(s string) (newHash func() hash.Hash, sum []byte, err error) {
	if s == "" {
		return nil, nil, nil
	}
	name, digits, _ := strings.Cut(s, ":")
	switch name {
	case "sha256":
		newHash = sha256.New
	case "md5":
		newHash = md5.New
	default:
		return nil, nil, fmt.Errorf("digest %q: want sha256:… or md5:…", s)
	}
	if sum, err = hex.DecodeString(digits); err != nil || len(sum) != newHash().Size() {
		return nil, nil, fmt.Errorf("digest %q: want %d hexadecimal digits", s, 2*newHash().Size())
	}
	return newHash, sum, nil
}

// hostOf is the Host header for a target: without the zone, which means nothing elsewhere, and without the port of the
// scheme.
func hostOf(target netip.AddrPort, scheme string) string {
	host := netip.AddrPortFrom(target.Addr().WithZone(""), target.Port()).String()
	return trimPort(host, scheme)
}

// trimPort takes the scheme's own port off a host.
func trimPort(host, scheme string) string {
	if scheme == "https" {
		return strings.TrimSuffix(host, ":443")
	}
	return strings.TrimSuffix(host, ":80")
}

// run asks, and goes on asking while it is redirected.
func (h *httpCheck) run(ctx context.Context) Result {
	body := h.config.HTTP.Body
	req := h.request.Clone(ctx)
	for way := []string{key(req)}; ; way = append(way, key(req)) {
		res, moved := h.ask(req, body)
		if moved == nil {
			return res
		}
		if err := h.redirect(req, moved); err != nil {
			return failure(reasonRedirect, fmt.Errorf("redirect of %q: %w", req.URL.RequestURI(), err))
		}
		if req.Method != h.request.Method {
			body = ""
		}
		for i := range way {
			if way[i] == key(req) {
				return failure(reasonRedirect, fmt.Errorf("redirects in a circle: %q", append(way[i:], key(req))))
			}
		}
		if len(way) > maxRedirects {
			return failure(reasonRedirect, fmt.Errorf("more than %d redirects, at last to %q", maxRedirects, req.URL))
		}
	}
}

// key is what a circle of redirects comes back to.
func key(r *http.Request) string { return r.Method + " " + r.URL.String() }

// redirect makes req the request that the response to it asks for.
func (h *httpCheck) redirect(req *http.Request, moved *http.Response) error {
	location := moved.Header.Get("Location")
	to, err := req.URL.Parse(location)
	if err != nil {
		return fmt.Errorf("location %q: not a URL", location)
	}
	to.Fragment, to.User = "", nil
	same := strings.EqualFold(trimPort(to.Host, to.Scheme), trimPort(h.request.Host, to.Scheme)) ||
		strings.EqualFold(trimPort(to.Host, to.Scheme), hostOf(h.config.Target, to.Scheme))
	switch {
	case !same:
		return fmt.Errorf("%q is on another server, and not followed", to)
	case to.Scheme != req.URL.Scheme:
		return fmt.Errorf("%q is not %s, and not followed", to, req.URL.Scheme)
	}
	// RFC 9110 section 15.4: 303 asks for a GET, and 301 and 302 turn a POST into one.
	switch moved.StatusCode {
	case http.StatusSeeOther:
		if req.Method != http.MethodHead {
			req.Method = http.MethodGet
		}
	case http.StatusMovedPermanently, http.StatusFound:
		if req.Method == http.MethodPost {
			req.Method = http.MethodGet
		}
	}
	req.URL, req.Host = to, to.Host
	return nil
}

// ask sends one request on a connection of its own and judges the response; moved is not nil where that is a redirect to
// follow.
func (h *httpCheck) ask(req *http.Request, body string) (res Result, moved *http.Response) {
	speak := h.speak1
	var protocols []string
	if h.config.HTTP.HTTP2 {
		speak, protocols = h.speak2, []string{"h2"}
	}
	conn, done, res := open(req.Context(), h.config, h.request.Host, 2*h.maxBody+maxHeader+maxTLS, protocols...)
	if res.Err != nil {
		return res, nil
	}
	resp, release, res := speak(conn, req, body)
	// The body is never closed: that would read the rest of it. The connection is, and first of all: what still works
	// may say goodbye, and wait for that.
	defer func() { done(); release() }()
	if res.Err != nil {
		return res, nil
	}
	detail := strings.TrimSpace(strconv.Itoa(resp.StatusCode) + " " + http.StatusText(resp.StatusCode))
	if !h.config.HTTP.Status.Contains(resp.StatusCode) {
		if h.config.HTTP.Redirects && isRedirect(resp) {
			return Result{}, resp
		}
		return Result{Err: fmt.Errorf("status %s", detail), Reason: reasonStatus, Detail: detail}, nil
	}
	if res := h.judge(resp.Body); res.Err != nil {
		return res, nil
	}
	return Result{Detail: detail}, nil
}

func isRedirect(resp *http.Response) bool {
	switch resp.StatusCode {
	case 301, 302, 303, 307, 308:
		return resp.Header.Get("Location") != ""
	}
	return false
}

// judge reads the body and compares it with what is expected. A body that does not come in time is a failure also when
// nothing is expected of it; one that does not end counts up to its limit, but has no digest.
func (h *httpCheck) judge(body io.Reader) Result {
	in := &failReader{r: io.LimitReader(body, int64(h.maxBody))}
	var src io.Reader = in
	var sum hash.Hash
	if h.digest != nil {
		sum = h.hash()
		src = io.TeeReader(in, sum)
	}
	matched := true
	if h.expect != nil {
		r := buffered(src)
		defer release(r)
		matched = h.expect.MatchReader(r)
	}
	if in.err == nil && matched && (h.expect == nil || sum != nil) {
		_, _ = io.Copy(io.Discard, src)
	}
	if in.err != nil {
		return h.unreadable("read body of", in.err)
	}
	if !matched {
		return failure(reasonBody, fmt.Errorf("body does not match %q", h.expect))
	}
	if sum == nil {
		return Result{}
	}
	if n, _ := io.ReadFull(body, make([]byte, 1)); n > 0 {
		return failure(reasonTooLarge, fmt.Errorf("read body of %s: over %d bytes, so without a digest", h.config.Target, h.maxBody))
	}
	if got := sum.Sum(nil); !bytes.Equal(got, h.digest) {
		return failure(reasonDigest, fmt.Errorf("body has the digest %x", got))
	}
	return Result{}
}

// unreadable is the result of a response that could not be read to its end.
func (h *httpCheck) unreadable(op string, err error) Result {
	res := fault(op, h.config.Target, err)
	if res.Reason == reasonOther { // no network error, so it is what was read
		res.Reason = reasonMalformed
		if h.config.HTTP.HTTP2 {
			res.Reason = cmp.Or(explain2(err), reasonMalformed)
		}
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
