// SPDX-License-Identifier: Apache-2.0

package checker

import (
	"io"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"
)

// replies answers what it is sent, and keeps the connection.
func replies(want, with string) func(*net.TCPConn) {
	return func(c *net.TCPConn) {
		b := make([]byte, len(want))
		if _, err := io.ReadFull(c, b); err == nil && string(b) == want {
			_, _ = io.WriteString(c, with)
		}
		silent(c)
	}
}

// drips writes one byte at a time.
func drips(s string, pause time.Duration) func(*net.TCPConn) {
	return func(c *net.TCPConn) {
		for i := range len(s) {
			_, _ = c.Write([]byte{s[i]})
			time.Sleep(pause)
		}
		silent(c)
	}
}

func TestSendExpect(t *testing.T) {
	for _, tc := range []struct {
		name         string
		server       func(*net.TCPConn)
		send, expect string
		reason       string
		detail       string
	}{
		{"answer", replies("PING\r\n", "+PONG\r\n"), "PING\r\n", `^\+PONG`, "", ""},
		{"to its end, of a server that waits", replies("PING\r\n", "+PONG\r\n"), "PING\r\n", "^\\+PONG\r\n$", "", ""},
		{"nothing expected", silent, "PING\r\n", "", "", ""},
		{"greeting", func(c *net.TCPConn) { _, _ = io.WriteString(c, "220 mail\r\n"); silent(c) }, "", "^220 ", "", ""},
		{"binary", replies("\x00\xff\x01", "\xff\x00\xc3\xa9\xfe"), "\x00\xff\x01", `^\xff\x00..\xfe$`, "", ""},
		{"binary differs", replies("\x00", "\xff\xff"), "\x00", `^\xff\x00`, "timeout", `after 2 bytes from "\xff\xff"`},
		{"text", replies("?", "café"), "?", `^café$`, "", ""},
		{"in pieces", drips("one two three", time.Millisecond), "", "three", "", ""},
		{"in more pieces than are compared", drips(strings.Repeat("a", 100)+"\n", 0), "", "a{100}\n$", "", ""},
		{"differs, and closed", func(c *net.TCPConn) { _, _ = io.WriteString(c, "-ERR\r\n") }, "", `^\+OK`, "answer", "6 bytes"},
		{"closed without an answer", func(*net.TCPConn) {}, "", ".", "connection closed", ""},
		{"silent", silent, "PING", ".", "timeout", "read answer of"},
		{"reset", reset, "", ".", "connection reset", ""},
		{"closed, what it is sent unread", says(""), strings.Repeat("a\r\n\r\n", 2<<20), "", "connection reset", "send to"},
		{"too long", func(c *net.TCPConn) { forever(c, strings.Repeat("spam", 100), 0) }, "", "needle", "response too large", "16384 bytes"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := Config{Kind: TCP, Target: serve(t, tc.server), Send: tc.send, Expect: tc.expect}
			if tc.reason == reasonTimeout || strings.HasPrefix(tc.name, "in more pieces") {
				c.Timeout = patience // which compares at last
			}
			res, _ := check(t, c)
			if res.Reason != tc.reason || !strings.Contains(res.Detail, tc.detail) {
				t.Errorf("got %q %q, want %q %q", res.Reason, res.Detail, tc.reason, tc.detail)
			}
		})
	}
}

func TestMatches(t *testing.T) {
	for _, tc := range []struct {
		expect, answer string
		want           bool
	}{
		{`^.{4}$`, "\xc3\xa9\xc3\xa9", true}, // bytes, also where they happen to be UTF-8
		{`^\xc3\xa9$`, "\xc3\xa9", true},
		{`^é$`, "é", true},
		{`^é$`, "\xe9", false},
		{`^\x00\x80\xff$`, "\x00\x80\xff", true},
		{`ok`, "\xffok", true},
	} {
		if got := matches(regexp.MustCompile(tc.expect), []byte(tc.answer)); got != tc.want {
			t.Errorf("%s in %q: got %v, want %v", tc.expect, tc.answer, got, tc.want)
		}
	}
}
