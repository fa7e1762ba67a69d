// SPDX-License-Identifier: Apache-2.0

package checker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"regexp"
	"syscall"
	"time"
)

// dialUDP returns a socket that is connected to the target, so that ICMP errors come back on it.
func dialUDP(ctx context.Context, c *Config) (net.Conn, error) {
	d := net.Dialer{Control: hearErrors}
	if c.Source.IsValid() {
		d.LocalAddr = net.UDPAddrFromAddrPort(netip.AddrPortFrom(c.Source, 0))
	}
	return d.DialContext(ctx, "udp", c.Target.String())
}

// endWith makes the operations of conn fail with os.ErrDeadlineExceeded once ctx has ended: one mechanism for deadline
// and shutdown. The function that it returns takes that back.
func endWith(ctx context.Context, conn net.Conn) func() bool {
	return context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
}

// newUDP prepares a check; expect is Config.Expect, compiled. The datagram is sent once: what it does to the server when
// it comes twice is not ours to know.
//
// With expect one datagram of the answer has to match. Without, any datagram passes at once, and so does silence up to
// the deadline: only an ICMP error then tells of a dead server. One that a router or this host sends for a host that is off
// comes after 3 s, so a shorter timeout finds a port that is closed, but no host that is off.
func newUDP(c *Config, expect *regexp.Regexp) (Probe, error) {
	return func(ctx context.Context) Result {
		conn, err := dialUDP(ctx, c)
		if err != nil {
			return fault("connect", c.Target, err)
		}
		defer conn.Close()
		defer endWith(ctx, conn)()
		if _, err := conn.Write([]byte(c.Send)); err != nil {
			return fault("send to", c.Target, err)
		}
		var other error
		for range maxForeign {
			b, err := receiveDatagram(conn)
			silence := errors.Is(err, os.ErrDeadlineExceeded)
			switch {
			case errors.Is(err, syscall.EMSGSIZE):
				// A router has dropped it, as it wants smaller packets, which the kernel sees to from now on.
				_, _ = conn.Write([]byte(c.Send))
				continue
			case err != nil && silence && expect == nil:
				return Result{Detail: "no answer, and no ICMP error", silent: true}
			case err != nil && silence && other != nil:
				return failure(reasonAnswer, other)
			case err != nil:
				return fault("read answer of", c.Target, err)
			case expect == nil || matches(expect, b):
				return Result{Detail: fmt.Sprintf("answer of %d bytes", len(b))}
			}
			other = fmt.Errorf("answer does not match %q: %.64q", expect, b)
		}
		return failure(reasonAnswer, other)
	}, nil
}
