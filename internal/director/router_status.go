// SPDX-License-Identifier: Apache-2.0

package director

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/holdfast-lb/holdfast/vrrp"
	"github.com/holdfast-lb/holdfast/vrrp/track"
)

// VirtualRouterStatus is one virtual router. Its states are those of package vrrp.
type VirtualRouterStatus struct {
	Name              string       `json:"name"`
	State             string       `json:"state"`
	Since             time.Time    `json:"since"`
	Reason            string       `json:"reason"`
	ID                uint8        `json:"id"`
	Interface         string       `json:"interface"`
	Version           uint8        `json:"version"` // of VRRP
	Priority          uint8        `json:"priority"`
	EffectivePriority uint8        `json:"effective_priority"` // with what the parts add
	Parts             []PartStatus `json:"parts"`              // what is tracked
	SyncGroup         string       `json:"sync_group"`         // empty: none
	Unready           string       `json:"unready"`            // why it would not take over from another master; empty: it would
	Preempt           bool         `json:"preempt"`
	// SteppedDown is since when it leaves the role to others by an operator's order; absent: it does not.
	SteppedDown       *SteppedDownStatus `json:"stepped_down,omitempty"`
	Master            string             `json:"master"` // its address; empty: none is known
	Source            string             `json:"source"` // our own; empty: none yet
	Addresses         []string           `json:"addresses"`
	ExcludedAddresses []string           `json:"excluded_addresses"` // moved with the others, not carried in adverts
	HeldAddresses     []string           `json:"held_addresses"`     // those that are on this host now
	Error             string             `json:"error"`              // of the last attempt on the addresses
	// Contested are those addresses of a master that others answer ARP for.
	Contested []ContestedStatus `json:"contested_addresses"`
	Peers     []PeerStatus      `json:"peers"`

	PreemptDelaySeconds      float64 `json:"preempt_delay_seconds"`
	AdvertiseIntervalSeconds float64 `json:"advertise_interval_seconds"` // our own
	MasterIntervalSeconds    float64 `json:"master_interval_seconds"`    // the master's: learned, or our own
	MasterDownSeconds        float64 `json:"master_down_seconds"`        // without an advert, until another master is elected
	LatenessWorstSeconds     float64 `json:"lateness_worst_seconds"`     // of our timers, since the start

	AdvertsSent     uint64            `json:"adverts_sent"`
	AdvertsReceived uint64            `json:"adverts_received"`
	AdvertsRefused  map[string]uint64 `json:"adverts_refused"` // by reason, where there were any
}

// PeerStatus is another router that was heard as master. A backup is silent.
type PeerStatus struct {
	Address         netip.Addr `json:"address"`
	Priority        uint8      `json:"priority"`
	IntervalSeconds float64    `json:"interval_seconds"` // at which it says it sends
	Checksum        string     `json:"checksum"`
	SameAddresses   bool       `json:"same_addresses"` // it carries those that we carry
	LastSeen        time.Time  `json:"last_seen"`
}

// PartStatus is one tracked thing, and what it does to the priority.
type PartStatus struct {
	Kind            string    `json:"kind"` // interface, script, process, file or service
	Name            string    `json:"name"`
	Weight          int       `json:"weight"` // 0: to fail is a fault
	Value           int       `json:"value"`  // what it adds now
	Failed          bool      `json:"failed"`
	Pending         bool      `json:"pending"` // nothing is known yet
	Detail          string    `json:"detail"`
	Output          string    `json:"output,omitempty"` // of a script's last run
	Last            time.Time `json:"last,omitzero"`
	DurationSeconds float64   `json:"duration_seconds,omitempty"`
}

// routerStatus joins what the election knows with the newest of the trackers and of the host.
func routerStatus(
	s vrrp.Status, tracked map[track.Key]track.Status, missing func([]vrrp.Address) []vrrp.Address,
) VirtualRouterStatus {
	c := s.Config
	out := VirtualRouterStatus{
		Name: s.Name, State: s.State.String(), Since: s.Since, Reason: s.Reason, ID: c.ID, Interface: c.Interface, Version: c.Version,
		Priority: c.Priority, EffectivePriority: effective(s), Parts: []PartStatus{}, SyncGroup: s.Group, Unready: s.Unready,
		Preempt: c.Preempt, Master: addrText(s.Master()), Source: addrText(s.Source), Error: s.HostError,
		Addresses: prefixes(c.Addresses), ExcludedAddresses: prefixes(c.Excluded), HeldAddresses: []string{}, Peers: []PeerStatus{},
		PreemptDelaySeconds: c.PreemptDelay.Seconds(), AdvertiseIntervalSeconds: c.Interval.Seconds(),
		MasterIntervalSeconds: s.MasterInterval.Seconds(), MasterDownSeconds: s.MasterDown.Seconds(),
		AdvertsSent: s.Sent, AdvertsReceived: s.Received, AdvertsRefused: make(map[string]uint64),
	}
	all := c.All()
	gone := missing(all)
	for _, a := range all {
		if !slices.Contains(gone, a) {
			out.HeldAddresses = append(out.HeldAddresses, a.Prefix.String())
		}
	}
	for _, p := range s.Peers {
		out.Peers = append(out.Peers, PeerStatus{
			p.Address, p.Priority, p.Interval.Seconds(), p.Checksum.String(), p.SameAddresses, p.LastSeen,
		})
	}
	for reason, n := range s.Refused {
		if n > 0 {
			out.AdvertsRefused[string(reason)] = n
		}
	}
	for _, p := range s.Parts {
		out.Parts = append(out.Parts, partStatus(s.Name, p, tracked))
	}
	return out
}

// effective is the configured priority until the election has begun.
func effective(s vrrp.Status) uint8 { return cmp.Or(s.Effective, s.Config.Priority) }

func partStatus(router string, p vrrp.Part, tracked map[track.Key]track.Status) PartStatus {
	out := PartStatus{
		Kind: p.Kind, Name: p.Name, Weight: p.Weight, Value: p.Value, Failed: p.Failed, Pending: p.Pending, Detail: p.Detail,
	}
	for _, kind := range []track.Kind{track.Script, track.Process, track.File} {
		if kind.String() != p.Kind {
			continue
		}
		if s, ok := tracked[track.Key{Router: router, Kind: kind, Name: p.Name}]; ok {
			out.Detail, out.Output, out.Last, out.DurationSeconds = s.Detail, s.Output, s.Last, s.Duration.Seconds()
		}
	}
	return out
}

func prefixes(addresses []vrrp.Address) []string {
	list := []string{}
	for _, a := range addresses {
		list = append(list, a.Prefix.String())
	}
	return list
}

// addrText is an address, or nothing if there is none.
func addrText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}
