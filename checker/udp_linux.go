// SPDX-License-Identifier: Apache-2.0

package checker

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// hearErrors lets a UDP socket hear of every ICMP error, for a net.Dialer. Without, that a host or a network is not reachable
// stays with the kernel, as it might pass (linux/net/ipv4/udp.c, __udp4_lib_err).
func hearErrors(network, _ string, c syscall.RawConn) (err error) {
	level, option := unix.SOL_IP, unix.IP_RECVERR
	if network == "udp6" {
		level, option = unix.SOL_IPV6, unix.IPV6_RECVERR
	}
	if cerr := c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), level, option, 1) }); cerr != nil {
		return cerr
	}
	return err
}
