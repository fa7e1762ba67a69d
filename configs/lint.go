// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/holdfast-lb/holdfast/vrrp"
)

// lint warns of what is right word by word and yet cannot work, or not as it reads. It needs a configuration without
// errors.
func (b *builder) lint(raw *rawConfig) {
	for i, r := range raw.VirtualRouters {
		c := b.cfg.VirtualRouters[i]
		b.lintWeights(r, c)
		b.lintPreempt(r, c)
		b.lintFamily(r, c)
		for j, o := range b.cfg.VirtualRouters[:i] {
			if where := meet(o, c); where != "" {
				b.warn(r.ID.Expr.Range(), "Same id on one network", fmt.Sprintf(
					"virtual_router %q on %s has id %d too, and %s: each would take the adverts of the other for those of a peer.",
					raw.VirtualRouters[j].Name, o.Interface, o.ID, where))
			}
		}
	}
	b.lintGroups(raw)
}

// noEffect is the summary of a warning of what changes nothing.
const noEffect = "No effect"

// lintWeights warns of weights that cannot change who is master, or not by as much as they say. What a file adds is not
// known before it is read.
func (b *builder) lintWeights(raw *rawVirtualRouter, c vrrp.Config) {
	healthy := int(c.Priority)
	for _, w := range b.weights[raw.Name] {
		if w.value > 0 && w.kind != trackFile {
			healthy += w.value
		}
	}
	for _, w := range b.weights[raw.Name] {
		switch {
		case w.value == 0:
		case c.Priority == ownerPriority:
			b.warn(w.at, noEffect, "Trackers do not change the priority of an address owner, 255. With weight = 0, failure is a fault.")
		case !c.Preempt:
			if !b.paired { // perhaps the other director preempts
				b.warnNoPreempt(w)
			}
		case w.kind != trackFile:
			b.lintClamp(w, healthy)
		}
	}
}

// warnNoPreempt warns of a weight where no director preempts.
func (b *builder) warnNoPreempt(w weight) {
	b.warn(w.at, noEffect, fmt.Sprintf("With preempt = false nobody takes over from a master whose adverts are heard, "+
		"however low its priority: weight %d does not move the addresses. With weight = 0, failure is a fault, which does.", w.value))
}

// lintClamp warns of a weight of which a part is lost, because a priority is from 1 to 254. One of 254 or -254 says that
// this is meant.
func (b *builder) lintClamp(w weight, healthy int) {
	failed := healthy - abs(w.value)
	effect := clamp(healthy) - clamp(failed)
	switch {
	case effect == 0:
		b.warn(w.at, noEffect, fmt.Sprintf(
			"While all else is well the priority is %d with and without weight %d: it stays from 1 to 254.", clamp(healthy), w.value))
	case effect < abs(w.value) && abs(w.value) < maxWeight:
		sum := failed
		if healthy > maxWeight {
			sum = healthy
		}
		b.warn(w.at, "Weight partly lost", fmt.Sprintf(
			"The priority would be %d, but stays from 1 to 254: of weight %d only %d count.", sum, w.value, effect))
	}
}

// clamp keeps a priority within what a router that owns no addresses may have, RFC 9568 section 5.2.4.
func clamp(priority int) int { return min(max(priority, 1), maxWeight) }

// lintPreempt warns of settings of preemption that contradict each other.
func (b *builder) lintPreempt(raw *rawVirtualRouter, c vrrp.Config) {
	switch {
	case c.Priority == ownerPriority && !c.Preempt:
		b.warn(raw.Preempt.Expr.Range(), noEffect, "An address owner always preempts (RFC 9568 6.1).")
	case c.Priority == ownerPriority && c.PreemptDelay > 0:
		b.warn(raw.PreemptDelay.Expr.Range(), "Hardly an effect",
			"An address owner is master as soon as it runs (RFC 9568 6.4.1): preempt_delay is for the others.")
	case !c.Preempt && c.PreemptDelay > 0:
		b.warn(raw.PreemptDelay.Expr.Range(), noEffect, "With preempt = false there is nothing to delay: remove one of both.")
	}
}

