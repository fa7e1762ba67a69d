// SPDX-License-Identifier: Apache-2.0

package checker

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// smtpServer greets and then answers each command with replies in turn; at "" it says no more.
func smtpServer(t *testing.T, greeting string, replies ...string) netip.AddrPort {
	return serve(t, func(c *net.TCPConn) {
		_, _ = io.WriteString(c, greeting)
		r := bufio.NewReader(c)
		for _, reply := range replies {
			if _, err := r.ReadString('\n'); err != nil || reply == "" {
				break
			}
			_, _ = io.WriteString(c, reply)
		}
		_, _ = io.Copy(io.Discard, r)
	})
}

func TestSMTP(t *testing.T) {
	const ready, ok, bye = "220 mail.example.com ESMTP\r\n", "250-mail.example.com\r\n250-PIPELINING\r\n250 8BITMIME\r\n", "221 Bye\r\n"
	endless := func(line string, pause time.Duration) netip.AddrPort {
		return serve(t, func(c *net.TCPConn) { forever(c, line, pause) })
	}
	for _, tc := range []struct {
		name           string
		target         netip.AddrPort
		reason, detail string
	}{
		{"ok", smtpServer(t, ready, ok, bye), "", "mail.example.com ESMTP"},
		{"greeting of many lines", smtpServer(t, "220-mail.example.com\r\n220-hello\r\n220\r\n", ok, bye), "", "mail.example.com"},
		{"LF alone", smtpServer(t, "220 mail\n", "250 mail\n", "221\n"), "", ""},
		{"QUIT refused", smtpServer(t, ready, ok, "500 what?\r\n"), "", ""},
		{"busy", smtpServer(t, "421 4.3.2 too busy\r\n"), "status", "421 4.3.2 too busy"},
		{"no service", smtpServer(t, "554-no\r\n554 \x1b[2Jservice\r\n"), "status", "554 ?[2Jservice"},
		{"EHLO refused", smtpServer(t, ready, "502 no\r\n", bye), "status", "502 no"},
		{"no SMTP", smtpServer(t, "SSH-2.0-OpenSSH_9.2\r\n"), "malformed response", `"SSH-2.0-OpenSSH_9.2"`},
		{"codes differ", smtpServer(t, "220-mail\r\n221 mail\r\n"), "malformed response", ""},
		{"letters", smtpServer(t, "22x mail\r\n"), "malformed response", ""},
		{"no space", smtpServer(t, "2200\r\n"), "malformed response", ""},
		{"empty line", smtpServer(t, "\r\n"), "malformed response", ""},
		{"closed", serve(t, func(*net.TCPConn) {}), "connection closed", "greeting"},
		{"closed in a line", serve(t, func(c *net.TCPConn) { _, _ = io.WriteString(c, "220 ma") }), "connection closed", ""},
		{"reset", serve(t, reset), "connection reset", ""},
		{"refused", closed(t), "connection refused", ""},
		{"endless line", endless("220-", 0), "response too large", ""},
		{"endless reply", endless("220-more\r\n", 0), "response too large", ""},
		{"a byte at a time", endless("2", 20*time.Millisecond), "timeout", ""},
		{"silent", serve(t, silent), "timeout", "greeting"},
		{"silent after the greeting", smtpServer(t, ready, ""), "timeout", "EHLO"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := Config{Kind: SMTP, Target: tc.target, HELO: "director.example.com"}
			if tc.reason == reasonTimeout {
				c.Timeout = patience
			}
			res, _ := check(t, c)
			wantResult(t, res, tc.reason, tc.detail)
		})
	}
}

// The check says what a client says, and the answer to QUIT decides nothing.
func TestSMTPCommands(t *testing.T) {
	for helo, want := range map[string]string{"director": "EHLO director\r\nQUIT\r\n", "": "EHLO localhost\r\nQUIT\r\n"} {
		got := make(chan string, 1)
		target := serve(t, func(c *net.TCPConn) {
			r := bufio.NewReader(c)
			_, _ = io.WriteString(c, "220 mail\r\n")
			ehlo, _ := r.ReadString('\n')
			_, _ = io.WriteString(c, "250 mail\r\n")
			quit, _ := r.ReadString('\n')
			got <- ehlo + quit
		})
		res, _ := check(t, Config{Kind: SMTP, Target: target, HELO: helo})
		wantResult(t, res, "", "mail")
		if g := <-got; g != want {
			t.Errorf("said %q, want %q", g, want)
		}
	}
}

