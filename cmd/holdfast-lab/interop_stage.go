// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/holdfast-lb/holdfast/internal/director"
	"github.com/holdfast-lb/holdfast/internal/netlab"
)

// A stage is holdfast and a peer on one or two LANs, for one play.
type stage struct {
	match
	ctx     context.Context
	binary  string // holdfast
	lab     *netlab.Lab
	routers []vr
	ours    *directorHost
	run     string       // where sockets are, whose paths must be short
	host    *netlab.Host // the peer's
	theirs  peer
	sides   [2]side // holdfast's, the peer's
	tapes   []*tape // by router
	sources []netip.Addr
	ports   [2][]*netlab.Port // of holdfast and the peer, by router
}

// Which of the two.
const (
	us = iota
	them
)

// build makes the LANs and hosts. Configurations and logs go below dir.
func (s *stage) build(dir string) error {
	s.lab, s.routers = netlab.New(), s.match.routers()
	s.ours = newDirectorHost("holdfast", filepath.Join(dir, "holdfast"))
	s.ours.host, s.host = s.lab.Host("holdfast"), s.lab.Host(s.peer)
	var err error
	if s.run, err = os.MkdirTemp("", "holdfast-lab-"); err != nil {
		return err
	}
	dirs := []string{s.ours.dir, filepath.Join(dir, s.peer)}
	for _, d := range dirs {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return err
		}
	}
	for _, r := range s.routers {
		bits := 24
		if r.six {
			bits = 64
		}
		lan := s.lab.LAN("lan-" + r.ifname)
		for i, h := range []*netlab.Host{s.ours.host, s.host} {
			s.ports[i] = append(s.ports[i], h.Join(lan, r.ifname, netip.PrefixFrom(r.own[i], bits)))
		}
	}
	if err := s.lab.Err(); err != nil {
		return err
	}
	for i, r := range s.routers {
		t, err := record(s.ports[us][i].LAN)
		if err != nil {
			return err
		}
		s.tapes = append(s.tapes, t)
		source, err := s.source(r)
		if err != nil {
			return err
		}
		s.sources = append(s.sources, source)
	}
	if s.peer == "keepalived" {
		s.theirs = &keepalivedPeer{match: s.match, host: s.host, dir: dirs[1]}
		return nil
	}
	f := &frrPeer{match: s.match, host: s.host, dir: dirs[1], run: s.run}
	s.theirs = f
	return f.prepare(s.ctx)
}

// control is holdfast's control API.
func (s *stage) control() director.Client {
	return director.Client{Socket: filepath.Join(s.run, "control.sock")}
}

// source is the address that holdfast's adverts come from.
func (s *stage) source(r vr) (netip.Addr, error) {
	if !r.six || s.unicast {
		return r.own[us], nil
	}
	addrs, err := s.ours.host.Addresses(r.ifname)
	if err != nil {
		return netip.Addr{}, err
	}
	i := slices.IndexFunc(addrs, func(p netip.Prefix) bool { return p.Addr().IsLinkLocalUnicast() })
	if i < 0 {
		return netip.Addr{}, fmt.Errorf("no link-local address on %s %s", s.ours.name, r.ifname)
	}
	return addrs[i].Addr(), nil
}

func (s *stage) close() error {
	var errs []error
	for _, t := range s.tapes {
		errs = append(errs, t.stop())
	}
	errs = append(errs, s.lab.Close(), os.RemoveAll(s.run))
	s.ours.wait()
	return errors.Join(errs...)
}

// configure writes both configurations.
func (s *stage) configure(ours, theirs side) error {
	s.sides = [2]side{ours, theirs}
	if err := os.WriteFile(s.ours.config(), []byte(ourConfig(s.ours, s.control().Socket, s.match, ours)), 0o644); err != nil {
		return err
	}
	out, err := s.ours.host.Command(s.ctx, s.binary, "check", "-c", s.ours.config()).CombinedOutput()
	if err != nil {
		return fmt.Errorf("check holdfast's configuration: %w: %s", err, out)
	}
	return s.theirs.configure(theirs)
}

func (s *stage) start(who int) error {
	if who == them {
		return s.theirs.start(s.ctx)
	}
	return s.ours.start(s.ctx, s.binary)
}

// stop is a planned stop.
func (s *stage) stop(who int) error {
	if who == them {
		return s.theirs.stop()
	}
	if err := s.ours.signal(syscall.SIGTERM); err != nil {
		return err
	}
	return s.ours.ended(s.ctx, 10*time.Second)
}

// crash ends a side without a word.
func (s *stage) crash(who int) error {
	if who == them {
		return s.theirs.crash()
	}
	if err := s.ours.signal(syscall.SIGKILL); err != nil {
		return err
	}
	return s.ours.ended(s.ctx, 10*time.Second)
}

// from fits adverts of one side and router.
func (s *stage) from(who, i int) func(advert) bool {
	return func(a advert) bool {
		return a.id == s.routers[i].id && a.version == s.version && (a.src == s.sources[i]) == (who == us)
	}
}

