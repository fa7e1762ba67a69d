// SPDX-License-Identifier: Apache-2.0

package checker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// way is how frames get to a server.
type way struct {
	index  int        // of the interface
	ours   mac        // its address
	server mac        // zero: it is not on an Ethernet of this host
	source netip.Addr // ours, that packets come from
	own    bool       // the server is this host, and the rest is not set
}

// findWay looks up the way to the target of a check, and waits for the server's Ethernet address until ctx ends.
func (p *pathCheck) findWay(ctx context.Context) (way, Result) {
	c := p.config
	target := c.Target.Addr().Unmap()
	fail := func(err error) (way, Result) { return way{}, fault("find the way to", c.Target, err) }
	r, err := p.wires.route(target, p.changes)
	switch {
	case err != nil:
		return fail(err)
	case r.own:
		return way{own: true}, Result{}
	case r.gateway.IsValid() && c.Tunnel.Kind == 0:
		return way{}, failure(reasonRouter, fmt.Errorf("%s is behind the router %s: direct routing needs it on a network of this host",
			target, r.gateway))
	}
	w := way{index: r.index, ours: r.ours, source: r.source}
	if c.Source.IsValid() {
		w.source = c.Source
	}
	tunnel := c.Tunnel.Kind != 0
	if w.ours == (mac{}) && !tunnel || !w.source.IsValid() {
		return way{}, localFault(reasonInvalid, fmt.Errorf("check %s by way of a client's packet: %s is not Ethernet", target, r.name))
	}
	if w.source == c.Service.Addr() {
		return way{}, localFault(reasonInvalid, fmt.Errorf("check %s by way of a client's packet: %s has no address beside the virtual one: set source",
			target, r.name))
	}
	if tunnel && (r.gateway.IsValid() || w.ours == (mac{})) {
		return w, Result{} // the kernel sends, to whomever
	}
	w.server, err = resolve(ctx, w.index, target)
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return way{}, failure(reasonNoRoute, fmt.Errorf("%s does not say its Ethernet address on %s: it is down, or not on that network",
			target, r.name))
	} else if err != nil {
		return fail(err)
	}
	return w, Result{}
}

// route is what the kernel knows of the way to a server without asking on the wire.
type route struct {
	own     bool       // the server is this host, and the rest is not set
	gateway netip.Addr // invalid: it is on a network of this host
	source  netip.Addr // the kernel's choice
	index   int        // of the interface
	name    string
	ours    mac // zero: it is not Ethernet
}

// route returns the route to an address; changes are those of this host's addresses and links. What is known is asked
// for anew after such a change, after a check has failed, and as often as nobody tells of a changed route.
func (w *wires) route(target netip.Addr, changes uint64) (route, error) {
	w.mu.Lock()
	if now := time.Now(); w.routes == nil || w.routesOf != changes || now.Sub(w.routesAt) > sourcesValid {
		w.routes, w.routesOf, w.routesAt = make(map[netip.Addr]route), changes, now
	}
	routes := w.routes
	r, known := routes[target]
	w.mu.Unlock()
	if known {
		return r, nil
	}
	r, err := readRoute(target)
	if err == nil {
		w.mu.Lock()
		routes[target] = r // that what was asked for before a change is not taken for newer
		w.mu.Unlock()
	}
	return r, err
}

func (w *wires) forgetRoute(target netip.Addr) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.routes, target)
}

func readRoute(target netip.Addr) (route, error) {
	routes, err := netlink.RouteGet(target.WithZone("").AsSlice())
	if err != nil {
		return route{}, err
	}
	if routes[0].Type == unix.RTN_LOCAL {
		return route{own: true}, nil
	}
	gateway, _ := netip.AddrFromSlice(routes[0].Gw)
	source, _ := netip.AddrFromSlice(routes[0].Src)
	r := route{gateway: gateway.Unmap(), source: source.Unmap(), index: routes[0].LinkIndex}
	link, err := netlink.LinkByIndex(r.index) // package net would list them all
	if err != nil {
		return route{}, unix.ENETDOWN // it has just gone
	}
	r.name = link.Attrs().Name
	if hw := link.Attrs().HardwareAddr; len(hw) == len(r.ours) {
		r.ours = mac(hw)
	}
	return r, nil
}

// resolve asks the kernel for the Ethernet address of a neighbour, and lets it find out or verify what it knows, as
// sending to it would.
func resolve(ctx context.Context, index int, addr netip.Addr) (mac, error) {
	ip := addr.WithZone("").AsSlice()
	family := netlink.FAMILY_V4
	if addr.Is6() {
		family = netlink.FAMILY_V6
	}
	use := &netlink.Neigh{LinkIndex: index, Family: family, IP: ip, State: netlink.NUD_NONE, Flags: netlink.NTF_USE}
	if err := netlink.NeighSet(use); err != nil {
		return mac{}, err
	}
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		found, err := neighbour(index, family, ip)
		if err != nil || found != (mac{}) {
			return found, err
		}
		if ctx.Err() != nil {
			return mac{}, ctx.Err()
		}
		select {
		case <-ctx.Done(): // and ask once more: it may be this process that stood still
		case <-time.After(pause):
		}
	}
}

// neighbour is what the kernel knows of a neighbour; the zero value: nothing.
func neighbour(index, family int, ip net.IP) (mac, error) {
	req := nl.NewNetlinkRequest(unix.RTM_GETNEIGH, 0)
	req.AddData(&netlink.Ndmsg{Family: uint8(family), Index: uint32(index)})
	req.AddData(nl.NewRtAttr(netlink.NDA_DST, ip))
	messages, err := req.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWNEIGH)
	if errors.Is(err, unix.ENOENT) {
		return mac{}, nil
	}
	if err != nil || len(messages) == 0 {
		return mac{}, err
	}
	n, err := netlink.NeighDeserialize(messages[0])
	if err != nil || len(n.HardwareAddr) != len(mac{}) ||
		n.State&(unix.NUD_REACHABLE|unix.NUD_STALE|unix.NUD_DELAY|unix.NUD_PROBE|unix.NUD_PERMANENT) == 0 {
		return mac{}, err
	}
	return mac(n.HardwareAddr), nil
}
