// SPDX-License-Identifier: Apache-2.0

package checker

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"
)

// answering is a kind of check, and what every answer that passes it has.
type answering struct {
	name   string
	config func(*Config)
	probe  func(*Config) (Probe, error)
	passes *regexp.Regexp
}

func answerings() []answering {
	expect := regexp.MustCompile("^(ok|[a-f]+x)")
	web := func(c *Config) {
		c.HTTP = HTTPConfig{Path: "/", Redirects: true, MaxBody: 1 << 10}
		c.HTTP.Status.Add(200, 299)
	}
	spoken := func(c *Config) (Probe, error) { return newHTTP(c, nil) }
	return []answering{
		{"tcp", func(c *Config) { c.Kind = TCP }, func(c *Config) (Probe, error) { return newTCP(c, expect) }, expect},
		{"http", web, func(c *Config) (Probe, error) { return newHTTP(c, regexp.MustCompile("ok")) }, regexp.MustCompile(`(?s)HTTP/1\.\d +2\d\d.*o.*k`)},
		{"redirect", web, spoken, regexp.MustCompile(`HTTP/1\.\d +2\d\d`)},
		{"digest", func(c *Config) { web(c); c.HTTP.Digest = "md5:" + strings.Repeat("0", 32) }, spoken, regexp.MustCompile(`^\b$`)},
		{"h2", func(c *Config) { web(c); c.HTTP.HTTP2 = true }, spoken, regexp.MustCompile(`(?s)^...\x04`)},
		{"grpc", func(c *Config) { c.Kind = GRPC }, newGRPC, regexp.MustCompile(`(?s)^...\x04`)},
		{"smtp", func(c *Config) { c.Kind = SMTP }, newSMTP, regexp.MustCompile(`(?s)^220.*\n250`)},
		{"starttls", func(c *Config) { c.Kind, c.StartTLS, c.TLS.On = SMTP, true, true }, newSMTP, regexp.MustCompile(`^\b$`)},
		{"tls", func(c *Config) { c.Kind, c.TLS.On = TCP, true }, func(c *Config) (Probe, error) { return newTCP(c, nil) }, regexp.MustCompile(`^\b$`)},
		{"dns", func(c *Config) { c.Kind, c.DNS = DNS, DNSConfig{Name: "a.", Type: 1, TCP: true} }, func(c *Config) (Probe, error) { return newDNS(c, nil) }, regexp.MustCompile(`(?s)^.{14}`)},
	}
}

// answerAll is a server that says one thing to all, and then closes.
func answerAll(f *testing.F) (netip.AddrPort, *atomic.Pointer[[]byte]) {
	l, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = l.Close() })
	var says atomic.Pointer[[]byte]
	go func() {
		for {
			c, err := l.AcceptTCP()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = c.Write(*says.Load())
				_ = c.CloseWrite()
				silent(c) // so that the close does not discard what was said
			}()
		}
	}()
	return l.Addr().(*net.TCPAddr).AddrPort(), &says
}

// FuzzAnswers has each kind of check read whatever a server may answer: there is a verdict, long before the deadline, because
// the server has closed; it says why, in words fit for a log; and nothing passes that lacks what an answer must have.
func FuzzAnswers(f *testing.F) {
	kinds := answerings()
	for i := range kinds {
		for _, text := range []string{
			"", "ok", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "HTTP/1.1 302 Found\r\nLocation: /a\r\n\r\n",
			"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 204 No Content\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;a=b\r\nok\r\n0\r\n\r\n",
			"220 a\r\n250-a\r\n250 STARTTLS\r\n220 go\r\n", "220-a\r\n220 b\r\n250 c\r\n221 bye\r\n", "\x16\x03\x03\x00\x02\x02\x28",
			"\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x04\x01\x00\x00\x00\x00",
			"\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00\x01\x01\x05\x00\x00\x00\x01\x88",
			"\x00\x13\x00\x00\x81\x80\x00\x01\x00\x00\x00\x00\x00\x00\x01a\x00\x00\x01\x00\x01",
		} {
			f.Add(uint8(i), []byte(text))
		}
	}
	target, says := answerAll(f)
	f.Fuzz(func(t *testing.T, kind uint8, said []byte) {
		k := kinds[int(kind)%len(kinds)]
		c := Config{Kind: HTTP, Target: target, Timeout: time.Minute}
		k.config(&c)
		probe, err := k.probe(&c)
		if err != nil {
			t.Fatal(err)
		}
		says.Store(&said)
		ctx, cancel := context.WithTimeout(t.Context(), c.Timeout)
		defer cancel()
		r := probe(ctx)
		switch {
		case errors.Is(r.Err, ErrLocal) && !slices.Contains([]string{reasonPort, reasonDescriptors, reasonMemory}, r.Reason):
			t.Errorf("%s: %q is a fault of this host: %v", k.name, said, r.Err)
		case r.Reason == reasonTimeout:
			t.Errorf("%s: %q takes until the deadline", k.name, said)
		case (r.Err == nil) != (r.Reason == ""):
			t.Errorf("%s: %q: reason %q, %v", k.name, said, r.Reason, r.Err)
		case len(r.Detail) > maxDetail || !utf8.ValidString(r.Detail) || strings.ContainsFunc(r.Detail, func(c rune) bool { return !strconv.IsPrint(c) }):
			t.Errorf("%s: %q: detail %q", k.name, said, r.Detail)
		case r.Err == nil && !k.passes.Match(said):
			t.Errorf("%s: %q passes: %+v", k.name, said, r)
		}
	})
}
