// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"errors"
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
		err = errors.New("takes path only with forward = \"dr\": nat packets go to the server's own address anyway, write \"direct\"")
	case service.Forward == ipvs.Tunnel:
		err = notYet("A check by way of a client's packet through a tunnel is not supported yet: write \"direct\".")
	case c.address.IsValid():
		err = errors.New("takes path only without address: a client's packet goes to the real server itself")
	}
	if err != nil {
		b.invalid("via", raw.Via.Expr.Range(), err)
	}
}
