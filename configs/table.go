// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/holdfast-lb/holdfast/ipvs"
	"github.com/holdfast-lb/holdfast/vrrp"
)

// maxTimeout bounds the time-outs of connections: the kernel takes INT_MAX jiffies, 24.8 days at 1000 Hz
// (ip_vs_set_timeout).
const maxTimeout = 24 * 24 * time.Hour

// timeouts reads how long the kernel keeps idle connections.
func (b *builder) timeouts(raw *rawTimeouts) {
	seconds := duration(time.Second, maxTimeout, time.Second)
	b.cfg.Timeouts = ipvs.Timeouts{
		TCP:    read(b, raw.TCP, 15*time.Minute, seconds),
		TCPFin: read(b, raw.TCPFin, 2*time.Minute, seconds),
		UDP:    read(b, raw.UDP, 5*time.Minute, seconds),
	}
}

// syncGroup is the multicast group of the sync daemon unless the configuration says otherwise, as in the kernel.
var syncGroup = netip.AddrFrom4([4]byte{224, 0, 0, 81})

// connectionSync reads the sync daemon. It needs the virtual routers.
func (b *builder) connectionSync(raw *rawConnectionSync) {
	b.synced = raw.Range
	b.require(raw.Range, "interface", raw.Interface)
	router := b.syncRouter(raw)
	b.cfg.ConnectionSync = ConnectionSync{
		VirtualRouter: router.Name,
		Daemon: ipvs.SyncDaemon{
			Interface: read(b, raw.Interface, "", matching(parseInterface)),
			ID:        uint8(read(b, raw.ID, int(router.ID), whole(0, 255))),
			Group:     read(b, raw.Group, syncGroup, matching(parseSyncGroup)),
			Port:      uint16(read(b, raw.Port, 8848, whole(1, 65535))),
			TTL:       uint8(read(b, raw.TTL, 1, whole(1, 255))),
		},
	}
}

// syncRouter returns the virtual router whose role the sync daemon follows; one without a name if there is none.
func (b *builder) syncRouter(raw *rawConnectionSync) vrrp.Config {
	routers, names := b.cfg.VirtualRouters, b.routerNames()
	if a := raw.VirtualRouter; a != nil {
		name := read(b, a, "", matching(parseName))
		if name != "" && b.known(a.Name, "virtual_router", name, names, a.Expr.Range()) {
			return routers[b.router(name)]
		}
		return vrrp.Config{}
	}
	switch len(routers) {
	case 0:
		b.fail(raw.Range, "Missing virtual_router",
			"The sync daemon sends while a virtual_router is master, and receives while it is not: without one, nothing is in sync.")
	case 1:
		return routers[0]
	default:
		b.fail(raw.Range, "Missing virtual_router", fmt.Sprintf(
			"There are %d virtual routers: virtual_router names the one whose role the sync daemon follows, such as %q.",
			len(routers), names[0]))
	}
	return vrrp.Config{}
}

// routerNames returns the names of the virtual routers that are built.
func (b *builder) routerNames() []string {
	names := make([]string, len(b.cfg.VirtualRouters))
	for i, r := range b.cfg.VirtualRouters {
		names[i] = r.Name
	}
	return names
}

// parseSyncGroup accepts a multicast address.
func parseSyncGroup(s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(s)
	if err != nil || !a.IsMulticast() || a.Is4In6() || a.Zone() != "" {
		return netip.Addr{}, errors.New(`takes a multicast address such as "224.0.0.81" or "ff02::81"`)
	}
	return a, nil
}

// isSynced reports whether there is a connection_sync block.
func (b *builder) isSynced() bool { return b.synced != hcl.Range{} }
