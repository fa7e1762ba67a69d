// SPDX-License-Identifier: Apache-2.0

package checker

import (
	"context"
	"net"
	"net/netip"
)

// dial connects to the target of a check over TCP, from its source.
func dial(ctx context.Context, c *Config) (net.Conn, error) {
	// Not DialTCP: that always binds before it connects, and then all targets share one range of local ports.
	d := net.Dialer{KeepAlive: -1}
	if c.Source.IsValid() {
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(c.Source, 0))
		d.Control = portLater
	}
	return d.DialContext(ctx, "tcp", c.Target.String())
}

// abort closes a connection with RST, so that no local port stays behind in TIME_WAIT.
func abort(c net.Conn) {
	_ = c.(*net.TCPConn).SetLinger(0)
	_ = c.Close()
}
