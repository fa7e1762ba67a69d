// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/holdfast-lb/holdfast/checker"
	"github.com/holdfast-lb/holdfast/ipvs"
)

// ways are how a check gets to its server; whether it is the way of a client.
var ways = []choice[bool]{{word: "direct", value: false}, {word: "path", value: true}}

// via holds the way of a check against the service, and sets where it leads.
func (b *builder) via(raw *rawCheck, c *check, service VirtualServer) {
	if !c.config.Path {
		return
	}
	c.config.Service = netip.AddrPortFrom(service.Key.Address, service.Key.Port)
	var err error
	switch {
	case !slices.Contains([]checker.Kind{checker.TCP, checker.HTTP, checker.GRPC, checker.SMTP}, c.config.Kind):
		err = errors.New("takes path only in checks tcp, http, grpc and smtp, which open a TCP connection: write \"direct\"")
	case service.Key.Mark != 0 || service.Key.Address.IsValid() && service.Key.Port == 0:
		err = errors.New("takes path only in a service of one address and port: write \"direct\"")
	case service.Key.Protocol != ipvs.TCP && service.Key.Protocol != 0:
		err = errors.New("takes path only in a service of TCP: write \"direct\"")
	case service.Forward == ipvs.NAT:
		err = errors.New("takes path only with forward = \"dr\" or \"tunnel\": nat packets go to the server's own address anyway, write \"direct\"")
	case c.address.IsValid():
		err = errors.New("takes path only without address: a client's packet goes to the real server itself")
	}
	if err != nil {
		b.invalid("via", raw.Via.Expr.Range(), err)
	}
}

// otherWay reports checks by way of a client's packet that do not suit the way to this server: those of the service where
// it has none of its own.
func (b *builder) otherWay(raw *rawRealServer, s VirtualServer, r RealServer, checks []check) {
	mixed := r.Address.IsValid() && s.Key.Address.IsValid() && r.Address.Addr().Is4() != s.Key.Address.Is4()
	for _, c := range checks {
		switch {
		case !c.config.Path:
			continue
		case r.Forward == ipvs.NAT && len(raw.Checks) == 0 && r.Forward != s.Forward:
			b.fail(raw.Forward.Expr.Range(), "Contradictory forward", fmt.Sprintf(
				`The check %q of the service has via = "path", which takes forward = "dr" or "tunnel": give this server checks of its own.`, c.name))
		case r.Forward == ipvs.Tunnel && mixed:
			b.refuse(raw.Address.Expr.Range(), fmt.Sprintf(
				`The check %q has via = "path", which goes through no tunnel between IPv4 and IPv6 yet: give this server checks of its own with "direct".`, c.name))
		default:
			continue
		}
		return
	}
}

// tunnels are the sorts of tunnel by what they are in the table.
var tunnels = map[ipvs.TunnelType]checker.TunnelKind{ipvs.IPIP: checker.TunnelIPIP, ipvs.GUE: checker.TunnelGUE, ipvs.GRE: checker.TunnelGRE}

// tunnelOf is what a packet to a server is wrapped in; its zero value: nothing. What a remote checksum asks for, a kernel
// does with packets of its own alone.
func tunnelOf(r RealServer) checker.Tunnel {
	if r.Forward != ipvs.Tunnel {
		return checker.Tunnel{}
	}
	e := r.Encapsulation
	return checker.Tunnel{Kind: tunnels[e.Type], Port: e.Port, Checksum: e.Checksum == ipvs.FullChecksum}
}
