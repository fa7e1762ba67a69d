// SPDX-License-Identifier: Apache-2.0

package director

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-lb/holdfast/configs"
	"github.com/holdfast-lb/holdfast/internal/notify"
	"github.com/holdfast-lb/holdfast/internal/systemd"
	"github.com/holdfast-lb/holdfast/ipvs"
	"github.com/holdfast-lb/holdfast/vrrp"
	"github.com/holdfast-lb/holdfast/vrrp/track"
)

// Reload is what a reload did.
type Reload struct {
	Hash     string              `json:"hash"`
	Changes  []string            `json:"changes"`  // what is different now; empty: nothing
	Warnings configs.Diagnostics `json:"warnings"` // of the new configuration
}

// ErrReload wraps the reason why a new configuration was not taken; the old one is still in force.
var ErrReload = errors.New("reload refused, the old configuration is still in force")

// Reload reads the configuration again and changes what is different. All that can fail comes first, so that an error
// leaves everything as it was.
func (d *Director) Reload(ctx context.Context) (Reload, error) {
	d.reload.Lock()
	defer d.reload.Unlock()
	d.notifyManager(systemd.Reloading()...)
	defer d.notifyManager("READY=1") // with the new configuration or with the old one, as the status says
	cfg, diags := configs.LoadAsRoot(d.o.Config.Path, d.o.Config.Variables...)
	var result Reload
	err := diags.Err()
	if callErr := d.call(ctx, func() {
		if err == nil {
			d.override(cfg)
			result, err = d.apply(cfg)
		}
		d.reloaded(result, err)
	}); callErr != nil {
		return Reload{}, callErr
	}
	if err != nil {
		return Reload{}, fmt.Errorf("%w: %w", ErrReload, err)
	}
	result.Warnings = diags
	return result, nil
}

// changesMost is how many changes an event names.
const changesMost = 20

// reloaded tells how a reload ended.
func (d *Director) reloaded(r Reload, err error) {
	d.reloadErr = err
	d.metrics.reloaded(err)
	e := notify.Event{Kind: "reload", Name: d.o.Config.Path, From: "loading", To: "applied", Time: time.Now()}
	e.Reason = strings.Join(r.Changes[:min(len(r.Changes), changesMost)], "; ")
	if more := len(r.Changes) - changesMost; more > 0 {
		e.Reason += fmt.Sprintf("; and %d more", more)
	}
	if err != nil {
		e.To, e.Reason = "failed", err.Error()
	}
	d.emit(e)
}

// apply swaps the configuration. It runs in the loop.
func (d *Director) apply(cfg *configs.Config) (Reload, error) {
	if d.stopping {
		return Reload{}, errors.New("the director is stopping")
	}
	if err := d.fixed(cfg); err != nil {
		return Reload{}, err
	}
	if group := cfg.Director.ControlGroup; group != "" && group != d.cfg.Director.ControlGroup {
		if _, err := groupID(group); err != nil {
			return Reload{}, err
		}
	}
	if err := d.web.apply(cfg.HTTP); err != nil {
		return Reload{}, err
	}
	result := Reload{Hash: cfg.Hash, Changes: differences(d.cfg, cfg)}
	if cfg.Director.ControlGroup != d.cfg.Director.ControlGroup {
		d.failed(share(cfg.Director.ControlSocket, cfg.Director.ControlGroup))
	}
	if cfg.Timeouts != d.cfg.Timeouts || cfg.Director.ReportDrift != d.cfg.Director.ReportDrift {
		d.goal = 0 // it is not the services alone
	}
	d.warnOthers(cfg)
	old := d.cfg
	d.cfg, d.loaded = cfg, time.Now()
	d.o.Level.Set(cfg.Log.Level)
	d.notifier.Apply(cfg.Notify)
	d.applyTrackers()
	d.applyGroups()
	d.pruneStepDowns()
	d.applyRouters()
	d.reloadSync(old)
	d.applySysctls()
	d.reportSysctls()
	d.applyChecks()
	d.pruneOverrides()
	d.decide(time.Now())
	return result, nil
}

