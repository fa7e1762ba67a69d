// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/holdfast-lb/holdfast/ipvs"
)

var (
	protocols = []choice[ipvs.Protocol]{
		{word: "tcp", value: ipvs.TCP}, {word: "udp", value: ipvs.UDP}, {word: "sctp", later: true},
	}
	forwards = []choice[ipvs.Forward]{
		{word: "nat", value: ipvs.NAT}, {word: "dr", value: ipvs.DR}, {word: "tunnel", later: true},
	}
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
	if raw.Fwmark == nil {
		b.require(raw.Range, "address", raw.Address)
	}
	address := read(b, raw.Address, netip.AddrPort{}, matching(parseService))
	s := VirtualServer{
		Name: raw.Name,
		Key: ipvs.Key{
			Address:  address.Addr(),
			Port:     address.Port(),
			Protocol: read(b, raw.Protocol, ipvs.TCP, oneOf(protocols)),
		},
		Settings: ipvs.Settings{Scheduler: read(b, raw.Scheduler, "wlc", oneOf(schedulers))},
		Forward:  read(b, raw.Forward, ipvs.NAT, oneOf(forwards)),
		StartUp:  read(b, raw.Start, false, oneOf(starts)),
		Inhibit:  read(b, raw.OnFailure, false, oneOf(onFailures)),

		PanicThreshold: read(b, raw.PanicThreshold, 0, whole(0, 100)),
		SlowStart:      read(b, raw.SlowStart, 0, duration(0, maxInterval, 1)),
		Quorum:         b.quorum(raw.Quorum),
	}
	if address.IsValid() && s.Key.Protocol != 0 {
		b.unique("service", "", s.Key.String(), raw.Address.Expr.Range())
	}
	s.Flags = b.flags(raw, s.Scheduler)
	checks := b.checks(raw.Checks, s)
	for _, r := range raw.RealServers {
		s.RealServers = append(s.RealServers, b.realServer(r, raw, s, checks))
	}
	if len(raw.RealServers) == 0 && len(raw.Dynamic) == 0 {
		b.warn(raw.Range, "No real server", "The service refuses every connection until it has a real_server.")
	}
	s.Sorry = b.sorryServer(raw.SorryServer, raw, s)
	if !b.diags[found:].HasErrors() {
		b.lintService(raw, s)
	}
	return s
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
		b.unique("scheduler flag", raw.Range.String(), f.value.word, f.at)
		flags |= f.value.flag
	}
	return flags
}

func (b *builder) realServer(raw *rawRealServer, service *rawVirtualServer, s VirtualServer, checks []check) RealServer {
	scope := service.Range.String()
	b.name("real_server", scope, raw.Name, raw.NameRange)
	b.require(raw.Range, "address", raw.Address)
	r := RealServer{
		Name:    raw.Name,
		Address: read(b, raw.Address, netip.AddrPort{}, matching(parseServer)),
		Weight:  uint32(read(b, raw.Weight, 1, whole(0, 65535))),
		Forward: s.Forward,
	}
	if r.Address.Addr().IsValid() {
		r.Address = b.serverAddress(raw.Address, scope, s, s.Forward, r.Address)
	}
	if len(raw.Checks) > 0 {
		checks = b.checks(raw.Checks, s)
	}
	for _, c := range checks {
		r.Checks = append(r.Checks, c.of(s.Name, r))
	}
	return r
}

// serverAddress fills in the port of a server and holds the address, as given, against the service's.
func (b *builder) serverAddress(given *hcl.Attribute, scope string, s VirtualServer, forward ipvs.Forward, a netip.AddrPort) netip.AddrPort {
	at := given.Expr.Range()
	if !s.Key.Address.IsValid() {
		return a // the service's fault, reported there
	}
	if a.Port() == 0 {
		a = netip.AddrPortFrom(a.Addr(), s.Key.Port)
	}
	if a.Addr().Is4() != s.Key.Address.Is4() {
		b.invalid("address", at, fmt.Errorf(
			"takes an address of the service's family (%s): %s cannot translate between IPv4 and IPv6",
			s.Key.Address, strings.ToUpper(forward.String())))
		return a
	}
	if a == netip.AddrPortFrom(s.Key.Address, s.Key.Port) {
		b.invalid("address", at, fmt.Errorf(
			"takes another address than the service's own, %s: connections and checks would come back to the service", a))
		return a
	}
	if forward == ipvs.DR && a.Port() != s.Key.Port {
		b.invalid("address", at, fmt.Errorf(
			`takes the service's port, %d: DR leaves the IP packet unchanged, so it cannot map ports; forward = "nat" can`,
			s.Key.Port))
	}
	b.unique("real server address", scope, a.String(), at)
	return a
}
