// SPDX-License-Identifier: Apache-2.0

package director

import (
	"errors"
	"fmt"
	"math"
	"net"
	"slices"

	"github.com/holdfast-lb/holdfast/configs"
	"github.com/holdfast-lb/holdfast/vrrp"
)

// Released is what Release has done.
type Released struct {
	Addresses []string `json:"addresses"` // that were on this host
	Kept      []string `json:"kept"`      // virtual routers that a start within the lease goes on with
}

// Release removes from this host the addresses, routes and virtual MAC links that the state file in dir names: what a
// director has left that was killed. It is an error if one runs. With resumable it leaves those routers alone whose
// addresses end by themselves, and which the next start within their lease goes on with as master.
func Release(dir string, host vrrp.Host, resumable bool) (Released, error) {
	done := Released{Addresses: []string{}, Kept: []string{}}
	lock, err := net.Listen("unix", namespaceLock)
	if err != nil {
		return done, fmt.Errorf("a director runs in this network namespace (%w): stop it first", err)
	}
	defer func() { _ = lock.Close() }()
	s, err := ReadState(dir)
	if err != nil {
		return done, err
	}
	var errs []error
	before := len(s.VirtualRouters)
	s.VirtualRouters = slices.DeleteFunc(s.VirtualRouters, func(r RouterState) bool {
		if resumable && r.leased(host) {
			done.Kept = append(done.Kept, r.Name)
			return false
		}
		removed, err := r.release(host)
		done.Addresses = append(done.Addresses, removed...)
		errs = append(errs, err)
		return err == nil // what is left is still ours
	})
	if len(s.VirtualRouters) < before {
		errs = append(errs, s.write(dir))
	}
	return done, errors.Join(errs...)
}

// leased reports whether a router was master, and its addresses are all there and end by themselves.
func (r RouterState) leased(host vrrp.Host) bool {
	var addresses []vrrp.Address
	for _, a := range r.Addresses {
		addresses = append(addresses, vrrp.Address(a))
	}
	if !r.Master || len(addresses) == 0 {
		return false
	}
	left := host.Lease(addresses)
	return 0 < left && left < math.MaxInt64
}

// release removes what a router has put on the host, and returns the addresses that were there.
func (r RouterState) release(host vrrp.Host) ([]string, error) {
	left := State{VirtualRouters: []RouterState{r}}.stale(&configs.Config{})
	missing := host.Missing(left.addresses)
	var errs []error
	if len(left.routes) > 0 {
		errs = append(errs, host.ReleaseRoutes(left.routes))
	}
	if len(left.addresses) > 0 {
		errs = append(errs, host.Release(left.addresses))
	}
	for _, c := range left.vmacs {
		errs = append(errs, host.Discard(c))
	}
	var removed []string
	still := host.Missing(left.addresses)
	for _, a := range left.addresses {
		if !slices.Contains(missing, a) && slices.Contains(still, a) {
			removed = append(removed, a.String())
		}
	}
	if err := errors.Join(errs...); err != nil {
		return removed, fmt.Errorf("release virtual_router %s: %w", r.Name, err)
	}
	return removed, nil
}
