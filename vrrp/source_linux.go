// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// source is the address that adverts are sent from: as configured, or the first of the interface that is not virtual; over
// IPv6 the first link-local one (RFC 9568 section 5.1.2.1).
func (n *Network) source(c Config, index int) (netip.Addr, error) {
	want := c.Source
	if c.Unicast.Enabled() {
		want = c.Unicast.Source
	}
	there, err := n.list(&netlink.Dummy{LinkAttrs: netlink.LinkAttrs{Index: index}})
	if err != nil {
		return netip.Addr{}, fmt.Errorf("list addresses of %s: %w", c.Interface, err)
	}
	var unusable error
	for _, a := range there {
		addr := toPrefix(*a.IPNet).Addr()
		if addr != want && (want.IsValid() || !n.natural(c, addr)) {
			continue
		}
		err := detected(c, a.Flags, addr)
		if err == nil {
			return addr, nil
		}
		unusable = err
	}
	switch {
	case unusable != nil:
		return netip.Addr{}, unusable
	case want.IsValid():
		return netip.Addr{}, fmt.Errorf("interface %s does not have the source address %v", c.Interface, want)
	case c.Family6():
		return netip.Addr{}, fmt.Errorf("interface %s has no IPv6 link-local address of its own to send adverts from", c.Interface)
	}
	return netip.Addr{}, fmt.Errorf("interface %s has no IPv4 address of its own to send adverts from", c.Interface)
}

// natural reports whether adverts may be sent from an address that nobody has named.
func (n *Network) natural(c Config, a netip.Addr) bool {
	if n.isVirtual(c, a) || a.Is6() != c.Family6() {
		return false
	}
	return a.Is4() || a.IsLinkLocalUnicast()
}

// detected says why the kernel would not send from an IPv6 address. It is asked again when the address changes.
func detected(c Config, flags int, a netip.Addr) error {
	switch {
	case flags&unix.IFA_F_DADFAILED != 0:
		return fmt.Errorf("another machine has the address %v of interface %s: duplicate address detection failed", a, c.Interface)
	case flags&unix.IFA_F_TENTATIVE != 0 && flags&unix.IFA_F_OPTIMISTIC == 0:
		return fmt.Errorf("the address %v of interface %s is tentative: %w", a, c.Interface, errNotYet)
	}
	return nil
}

// isVirtual reports whether an address is one that moves: of this virtual router, or one that another has installed.
func (n *Network) isVirtual(c Config, a netip.Addr) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.virtual[a] || slices.ContainsFunc(c.All(), func(v Address) bool { return v.Prefix.Addr() == a })
}

// IsVirtual reports whether a virtual router of this process has installed an address, or is about to. Watch tells of each
// change.
func (n *Network) IsVirtual(a netip.Addr) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.virtual[a]
}
