// SPDX-License-Identifier: Apache-2.0

package director

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"time"

	"github.com/holdfast-lb/holdfast/configs"
	"github.com/holdfast-lb/holdfast/internal/sysctl"
	"github.com/holdfast-lb/holdfast/internal/trust"
	"github.com/holdfast-lb/holdfast/ipvs"
	"github.com/holdfast-lb/holdfast/vrrp"
)

// State is what the next run of this director must know of this one. It is a file in director.state_dir.
type State struct {
	Version        int           `json:"version"`
	VirtualRouters []RouterState `json:"virtual_routers"` // in the order of their names
	Services       []ServiceKey  `json:"services"`        // ours in the IPVS table
	// What operators have said, and which drains are going on.
	Overrides []OverrideState `json:"overrides,omitempty"`
	Drains    []DrainState    `json:"drains,omitempty"`
	// StepDowns are the virtual routers that leave the role to others.
	StepDowns []StepDownState `json:"step_downs,omitempty"`
	// Health is of the virtual servers that were not well.
	Health []HealthState `json:"health,omitempty"`
	// ConnectionSync says that the sync daemons in the kernel are ours.
	ConnectionSync bool `json:"connection_sync,omitempty"`
	// Sysctls are parameters of the kernel that are to be put back.
	Sysctls sysctl.Loans `json:"sysctls,omitzero"`
}

// OverrideState is what an operator has said about a real server.
type OverrideState struct {
	VirtualServer  string   `json:"virtual_server"`
	RealServer     string   `json:"real_server"`
	Drain          bool     `json:"drain,omitempty"`
	TimeoutSeconds *float64 `json:"timeout_seconds,omitempty"` // nil: the service's drain_timeout
	Weight         *uint32  `json:"weight,omitempty"`          // nil: as configured
}

// DrainState is a real server that is in the table for the connections it has. It need not be in the configuration.
type DrainState struct {
	VirtualServer string         `json:"virtual_server"`
	RealServer    string         `json:"real_server"`
	Service       ServiceKey     `json:"service"`
	Address       netip.AddrPort `json:"address"`
	Since         time.Time      `json:"since"`
	Until         time.Time      `json:"until"` // what is left then is cut
}

// RouterState is the role of a virtual router, and what it puts on this host. Earlier versions wrote the name, the role
// and the addresses only.
type RouterState struct {
	Name      string         `json:"name"`
	Master    bool           `json:"master"`
	Addresses []AddressState `json:"addresses"` // all that move, those carried in adverts first
	Routes    []RouteState   `json:"routes,omitempty"`
	VMAC      *VMACState     `json:"vmac,omitempty"` // nil: it has no virtual MAC address
}

// AddressState is an address on an interface.
type AddressState struct {
	Prefix netip.Prefix `json:"prefix"`
	Device string       `json:"device"`
}

// RouteState is the JSON form of a vrrp.Route.
type RouteState struct {
	Destination netip.Prefix `json:"destination"`
	Via         netip.Addr   `json:"via,omitzero"`
	Device      string       `json:"device"`
	Source      netip.Addr   `json:"source,omitzero"`
	Table       int          `json:"table,omitempty"`
	Metric      int          `json:"metric,omitempty"`
}

// VMACState says which virtual MAC address there is on which interface; its family is that of the first address.
type VMACState struct {
	Interface string `json:"interface"`
	ID        uint8  `json:"id"`
}

// ServiceKey is the JSON form of an ipvs.Key. A service by firewall mark has the unspecified address of its family and no
// protocol.
type ServiceKey struct {
	Address  netip.AddrPort `json:"address"`
	Protocol string         `json:"protocol,omitempty"`
	Mark     uint32         `json:"fwmark,omitempty"`
}

func newServiceKey(k ipvs.Key) ServiceKey {
	s := ServiceKey{Address: netip.AddrPortFrom(k.Address, k.Port), Mark: k.Mark}
	if k.Mark == 0 {
		s.Protocol = k.Protocol.String()
	}
	return s
}

// key returns what it stands for, if that can be a service.
func (s ServiceKey) key() (ipvs.Key, bool) {
	if !s.Address.IsValid() {
		return ipvs.Key{}, false
	}
	if s.Mark != 0 {
		return ipvs.MarkKey(s.Mark, s.Address.Addr().Is6()), true
	}
	for _, p := range []ipvs.Protocol{ipvs.TCP, ipvs.UDP, ipvs.SCTP} {
		if p.String() == s.Protocol {
			return ipvs.Key{Address: s.Address.Addr(), Port: s.Address.Port(), Protocol: p}, true
		}
	}
	return ipvs.Key{}, false
}

const (
	stateVersion = 1
	stateName    = "state.json"
	stateMost    = 16 << 20 // bytes; a larger file is not ours
)

// newState describes a configuration and the roles that its virtual routers have, and those that are no longer in it and
// still hand over: a crash meanwhile must not leave for ever what they have put on this host.
func newState(cfg *configs.Config, leaving []vrrp.Config, roles map[string]vrrp.State, owned []ipvs.Key) State {
	s := State{Version: stateVersion}
	for n, vr := range slices.Concat(cfg.VirtualRouters, leaving) {
		stays := n < len(cfg.VirtualRouters)
		r := RouterState{Name: vr.Name, Master: stays && roles[vr.Name] == vrrp.Master}
		for _, a := range vr.All() {
			r.Addresses = append(r.Addresses, AddressState(a))
		}
		for _, route := range vr.Routes {
			r.Routes = append(r.Routes, RouteState(route))
		}
		if vr.VMAC {
			r.VMAC = &VMACState{vr.Interface, vr.ID}
		}
		s.VirtualRouters = append(s.VirtualRouters, r)
	}
	slices.SortStableFunc(s.VirtualRouters, func(a, b RouterState) int { return cmp.Compare(a.Name, b.Name) })
	for _, k := range owned {
		s.Services = append(s.Services, newServiceKey(k))
	}
	return s
}

