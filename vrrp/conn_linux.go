// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// receiveBuffer is how many bytes may wait in a socket: a flood must not push out the adverts that count. The kernel
// doubles it, and takes at least 512 for a packet, so that drainAll reads all.
const receiveBuffer = 1 << 20

// rawConn is one virtual router's share of a raw socket.
type rawConn struct {
	n      *Network
	port   *port
	id     uint8
	source netip.Addr
	frames *frameConn // multicast leaves through it, from the virtual MAC address; nil: as any other packet
	ready  chan struct{}
	queue  queue // guarded by port.mu
}

// Dial opens the connection of a virtual router.
func (n *Network) Dial(c Config) (Conn, error) {
	index, err := n.Link(c.Interface)
	if err != nil {
		return nil, err
	}
	source, err := n.source(c, index)
	if err != nil {
		return nil, err
	}
	conn := &rawConn{n: n, id: c.ID, source: source, ready: make(chan struct{}, 1)}
	key := portKey{device: c.Interface, index: index, family6: c.Family6(), unicast: c.Unicast.Enabled(), hops: c.hops()}
	if err := n.attach(conn, key); err != nil {
		return nil, fmt.Errorf("open VRRP socket on %s: %w%s", c.Interface, err, hint(err))
	}
	if !c.VMAC || c.Unicast.Enabled() {
		return conn, nil
	}
	if conn.frames, err = openFrames(c, index, source); err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("open packet socket on %s: %w%s", c.Interface, err, hint(err))
	}
	return conn, nil
}

func hint(err error) string {
	if errors.Is(err, unix.EPERM) {
		return " (holdfast needs CAP_NET_RAW and CAP_NET_ADMIN)"
	}
	return ""
}

// toFile hands a socket over to the runtime's poller.
func toFile(fd int, name string) (*os.File, syscall.RawConn, error) {
	f := os.NewFile(uintptr(fd), name)
	rc, err := f.SyscallConn()
	if err != nil {
		_ = f.Close()
	}
	return f, rc, err
}

// option is one step of setting up a socket.
type option struct {
	name string
	do   func() error
}

// setInt is an option with a number as its value.
func setInt(name string, fd, level, opt, value int) option {
	return option{name, func() error { return unix.SetsockoptInt(fd, level, opt, value) }}
}

// configure sets everything that a socket for adverts needs before its first packet.
func configure(fd int, key portKey, family []option) error {
	steps := append([]option{
		{"filter by id", func() error { return filterIDs(fd, nil, key.family6) }},
		{"bind to interface", func() error { return unix.BindToDevice(fd, key.device) }},
		setInt("set priority", fd, unix.SOL_SOCKET, unix.SO_PRIORITY, 6),
		{"set receive buffer", func() error {
			err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer)
			if errors.Is(err, unix.EPERM) { // in a user namespace; then as much as is allowed
				err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer)
			}
			return err
		}},
	}, family...)
	for _, s := range steps {
		if err := s.do(); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	// What came before the socket was bound may be from another interface.
	for n, err := 0, error(nil); err == nil && n < drainAll; n++ {
		_, err = unix.Read(fd, make([]byte, 1))
	}
	return nil
}

// filterIDs makes the kernel drop adverts of other virtual routers before they are queued. Over IPv4 the filter sees the
// IP header.
func filterIDs(fd int, ids []uint8, family6 bool) error {
	instructions := []bpf.Instruction{bpf.LoadMemShift{Off: 0}, bpf.LoadIndirect{Off: 1, Size: 1}}
	if family6 {
		instructions = []bpf.Instruction{bpf.LoadAbsolute{Off: 1, Size: 1}}
	}
	for _, id := range ids { // a jump may be longer than its 8 bits can say, so each has its own return
		instructions = append(instructions, bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(id), SkipFalse: 1}, bpf.RetConstant{Val: 0xffff})
	}
	program, err := bpf.Assemble(append(instructions, bpf.RetConstant{Val: 0}))
	if err != nil {
		return err
	}
	filter := make([]unix.SockFilter, len(program))
	for i, ins := range program {
		filter[i] = unix.SockFilter{Code: ins.Op, Jt: ins.Jt, Jf: ins.Jf, K: ins.K}
	}
	return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{
		Len: uint16(len(filter)), Filter: unsafe.SliceData(filter),
	})
}

// hops is the TTL or hop limit of what is sent.
func (c *Config) hops() int {
	if c.Unicast.Enabled() {
		return int(c.Unicast.TTL)
	}
	return ttl
}

