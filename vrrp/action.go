// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"net/netip"
	"time"
)

// Params is the part of a virtual router's configuration that the election uses.
type Params struct {
	Version      uint8
	Priority     uint8 // with what the tracked things add
	Interval     time.Duration
	Preempt      bool
	PreemptDelay time.Duration
	Handover     bool
	Grouped      bool // a sync group says when it becomes master
	// Patience is how long a hand-over waits at least for another master: there, the slowest of its sync group decides.
	Patience time.Duration
	Source   netip.Addr // our own address, which breaks ties
}

// ActionKind is what an [Action] asks for.
type ActionKind uint8

// The actions.
const (
	_                ActionKind = iota
	SendAdvert                  // send an advert of the given priority
	HoldAddresses               // install the addresses, or keep those that are there, and begin the announcements
	AnnounceAgain               // announce the addresses once more
	ReleaseAddresses            // remove the addresses
)

func (k ActionKind) String() string {
	switch k {
	case SendAdvert:
		return "send"
	case HoldAddresses:
		return "hold"
	case AnnounceAgain:
		return "announce"
	case ReleaseAddresses:
		return "release"
	}
	return "invalid"
}

// Action is what a [Machine] wants done. They are carried out in the order given.
type Action struct {
	Kind     ActionKind
	Priority uint8 // of SendAdvert
}