// fixed reports what a running director cannot change.
func (d *Director) fixed(cfg *configs.Config) error {
	for _, f := range []struct {
		name     string
		is, want any
	}{
		{"director.name", d.cfg.Director.Name, cfg.Director.Name},
		{"director.control_socket", d.cfg.Director.ControlSocket, cfg.Director.ControlSocket},
		{"director.state_dir", d.cfg.Director.StateDir, cfg.Director.StateDir},
		{"director.realtime", d.cfg.Director.Realtime, cfg.Director.Realtime},
		{"log.format", d.cfg.Log.Format, cfg.Log.Format},
	} {
		if f.is != f.want {
			return fmt.Errorf("%s cannot change from %#v to %#v while running: restart holdfast for that", f.name, f.is, f.want)
		}
	}
	return nil
}

// differences says in words what a reload changes.
func differences(old, cfg *configs.Config) []string {
	list := []string{} // not null in JSON
	note := func(format string, args ...any) { list = append(list, fmt.Sprintf(format, args...)) }
	if old.Log.Level != cfg.Log.Level {
		note("log level %v -> %v", old.Log.Level, cfg.Log.Level)
	}
	if old.HTTP.Listen != cfg.HTTP.Listen {
		note("http listen %q -> %q", old.HTTP.Listen, cfg.HTTP.Listen)
	}
	if old.HTTP.TLS != cfg.HTTP.TLS {
		note("http tls changed")
	}
	if !slices.Equal(old.HTTP.Users, cfg.HTTP.Users) {
		note("http basic_auth changed")
	}
	list = append(list, directorDifferences(old.Director, cfg.Director)...)
	if old.Timeouts != cfg.Timeouts {
		note("timeouts changed")
	}
	list = append(list, changed("virtual_router", old.VirtualRouters, cfg.VirtualRouters, func(vr vrrp.Config) string { return vr.Name })...)
	list = append(list, changed("virtual_router", old.Trackers, cfg.Trackers, func(t track.Tracker) string {
		return fmt.Sprintf("%s: track_%v %s", t.Key.Router, t.Key.Kind, t.Key.Name)
	})...)
	list = append(list, changed("virtual_router", old.TrackedServices, cfg.TrackedServices, func(t configs.TrackedService) string {
		return fmt.Sprintf("%s: track_service %s", t.Router, t.Service)
	})...)
	list = append(list, changed("sync_group", old.SyncGroups, cfg.SyncGroups, func(g configs.SyncGroup) string { return g.Name })...)
	if old.ConnectionSync != cfg.ConnectionSync {
		note("connection_sync changed")
	}
	if !reflect.DeepEqual(old.Notify, cfg.Notify) {
		note("notify changed")
	}
	name := func(vs configs.VirtualServer) string { return vs.Name }
	compare(old.VirtualServers, cfg.VirtualServers, name, func(name string, a, b *configs.VirtualServer) {
		switch {
		case a == nil:
			note("virtual_server %s added", name)
		case b == nil:
			note("virtual_server %s removed", name)
		default:
			list = append(list, serviceDifferences(*a, *b)...)
		}
	})
	return list
}

func directorDifferences(old, d configs.Director) (list []string) {
	drift := map[bool]string{false: "repair", true: "report"}
	for _, f := range []struct {
		name    string
		was, is any
	}{
		{"manage_sysctls", old.ManageSysctls, d.ManageSysctls},
		{"on_exit", old.OnExit, d.OnExit},
		{"control_group", strconv.Quote(old.ControlGroup), strconv.Quote(d.ControlGroup)},
		{"drift", drift[old.ReportDrift], drift[d.ReportDrift]},
	} {
		if f.was != f.is {
			list = append(list, fmt.Sprintf("director %s %v -> %v", f.name, f.was, f.is))
		}
	}
	return list
}

// changed says which of the things that a name tells apart were added, removed, or are no longer the same.
func changed[T any](kind string, old, now []T, name func(T) string) (list []string) {
	compare(old, now, name, func(name string, a, b *T) {
		switch {
		case a == nil:
			list = append(list, fmt.Sprintf("%s %s added", kind, name))
		case b == nil:
			list = append(list, fmt.Sprintf("%s %s removed", kind, name))
		case !reflect.DeepEqual(*a, *b):
			list = append(list, fmt.Sprintf("%s %s changed", kind, name))
		}
	})
	return list
}

