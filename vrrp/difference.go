// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"net/netip"
	"slices"
	"time"
)

// difference is a set of what a peer does otherwise than we, and is heard nonetheless.
type difference uint8

const (
	otherChecksum difference = 1 << iota
	otherInterval
	otherAddresses
	otherOwner
	differences = iota
)

func (d difference) String() string {
	switch d {
	case otherChecksum:
		return "computation of checksums"
	case otherInterval:
		return "advertise interval"
	case otherAddresses:
		return "list of addresses"
	case otherOwner:
		return "owner of the addresses"
	}
	return "invalid"
}

// differs compares an advert with what we would send.
func differs(a *Advert, c *Config) (d difference) {
	if a.Version == 3 && !c.Family6() && a.Checksum != c.Checksum {
		d |= otherChecksum
	}
	if a.Interval != c.Interval { // version 3 only: in version 2 it is refused
		d |= otherInterval
	}
	if !sameAddresses(a.Addresses, c.Addresses) {
		d |= otherAddresses
	}
	if a.Priority == ownerPrio && c.Priority == ownerPrio {
		d |= otherOwner
	}
	return d
}

// sameAddresses compares without regard to the order, which is most often the same.
func sameAddresses(theirs []netip.Addr, ours []Address) bool {
	if len(theirs) != len(ours) {
		return false
	}
	for n, a := range ours {
		if theirs[n] != a.Prefix.Addr() && !slices.Contains(theirs, a.Prefix.Addr()) {
			return false
		}
	}
	return true
}

// note counts the advert in i.rx and remembers its sender. What is different there is told once for each peer, unless it
// ends and begins again.
func (i *Instance) note(from netip.Addr, now time.Time) {
	a, d := &i.rx.advert, differs(&i.rx.advert, &i.cfg)
	state := i.machine.state
	var news difference
	i.count(func(s *Status) {
		s.Received++
		if state == Master {
			s.OtherMasterSeen++
		}
		if d&otherAddresses != 0 {
			s.OtherAddresses++
		}
		p := s.hear(from, a, now)
		p.SameAddresses = d&otherAddresses == 0
		p.told &= d
		for bit := range differences {
			kind := difference(1 << bit)
			if d&^p.told&kind == 0 {
				continue
			}
			if _, ok := i.rx.ration(kind.String(), now); ok {
				p.told |= kind
				news |= kind
			}
		}
	})
	if news != 0 {
		i.tell(from, a, news)
	}
}

// tell logs what a peer does otherwise. RFC 9568 section 6.4.2 asks for it in the case of the interval.
func (i *Instance) tell(from netip.Addr, a *Advert, news difference) {
	for _, t := range []struct {
		kind         difference
		theirs, ours any
		hint         string
	}{
		{otherChecksum, a.Checksum, i.cfg.Checksum, "its adverts are understood; set checksum to what it can read"},
		{otherInterval, a.Interval, i.cfg.Interval, "a backup waits as its master says; set the same advertise_interval on both"},
		{otherAddresses, slices.Clone(a.Addresses), i.cfg.advert(0, nil).Addresses, "each moves its own list; give both the same"},
		{otherOwner, from, i.conn.Source(), "both have priority 255, and the higher address is master; only one can own the addresses: lower the other"},
	} {
		if news&t.kind != 0 {
			i.o.Log.Warn("peer differs", "in", t.kind.String(), "peer", from, "theirs", t.theirs, "ours", t.ours, "hint", t.hint)
		}
	}
}
