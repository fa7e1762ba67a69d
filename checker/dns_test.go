// SPDX-License-Identifier: Apache-2.0

package checker

import (
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// serveUDP hands each datagram to handle, which answers by send.
func serveUDP(t *testing.T, handle func(b []byte, send func([]byte))) netip.AddrPort {
	t.Helper()
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { _ = conn.Close(); <-done })
	go func() {
		defer close(done)
		b := make([]byte, 4096)
		for {
			n, from, err := conn.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			handle(b[:n], func(b []byte) { _, _ = conn.WriteToUDPAddrPort(b, from) })
		}
	}()
	return conn.LocalAddr().(*net.UDPAddr).AddrPort()
}

// dnsReply is the message that answers query, as change makes it.
func dnsReply(t *testing.T, query []byte, change func(*dnsmessage.Message)) []byte {
	var m dnsmessage.Message
	if err := m.Unpack(query); err != nil {
		t.Errorf("query: %v", err)
	}
	m.Response = true
	change(&m)
	b, err := m.Pack()
	if err != nil {
		t.Errorf("reply: %v", err)
	}
	return b
}

// withRecords answers with one record of each body.
func withRecords(bodies ...dnsmessage.ResourceBody) func(*dnsmessage.Message) {
	return func(m *dnsmessage.Message) {
		for _, body := range bodies {
			h := dnsmessage.ResourceHeader{Name: m.Questions[0].Name, Class: dnsmessage.ClassINET, TTL: 60}
			if u, ok := body.(*dnsmessage.UnknownResource); ok {
				h.Type = u.Type
			}
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: h, Body: body})
		}
	}
}

func dnsConfig(target netip.AddrPort) Config {
	return Config{Kind: DNS, Target: target, DNS: DNSConfig{Name: "www.example.com.", Type: uint16(dnsmessage.TypeA)}}
}

// always answers each query with a reply of that make.
func always(t *testing.T, change func(*dnsmessage.Message)) netip.AddrPort {
	return serveUDP(t, func(b []byte, send func([]byte)) { send(dnsReply(t, b, change)) })
}

func wantResult(t *testing.T, res Result, reason, detail string) {
	t.Helper()
	if res.Reason != reason || (res.Err == nil) != (reason == "") || !strings.Contains(res.Detail, detail) {
		t.Errorf("got %q, %q (%v), want %q, %q", res.Reason, res.Detail, res.Err, reason, detail)
	}
}

func TestDNS(t *testing.T) {
	a := &dnsmessage.AResource{A: [4]byte{10, 0, 0, 1}}
	rcode := func(c dnsmessage.RCode) func(*dnsmessage.Message) {
		return func(m *dnsmessage.Message) { m.RCode = c }
	}
	flood := func(change func(*dnsmessage.Message)) netip.AddrPort {
		return serveUDP(t, func(b []byte, send func([]byte)) {
			for range 2 * maxForeign {
				send(dnsReply(t, b, change))
			}
		})
	}
	once := func(change func(*dnsmessage.Message)) netip.AddrPort {
		return serveUDP(t, func(b []byte, send func([]byte)) {
			send(dnsReply(t, b, change))
			send(dnsReply(t, b, withRecords(a)))
		})
	}
	for _, tc := range []struct {
		name           string
		target         netip.AddrPort
		expect         string
		reason, detail string
	}{
		{"answer", always(t, withRecords(a)), "", "", "NOERROR, 1 answers"},
		{"no answer records", always(t, withRecords()), "", "", "NOERROR, 0 answers"},
		{"expected", always(t, withRecords(&dnsmessage.AResource{A: [4]byte{10, 0, 0, 2}}, a)), `^10\.0\.0\.1$`, "", ""},
		{"not the expected", always(t, withRecords(a)), `^10\.0\.0\.2$`, "answer", "10.0.0.1"},
		{"none of what is expected", always(t, withRecords()), `.`, "answer", "0 answers"},
		{"truncated", always(t, func(m *dnsmessage.Message) { m.Truncated = true }), "", "", "truncated"},
		{"case of the name", always(t, func(m *dnsmessage.Message) {
			m.Questions[0].Name = dnsmessage.MustNewName("WWW.example.COM.")
		}), "", "", ""},
		{"servfail", always(t, rcode(dnsmessage.RCodeServerFailure)), "", "rcode", "SERVFAIL"},
		{"nxdomain", always(t, rcode(dnsmessage.RCodeNameError)), "", "rcode", "NXDOMAIN"},
		{"refused", always(t, rcode(dnsmessage.RCodeRefused)), "", "rcode", "REFUSED"},
		{"other rcode", always(t, rcode(14)), "", "rcode", "RCODE14"},
		{"formerr without the question", always(t, func(m *dnsmessage.Message) {
			m.RCode, m.Questions = dnsmessage.RCodeFormatError, nil
		}), "", "rcode", "FORMERR"},
		{"foreign id, then ours", once(func(m *dnsmessage.Message) { m.ID++ }), "", "", ""},
		{"foreign question, then ours", once(func(m *dnsmessage.Message) { m.Questions[0].Type++ }), "", "", ""},
		{"query, then answer", once(func(m *dnsmessage.Message) { m.Response = false }), "", "", ""},
		{"foreign id", always(t, func(m *dnsmessage.Message) { m.ID++ }), "", "malformed response", "not to our query"},
		{"other name", always(t, func(m *dnsmessage.Message) {
			m.Questions[0].Name = dnsmessage.MustNewName("example.com.")
		}), "", "malformed response", "another question"},
		{"other type", always(t, func(m *dnsmessage.Message) { m.Questions[0].Type++ }), "", "malformed response", "another question"},
		{"no question", always(t, func(m *dnsmessage.Message) { m.Questions = nil }), "", "malformed response", ""},
		{"flood of foreign ids", flood(func(m *dnsmessage.Message) { m.ID++ }), "", "malformed response", ""},
		{"garbage", serveUDP(t, func(_ []byte, send func([]byte)) { send([]byte("spam")) }), "", "malformed response", ""},
		{"half an answer", serveUDP(t, func(b []byte, send func([]byte)) {
			r := dnsReply(t, b, withRecords(a))
			send(r[:len(r)-2])
		}), "", "malformed response", ""},
		{"echo of the query", serveUDP(t, func(b []byte, send func([]byte)) { send(b) }), "", "malformed response", ""},
		{"pointer in a circle", serveUDP(t, func(b []byte, send func([]byte)) {
			r := dnsReply(t, b, func(*dnsmessage.Message) {})
			r[7] = 1 // one answer,
			send(append(r, 0xc0, byte(len(r))))
		}), "", "malformed response", ""},
		{"silent", serveUDP(t, func([]byte, func([]byte)) {}), "", "timeout", "read answer of"},
		{"closed", closedUDP(t), "", "connection refused", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := dnsConfig(tc.target)
			c.Expect = tc.expect
			if tc.reason == reasonTimeout || tc.reason == reasonMalformed {
				c.Timeout = patience
			}
			res, _ := check(t, c)
			wantResult(t, res, tc.reason, tc.detail)
		})
	}
}

