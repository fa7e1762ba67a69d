// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/holdfast-lb/holdfast/checker"
)

// maxQuorum is above what the weights of any service add up to.
const maxQuorum = 1_000_000_000

// quorum reads when a service is up; without a block, as long as any server with a weight is.
func (b *builder) quorum(raw *rawQuorum) Quorum {
	if raw == nil {
		return Quorum{Weight: 1}
	}
	q := Quorum{
		Weight:     uint32(read(b, raw.Weight, 1, whole(1, maxQuorum))),
		Hysteresis: uint32(read(b, raw.Hysteresis, 0, whole(0, maxQuorum))),
	}
	if q.Weight > 0 && q.Hysteresis >= q.Weight {
		b.invalid("hysteresis", raw.Hysteresis.Expr.Range(), fmt.Errorf(
			"takes less than the weight, %d: else the service stays up without any server", q.Weight))
	}
	return q
}

// sorryServer reads who gets the traffic while the quorum is lost.
func (b *builder) sorryServer(raw *rawSorryServer, service *rawVirtualServer, s VirtualServer) SorryServer {
	if raw == nil {
		return SorryServer{}
	}
	b.require(raw.Range, "address", raw.Address)
	sorry := SorryServer{
		Address: read(b, raw.Address, netip.AddrPort{}, matching(parseServer)),
		Forward: read(b, raw.Forward, s.Forward, oneOf(forwards)),
	}
	if sorry.Address.IsValid() {
		sorry.Address = b.serverAddress(raw.Address, identity(service), s, sorry.Forward, sorry.Address)
	}
	sorry.Encapsulation = b.tunnel(nil, sorry.Forward)
	return sorry
}

// lintService finds policies that cannot do what they are for. It needs a service without errors.
func (b *builder) lintService(raw *rawVirtualServer, s VirtualServer) {
	n := len(s.RealServers)
	if n == 0 {
		return
	}
	if raw.Quorum != nil {
		b.reachable(raw.Quorum, s)
	}
	b.lintScheduling(raw, s)
	checked := slices.ContainsFunc(s.RealServers, func(r RealServer) bool { return len(r.Checks) > 0 })
	switch up := 100 * (n - 1) / n; {
	case s.PanicThreshold == 0:
	case !checked:
		b.warn(raw.PanicThreshold.Expr.Range(), noEffect, "Without a check every real server is up all the time.")
	case n == 1:
		b.warn(raw.PanicThreshold.Expr.Range(), "Checks without effect", "The only real server gets traffic also while it is down.")
	case s.PanicThreshold > up:
		b.warn(raw.PanicThreshold.Expr.Range(), "Checks without effect", fmt.Sprintf(
			"While one of %d real servers is down, %d %% are up, fewer than %d %%: all get traffic, so that none is ever taken out. "+
				"Write %d or less.", n, up, s.PanicThreshold, up))
	}
	if raw.SorryServer != nil && s.PanicThreshold > 0 && checked {
		b.sorryBeforePanic(raw.SorryServer, s)
	}
	raisable := slices.ContainsFunc(s.RealServers, func(r RealServer) bool { return r.Weight > 1 || weighed(r) && r.Weight > 0 })
	switch {
	case s.SlowStart == 0:
	case !checked:
		b.warn(raw.SlowStart.Expr.Range(), noEffect, "Without a check every real server is up all the time.")
	case !raisable:
		b.warn(raw.SlowStart.Expr.Range(), noEffect,
			"A weight is raised in steps from 1, and no real server has more: multiply all weights, by 10 for example.")
	}
}

// sorryBeforePanic reports a sorry server that no verdict of the checks brings in: when the quorum is lost, so few are up
// that it is a panic already.
func (b *builder) sorryBeforePanic(raw *rawSorryServer, s VirtualServer) {
	if slices.ContainsFunc(s.RealServers, weighed) {
		return // one that is up and asks for weight 0 does not count for the quorum
	}
	var weights []uint32
	for _, r := range s.RealServers {
		weights = append(weights, r.Weight)
	}
	slices.Sort(weights)
	var least uint32 // weight that is up while it is no panic
	for _, w := range weights[:(s.PanicThreshold*len(weights)+99)/100] {
		least += w
	}
	if least >= s.Quorum.Weight {
		b.warn(raw.Range, noEffect, fmt.Sprintf(
			"While no fewer than %d %% of %d real servers are up, a quorum of %d is met, and with fewer all of them get traffic "+
				"(panic_threshold). Write a quorum weight above %d, or no panic_threshold.",
			s.PanicThreshold, len(weights), s.Quorum.Weight, least))
	}
}

// weighed reports whether a check sets the weight of a server.
func weighed(r RealServer) bool {
	return slices.ContainsFunc(r.Checks, func(c checker.Check) bool { return c.Config.Value().DynamicWeight })
}

// reachable reports a quorum above what the weights of all real servers add up to. That is a warning only where one has
// the weight 0 or is in maintenance, which takes a server out for a while.
func (b *builder) reachable(raw *rawQuorum, s VirtualServer) {
	var sum uint32
	severity := hcl.DiagError
	for _, r := range s.RealServers {
		if r.Maintenance || r.Weight == 0 {
			severity = hcl.DiagWarning
			continue
		}
		sum += r.Weight
	}
	const summary = "Quorum out of reach"
	switch q := s.Quorum; {
	case q.Weight > sum:
		b.report(severity, orRange(raw.Weight, raw.Range), summary, fmt.Sprintf(
			"The weights of all real servers add up to %d, less than %d: the service is never up.", sum, q.Weight))
	case q.Weight+q.Hysteresis > sum:
		b.report(severity, orRange(raw.Hysteresis, raw.Range), summary, fmt.Sprintf(
			"The weights of all real servers add up to %d, less than weight + hysteresis, %d: once lost, the quorum does not come back.",
			sum, q.Weight+q.Hysteresis))
	}
}
