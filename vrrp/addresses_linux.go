// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// presence is whether a link has an address.
type presence uint8

const (
	absent    presence = iota
	tentative          // not usable, because the kernel still looks for duplicates, or has found one
	installed
)

// present is the presence of an address that a link has.
func present(flags int) presence {
	if flags&(unix.IFA_F_TENTATIVE|unix.IFA_F_DADFAILED) != 0 {
		return tentative
	}
	return installed
}

// put notes whether an address is there. The caller holds the lock.
func (n *Network) put(index int, p netip.Prefix, is presence) (changed bool) {
	on := n.addresses[index]
	if on == nil {
		on = make(map[netip.Prefix]presence)
		n.addresses[index] = on
	}
	changed = on[p] != is
	on[p] = is
	if is == absent {
		delete(on, p)
	}
	if len(on) == 0 {
		delete(n.addresses, index) // of a link that may be gone
	}
	return changed
}

// Missing implements Host. What is on the macvlan of a virtual MAC address is of no use while that is down.
func (n *Network) Missing(addresses []Address) []Address {
	n.mu.Lock()
	defer n.mu.Unlock()
	var missing []Address
	for _, a := range addresses {
		l, ok := n.links[a.Device]
		_, vmac := n.vmacs[a.Device]
		if !ok || n.addresses[l.index][a.Prefix] != installed || vmac && !l.admin {
			missing = append(missing, a)
		}
	}
	return missing
}

// Lease implements Host.
func (n *Network) Lease(addresses []Address) time.Duration {
	there, err := n.list(nil)
	if err != nil {
		return 0
	}
	type place struct {
		index  int
		prefix netip.Prefix
	}
	left := make(map[place]time.Duration, len(there))
	for _, t := range there {
		left[place{t.LinkIndex, toPrefix(*t.IPNet)}] = lifetime(t.ValidLft)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	least := time.Duration(math.MaxInt64)
	for _, a := range addresses {
		least = min(least, left[place{n.links[a.Device].index, a.Prefix}])
	}
	return least
}

// lifetime converts the kernel's valid_lft, whose largest value means for ever.
func lifetime(seconds int) time.Duration {
	if uint32(seconds) == math.MaxUint32 {
		return math.MaxInt64
	}
	return time.Duration(seconds) * time.Second
}

// change is one message about an address, and what it brings.
type change struct {
	address Address
	index   int
	is      presence
	message message
}

// Hold implements Host. What can be installed is, whatever becomes of the rest.
func (n *Network) Hold(addresses []Address, lease time.Duration) error {
	for _, a := range addresses {
		n.setVirtual(a, true)
	}
	var errs []error
	var batch []change
	for _, a := range addresses {
		index, err := n.ready(a)
		if err != nil {
			errs = append(errs, fmt.Errorf("add address %v: %w", a, err))
			continue
		}
		flags, was := n.flags(index, a.Prefix)
		if was == tentative { // nothing but a new address ends the kernel's doubts
			batch = append(batch, change{a, index, absent, addressMessage(unix.RTM_DELADDR, index, a.Prefix, 0, 0)})
		}
		m := addressMessage(unix.RTM_NEWADDR, index, a.Prefix, flags, lease)
		m.flags = unix.NLM_F_CREATE | unix.NLM_F_REPLACE
		batch = append(batch, change{a, index, installed, m})
	}
	for i, err := range n.apply(batch) {
		if err != nil {
			errs = append(errs, fmt.Errorf("add address %v: %w", batch[i].address, err))
		} else if c := batch[i]; c.is == installed {
			n.mu.Lock()
			n.places[c.address] = c.index
			n.mu.Unlock()
		}
	}
	return errors.Join(errs...)
}

// ready prepares the link of an address for it.
func (n *Network) ready(a Address) (index int, err error) {
	if err := n.liftVMAC(a.Device); err != nil {
		return 0, err
	}
	n.mu.Lock()
	l, ok := n.links[a.Device]
	n.mu.Unlock()
	if !ok {
		return 0, fmt.Errorf("interface %s does not exist", a.Device)
	}
	if a.Prefix.Addr().Is4() && a.Prefix.Bits() < 32 {
		// Others that the kernel has made our secondaries would go when we do.
		if err := n.settings.want(l.index, promoteSecondaries, 1, a.String()); err != nil {
			return 0, err
		}
	}
	return l.index, nil
}

// flags is what an IPv6 address is added with: it is known to be nobody else's, and leaves the route of its prefix alone
// if an address of the host's own has made that.
func (n *Network) flags(index int, p netip.Prefix) (flags uint32, was presence) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if p.Addr().Is4() {
		return 0, absent
	}
	flags = unix.IFA_F_NODAD
	if !p.IsSingleIP() {
		for q := range n.addresses[index] {
			if q.Masked() == p.Masked() && !n.virtual[q.Addr()] {
				flags |= unix.IFA_F_NOPREFIXROUTE
			}
		}
	}
	return flags, n.addresses[index][p]
}

