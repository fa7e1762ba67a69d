// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// routeProtocol marks routes as ours (rtm_protocol, where 18 is keepalived's): the number of VRRP.
const routeProtocol = 112

// HoldRoutes implements Host. A route is put in the place of another one to the same destination once; after that it is
// only added if it is gone, which costs nothing while it is there.
func (n *Network) HoldRoutes(routes []Route) error {
	var errs []error
	for _, r := range routes {
		n.mu.Lock()
		ours := n.routes[r]
		n.mu.Unlock()
		change := n.handle.RouteReplace
		if ours {
			change = n.handle.RouteAdd
		}
		err := n.route(r, change)
		if ours && errors.Is(err, unix.EEXIST) {
			err = nil
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("add route %v: %w", r, err))
			continue
		}
		n.mu.Lock()
		n.routes[r] = true
		n.mu.Unlock()
	}
	return errors.Join(errs...)
}

// ReleaseRoutes implements Host. What is gone already, with its link or its source address, is as it should be.
func (n *Network) ReleaseRoutes(routes []Route) error {
	var errs []error
	for _, r := range routes {
		n.mu.Lock()
		delete(n.routes, r)
		_, ok := n.links[r.Device]
		n.mu.Unlock()
		if !ok {
			continue
		}
		err := n.route(r, n.handle.RouteDel)
		if err != nil && !errors.Is(err, unix.ESRCH) && !errors.Is(err, unix.ENODEV) {
			errs = append(errs, fmt.Errorf("delete route %v: %w", r, err))
		}
	}
	return errors.Join(errs...)
}

func (n *Network) route(r Route, change func(*netlink.Route) error) error {
	n.mu.Lock()
	l, ok := n.links[r.Device]
	n.mu.Unlock()
	if !ok {
		return fmt.Errorf("interface %s does not exist", r.Device)
	}
	d := r.Destination.Masked()
	k := &netlink.Route{
		LinkIndex: l.index, Protocol: routeProtocol, Table: r.Table, Priority: r.Metric, Type: unix.RTN_UNICAST,
		Dst: &net.IPNet{IP: d.Addr().AsSlice(), Mask: net.CIDRMask(d.Bits(), d.Addr().BitLen())},
		Gw:  slice(r.Via), Src: slice(r.Source),
	}
	if k.Gw == nil && d.Addr().Is4() {
		k.Scope = netlink.SCOPE_LINK
	}
	return change(k)
}

// slice is nil for the zero address.
func slice(a netip.Addr) net.IP {
	if !a.IsValid() {
		return nil
	}
	return a.AsSlice()
}
