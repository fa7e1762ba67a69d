// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/holdfast-lb/holdfast/vrrp"
)

var network = []Check{
	{
		ID: "bridge-flood", Role: Director, Severity: Broken,
		Looks: "a virtual router's link hangs, by a veth pair, on a port of a bridge here that passes on no multicast but what was asked for",
		Why:   "the group of adverts is in no table of members (RFC 4541 section 2.1.2): no advert of others gets there",
		Mend:  "`bridge link set dev veth0 mcast_flood on`",
		find:  findFlood,
	},
	{
		ID: "bridge-querier", Role: Director, Severity: Warning,
		Looks: "a bridge of this host sorts multicast by who wants it and does not ask who does, and adverts over IPv6 or connection sync pass it",
		Why:   "without a querier nobody tells who is still a member: switches that sort likewise forget them after some minutes, and drop groups other than 224.0.0.x (this bridge does not, as long as it hears no querier)",
		Mend:  "`ip link set br0 type bridge mcast_querier 1`, or `mcast_snooping 0`",
		find:  findQuerier,
	},
}

// multicasters are the virtual routers whose adverts go to a group.
func multicasters(f Facts) []vrrp.Config {
	return slices.DeleteFunc(usable(f), func(vr vrrp.Config) bool { return vr.Unicast.Enabled() })
}

func findFlood(f Facts) (list []problem) {
	for _, vr := range multicasters(f) {
		name := f.Links[vr.Interface].Peer
		if port := f.Links[name]; port.Bridge != "" && !port.Flood {
			list = append(list, problem{
				fact: fmt.Sprintf("virtual_router %q: %s of %s, which leads to %s, passes on no multicast unasked for", vr.Name, name, port.Bridge, vr.Interface),
				mend: "bridge link set dev " + name + " mcast_flood on",
			})
		}
	}
	return list
}

// plain are the groups that every switch sends to all of its ports.
var plain = netip.MustParsePrefix("224.0.0.0/24")

func findQuerier(f Facts) (list []problem) {
	uses := make(map[string]string)
	for _, vr := range multicasters(f) {
		if vr.Family6() {
			uses[vr.Interface] = fmt.Sprintf("adverts of virtual_router %q", vr.Name)
		}
	}
	if d := f.Config.ConnectionSync.Daemon; d.Interface != "" && !plain.Contains(d.Group) {
		uses[d.Interface] = "connection sync"
	}
	for _, name := range names(uses) {
		bridge := name
		if b := f.Links[name].Bridge; b != "" {
			bridge = b
		}
		if l := f.Links[bridge]; l.Sorts && !l.Querier {
			list = append(list, problem{
				fact: fmt.Sprintf("%s sorts multicast and does not ask who wants it: %s", bridge, uses[name]),
				mend: fmt.Sprintf("ip link set %s type bridge mcast_querier 1", bridge),
			})
		}
	}
	return list
}