// with fits those that have a priority, too.
func (s *stage) with(who, i, priority int) func(advert) bool {
	from := s.from(who, i)
	return func(a advert) bool { return from(a) && a.priority == priority }
}

// settled waits until one side is master of all routers and the other one, if it runs, is not: in the adverts, in the
// addresses, in holdfast's status and in the peer's own words. Then it has to stay so for some adverts.
func (s *stage) settled(master int, alone bool) error {
	timeout := s.masterDown(100, max(s.sides[us].interval, s.sides[them].interval)) + slack
	if err := poll(s.ctx, timeout, func() error { return s.is(master, alone) }); err != nil {
		return err
	}
	since := time.Now()
	if err := pause(s.ctx, max(5*s.interval()/2, 600*time.Millisecond)); err != nil {
		return err
	}
	if err := s.is(master, alone); err != nil {
		return fmt.Errorf("and then: %w", err)
	}
	for i, r := range s.routers {
		seen := s.tapes[i].since(since)
		if n := countAdverts(seen, s.with(master, i, s.sides[master].priority)); n < 2 {
			return fmt.Errorf("router %s: %d adverts of the master in a while: %+v", r.name, n, seen)
		}
		if n := countAdverts(seen, func(a advert) bool { return a.vmac != s.sendsFromVMAC(master) }); n > 0 {
			return fmt.Errorf("router %s: %d adverts of the master have another kind of MAC address: %+v", r.name, n, seen)
		}
		if n := countAdverts(seen, s.from(1-master, i)); n > 0 {
			return fmt.Errorf("router %s: %d adverts of the backup: %+v", r.name, n, seen)
		}
	}
	return nil
}

// sendsFromVMAC says whether a side sends from the virtual MAC address. FRR knows nothing else.
func (s *stage) sendsFromVMAC(who int) bool {
	return who == us && s.vmac != "" || who == them && (s.vmac == "both" || s.peer == "frr")
}

func countAdverts(list []advert, fits func(advert) bool) (n int) {
	for _, a := range list {
		if fits(a) {
			n++
		}
	}
	return n
}

// is says what is not as it should be with that master. Alone, the other side does not run; a peer that was killed may
// have left addresses.
func (s *stage) is(master int, alone bool) error {
	for i, r := range s.routers {
		for who, h := range []*netlab.Host{s.ours.host, s.host} {
			if alone && who != master {
				continue
			}
			for _, a := range s.sides[who].listed(i, r) {
				held, err := h.Serves(a)
				if err != nil {
					return err
				}
				if held != (who == master) {
					return fmt.Errorf("%s is held by %s: %t", a, h.Name, held)
				}
			}
		}
	}
	if master == us || !alone {
		if err := s.ourRole(roles[master == us]); err != nil {
			return err
		}
	}
	if master == them || !alone {
		return s.theirRole(roles[master == them])
	}
	return nil
}

var roles = map[bool]string{true: "master", false: "backup"}

func (s *stage) ourRole(want string) error {
	return s.ourStatus(func(r director.VirtualRouterStatus) error {
		if r.State != want {
			return fmt.Errorf("holdfast's %s is %s, not %s: %s", r.Name, r.State, want, r.Reason)
		}
		return nil
	})
}

// ourStatus looks at each virtual router as `holdfast status --json` shows it.
func (s *stage) ourStatus(look func(director.VirtualRouterStatus) error) error {
	status, err := s.control().Status(s.ctx)
	if err != nil {
		return err
	}
	if len(status.VirtualRouters) != len(s.routers) {
		return fmt.Errorf("holdfast has %d virtual routers, not %d", len(status.VirtualRouters), len(s.routers))
	}
	for _, r := range status.VirtualRouters {
		if err := look(r); err != nil {
			return err
		}
	}
	return nil
}

func (s *stage) theirRole(want string) error {
	for _, r := range s.routers {
		got, err := s.theirs.role(s.ctx, r)
		if err != nil {
			return err
		}
		if got != want {
			return fmt.Errorf("%s says that it is %s of %s, not %s", s.peer, got, r.name, want)
		}
	}
	return nil
}

// clean says whether one of the two complained of the other.
func (s *stage) clean() error {
	var errs []error
	if s.ours.running() {
		errs = append(errs, s.ourStatus(nothingRefused))
	}
	if c := s.theirs.complaints(); len(c) > 0 {
		errs = append(errs, fmt.Errorf("%s says: %s", s.peer, strings.Join(c, " | ")))
	}
	return errors.Join(errs...)
}

func nothingRefused(r director.VirtualRouterStatus) error {
	if len(r.AdvertsRefused) > 0 || r.Error != "" {
		return fmt.Errorf("holdfast's %s refused %v, error %q", r.Name, r.AdvertsRefused, r.Error)
	}
	return nil
}
