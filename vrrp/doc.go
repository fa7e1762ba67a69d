// SPDX-License-Identifier: Apache-2.0

// Package vrrp elects the master of a virtual router by VRRPv3 (RFC 9568) and keeps the virtual addresses with it.
//
// The codec ([Parse], [Advert.Append]), the election ([Machine]) and the schedule of announcements ([Schedule]) are pure:
// functions of values, with time as an argument. An [Instance] runs one Machine on a [Conn] and a [Host]; its adverts never
// wait for the addresses, which a goroutine of its own keeps. RFC 9568 says "active" for what this package and the field
// call master.
package vrrp
