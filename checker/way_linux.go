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
	index  int // of the interface
	ours   mac // its address
	server mac
	source netip.Addr // ours, that packets come from
	own    bool       // the server is this host, and the rest is not set
}

// findWay looks up the way to the target of a check, and waits for the server's Ethernet address until ctx ends.
func findWay(ctx context.Context, c *Config) (way, Result) {
	target := c.Target.Addr().Unmap()
	fail := func(err error) (way, Result) { return way{}, fault("find the way to", c.Target, err) }
	routes, err := netlink.RouteGet(target.WithZone("").AsSlice())
	if err != nil {
		return fail(err)
	}
	r := routes[0]
	if r.Type == unix.RTN_LOCAL {
		return way{own: true}, Result{}
	}
	if gateway, ok := netip.AddrFromSlice(r.Gw); ok {
		return way{}, failure(reasonRouter, fmt.Errorf("%s is behind the router %s: direct routing needs it on a network of this host",
			target, gateway.Unmap()))
	}
	w := way{index: r.LinkIndex, source: c.Source}
	if src, ok := netip.AddrFromSlice(r.Src); ok && !w.source.IsValid() {
		w.source = src.Unmap()
	}
	ifi, err := net.InterfaceByIndex(w.index)
	if err != nil {
		return fail(unix.ENETDOWN) // it has just gone
	}
	if len(ifi.HardwareAddr) != len(w.ours) || !w.source.IsValid() {
		return way{}, localFault(reasonInvalid, fmt.Errorf("check %s by way of a client's packet: %s is not Ethernet", target, ifi.Name))
	}
	if w.source == c.Service.Addr() {
		return way{}, localFault(reasonInvalid, fmt.Errorf("check %s by way of a client's packet: %s has no address beside the virtual one: set source",
			target, ifi.Name))
	}
	w.ours = mac(ifi.HardwareAddr)
	w.server, err = resolve(ctx, w.index, target)
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return way{}, failure(reasonNoRoute, fmt.Errorf("%s does not say its Ethernet address on %s: it is down, or not on that network",
			target, ifi.Name))
	} else if err != nil {
		return fail(err)
	}
	return w, Result{}
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