// options4 is what only an IPv4 socket needs.
func options4(fd int, key portKey) []option {
	mreq := &unix.IPMreqn{Multiaddr: groupIPv4.As4(), Ifindex: int32(key.index)}
	options := []option{
		setInt("set TTL", fd, unix.IPPROTO_IP, unix.IP_TTL, key.hops),
		setInt("set multicast TTL", fd, unix.IPPROTO_IP, unix.IP_MULTICAST_TTL, key.hops),
		setInt("turn multicast loop off", fd, unix.IPPROTO_IP, unix.IP_MULTICAST_LOOP, 0),
		setInt("receive own groups only", fd, unix.IPPROTO_IP, unix.IP_MULTICAST_ALL, 0),
		{"set multicast interface", func() error {
			return unix.SetsockoptIPMreqn(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_IF, mreq)
		}},
		setInt("set type of service", fd, unix.IPPROTO_IP, unix.IP_TOS, tos),
		// One who has lost its address still says good-bye from it.
		setInt("send from an address that is gone", fd, unix.IPPROTO_IP, unix.IP_TRANSPARENT, 1),
	}
	if !key.unicast {
		options = append(options, option{"join group", func() error {
			return unix.SetsockoptIPMreqn(fd, unix.IPPROTO_IP, unix.IP_ADD_MEMBERSHIP, mreq)
		}})
	}
	return options
}

// options6 is what only an IPv6 socket needs. The header does not come with what it reads, so the hop limit and the
// destination are asked for beside it.
func options6(fd int, key portKey) []option {
	options := []option{
		setInt("set hop limit", fd, unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS, key.hops),
		setInt("set multicast hop limit", fd, unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_HOPS, key.hops),
		setInt("turn multicast loop off", fd, unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_LOOP, 0),
		setInt("receive own groups only", fd, unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_ALL, 0),
		setInt("set multicast interface", fd, unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_IF, key.index),
		setInt("set traffic class", fd, unix.IPPROTO_IPV6, unix.IPV6_TCLASS, tos),
		setInt("send from an address that is gone", fd, unix.IPPROTO_IPV6, unix.IPV6_TRANSPARENT, 1),
		setInt("receive hop limits", fd, unix.IPPROTO_IPV6, unix.IPV6_RECVHOPLIMIT, 1),
		setInt("receive destinations", fd, unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1),
	}
	if !key.unicast {
		options = append(options, option{"join group", func() error {
			return unix.SetsockoptIPv6Mreq(fd, unix.IPPROTO_IPV6, unix.IPV6_JOIN_GROUP, &unix.IPv6Mreq{
				Multiaddr: groupIPv6.As16(), Interface: uint32(key.index),
			})
		}})
	}
	return options
}

// Ready implements Conn.
func (c *rawConn) Ready() <-chan struct{} { return c.ready }

// Read implements Conn. The kernel has checked the IP header, and cut off what padded a short frame.
func (c *rawConn) Read(b []byte) (int, Header, error) {
	p := c.port
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pump(c, drainAll)
	if c.queue.n == 0 {
		if p.err != nil {
			return 0, Header{}, p.err
		}
		return 0, Header{}, ErrNothing
	}
	r := c.queue.take()
	if c.queue.n > 0 {
		poke(c.ready)
	}
	return copy(b, r.b), r.h, nil
}

// Write implements Conn. A full send buffer is an error, not a wait. What does not fit a frame goes out in fragments, and
// so from the interface's own MAC address: better than an advert that is not heard.
func (c *rawConn) Write(b []byte, dst netip.Addr) error {
	if c.frames != nil {
		if err := c.frames.write(b, dst); !errors.Is(err, unix.EMSGSIZE) {
			return err
		}
	}
	var err error
	if cerr := c.port.rc.Control(func(fd uintptr) {
		if dst.Is6() {
			info := unix.Inet6Pktinfo{Addr: c.source.As16(), Ifindex: uint32(c.port.key.index)}
			to := unix.SockaddrInet6{Addr: dst.As16(), ZoneId: uint32(c.port.key.index)}
			err = unix.Sendmsg(int(fd), b, unix.PktInfo6(&info), &to, unix.MSG_DONTWAIT)
			return
		}
		info := unix.Inet4Pktinfo{Ifindex: int32(c.port.key.index), Spec_dst: c.source.As4()}
		err = unix.Sendmsg(int(fd), b, unix.PktInfo4(&info), &unix.SockaddrInet4{Addr: dst.As4()}, unix.MSG_DONTWAIT)
	}); cerr != nil {
		return cerr
	}
	if err != nil {
		return fmt.Errorf("send advert to %v: %w", dst, err)
	}
	return nil
}

// Source implements Conn.
func (c *rawConn) Source() netip.Addr { return c.source }

// Close implements Conn.
func (c *rawConn) Close() error {
	err := c.n.detach(c)
	if c.frames != nil {
		err = errors.Join(err, c.frames.f.Close())
	}
	return err
}
