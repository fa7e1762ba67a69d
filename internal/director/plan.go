// SPDX-License-Identifier: Apache-2.0

package director

import (
	"fmt"
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
	Policy     []PolicyNote   `json:"policy"`     // what decides beside the checks
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

// PolicyNote says what a service's quorum or panic threshold makes of the servers that are in the table.
type PolicyNote struct {
	Service string `json:"service"`
	Note    string `json:"note"`
}

// Changes reports whether anything would change now.
func (p Plan) Changes() bool { return len(p.Operations)+len(p.Remove) > 0 }

// MakePlan compares a configuration with the table and the addresses that there are. Servers in the table count as up.
func MakePlan(cfg *configs.Config, table []ipvs.Service, last State, missing func([]vrrp.Address) []vrrp.Address) Plan {
	p := Plan{Operations: []string{}, Later: []LaterServer{}, Policy: []PolicyNote{}, Remove: []AddressState{}, Held: []AddressState{}}
	now := time.Now()
	want, decided, _ := desired(now, facts{cfg: cfg, overrides: last.overrides()}, leftBehind(now, cfg, table, last))
	ops, foreign := ipvs.Plan(ipvs.State{Services: table}, ipvs.Goal{Services: want, Owned: last.Keys()})
	p.Foreign = foreign
	for _, op := range ops {
		p.Operations = append(p.Operations, op.String())
	}
	for _, vs := range cfg.VirtualServers {
		for _, note := range policyNotes(vs, decided.services[vs.Key]) {
			p.Policy = append(p.Policy, PolicyNote{vs.Name, note})
		}
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

// policyNotes says of a service what beside its checks decides on the table, as far as that is configured.
func policyNotes(vs configs.VirtualServer, is service) (notes []string) {
	note := func(format string, args ...any) { notes = append(notes, fmt.Sprintf(format, args...)) }
	if vs.Quorum.Weight > 1 || vs.Quorum.Hysteresis > 0 || vs.Sorry.Address.IsValid() {
		state := "not known before more servers are checked"
		switch is.verdict {
		case checker.Up:
			state = "met"
		case checker.Down:
			state = "lost"
		}
		note("quorum %d, servers in the table have weight %d: %s", quorum(vs, is.verdict), is.weight, state)
	}
	if vs.Sorry.Address.IsValid() {
		if is.sorry {
			note("sorry server %s (%s) stays, until the quorum is met", vs.Sorry.Address, vs.Sorry.Forward)
		} else {
			note("sorry server %s (%s) gets the traffic when the quorum is lost", vs.Sorry.Address, vs.Sorry.Forward)
		}
	}
	if all := len(vs.RealServers); vs.PanicThreshold > 0 && all > 0 {
		least := (vs.PanicThreshold*all + 99) / 100
		note("panic_threshold %d %%: with fewer than %d of %d servers up all get traffic; %d are in the table",
			vs.PanicThreshold, least, all, is.up)
	}
	return notes
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