// Release implements Host. An address that is gone already is as it should be.
func (n *Network) Release(addresses []Address) error {
	var errs []error
	var batch []change
	for _, a := range addresses {
		n.setVirtual(a, false)
		for _, index := range n.on(a) {
			batch = append(batch, change{a, index, absent, addressMessage(unix.RTM_DELADDR, index, a.Prefix, 0, 0)})
		}
	}
	left := make(map[Address]bool)
	for i, err := range n.apply(batch) {
		if err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) && !errors.Is(err, unix.ENODEV) {
			errs = append(errs, fmt.Errorf("delete address %v: %w", batch[i].address, err))
			left[batch[i].address] = true
		}
	}
	for _, a := range addresses {
		if !left[a] {
			errs = append(errs, n.settings.drop(a.String()))
		}
	}
	errs = append(errs, n.restVMACs(addresses))
	return errors.Join(errs...)
}

// on returns the links that have an address: its device, and the link that Hold has put it on, which may have been renamed
// since.
func (n *Network) on(a Address) (indices []int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	device := n.links[a.Device].index
	if n.addresses[device][a.Prefix] != absent {
		indices = append(indices, device)
	}
	if place := n.places[a]; place != device && n.addresses[place][a.Prefix] != absent {
		indices = append(indices, place)
	}
	delete(n.places, a)
	return indices
}

// setVirtual notes that an address is no router's own, or may be again.
func (n *Network) setVirtual(a Address, is bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if is {
		n.virtual[a.Prefix.Addr()] = true
	} else {
		delete(n.virtual, a.Prefix.Addr())
	}
}

// apply notes what changes are going to bring before it makes them: events of what others do after it then come after
// it here, too. It returns how each ended.
func (n *Network) apply(batch []change) []error {
	if len(batch) == 0 {
		return nil
	}
	was, messages := make([]presence, len(batch)), make([]message, len(batch))
	n.mu.Lock()
	for i, c := range batch {
		was[i], messages[i] = n.addresses[c.index][c.address.Prefix], c.message
		n.put(c.index, c.address.Prefix, c.is)
	}
	n.mu.Unlock()
	errs := n.rtnl.change(messages)
	removed := false
	n.mu.Lock()
	for i, c := range slices.Backward(batch) {
		if errs[i] != nil {
			n.put(c.index, c.address.Prefix, was[i])
		}
		removed = removed || errs[i] == nil && c.is == absent
	}
	n.mu.Unlock()
	if removed {
		n.tell() // another virtual router of this process may want it
	}
	return errs
}

// addressMessage adds or removes an address: a struct ifaddrmsg and attributes, linux/if_addr.h.
func addressMessage(kind uint16, index int, p netip.Prefix, flags uint32, lease time.Duration) message {
	addr := p.Addr()
	fixed := []byte{unix.AF_INET, byte(p.Bits()), 0, unix.RT_SCOPE_UNIVERSE}
	if addr.Is6() {
		fixed[0] = unix.AF_INET6
	}
	fixed = binary.NativeEndian.AppendUint32(fixed, uint32(index))
	return message{kind: kind, body: attributes(fixed, func(e *netlink.AttributeEncoder) {
		e.Bytes(unix.IFA_LOCAL, addr.AsSlice())
		e.Bytes(unix.IFA_ADDRESS, addr.AsSlice())
		if addr.Is4() && p.Bits() < 31 {
			e.Bytes(unix.IFA_BROADCAST, broadcast(p))
		}
		if flags != 0 {
			e.Uint32(unix.IFA_FLAGS, flags)
		}
		if kind == unix.RTM_NEWADDR {
			e.Bytes(unix.IFA_CACHEINFO, lifetimes(p, lease))
		}
	})}
}

// lifetimes is a struct ifa_cacheinfo. An IPv6 host address is deprecated from the start, so that no connection of our
// own has it as its source (RFC 6724 section 5, rule 3): it would break with the next failover.
func lifetimes(p netip.Prefix, lease time.Duration) []byte {
	valid := uint32(math.MaxUint32)
	if lease > 0 {
		valid = uint32(lease / time.Second)
	}
	preferred := valid
	if p.Addr().Is6() && p.IsSingleIP() {
		preferred = 0
	}
	b := binary.NativeEndian.AppendUint32(nil, preferred)
	b = binary.NativeEndian.AppendUint32(b, valid)
	return append(b, make([]byte, 8)...) // when it was made and changed, which the kernel says
}

func broadcast(p netip.Prefix) []byte {
	b := p.Addr().As4()
	host := uint32(math.MaxUint32) >> p.Bits()
	return binary.BigEndian.AppendUint32(nil, binary.BigEndian.Uint32(b[:])|host)
}
