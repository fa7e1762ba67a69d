// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// A match is one way for holdfast and a peer to speak VRRP with each other.
type match struct {
	peer     string // "keepalived" or "frr"
	version  int    // of VRRP
	family   string // "IPv4", "IPv6", or both for a sync group over two LANs
	unicast  bool
	checksum string // that holdfast sends: "pseudo", "plain"; empty where VRRP leaves no choice
	password string // of VRRPv2; empty: no authentication
	vmac     string // who sends from the virtual MAC: "", "holdfast", "both"
	hops     string // who makes up for keepalived's hop limit of 64 in IPv6 unicast: "", "holdfast" (min_ttl), "peer" (unicast_ttl)
	cannot   string // why the peer cannot take part; empty: it can
}

// Names of the families of a match.
const (
	ipv4 = "IPv4"
	ipv6 = "IPv6"
	both = "IPv4+IPv6"
)

const (
	keepalivedChecksum = "no v3_checksum_as_v2, which came with keepalived 2.2.8"
	frrChecksum        = "FRR 8.4 always uses the pseudo-header"
)

var matches = []match{
	{peer: "keepalived", version: 3, family: ipv4, checksum: "pseudo"},
	{peer: "keepalived", version: 3, family: ipv4, checksum: "plain", cannot: keepalivedChecksum},
	{peer: "keepalived", version: 3, family: ipv4, checksum: "pseudo", unicast: true},
	{peer: "keepalived", version: 3, family: ipv4, checksum: "pseudo", vmac: "holdfast"},
	{peer: "keepalived", version: 3, family: ipv4, checksum: "pseudo", vmac: "both"},
	{peer: "keepalived", version: 3, family: ipv6},
	{peer: "keepalived", version: 3, family: ipv6, vmac: "both"},
	{peer: "keepalived", version: 3, family: ipv6, unicast: true, hops: "holdfast"},
	{peer: "keepalived", version: 3, family: ipv6, unicast: true, hops: "peer"},
	{peer: "keepalived", version: 3, family: both, checksum: "pseudo"},
	{peer: "keepalived", version: 2, family: ipv4},
	{peer: "keepalived", version: 2, family: ipv4, password: "secret"},
	{peer: "keepalived", version: 2, family: ipv4, unicast: true},
	{peer: "frr", version: 3, family: ipv4, checksum: "pseudo"},
	{peer: "frr", version: 3, family: ipv4, checksum: "plain", cannot: frrChecksum},
	{peer: "frr", version: 3, family: ipv4, checksum: "pseudo", vmac: "both"},
	{peer: "frr", version: 3, family: ipv4, checksum: "pseudo", unicast: true, cannot: "FRR has no unicast"},
	{peer: "frr", version: 3, family: ipv6},
	{peer: "frr", version: 3, family: ipv6, vmac: "both"},
	{peer: "frr", version: 3, family: both, checksum: "pseudo", cannot: "FRR has no sync groups"},
	{peer: "frr", version: 2, family: ipv4},
	{peer: "frr", version: 2, family: ipv4, password: "secret", cannot: "FRR has no authentication"},
}

// name tells matches apart, in names of rows and directories.
func (m match) name() string {
	parts := []string{m.peer, fmt.Sprintf("v%d", m.version), strings.ToLower(m.family), m.transport()}
	if m.checksum == "plain" {
		parts = append(parts, "plain")
	}
	if m.password != "" {
		parts = append(parts, "password")
	}
	if m.vmac != "" {
		parts = append(parts, "vmac-"+m.vmac)
	}
	if m.hops != "" {
		parts = append(parts, "hops-"+m.hops)
	}
	return strings.Join(parts, "-")
}

func (m match) transport() string {
	if m.unicast {
		return "unicast"
	}
	return "multicast"
}

// form is the column of the matrix for what else makes an advert.
func (m match) form() string {
	var parts []string
	if m.checksum != "" {
		parts = append(parts, m.checksum)
	}
	if m.password != "" {
		parts = append(parts, "auth pass")
	}
	switch m.vmac {
	case "holdfast":
		parts = append(parts, "use_vmac here")
	case "both":
		parts = append(parts, "use_vmac on both sides")
	}
	switch m.hops {
	case "holdfast":
		parts = append(parts, "min_ttl = 64 here")
	case "peer":
		parts = append(parts, "unicast_ttl 255 there")
	}
	if m.family == both {
		parts = append(parts, "sync group, two LANs")
	}
	if len(parts) == 0 {
		return "-"
	}
	return strings.Join(parts, ", ")
}