func serviceDifferences(old, vs configs.VirtualServer) []string {
	var list []string
	prefix := "virtual_server " + vs.Name
	if old.Key != vs.Key {
		list = append(list, fmt.Sprintf("%s: address %v -> %v", prefix, old.Key, vs.Key))
	}
	scheduler := func(s ipvs.Settings) string { return ipvs.SchedulerArgs(s.Scheduler, s.Flags&^ipvs.OnePacket) }
	if a, b := scheduler(old.Settings), scheduler(vs.Settings); a != b {
		list = append(list, fmt.Sprintf("%s: scheduler %s -> %s", prefix, a, b))
	}
	if old.Persistence != vs.Persistence {
		list = append(list, prefix+": persistence changed")
	}
	if old.Active != vs.Active {
		list = append(list, fmt.Sprintf("%s: active %s -> %s", prefix, cmp.Or(old.Active, "always"), cmp.Or(vs.Active, "always")))
	}
	if old.DrainTimeout != vs.DrainTimeout {
		list = append(list, fmt.Sprintf("%s: drain_timeout %v -> %v", prefix, old.DrainTimeout, vs.DrainTimeout))
	}
	if old.Quorum != vs.Quorum {
		list = append(list, prefix+": quorum changed")
	}
	if old.Sorry != vs.Sorry {
		list = append(list, prefix+": sorry_server changed")
	}
	if old.Forward != vs.Forward || old.Inhibit != vs.Inhibit || old.StartUp != vs.StartUp ||
		old.PanicThreshold != vs.PanicThreshold || old.SlowStart != vs.SlowStart || (old.Flags^vs.Flags)&ipvs.OnePacket != 0 {
		list = append(list, prefix+": options changed")
	}
	name := func(rs configs.RealServer) string { return rs.Name }
	compare(old.RealServers, vs.RealServers, name, func(name string, a, b *configs.RealServer) {
		server := fmt.Sprintf("%s: real_server %s", prefix, name)
		switch {
		case a == nil:
			list = append(list, server+" added")
		case b == nil:
			list = append(list, server+" removed")
		default:
			list = append(list, serverDifferences(server, *a, *b)...)
		}
	})
	return list
}

func serverDifferences(prefix string, old, rs configs.RealServer) (list []string) {
	note := func(format string, args ...any) { list = append(list, prefix+": "+fmt.Sprintf(format, args...)) }
	if old.Address != rs.Address {
		note("address %v -> %v", old.Address, rs.Address)
	}
	if old.Weight != rs.Weight {
		note("weight %d -> %d", old.Weight, rs.Weight)
	}
	if old.Forward != rs.Forward {
		note("forward %v -> %v", old.Forward, rs.Forward)
	} else if old.Encapsulation != rs.Encapsulation {
		note("tunnel changed")
	}
	if old.UpperThreshold != rs.UpperThreshold || old.LowerThreshold != rs.LowerThreshold {
		note("thresholds %d, %d -> %d, %d", old.UpperThreshold, old.LowerThreshold, rs.UpperThreshold, rs.LowerThreshold)
	}
	if old.Maintenance != rs.Maintenance {
		note("maintenance %v -> %v", old.Maintenance, rs.Maintenance)
	}
	if !slices.Equal(old.Checks, rs.Checks) {
		note("checks changed")
	}
	return list
}

// compare calls f for each name in either list, with what bears it in each, in the order of the names.
func compare[T any](a, b []T, name func(T) string, f func(name string, a, b *T)) {
	index := func(list []T) map[string]*T {
		m := make(map[string]*T, len(list))
		for i := range list {
			m[name(list[i])] = &list[i]
		}
		return m
	}
	was, is := index(a), index(b)
	all := maps.Clone(was)
	maps.Copy(all, is)
	for _, n := range slices.Sorted(maps.Keys(all)) {
		f(n, was[n], is[n])
	}
}
