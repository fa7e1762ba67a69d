// SPDX-License-Identifier: Apache-2.0

package realserver

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/holdfast-lb/holdfast/configs"
	"github.com/holdfast-lb/holdfast/ipvs"
	"github.com/holdfast-lb/holdfast/vrrp"
)

// Selection says what of the directors' configuration this host is.
type Selection struct {
	Server    string       // the name of its real_server blocks; empty: those that have an address of this host
	Addresses []netip.Addr // of these virtual servers only; empty: of all
	Gateway   netip.Addr   // with nat; invalid: as the virtual routers say
}

// FromConfig returns what this host is a real server for by the directors' configuration.
func FromConfig(cfg *configs.Config, have Facts, sel Selection) ([]Use, error) {
	if err := known(cfg, sel.Addresses); err != nil {
		return nil, err
	}
	var uses []Use
	for _, s := range cfg.VirtualServers {
		if len(sel.Addresses) > 0 && !slices.Contains(sel.Addresses, s.Key.Address) {
			continue
		}
		servers := s.RealServers
		if sorry := s.Sorry; sorry.Address.IsValid() && sel.Server == "" {
			servers = append(slices.Clone(servers), configs.RealServer{
				Address: sorry.Address, Forward: sorry.Forward, Encapsulation: sorry.Encapsulation,
			})
		}
		for _, rs := range servers {
			if !sel.is(rs, have) {
				continue
			}
			u, err := useOf(cfg, s, rs, have, sel.Gateway)
			if err != nil {
				return nil, fmt.Errorf("virtual_server %q: %w", s.Name, err)
			}
			if !slices.Contains(uses, u) {
				uses = append(uses, u)
			}
		}
	}
	if len(uses) == 0 {
		return nil, sel.none(have)
	}
	return uses, nil
}

func (sel Selection) is(rs configs.RealServer, have Facts) bool {
	if sel.Server != "" {
		return rs.Name == sel.Server
	}
	return slices.ContainsFunc(have.Addresses, func(a Address) bool { return a.Prefix.Addr() == rs.Address.Addr() })
}

// none says that nothing was found.
func (sel Selection) none(have Facts) error {
	where := ""
	if len(sel.Addresses) > 0 {
		where = " of " + join(sel.Addresses)
	}
	if sel.Server != "" {
		return fmt.Errorf("no virtual_server%s has a real_server %q", where, sel.Server)
	}
	var own []netip.Addr
	for _, a := range have.Addresses {
		if ip := a.Prefix.Addr(); !ip.IsLoopback() && !ip.IsLinkLocalUnicast() {
			own = append(own, ip)
		}
	}
	return fmt.Errorf("no real_server%s has an address of this host (%s): name one with --server", where, join(own))
}

// known refuses addresses that no service has.
func known(cfg *configs.Config, addresses []netip.Addr) error {
	var there []netip.Addr
	for _, s := range cfg.VirtualServers {
		if s.Key.Mark == 0 && !slices.Contains(there, s.Key.Address) {
			there = append(there, s.Key.Address)
		}
	}
	for _, a := range addresses {
		if !slices.Contains(there, a) {
			return fmt.Errorf("no virtual_server has the address %s: there is %s", a, join(there))
		}
	}
	return nil
}

func useOf(cfg *configs.Config, s configs.VirtualServer, rs configs.RealServer, have Facts, gateway netip.Addr) (u Use, err error) {
	u = Use{Forward: rs.Forward, Address: s.Key.Address}
	switch {
	case rs.Forward == ipvs.NAT:
		u.Address, u.Gateway = netip.Addr{}, gateway
		if !gateway.IsValid() {
			u.Gateway, err = floating(cfg, s, rs.Address.Addr(), have)
		}
		return u, err
	case s.Key.Mark != 0:
		return u, fmt.Errorf("it is by firewall mark: say its addresses with --method %s --address ADDRESS", rs.Forward)
	case rs.Forward == ipvs.Tunnel:
		u.Encapsulation, u.Local = rs.Encapsulation, rs.Address.Addr()
	}
	return u, nil
}

// floating finds the address by which a real server reaches the master with NAT: one of a virtual router that is on a
// network of this host. Those of the virtual router that has the service go before others, and clients' ones come last.
func floating(cfg *configs.Config, s configs.VirtualServer, server netip.Addr, have Facts) (netip.Addr, error) {
	found := make([][]netip.Addr, 4) // by preference
	for _, vr := range cfg.VirtualRouters {
		for _, a := range vr.All() {
			g := a.Prefix.Addr()
			if g.Is4() != server.Is4() || g.IsLinkLocalUnicast() || !have.onLink(g) {
				continue
			}
			rank := 0
			if !carries(vr, s) {
				rank++
			}
			if slices.ContainsFunc(cfg.VirtualServers, func(o configs.VirtualServer) bool { return o.Key.Address == g }) {
				rank += 2
			}
			if !slices.Contains(found[rank], g) {
				found[rank] = append(found[rank], g)
			}
		}
	}
	for _, best := range found {
		switch len(best) {
		case 0:
		case 1:
			return best[0], nil
		default:
			return netip.Addr{}, fmt.Errorf("nat: several floating addresses can be the gateway (%s): name one with --gateway", join(best))
		}
	}
	return netip.Addr{}, fmt.Errorf(
		"nat: no virtual_router has an address on a network of this host: give it one for the real servers' gateway, or name that with --gateway")
}

func carries(vr vrrp.Config, s configs.VirtualServer) bool {
	return vr.Name == s.VirtualRouter || s.VirtualRouter == "" && vr.Name == s.Active
}

func join(addresses []netip.Addr) string {
	if len(addresses) == 0 {
		return "none"
	}
	var text []string
	for _, a := range addresses {
		text = append(text, a.String())
	}
	return strings.Join(text, ", ")
}
