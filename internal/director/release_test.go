// SPDX-License-Identifier: Apache-2.0

package director

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/vrrp"
)

// leasing is a host whose addresses have a lifetime.
type leasing struct {
	*host
	left  map[string]time.Duration // by device
	fails error
}

func (l *leasing) Lease(addresses []vrrp.Address) time.Duration {
	if len(l.Missing(addresses)) > 0 {
		return 0
	}
	return l.left[addresses[0].Device]
}

func (l *leasing) Release(addresses []vrrp.Address) error {
	if l.fails != nil {
		return l.fails
	}
	return l.host.Release(addresses)
}

const threeRouters = `
virtual_router "leased" {
  interface = "eth0"
  id        = 51
  addresses = ["10.0.0.100/32"]
  use_vmac  = true
}
virtual_router "forever" {
  interface = "eth1"
  id        = 52
  addresses = ["10.0.1.100/32"]
}
virtual_router "backup" {
  interface = "eth2"
  id        = 53
  addresses = ["10.0.2.100/32"]
}
`

// crashed is a host as a director of threeRouters leaves it that is killed.
func crashed(t *testing.T) (dir string, h *leasing) {
	t.Helper()
	dir = t.TempDir()
	cfg := parse(t, threeRouters)
	roles := map[string]vrrp.State{"leased": vrrp.Master, "forever": vrrp.Master, "backup": vrrp.Backup}
	if err := newState(cfg, nil, roles, nil).write(dir); err != nil {
		t.Fatal(err)
	}
	h = &leasing{host: &host{held: make(map[vrrp.Address]bool)}, left: make(map[string]time.Duration)}
	for i, left := range []time.Duration{3 * time.Second, math.MaxInt64} {
		a := cfg.VirtualRouters[i].All()[0]
		h.held[a], h.left[a.Device] = true, left
	}
	return dir, h
}

// remembered are the virtual routers of the state file.
func remembered(t *testing.T, dir string) (names []string) {
	t.Helper()
	s, err := ReadState(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range s.VirtualRouters {
		names = append(names, r.Name)
	}
	return names
}

func TestReleaseAll(t *testing.T) {
	dir, h := crashed(t)
	done, err := Release(dir, h, false)
	if err != nil || len(done.Addresses) != 2 || len(done.Kept) > 0 || len(h.held) != 2 {
		t.Errorf("released %+v, %v", done, err)
	}
	for a, there := range h.held {
		if there {
			t.Errorf("%v is still there", a)
		}
	}
	if len(h.did) != 3 || !slices.ContainsFunc(h.did, func(s string) bool { return strings.HasPrefix(s, "discard ") }) {
		t.Errorf("done: %q", h.did)
	}
	if names := remembered(t, dir); len(names) > 0 {
		t.Errorf("the state still names %q", names)
	}
	if done, err = Release(dir, h, false); err != nil || len(done.Addresses) > 0 {
		t.Errorf("again: %+v, %v", done, err)
	}
}

// TestReleaseBeforeARestart: a master whose lease goes on is left to it, until the lease has ended.
func TestReleaseBeforeARestart(t *testing.T) {
	dir, h := crashed(t)
	done, err := Release(dir, h, true)
	if err != nil || !slices.Equal(done.Addresses, []string{"10.0.1.100/32 dev eth1"}) || !slices.Equal(done.Kept, []string{"leased"}) {
		t.Errorf("released %+v, %v", done, err)
	}
	if names := remembered(t, dir); !slices.Equal(names, []string{"leased"}) {
		t.Errorf("the state names %q", names)
	}
	h.did = nil
	clear(h.held)
	if done, err = Release(dir, h, true); err != nil || len(done.Kept) > 0 || len(h.did) != 1 || !strings.HasPrefix(h.did[0], "discard ") {
		t.Errorf("after the lease: %+v, %v, done %q", done, err, h.did)
	}
}

func TestReleaseThatFails(t *testing.T) {
	dir, h := crashed(t)
	h.fails = errors.New("operation not permitted")
	_, err := Release(dir, h, false)
	if err == nil || !strings.Contains(err.Error(), "release virtual_router forever: operation not permitted") {
		t.Errorf("got %v", err)
	}
	if names := remembered(t, dir); len(names) != 3 {
		t.Errorf("forgotten although it is still there: the state names %q", names)
	}
}

func TestReleaseBesideADirector(t *testing.T) {
	s := newSite(t)
	d, _ := s.run()
	s.routerIs("web", "master")
	_, err := Release(d.o.Config.Director.StateDir, s.host, false)
	if err == nil || !strings.Contains(err.Error(), "stop it first") {
		t.Errorf("got %v", err)
	}
	s.eventually(func() error { // the keeper holds the address a moment after the router is master
		s.host.mu.Lock()
		defer s.host.mu.Unlock()
		if len(s.host.did) != 1 {
			return fmt.Errorf("addresses: %q", s.host.did)
		}
		return nil
	})
}
