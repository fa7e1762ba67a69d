// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/holdfast-lb/holdfast/vrrp"
)

// compareRouter compares both halves of a virtual router.
func compareRouter(a, b half) {
	if !compareWire(a, b) {
		return // it would mislead to say who wins
	}
	compareTimes(a, b)
	comparePriorities(a, b)
	compareAddresses(a, b)
	compareAddresses(b, a)
	for _, h := range [][2]half{{a, b}, {b, a}} {
		compareWeights(h[0], h[1])
	}
}

// deaf is the summary of an error for which both directors are master at the same time.
const deaf = "Directors that do not hear each other"

// at is where an attribute of a half stands, or the block without it.
func (h half) at(a *hcl.Attribute) hcl.Range { return orRange(a, h.raw.Range) }

// compareWire reports what makes each refuse the adverts of the other, and whether there is nothing of that kind.
func compareWire(a, b half) bool {
	found := len(a.diags) + len(b.diags)
	mismatch := func(x, y *hcl.Attribute, here, there string) {
		a.fail(a.at(x), deaf, fmt.Sprintf("%s here, %s at %s: each refuses the adverts of the other, and both are master.",
			here, there, place(b.at(y))))
	}
	if a.Version != b.Version {
		mismatch(a.raw.Version, b.raw.Version, fmt.Sprintf("Version %d", a.Version), fmt.Sprintf("version %d", b.Version))
		return false
	}
	if a.Version == 2 && a.Interval != b.Interval {
		// RFC 3768 section 7.1: an advert of another interval is discarded.
		mismatch(a.raw.AdvertiseInterval, b.raw.AdvertiseInterval,
			"VRRPv2 with advertise_interval "+short(a.Interval), short(b.Interval))
	}
	if a.Password != b.Password {
		a.fail(authRange(a), deaf, fmt.Sprintf(
			"The password differs from that at %s: each refuses the adverts of the other, and both are master.", place(authRange(b))))
	}
	if a.Unicast.Enabled() != b.Unicast.Enabled() {
		transport := map[bool]string{true: "unicast", false: "multicast"}
		a.fail(unicastRange(a), deaf, fmt.Sprintf("Adverts by %s here, by %s at %s: neither hears the other, and both are master.",
			transport[a.Unicast.Enabled()], transport[b.Unicast.Enabled()], place(unicastRange(b))))
	} else if a.Unicast.Enabled() && a.Unicast.Source == b.Unicast.Source {
		a.fail(a.raw.Unicast.Source.Expr.Range(), deaf, fmt.Sprintf("%s is also the source at %s: write each director's own address.",
			a.Unicast.Source, place(b.raw.Unicast.Source.Expr.Range())))
	} else if a.Unicast.Enabled() {
		compareUnicast(a, b)
		compareUnicast(b, a)
	} else if a.Source.IsValid() && a.Source == b.Source {
		a.fail(a.at(a.raw.Source), deaf, fmt.Sprintf("%s is also the source at %s: write each director's own address.",
			a.Source, place(b.at(b.raw.Source))))
	}
	return len(a.diags)+len(b.diags) == found
}

// authRange is where a half says its password, or where it would.
func authRange(h half) hcl.Range {
	if len(h.raw.Auth) == 0 {
		return h.raw.Range
	}
	return h.at(h.raw.Auth[0].Password)
}

func unicastRange(h half) hcl.Range {
	if h.raw.Unicast == nil {
		return h.raw.Range
	}
	return h.raw.Unicast.Range
}

// compareUnicast holds what a sends against what b takes.
func compareUnicast(a, b half) {
	if !slices.Contains(b.Unicast.Peers, a.Unicast.Source) {
		a.fail(a.raw.Unicast.Source.Expr.Range(), deaf, fmt.Sprintf("%s is not among the peers at %s (%s), which refuses its adverts.",
			a.Unicast.Source, place(b.raw.Unicast.Peers.Expr.Range()), enumerate(b.Unicast.Peers)))
	}
	if a.Unicast.TTL < b.Unicast.MinTTL {
		a.fail(orRange(a.raw.Unicast.TTL, a.raw.Unicast.Range), deaf, fmt.Sprintf(
			"ttl %d is below min_ttl %d at %s, which refuses the adverts.",
			a.Unicast.TTL, b.Unicast.MinTTL, place(orRange(b.raw.Unicast.MinTTL, b.raw.Unicast.Range))))
	}
}

// enumerate writes values one after the other.
func enumerate[T fmt.Stringer](values []T) string {
	var words []string
	for _, v := range values {
		words = append(words, v.String())
	}
	return strings.Join(words, ", ")
}

