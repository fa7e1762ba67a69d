// SPDX-License-Identifier: Apache-2.0

package checker

import (
	"context"
	"fmt"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// tunnel is a socket that sends packets to a server as IPVS wraps them, and hears of ICMP errors that come back.
type tunnel struct {
	config  Tunnel
	fd      int
	refused bool // the server's kernel does not take them
}

// dialTunnel opens the way through a tunnel to the target of a check. It ends with close.
func dialTunnel(c *Config) (*tunnel, error) {
	server := c.Target.Addr().Unmap()
	kind, protocol, port := unix.SOCK_RAW, c.Tunnel.protocol(server.Is6()), uint16(0)
	if protocol == 0 {
		kind, protocol, port = unix.SOCK_DGRAM, unix.IPPROTO_UDP, c.Tunnel.Port
	}
	family, sa, err := sockaddr(netip.AddrPortFrom(server, port))
	if err != nil {
		return nil, err
	}
	fd, err := unix.Socket(family, kind|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, protocol)
	if err != nil {
		return nil, fmt.Errorf("open socket: %w", err)
	}
	t := &tunnel{config: c.Tunnel, fd: fd}
	nothing := []unix.SockFilter{{Code: unix.BPF_RET}}
	program := unix.SockFprog{Len: 1, Filter: unsafe.SliceData(nothing)}
	err = unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &program)
	if err == nil && protocol == unix.IPPROTO_UDP && !c.Tunnel.Checksum {
		err = withoutChecksum(fd, family)
	}
	if err == nil {
		err = unix.Connect(fd, sa) // so that errors of this server alone come here
	}
	if err != nil {
		t.close()
		return nil, err
	}
	return t, nil
}

func withoutChecksum(fd, family int) error {
	if family == unix.AF_INET6 {
		return unix.SetsockoptInt(fd, unix.SOL_UDP, unix.UDP_NO_CHECK6_TX, 1)
	}
	return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_NO_CHECK, 1)
}

func (t *tunnel) close() { _ = unix.Close(t.fd) }

// send sends an IP packet.
func (t *tunnel) send(packet []byte) error {
	t.hear() // or what came back before would be the error of this one
	_, err := unix.SendmsgN(t.fd, t.config.wrap(packet), nil, nil, 0)
	if t.isRefusal(err) {
		return nil
	}
	return err
}

// hear takes what ICMP has said.
func (t *tunnel) hear() {
	if errno, err := unix.GetsockoptInt(t.fd, unix.SOL_SOCKET, unix.SO_ERROR); err == nil && errno != 0 {
		t.isRefusal(unix.Errno(errno))
	}
}

// isRefusal notes the errors that a kernel without such a tunnel makes: no port, no protocol, or in IPv6 no next header.
func (t *tunnel) isRefusal(err error) bool {
	is := err == unix.ECONNREFUSED || err == unix.ENOPROTOOPT || err == unix.EPROTO
	t.refused = t.refused || is
	return is
}

// openTunnel is open by way of a tunnel. The answer comes straight back.
func (p *pathCheck) openTunnel(ctx context.Context, w way) Result {
	c := p.config
	t, err := dialTunnel(c)
	if err == nil {
		defer t.close()
		_, err = p.wires.wire(wireKey{w.index, etherType(c.Service.Addr())})
	}
	if err != nil {
		return fault("connect by way of a client's packet to", c.Service, err)
	}
	res := p.connect(ctx, w, t.send)
	t.hear()
	p.refused = t.refused
	return res
}
