// SPDX-License-Identifier: Apache-2.0

package checker

import (
	"net/netip"
	"sync/atomic"
	"testing"
)

func TestUDP(t *testing.T) {
	echo := func(b []byte, send func([]byte)) { send(b) }
	mute := func([]byte, func([]byte)) {}
	twice := func(b []byte, send func([]byte)) { send([]byte("100 Trying")); send([]byte("200 OK")) }
	flood := func(b []byte, send func([]byte)) {
		for range 2 * maxForeign {
			send([]byte("spam"))
		}
	}
	for _, tc := range []struct {
		name           string
		target         netip.AddrPort
		send, expect   string
		reason, detail string
	}{
		{"any answer", serveUDP(t, echo), "ping", "", "", "answer of 4 bytes"},
		{"empty datagram", serveUDP(t, echo), "", "", "", "answer of 0 bytes"},
		{"silence", serveUDP(t, mute), "ping", "", "", "no answer"},
		{"closed", closedUDP(t), "ping", "", "connection refused", ""},
		{"closed, empty datagram", closedUDP(t), "", "", "connection refused", ""},
		{"expected", serveUDP(t, echo), "ping", "^ping$", "", ""},
		{"expected after another", serveUDP(t, twice), "ping", "^200", "", ""},
		{"binary", serveUDP(t, echo), "\x00\xff\x80", `^\x00\xff.$`, "", ""},
		{"not the expected", serveUDP(t, echo), "p\x1bng", "pong", "answer", `"p\x1bng"`},
		{"flood of others", serveUDP(t, flood), "ping", "pong", "answer", ""},
		{"silence where an answer is expected", serveUDP(t, mute), "ping", "pong", "timeout", ""},
		{"closed, expected", closedUDP(t), "ping", "pong", "connection refused", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			res, _ := check(t, Config{Kind: UDP, Target: tc.target, Send: tc.send, Expect: tc.expect, Timeout: patience})
			wantResult(t, res, tc.reason, tc.detail)
		})
	}
}

func TestUDPSendsOnce(t *testing.T) {
	var datagrams atomic.Int32
	target := serveUDP(t, func([]byte, func([]byte)) { datagrams.Add(1) })
	check(t, Config{Kind: UDP, Target: target, Send: "ping", Expect: "pong", Timeout: patience})
	if n := datagrams.Load(); n != 1 {
		t.Errorf("got %d datagrams, want 1", n)
	}
}

func TestUDPSource(t *testing.T) {
	target := serveUDP(t, func(b []byte, send func([]byte)) { send(b) })
	c := Config{Kind: UDP, Target: target, Source: netip.MustParseAddr("127.0.0.2")}
	conn, err := dialUDP(t.Context(), &c)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if got := netip.MustParseAddrPort(conn.LocalAddr().String()).Addr(); got != c.Source {
		t.Errorf("sent from %s, want %s", got, c.Source)
	}
}
