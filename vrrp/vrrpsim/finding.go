// SPDX-License-Identifier: Apache-2.0

package vrrpsim

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-lb/holdfast/vrrp"
)

// failure is something tracked that has failed on a master, which should move the role.
type failure struct {
	what   string
	router *Router
	at     time.Time
}

// expect notes what an event should lead to: a tracked thing that fails on the master moves the role.
func (p *player) expect(e Event, before map[*Router]bool, hit []*Director) {
	_, action := word(e.Text)
	verb, rest := word(action)
	args := strings.Fields(rest)
	fails := len(args) > 0 && (verb == "link" && args[len(args)-1] == "down" || verb == "track" && args[len(args)-1] == "failed")
	if !fails {
		return
	}
	kind, name := "interface", args[0]
	if verb == "track" {
		kind, name = args[0], args[1]
	}
	for r := range before {
		uses := kind == "interface" && r.Config.Interface == name || slices.ContainsFunc(r.parts, func(p vrrp.Part) bool {
			return p.Kind == kind && p.Name == name
		})
		if uses && slices.Contains(hit, r.director) {
			p.pending = append(p.pending, failure{what: kind + " " + name, router: r, at: p.n.now})
		}
	}
	slices.SortFunc(p.pending, func(a, b failure) int {
		x, y := a.router, b.router
		return cmp.Or(strings.Compare(x.director.Name, y.director.Name), strings.Compare(x.Config.Name, y.Config.Name))
	})
}

// look finds what is not as it should be, now that the network is quiet.
func (p *player) look() {
	for _, e := range p.elections {
		sides := p.n.together(e)
		for _, side := range sides {
			p.unique(side, len(sides) > 1)
		}
	}
	for _, f := range p.pending {
		if f.router.State() == vrrp.Master {
			p.unmoved(f)
		}
	}
}

// together splits an election into those who hear each other.
func (n *Network) together(e []*Router) [][]*Router {
	var sides [][]*Router
	for _, r := range e {
		at := slices.IndexFunc(sides, func(s []*Router) bool { return !n.cut(r, s[0]) && !n.cut(s[0], r) })
		if at < 0 {
			sides = append(sides, []*Router{r})
			continue
		}
		sides[at] = append(sides[at], r)
	}
	return sides
}

// unique finds what is wrong with those who hear each other: they have one master, and one holder of the addresses. The
// addresses of a dead director end with their lease. In a partition a sync group may leave one side without a master:
// the other members are where they can hear theirs.
func (p *player) unique(side []*Router, partitioned bool) {
	var masters, holders []string
	serves := func(r *Router) bool { return r.director.running && !r.director.stalled }
	able, why := false, []string(nil)
	for _, r := range side {
		if !serves(r) {
			continue
		}
		if r.told == vrrp.Master {
			masters = append(masters, r.director.Name)
		}
		if r.Holds() {
			holders = append(holders, r.director.Name)
		}
		able = able || r.able() && !(partitioned && r.Group != "")
		why = append(why, fmt.Sprintf("%s is %v: %s", r.director.Name, r.told, p.named(r.Reason())))
	}
	name := side[0].Config.Name
	switch {
	case len(masters) > 1:
		p.find(p.n.now, "%s has %d masters: %s", name, len(masters), strings.Join(masters, " and "))
	case len(masters) == 0 && able:
		p.find(p.n.now, "%s has no master: %s", name, strings.Join(why, "; "))
	case len(holders) > 1:
		p.find(p.n.now, "the addresses of %s are on %s", name, strings.Join(holders, " and on "))
	}
}

// able reports whether the router could be master, and so could all of its sync group.
func (r *Router) able() bool {
	for _, o := range r.director.Routers {
		if s := o.State(); (o == r || r.Group != "" && o.Group == r.Group) && s != vrrp.Backup && s != vrrp.Master {
			return false
		}
	}
	return !r.director.stalled && !r.director.stopping
}

