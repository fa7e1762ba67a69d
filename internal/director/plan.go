// SPDX-License-Identifier: Apache-2.0

package director

import (
	"time"

	"github.com/holdfast-lb/holdfast/checker"
	"github.com/holdfast-lb/holdfast/configs"
	"github.com/holdfast-lb/holdfast/ipvs"
	"github.com/holdfast-lb/holdfast/vrrp"
)

// Plan is what would change on this host if a configuration were applied.
type Plan struct {
	Operations []string       `json:"operations"` // on the IPVS table, as arguments of ipvsadm
	Later      []LaterServer  `json:"later"`      // servers that join after their first passed check
	Remove     []AddressState `json:"remove"`     // addresses of the last run that the configuration has no longer
	Held       []AddressState `json:"held"`       // addresses of the configuration that are on this host now
	Foreign    int            `json:"foreign_services"`
}

// LaterServer is a real server that nothing is known of yet.
type LaterServer struct {
	Service string `json:"service"`
	Server  string `json:"server"`
	Address string `json:"address"`
}

// Changes reports whether anything would change now.
func (p Plan) Changes() bool { return len(p.Operations)+len(p.Remove) > 0 }

// MakePlan compares a configuration with the table and the addresses that there are. Servers in the table count as up.
func MakePlan(cfg *configs.Config, table []ipvs.Service, last State, missing func([]vrrp.Address) []vrrp.Address) Plan {
	p := Plan{Operations: []string{}, Later: []LaterServer{}, Remove: []AddressState{}, Held: []AddressState{}}
	now := time.Now()
	want, decided, _ := desired(now, cfg, nil, leftBehind(now, cfg, table))
	ops, foreign := ipvs.Plan(table, want, last.Keys())
	p.Foreign = foreign
	for _, op := range ops {
		p.Operations = append(p.Operations, op.String())
	}
	for _, vs := range cfg.VirtualServers {
		for _, rs := range vs.RealServers {
			if decided.server(vs, rs).verdict == checker.Unknown {
				p.Later = append(p.Later, LaterServer{vs.Name, rs.Name, rs.Address.String()})
			}
		}
	}
	for _, vr := range cfg.VirtualRouters {
		p.Held = append(p.Held, held(vr.All(), missing)...)
	}
	p.Remove = append(p.Remove, held(last.stale(cfg).addresses, missing)...)
	return p
}

// held returns those of the addresses that are on this host.
func held(addresses []vrrp.Address, missing func([]vrrp.Address) []vrrp.Address) []AddressState {
	var there []AddressState
	for _, a := range addresses {
		if len(missing([]vrrp.Address{a})) == 0 {
			there = append(there, AddressState(a))
		}
	}
	return there
}
