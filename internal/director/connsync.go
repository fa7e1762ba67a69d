// SPDX-License-Identifier: Apache-2.0

package director

import (
	"context"
	"slices"
	"time"

	"github.com/holdfast-lb/holdfast/configs"
	"github.com/holdfast-lb/holdfast/internal/sysctl"
	"github.com/holdfast-lb/holdfast/ipvs"
	"github.com/holdfast-lb/holdfast/vrrp"
)

const (
	// syncOverlap is how long the half of the last role runs on after a change: the kernel gathers what it sends for up to
	// 2 s (IPVS_SYNC_FLUSH_TIME in ip_vs_sync.c), and a half that is stopped throws that away.
	syncOverlap = 5 * time.Second
	// syncWarmUp is how long a backup half has to run to have been told of every connection that has traffic.
	syncWarmUp = sysctl.SyncRefresh + 3*time.Second
	// syncSettle is how long the number of known connections must not have grown by more than one part in syncNotable, for
	// a peer that repeats them at another pace.
	syncSettle  = 3 * time.Second
	syncNotable = 20
	syncLook    = time.Second // each, at that number
	// syncWarmMost bounds the wait for a half that does not come up or for a number that does not settle.
	syncWarmMost = time.Minute

	warmingUp = "connection sync is warming up: connections would be lost"
)

// connSync is what this director does about connection sync. It is pure: its methods return what is to be done.
type connSync struct {
	master  bool      // the role of the virtual router that is followed
	changed time.Time // when it became so; zero: it was so at the start
	backup  time.Time // since when this director is, or was, no master; zero: never
	up      time.Time // since when the backup half runs without a break; zero: it does not
	known   uint64    // active connections, when there were notably more than before
	grown   time.Time // and when that was
}

// follow takes up the role of the virtual router.
func (s connSync) follow(now time.Time, master bool) connSync {
	if s.master == master {
		return s
	}
	s = connSync{master: master, changed: now, up: s.up}
	if !master {
		s.backup, s.up = now, time.Time{}
	}
	return s
}

// missed notes that what the master has told until now may not have come here: it has to be told again.
func (s connSync) missed(now time.Time) connSync {
	if s.master {
		return s
	}
	s.backup, s.known, s.grown = now, 0, now
	if !s.up.IsZero() {
		s.up = now
	}
	return s
}

// roles are the halves to run, and when that changes without anything else; zero: never. After a change both run for a
// while.
func (s connSync) roles(now time.Time) (roles []ipvs.SyncRole, deadline time.Time) {
	end := s.changed.Add(syncOverlap)
	overlap := !s.changed.IsZero() && now.Before(end)
	if overlap {
		deadline = end
	}
	if s.master || overlap {
		roles = append(roles, ipvs.SyncMaster)
	}
	if !s.master || overlap {
		roles = append(roles, ipvs.SyncBackup)
	}
	return roles, deadline
}

// running notes whether the backup half runs, and whether it was started anew.
func (s connSync) running(now time.Time, runs, anew bool) connSync {
	switch {
	case !runs:
		s.up = time.Time{}
	case anew || s.up.IsZero():
		s.up, s.known, s.grown = now, 0, now
	}
	return s
}

// knows notes how many active connections there are.
func (s connSync) knows(now time.Time, active uint64) connSync {
	if active > s.known+s.known/syncNotable {
		s.known, s.grown = active, now
	}
	return s
}

