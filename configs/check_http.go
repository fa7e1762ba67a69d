// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/holdfast-lb/holdfast/checker"
	"github.com/zclconf/go-cty/cty"
	"golang.org/x/net/http/httpguts"
)

// Bounds of a request and of the body of its response.
const (
	maxHeaders     = 8 << 10
	defaultMaxBody = 1 << 20
	maxMaxBody     = 64 << 20
)

var schemes = []choice[bool]{{word: "http", value: false}, {word: "https", value: true}}

// httpCheck reads what an HTTP check asks and wants.
func (b *builder) httpCheck(raw *rawCheck, c *check) {
	h := &c.config.HTTP
	b.location(raw, c)
	h.Method = read(b, raw.Method, http.MethodGet, matching(parseMethod))
	h.Headers = b.headers(raw.Headers)
	h.Body = read(b, raw.Body, "", matching(parseBody))
	h.HTTP2 = read(b, raw.HTTP2, false, boolean)
	h.Status = b.statuses(raw.Status)
	h.Digest = read(b, raw.Digest, "", orEmpty(matching(parseDigest)))
	h.MaxBody = read(b, raw.MaxBody, defaultMaxBody, whole(1, maxMaxBody))
	h.Redirects = read(b, raw.Redirects, false, boolean)
	for _, code := range []int{301, 302, 303, 307, 308} {
		if h.Redirects && h.Status.Contains(code) {
			b.warn(raw.Status.Expr.Range(), "Redirect not followed",
				fmt.Sprintf("An answer that status lists passes as it is, so a redirect with %d is not followed.", code))
			break
		}
	}
}

// location reads where the request goes: url, or the parts that it stands for. The connection goes to the real server
// whatever they say; only a port in url replaces the server's.
func (b *builder) location(raw *rawCheck, c *check) {
	h := &c.config.HTTP
	scheme, secure := raw.Scheme, false
	if raw.URL == nil {
		h.Path = read(b, raw.Path, "/", matching(parseURLPath))
		h.Host = read(b, raw.Host, "", matching(parseHost))
		secure = read(b, scheme, false, oneOf(schemes))
	} else {
		for _, a := range []*hcl.Attribute{raw.Scheme, raw.Host, raw.Path} {
			if a != nil {
				b.fail(a.NameRange, "Said twice", fmt.Sprintf("url says %s already: remove one of both.", a.Name))
			}
		}
		u := read(b, raw.URL, &url.URL{}, matching(parseCheckURL))
		if u == nil {
			return // reported there
		}
		scheme, secure = raw.URL, u.Scheme == "https"
		h.Path, h.Host = u.RequestURI(), u.Host
		if port, err := strconv.ParseUint(u.Port(), 10, 16); err == nil && raw.Port == nil {
			c.port = uint16(port)
		}
	}
	switch {
	case secure && !c.config.TLS.On:
		c.config.TLS = b.tls(&rawTLS{})
	case !secure && c.config.TLS.On && scheme != nil:
		b.fail(raw.TLS.Type, contradictory,
			fmt.Sprintf(`%s says http: write https to ask by TLS, or remove the tls block.`, scheme.Name))
	}
}

// parseCheckURL accepts where an HTTP check goes.
func parseCheckURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || hasBlank(s) || u.Fragment != "" ||
		strings.ContainsFunc(u.Host, notInHost) {
		return nil, errors.New(`takes a URL of http or https, such as "http://www.example.com/health"`)
	}
	if u.User != nil {
		return nil, errors.New("takes a URL without a user: write an Authorization among the headers")
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return nil, fmt.Errorf("takes a port from 1 to 65535, not %s", port)
		}
	}
	return u, nil
}

// notInHost reports what no name or address of a host, with its port, holds.
func notInHost(r rune) bool {
	switch {
	case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', strings.ContainsRune("._-:[]", r):
		return false
	}
	return true
}

// parseHost accepts what may stand in a Host header.
func parseHost(s string) (string, error) {
	u, err := url.Parse("http://" + s)
	if s != "" && (err != nil || u.Hostname() == "") || len(s) > 255 || strings.ContainsFunc(s, notInHost) {
		return "", errors.New(`takes a host name such as "www.example.com", or an IPv6 address in brackets`)
	}
	return s, nil
}