// lintFamily warns of what the version or the address family does without.
func (b *builder) lintFamily(raw *rawVirtualRouter, c vrrp.Config) {
	if c.Checksum == vrrp.Plain && (c.Family6() || c.Version == 2) {
		b.warn(raw.Checksum.Expr.Range(), noEffect, "Only VRRPv3 over IPv4 knows two checksums.")
	}
	format := orNew(raw.GratuitousARP).Format
	if format == nil {
		return
	}
	for _, a := range c.All() {
		if a.Prefix.Addr().Is4() {
			return
		}
	}
	b.warn(format.Expr.Range(), noEffect,
		"format is for ARP; IPv6 addresses are announced by neighbour advertisements, which have one form.")
}

// meet says where two virtual routers with one id would hear each other, as far as a configuration shows it; empty: it
// does not. That two on one interface have one id is an error elsewhere.
func meet(a, b vrrp.Config) string {
	if a.ID != b.ID || a.Family6() != b.Family6() || a.Interface == b.Interface || a.Unicast.Enabled() != b.Unicast.Enabled() {
		return ""
	}
	for _, p := range a.Unicast.Peers {
		if slices.Contains(b.Unicast.Peers, p) {
			return fmt.Sprintf("both have the peer %s", p)
		}
	}
	if a.Unicast.Enabled() {
		return ""
	}
	for _, p := range networks(a) {
		for _, q := range networks(b) {
			if p.Overlaps(q) {
				return fmt.Sprintf("%s and %s are in one network", p, q)
			}
		}
	}
	return ""
}

// networks returns what the virtual addresses tell of the network of a virtual router's interface.
func networks(c vrrp.Config) []netip.Prefix {
	var list []netip.Prefix
	for _, a := range c.Addresses {
		here := a.Device == c.Interface || a.Device == vrrp.VMACDevice(c.Interface, c.ID, c.Family6())
		if here && !a.Prefix.IsSingleIP() && !a.Prefix.Addr().IsLinkLocalUnicast() {
			list = append(list, a.Prefix)
		}
	}
	return list
}

// lintGroups warns of members of one sync group that do not come to be master together.
func (b *builder) lintGroups(raw *rawConfig) {
	for _, g := range b.cfg.SyncGroups {
		first := b.router(g.Members[0])
		for _, name := range g.Members[1:] {
			b.lintMember(g, raw.VirtualRouters[b.router(name)], b.cfg.VirtualRouters[b.router(name)], b.cfg.VirtualRouters[first])
		}
		for _, name := range g.Members {
			b.lintShared(g, name)
		}
	}
}

// router returns the index of a virtual router that exists.
func (b *builder) router(name string) int {
	return slices.IndexFunc(b.cfg.VirtualRouters, func(c vrrp.Config) bool { return c.Name == name })
}

// lintMember compares a member of a sync group with the first one.
func (b *builder) lintMember(g SyncGroup, raw *rawVirtualRouter, c, first vrrp.Config) {
	differs := func(a *hcl.Attribute, name, here, there, why string) {
		if here != there {
			b.warn(orRange(a, raw.Range), "Members that disagree", fmt.Sprintf(
				"%s is %s here and %s in %q, of the same sync_group %q: %s.", name, here, there, first.Name, g.Name, why))
		}
	}
	differs(raw.Priority, "priority", fmt.Sprint(c.Priority), fmt.Sprint(first.Priority),
		"the group is master only where each of its members would be")
	differs(raw.Preempt, "preempt", fmt.Sprint(c.Preempt), fmt.Sprint(first.Preempt),
		"the group preempts only if all of its members do")
	if c.Preempt && first.Preempt {
		differs(raw.PreemptDelay, "preempt_delay", short(c.PreemptDelay), short(first.PreemptDelay),
			"the group waits for the longest")
	}
	differs(raw.StartupDelay, "startup_delay", short(c.StartupDelay), short(first.StartupDelay),
		"the group waits for the last member to start")
}

// lintShared warns of weights that not all members of a sync group have: the priority of one member alone does not move
// the group, because the other director would still lose the rest.
func (b *builder) lintShared(g SyncGroup, name string) {
	for _, w := range b.weights[name] {
		if w.value == 0 {
			continue
		}
		for _, other := range g.Members {
			has := slices.ContainsFunc(b.weights[other], func(o weight) bool {
				return o.kind == w.kind && o.name == w.name && o.value != 0
			})
			if !has {
				b.warn(w.at, "Members that disagree", fmt.Sprintf("Weight %d changes the priority of %q alone, and sync_group %q "+
					"moves only if all of its members do: give %q the same %s, or write weight = 0, a fault, which moves all.",
					w.value, name, g.Name, other, w.kind))
				break
			}
		}
	}
}
