// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/hashicorp/hcl/v2"
	"github.com/holdfast-lb/holdfast/vrrp"
)

// addresses builds what moves with the role of a virtual router.
func (b *builder) addresses(raw *rawVirtualRouter, c *vrrp.Config) {
	device := read(b, raw.AddressDevice, "", orEmpty(matching(parseInterface)))
	list, ok := readList(b, raw.Addresses, matching(parseVirtualAddress))
	if n := len(list); raw.Addresses != nil && ok && (n == 0 || n > 255) {
		b.invalid("addresses", raw.Addresses.Expr.Range(), fmt.Errorf("takes 1 to 255 addresses, not %d", n))
	}
	b.oneFamily(list, ok)
	if device == "" {
		device = c.Interface
		if c.VMAC && len(list) > 0 {
			device = vrrp.VMACDevice(c.Interface, c.ID, list[0].value.Prefix.Addr().Is6())
		}
	}
	c.Addresses = b.virtualAddresses(raw.Name, list, device)
	excluded, _ := readList(b, raw.ExcludedAddresses, matching(parseVirtualAddress))
	c.Excluded = b.virtualAddresses(raw.Name, excluded, device)
}

// oneFamily reports what an advert could not carry.
func (b *builder) oneFamily(list []located[vrrp.Address], whole bool) {
	for i, a := range list {
		addr, first := a.value.Prefix.Addr(), list[0].value.Prefix.Addr()
		if addr.Is4() != first.Is4() {
			b.invalid("addresses", a.at, fmt.Errorf(
				"takes addresses of one family: move %s to excluded_addresses, or give it a virtual_router of its own", addr))
		} else if i == 0 && whole && addr.Is6() && !addr.IsLinkLocalUnicast() {
			b.invalid("addresses", a.at, fmt.Errorf(
				`begins with a link-local address for IPv6 (RFC 9568 5.2.9): write one such as "fe80::100/64" before %s`, addr))
		}
	}
}

// virtualAddresses fills in the device, and claims the addresses for a virtual router.
func (b *builder) virtualAddresses(router string, list []located[vrrp.Address], device string) []vrrp.Address {
	var out []vrrp.Address
	for _, a := range list {
		if a.value.Device == "" {
			a.value.Device = device
		}
		addr, scope := a.value.Prefix.Addr(), ""
		if addr.IsLinkLocalUnicast() && addr.Is6() {
			scope = a.value.Device // each link has its own
		}
		b.unique("virtual address", scope, addr.String(), a.at)
		b.carried[addr] = router
		out = append(out, a.value)
	}
	return out
}

// sources reads where adverts come from and, without multicast, whom they go to.
func (b *builder) sources(raw *rawVirtualRouter, c *vrrp.Config) {
	c.Source = read(b, raw.Source, netip.Addr{}, orEmpty(matching(parseAddr)))
	if raw.Unicast != nil {
		c.Unicast = b.unicast(raw.Unicast, *c)
		if c.Source.IsValid() {
			b.fail(raw.Source.Expr.Range(), "Two sources", "source is for multicast; with unicast, its source is used.")
		}
	}
	if !c.Source.IsValid() {
		return
	}
	at := raw.Source.Expr.Range()
	b.sender("source", c.Source, *c, at)
	if c.Family6() && c.Source.Is6() && !c.Source.IsLinkLocalUnicast() {
		b.invalid("source", at, errors.New("takes a link-local address for IPv6 (RFC 9568 5.1.2.1)"))
	}
}

// sender refuses an address that adverts of a virtual router cannot come from: one of another family, or one that moves
// between the directors.
func (b *builder) sender(name string, a netip.Addr, c vrrp.Config, at hcl.Range) {
	if !a.IsValid() {
		return // reported there
	}
	if len(c.Addresses) > 0 && a.Is6() != c.Family6() {
		b.invalid(name, at, fmt.Errorf("takes an %s address, as the virtual router's addresses are", family(c.Family6())))
		return
	}
	for _, v := range c.All() {
		if v.Prefix.Addr() == a {
			b.invalid(name, at, fmt.Errorf("takes an address that stays on its director; %s is a virtual address", a))
			return
		}
	}
}

func (b *builder) unicast(raw *rawUnicast, c vrrp.Config) vrrp.Unicast {
	b.require(raw.Range, "source", raw.Source)
	b.require(raw.Range, "peers", raw.Peers)
	ttl := whole(1, 255)
	u := vrrp.Unicast{
		Source: read(b, raw.Source, netip.Addr{}, matching(parseAddr)),
		TTL:    uint8(read(b, raw.TTL, 255, ttl)),
		MinTTL: uint8(read(b, raw.MinTTL, 255, ttl)),
	}
	if raw.Source != nil {
		b.sender("source", u.Source, c, raw.Source.Expr.Range())
	}
	peers, ok := readList(b, raw.Peers, matching(parseAddr))
	if raw.Peers != nil && ok && len(peers) == 0 {
		b.invalid("peers", raw.Peers.Expr.Range(), errors.New("takes at least one address"))
	}
	for _, p := range peers {
		if p.value == u.Source {
			b.invalid("peers", p.at, errors.New("takes the other directors' addresses, not the source itself"))
		}
		b.unique("peer", identity(raw), p.value.String(), p.at)
		b.sender("peers", p.value, c, p.at)
		u.Peers = append(u.Peers, p.value)
	}
	if u.TTL != 0 && u.TTL < u.MinTTL {
		b.warn(orRange(raw.TTL, raw.Range), "Adverts that a peer would refuse", fmt.Sprintf(
			"ttl %d is below min_ttl %d: a peer with the same settings refuses what this director sends.", u.TTL, u.MinTTL))
	}
	return u
}

// orRange is where an attribute's value stands, or the block that lacks it.
func orRange(a *hcl.Attribute, block hcl.Range) hcl.Range {
	if a == nil {
		return block
	}
	return a.Expr.Range()
}