// cold reports whether this director may still lack connections that the master has, and when that ends if nothing else
// happens. It never lasts longer than syncWarmMost.
func (s connSync) cold(now time.Time) (cold bool, deadline time.Time) {
	if s.master {
		return false, time.Time{}
	}
	deadline = s.backup.Add(syncWarmMost)
	if !s.up.IsZero() {
		deadline = earlier(deadline, later(s.up.Add(syncWarmUp), s.grown.Add(syncSettle)))
	}
	if !now.Before(deadline) {
		return false, time.Time{}
	}
	return true, deadline
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// syncing reports whether there is connection sync.
func syncing(cfg *configs.Config) bool { return cfg.ConnectionSync != (configs.ConnectionSync{}) }

// daemons are the halves as the kernel is to run them.
func daemons(cfg *configs.Config, roles []ipvs.SyncRole) []ipvs.SyncDaemon {
	var list []ipvs.SyncDaemon
	for _, r := range roles {
		daemon := cfg.ConnectionSync.Daemon
		daemon.Role = r
		list = append(list, daemon)
	}
	return list
}

// syncState is the loop's part of connection sync.
type syncState struct {
	connSync
	want     []ipvs.SyncDaemon
	ours     bool      // the daemons in the kernel are
	isCold   bool      // at the last look
	deadline time.Time // to look again; zero: none
	look     chan struct{}
}

// beginSync begins with the role that the last run had, so that a master half that runs is left alone.
func (d *Director) beginSync(now time.Time) {
	d.sync.look = make(chan struct{}, 1)
	d.sync.ours = syncing(d.cfg) || d.last.ConnectionSync
	d.sync.connSync = connSync{backup: now}
	for _, vr := range d.cfg.VirtualRouters {
		if vr.Name == d.cfg.ConnectionSync.VirtualRouter && d.last.master(vr) {
			d.sync.connSync = connSync{master: true}
		}
	}
	d.followSync(now)
}

// reloadSync follows a new configuration. Daemons that change are started anew, and so is the warm-up.
func (d *Director) reloadSync(old *configs.Config) {
	if old.ConnectionSync == d.cfg.ConnectionSync {
		return
	}
	now := time.Now()
	d.sync.ours = d.sync.ours || syncing(d.cfg)
	d.sync.connSync = connSync{master: d.roles[d.cfg.ConnectionSync.VirtualRouter] == vrrp.Master, backup: now}
	d.followSync(now)
}

// syncTransition follows the role of the virtual router. A director that stops leaves the daemons to the kernel: what they
// have gathered still goes out.
func (d *Director) syncTransition(t vrrp.Transition) {
	if t.Router != d.cfg.ConnectionSync.VirtualRouter {
		return
	}
	now := time.Now()
	d.sync.connSync = d.sync.follow(now, t.To == vrrp.Master)
	if t.From == vrrp.Fault { // its link may have been down: the backup half ran, and heard nothing
		d.sync.connSync = d.sync.missed(now)
	}
	d.followSync(now)
}

// syncReported takes what the reconciler knows of the daemons.
func (d *Director) syncReported(r ipvs.Report) {
	now := time.Now()
	if d.stopping {
		return
	}
	if syncing(d.cfg) {
		backup := daemons(d.cfg, []ipvs.SyncRole{ipvs.SyncBackup})[0]
		d.sync.connSync = d.sync.running(now, slices.Contains(r.Sync, backup), r.Done[ipvs.StartSync] > 0)
		d.followSync(now)
	} else if d.sync.ours && r.Goal == d.goal && r.Err == nil && r.SyncErr == nil {
		d.sync.ours = false // those of the last configuration have been stopped
		d.goal = d.table.Set(d.newGoal())
	}
}

// followSync does what the role and the time ask for, and notes when to do so again.
func (d *Director) followSync(now time.Time) {
	d.sync.deadline = time.Time{}
	if d.stopping {
		return // the daemons stay as they are
	}
	var want []ipvs.SyncDaemon
	cold := false
	if syncing(d.cfg) {
		roles, overlap := d.sync.roles(now)
		want = daemons(d.cfg, roles)
		var warm time.Time
		if cold, warm = d.sync.cold(now); cold {
			warm = earlier(warm, now.Add(syncLook))
			select {
			case d.sync.look <- struct{}{}:
			default:
			}
		}
		d.sync.deadline = earlier(overlap, warm)
	}
	if d.sync.isCold && !cold && !d.sync.master {
		d.log.Info("connection sync has warmed up", "took", now.Sub(d.sync.backup), "connections", d.sync.known)
	}
	changed := cold != d.sync.isCold
	d.sync.isCold = cold
	if !slices.Equal(want, d.sync.want) {
		d.sync.want = want
		if d.goal != 0 { // else the first decision sets it
			d.goal = d.table.Set(d.newGoal())
		}
	}
	if changed {
		d.tellRouters()
	}
}

// activeConnections is how many the kernel's table has, which a backup half adds to.
type activeConnections uint64

// countConnections answers looks at the number of connections until ctx ends.
func (d *Director) countConnections(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.sync.look:
		}
		stats, err := d.table.Stats(ctx)
		if err != nil {
			continue // the reconciler says it
		}
		var n activeConnections
		for _, s := range stats {
			for _, server := range s.Destinations {
				n += activeConnections(server.Active)
			}
		}
		d.inbox.put(n)
	}
}

// coldFor says why a virtual router is not to take over from another master yet; empty: it may.
func (d *Director) coldFor(router string) string {
	if d.sync.isCold && d.roles[router] != vrrp.Master {
		return warmingUp
	}
	return ""
}

// ConnectionSyncStatus is connection sync as the configuration wants it and as it is.
type ConnectionSyncStatus struct {
	VirtualRouter string   `json:"virtual_router"` // whose role it follows
	Interface     string   `json:"interface"`
	ID            uint8    `json:"id"`
	Wanted        []string `json:"wanted"`  // halves: master, backup, or both for some seconds after a change of the role
	Running       []string `json:"running"` // of them
	Warm          bool     `json:"warm"`    // it knows what the master knows, as far as can be told, or is master
	Error         string   `json:"error"`   // of the last attempt on the daemons
}

// syncView is what readers may see of connection sync.
type syncView struct {
	want []ipvs.SyncDaemon
	warm bool
}

func syncStatus(v *view) *ConnectionSyncStatus {
	if !syncing(v.config) {
		return nil
	}
	c := v.config.ConnectionSync
	s := &ConnectionSyncStatus{
		VirtualRouter: c.VirtualRouter, Interface: c.Daemon.Interface, ID: c.Daemon.ID, Wanted: []string{}, Running: []string{},
		Warm: v.sync.warm, Error: text(v.report.SyncErr),
	}
	for _, daemon := range v.sync.want {
		s.Wanted = append(s.Wanted, daemon.Role.String())
		if slices.Contains(v.report.Sync, daemon) {
			s.Running = append(s.Running, daemon.Role.String())
		}
	}
	return s
}
