// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/holdfast-lb/holdfast/checker"
	"github.com/holdfast-lb/holdfast/ipvs"
)

var (
	tunnelTypes = []choice[ipvs.TunnelType]{{word: "ipip", value: ipvs.IPIP}, {word: "gue", value: ipvs.GUE}, {word: "gre", value: ipvs.GRE}}
	tunnelSums  = []choice[ipvs.Checksum]{
		{word: "none", value: ipvs.NoChecksum}, {word: "full", value: ipvs.FullChecksum}, {word: "remote", value: ipvs.RemoteChecksum},
	}
)

func (b *builder) realServer(raw *rawRealServer, service *rawVirtualServer, s VirtualServer, checks []check) RealServer {
	scope := identity(service)
	b.name("real_server", scope, raw.Name, raw.NameRange)
	b.require(raw.Range, "address", raw.Address)
	r := RealServer{
		Name:        raw.Name,
		Address:     read(b, raw.Address, netip.AddrPort{}, matching(parseServer)),
		Weight:      uint32(read(b, raw.Weight, 1, whole(0, 65535))),
		Forward:     read(b, raw.Forward, s.Forward, oneOf(forwards)),
		Maintenance: read(b, raw.Maintenance, false, boolean),
	}
	r.Encapsulation = b.tunnel(raw.Tunnel, r.Forward)
	b.thresholds(raw, &r)
	if r.Address.IsValid() {
		r.Address = b.serverAddress(raw.Address, scope, s, r.Forward, r.Address)
	}
	if len(raw.Checks) > 0 {
		s.Forward = r.Forward
		checks = b.checks(raw.Checks, s)
	}
	b.otherWay(raw, s, r, checks)
	for _, c := range checks {
		if s.Key.Address.IsValid() {
			b.checkPort(c, r)
		}
		r.Checks = append(r.Checks, c.of(s.Name, r))
	}
	return r
}

// tunnel reads what the packets to a server are wrapped in.
func (b *builder) tunnel(raw *rawTunnel, forward ipvs.Forward) ipvs.Encapsulation {
	switch {
	case raw == nil && forward == ipvs.Tunnel:
		return ipvs.Encapsulation{Type: ipvs.IPIP}
	case raw == nil:
		return ipvs.Encapsulation{}
	}
	found := len(b.diags)
	e := ipvs.Encapsulation{
		Type:     read(b, raw.Type, ipvs.IPIP, oneOf(tunnelTypes)),
		Port:     uint16(read(b, raw.Port, 0, whole(0, 65535))),
		Checksum: read(b, raw.Checksum, ipvs.NoChecksum, oneOf(tunnelSums)),
	}
	if forward != ipvs.Tunnel && forward != 0 {
		b.fail(raw.Range, "Contradictory tunnel", fmt.Sprintf(`A tunnel is for forward = "tunnel", not for %q.`, forward))
		return ipvs.Encapsulation{}
	}
	if len(b.diags) > found {
		return e
	}
	switch {
	case e.Type == ipvs.GUE && e.Port == 0 && raw.Port == nil:
		b.fail(raw.Range, "Missing port", `port is required with type = "gue": the UDP port on which the real server takes packets.`)
	case e.Type == ipvs.GUE && e.Port == 0:
		b.invalid("port", raw.Port.Expr.Range(), errors.New(`takes 1 to 65535 with type = "gue"`))
	case e.Type != ipvs.GUE && e.Port != 0:
		b.invalid("port", raw.Port.Expr.Range(), fmt.Errorf(`is for type = "gue"; %s has none`, e.Type))
	}
	switch {
	case e.Type == ipvs.IPIP && e.Checksum != ipvs.NoChecksum:
		b.invalid("checksum", raw.Checksum.Expr.Range(), errors.New(`takes "none" with type = "ipip", which has no checksum`))
	case e.Type == ipvs.GRE && e.Checksum == ipvs.RemoteChecksum:
		b.invalid("checksum", raw.Checksum.Expr.Range(), errors.New(`takes "remote" only with type = "gue"; "gre" has none and full`))
	}
	return e
}