// interval is the advertise interval; VRRPv2 counts whole seconds.
func (m match) interval() time.Duration {
	if m.version == 2 {
		return time.Second
	}
	return 100 * time.Millisecond
}

// skew is the skew time of a router of that priority, whose master sends each interval.
func (m match) skew(priority int, interval time.Duration) time.Duration {
	if m.version == 2 {
		interval = time.Second // RFC 3768 section 6.1: in seconds, whatever the interval
	}
	return interval * time.Duration(256-priority) / 256
}

// masterDown is its master-down interval.
func (m match) masterDown(priority int, interval time.Duration) time.Duration {
	return 3*interval + m.skew(priority, interval)
}

// A vr is one virtual router of a match. Both sides call it by the same name.
type vr struct {
	name      string
	ifname    string
	id        int
	six       bool
	addresses []netip.Addr
	own       [2]netip.Addr // that holdfast and the peer have on the LAN, for unicast
}

// routers are the virtual routers of the match, one for each LAN.
func (m match) routers() []vr {
	four := vr{
		name: "a", ifname: "eth0", id: 51, addresses: []netip.Addr{addr("192.0.2.100"), addr("192.0.2.101")},
		own: [2]netip.Addr{addr("192.0.2.10"), addr("192.0.2.11")},
	}
	six := vr{
		name: "a", ifname: "eth0", id: 51, six: true, addresses: []netip.Addr{addr("fe80::51"), addr("fd00:51::100")},
		own: [2]netip.Addr{addr("fd00:51::10"), addr("fd00:51::11")},
	}
	switch m.family {
	case ipv6:
		return []vr{six}
	case both:
		six.name, six.ifname, six.id = "b", "eth1", 52
		return []vr{four, six}
	}
	return []vr{four}
}

// A side is how one of the two is configured.
type side struct {
	priority  int
	interval  time.Duration
	preempt   bool
	password  string
	checksum  string
	minTTL    int          // holdfast's
	addresses []netip.Addr // of the first router; nil: its own
}

func (m match) side(priority int) side {
	s := side{priority: priority, interval: m.interval(), preempt: true, password: m.password, checksum: m.checksum, minTTL: 255}
	if m.hops == "holdfast" {
		s.minTTL = 64
	}
	return s
}

// listed are the addresses that a side gives a router.
func (s side) listed(i int, r vr) []netip.Addr {
	if i == 0 && s.addresses != nil {
		return s.addresses
	}
	return slices.Clone(r.addresses)
}

// ourConfig is holdfast's configuration.
func ourConfig(d *directorHost, socket string, m match, s side) string {
	var b strings.Builder
	fmt.Fprintf(&b, "director {\n  name           = %q\n  control_socket = %q\n  state_dir      = %q\n}\n\nhttp {\n  listen = \"\"\n}\n",
		d.name, socket, d.dir)
	var names []string
	for i, r := range m.routers() {
		names = append(names, r.name)
		fmt.Fprintf(&b, `
virtual_router %q {
  interface          = %q
  id                 = %d
  version            = %d
  priority           = %d
  advertise_interval = %q
  owner              = %t
  preempt            = %t
  use_vmac           = %t
  addresses          = %s
`, r.name, r.ifname, r.id, m.version, s.priority, s.interval, s.priority == owner, s.preempt, m.vmac != "", list(prefixes(s.listed(i, r))))
		if !r.six && s.checksum != "" {
			fmt.Fprintf(&b, "  checksum           = %q\n", s.checksum)
		}
		if m.unicast {
			fmt.Fprintf(&b, "  unicast {\n    source  = %q\n    peers   = [%q]\n    min_ttl = %d\n  }\n", r.own[us], r.own[them], s.minTTL)
		}
		if s.password != "" {
			fmt.Fprintf(&b, "  auth \"pass\" {\n    password = %q\n  }\n", s.password)
		}
		b.WriteString("}\n")
	}
	if len(names) > 1 {
		fmt.Fprintf(&b, "\nsync_group \"both\" {\n  members = %s\n}\n", list(names))
	}
	return b.String()
}
