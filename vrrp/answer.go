// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"net/netip"
	"slices"
	"time"
)

// Answer is what a host has said: that it has an address.
type Answer struct {
	Address netip.Addr
	Device  string     // of ours, on which it was heard
	MAC     string     // its Ethernet address
	Host    netip.Addr // another address of it that the kernel here knows; zero: none
}

// heardLately is how long ago a router may have been heard to still count as a director that runs.
const heardLately = 2 * time.Minute

// Asked lists the IPv4 addresses to ask for, by device, to find out whether anybody but a director answers for those of
// a virtual router: its own, and those of the other directors, whose answers tell their Ethernet addresses.
func (s Status) Asked(now time.Time) map[string][]netip.Addr {
	ask := make(map[string][]netip.Addr)
	for _, a := range s.Config.All() {
		if a.Prefix.Addr().Is4() {
			ask[a.Device] = append(ask[a.Device], a.Prefix.Addr())
		}
	}
	for device := range ask {
		ask[device] = append(ask[device], s.others(now)...)
	}
	return ask
}

// others are the IPv4 addresses of the directors that were heard lately.
func (s Status) others(now time.Time) []netip.Addr {
	var list []netip.Addr
	for _, p := range s.Peers {
		if p.Address.Is4() && now.Sub(p.LastSeen) < heardLately {
			list = append(list, p.Address)
		}
	}
	return list
}

// Strangers are those of the answers to what Asked lists that no director has given. Where a director has been heard but
// has not told its Ethernet address, an answer may be its own, and counts as that.
func (s Status) Strangers(answers []Answer, now time.Time) []Answer {
	virtual := VirtualMAC(s.Config.ID, false).String()
	others := s.others(now)
	return slices.DeleteFunc(slices.Clone(answers), func(a Answer) bool {
		ours := slices.ContainsFunc(s.Config.All(), func(o Address) bool { return o.Device == a.Device && o.Prefix.Addr() == a.Address })
		return !ours || a.MAC == virtual || slices.ContainsFunc(others, func(o netip.Addr) bool { return mayBe(o, a, answers) })
	})
}

// mayBe reports whether an answer may be of the host that has an address.
func mayBe(host netip.Addr, a Answer, answers []Answer) bool {
	silent := true
	for _, b := range answers {
		if b.Address == host && b.Device == a.Device {
			if silent = false; b.MAC == a.MAC {
				return true
			}
		}
	}
	return silent
}
