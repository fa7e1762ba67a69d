// SPDX-License-Identifier: Apache-2.0

package checker

import (
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

func TestHTTP(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\n"
	for _, tc := range []struct {
		name   string
		target netip.AddrPort
		expect string
		reason string
		detail string // a part of it
	}{
		{"ok", serve(t, says(ok+"Content-Length: 2\r\n\r\nok")), "", "", "200 OK"},
		{"ok until closed", serve(t, says(ok+"\r\nok")), "^ok$", "", "200 OK"},
		{"ok in chunks", serve(t, says(ok+"Transfer-Encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n")), "^ok$", "", ""},
		{"ok after interim", serve(t, says("HTTP/1.1 103 Early Hints\r\n\r\n"+ok+"Content-Length: 0\r\n\r\n")), "", "", "200 OK"},
		{"no content", serve(t, says("HTTP/1.1 204 No Content\r\n\r\n")), "", "", "204 No Content"},
		{"body differs", serve(t, says(ok+"\r\nall is lost")), "^ok", "body", `"^ok"`},
		{"status", serve(t, says("HTTP/1.1 503 \x1b[2J\r\n\r\n")), "", "status", "503 Service Unavailable"},
		{"redirect", serve(t, says("HTTP/1.1 302 Found\r\nLocation: /health\r\n\r\n")), "", "status", "302 Found"},
		{"bad header", serve(t, says(ok+"no colon\r\n\r\n")), "", "malformed response", ""},
		{"bad chunk", serve(t, says(ok+"Transfer-Encoding: chunked\r\n\r\nzz\r\n")), "", "malformed response", "read body of"},
		{"short body", serve(t, says(ok+"Content-Length: 10\r\n\r\nok")), "", "connection closed", "read body of"},
		{"answers and closes before it has read the request", serve(t, says("HTTP/1.1 413 \r\n\r\n")), "", "status", "413"},
		{"endless body without the expected", serve(t, answer(func(c *net.TCPConn) {
			_, _ = io.WriteString(c, ok+"\r\n")
			forever(c, strings.Repeat("spam", 1000), 0)
		})), "needle", "body", ""},
		{"endless body with the expected", serve(t, answer(func(c *net.TCPConn) {
			_, _ = io.WriteString(c, ok+"\r\nneedle")
			forever(c, strings.Repeat("spam", 1000), 0)
		})), "needle", "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := httpConfig(tc.target)
			c.Expect = tc.expect
			if tc.detail == "413" {
				c.HTTP.Method, c.HTTP.Body = "POST", strings.Repeat("a", 12<<20)
			}
			res, st := check(t, c)
			if res.Reason != tc.reason || (res.Err == nil) != (tc.reason == "") {
				t.Errorf("got %q (%v), want %q", res.Reason, res.Err, tc.reason)
			}
			if !strings.Contains(res.Detail, tc.detail) {
				t.Errorf("detail: got %q, want %q in it", res.Detail, tc.detail)
			}
			if st.Reason != res.Reason || st.Detail != res.Detail || st.Run != 1 {
				t.Errorf("status differs from the result: %+v", st)
			}
		})
	}
}

func TestHTTPRequest(t *testing.T) {
	t.Setenv("http_proxy", "http://127.0.0.1:1")
	var requests atomic.Int32
	got := make(chan string, 1)
	target := serve(t, func(c *net.TCPConn) {
		requests.Add(1)
		b := make([]byte, 4096)
		n, _ := c.Read(b)
		got <- string(b[:n])
		_, _ = fmt.Fprintf(c, "HTTP/1.1 301 Moved Permanently\r\nLocation: http://%s/\r\n\r\n", c.LocalAddr())
	})
	c := httpConfig(target)
	c.HTTP.Path, c.HTTP.Host = "/health?full=1", "www.example.com"
	check(t, c)
	const want = "GET /health?full=1 HTTP/1.1\r\nHost: www.example.com\r\nUser-Agent: holdfast\r\nAccept: */*\r\nConnection: close\r\n\r\n"
	if r := <-got; r != want {
		t.Errorf("request:\n got %q\nwant %q", r, want)
	}
	if n := requests.Load(); n != 1 {
		t.Errorf("got %d requests, want 1", n)
	}
}

func TestHost(t *testing.T) {
	for url, want := range map[string]string{
		"http://10.0.0.21:80":      "10.0.0.21",
		"http://10.0.0.21:8080":    "10.0.0.21:8080",
		"https://10.0.0.21:80":     "10.0.0.21:80",
		"https://10.0.0.21:443":    "10.0.0.21",
		"http://[2001:db8::1]:80":  "[2001:db8::1]",
		"http://[fe80::1%eth0]:81": "[fe80::1]:81",
	} {
		scheme, target, _ := strings.Cut(url, "://")
		if got := hostOf(netip.MustParseAddrPort(target), scheme); got != want {
			t.Errorf("%s: got %q, want %q", url, got, want)
		}
	}
}

