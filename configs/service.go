// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/holdfast-lb/holdfast/ipvs"
)

var (
	protocols = []choice[ipvs.Protocol]{
		{word: "tcp", value: ipvs.TCP}, {word: "udp", value: ipvs.UDP}, {word: "sctp", value: ipvs.SCTP},
	}
	forwards = []choice[ipvs.Forward]{
		{word: "nat", value: ipvs.NAT}, {word: "dr", value: ipvs.DR}, {word: "tunnel", value: ipvs.Tunnel},
	}
	families   = []choice[netip.Addr]{{word: "ipv4", value: netip.IPv4Unspecified()}, {word: "ipv6", value: netip.IPv6Unspecified()}}
	schedulers = words("rr", "wrr", "lc", "wlc", "sed", "nq", "sh", "dh", "mh", "lblc", "lblcr", "fo", "ovf", "twos")
	starts     = []choice[bool]{{word: "down", value: false}, {word: "up", value: true}}
	onFailures = []choice[bool]{{word: "remove", value: false}, {word: "inhibit", value: true}}
)

// schedulerFlag is a flag and the scheduler that it belongs to.
type schedulerFlag struct {
	word, scheduler string
	flag            ipvs.Flags
}

var schedulerFlags = []choice[schedulerFlag]{
	{word: "sh-port", value: schedulerFlag{"sh-port", "sh", ipvs.SchedPort}},
	{word: "sh-fallback", value: schedulerFlag{"sh-fallback", "sh", ipvs.SchedFallback}},
	{word: "mh-port", value: schedulerFlag{"mh-port", "mh", ipvs.SchedPort}},
	{word: "mh-fallback", value: schedulerFlag{"mh-fallback", "mh", ipvs.SchedFallback}},
}

func (b *builder) virtualServer(raw *rawVirtualServer) VirtualServer {
	found := len(b.diags)
	b.name("virtual_server", "", raw.Name, raw.NameRange)
	s := VirtualServer{
		Name:     raw.Name,
		Key:      b.key(raw),
		Settings: ipvs.Settings{Scheduler: read(b, raw.Scheduler, "wlc", oneOf(schedulers))},
		Forward:  read(b, raw.Forward, ipvs.NAT, oneOf(forwards)),
		Active:   b.active(raw.Active),
		StartUp:  read(b, raw.Start, false, oneOf(starts)),
		Inhibit:  read(b, raw.OnFailure, false, oneOf(onFailures)),

		DrainTimeout:   read(b, raw.DrainTimeout, time.Minute, duration(0, maxInterval, 1)),
		PanicThreshold: read(b, raw.PanicThreshold, 0, whole(0, 100)),
		SlowStart:      read(b, raw.SlowStart, 0, duration(0, maxInterval, 1)),
		Quorum:         b.quorum(raw.Quorum),
	}
	s.Flags = b.flags(raw, s.Scheduler) | b.onePacket(raw.OnePacket, s.Key)
	s.Persistence = b.persistence(raw, s.Key)
	checks := b.checks(raw.Checks, s)
	for _, r := range raw.RealServers {
		s.RealServers = append(s.RealServers, b.realServer(r, raw, s, checks))
	}
	if len(raw.RealServers) == 0 {
		b.warn(raw.Range, "No real server", "The service refuses every connection until it has a real_server.")
	}
	s.Sorry = b.sorryServer(raw.SorryServer, raw, s)
	if !b.diags[found:].HasErrors() {
		b.lintService(raw, s)
	}
	return s
}

// key reads what packets are the service's: those to an address, or those with a firewall mark.
func (b *builder) key(raw *rawVirtualServer) ipvs.Key {
	found := len(b.diags)
	mark := uint32(read(b, raw.Fwmark, 0, whole(0, math.MaxUint32)))
	switch {
	case len(b.diags) > found:
		return ipvs.Key{}
	case mark > 0:
		return b.markKey(raw, mark)
	case raw.Family != nil:
		b.fail(raw.Family.NameRange, "Unsupported argument", "family is for fwmark; an address tells its own.")
	}
	b.require(raw.Range, "address", raw.Address)
	address := read(b, raw.Address, netip.AddrPort{}, matching(parseService))
	k := ipvs.Key{Address: address.Addr(), Port: address.Port(), Protocol: read(b, raw.Protocol, ipvs.TCP, oneOf(protocols))}
	if !address.IsValid() || k.Protocol == 0 {
		return ipvs.Key{}
	}
	b.unique("service", "", k.String(), raw.Address.Expr.Range())
	return k
}

func (b *builder) markKey(raw *rawVirtualServer, mark uint32) ipvs.Key {
	b.require(raw.Range, "family", raw.Family)
	k := ipvs.Key{Address: read(b, raw.Family, netip.Addr{}, oneOf(families)), Mark: mark}
	for _, a := range []*hcl.Attribute{raw.Address, raw.Protocol} {
		if a != nil {
			b.fail(a.NameRange, "Unsupported argument", fmt.Sprintf(
				"With fwmark, whatever packet has the mark is the service's: remove %s, or fwmark.", a.Name))
		}
	}
	if !k.Address.IsValid() {
		return ipvs.Key{}
	}
	b.unique("service", "", k.String(), raw.Fwmark.Expr.Range())
	return k
}

// always is the value of active that is no virtual router.
const always = "always"

// active reads which virtual router has to be master for a service to be in the table.
func (b *builder) active(a *hcl.Attribute) string {
	found := len(b.diags)
	name := read(b, a, always, text)
	if name == always || len(b.diags) > found {
		return ""
	}
	b.known("active", `virtual_router, or "always"`, name, append(b.routerNames(), always), a.Expr.Range())
	return name
}

// onePacket reads whether each packet is scheduled alone, which the kernel does for UDP (ip_vs_schedule).
func (b *builder) onePacket(a *hcl.Attribute, k ipvs.Key) ipvs.Flags {
	if !read(b, a, false, boolean) {
		return 0
	}
	if k.Mark == 0 && k.Protocol != ipvs.UDP && k.Protocol != 0 {
		b.invalid("one_packet", a.Expr.Range(), errors.New(`takes true only with protocol = "udp"`))
	}
	return ipvs.OnePacket
}

func (b *builder) flags(raw *rawVirtualServer, scheduler string) ipvs.Flags {
	list, _ := readList(b, raw.SchedulerFlags, oneOf(schedulerFlags))
	var flags ipvs.Flags
	for _, f := range list {
		if scheduler != "" && f.value.scheduler != scheduler {
			detail := fmt.Errorf("takes %s only with scheduler = %q, not with %q", f.value.word, f.value.scheduler, scheduler)
			if scheduler == "sh" || scheduler == "mh" {
				detail = fmt.Errorf("takes the flags of %s: write %q", scheduler, scheduler+f.value.word[2:])
			}
			b.invalid("scheduler_flags", f.at, detail)
		}
		b.unique("scheduler flag", identity(raw), f.value.word, f.at)
		flags |= f.value.flag
	}
	return flags
}
