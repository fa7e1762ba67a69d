// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
)

// parseNFT reads what `nft -j list ruleset` prints (libnftables-json(5)). What it does not know may be met or not.
func parseNFT(b []byte) (Ruleset, error) {
	var doc struct {
		Nftables []struct {
			Chain *nftChain `json:"chain"`
			Rule  *nftRule  `json:"rule"`
			Set   *nftSet   `json:"set"`
			Map   *nftSet   `json:"map"`
		} `json:"nftables"`
	}
	if err := json.Unmarshal(b, &doc); err != nil {
		return Ruleset{}, fmt.Errorf("read the rules of nft: %w", err)
	}
	r := Ruleset{Tool: "nft"}
	sets := make(map[string][]json.RawMessage)
	for _, o := range doc.Nftables {
		if s := o.Set; s != nil {
			sets[s.Family+" "+s.Table+" @"+s.Name] = s.Elem
		}
		if m := o.Map; m != nil {
			sets[m.Family+" "+m.Table+" @"+m.Name] = m.Elem
		}
		if c := o.Chain; c != nil && (c.Family == "ip" || c.Family == "ip6" || c.Family == "inet") {
			chain := Chain{Family: c.Family, Table: c.Table, Name: c.Name, Drops: c.Policy == "drop"}
			if c.Type == "filter" {
				chain.Hook = c.Hook
			}
			r.Chains = append(r.Chains, chain)
		}
	}
	for _, o := range doc.Nftables {
		if o.Rule == nil {
			continue
		}
		at := slices.IndexFunc(r.Chains, func(c Chain) bool {
			return c.Family == o.Rule.Family && c.Table == o.Rule.Table && c.Name == o.Rule.Chain
		})
		if at >= 0 {
			p := nftParser{prefix: o.Rule.Family + " " + o.Rule.Table + " ", sets: sets}
			r.Chains[at].Rules = append(r.Chains[at].Rules, p.rules(o.Rule.Expr)...)
		}
	}
	return r, nil
}

type nftChain struct{ Family, Table, Name, Type, Hook, Policy string }

type nftRule struct {
	Family, Table, Chain string
	Expr                 []map[string]json.RawMessage
}

type nftSet struct {
	Family, Table, Name string
	Elem                []json.RawMessage
}

// nftParser reads the rules of one table.
type nftParser struct {
	prefix string // of the names of its sets
	sets   map[string][]json.RawMessage
}

// quiet are statements that leave a packet as it is, as far as we care.
var quiet = []string{"counter", "log", "mangle", "notrack", "flow", "ct helper", "comment", "last"}

// rules makes one rule of the statements, or several if one of them looks up what to do.
func (n nftParser) rules(statements []map[string]json.RawMessage) (list []Rule) {
	var rule Rule
	for _, s := range statements {
		for name, arg := range s {
			switch name {
			case "match":
				rule.Conditions = append(rule.Conditions, n.match(arg)...)
			case "accept":
				rule.Verdict = Accept
			case "drop", "reject":
				rule.Verdict = Drop
			case "return":
				rule.Verdict = Return
			case "jump", "goto":
				rule.Verdict, rule.Target = jump(name, arg)
			case "continue":
			case "vmap":
				return append(list, n.lookUp(rule, arg)...)
			case "limit", "quota", "ct count", "xt", "set", "map", "meter":
				rule.Conditions = append(rule.Conditions, Condition{})
			default:
				if !slices.Contains(quiet, name) {
					rule.Verdict = Other
				}
			}
		}
	}
	return append(list, rule)
}

func jump(name string, arg json.RawMessage) (Verdict, string) {
	var to struct{ Target string }
	_ = json.Unmarshal(arg, &to) // a chain without a name is not found
	if name == "jump" {
		return Jump, to.Target
	}
	return Goto, to.Target
}

// lookUp makes a rule of each entry of a map of verdicts.
func (n nftParser) lookUp(before Rule, arg json.RawMessage) (list []Rule) {
	var m struct{ Key, Data json.RawMessage }
	var data struct{ Set []json.RawMessage }
	var name string
	unknown := []Rule{{Conditions: before.Conditions, Verdict: Other}}
	if json.Unmarshal(arg, &m) != nil {
		return unknown
	}
	if json.Unmarshal(m.Data, &name) == nil {
		data.Set = n.sets[n.prefix+name] // a map without entries does nothing
	} else if json.Unmarshal(m.Data, &data) != nil {
		return unknown
	}
	for _, entry := range data.Set {
		var e [2]json.RawMessage
		var verdict map[string]json.RawMessage
		if json.Unmarshal(entry, &e) != nil || json.Unmarshal(e[1], &verdict) != nil {
			return unknown
		}
		rule := Rule{Conditions: append(slices.Clone(before.Conditions), n.condition(m.Key, false, e[0])...)}
		if then := n.rules([]map[string]json.RawMessage{verdict}); len(then) == 1 {
			rule.Verdict, rule.Target = then[0].Verdict, then[0].Target
		}
		list = append(list, rule)
	}
	return list
}

