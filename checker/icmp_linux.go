// SPDX-License-Identifier: Apache-2.0

package checker

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// pinger sends the echo requests of all checks from one socket for each family: a raw socket is given a copy of every
// ICMP message that this host receives. Its zero value is ready, and opens a socket when it is first needed.
type pinger struct {
	wg sync.WaitGroup

	mu      sync.Mutex
	sockets [2]*echoSocket // IPv4, IPv6
	waiting map[uint16]*echo
	last    uint16 // sequence number
	closed  bool
}

// echo is an echo request that waits for its answer.
type echo struct {
	to     netip.Addr
	cookie uint64 // so that nothing but an answer to it looks like one
	answer chan error
}

// echoSocket is a socket for ICMP messages of one family. A raw one needs CAP_NET_RAW and is told of errors; a ping
// socket needs a group in net.ipv4.ping_group_range, and errors are silence there.
type echoSocket struct {
	file *os.File
	conn syscall.RawConn
	v6   bool
	raw  bool
	id   uint16 // of our requests; the kernel sets its own on a ping socket
}

const (
	cookieSize = 8
	echoBuffer = 4 << 20 // bytes: all checks may be answered at once
)

// newICMP prepares a check: an echo request, and after half of the time another one, as one lost packet is no verdict.
func (p *pinger) newICMP(c *Config) (Probe, error) {
	target, source := c.Target.Addr().Unmap(), c.Source.Unmap()
	if !target.IsValid() {
		return nil, errors.New("no address")
	}
	return func(ctx context.Context) Result {
		s, err := p.socket(target.Is6())
		if errors.Is(err, fs.ErrPermission) {
			err = fmt.Errorf("ping %s: %w: it takes CAP_NET_RAW, or a group of ours in net.ipv4.ping_group_range", target, err)
			return localFault(reasonPermission, err)
		}
		if err != nil {
			return echoFault(c.Target, err)
		}
		seq, e, err := p.expect(target)
		if err != nil {
			return echoFault(c.Target, err)
		}
		defer p.forget(seq)
		again := make(<-chan time.Time)
		if deadline, ok := ctx.Deadline(); ok {
			again = time.After(time.Until(deadline) / 2)
		}
		for {
			if err := s.send(seq, e, source); err != nil {
				return echoFault(c.Target, err)
			}
			select {
			case err := <-e.answer:
				if err != nil {
					return echoFault(c.Target, err)
				}
				return Result{}
			case <-ctx.Done():
				return echoFault(c.Target, ctx.Err())
			case <-again:
			}
		}
	}, nil
}

// icmpError is what a router, or this host for its neighbour, says of a request.
type icmpError struct {
	what string
	from netip.Addr
}

func (e *icmpError) Error() string { return fmt.Sprintf("%s, says %s", e.what, e.from) }

func echoFault(target netip.AddrPort, err error) Result {
	reason, local := explain(err, target)
	if _, ok := errors.AsType[*icmpError](err); ok {
		reason, local = explain(unix.EHOSTUNREACH, target)
	} else if errors.Is(err, os.ErrClosed) { // the socket has failed, and the next check opens another one
		reason, local = reasonNetwork, true
	}
	err = fmt.Errorf("ping %s: %w", target.Addr(), err)
	if local {
		return localFault(reason, err)
	}
	return failure(reason, err)
}

// expect makes an echo and gives it a sequence number that no other one has.
func (p *pinger) expect(to netip.Addr) (uint16, *echo, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.waiting == nil {
		p.waiting = make(map[uint16]*echo)
	}
	for range 1 << 16 {
		p.last++
		if p.waiting[p.last] == nil {
			e := &echo{to: to, cookie: rand.Uint64(), answer: make(chan error, 1)}
			p.waiting[p.last] = e
			return p.last, e, nil
		}
	}
	return 0, nil, unix.ENOBUFS
}

func (p *pinger) forget(seq uint16) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.waiting, seq)
}

// close ends the readers. Checks in flight end with their context.
func (p *pinger) close() {
	p.mu.Lock()
	p.closed = true
	for _, s := range p.sockets {
		if s != nil {
			_ = s.file.Close()
		}
	}
	p.mu.Unlock()
	p.wg.Wait()
}

// socket returns the socket of a family and opens it if there is none.
func (p *pinger) socket(v6 bool) (*echoSocket, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := 0
	if v6 {
		i = 1
	}
	if p.closed {
		return nil, os.ErrClosed
	}
	if p.sockets[i] == nil {
		s, err := openEcho(v6)
		if err != nil {
			return nil, err
		}
		p.sockets[i] = s
		p.wg.Go(func() {
			s.read(p.answered)
			p.mu.Lock()
			defer p.mu.Unlock()
			_ = s.file.Close()
			p.sockets[i] = nil // the next check opens it again
		})
	}
	return p.sockets[i], nil
}

