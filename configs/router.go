// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"fmt"
	"time"

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

var checksums = []choice[vrrp.Checksum]{{word: "pseudo", value: vrrp.Pseudo}, {word: "plain", value: vrrp.Plain}}

func (b *builder) virtualRouter(raw *rawVirtualRouter) vrrp.Config {
	b.name("virtual_router", "", raw.Name, raw.NameRange)
	b.require(raw.Range, "interface", raw.Interface)
	b.require(raw.Range, "id", raw.ID)
	b.require(raw.Range, "addresses", raw.Addresses)
	version := read(b, raw.Version, 3, whole(2, 3))
	c := vrrp.Config{
		Name:          raw.Name,
		Interface:     read(b, raw.Interface, "", matching(parseInterface)),
		Version:       uint8(version),
		ID:            uint8(read(b, raw.ID, 0, whole(1, 255))),
		Priority:      uint8(read(b, raw.Priority, 100, whole(1, ownerPriority))),
		Interval:      read(b, raw.AdvertiseInterval, time.Second, advertise(version)),
		Preempt:       read(b, raw.Preempt, true, boolean),
		PreemptDelay:  read(b, raw.PreemptDelay, 0, duration(0, time.Hour, 1)),
		StartupDelay:  read(b, raw.StartupDelay, 0, duration(0, time.Hour, 1)),
		Checksum:      read(b, raw.Checksum, vrrp.Pseudo, oneOf(checksums)),
		VMAC:          read(b, raw.UseVMAC, false, boolean),
		Handover:      read(b, raw.Handover, true, boolean),
		Announcements: b.announcements(orNew(raw.GratuitousARP)),
	}
	b.owner(raw, c.Priority)
	b.addresses(raw, &c)
	b.sources(raw, &c)
	c.Routes = b.virtualRoutes(raw, c)
	c.Lease = b.lease(raw, c)
	c.Password = vrrp.Secret(b.password(raw, c))
	if c.Version == 2 && c.Family6() {
		b.fail(raw.Version.Expr.Range(), "Invalid version", "VRRPv2 is for IPv4 only (RFC 3768): IPv6 takes version = 3.")
	}
	if c.Interface != "" && c.ID != 0 && len(c.Addresses) > 0 {
		b.unique("id", "", fmt.Sprintf("id %d on %s for %s", c.ID, c.Interface, family(c.Family6())), raw.ID.Expr.Range())
	}
	return c
}

// family is the name of an address family.
func family(six bool) string {
	if six {
		return "IPv6"
	}
	return "IPv4"
}

// ownerPriority is the priority of the router whose own the addresses are, RFC 9568 section 5.2.4.
const ownerPriority = 255

// advertise accepts the advertise intervals of a version of VRRP.
func advertise(version int) parser[time.Duration] {
	if version != 2 {
		return duration(minAdvertise, maxAdvertise, minAdvertise)
	}
	// RFC 3768 section 5.3.7: 8 bits of seconds.
	parse := duration(time.Second, 255*time.Second, time.Second)
	return func(v cty.Value) (time.Duration, error) {
		d, err := parse(v)
		if err != nil {
			err = fmt.Errorf("%w; VRRPv2 counts whole seconds", err)
		}
		return d, err
	}
}

// owner holds what a router says of itself against its priority.
func (b *builder) owner(raw *rawVirtualRouter, priority uint8) {
	found := len(b.diags)
	owner := read(b, raw.Owner, false, boolean)
	switch {
	case len(b.diags) > found || priority == 0:
	case owner && priority != ownerPriority:
		b.fail(raw.Owner.Expr.Range(), "Invalid owner",
			"An address owner has priority 255 and nobody else has (RFC 9568 5.2.4): write priority = 255 as well.")
	case !owner && priority == ownerPriority:
		b.fail(raw.Priority.Expr.Range(), "Invalid priority", "Priority 255 says that the addresses are this director's own, "+
			"which it holds whenever it runs: write owner = true as well if that is meant, or 254 or less.")
	}
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
	masterDown := masterDownInterval(c)
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

// masterDownInterval is how long a backup with the same settings waits for a silent master, RFC 9568 section 6.1.
func masterDownInterval(c vrrp.Config) time.Duration {
	unit := c.Interval
	if c.Version == 2 {
		unit = time.Second // RFC 3768 section 6.1
	}
	return 3*c.Interval + time.Duration(256-int(c.Priority))*unit/256
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
