// SPDX-License-Identifier: Apache-2.0

package vrrp

// Part is what one tracked thing does to a virtual router now. Parts compare.
type Part struct {
	Kind    string // interface, script, process, file or service
	Name    string
	Weight  int  // as configured; 0: to fail is a fault
	Pending bool // nothing is known yet: it adds nothing, and the router is not ready to preempt
	Failed  bool
	Value   int    // what it adds to the priority now
	Detail  string // why it failed, or what was found
}

// NewPart returns what a tracked thing that has or has not failed adds: a negative weight while it has, a positive one
// while it has not.
func NewPart(kind, name string, weight int, failed bool, detail string) Part {
	p := Part{Kind: kind, Name: name, Weight: weight, Failed: failed, Detail: detail}
	if failed == (weight < 0) {
		p.Value = weight
	}
	return p
}

func (p Part) String() string { return p.Kind + " " + p.Name }

// The limits of the priority of a router that does not own the addresses, RFC 9568 section 5.2.4.
const (
	minPriority = 1
	maxPriority = 254
	ownerPrio   = 255
)

// Effective is the priority that takes part in the election, and why the router cannot take part; empty: it can. Trackers
// do not change the priority of an address owner.
func Effective(configured uint8, parts []Part) (priority uint8, fault string) {
	sum := int(configured)
	for _, p := range parts {
		if p.Failed && p.Weight == 0 && fault == "" {
			fault = "tracked " + p.String() + " has failed"
			if p.Detail != "" {
				fault += ": " + p.Detail
			}
		}
		if !p.Pending {
			sum += p.Value
		}
	}
	if configured == ownerPrio {
		return configured, fault
	}
	return uint8(min(max(sum, minPriority), maxPriority)), fault
}
