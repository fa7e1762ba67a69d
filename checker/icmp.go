// SPDX-License-Identifier: Apache-2.0

package checker

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"net/netip"
)

// The types of RFC 792 and RFC 4443 that a check meets.
const (
	echoReply    = 0
	unreachable  = 3
	echoRequest  = 8
	timeExceeded = 11

	unreachable6  = 1
	timeExceeded6 = 3
	echoRequest6  = 128
	echoReply6    = 129
)

// message is what an ICMP message says of one of our requests: it is answered, or err.
type message struct {
	to     netip.Addr // that the request went to
	seq    uint16
	cookie uint64 // of an answer
	err    error
}

// parse reads a message as the socket gives it: over IPv4 a raw one with the IP header. It reports false for what is
// about no request of ours.
func (s *echoSocket) parse(b []byte, from netip.Addr) (message, bool) {
	from = from.WithZone("")
	if s.raw && !s.v6 {
		var ok bool
		if b, ok = afterIPv4(b); !ok {
			return message{}, false
		}
	}
	if len(b) < 8 {
		return message{}, false
	}
	what := ""
	switch t := b[0]; {
	case !s.v6 && t == echoReply, s.v6 && t == echoReply6:
		m := message{to: from, seq: binary.BigEndian.Uint16(b[6:])}
		if len(b) != 8+cookieSize || s.raw && binary.BigEndian.Uint16(b[4:]) != s.id {
			return message{}, false
		}
		m.cookie = binary.BigEndian.Uint64(b[8:])
		return m, true
	case !s.v6 && t == unreachable, s.v6 && t == unreachable6:
		what = s.unreachable(b[1])
	case !s.v6 && t == timeExceeded, s.v6 && t == timeExceeded6:
		what = "time to live exceeded, so the route is a circle"
	default:
		return message{}, false
	}
	return s.quoted(b[8:], &icmpError{what, from})
}

// quoted finds the request that an error is about: its IP header and at least 8 bytes of it are repeated there.
func (s *echoSocket) quoted(b []byte, said error) (message, bool) {
	var to netip.Addr
	request := byte(echoRequest)
	var ok bool
	if s.v6 {
		const header = 40
		if len(b) < header || b[6] != 58 { // no extension headers: we send none
			return message{}, false
		}
		to, request, b, ok = netip.AddrFrom16([16]byte(b[24:40])), echoRequest6, b[header:], true
	} else if len(b) >= 20 {
		to = netip.AddrFrom4([4]byte(b[16:20]))
		b, ok = afterIPv4(b)
	}
	if !ok || len(b) < 8 || b[0] != request || binary.BigEndian.Uint16(b[4:]) != s.id {
		return message{}, false
	}
	return message{to: to, seq: binary.BigEndian.Uint16(b[6:]), err: said}, true
}

// afterIPv4 takes the IP header off.
func afterIPv4(b []byte) ([]byte, bool) {
	if len(b) < 20 || b[0]>>4 != 4 {
		return nil, false
	}
	size := int(b[0]&15) * 4
	if size < 20 || size > len(b) {
		return nil, false
	}
	return b[size:], true
}

// What the codes of Destination Unreachable mean: RFC 792 and RFC 1812 section 5.2.7.1, RFC 4443 section 3.1.
var (
	codes = map[byte]string{
		0: "network unreachable", 1: "host unreachable", 2: "protocol unreachable", 5: "source route failed",
		6: "network unknown", 7: "host unknown", 9: "network prohibited", 10: "host prohibited", 13: "prohibited",
	}
	codes6 = map[byte]string{
		0: "no route", 1: "prohibited", 2: "beyond scope of source", 3: "host unreachable", 5: "source address refused",
		6: "route rejected",
	}
)

func (s *echoSocket) unreachable(code byte) string {
	what := codes[code]
	if s.v6 {
		what = codes6[code]
	}
	return cmp.Or(what, fmt.Sprintf("unreachable, code %d", code))
}

// checksum is that of RFC 1071.
func checksum(b []byte) uint16 {
	sum := uint32(0)
	for ; len(b) >= 2; b = b[2:] {
		sum += uint32(binary.BigEndian.Uint16(b))
	}
	for sum>>16 != 0 {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
