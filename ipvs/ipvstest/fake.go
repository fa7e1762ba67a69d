// SPDX-License-Identifier: Apache-2.0

// Package ipvstest has an IPVS table in memory and the tests that it and the kernel's both pass.
package ipvstest

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/holdfast-lb/holdfast/ipvs"
)

// Schedulers are the names of the schedulers of Linux 6.1. The fake knows them all; a kernel may lack the module of one.
var Schedulers = strings.Fields("rr wrr lc wlc sed nq sh dh mh lblc lblcr fo ovf twos")

// AbsentInterface is the name of a network interface that neither the fake nor the machine of a test has.
const AbsentInterface = "absent0"

// Fake is an [ipvs.Table] in memory that refuses what the kernel refuses, with the same errno. It is ready to use and
// safe for use by several goroutines.
type Fake struct {
	mu       sync.Mutex
	table    map[ipvs.Key]*service
	timeouts *ipvs.Timeouts // nil: the kernel's defaults
	daemons  []ipvs.SyncDaemon
	fail     func(call string) error
	applied  []string
	lists    int
}

type service struct {
	ipvs.Service // without destinations
	counters     ipvs.Counters
	destinations map[netip.AddrPort]*destination
}

type destination struct {
	ipvs.Destination
	counters ipvs.Counters
}

// Fail makes every call for which f returns an error fail with it. The call is the operation as arguments of ipvsadm,
// or "list", "stats", "timeouts" or "daemons". Nil lets everything pass again.
func (f *Fake) Fail(fail func(call string) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fail = fail
}

// Applied returns the operations since the last call of it, refused ones included, as arguments of ipvsadm.
func (f *Fake) Applied() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	ops := f.applied
	f.applied = nil
	return ops
}

// Lists returns how often the table was read.
func (f *Fake) Lists() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.lists
}

// Count sets what is counted for a service and for each of its destinations.
func (f *Fake) Count(k ipvs.Key, c ipvs.Counters) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.table[k].counters = c
	for _, d := range f.table[k].destinations {
		d.counters = c
	}
}

// String returns the table as ipvsadm -Sn prints it, in order.
func (f *Fake) String() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return Dump(f.list())
}

// Dump returns a table as ipvsadm -Sn prints it, in order.
func Dump(table []ipvs.Service) string {
	var b strings.Builder
	for _, op := range ipvs.Diff(table, nil) {
		fmt.Fprintln(&b, op)
	}
	return b.String()
}

// List implements [ipvs.Table].
func (f *Fake) List(ctx context.Context) ([]ipvs.Service, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lists++
	if err := f.refuse(ctx, "list"); err != nil {
		return nil, err
	}
	return f.list(), nil
}

func (f *Fake) list() []ipvs.Service {
	list := make([]ipvs.Service, 0, len(f.table))
	for _, s := range f.table {
		copied := s.Service
		for _, d := range s.destinations {
			copied.Destinations = append(copied.Destinations, d.Destination)
		}
		slices.SortFunc(copied.Destinations, func(a, b ipvs.Destination) int { return a.Address.Compare(b.Address) })
		list = append(list, copied)
	}
	slices.SortFunc(list, func(a, b ipvs.Service) int { return a.Key.Compare(b.Key) })
	return list
}

// Stats implements [ipvs.Table].
func (f *Fake) Stats(ctx context.Context) ([]ipvs.ServiceStats, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.refuse(ctx, "stats"); err != nil {
		return nil, err
	}
	var stats []ipvs.ServiceStats
	for _, s := range f.list() {
		st := ipvs.ServiceStats{Key: s.Key, Counters: f.table[s.Key].counters}
		for _, d := range s.Destinations {
			counters := f.table[s.Key].destinations[d.Address].counters
			st.Destinations = append(st.Destinations, ipvs.DestinationStats{Address: d.Address, Counters: counters})
		}
		stats = append(stats, st)
	}
	return stats, nil
}

// Close implements [ipvs.Table] and does nothing.
func (f *Fake) Close() error { return nil }

func (f *Fake) refuse(ctx context.Context, call string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if f.fail != nil {
		return f.fail(call)
	}
	return nil
}

// Timeouts implements [ipvs.Table]. They begin as the kernel's defaults.
func (f *Fake) Timeouts(ctx context.Context) (ipvs.Timeouts, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.refuse(ctx, "timeouts"); err != nil {
		return ipvs.Timeouts{}, err
	}
	return f.inForce(), nil
}

func (f *Fake) inForce() ipvs.Timeouts {
	if f.timeouts == nil {
		return ipvs.Timeouts{TCP: 15 * time.Minute, TCPFin: 2 * time.Minute, UDP: 5 * time.Minute}
	}
	return *f.timeouts
}

// SyncDaemons implements [ipvs.Table].
func (f *Fake) SyncDaemons(ctx context.Context) ([]ipvs.SyncDaemon, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.refuse(ctx, "daemons"); err != nil {
		return nil, err
	}
	return slices.Clone(f.daemons), nil
}

