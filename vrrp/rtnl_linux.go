// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// rtnlBatch is how many changes go to the kernel at once: few enough that their answers fit the default buffer.
const rtnlBatch = 64

// rtnl is a socket for what the netlink library cannot do: many changes in one system call, and the IPv4 settings of a
// link. It stays in the namespace that it was opened in.
type rtnl struct {
	mu  sync.Mutex
	fd  int
	seq uint32
	buf [1 << 16]byte
}

// message is one request: its type and flags (those of every change are added), and what follows the header.
type message struct {
	kind, flags uint16
	body        []byte
}

func openRTNL() (*rtnl, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, err
	}
	timeout := unix.NsecToTimeval(netlinkTimeout.Nanoseconds())
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout); err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	return &rtnl{fd: fd}, nil
}

func (r *rtnl) close() { _ = unix.Close(r.fd) }

// change sends the messages, and returns how each of them ended.
func (r *rtnl) change(messages []message) []error {
	r.mu.Lock()
	defer r.mu.Unlock()
	errs := make([]error, len(messages))
	for from := 0; from < len(messages); from += rtnlBatch {
		to := min(from+rtnlBatch, len(messages))
		r.batch(messages[from:to], errs[from:to])
	}
	return errs
}

// batch sends some messages at once. What was not answered has not worked, as far as we know.
func (r *rtnl) batch(messages []message, errs []error) {
	first := r.seq + 1
	var out []byte
	for _, m := range messages {
		r.seq++
		out = m.append(out, r.seq, unix.NLM_F_ACK)
	}
	err := unix.Sendto(r.fd, out, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
	for left := len(messages); err == nil && left > 0; {
		err = r.receive(func(kind uint16, seq uint32, body []byte) {
			// An answer to what is not of this batch comes late.
			if n := seq - first; kind == unix.NLMSG_ERROR && n < uint32(len(messages)) && len(body) >= 4 {
				left--
				if errno := -int32(binary.NativeEndian.Uint32(body)); errno != 0 {
					errs[n] = unix.Errno(errno)
				}
				messages[n].kind = 0 // answered
			}
		})
	}
	for n := range messages {
		if err != nil && messages[n].kind != 0 {
			errs[n] = fmt.Errorf("rtnetlink: %w", err)
		}
	}
}

// ask sends a request and returns the message that answers it.
func (r *rtnl) ask(m message) (answer []byte, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seq++
	if err := unix.Sendto(r.fd, m.append(nil, r.seq, 0), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, err
	}
	for answer == nil {
		var failed error
		err := r.receive(func(kind uint16, seq uint32, body []byte) {
			switch {
			case seq != r.seq:
			case kind == unix.NLMSG_ERROR && len(body) >= 4:
				failed = unix.Errno(-int32(binary.NativeEndian.Uint32(body)))
			default:
				answer = append([]byte{}, body...)
			}
		})
		if err := errors.Join(err, failed); err != nil {
			return nil, err
		}
	}
	return answer, nil
}

// receive reads one datagram of the kernel and takes it apart.
func (r *rtnl) receive(each func(kind uint16, seq uint32, body []byte)) error {
	n, from, err := unix.Recvfrom(r.fd, r.buf[:], 0)
	if errors.Is(err, unix.EINTR) {
		return nil
	}
	if err != nil {
		return err
	}
	if kernel, ok := from.(*unix.SockaddrNetlink); !ok || kernel.Pid != 0 {
		return nil
	}
	split(r.buf[:n], each)
	return nil
}

// split takes a datagram apart. What follows a length that cannot be is left out.
func split(b []byte, each func(kind uint16, seq uint32, body []byte)) {
	for len(b) >= unix.NLMSG_HDRLEN {
		length := int(binary.NativeEndian.Uint32(b))
		if length < unix.NLMSG_HDRLEN || length > len(b) {
			break
		}
		each(binary.NativeEndian.Uint16(b[4:]), binary.NativeEndian.Uint32(b[8:]), b[unix.NLMSG_HDRLEN:length])
		b = b[min(align4(length), len(b)):]
	}
}

// append appends the message with its header, struct nlmsghdr.
func (m message) append(b []byte, seq uint32, flags uint16) []byte {
	b = binary.NativeEndian.AppendUint32(b, uint32(unix.NLMSG_HDRLEN+len(m.body)))
	b = binary.NativeEndian.AppendUint16(b, m.kind)
	b = binary.NativeEndian.AppendUint16(b, m.flags|flags|unix.NLM_F_REQUEST)
	b = binary.NativeEndian.AppendUint32(b, seq)
	b = binary.NativeEndian.AppendUint32(b, 0)
	b = append(b, m.body...)
	return append(b, make([]byte, align4(len(m.body))-len(m.body))...)
}

func align4(n int) int { return (n + 3) &^ 3 }

// attributes encodes what follows a message's fixed part. Encoding fails only for what is too long, which nothing here is.
func attributes(fixed []byte, fill func(*netlink.AttributeEncoder)) []byte {
	e := netlink.NewAttributeEncoder()
	fill(e)
	b, err := e.Encode()
	if err != nil {
		panic(err)
	}
	return append(fixed, b...)
}

// linkHeader is a struct ifinfomsg that names a link.
func linkHeader(index int) []byte {
	b := make([]byte, unix.SizeofIfInfomsg)
	binary.NativeEndian.PutUint32(b[4:], uint32(index))
	return b
}
