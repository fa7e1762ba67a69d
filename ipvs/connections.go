// SPDX-License-Identifier: Apache-2.0

package ipvs

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/netip"
	"os"
	"time"
)

// Connection is an entry of the kernel's connection table.
type Connection struct {
	Protocol    Protocol // 0: a template of a service by mark
	Client      netip.AddrPort
	Virtual     netip.AddrPort // for a template of a service by mark the mark, written as an address
	Destination netip.AddrPort
	State       string        // the kernel's word: ESTABLISHED, FIN_WAIT, UDP, NONE …
	Expires     time.Duration // whole seconds, if no packet comes
	// Template marks what holds a persistent client, or its network, on a destination. It is no connection and has client
	// port 0.
	Template bool
	Engine   string // of persistence, with what it found in the packet
	Data     string
	Synced   bool // it came by connection sync; known only with ConnectionFilter.Synced
}

// ConnectionFilter says which connections are wanted; the zero value: all.
type ConnectionFilter struct {
	// Service is theirs. Port 0 stands for every port. Connections do not say their mark: of a service by mark there
	// are the templates only.
	Service Key
	// Destination is theirs. Port 0 stands for every port.
	Destination netip.AddrPort
	// Synced leaves those that came by connection sync. The kernel does not show the engine's part with them.
	Synced bool
}

func (f ConnectionFilter) matches(c *Connection) bool {
	s := f.Service
	switch {
	case s.Mark != 0 && (c.Protocol != 0 || c.Virtual.Addr() != markAddress(s)):
		return false
	case s.Mark == 0 && s.Address.IsValid() && (s.Address != c.Virtual.Addr() || s.Protocol != c.Protocol || !samePort(s.Port, c.Virtual)):
		return false
	case f.Destination.IsValid() && (f.Destination.Addr() != c.Destination.Addr() || !samePort(f.Destination.Port(), c.Destination)):
		return false
	}
	return c.Synced || !f.Synced
}

func samePort(want uint16, a netip.AddrPort) bool { return want == 0 || want == a.Port() }

// markAddress returns the address that stands for a mark in a template (ip_vs_sched_persist).
func markAddress(k Key) netip.Addr {
	b := [16]byte{byte(k.Mark >> 24), byte(k.Mark >> 16), byte(k.Mark >> 8), byte(k.Mark)}
	if k.Address.Is6() {
		return netip.AddrFrom16(b)
	}
	return netip.AddrFrom4([4]byte(b[:]))
}

// Connections yields the connections of the network namespace that the calling thread is in, until yield returns false.
// It holds one at a time: the table may have millions. An entry that is made or removed meanwhile may be missing or come
// twice. It returns how many lines it did not understand and left out. ErrNoIPVS means that the kernel has no table.
func Connections(ctx context.Context, f ConnectionFilter, yield func(Connection) bool) (skipped int, err error) {
	name := "/proc/thread-self/net/ip_vs_conn"
	if f.Synced {
		name += "_sync"
	}
	file, err := os.Open(name)
	if errors.Is(err, os.ErrNotExist) {
		return 0, fmt.Errorf("read connections: %w: %w", ErrNoIPVS, err)
	}
	if err != nil {
		return 0, fmt.Errorf("read connections: %w", err)
	}
	defer file.Close()
	return readConnections(ctx, file, f, yield)
}

const checkContext = 1 << 10 // lines

// readConnections reads what the kernel prints (ip_vs_conn_seq_show, ip_vs_conn_sync_seq_show).
func readConnections(ctx context.Context, from io.Reader, f ConnectionFilter, yield func(Connection) bool) (skipped int, err error) {
	r := bufio.NewReaderSize(from, 64<<10)
	states := make(names)
	for n := 0; ; n++ {
		if n%checkContext == 0 && ctx.Err() != nil {
			return skipped, context.Cause(ctx)
		}
		line, err := r.ReadSlice('\n')
		for errors.Is(err, bufio.ErrBufferFull) { // no line of the kernel's is so long
			line = nil
			_, err = r.ReadSlice('\n')
		}
		if err != nil && err != io.EOF {
			return skipped, fmt.Errorf("read connections: %w", err)
		}
		last := err == io.EOF
		if last && len(line) == 0 {
			return skipped, nil
		}
		if c, ok := parseConnection(line, states, f.Synced); !ok {
			if n > 0 { // the first is the heading
				skipped++
			}
		} else if f.matches(&c) && !yield(c) {
			return skipped, nil
		}
		if last {
			return skipped, nil
		}
	}
}