// answered takes an answer to the echo that it is for. What is for none is dropped: the socket is given the answers to
// all programs of this host.
func (p *pinger) answered(m message) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.waiting[m.seq]
	if e == nil || e.to.WithZone("") != m.to || m.err == nil && e.cookie != m.cookie {
		return
	}
	select {
	case e.answer <- m.err:
	default: // both requests are answered
	}
}

func openEcho(v6 bool) (*echoSocket, error) {
	family, protocol := unix.AF_INET, unix.IPPROTO_ICMP
	if v6 {
		family, protocol = unix.AF_INET6, unix.IPPROTO_ICMPV6
	}
	const flags = unix.SOCK_NONBLOCK | unix.SOCK_CLOEXEC
	s := &echoSocket{v6: v6, raw: true, id: uint16(rand.Uint32())}
	fd, err := unix.Socket(family, unix.SOCK_RAW|flags, protocol)
	if err == unix.EPERM || err == unix.EACCES {
		s.raw = false
		fd, err = unix.Socket(family, unix.SOCK_DGRAM|flags, protocol)
	}
	if err != nil {
		return nil, fmt.Errorf("open ICMP socket: %w", err)
	}
	if err := s.prepare(fd); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("open ICMP socket: %w", err)
	}
	s.file = os.NewFile(uintptr(fd), "icmp")
	if s.conn, err = s.file.SyscallConn(); err != nil {
		_ = s.file.Close()
		return nil, fmt.Errorf("open ICMP socket: %w", err)
	}
	return s, nil
}

// prepare sets what a socket lets through, and its buffer, which is smaller without CAP_NET_ADMIN.
func (s *echoSocket) prepare(fd int) error {
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, echoBuffer) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, echoBuffer)
	}
	switch {
	case !s.raw:
		return nil
	case s.v6:
		return unix.SetsockoptICMPv6Filter(fd, unix.SOL_ICMPV6, unix.ICMPV6_FILTER, icmpv6Filter())
	}
	// ICMP_FILTER of linux/icmp.h: a bit that is set keeps the type out.
	const optICMPFilter = 1
	return unix.SetsockoptInt(fd, unix.SOL_RAW, optICMPFilter, ^(1<<echoReply | 1<<unreachable | 1<<timeExceeded))
}

func icmpv6Filter() *unix.ICMPv6Filter {
	f := new(unix.ICMPv6Filter) // a bit that is set keeps the type out (RFC 3542 section 3.2 leaves that open)
	for i := range f.Data {
		f.Data[i] = ^uint32(0)
	}
	for _, t := range [...]int{echoReply6, unreachable6, timeExceeded6} {
		f.Data[t>>5] &^= 1 << (t & 31)
	}
	return f
}

// send sends the request of e.
func (s *echoSocket) send(seq uint16, e *echo, source netip.Addr) error {
	_, sa, err := sockaddr(netip.AddrPortFrom(e.to, 0))
	if err != nil {
		return err
	}
	b, control := s.request(seq, e.cookie), pktinfo(source)
	if werr := s.conn.Control(func(fd uintptr) {
		err = unix.Sendmsg(int(fd), b, control, sa, unix.MSG_DONTWAIT)
	}); werr != nil {
		return werr
	}
	if err == unix.EAGAIN {
		return unix.ENOBUFS // of our own
	}
	return err
}

// pktinfo is the control message that sets the source address; none: whichever the kernel chooses.
func pktinfo(source netip.Addr) []byte {
	switch {
	case source.Is4():
		return unix.PktInfo4(&unix.Inet4Pktinfo{Spec_dst: source.As4()})
	case source.Is6():
		return unix.PktInfo6(&unix.Inet6Pktinfo{Addr: source.As16()})
	}
	return nil
}

// read hands over each message until the socket is closed or fails.
func (s *echoSocket) read(f func(message)) {
	b := make([]byte, 1500)
	for {
		var n int
		var from unix.Sockaddr
		var err error
		if rerr := s.conn.Read(func(fd uintptr) bool {
			n, from, err = unix.Recvfrom(int(fd), b, 0)
			return err != unix.EAGAIN && err != unix.EINTR
		}); rerr != nil || err != nil {
			return
		}
		if m, ok := s.parse(b[:n], addrPort(from).Addr()); ok {
			f(m)
		}
	}
}

// request is an echo request (RFC 792, RFC 4443 section 4.1).
func (s *echoSocket) request(seq uint16, cookie uint64) []byte {
	b := make([]byte, 8, 8+cookieSize)
	b[0] = echoRequest
	if s.v6 {
		b[0] = echoRequest6
	}
	binary.BigEndian.PutUint16(b[4:], s.id)
	binary.BigEndian.PutUint16(b[6:], seq)
	b = binary.BigEndian.AppendUint64(b, cookie)
	if !s.v6 { // else the kernel does, as it knows the source
		binary.BigEndian.PutUint16(b[2:], checksum(b))
	}
	return b
}