func (n nftParser) match(arg json.RawMessage) []Condition {
	var m struct {
		Op          string
		Left, Right json.RawMessage
	}
	if json.Unmarshal(arg, &m) != nil || m.Op != "==" && m.Op != "!=" && m.Op != "in" {
		return []Condition{{}}
	}
	return n.condition(m.Left, m.Op == "!=", m.Right)
}

// condition is what a match asks for, with what it takes for granted.
func (n nftParser) condition(left json.RawMessage, not bool, right json.RawMessage) []Condition {
	field, granted := nftField(left)
	c := Condition{Field: field, Not: not}
	if field == OtherField || !n.values(&c, right) {
		return append(granted, Condition{})
	}
	return append(granted, c)
}

func nftField(left json.RawMessage) (field Field, granted []Condition) {
	var l struct {
		Meta, CT *struct{ Key string }
		Payload  *struct{ Protocol, Field string }
	}
	if json.Unmarshal(left, &l) != nil {
		return OtherField, nil
	}
	switch {
	case l.Meta != nil:
		return map[string]Field{
			"l4proto": Protocol, "nfproto": Family, "iif": InLink, "iifname": InLink, "oif": OutLink, "oifname": OutLink, "pkttype": PacketType,
		}[l.Meta.Key], nil
	case l.CT != nil && l.CT.Key == "state":
		return State, nil
	case l.Payload == nil:
		return OtherField, nil
	}
	p := *l.Payload
	switch p.Protocol {
	case "ip", "ip6":
		granted = []Condition{{Field: Family, Names: []string{map[string]string{"ip": "ipv4", "ip6": "ipv6"}[p.Protocol]}}}
		return map[string]Field{"protocol": Protocol, "nexthdr": Protocol, "saddr": Source, "daddr": Destination}[p.Field], granted
	default:
		if n, known := protocols[p.Protocol]; known {
			granted = []Condition{{Field: Protocol, Spans: []Span{{n, n}}}}
		}
	}
	return map[string]Field{"dport": DestinationPort, "sport": SourcePort}[p.Field], granted
}

// protocols are the numbers of those that a rule may name.
var protocols = map[string]uint16{
	"icmp": 1, "igmp": 2, "ipip": 4, "ipencap": 4, "tcp": 6, "udp": 17, "ipv6": 41, "gre": 47, "esp": 50, "ah": 51, "ipv6-icmp": 58,
	"icmpv6": 58, "ospf": 89, "pim": 103, "vrrp": 112, "carp": 112, "sctp": 132, "udplite": 136,
}

// values reads the right side of a match, and reports whether all of it is understood.
func (n nftParser) values(c *Condition, right json.RawMessage) bool {
	var list []json.RawMessage
	if json.Unmarshal(right, &list) == nil {
		return !slices.ContainsFunc(list, func(v json.RawMessage) bool { return !n.values(c, v) })
	}
	var text string
	if json.Unmarshal(right, &text) == nil {
		if len(text) > 1 && text[0] == '@' {
			elements, there := n.sets[n.prefix+text]
			var plain nftParser // of a set no other one is a part
			return there && !slices.ContainsFunc(elements, func(v json.RawMessage) bool { return !plain.values(c, v) })
		}
		return c.value(text)
	}
	var number uint16
	if json.Unmarshal(right, &number) == nil {
		return c.value(strconv.Itoa(int(number)))
	}
	var o struct {
		Set    []json.RawMessage
		Range  []json.RawMessage
		Prefix *struct {
			Addr string
			Len  int
		}
		Elem *struct{ Val json.RawMessage }
	}
	if json.Unmarshal(right, &o) != nil {
		return false
	}
	switch {
	case o.Set != nil:
		return !slices.ContainsFunc(o.Set, func(v json.RawMessage) bool { return !n.values(c, v) })
	case o.Elem != nil:
		return n.values(c, o.Elem.Val)
	case o.Prefix != nil:
		return c.value(o.Prefix.Addr + "/" + strconv.Itoa(o.Prefix.Len))
	case len(o.Range) == 2:
		var first, last uint16
		if json.Unmarshal(o.Range[0], &first) != nil || json.Unmarshal(o.Range[1], &last) != nil {
			return false
		}
		c.Spans = append(c.Spans, Span{first, last})
		return true
	}
	return false
}

// value adds one value as text, and reports whether it is understood.
func (c *Condition) value(text string) bool {
	switch c.Field {
	case Protocol:
		n, known := protocols[text]
		if !known {
			parsed, err := strconv.ParseUint(text, 10, 8)
			if err != nil {
				return false
			}
			n = uint16(parsed)
		}
		c.Spans = append(c.Spans, Span{n, n})
	case SourcePort, DestinationPort:
		n, err := strconv.ParseUint(text, 10, 16)
		if err != nil {
			return false
		}
		c.Spans = append(c.Spans, Span{uint16(n), uint16(n)})
	case Source, Destination:
		p, err := netip.ParsePrefix(text)
		if a, e := netip.ParseAddr(text); e == nil {
			p, err = netip.PrefixFrom(a, a.BitLen()), nil
		}
		if err != nil {
			return false
		}
		c.Prefixes = append(c.Prefixes, p)
	default:
		c.Names = append(c.Names, text)
	}
	return true
}