// parseMethod accepts the method of a request that can be answered on its own.
func parseMethod(s string) (string, error) {
	upper := strings.ToUpper(s)
	if s == "" || len(s) > 20 || !httpguts.ValidHeaderFieldName(s) {
		return "", errors.New(`takes the method of a request such as "GET"`)
	}
	if s != upper {
		return "", fmt.Errorf("takes a method in capitals: write %q", upper)
	}
	if s == http.MethodConnect {
		return "", errors.New("takes no CONNECT, which has no answer of its own")
	}
	return s, nil
}

// parseBody accepts the body of a request.
func parseBody(s string) (string, error) {
	if len(s) > maxSend {
		return "", fmt.Errorf("takes at most %d bytes, not %d", maxSend, len(s))
	}
	return s, nil
}

// parseDigest accepts a digest, and returns it in small letters.
func parseDigest(s string) (string, error) {
	algorithm, digits, _ := strings.Cut(s, ":")
	size := map[string]int{"sha256": 64, "md5": 32}[algorithm]
	if size == 0 {
		return "", errors.New(`takes "sha256:" or "md5:" and the digest in hexadecimal digits`)
	}
	if _, err := hex.DecodeString(digits); err != nil || len(digits) != size {
		return "", fmt.Errorf("takes %d hexadecimal digits after %q", size, algorithm+":")
	}
	return algorithm + ":" + strings.ToLower(digits), nil
}

// ownHeaders are those that the check writes itself, and those of a connection, which HTTP/2 forbids (RFC 9113 section
// 8.2.2).
var ownHeaders = []string{
	"Connection", "Content-Length", "Host", "Keep-Alive", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
}

// headers returns lines that each end in CR LF, in the order of the file.
func (b *builder) headers(a *hcl.Attribute) string {
	var lines strings.Builder
	for _, e := range readMap(b, a, `{ Accept = "text/plain" }`, parseHeaderName, matching(parseHeaderValue)) {
		b.unique("header", identity(a), http.CanonicalHeaderKey(e.key), e.at)
		lines.WriteString(e.key + ": " + e.value + "\r\n")
	}
	if lines.Len() > maxHeaders {
		b.invalid(a.Name, a.Expr.Range(), fmt.Errorf("takes at most %d bytes in all, not %d", maxHeaders, lines.Len()))
	}
	return lines.String()
}

// parseHeaderName accepts the name of a header that a check may have beside its own.
func parseHeaderName(s string) (string, error) {
	if !httpguts.ValidHeaderFieldName(s) {
		return "", fmt.Errorf("takes names of letters, digits and hyphens, not %.60q", s)
	}
	canonical := http.CanonicalHeaderKey(s)
	if canonical == "Host" {
		return "", errors.New("takes no Host: the attribute host is for it")
	}
	if slices.Contains(ownHeaders, canonical) {
		return "", fmt.Errorf("takes no %s, which the check sees to", canonical)
	}
	return s, nil
}

// parseHeaderValue accepts the value of a header, RFC 9110 section 5.5.
func parseHeaderValue(s string) (string, error) {
	if !httpguts.ValidHeaderFieldValue(s) || strings.TrimSpace(s) != s {
		return "", errors.New("takes values of one line, without control characters, and without white space around them")
	}
	return s, nil
}

// statuses reads the wanted codes.
func (b *builder) statuses(a *hcl.Attribute) checker.StatusSet {
	var set checker.StatusSet
	if a == nil {
		set.Add(200, 299)
		return set
	}
	list, ok := readList(b, a, status)
	if ok && len(list) == 0 {
		b.invalid("status", a.Expr.Range(), errors.New(`takes at least one code or range such as "200-299"`))
	}
	for _, s := range list {
		set.Add(s.value[0], s.value[1])
	}
	return set
}

// status accepts an element of the list: a code as a number, or a code or a range as a text.
func status(v cty.Value) ([2]int, error) {
	if isNumber(v) {
		code, err := whole(100, 599)(v)
		return [2]int{code, code}, err
	}
	return matching(parseStatus)(v)
}

// lintBody warns of conditions on a body that there is not, or that say the same.
func (b *builder) lintBody(raw *rawCheck, c checker.Config) {
	if c.HTTP.Method == http.MethodHead {
		const summary, why = "Nothing to match", "The answer to a HEAD request has no body: "
		if c.Expect != "" {
			b.warn(raw.Expect.Expr.Range(), summary, why+"expect sees an empty one.")
		}
		if c.HTTP.Digest != "" {
			b.warn(raw.Digest.Expr.Range(), summary, why+"digest sees an empty one.")
		}
	}
	if c.Expect != "" && c.HTTP.Digest != "" {
		b.warn(raw.Expect.Expr.Range(), noEffect, "digest allows one body only: expect says nothing more.")
	}
}