// unmoved says why a failure has not moved the role. There is nothing to say if nobody could have taken it.
func (p *player) unmoved(f failure) {
	var best *Router
	m := f.router
	for _, e := range p.elections {
		if !slices.Contains(e, m) {
			continue
		}
		for _, r := range e {
			if r != m && r.able() && !p.n.cut(r, m) && !p.n.cut(m, r) && (best == nil || r.priority > best.priority) {
				best = r
			}
		}
	}
	if best == nil {
		return
	}
	other, why := best.director.Name, ""
	switch {
	case m.priority > best.priority:
		why = fmt.Sprintf("priority %s is still above %d of %s", sum(m), best.priority, other)
	case m.priority == best.priority:
		why = fmt.Sprintf("priority %s equals that of %s, which leaves an equal master alone", sum(m), other)
	case !best.Config.Preempt:
		why = fmt.Sprintf("priority %s is below %d of %s, but preempt is off there", sum(m), best.priority, other)
	default:
		why = fmt.Sprintf("priority %s is below %d of %s, but there: %s", sum(m), best.priority, other, p.held(best))
	}
	p.find(f.at, "%s failing on %s never moved %s: %s", f.what, m.director.Name, m.Config.Name, why)
}

// held says what holds a router back, or the one of its sync group that holds back the others.
func (p *player) held(r *Router) string {
	for _, o := range r.director.Routers {
		if r.Group != "" && o.Group == r.Group && vrrp.Together(o.standing) == vrrp.Withdraw {
			return fmt.Sprintf("%s of sync group %s is not master: %s", o.Config.Name, o.Group, p.named(o.Reason()))
		}
	}
	return p.named(r.Reason())
}

// sum shows what a priority is made of.
func sum(r *Router) string {
	text, total := fmt.Sprint(r.Config.Priority), int(r.Config.Priority)
	for _, p := range r.parts {
		if p.Value != 0 && r.Config.Priority != 255 {
			text += fmt.Sprintf("%+d", p.Value)
			total += p.Value
		}
	}
	switch {
	case text == fmt.Sprint(r.priority):
		return text
	case total != int(r.priority):
		return fmt.Sprintf("%s (at most 254 and at least 1)=%d", text, r.priority)
	}
	return fmt.Sprintf("%s=%d", text, r.priority)
}

// strangers finds virtual routers of different directors that have an address in common, but not their election.
func (n *Network) strangers() (found []string) {
	elections := n.Elections()
	for i, e := range elections {
		for _, other := range elections[i+1:] {
			a, b, shared := sharing(e, other)
			if a != nil {
				found = append(found, fmt.Sprintf("%s of %s and %s of %s have %v in common but never hear each other: %s", a.Config.Name,
					a.director.Name, b.Config.Name, b.director.Name, shared, b.refuses(a)))
			}
		}
	}
	return found
}

func sharing(x, y []*Router) (a, b *Router, address netip.Addr) {
	for _, a := range x {
		for _, b := range y {
			if address := shared(a, b); a.director != b.director && address.IsValid() {
				return a, b, address
			}
		}
	}
	return nil, nil, netip.Addr{}
}

// shared returns an address that both routers have; none: the zero one.
func shared(a, b *Router) netip.Addr {
	for _, x := range a.Config.Addresses {
		if slices.ContainsFunc(b.Config.Addresses, func(y vrrp.Address) bool { return y.Prefix.Addr() == x.Prefix.Addr() }) {
			return x.Prefix.Addr()
		}
	}
	return netip.Addr{}
}

// refuses says why an advert of the other one is not heard here; empty: it is. See RFC 9568 section 7.1 and RFC 3768
// section 7.1.
func (r *Router) refuses(from *Router) string {
	a, b := &r.Config, &from.Config
	different := func(what string, x, y any) string { return fmt.Sprintf("%s is %v here and %v there", what, x, y) }
	switch {
	case a.ID != b.ID:
		return different("id", b.ID, a.ID)
	case a.Version != b.Version:
		return different("version", b.Version, a.Version)
	case a.Family6() != b.Family6():
		return "one is of IPv4 and the other of IPv6"
	case a.Password != b.Password:
		return "their passwords differ"
	case a.Version == 2 && a.Interval != b.Interval:
		return different("advertise_interval", b.Interval, a.Interval)
	case a.Unicast.Enabled() != b.Unicast.Enabled():
		return "one is unicast and the other multicast"
	case r.Source == from.Source:
		return fmt.Sprintf("both send from %v, and neither hears what comes from its own address", r.Source)
	case a.Unicast.Enabled() && !slices.Contains(a.Unicast.Peers, from.Source):
		return fmt.Sprintf("%v is not among the peers of %s", from.Source, r.director.Name)
	case a.Unicast.Enabled() && !slices.Contains(b.Unicast.Peers, r.Source):
		return fmt.Sprintf("%v is not among the peers of %s", r.Source, from.director.Name)
	case !a.Unicast.Enabled() && a.Interface != b.Interface && !shared(r, from).IsValid(): // else hosts that name them otherwise
		return different("interface", b.Interface, a.Interface)
	}
	return ""
}
