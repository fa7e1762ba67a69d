// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/holdfast-lb/holdfast/vrrp"
	"github.com/zclconf/go-cty/cty"
)

// The limits of an advertise interval (RFC 9568 5.2.7: 12 bits of centiseconds).
const (
	minAdvertise = 10 * time.Millisecond
	maxAdvertise = 4095 * minAdvertise
)

var arpFormats = []choice[vrrp.ARPFormat]{
	{word: "request", value: vrrp.ARPRequest}, {word: "reply", value: vrrp.ARPReply}, {word: "both", value: vrrp.ARPBoth},
}

// leaseAuto stands for a lease that is worked out from the interval.
const leaseAuto time.Duration = -1

func (b *builder) virtualRouter(raw *rawVirtualRouter) vrrp.Config {
	b.name("virtual_router", "", raw.Name, raw.NameRange)
	b.require(raw.Range, "interface", raw.Interface)
	b.require(raw.Range, "id", raw.ID)
	b.require(raw.Range, "addresses", raw.Addresses)
	read(b, raw.Version, 3, version)
	iface := matching(parseInterface)
	c := vrrp.Config{
		Name:          raw.Name,
		Interface:     read(b, raw.Interface, "", iface),
		Version:       3,
		ID:            uint8(read(b, raw.ID, 0, whole(1, 255))),
		Priority:      uint8(read(b, raw.Priority, 100, priority)),
		Interval:      read(b, raw.AdvertiseInterval, time.Second, duration(minAdvertise, maxAdvertise, minAdvertise)),
		Preempt:       read(b, raw.Preempt, true, boolean),
		StartupDelay:  read(b, raw.StartupDelay, 0, duration(0, time.Hour, 1)),
		Source:        read(b, raw.Source, netip.Addr{}, orEmpty(matching(parseAddr4))),
		Handover:      read(b, raw.Handover, true, boolean),
		Announcements: b.announcements(orNew(raw.GratuitousARP)),
	}
	if c.Interface != "" && c.ID != 0 {
		b.unique("id", "", fmt.Sprintf("id %d on %s for IPv4", c.ID, c.Interface), raw.ID.Expr.Range())
	}
	device := read(b, raw.AddressDevice, "", orEmpty(iface))
	if device == "" {
		device = c.Interface
	}
	c.Addresses = b.virtualAddresses(raw, device)
	c.Lease = b.lease(raw, c)
	if raw.Unicast != nil {
		c.Unicast = b.unicast(raw.Unicast, c.Addresses)
		if raw.Source != nil && c.Source.IsValid() {
			b.fail(raw.Source.Expr.Range(), "Two sources", "source is for multicast; with unicast, its source is used.")
		}
	}
	if raw.Source != nil {
		b.notVirtual("source", c.Source, c.Addresses, raw.Source.Expr.Range())
	}
	return c
}

func version(v cty.Value) (int, error) {
	if _, err := whole(2, 2)(v); err == nil {
		return 0, notYet("version = 2 (VRRPv2) is not supported yet.")
	}
	if _, err := whole(3, 3)(v); err != nil {
		return 0, fmt.Errorf("takes the number 3, not %s", show(v))
	}
	return 3, nil
}

func priority(v cty.Value) (int, error) {
	if n, err := whole(255, 255)(v); err == nil {
		return 0, notYet(fmt.Sprintf("priority = %d, the address owner's, is not supported yet.", n))
	}
	return whole(1, 254)(v)
}

func (b *builder) announcements(raw *rawGratuitousARP) vrrp.Announcements {
	return vrrp.Announcements{
		Burst:    read(b, raw.Burst, 5, whole(1, 100)),
		Repeat:   read(b, raw.Repeat, 5, whole(0, 100)),
		Delay:    read(b, raw.Delay, 5*time.Second, duration(0, time.Hour, 1)),
		Refresh:  read(b, raw.Refresh, time.Minute, orZero(duration(100*time.Millisecond, 24*time.Hour, 1))),
		Interval: read(b, raw.Interval, 0, duration(0, time.Second, 1)),
		Format:   read(b, raw.Format, vrrp.ARPRequest, oneOf(arpFormats)),
	}
}

// orZero lets a parser of durations with a lower limit accept zero, which means off.
func orZero(parse parser[time.Duration]) parser[time.Duration] {
	return func(v cty.Value) (time.Duration, error) {
		if d, err := duration(0, 0, 1)(v); err == nil {
			return d, nil
		}
		return parse(v)
	}
}