// The ways in which a check speaks HTTP, each with the server that a test gives it.
var ways = []struct {
	name       string
	tls, http2 bool
}{{"http", false, false}, {"https", true, false}, {"h2c", false, true}, {"h2", true, true}}

// site serves h on all ways and returns checks of it by way.
func site(t *testing.T, h http.HandlerFunc) map[string]Config {
	t.Helper()
	ca := newAuthority(t)
	out := make(map[string]Config)
	for _, way := range ways {
		srv := httptest.NewUnstartedServer(h)
		srv.Config.Protocols = new(http.Protocols)
		srv.Config.Protocols.SetHTTP1(true)
		srv.Config.Protocols.SetUnencryptedHTTP2(true)
		srv.Config.Protocols.SetHTTP2(true)
		srv.Config.ErrorLog = log.New(io.Discard, "", 0)
		srv.EnableHTTP2 = true
		if way.tls {
			srv.TLS = &tls.Config{Certificates: []tls.Certificate{ca.issue(t, nil)}}
			srv.StartTLS()
		} else {
			srv.Start()
		}
		t.Cleanup(srv.Close)
		c := httpConfig(netip.MustParseAddrPort(srv.Listener.Addr().String()))
		c.HTTP.HTTP2 = way.http2
		if way.tls {
			c.TLS = TLS{On: true, CA: ca.file(t)}
		}
		out[way.name] = c
	}
	return out
}

// What is asked arrives as it is said, whatever the way.
func TestHTTPWays(t *testing.T) {
	checks := site(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_, _ = fmt.Fprintf(w, "%s %s %s %s\n", r.Method, r.RequestURI, r.Host, r.Proto)
		_, _ = fmt.Fprintf(w, "%s %s %q %d %q\n", r.UserAgent(), r.Header.Get("X-A"), r.Header["Accept-Encoding"], r.ContentLength, body)
	})
	for _, way := range ways {
		proto := "HTTP/1.1"
		if way.http2 {
			proto = "HTTP/2.0"
		}
		c := checks[way.name]
		c.HTTP.Path, c.HTTP.Host, c.HTTP.Method, c.HTTP.Body = "/a%20b?c=d", "www.example.com", "POST", "question"
		c.HTTP.Headers = "User-Agent: probe/1\r\nX-A: 1\r\n"
		c.Expect = regexp.QuoteMeta("POST /a%20b?c=d www.example.com " + proto + "\nprobe/1 1 [] 8 \"question\"\n")
		if res, _ := check(t, c); res.Err != nil || res.Detail != "200 OK" {
			t.Errorf("%s: got %q %q", way.name, res.Reason, res.Detail)
		}
		c = checks[way.name]
		c.HTTP.Method, c.Expect = "HEAD", ""
		if res, _ := check(t, c); res.Err != nil {
			t.Errorf("%s: HEAD: got %q %q", way.name, res.Reason, res.Detail)
		}
	}
}