// A server that does not answer QUIT passes, and not at the deadline.
func TestSMTPQuitWithoutAnAnswer(t *testing.T) {
	target, began := smtpServer(t, "220 mail\r\n", "250 mail\r\n", ""), time.Now()
	res, _ := check(t, Config{Kind: SMTP, Target: target, Timeout: time.Minute})
	wantResult(t, res, "", "mail")
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("took %s", took)
	}
}

func TestSMTPInvalid(t *testing.T) {
	for _, helo := range []string{"a b", "a\r\nQUIT", "ä"} {
		if _, err := newSMTP(&Config{HELO: helo}); err == nil {
			t.Errorf("%q: no error", helo)
		}
	}
}

func TestSMTPLine(t *testing.T) {
	for _, tc := range []struct {
		line     string
		code     int
		more, ok bool
	}{
		{"250", 250, false, true},
		{"250 ok", 250, false, true},
		{"250-ok", 250, true, true},
		{"25", 0, false, false},
		{"150 ok", 0, false, false},
		{"650 ok", 0, false, false},
		{"2 0 ok", 0, false, false},
		{strings.Repeat("2", 9), 0, false, false},
	} {
		code, more, ok := smtpLine(tc.line)
		if code != tc.code || more != tc.more || ok != tc.ok {
			t.Errorf("%q: got %d %v %v", tc.line, code, more, ok)
		}
	}
}

func TestSMTPStartTLS(t *testing.T) {
	ca := newAuthority(t)
	good := &tls.Config{Certificates: []tls.Certificate{ca.issue(t, nil)}}
	// server says what it is given, and shakes hands after its reply to STARTTLS.
	server := func(ehlo, startTLS, again string, config *tls.Config) netip.AddrPort {
		return serve(t, func(c *net.TCPConn) {
			r := bufio.NewReader(c)
			_, _ = io.WriteString(c, "220 mail\r\n")
			_, _ = r.ReadString('\n')
			_, _ = io.WriteString(c, ehlo)
			if line, _ := r.ReadString('\n'); line != "STARTTLS\r\n" {
				return
			}
			_, _ = io.WriteString(c, startTLS)
			if config == nil {
				_, _ = io.Copy(io.Discard, r)
				return
			}
			secured := tls.Server(c, config)
			r = bufio.NewReader(secured)
			if line, _ := r.ReadString('\n'); !strings.HasPrefix(line, "EHLO ") {
				return
			}
			_, _ = io.WriteString(secured, again)
			_, _ = io.Copy(io.Discard, r)
		})
	}
	const offers, plain, ready = "250-mail\r\n250 STARTTLS\r\n", "250 mail\r\n", "220 go ahead\r\n"
	trusted := TLS{On: true, CA: ca.file(t)}
	for _, tc := range []struct {
		name           string
		target         netip.AddrPort
		tls            TLS
		reason, detail string
	}{
		{"ok", server(offers, ready, plain, good), trusted, "", "mail"},
		{"ok, in small letters", server("250-mail\r\n250 starttls\r\n", ready, plain, good), trusted, "", ""},
		{"without a tls block", server(offers, ready, plain, good), TLS{}, "certificate of unknown authority", ""},
		{"not verified", server(offers, ready, plain, good), TLS{On: true, SkipVerify: true}, "", ""},
		{"not offered", server(plain, "", "", nil), trusted, "no starttls", ""},
		{"refused", server(offers, "454 not now\r\n", "", nil), trusted, "status", "454 not now"},
		{"more than one reply", server(offers, ready+"250 injected\r\n", plain, good), trusted, "malformed response", ""},
		{"no handshake", server(offers, ready, "", nil), trusted, "timeout", ""},
		{"refused after it", server(offers, ready, "421 no\r\n", good), trusted, "status", "421 no"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := Config{Kind: SMTP, Target: tc.target, StartTLS: true, TLS: tc.tls}
			c.Timeout = time.Second
			if tc.reason == reasonTimeout {
				c.Timeout = patience
			}
			res, _ := check(t, c)
			wantResult(t, res, tc.reason, tc.detail)
		})
	}
	// TLS from the start, as on port 465.
	target := serve(t, secured(good, func(c net.Conn) {
		r := bufio.NewReader(c)
		for _, line := range []string{"220 mail\r\n", "250 mail\r\n", "221\r\n"} {
			_, _ = io.WriteString(c, line)
			_, _ = r.ReadString('\n')
		}
	}))
	res, _ := check(t, Config{Kind: SMTP, Target: target, TLS: trusted})
	wantResult(t, res, "", "mail")
}
