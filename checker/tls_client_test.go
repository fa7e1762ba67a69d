// SPDX-License-Identifier: Apache-2.0

package checker

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"strings"
	"testing"
)

// A client's certificate comes last in TLS 1.3: a server that refuses it, or that there is none, has shaken hands before.
// The reason is the same whatever else the check says meanwhile.
func TestClientCertificate(t *testing.T) {
	ca := newAuthority(t)
	mutual := &tls.Config{
		Certificates: []tls.Certificate{ca.issue(t, nil)}, NextProtos: []string{"h2", "http/1.1"},
		ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: x509.NewCertPool(),
	}
	mutual.ClientCAs.AddCert(ca.cert)
	trusted, theirs, ours := TLS{On: true, CA: ca.file(t)}, TLS{On: true, CA: ca.file(t)}, TLS{On: true, CA: ca.file(t)}
	theirs.Certificate, theirs.Key = pair(t, newAuthority(t).issue(t, nil))
	ours.Certificate, ours.Key = pair(t, ca.issue(t, nil))
	waits := func(c net.Conn) { _, _ = c.Read(make([]byte, 1)) }
	stays := func(c net.Conn) { silent(c.(*tls.Conn).NetConn().(*net.TCPConn)) }
	for name, change := range map[string]func(*Config){
		"tcp":          func(c *Config) { c.Kind = TCP },
		"tcp send":     func(c *Config) { c.Kind, c.Send = TCP, "PING" },
		"http":         func(*Config) {},
		"http, large":  func(c *Config) { c.HTTP.Method, c.HTTP.Body = "POST", strings.Repeat("a", 4<<20) },
		"http2":        func(c *Config) { c.HTTP.HTTP2 = true },
		"http2, large": func(c *Config) { c.HTTP.HTTP2, c.HTTP.Method, c.HTTP.Body = true, "POST", strings.Repeat("a", 60<<10) },
		"grpc":         func(c *Config) { c.Kind = GRPC },
		"smtp":         func(c *Config) { c.Kind = SMTP },
	} {
		for _, with := range []TLS{trusted, theirs} {
			c := httpConfig(serve(t, secured(mutual, waits)))
			c.TLS = with
			change(&c)
			if res, _ := check(t, c); res.Reason != reasonHandshake || !strings.Contains(res.Detail, "remote error: tls: ") {
				t.Errorf("%s, certificate %q: got %q %q, want %q", name, with.Certificate, res.Reason, res.Detail, reasonHandshake)
			}
		}
	}
	for name, server := range map[string]func(net.Conn){"waits": waits, "greets": greets, "closes": func(net.Conn) {}, "stays": stays} {
		c := Config{Kind: TCP, Target: serve(t, secured(mutual, server)), TLS: ours}
		if name == "stays" {
			c.Timeout = patience
		}
		if res, _ := check(t, c); res.Err != nil {
			t.Errorf("server %s: got %q %q, want a pass", name, res.Reason, res.Detail)
		}
	}
}
