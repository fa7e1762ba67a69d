// SPDX-License-Identifier: Apache-2.0

package netlab

import (
	"fmt"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Frame is an Ethernet frame on a LAN, and when the kernel saw it.
type Frame struct {
	At   time.Time
	Data []byte // valid until the next one
}

const (
	protocolAll   = unix.ETH_P_ALL>>8 | unix.ETH_P_ALL<<8&0xff00 // in network byte order
	captureBuffer = 16 << 20                                     // bytes
)

// Capture calls f for every frame on the LAN, also those from one host to another, until stop, which waits for the last
// call.
func (l *LAN) Capture(f func(Frame)) (stop func() error, err error) {
	var fd int
	err = l.Do(func() (err error) {
		fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, protocolAll)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("capture on %s: %w", l.Name, err)
	}
	index := l.bridge.Attrs().Index
	for _, err := range []error{
		unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: protocolAll, Ifindex: index}),
		// The switch shows itself what goes from one port to another only while it is promiscuous.
		unix.SetsockoptPacketMreq(fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP, &unix.PacketMreq{
			Ifindex: int32(index), Type: unix.PACKET_MR_PROMISC,
		}),
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, captureBuffer),
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 50_000}),
	} {
		if err != nil {
			_ = unix.Close(fd)
			return nil, fmt.Errorf("capture on %s: %w", l.Name, err)
		}
	}
	quit, done := make(chan struct{}), make(chan error, 1)
	go func() {
		defer func() { _ = unix.Close(fd) }()
		done <- readFrames(fd, quit, f)
	}()
	return func() error {
		close(quit)
		if err := <-done; err != nil {
			return fmt.Errorf("capture on %s: %w", l.Name, err)
		}
		return nil
	}, nil
}

// readFrames reads until quit is closed.
func readFrames(fd int, quit <-chan struct{}, f func(Frame)) error {
	b, control := make([]byte, 2048), make([]byte, 64)
	for {
		select {
		case <-quit:
			return nil
		default:
		}
		n, controlLen, _, _, err := unix.Recvmsg(fd, b, control, 0)
		switch err {
		case nil:
			f(Frame{At: stamp(control[:controlLen]), Data: b[:n]})
		case unix.EAGAIN, unix.EINTR:
		default:
			return err
		}
	}
}

// stamp reads the kernel's time out of a control message.
func stamp(control []byte) time.Time {
	messages, err := unix.ParseSocketControlMessage(control)
	if err == nil {
		for _, m := range messages {
			if m.Header.Type == unix.SCM_TIMESTAMPNS && len(m.Data) >= int(unsafe.Sizeof(unix.Timespec{})) {
				ts := (*unix.Timespec)(unsafe.Pointer(unsafe.SliceData(m.Data)))
				return time.Unix(ts.Unix())
			}
		}
	}
	return time.Now()
}
