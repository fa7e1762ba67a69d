// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"slices"
	"strconv"
	"strings"
)

// parseIPTables reads what iptables-save(8) prints; tool is the command that changes it. An option that it does not know may
// be met or not.
func parseIPTables(tool, text string) Ruleset {
	r := Ruleset{Tool: tool}
	family := "ip"
	if strings.HasPrefix(tool, "ip6") {
		family = "ip6"
	}
	table := ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "*"):
			table = line[1:]
		case strings.HasPrefix(line, ":"):
			words := strings.Fields(line[1:])
			if len(words) < 2 {
				continue
			}
			c := Chain{Family: family, Table: table, Name: words[0], Drops: words[1] == "DROP"}
			if words[1] != "-" && table != "nat" {
				c.Hook = strings.ToLower(words[0])
			}
			r.Chains = append(r.Chains, c)
		case strings.HasPrefix(line, "-A "):
			words := split(line)
			at := slices.IndexFunc(r.Chains, func(c Chain) bool { return c.Table == table && c.Name == words[1] })
			if at >= 0 {
				r.Chains[at].Rules = append(r.Chains[at].Rules, iptablesRule(words[2:]))
			}
		}
	}
	return r
}

// split cuts a line into words; those in quotes may have spaces.
func split(line string) (words []string) {
	quoted := strings.Split(line, `"`)
	for i, part := range quoted {
		if i%2 == 1 {
			words = append(words, part)
		} else {
			words = append(words, strings.Fields(part)...)
		}
	}
	return words
}

// fields are the options that are understood; the value of each is the next word.
var fields = map[string]Field{
	"-p": Protocol, "-s": Source, "-d": Destination, "-i": InLink, "-o": OutLink, "--dport": DestinationPort, "--dports": DestinationPort,
	"--sport": SourcePort, "--sports": SourcePort, "--state": State, "--ctstate": State, "--pkt-type": PacketType,
}

func iptablesRule(words []string) (r Rule) {
	not := false
	for i := 0; i < len(words); i++ {
		value := ""
		if i+1 < len(words) {
			value = words[i+1]
		}
		switch w := words[i]; w {
		case "!":
			not = true
			continue
		case "-m", "--comment":
			i++
		case "-j", "-g":
			r.Verdict, r.Target = iptablesTarget(w, value)
			return r // what follows is about the target
		default:
			field, known := fields[w]
			if known {
				i++
				r.Conditions = append(r.Conditions, iptablesCondition(field, not, value))
			} else if strings.HasPrefix(w, "-") {
				r.Conditions = append(r.Conditions, Condition{})
			}
		}
		not = false
	}
	return r
}

// harmless are targets after which a packet goes on as it was.
var harmless = []string{"LOG", "NFLOG", "MARK", "CONNMARK", "CT", "NOTRACK", "TCPMSS", "TRACE", "CHECKSUM", "DSCP", "TOS", "SECMARK", "CONNSECMARK", "SET"}

func iptablesTarget(option, name string) (Verdict, string) {
	switch {
	case name == "ACCEPT":
		return Accept, ""
	case name == "DROP", name == "REJECT":
		return Drop, ""
	case name == "RETURN":
		return Return, ""
	case slices.Contains(harmless, name):
		return Continue, ""
	case option == "-g":
		return Goto, name
	}
	return Jump, name // what is no chain may do anything
}

func iptablesCondition(field Field, not bool, text string) Condition {
	c := Condition{Field: field, Not: not}
	for value := range strings.SplitSeq(text, ",") {
		switch field {
		case State:
			value = strings.ToLower(value)
		case InLink, OutLink:
			if strings.HasSuffix(value, "+") {
				value = strings.TrimSuffix(value, "+") + "*"
			}
		case SourcePort, DestinationPort:
			if first, last, ok := strings.Cut(value, ":"); ok {
				a, err1 := strconv.ParseUint(first, 10, 16)
				b, err2 := strconv.ParseUint(last, 10, 16)
				if err1 != nil || err2 != nil {
					return Condition{}
				}
				c.Spans = append(c.Spans, Span{uint16(a), uint16(b)})
				continue
			}
		}
		if !c.value(value) {
			return Condition{}
		}
	}
	return c
}