func closedUDP(t *testing.T) netip.AddrPort {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return conn.LocalAddr().(*net.UDPAddr).AddrPort()
}

func TestDNSQuery(t *testing.T) {
	got := make(chan dnsmessage.Message, 1)
	target := serveUDP(t, func(b []byte, send func([]byte)) {
		var m dnsmessage.Message
		_ = m.Unpack(b)
		got <- m
		send(dnsReply(t, b, withRecords()))
	})
	c := dnsConfig(target)
	c.DNS.Type = 257 // CAA, which dnsmessage does not know
	check(t, c)
	m := <-got
	if m.Response || !m.RecursionDesired || len(m.Questions) != 1 || m.Questions[0].GoString() !=
		(&dnsmessage.Question{Name: dnsmessage.MustNewName("www.example.com."), Type: 257, Class: dnsmessage.ClassINET}).GoString() {
		t.Errorf("query: %#v", m)
	}
}

// One lost datagram is no verdict; three would be.
func TestDNSRepeats(t *testing.T) {
	var queries atomic.Int32
	target := serveUDP(t, func(b []byte, send func([]byte)) {
		if queries.Add(1) == 2 {
			send(dnsReply(t, b, withRecords()))
		}
	})
	c := dnsConfig(target)
	c.Timeout = time.Second
	res, st := check(t, c)
	wantResult(t, res, "", "")
	if st.Duration < c.Timeout/2 || queries.Load() != 2 {
		t.Errorf("%d queries, the answer after %s", queries.Load(), st.Duration)
	}
}

// serveDNS answers over TCP what handle makes of a query.
func serveDNS(t *testing.T, handle func(c net.Conn, query []byte)) netip.AddrPort {
	return serve(t, func(c *net.TCPConn) {
		var size [2]byte
		if _, err := io.ReadFull(c, size[:]); err != nil {
			return
		}
		b := make([]byte, binary.BigEndian.Uint16(size[:]))
		if _, err := io.ReadFull(c, b); err != nil {
			return
		}
		handle(c, b)
	})
}

func framed(b []byte) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...)
}

