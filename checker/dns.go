// SPDX-License-Identifier: Apache-2.0

package checker

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"regexp"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

const (
	reasonRcode = "rcode" // of a DNS answer, other than NOERROR

	maxDatagram = 4096             // bytes that are read of one
	maxStream   = 2 * (64<<10 + 1) // bytes of all answers over TCP: one of the greatest, and some more
	// maxForeign is how many answers to something else are passed over before the server is taken to talk nonsense.
	maxForeign = 64
)

// dnsCheck asks one question. Over UDP it repeats it once, after half of the time: one lost datagram is no verdict on a
// server. A truncated answer will do where nothing is expected of it, and is asked for over TCP otherwise, as any client
// would.
type dnsCheck struct {
	config   *Config
	question dnsmessage.Question
	expect   *regexp.Regexp // nil: any answer, even none
}

// newDNS prepares a check; expect is Config.Expect, compiled.
func newDNS(c *Config, expect *regexp.Regexp) (Probe, error) {
	name, err := dnsmessage.NewName(c.DNS.Name)
	if err != nil {
		return nil, fmt.Errorf("name %q: %w", c.DNS.Name, err)
	}
	d := dnsCheck{
		config:   c,
		question: dnsmessage.Question{Name: name, Type: dnsmessage.Type(c.DNS.Type), Class: dnsmessage.ClassINET},
		expect:   expect,
	}
	if _, err := d.query(0); err != nil { // such as a name that does not end in a dot
		return nil, err
	}
	return d.run, nil
}

func (d *dnsCheck) run(ctx context.Context) Result {
	id := uint16(rand.Uint32())
	query, err := d.query(id)
	if err != nil {
		return localFault(reasonInvalid, err)
	}
	a, res := d.ask(ctx, id, query, d.config.DNS.TCP)
	if res.Err == nil && a.truncated && d.expect != nil && !d.config.DNS.TCP {
		a, res = d.ask(ctx, id, query, true)
	}
	if res.Err != nil {
		return res
	}
	return a.judge(d.expect)
}

// query is the question as RFC 1035 section 4.1 has it, with recursion desired.
func (d *dnsCheck) query(id uint16) ([]byte, error) {
	m := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: id, RecursionDesired: true},
		Questions: []dnsmessage.Question{d.question},
	}
	b, err := m.Pack()
	if err != nil {
		return nil, fmt.Errorf("name %q: %w", d.config.DNS.Name, err)
	}
	return b, nil
}

// ask sends the query and returns the answer to it. What else comes is passed over.
func (d *dnsCheck) ask(ctx context.Context, id uint16, query []byte, tcp bool) (dnsAnswer, Result) {
	if tcp {
		conn, done, res := open(ctx, d.config, "", maxStream)
		if res.Err != nil {
			return dnsAnswer{}, res
		}
		defer done()
		return d.exchange(conn, id, append(binary.BigEndian.AppendUint16(nil, uint16(len(query))), query...), receiveFramed)
	}
	conn, err := dialUDP(ctx, d.config)
	if err != nil {
		return dnsAnswer{}, fault("connect", d.config.Target, err)
	}
	defer conn.Close()
	defer endWith(ctx, conn)()
	if deadline, ok := ctx.Deadline(); ok {
		// An error of this one comes up where the answer is read.
		defer time.AfterFunc(time.Until(deadline)/2, func() { _, _ = conn.Write(query) }).Stop()
	}
	return d.exchange(conn, id, query, receiveDatagram)
}

func (d *dnsCheck) exchange(conn net.Conn, id uint16, query []byte, receive func(net.Conn) ([]byte, error)) (dnsAnswer, Result) {
	if _, err := conn.Write(query); err != nil {
		return dnsAnswer{}, fault("send query to", d.config.Target, err)
	}
	var foreign error
	for range maxForeign {
		b, err := receive(conn)
		if err != nil {
			res := fault("read answer of", d.config.Target, err)
			if foreign != nil && res.Reason == reasonTimeout {
				return dnsAnswer{}, failure(reasonMalformed, foreign)
			}
			return dnsAnswer{}, res
		}
		a, err := parseAnswer(b, id, d.question)
		if err == nil {
			return a, Result{}
		}
		foreign = fmt.Errorf("answer of %s: %w", d.config.Target, err)
	}
	return dnsAnswer{}, failure(reasonMalformed, foreign)
}

// receiveDatagram reads one datagram.
func receiveDatagram(conn net.Conn) ([]byte, error) {
	b := make([]byte, maxDatagram)
	n, err := conn.Read(b)
	return b[:n], err
}