// names keeps the few words that occur again and again, so that they are allocated once.
type names map[string]string

func (n names) of(b []byte) string {
	s, ok := n[string(b)]
	if !ok {
		s = string(b)
		if len(n) < 100 {
			n[s] = s
		}
	}
	return s
}

// parseConnection reads one line. With origin it has a column that says where the connection comes from.
func parseConnection(line []byte, states names, origin bool) (c Connection, ok bool) {
	l := columns{line}
	protocol, ok1 := parseProtocol(l.next())
	client, ok2 := parseEndpoint(l.next(), l.next())
	virtual, ok3 := parseEndpoint(l.next(), l.next())
	destination, ok4 := parseEndpoint(l.next(), l.next())
	state := l.next()
	if len(state) == 0 || !ok1 || !ok2 || !ok3 || !ok4 {
		return Connection{}, false
	}
	if origin {
		c.Synced = string(l.next()) == "SYNC"
	}
	seconds, ok := parseDecimal(l.next())
	if !ok {
		return Connection{}, false
	}
	c.Protocol, c.Client, c.Virtual, c.Destination = protocol, client, virtual, destination
	c.State, c.Expires, c.Template = states.of(state), time.Duration(seconds)*time.Second, client.Port() == 0
	if engine := l.next(); len(engine) > 0 {
		c.Engine, c.Data = states.of(engine), string(bytes.TrimSpace(l.rest))
	}
	return c, true
}

// columns are what is left of a line.
type columns struct{ rest []byte }

// next takes a word, empty at the end of the line.
func (c *columns) next() []byte {
	b := bytes.TrimLeft(c.rest, " \n")
	i := bytes.IndexAny(b, " \n")
	if i < 0 {
		i = len(b)
	}
	c.rest = b[i:]
	return b[:i]
}

// parseProtocol reads the names of ip_vs_proto_name.
func parseProtocol(b []byte) (Protocol, bool) {
	switch string(b) {
	case "TCP":
		return TCP, true
	case "UDP":
		return UDP, true
	case "SCTP":
		return SCTP, true
	case "IP":
		return 0, true
	case "ICMP":
		return 1, true
	case "ICMPv6":
		return 58, true
	}
	number, found := bytes.CutPrefix(b, []byte("IP_"))
	n, ok := parseDecimal(number)
	return Protocol(n), found && ok && n <= 255
}

func parseEndpoint(address, port []byte) (netip.AddrPort, bool) {
	a, ok1 := parseAddress(address)
	p, ok2 := parseHex(port, 4)
	return netip.AddrPortFrom(a, uint16(p)), ok1 && ok2
}

// parseAddress reads an IPv4 address as one hexadecimal number, or an IPv6 one as eight with colons between.
func parseAddress(b []byte) (netip.Addr, bool) {
	if len(b) == 8 {
		n, ok := parseHex(b, 8)
		return netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}), ok
	}
	if len(b) != 39 {
		return netip.Addr{}, false
	}
	var a [16]byte
	for i := range 8 {
		n, ok := parseHex(b[5*i:5*i+4], 4)
		if !ok || i < 7 && b[5*i+4] != ':' {
			return netip.Addr{}, false
		}
		a[2*i], a[2*i+1] = byte(n>>8), byte(n)
	}
	return netip.AddrFrom16(a), true
}

// parseHex reads a number of exactly so many digits, 8 at most.
func parseHex(b []byte, digits int) (n uint32, ok bool) {
	if len(b) != digits {
		return 0, false
	}
	for _, c := range b {
		n <<= 4
		switch {
		case c >= '0' && c <= '9':
			n |= uint32(c - '0')
		case c >= 'a' && c <= 'f':
			n |= uint32(c-'a') + 10
		case c >= 'A' && c <= 'F':
			n |= uint32(c-'A') + 10
		default:
			return 0, false
		}
	}
	return n, true
}

// parseDecimal reads a number of 32 bits.
func parseDecimal(b []byte) (n uint64, ok bool) {
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = 10*n + uint64(c-'0')
	}
	return n, len(b) > 0 && len(b) <= 10 && n <= math.MaxUint32
}