func TestDNSOverTCP(t *testing.T) {
	txt := withRecords(&dnsmessage.TXTResource{TXT: []string{strings.Repeat("x", 255), "end"}})
	for _, tc := range []struct {
		name           string
		handle         func(net.Conn, []byte)
		reason, detail string
	}{
		{"answer", func(c net.Conn, q []byte) { _, _ = c.Write(framed(dnsReply(t, q, txt))) }, "", "1 answers"},
		{"in two pieces", func(c net.Conn, q []byte) {
			b := framed(dnsReply(t, q, txt))
			_, _ = c.Write(b[:1])
			time.Sleep(20 * time.Millisecond)
			_, _ = c.Write(b[1:])
		}, "", ""},
		{"foreign, then ours", func(c net.Conn, q []byte) {
			_, _ = c.Write(framed(dnsReply(t, q, func(m *dnsmessage.Message) { m.ID++ })))
			_, _ = c.Write(framed(dnsReply(t, q, txt)))
		}, "", ""},
		{"half an answer", func(c net.Conn, q []byte) { _, _ = c.Write(framed(q)[:len(q)]) }, "connection closed", ""},
		{"closed", func(net.Conn, []byte) {}, "connection closed", ""},
		{"empty messages for ever", func(c net.Conn, _ []byte) { forever(c.(*net.TCPConn), "\x00\x00", 0) }, "malformed response", ""},
		{"long messages for ever", func(c net.Conn, _ []byte) {
			forever(c.(*net.TCPConn), "\xff\xff"+strings.Repeat("x", 0xffff), 0)
		}, "response too large", ""},
		{"silent", func(c net.Conn, _ []byte) { silent(c.(*net.TCPConn)) }, "timeout", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := dnsConfig(serveDNS(t, tc.handle))
			c.DNS.Type, c.DNS.TCP, c.Expect = uint16(dnsmessage.TypeTXT), true, "xend$"
			if tc.reason == reasonTimeout {
				c.Timeout = patience
			}
			res, _ := check(t, c)
			wantResult(t, res, tc.reason, tc.detail)
		})
	}
}

// An answer that does not fit is asked for over TCP, if it matters.
func TestDNSTruncated(t *testing.T) {
	target := serveDNS(t, func(c net.Conn, q []byte) {
		_, _ = c.Write(framed(dnsReply(t, q, withRecords(&dnsmessage.AResource{A: [4]byte{10, 0, 0, 1}}))))
	})
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(target))
	if err != nil {
		t.Skipf("the same port over UDP: %v", err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { _ = conn.Close(); <-done })
	go func() {
		defer close(done)
		b := make([]byte, 512)
		for {
			n, from, err := conn.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			_, _ = conn.WriteToUDPAddrPort(dnsReply(t, b[:n], func(m *dnsmessage.Message) { m.Truncated = true }), from)
		}
	}()
	c := dnsConfig(target)
	c.Expect = `^10\.0\.0\.1$`
	res, _ := check(t, c)
	wantResult(t, res, "", "NOERROR, 1 answers")
}

func TestRecordText(t *testing.T) {
	name := dnsmessage.MustNewName("mail.example.com.")
	for _, tc := range []struct {
		body dnsmessage.ResourceBody
		want string
	}{
		{&dnsmessage.AAAAResource{AAAA: netip.MustParseAddr("2001:db8::1").As16()}, "2001:db8::1"},
		{&dnsmessage.CNAMEResource{CNAME: name}, "mail.example.com."},
		{&dnsmessage.NSResource{NS: name}, "mail.example.com."},
		{&dnsmessage.PTRResource{PTR: name}, "mail.example.com."},
		{&dnsmessage.MXResource{Pref: 10, MX: name}, "10 mail.example.com."},
		{&dnsmessage.SOAResource{NS: name, MBox: name, Serial: 1, Refresh: 2, Retry: 3, Expire: 4, MinTTL: 5}, "mail.example.com. mail.example.com. 1 2 3 4 5"},
		{&dnsmessage.SRVResource{Priority: 1, Weight: 2, Port: 25, Target: name}, "1 2 25 mail.example.com."},
		{&dnsmessage.UnknownResource{Type: 257, Data: []byte{0, 5}}, `\# 2 0005`},
	} {
		q := dnsmessage.Question{Name: name, Type: 1, Class: dnsmessage.ClassINET}
		query, err := (&dnsmessage.Message{Questions: []dnsmessage.Question{q}}).Pack()
		if err != nil {
			t.Fatal(err)
		}
		a, err := parseAnswer(dnsReply(t, query, withRecords(tc.body)), 0, q)
		if err != nil || len(a.records) != 1 || a.records[0] != tc.want {
			t.Errorf("%T: got %q, %v, want %q", tc.body, a.records, err, tc.want)
		}
	}
}

func TestDNSInvalid(t *testing.T) {
	c := dnsConfig(closedUDP(t))
	for _, name := range []string{"", "www", strings.Repeat("a", 64) + ".", "a..b."} {
		c.DNS.Name = name
		if _, err := newDNS(&c, nil); err == nil {
			t.Errorf("%q: no error", name)
		}
	}
}

// FuzzParseAnswer: no answer makes it crash, or take long.
func FuzzParseAnswer(f *testing.F) {
	q := dnsmessage.Question{Name: dnsmessage.MustNewName("a."), Type: 1, Class: dnsmessage.ClassINET}
	m := dnsmessage.Message{Header: dnsmessage.Header{Response: true}, Questions: []dnsmessage.Question{q}}
	withRecords(&dnsmessage.SOAResource{NS: q.Name, MBox: q.Name}, &dnsmessage.TXTResource{TXT: []string{"x"}})(&m)
	b, err := m.Pack()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(_ *testing.T, b []byte) {
		if a, err := parseAnswer(b, 0, q); err == nil {
			a.judge(nil)
		}
	})
}
