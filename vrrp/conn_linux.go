// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"syscall"
	"unsafe"

	"github.com/vishvananda/netlink"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// tos is what adverts are sent with, as by every other implementation: internetwork control.
const tos = 0xc0

// rawConn is a raw IPv4 socket on one interface for one virtual router. Adverts of others are left to the kernel's
// filter.
type rawConn struct {
	f      *os.File
	rc     syscall.RawConn
	source netip.Addr
	index  int
	packet [4096]byte // what is read: header and payload
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
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, protocol)
	if err != nil {
		return nil, fmt.Errorf("open VRRP socket: %w%s", err, hint(err))
	}
	if err := configure(fd, c, index, source); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("open VRRP socket on %s: %w", c.Interface, err)
	}
	f := os.NewFile(uintptr(fd), "vrrp")
	rc, err := f.SyscallConn()
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("open VRRP socket on %s: %w", c.Interface, err)
	}
	return &rawConn{f: f, rc: rc, source: source, index: index}, nil
}

func hint(err error) string {
	if errors.Is(err, unix.EPERM) {
		return " (holdfast needs CAP_NET_RAW and CAP_NET_ADMIN)"
	}
	return ""
}

// configure sets everything that a socket for adverts needs before its first packet.
func configure(fd int, c Config, index int, source netip.Addr) error {
	ttlOut := ttl
	if c.Unicast.Enabled() {
		ttlOut = int(c.Unicast.TTL)
	}
	mreq := &unix.IPMreqn{Multiaddr: groupIPv4.As4(), Ifindex: int32(index)}
	steps := []struct {
		name string
		do   func() error
	}{
		{"filter by id", func() error { return filterID(fd, c.ID) }},
		{"bind to interface", func() error { return unix.BindToDevice(fd, c.Interface) }},
		{"set TTL", func() error { return unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_TTL, ttlOut) }},
		{"set multicast TTL", func() error { return unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_TTL, ttlOut) }},
		{"turn multicast loop off", func() error { return unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_LOOP, 0) }},
		{"receive own groups only", func() error { return unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_ALL, 0) }},
		{"set multicast interface", func() error { return unix.SetsockoptIPMreqn(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_IF, mreq) }},
		{"set type of service", func() error { return unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_TOS, tos) }},
		{"set priority", func() error { return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PRIORITY, 6) }},
		{"join group", func() error {
			if c.Unicast.Enabled() {
				return nil
			}
			return unix.SetsockoptIPMreqn(fd, unix.IPPROTO_IP, unix.IP_ADD_MEMBERSHIP, mreq)
		}},
	}
	for _, s := range steps {
		if err := s.do(); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	// What came before the socket was bound may be from another interface.
	var b [1]byte
	for n, err := 0, error(nil); err == nil && n < drainAll; n++ {
		_, _, err = unix.Recvfrom(fd, b[:], unix.MSG_DONTWAIT)
	}
	return nil
}

// filterID makes the kernel drop adverts of other virtual routers before they are queued. The socket sees the IP header.
func filterID(fd int, id uint8) error {
	program, err := bpf.Assemble([]bpf.Instruction{
		bpf.LoadMemShift{Off: 0}, // length of the IP header
		bpf.LoadIndirect{Off: 1, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(id), SkipFalse: 1},
		bpf.RetConstant{Val: 0xffff},
		bpf.RetConstant{Val: 0},
	})
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

// source is the address that adverts are sent from: as configured, or the first of the interface that is not virtual.
func (n *Network) source(c Config, index int) (netip.Addr, error) {
	want := c.Source
	if c.Unicast.Enabled() {
		want = c.Unicast.Source
	}
	there, err := n.list(&netlink.Dummy{LinkAttrs: netlink.LinkAttrs{Index: index}})
	if err != nil {
		return netip.Addr{}, fmt.Errorf("list addresses of %s: %w", c.Interface, err)
	}
	for _, a := range there {
		p := toPrefix(*a.IPNet)
		if p.Addr() == want || !want.IsValid() && p.Addr().Is4() && !n.isVirtual(c, p.Addr()) {
			return p.Addr(), nil
		}
	}
	if want.IsValid() {
		return netip.Addr{}, fmt.Errorf("interface %s does not have the source address %v", c.Interface, want)
	}
	return netip.Addr{}, fmt.Errorf("interface %s has no IPv4 address of its own to send adverts from", c.Interface)
}

// isVirtual reports whether an address is one that moves: of this virtual router, or one that another has installed.
func (n *Network) isVirtual(c Config, a netip.Addr) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.virtual[a] || slices.ContainsFunc(c.Addresses, func(v Address) bool { return v.Prefix.Addr() == a })
}

// Wait implements Conn.
func (c *rawConn) Wait() error {
	return c.rc.Read(func(fd uintptr) bool {
		var b [1]byte
		_, _, err := unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		return !errors.Is(err, unix.EAGAIN)
	})
}

// Read implements Conn. The kernel has checked the IP header, and cut off what padded a short frame.
func (c *rawConn) Read(b []byte) (int, Header, error) {
	var n int
	var err error
	if cerr := c.rc.Control(func(fd uintptr) {
		n, _, err = unix.Recvfrom(int(fd), c.packet[:], unix.MSG_DONTWAIT)
	}); cerr != nil {
		return 0, Header{}, cerr
	}
	switch {
	case errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR):
		return 0, Header{}, ErrNothing
	case err != nil:
		return 0, Header{}, fmt.Errorf("read advert: %w", err)
	}
	p := c.packet[:n]
	return copy(b, p[int(p[0]&0xf)*4:]), Header{
		Src: netip.AddrFrom4([4]byte(p[12:16])), Dst: netip.AddrFrom4([4]byte(p[16:20])), TTL: p[8],
	}, nil
}

// Write implements Conn. A full send buffer is an error, not a wait.
func (c *rawConn) Write(b []byte, dst netip.Addr) error {
	info := unix.Inet4Pktinfo{Ifindex: int32(c.index), Spec_dst: c.source.As4()}
	var err error
	if cerr := c.rc.Control(func(fd uintptr) {
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
func (c *rawConn) Close() error { return c.f.Close() }
