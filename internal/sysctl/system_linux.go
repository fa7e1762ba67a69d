// SPDX-License-Identifier: Apache-2.0

package sysctl

import "net"

// system is the kernel's own tree: that of the network namespace of the thread that asks.
func system() files {
	return files{root: "/proc/sys", index: func(link string) int {
		i, err := net.InterfaceByName(link)
		if err != nil {
			return 0
		}
		return i.Index
	}}
}