func TestDigest(t *testing.T) {
	checks := site(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") })
	const (
		sum  = "sha256:dc51b8c96c2d745df3bd5590d990230a482fd247123599548e0632fdbf97fc22"
		md5s = "md5:eff5bc1ef8ec9d03e640fc4370f5eacd"
	)
	for _, tc := range []struct {
		digest, expect string
		maxBody        int
		reason, detail string
	}{
		{sum, "", 0, "", ""},
		{md5s, "", 0, "", ""},
		{sum, "^o", 0, "", ""}, // the expected ends before the body does
		{sum, "", 3, "", ""},
		{sum, "", 2, "response too large", "over 2 bytes"},
		{md5s[:len(md5s)-1] + "e", "", 0, "digest", md5s[4:]},
		{sum, "^k", 0, "body", ""},
		{"", "ok", 1, "body", ""},
	} {
		for _, way := range ways {
			c := checks[way.name]
			c.HTTP.Digest, c.Expect, c.HTTP.MaxBody = tc.digest, tc.expect, tc.maxBody
			if res, _ := check(t, c); res.Reason != tc.reason || !strings.Contains(res.Detail, tc.detail) {
				t.Errorf("%s %.12s %q %d: got %q %q, want %q", way.name, tc.digest, tc.expect, tc.maxBody, res.Reason, res.Detail, tc.reason)
			}
		}
	}
}

func TestRedirects(t *testing.T) {
	var mu sync.Mutex
	var asked []string
	checks := site(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		body, _ := io.ReadAll(r.Body)
		asked = append(asked, strings.TrimSpace(r.Method+" "+r.URL.Path+" "+string(body)))
		var code, n int
		switch {
		case r.URL.Path == "/elsewhere":
			w.Header().Set("Location", "//other.example.com/")
			code = 302
		case r.URL.Path == "/otherport":
			w.Header().Set("Location", "//"+r.Host+":1/")
			code = 302
		case r.URL.Path == "/scheme":
			w.Header().Set("Location", "gopher://"+r.Host+"/")
			code = 302
		case r.URL.Path == "/nowhere":
			code = 302
		case r.URL.Path == "/a" || r.URL.Path == "/b":
			w.Header().Set("Location", map[string]string{"/a": "/b", "/b": "/a"}[r.URL.Path])
			code = 302
		default:
			if _, err := fmt.Sscanf(r.URL.Path, "/%d/%d", &code, &n); err != nil || n == 0 {
				return
			}
			w.Header().Set("Location", fmt.Sprintf("/%d/%d#part", code, n-1))
		}
		w.WriteHeader(code)
	})
	for _, tc := range []struct {
		method, path   string
		reason, detail string
		last           string
		asked          int
	}{
		{"GET", "/302/1", "", "200 OK", "GET /302/0", 2},
		{"GET", "/308/10", "", "200 OK", "GET /308/0", 11},
		{"GET", "/302/11", "redirect", "more than 10 redirects", "GET /302/1", 11},
		{"GET", "/a", "redirect", "in a circle", "GET /b", 2},
		{"GET", "/elsewhere", "redirect", "//other.example.com/", "GET /elsewhere", 1},
		{"GET", "/otherport", "redirect", "another server", "GET /otherport", 1},
		{"GET", "/scheme", "redirect", `"gopher://www.example.com/" is not http`, "GET /scheme", 1},
		{"GET", "/nowhere", "status", "302 Found", "GET /nowhere", 1},
		{"POST", "/303/1", "", "200 OK", "GET /303/0", 2},
		{"POST", "/301/1", "", "200 OK", "GET /301/0", 2},
		{"POST", "/307/1", "", "200 OK", "POST /307/0 body", 2},
	} {
		for _, way := range ways {
			c := checks[way.name]
			c.HTTP.Redirects, c.HTTP.Path, c.HTTP.Method, c.HTTP.Host = true, tc.path, tc.method, "www.example.com"
			if tc.method == "POST" {
				c.HTTP.Body = "body"
			}
			if way.tls {
				c.TLS.ServerName = "www.example.com"
			}
			mu.Lock()
			asked = nil
			mu.Unlock()
			res, _ := check(t, c)
			mu.Lock()
			if res.Reason != tc.reason || !strings.Contains(res.Detail, tc.detail) || len(asked) != tc.asked || asked[len(asked)-1] != tc.last {
				t.Errorf("%s %s %s: got %q %q after %q, want %q %q", way.name, tc.method, tc.path, res.Reason, res.Detail, asked, tc.reason, tc.detail)
			}
			mu.Unlock()
		}
	}
	c := checks["http"]
	c.HTTP.Redirects, c.HTTP.Path = true, "/a"
	c.HTTP.Status.Add(302, 302)
	if res, _ := check(t, c); res.Err != nil {
		t.Errorf("a redirect that is wanted: got %v, want a pass", res.Err)
	}
}

// HTTP/2 is not left for HTTP/1.1 where a check asks for it.
func TestHTTP2Only(t *testing.T) {
	pair := newAuthority(t).issue(t, nil)
	for name, protocols := range map[string][]string{"other": {"http/1.1"}, "none": nil} {
		config := &tls.Config{Certificates: []tls.Certificate{pair}, NextProtos: protocols}
		c := httpConfig(serve(t, secured(config, func(net.Conn) {})))
		c.HTTP.HTTP2, c.TLS = true, TLS{On: true, SkipVerify: true}
		if res, _ := check(t, c); res.Reason != reasonHandshake {
			t.Errorf("%s: got %q %q, want %q", name, res.Reason, res.Detail, reasonHandshake)
		}
	}
	c := httpConfig(serve(t, says("HTTP/1.1 200 OK\r\n\r\n")))
	c.HTTP.HTTP2 = true
	if res, _ := check(t, c); res.Reason != reasonMalformed {
		t.Errorf("without TLS: got %q %q, want %q", res.Reason, res.Detail, reasonMalformed)
	}
}