// Apply implements [ipvs.Table].
func (f *Fake) Apply(ctx context.Context, op ipvs.Op) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.applied = append(f.applied, op.String())
	if err := f.refuse(ctx, op.String()); err != nil {
		return err
	}
	s := f.table[op.Service]
	switch {
	case op.Kind == ipvs.SetTimeouts:
		f.set(op.Timeouts)
		return nil
	case op.Kind == ipvs.StartSync:
		return f.start(op.Sync)
	case op.Kind == ipvs.StopSync:
		return f.stop(op.Sync.Role)
	case op.Kind == ipvs.AddService && s != nil:
		return syscall.EEXIST
	case op.Kind == ipvs.AddService:
		return f.addService(op)
	case s == nil:
		return syscall.ESRCH
	case op.Kind == ipvs.UpdateService:
		if err := check(op); err != nil {
			return err
		}
		s.Settings = op.Settings
	case op.Kind == ipvs.DeleteService:
		delete(f.table, op.Service)
	case mixed(op) && op.Kind != ipvs.DeleteDestination && (op.Destination.Forward != ipvs.Tunnel || len(f.daemons) > 0):
		return syscall.EINVAL
	default:
		return s.apply(op)
	}
	return nil
}

func (f *Fake) set(t ipvs.Timeouts) {
	now := f.inForce()
	f.timeouts = &ipvs.Timeouts{TCP: cmp.Or(t.TCP, now.TCP), TCPFin: cmp.Or(t.TCPFin, now.TCPFin), UDP: cmp.Or(t.UDP, now.UDP)}
}

func (f *Fake) start(d ipvs.SyncDaemon) error {
	sameRole := func(o ipvs.SyncDaemon) bool { return o.Role == d.Role }
	switch {
	case !d.Group.IsMulticast() || f.hasMixed():
		return syscall.EINVAL
	case slices.ContainsFunc(f.daemons, sameRole):
		return syscall.EEXIST
	case d.Interface == AbsentInterface:
		return syscall.ENODEV
	}
	f.daemons = append(f.daemons, d)
	slices.SortFunc(f.daemons, func(a, b ipvs.SyncDaemon) int { return cmp.Compare(a.Role, b.Role) })
	return nil
}

func (f *Fake) stop(role ipvs.SyncRole) error {
	before := len(f.daemons)
	f.daemons = slices.DeleteFunc(f.daemons, func(d ipvs.SyncDaemon) bool { return d.Role == role })
	if len(f.daemons) == before {
		return syscall.ESRCH
	}
	return nil
}

// mixed reports whether the destination is of another address family than its service.
func mixed(op ipvs.Op) bool { return op.Destination.Address.Addr().Is4() != op.Service.Address.Is4() }

func (f *Fake) hasMixed() bool {
	for k, s := range f.table {
		for a := range s.destinations {
			if a.Addr().Is4() != k.Address.Is4() {
				return true
			}
		}
	}
	return false
}

// check tells what the kernel says about the settings of a service.
func check(op ipvs.Op) error {
	p := op.Persistence
	switch {
	case !slices.Contains(Schedulers, op.Scheduler) || p.Engine != "" && p.Engine != "sip":
		return syscall.ENOENT
	case op.Service.Address.Is6() && p.Timeout != 0 && (p.Netmask < 1 || p.Netmask > 128):
		return syscall.EINVAL
	}
	return nil
}

func (f *Fake) addService(op ipvs.Op) error {
	if err := check(op); err != nil {
		return err
	}
	if f.table == nil {
		f.table = make(map[ipvs.Key]*service)
	}
	f.table[op.Service] = &service{
		Service:      ipvs.Service{Key: op.Service, Settings: op.Settings},
		destinations: make(map[netip.AddrPort]*destination),
	}
	return nil
}

func (s *service) apply(op ipvs.Op) error {
	d, address := op.Destination, op.Destination.Address
	have := s.destinations[address]
	switch {
	case op.Kind == ipvs.DeleteDestination && have == nil:
		return syscall.ENOENT
	case op.Kind == ipvs.DeleteDestination:
		delete(s.destinations, address)
	case d.Weight > math.MaxInt32 || d.Lower > d.Upper:
		return syscall.ERANGE
	case d.Encapsulation.Type == ipvs.GUE && d.Encapsulation.Port == 0:
		return syscall.EINVAL
	case op.Kind == ipvs.UpdateDestination && have == nil:
		return syscall.ENOENT
	case op.Kind == ipvs.UpdateDestination:
		have.Destination = d
	case have != nil:
		return syscall.EEXIST
	case !unicast(address.Addr()):
		return syscall.EINVAL
	default:
		s.destinations[address] = &destination{Destination: d}
	}
	return nil
}

func unicast(a netip.Addr) bool {
	broadcast := netip.AddrFrom4([4]byte{255, 255, 255, 255})
	return !a.IsUnspecified() && !a.IsMulticast() && a != broadcast && !(a.Is6() && a.IsLinkLocalUnicast())
}