func (s State) equal(o State) bool {
	return s.equalButHealth(o) && slices.EqualFunc(s.Health, o.Health, HealthState.equal)
}

// equalButHealth compares the rest.
func (s State) equalButHealth(o State) bool {
	return slices.Equal(s.Services, o.Services) && slices.Equal(s.Drains, o.Drains) && slices.Equal(s.StepDowns, o.StepDowns) &&
		reflect.DeepEqual(s.Overrides, o.Overrides) &&
		s.ConnectionSync == o.ConnectionSync && sameLoans(s.Sysctls, o.Sysctls) && reflect.DeepEqual(s.VirtualRouters, o.VirtualRouters)
}

// ReadState reads the state file in dir. That there is none is no error.
func ReadState(dir string) (State, error) {
	path := filepath.Join(dir, stateName)
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return State{Version: stateVersion}, nil
	}
	if os.Geteuid() == 0 { // it says what to remove from this host
		if others := trust.Path(path); errors.Is(others, trust.ErrOthers) {
			err = others
		}
	}
	if err == nil && info.Size() > stateMost {
		err = fmt.Errorf("%d bytes are more than any state takes", info.Size())
	}
	var b []byte
	if err == nil {
		b, err = os.ReadFile(path)
	}
	if err == nil {
		var s State
		if s, err = parseState(b); err == nil {
			return s, nil
		}
	}
	return State{Version: stateVersion}, fmt.Errorf("read state %s: %w", path, err)
}

func parseState(b []byte) (State, error) {
	var s State
	if err := json.Unmarshal(b, &s); err != nil {
		return State{}, err
	}
	if s.Version != stateVersion {
		return State{}, fmt.Errorf("version %d is not %d", s.Version, stateVersion)
	}
	return s, nil
}

// Keys returns the services that the state names; what cannot be one is left out.
func (s State) Keys() []ipvs.Key {
	var keys []ipvs.Key
	for _, k := range s.Services {
		if key, ok := k.key(); ok {
			keys = append(keys, key)
		}
	}
	return keys
}

// master reports whether the last run ended as master of the virtual router of that name.
func (s State) master(vr vrrp.Config) bool {
	return slices.ContainsFunc(s.VirtualRouters, func(r RouterState) bool { return r.Name == vr.Name && r.Master })
}

// leftovers is what the last run put on this host and the configuration has no longer.
type leftovers struct {
	addresses []vrrp.Address
	routes    []vrrp.Route
	vmacs     []vrrp.Config // as much of them as Host.Discard needs
}

// stale returns what is not of the configuration any more. What cannot be used is left out.
func (s State) stale(cfg *configs.Config) leftovers {
	var left leftovers
	kept := func(has func(vrrp.Config) bool) bool { return slices.ContainsFunc(cfg.VirtualRouters, has) }
	for _, r := range s.VirtualRouters {
		for _, as := range r.Addresses {
			a := vrrp.Address(as)
			if a.Prefix.IsValid() && !kept(func(vr vrrp.Config) bool { return slices.Contains(vr.All(), a) }) {
				left.addresses = append(left.addresses, a)
			}
		}
		for _, rs := range r.Routes {
			route := vrrp.Route(rs)
			if route.Destination.IsValid() && !kept(func(vr vrrp.Config) bool { return slices.Contains(vr.Routes, route) }) {
				left.routes = append(left.routes, route)
			}
		}
		if r.VMAC == nil || len(r.Addresses) == 0 || !r.Addresses[0].Prefix.IsValid() {
			continue
		}
		vmac := vrrp.Config{
			Name: r.Name, Interface: r.VMAC.Interface, ID: r.VMAC.ID, VMAC: true, Addresses: []vrrp.Address{vrrp.Address(r.Addresses[0])},
		}
		if !kept(func(vr vrrp.Config) bool { return vr.VMAC && samePlace(vr, vmac) }) {
			left.vmacs = append(left.vmacs, vmac)
		}
	}
	return left
}

// write puts the state into its file, whole or not at all.
func (s State) write(dir string) error {
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, stateName+".*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.Write(append(b, '\n'))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), filepath.Join(dir, stateName))
}

// healthEvery is the least time between two writes for health alone: that changes much more often than all else, and at
// worst the next run finds out anew what has just changed.
const healthEvery = time.Second

// stateRetry is how long after a write that failed the next one is tried at the latest.
const stateRetry = 10 * time.Second

// keepState writes the newest state that comes in until ctx ends, and what came in last. A full or read-only disk is
// said once.
func keepState(ctx context.Context, dir string, states <-chan State, log *slog.Logger) {
	var (
		newest, there State
		wrote         time.Time
		later         <-chan time.Time // when newest is to be written; nil: it is
	)
	failed := false
	write := func() {
		later, wrote, there = nil, time.Now(), newest
		err := newest.write(dir)
		if err != nil && !failed {
			log.Warn("state not saved: a restart would begin as if it were the first", "path", dir, "err", err)
		}
		if failed = err != nil; failed {
			later = time.After(stateRetry)
		}
	}
	for {
		select {
		case newest = <-states:
			switch wait := time.Until(wrote.Add(healthEvery)); {
			case wait <= 0 || failed || !newest.equalButHealth(there):
				write()
			case later == nil:
				later = time.After(wait)
			}
		case <-later:
			write()
		case <-ctx.Done():
			select {
			case newest = <-states:
				write()
			default:
				if later != nil {
					write()
				}
			}
			return
		}
	}
}