// thresholds reads from how many connections on a server gets no more, and below how many it gets some again.
func (b *builder) thresholds(raw *rawRealServer, r *RealServer) {
	limit := whole(0, math.MaxInt32)
	found := len(b.diags)
	r.UpperThreshold = uint32(read(b, raw.UpperThreshold, 0, limit))
	r.LowerThreshold = uint32(read(b, raw.LowerThreshold, 0, limit))
	if len(b.diags) > found || r.LowerThreshold <= r.UpperThreshold {
		return
	}
	err := fmt.Errorf("takes at most upper_threshold, %d", r.UpperThreshold)
	if r.UpperThreshold == 0 {
		err = errors.New("is where new connections begin again after upper_threshold, which is not set")
	}
	b.invalid("lower_threshold", raw.LowerThreshold.Expr.Range(), err)
}

// serverAddress fills in the port of a server and holds the address, as given, against the service's.
func (b *builder) serverAddress(given *hcl.Attribute, scope string, s VirtualServer, forward ipvs.Forward, a netip.AddrPort) netip.AddrPort {
	at := given.Expr.Range()
	if !s.Key.Address.IsValid() || forward == 0 {
		return a // the service's fault, reported there
	}
	if a.Port() == 0 {
		a = netip.AddrPortFrom(a.Addr(), s.Key.Port)
	}
	if err := b.otherFamily(s.Key.Address, forward, a.Addr()); err != nil {
		b.invalid("address", at, err)
		return a
	}
	if a == netip.AddrPortFrom(s.Key.Address, s.Key.Port) {
		b.invalid("address", at, fmt.Errorf(
			"takes another address than the service's own, %s: connections and checks would come back to the service", a))
		return a
	}
	if err := mapped(s, forward, a); err != nil {
		b.invalid("address", at, err)
	}
	b.unique("real server address", scope, a.String(), at)
	return a
}

// otherFamily says why a server cannot be of another address family than its service, if it is.
func (b *builder) otherFamily(service netip.Addr, forward ipvs.Forward, a netip.Addr) error {
	switch {
	case a.Is4() == service.Is4():
		return nil
	case forward != ipvs.Tunnel:
		return fmt.Errorf("takes an %s address, as the service has: %s cannot translate between IPv4 and IPv6, a tunnel can carry both",
			family(service.Is6()), strings.ToUpper(forward.String()))
	case b.isSynced():
		// ip_vs_genl_set_cmd
		return fmt.Errorf("takes an %s address, as the service has, beside connection_sync (%s): the kernel does not synchronize mixed families",
			family(service.Is6()), place(b.synced))
	}
	return nil
}

// mapped says why the packets to a server cannot get its port, if that is not the service's.
func mapped(s VirtualServer, forward ipvs.Forward, a netip.AddrPort) error {
	if a.Port() == s.Key.Port {
		return nil
	}
	why := ""
	switch {
	case forward == ipvs.DR:
		why = "DR leaves the IP packet unchanged"
	case forward == ipvs.Tunnel:
		why = "a tunnel leaves the packet unchanged"
	case s.Key.Port == 0 && s.Persistence != ipvs.Persistence{}:
		// ip_vs_sched_persist maps the port of the service alone, here 0.
		why = "with persistence the kernel keeps the port that the client asked for"
	default:
		return nil
	}
	if s.Key.Port != 0 {
		return fmt.Errorf(`takes the service's port, %d: %s, so it cannot map ports; forward = "nat" can`, s.Key.Port, why)
	}
	return fmt.Errorf("takes no port here: %s; write %q, and port = %d in its checks", why, a.Addr(), a.Port())
}

// checkPort reports a check that has no port to ask, at the first server that has none, either.
func (b *builder) checkPort(c check, r RealServer) {
	if c.port != 0 || r.Address.Port() != 0 || !r.Address.IsValid() || c.config.Kind == checker.ICMP || c.config.Kind == checker.Exec {
		return
	}
	key := use{what: "check without port", value: c.at.String()}
	if _, said := b.first[key]; said {
		return
	}
	b.first[key] = c.at
	b.fail(c.at, "Missing port", fmt.Sprintf("real_server %q has no port: say which one to ask, with port = 80 for example.", r.Name))
}
