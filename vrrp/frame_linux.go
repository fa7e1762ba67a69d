// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// frameConn sends adverts from the virtual MAC address: whole frames, on the interface itself, so that it does not
// matter whether the macvlan is up, and in which mode it is.
type frameConn struct {
	f      *os.File
	rc     syscall.RawConn
	source netip.Addr
	mac    net.HardwareAddr
	to     unix.SockaddrLinklayer
	out    []byte
}

// openFrames opens a socket that only sends: its protocol is 0.
func openFrames(c Config, index int, source netip.Addr) (*frameConn, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PRIORITY, 6); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("set priority: %w", err)
	}
	f, rc, err := toFile(fd, "vrrp frames")
	if err != nil {
		return nil, err
	}
	ether := []byte{etherIPv4 >> 8, etherIPv4 & 0xff}
	if source.Is6() {
		ether = []byte{etherIPv6 >> 8, etherIPv6 & 0xff}
	}
	return &frameConn{
		f: f, rc: rc, source: source, mac: VirtualMAC(c.ID, source.Is6()),
		to: unix.SockaddrLinklayer{Protocol: binary.NativeEndian.Uint16(ether), Ifindex: index, Halen: 6},
	}, nil
}

func (c *frameConn) write(b []byte, group netip.Addr) error {
	c.out = appendFrame(c.out[:0], c.mac, c.source, group, b)
	copy(c.to.Addr[:], c.out[:6])
	var err error
	if cerr := c.rc.Control(func(fd uintptr) {
		err = unix.Sendto(int(fd), c.out, unix.MSG_DONTWAIT, &c.to)
	}); cerr != nil {
		return cerr
	}
	if err != nil {
		return fmt.Errorf("send advert to %v from %v: %w", group, c.mac, err)
	}
	return nil
}