// receiveFramed reads one message after its length (RFC 1035 section 4.2.2).
func receiveFramed(conn net.Conn) ([]byte, error) {
	var size [2]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		return nil, err
	}
	b := make([]byte, binary.BigEndian.Uint16(size[:]))
	_, err := io.ReadFull(conn, b)
	return b, err
}

// dnsAnswer is what a server answers.
type dnsAnswer struct {
	rcode     dnsmessage.RCode
	truncated bool
	records   []string // the answers as text
}

// parseAnswer reads an answer; an error says why it is none to this question. One that reports an error may lack the
// question, as a server that has not understood it has none to repeat.
func parseAnswer(b []byte, id uint16, q dnsmessage.Question) (dnsAnswer, error) {
	var p dnsmessage.Parser
	h, err := p.Start(b)
	switch {
	case err != nil:
		return dnsAnswer{}, err
	case h.ID != id || !h.Response || h.OpCode != 0:
		return dnsAnswer{}, errors.New("not to our query")
	}
	questions, err := p.AllQuestions()
	if err != nil {
		return dnsAnswer{}, err
	}
	a := dnsAnswer{rcode: h.RCode, truncated: h.Truncated}
	if a.rcode != dnsmessage.RCodeSuccess && len(questions) == 0 {
		return a, nil
	}
	if len(questions) != 1 || questions[0].Type != q.Type || questions[0].Class != q.Class ||
		!strings.EqualFold(questions[0].Name.String(), q.Name.String()) {
		return dnsAnswer{}, errors.New("to another question")
	}
	if a.rcode != dnsmessage.RCodeSuccess || a.truncated {
		return a, nil // the records may be cut off
	}
	records, err := p.AllAnswers()
	if err != nil {
		return dnsAnswer{}, err
	}
	for _, r := range records {
		a.records = append(a.records, recordText(r.Body))
	}
	return a, nil
}

// judge is the result of an answer: expect matches the text of one record.
func (a dnsAnswer) judge(expect *regexp.Regexp) Result {
	if a.rcode != dnsmessage.RCodeSuccess {
		detail := rcodeName(a.rcode)
		return Result{Err: fmt.Errorf("rcode %s", detail), Reason: reasonRcode, Detail: detail}
	}
	detail := fmt.Sprintf("NOERROR, %d answers", len(a.records))
	if a.truncated {
		detail = "NOERROR, truncated"
	}
	if expect == nil {
		return Result{Detail: detail}
	}
	for _, r := range a.records {
		if expect.MatchString(r) {
			return Result{Detail: detail}
		}
	}
	return failure(reasonAnswer, fmt.Errorf("%s, none matches %q: %q", detail, expect, a.records))
}

// rcodes are the names of the IANA registry, "DNS RCODEs".
var rcodes = [...]string{"NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "YXDOMAIN", "YXRRSET", "NXRRSET", "NOTAUTH", "NOTZONE"}

func rcodeName(c dnsmessage.RCode) string {
	if int(c) < len(rcodes) {
		return rcodes[c]
	}
	return fmt.Sprintf("RCODE%d", c)
}

// recordText is the data of a record as in a zone file (RFC 1035 section 5), on one line and without quotes; of a type
// that is not known here as in RFC 3597 section 5.
func recordText(body dnsmessage.ResourceBody) string {
	switch r := body.(type) {
	case *dnsmessage.AResource:
		return netip.AddrFrom4(r.A).String()
	case *dnsmessage.AAAAResource:
		return netip.AddrFrom16(r.AAAA).String()
	case *dnsmessage.CNAMEResource:
		return r.CNAME.String()
	case *dnsmessage.NSResource:
		return r.NS.String()
	case *dnsmessage.PTRResource:
		return r.PTR.String()
	case *dnsmessage.MXResource:
		return fmt.Sprintf("%d %s", r.Pref, r.MX)
	case *dnsmessage.TXTResource:
		return strings.Join(r.TXT, "")
	case *dnsmessage.SOAResource:
		return fmt.Sprintf("%s %s %d %d %d %d %d", r.NS, r.MBox, r.Serial, r.Refresh, r.Retry, r.Expire, r.MinTTL)
	case *dnsmessage.SRVResource:
		return fmt.Sprintf("%d %d %d %s", r.Priority, r.Weight, r.Port, r.Target)
	case *dnsmessage.SVCBResource: // without its parameters
		return fmt.Sprintf("%d %s", r.Priority, r.Target)
	case *dnsmessage.HTTPSResource:
		return fmt.Sprintf("%d %s", r.Priority, r.Target)
	case *dnsmessage.UnknownResource:
		return fmt.Sprintf(`\# %d %s`, len(r.Data), hex.EncodeToString(r.Data))
	}
	return ""
}
