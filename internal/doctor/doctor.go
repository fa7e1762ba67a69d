// SPDX-License-Identifier: Apache-2.0

// Package doctor finds what keeps this host from being a director or a real server, or will one day.
//
// What is known of the host is a value ([Facts]), gathered by the files for Linux. Each entry of [Catalogue] is a function of
// it and nothing else. What could not be found out is in Facts.Unknown, and finds nothing.
package doctor

import (
	"encoding"
	"fmt"
	"slices"
)

// Severity says what a finding means.
type Severity uint8

// The severities.
const (
	_       Severity = iota
	Broken           // something does not work, or will not when it is needed
	Warning          // it works now, and something ordinary will stop it
)

func (s Severity) String() string {
	switch s {
	case Broken:
		return "broken"
	case Warning:
		return "warning"
	}
	return fmt.Sprintf("severity(%d)", uint8(s))
}

var _ encoding.TextMarshaler = Broken

// MarshalText implements encoding.TextMarshaler.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Finding is something that is wrong on this host or around it.
type Finding struct {
	ID       string   `json:"id"` // of the check in the catalogue
	Severity Severity `json:"severity"`
	Fact     string   `json:"fact"`
	Why      string   `json:"why"`  // it matters
	Mend     string   `json:"mend"` // the command that mends it, or what else to do
}

// Role is what a host is.
type Role uint8

// The roles.
const (
	_ Role = iota
	Director
	RealServer
)

func (r Role) String() string {
	switch r {
	case Director:
		return "director"
	case RealServer:
		return "real server"
	}
	return fmt.Sprintf("role(%d)", uint8(r))
}

// Check is an entry of the catalogue.
type Check struct {
	ID       string
	Role     Role // of hosts that are looked at
	Severity Severity
	Looks    string // for what
	Why      string // it matters
	Mend     string // what does, in general
	find     func(Facts) []problem
}

// problem is what a check has found.
type problem struct {
	fact string
	why  string // empty: what the check says
	mend string
}

// Catalogue lists all checks, in the order in which their findings are told: what explains others goes first.
func Catalogue() []Check {
	return slices.Concat(links, network, firewalls, election, balancing, managers, realServer)
}

// Diagnose returns what is wrong, in the order of the catalogue.
func Diagnose(f Facts) (list []Finding) {
	for _, c := range Catalogue() {
		if c.Role == Director && f.Config == nil || c.Role == RealServer && len(f.Uses) == 0 {
			continue
		}
		for _, p := range c.find(f) {
			found := Finding{ID: c.ID, Severity: c.Severity, Fact: p.fact, Why: p.why, Mend: p.mend}
			if p.why == "" {
				found.Why = c.Why
			}
			if !slices.Contains(list, found) {
				list = append(list, found)
			}
		}
	}
	return list
}
