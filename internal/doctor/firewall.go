// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"net/netip"
	"path"
	"slices"
)

// Ruleset is what one tool shows of the firewall.
type Ruleset struct {
	Tool   string // iptables, ip6tables, iptables-legacy, ip6tables-legacy or nft
	Chains []Chain
}

// Chain is a list of rules.
type Chain struct {
	Family string // ip, ip6 or inet
	Table  string
	Name   string
	Hook   string // prerouting, input, forward, output or postrouting; empty: other chains lead here
	Drops  bool   // what comes to its end
	Rules  []Rule
}

// Rule does something with the packets that meet all of its conditions.
type Rule struct {
	Conditions []Condition
	Verdict    Verdict
	Target     string // chain, of Jump and Goto
}

// Verdict is what a rule does.
type Verdict uint8

// The verdicts.
const (
	Continue Verdict = iota
	Accept
	Drop // or reject
	Return
	Jump
	Goto
	Other // nobody knows here what becomes of the packet
)

// Field is what a condition is about.
type Field uint8

// The fields.
const (
	OtherField Field = iota // may be met or not
	Protocol
	Family
	Source
	Destination
	InLink
	OutLink
	SourcePort
	DestinationPort
	State // of connection tracking
	PacketType
)

// Condition is met if the field has one of the values, or with Not if it has none of them.
type Condition struct {
	Field    Field
	Not      bool
	Spans    []Span         // of numbers
	Prefixes []netip.Prefix // of addresses
	Names    []string       // of links, with * as in path.Match, and others
}

// Span is a range of numbers.
type Span struct{ First, Last uint16 }

// packet is a packet that has to pass. Its zero fields are not known.
type packet struct {
	what     string // that it is
	hooks    []string
	v6       bool
	in, out  string
	protocol uint16
	from, to netip.Addr
	port     uint16 // that it goes to
	answers  bool   // it belongs to a connection, of which the state is not known
}

// truth is an answer of three.
type truth uint8

const (
	no truth = iota
	maybe
	yes
)

// meets tells whether a packet meets a condition.
func (c Condition) meets(p packet) truth {
	is := c.matches(p)
	switch {
	case !c.Not || is == maybe:
		return is
	case is == yes:
		return no
	}
	return yes
}

func (c Condition) matches(p packet) truth {
	switch c.Field {
	case Protocol:
		if p.protocol == 0 {
			return maybe
		}
		return c.number(p.protocol)
	case Family:
		return certain(slices.Contains(c.Names, map[bool]string{false: "ipv4", true: "ipv6"}[p.v6]))
	case Source:
		return c.address(p.from, p.v6)
	case Destination:
		return c.address(p.to, p.v6)
	case InLink:
		return c.link(p.in)
	case OutLink:
		return c.link(p.out)
	case DestinationPort:
		if p.port == 0 && hasPorts(p.protocol) {
			return maybe
		}
		return c.number(p.port)
	case SourcePort:
		return certain(hasPorts(p.protocol)) & maybe
	case State:
		if p.answers {
			return maybe
		}
		return certain(slices.Contains(c.Names, "new"))
	case PacketType:
		if !p.to.IsValid() {
			return maybe
		}
		return certain(p.to.IsMulticast() == slices.Contains(c.Names, "multicast"))
	}
	return maybe
}

func hasPorts(protocol uint16) bool { return protocol == 6 || protocol == 17 || protocol == 132 }

func certain(is bool) truth {
	if is {
		return yes
	}
	return no
}

func (c Condition) number(n uint16) truth {
	return certain(slices.ContainsFunc(c.Spans, func(s Span) bool { return s.First <= n && n <= s.Last }))
}

// address: of an address that is not known, what fits every one of its family fits.
func (c Condition) address(a netip.Addr, v6 bool) truth {
	is := no
	for _, p := range c.Prefixes {
		switch {
		case p.Addr().Is6() != v6:
		case p.Bits() == 0 || a.IsValid() && p.Contains(a):
			return yes
		case !a.IsValid():
			is = maybe
		}
	}
	return is
}

func (c Condition) link(name string) truth {
	if name == "" {
		return maybe
	}
	return certain(slices.ContainsFunc(c.Names, func(pattern string) bool {
		ok, err := path.Match(pattern, name)
		return ok && err == nil
	}))
}

// outcome is what becomes of a packet in a chain.
type outcome uint8

const (
	passes  outcome = iota // to what comes after the chain
	drops                  // for sure
	accepts                // or may be accepted: it is not dropped for sure
)

// dropper returns the chain that drops a packet for sure, if there is one.
func (r Ruleset) dropper(p packet) (Chain, bool) {
	for _, hook := range p.hooks {
		for _, c := range r.Chains {
			if c.Hook != hook || !c.of(p) {
				continue
			}
			steps := stepsMost
			what := r.walk(c, p, deepest, &steps)
			if what == drops || what == passes && c.Drops {
				return c, true
			}
		}
	}
	return Chain{}, false
}

func (c Chain) of(p packet) bool {
	return c.Family == "inet" || c.Family == "ip" && !p.v6 || c.Family == "ip6" && p.v6
}

const (
	deepest   = 16      // jumps in one another, as in the kernel (NFT_JUMP_STACK_SIZE)
	stepsMost = 1 << 20 // rules that are looked at for a packet; a host may have many, and few of them in a packet's way
)

// walk follows the rules. A rule that the packet may meet counts for it, and not against it.
func (r Ruleset) walk(c Chain, p packet, deeper int, steps *int) outcome {
	for _, rule := range c.Rules {
		if *steps--; *steps < 0 || deeper < 0 {
			return accepts // nobody knows
		}
		met := yes
		for _, cond := range rule.Conditions {
			met = min(met, cond.meets(p))
		}
		if met == no {
			continue
		}
		switch rule.Verdict {
		case Accept, Other:
			return accepts
		case Drop:
			if met == yes {
				return drops
			}
		case Return:
			if met == yes {
				return passes
			}
			return accepts // what comes after may be passed over
		case Jump, Goto:
			at := slices.IndexFunc(r.Chains, func(o Chain) bool { return o.Family == c.Family && o.Table == c.Table && o.Name == rule.Target })
			if at < 0 {
				return accepts
			}
			what := r.walk(r.Chains[at], p, deeper-1, steps)
			switch {
			case what == accepts || met == maybe && rule.Verdict == Goto:
				return accepts
			case met == yes && (what == drops || rule.Verdict == Goto):
				return what
			}
		}
	}
	return passes
}
