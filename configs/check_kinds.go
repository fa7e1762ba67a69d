// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/holdfast-lb/holdfast/checker"
	"github.com/zclconf/go-cty/cty"
)

// Bounds of what a check sends.
const (
	maxSend     = 64 << 10
	maxDatagram = 65507 // of UDP over IPv4: 65535 without the headers
)

// arguments reads what only checks of one kind, or some, have.
func (b *builder) arguments(raw *rawCheck, c *check) {
	expect := func() { c.config.Expect = read(b, raw.Expect, "", matching(parseExpect)) }
	switch c.config.Kind {
	case checker.TCP:
		c.config.Send = read(b, raw.Send, "", matching(parseSend(maxSend)))
		expect()
	case checker.UDP:
		c.config.Send = read(b, raw.Send, "\x00", matching(parseSend(maxDatagram)))
		expect()
	case checker.HTTP:
		b.httpCheck(raw, c)
		expect()
		b.lintBody(raw, c.config)
	case checker.DNS:
		c.config.DNS = checker.DNSConfig{
			Name: read(b, raw.Name, ".", matching(parseDNSName)),
			Type: read(b, raw.Type, dnsType("SOA"), dnsTypeOf),
			TCP:  read(b, raw.Transport, false, oneOf(transports)),
		}
		if c.config.TLS.On && !c.config.DNS.TCP {
			b.fail(raw.TLS.Type, contradictory, `DNS over UDP has no TLS: write transport = "tcp", and the port, 853 as a rule.`)
		}
		expect()
	case checker.GRPC:
		c.config.GRPCService = read(b, raw.Service, "", matching(parseGRPCService))
	case checker.SMTP:
		c.config.HELO = read(b, raw.HELO, "localhost", matching(parseHELO))
		c.config.StartTLS = read(b, raw.StartTLS, false, boolean)
		if c.config.StartTLS && !c.config.TLS.On {
			c.config.TLS = b.tls(&rawTLS{})
		}
	case checker.Exec:
		b.require(raw.Range, "command", raw.Command)
		command := b.command(raw.Command)
		c.config.Command = strings.Join(command, "\x00")
		c.config.DynamicWeight = read(b, raw.DynamicWeight, false, boolean)
		c.config.User = b.user(raw.User, raw.Command, command)
	}
}

// parseSend accepts what is sent, as it is or in hexadecimal digits.
func parseSend(limit int) func(string) (string, error) {
	return func(s string) (string, error) {
		if digits, ok := strings.CutPrefix(s, "hex:"); ok {
			b, err := hex.DecodeString(digits)
			if err != nil {
				return "", errors.New(`takes two hexadecimal digits for each byte after "hex:", such as "hex:0d0a"`)
			}
			s = string(b)
		}
		if len(s) > limit {
			return "", fmt.Errorf("takes at most %d bytes, not %d", limit, len(s))
		}
		return s, nil
	}
}

// silence is after how long this host or a router says by ICMP that a host does not answer ARP or neighbour discovery: 3
// requests, 1 s each (linux/Documentation/networking/ip-sysctl.rst, mcast_solicit and retrans_time_ms).
const silence = 3 * time.Second

// passesSilence reports a check that a host passes which is off.
func (c check) passesSilence() bool {
	return c.config.Kind == checker.UDP && c.config.Expect == "" && c.config.Timeout <= silence
}

// lintSilent warns of checks that a host passes which is off, where there are no others.
func (b *builder) lintSilent(list []*rawCheck) {
	for _, raw := range list {
		b.warn(raw.Range, "Passes while the host is off",
			`Without expect only an ICMP error fails the check, which for a host that is off comes after 3s: write an expect, timeout = "4s" with interval = "5s", or a check "icmp" beside it.`)
	}
}

var transports = []choice[bool]{{word: "udp", value: false}, {word: "tcp", value: true}}

// dnsTypes are the types with a name, from IANA's registry of DNS parameters; those that only mean something between
// servers are left out.
var dnsTypes = []choice[uint16]{
	{word: "A", value: 1}, {word: "AAAA", value: 28}, {word: "ANY", value: 255}, {word: "CAA", value: 257},
	{word: "CNAME", value: 5}, {word: "DNSKEY", value: 48}, {word: "DS", value: 43}, {word: "HTTPS", value: 65},
	{word: "MX", value: 15}, {word: "NAPTR", value: 35}, {word: "NS", value: 2}, {word: "PTR", value: 12},
	{word: "SOA", value: 6}, {word: "SRV", value: 33}, {word: "SVCB", value: 64}, {word: "TLSA", value: 52},
	{word: "TXT", value: 16},
}

// dnsType returns the number of a type that has a name.
func dnsType(word string) uint16 {
	for _, t := range dnsTypes {
		if t.word == word {
			return t.value
		}
	}
	return 0
}

// dnsTypeName is the name of a type, or as RFC 3597 section 5 writes one without.
func dnsTypeName(n uint16) string {
	for _, t := range dnsTypes {
		if t.value == n {
			return t.word
		}
	}
	return fmt.Sprintf("TYPE%d", n)
}

// dnsTypeOf accepts a type of DNS by its name or number.
func dnsTypeOf(v cty.Value) (uint16, error) {
	if isNumber(v) {
		n, err := whole(1, math.MaxUint16)(v)
		return uint16(n), err
	}
	if isText(v) {
		if t := dnsType(strings.ToUpper(v.AsString())); t != 0 && v.AsString() != strings.ToUpper(v.AsString()) {
			return 0, fmt.Errorf("takes the name of a type in capitals: write %q", strings.ToUpper(v.AsString()))
		}
	}
	t, err := oneOf(dnsTypes)(v)
	if err != nil {
		err = fmt.Errorf("%w; other types are written as their number", err)
	}
	return t, err
}

// parseDNSName accepts a domain name, and returns it with its trailing dot (RFC 1035 section 2.3.4 for the limits).
func parseDNSName(s string) (string, error) {
	if s == "." {
		return s, nil
	}
	name := strings.TrimSuffix(s, ".")
	if len(name) > 253 {
		return "", fmt.Errorf("takes at most 253 characters, not %d", len(name))
	}
	odd := func(r rune) bool { return r <= ' ' || r > '~' || r == '\\' }
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || strings.ContainsFunc(label, odd) {
			return "", errors.New(`takes a domain name such as "www.example.com" or ".": labels of 1 to 63 ASCII characters, with dots between them`)
		}
	}
	return name + ".", nil
}

// parseGRPCService accepts the name of a service of gRPC.
func parseGRPCService(s string) (string, error) {
	if len(s) > 255 || hasBlank(s) {
		return "", errors.New(`takes the name of a service such as "example.v1.Orders", or "" for the server as a whole`)
	}
	return s, nil
}

// parseHELO accepts what a client may call itself, RFC 5321 section 4.1.1.1.
func parseHELO(s string) (string, error) {
	if s == "" || len(s) > 255 || strings.ContainsFunc(s, notInHost) {
		return "", errors.New(`takes the name of a host such as "lb1.example.com", or an address in brackets`)
	}
	return s, nil
}