func (b *builder) virtualAddresses(raw *rawVirtualRouter, device string) []vrrp.Address {
	list, ok := readList(b, raw.Addresses, matching(parseVirtualAddress))
	if n := len(list); raw.Addresses != nil && ok && (n == 0 || n > 255) {
		b.invalid("addresses", raw.Addresses.Expr.Range(), fmt.Errorf("takes 1 to 255 addresses, not %d", n))
	}
	var out []vrrp.Address
	for _, a := range list {
		addr := a.value.Prefix.Addr()
		b.unique("virtual address", "", addr.String(), a.at)
		b.carried[addr] = raw.Name
		if a.value.Device == "" {
			a.value.Device = device
		}
		out = append(out, a.value)
	}
	return out
}

// lease works out for how long the kernel keeps the addresses when nobody renews them.
func (b *builder) lease(raw *rawVirtualRouter, c vrrp.Config) time.Duration {
	lease := read(b, raw.AddressLease, leaseAuto, parseLease)
	if lease == leaseAuto {
		auto := max(3*time.Second, 4*c.Interval+time.Second)
		return (auto + time.Second - 1).Truncate(time.Second)
	}
	if raw.AddressLease == nil || lease == 0 || c.Interval == 0 || c.Priority == 0 {
		return lease
	}
	at := raw.AddressLease.Expr.Range()
	masterDown := 3*c.Interval + time.Duration(256-int(c.Priority))*c.Interval/256 // RFC 9568 6.1
	if lease <= c.Interval {
		b.fail(at, "Invalid address_lease", fmt.Sprintf(
			"The lease is renewed with every advert, so it must be longer than advertise_interval (%s).", short(c.Interval)))
	} else if lease < masterDown {
		b.warn(at, "Short address_lease", fmt.Sprintf(
			"A starved master loses its addresses before a backup takes over, which waits for the master-down interval (%s).",
			short(masterDown.Round(time.Millisecond))))
	}
	return lease
}

func parseLease(v cty.Value) (time.Duration, error) {
	switch {
	case isText(v) && v.AsString() == "auto":
		return leaseAuto, nil
	case isText(v) && v.AsString() == "off":
		return 0, nil
	}
	d, err := duration(2*time.Second, time.Hour, time.Second)(v)
	if err != nil {
		err = fmt.Errorf(`%w; "auto" and "off" are the other choices`, err)
	}
	return d, err
}

func (b *builder) unicast(raw *rawUnicast, virtual []vrrp.Address) vrrp.Unicast {
	b.require(raw.Range, "source", raw.Source)
	b.require(raw.Range, "peers", raw.Peers)
	ttl := whole(1, 255)
	u := vrrp.Unicast{
		Source: read(b, raw.Source, netip.Addr{}, matching(parseAddr4)),
		TTL:    uint8(read(b, raw.TTL, 255, ttl)),
		MinTTL: uint8(read(b, raw.MinTTL, 255, ttl)),
	}
	if raw.Source != nil {
		b.notVirtual("source", u.Source, virtual, raw.Source.Expr.Range())
	}
	peers, ok := readList(b, raw.Peers, matching(parseAddr4))
	if raw.Peers != nil && ok && len(peers) == 0 {
		b.invalid("peers", raw.Peers.Expr.Range(), errors.New("takes at least one address"))
	}
	for _, p := range peers {
		if p.value == u.Source {
			b.invalid("peers", p.at, errors.New("takes the other directors' addresses, not the source itself"))
		}
		b.unique("peer", raw.Range.String(), p.value.String(), p.at)
		b.notVirtual("peers", p.value, virtual, p.at)
		u.Peers = append(u.Peers, p.value)
	}
	if u.TTL != 0 && u.TTL < u.MinTTL {
		b.warn(orRange(raw.TTL, raw.Range), "Adverts that a peer would refuse", fmt.Sprintf(
			"ttl %d is below min_ttl %d: a peer with the same settings refuses what this director sends.", u.TTL, u.MinTTL))
	}
	return u
}

// notVirtual refuses an address that moves between the directors where one that stays is needed.
func (b *builder) notVirtual(name string, a netip.Addr, virtual []vrrp.Address, at hcl.Range) {
	for _, v := range virtual {
		if v.Prefix.Addr() == a {
			b.invalid(name, at, fmt.Errorf("takes an address that stays on its director; %s is a virtual address", a))
			return
		}
	}
}

// orRange is where an attribute's value stands, or the block that lacks it.
func orRange(a *hcl.Attribute, block hcl.Range) hcl.Range {
	if a == nil {
		return block
	}
	return a.Expr.Range()
}