// compareTimes compares what may differ, but is hardly meant to.
func compareTimes(a, b half) {
	differ := func(x, y *hcl.Attribute, name, here, there, why string) {
		if here != there {
			a.warn(a.at(x), "Different "+name, fmt.Sprintf("%s is %s here and %s at %s: %s.", name, here, there, place(b.at(y)), why))
		}
	}
	differ(a.raw.AdvertiseInterval, b.raw.AdvertiseInterval, "advertise_interval", short(a.Interval), short(b.Interval),
		"how soon a failure is noticed depends on who is master")
	if a.Version == 3 && !a.Family6() {
		differ(a.raw.Checksum, b.raw.Checksum, "checksum", a.Checksum.String(), b.Checksum.String(),
			"both directors take both, other routers may not")
	}
	differ(a.raw.UseVMAC, b.raw.UseVMAC, "use_vmac", fmt.Sprint(a.VMAC), fmt.Sprint(b.VMAC),
		"the addresses change their MAC with each move")
}

func comparePriorities(a, b half) {
	if a.Priority != b.Priority {
		return
	}
	at, there := a.at(a.raw.Priority), place(b.at(b.raw.Priority))
	if a.Priority == ownerPriority {
		a.fail(at, "Two address owners", fmt.Sprintf(
			"Priority 255 is at %s too: both are master as soon as they run. Only one director owns the addresses, if any.", there))
		return
	}
	winner := "the one whose own address is higher"
	if x, y := ownAddress(a.Config), ownAddress(b.Config); x.IsValid() && y.IsValid() {
		winner = fmt.Sprintf("this one, whose address %s is higher,", x)
		if x.Less(y) {
			winner = fmt.Sprintf("the peer, whose address %s is higher,", y)
		}
	}
	a.warn(at, "Equal priorities", fmt.Sprintf("priority is %d at %s too: both wait equally long for a silent master, and if both "+
		"come to be master, %s stays (RFC 9568 6.4.3). Give the preferred director more.", a.Priority, there, winner))
}

// ownAddress is the address that adverts come from, if the configuration says.
func ownAddress(c vrrp.Config) netip.Addr {
	if c.Unicast.Enabled() {
		return c.Unicast.Source
	}
	return c.Source
}

// compareAddresses reports addresses and routes that b does not have, or has in another form.
func compareAddresses(a, b half) {
	missing := func(name string, x *hcl.Attribute, mine, theirs []vrrp.Address, y *hcl.Attribute) {
		var lack []netip.Prefix
		for _, m := range mine {
			if !slices.ContainsFunc(theirs, func(t vrrp.Address) bool { return t.Prefix == m.Prefix }) && !otherForm(a, x, m, b) {
				lack = append(lack, m.Prefix)
			}
		}
		if len(lack) > 0 {
			a.warn(a.at(x), "Different "+name, fmt.Sprintf(
				"%s at %s lacks %s: gone while that director is master.", name, place(b.at(y)), enumerate(lack)))
		}
	}
	missing("addresses", a.raw.Addresses, a.Addresses, b.Addresses, b.raw.Addresses)
	missing("excluded_addresses", a.raw.ExcludedAddresses, a.Excluded, b.Excluded, b.raw.ExcludedAddresses)
	for _, r := range a.Routes {
		if !slices.ContainsFunc(b.Routes, func(o vrrp.Route) bool { return routeKey(o) == routeKey(r) }) {
			a.warn(a.at(a.raw.VirtualRoutes), "Different virtual_routes", fmt.Sprintf(
				"virtual_routes at %s lacks %s: gone while that director is master.", place(b.at(b.raw.VirtualRoutes)), routeKey(r)))
		}
	}
}

// otherForm reports an address that the other director has with another prefix length or in the other list, once: by the
// half that carries it in its adverts, or else has the longer prefix.
func otherForm(a half, x *hcl.Attribute, m vrrp.Address, b half) bool {
	at := slices.IndexFunc(b.All(), func(t vrrp.Address) bool { return t.Prefix.Addr() == m.Prefix.Addr() })
	if at < 0 {
		return false
	}
	there := b.All()[at].Prefix
	carried, carriedThere := slices.Contains(a.Addresses, m), at < len(b.Addresses)
	switch {
	case carried && !carriedThere:
		a.warn(a.at(x), "Different addresses", fmt.Sprintf("%s is among excluded_addresses at %s: it moves, but only these adverts carry it.",
			m.Prefix, place(b.at(b.raw.ExcludedAddresses))))
	case carried == carriedThere && m.Prefix.Bits() > there.Bits():
		y := b.raw.Addresses
		if !carriedThere {
			y = b.raw.ExcludedAddresses
		}
		a.warn(a.at(x), "Different prefix length", fmt.Sprintf("%s is %s at %s.", m.Prefix, there, place(b.at(y))))
	}
	return true
}
