// SPDX-License-Identifier: Apache-2.0

package director

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/holdfast-lb/holdfast/checker"
	"github.com/holdfast-lb/holdfast/configs"
	"github.com/holdfast-lb/holdfast/ipvs"
	"github.com/holdfast-lb/holdfast/vrrp"
)

// Plan is what would change on this host if a configuration were applied.
type Plan struct {
	Operations []string       `json:"operations"`       // on the IPVS table, as arguments of ipvsadm
	Later      []LaterServer  `json:"later"`            // servers that join after their first passed check
	Drains     []DrainNote    `json:"drains"`           // servers that leave the table by and by
	Policy     []PolicyNote   `json:"policy"`           // what decides beside the checks
	Remove     []AddressState `json:"remove"`           // addresses of the last run that the configuration has no longer
	Held       []AddressState `json:"held"`             // addresses of the configuration that are on this host now
	Foreign    []string       `json:"foreign_services"` // in the table, and not ours: left alone
}

// DrainNote is a real server that is, or would be, in the table for the connections it has.
type DrainNote struct {
	Service        string  `json:"service"`
	Server         string  `json:"server"`
	Address        string  `json:"address"`
	Cause          string  `json:"cause"`           // command, maintenance or configuration
	TimeoutSeconds float64 `json:"timeout_seconds"` // from now; what is left then is cut
	Waits          bool    `json:"waits"`           // with its weight, until there is a verdict on another one
	Then           string  `json:"then"`            // the operation, as arguments of ipvsadm
}

// LaterServer is a real server that nothing is known of yet, or that was down in the last run.
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

// MakePlan compares a configuration with the table and the addresses that there are. Servers in the table count as up,
// unless the state of the last run says otherwise, and who holds the addresses of a virtual router as its master.
func MakePlan(cfg *configs.Config, have ipvs.State, last State, missing func([]vrrp.Address) []vrrp.Address) Plan {
	p := Plan{
		Operations: []string{}, Later: []LaterServer{}, Drains: []DrainNote{}, Policy: []PolicyNote{}, Remove: []AddressState{},
		Held: []AddressState{}, Foreign: []string{},
	}
	now := time.Now()
	f := facts{cfg: cfg, overrides: last.overrides(), holding: make(map[string]bool)}
	var sync connSync
	for _, vr := range cfg.VirtualRouters {
		f.holding[vr.Name] = len(missing(vr.All())) == 0
		sync.master = sync.master || vr.Name == cfg.ConnectionSync.VirtualRouter && f.holding[vr.Name]
		p.Held = append(p.Held, held(vr.All(), missing)...)
	}
	p.Remove = append(p.Remove, held(last.stale(cfg).addresses, missing)...)
	want, decided, _ := desired(now, f, leftBehind(now, cfg, have.Services, last))
	goal := ipvs.Goal{Services: want, Owned: last.Keys(), Timeouts: cfg.Timeouts, Syncs: syncing(cfg) || last.ConnectionSync}
	if syncing(cfg) {
		halves, _ := sync.roles(now)
		goal.Sync = daemons(cfg, halves)
	}
	ops, _ := ipvs.Plan(have, goal)
	for _, op := range ops {
		p.Operations = append(p.Operations, op.String())
	}
	p.Foreign = append(p.Foreign, foreign(have.Services, goal)...)
	p.Drains = append(p.Drains, drainNotes(now, decided)...)
	for _, vs := range cfg.VirtualServers {
		for _, note := range policyNotes(vs, decided.services[vs.Key]) {
			p.Policy = append(p.Policy, PolicyNote{vs.Name, note})
		}
		for _, rs := range vs.RealServers {
			if is := decided.server(vs, rs); is.drain.cause == 0 && (is.verdict == checker.Unknown || is.verdict == checker.Down && !is.present) {
				p.Later = append(p.Later, LaterServer{vs.Name, rs.Name, rs.Address.String()})
			}
		}
	}
	return p
}

// foreign lists the services of a table that are not ours.
func foreign(table []ipvs.Service, goal ipvs.Goal) (list []string) {
	ours := make(map[ipvs.Key]bool)
	for _, s := range goal.Services {
		ours[s.Key] = true
	}
	for _, k := range goal.Owned {
		ours[k] = true
	}
	for _, s := range table {
		if !ours[s.Key] {
			list = append(list, s.Key.String())
		}
	}
	return list
}

// drainNotes lists what leaves the table by and by.
func drainNotes(now time.Time, d decisions) (list []DrainNote) {
	note := func(name object, id serverID, cause drainCause, left time.Duration, waits bool) {
		then := ipvs.Op{Kind: ipvs.DeleteDestination, Service: id.service, Destination: ipvs.Destination{Address: id.address}}
		list = append(list, DrainNote{
			Service: name.service, Server: name.server, Address: id.address.String(), Cause: cause.word(),
			TimeoutSeconds: left.Seconds(), Waits: waits, Then: then.String(),
		})
	}
	for _, r := range d.running() {
		note(r.name, r.id, r.cause, r.until.Sub(now), false)
	}
	for _, id := range slices.SortedFunc(maps.Keys(d.leaving), serverID.compare) {
		if l := d.leaving[id]; l.drain.cause == 0 {
			note(l.name, id, byConfiguration, l.timeout, true)
		}
	}
	return list
}

// policyNotes says of a service what beside its checks decides on the table, as far as that is configured.
func policyNotes(vs configs.VirtualServer, is service) (notes []string) {
	note := func(format string, args ...any) { notes = append(notes, fmt.Sprintf(format, args...)) }
	if vs.Active != "" {
		note("in the table only while virtual_router %s serves its addresses", vs.Active)
	}
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
