// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"fmt"
	"hash/crc32"
	"net"
)

// VirtualMAC is the hardware address of a virtual router, RFC 9568 section 7.3.
func VirtualMAC(id uint8, family6 bool) net.HardwareAddr {
	family := byte(1)
	if family6 {
		family = 2
	}
	return net.HardwareAddr{0, 0, 0x5e, 0, family, id}
}

// VMACDevice is the name of the macvlan of a virtual router that owns its virtual MAC address. It is always the same, so
// that what an earlier run has left is found, and fits the kernel's 15 characters.
func VMACDevice(iface string, id uint8, family6 bool) string {
	family := 4
	if family6 {
		family = 6
	}
	return fmt.Sprintf("vr%d-%d-%04x", family, id, uint16(crc32.ChecksumIEEE([]byte(iface))))
}
