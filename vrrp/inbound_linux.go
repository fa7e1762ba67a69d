// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// inbound receives packets of a raw socket into memory that is made once: the functions of x/sys allocate the sender's
// address, the control messages, or both, for each one.
type inbound struct {
	receive func(fd uintptr) // reads one packet, or sets errno
	n       int
	errno   unix.Errno

	family6 bool
	msg     unix.Msghdr
	iov     unix.Iovec
	from    unix.RawSockaddrInet6
	buf     [60 + maxPacket]byte // over IPv4 with the IP header
	control [128]byte            // more than a hop limit and a destination
}

func (in *inbound) init(family6 bool) {
	in.family6 = family6
	in.iov.Base = &in.buf[0]
	in.iov.SetLen(len(in.buf))
	in.msg.Iov, in.msg.Name, in.msg.Control = &in.iov, (*byte)(unsafe.Pointer(&in.from)), &in.control[0]
	in.msg.SetIovlen(1)
	in.receive = in.recvmsg
}

func (in *inbound) recvmsg(fd uintptr) {
	in.msg.Namelen = unix.SizeofSockaddrInet6
	in.msg.SetControllen(len(in.control))
	n, _, errno := unix.Syscall(unix.SYS_RECVMSG, fd, uintptr(unsafe.Pointer(&in.msg)), unix.MSG_DONTWAIT)
	in.n, in.errno = int(n), errno
}

// packet is what was received last. What the kernel did not tell of is zero in the header, and refused.
func (in *inbound) packet() ([]byte, Header) {
	p := in.buf[:in.n]
	if in.family6 {
		h := Header{Src: netip.AddrFrom16(in.from.Addr)}
		h.Dst, h.TTL = ancillary(in.control[:in.msg.Controllen])
		return p, h
	}
	if len(p) < ipv4Header || len(p) < int(p[0]&0xf)*4 { // no kernel passes that on
		return nil, Header{}
	}
	return p[int(p[0]&0xf)*4:], Header{
		Src: netip.AddrFrom4([4]byte(p[12:16])), Dst: netip.AddrFrom4([4]byte(p[16:20])), TTL: p[8],
	}
}

// ipv4Header is the length of an IPv4 header without options, RFC 791 section 3.1.
const ipv4Header = 20

// ancillary reads the destination and the hop limit, RFC 3542 sections 6.2 and 6.3.
func ancillary(b []byte) (dst netip.Addr, hops uint8) {
	for len(b) >= unix.SizeofCmsghdr {
		h, data, rest, err := unix.ParseOneSocketControlMessage(b)
		if err != nil {
			break
		}
		switch {
		case h.Level != unix.IPPROTO_IPV6:
		case h.Type == unix.IPV6_PKTINFO && len(data) >= 16:
			dst = netip.AddrFrom16([16]byte(data[:16]))
		case h.Type == unix.IPV6_HOPLIMIT && len(data) >= 4:
			hops = uint8(*(*int32)(unsafe.Pointer(&data[0])))
		}
		b = rest
	}
	return dst, hops
}
