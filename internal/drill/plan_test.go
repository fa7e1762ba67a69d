// SPDX-License-Identifier: Apache-2.0

package drill

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/holdfast-lb/holdfast/internal/director"
)

func address(s string) netip.Addr { return netip.MustParseAddr(s) }

// well is a master with nothing wrong, of which every test breaks one thing.
func well() director.Status {
	web := netip.MustParseAddrPort("10.0.0.100:80")
	return director.Status{
		Name: "lb1", Ready: true,
		VirtualRouters: []director.VirtualRouterStatus{
			{
				Name: "web", State: "master", Priority: 100, EffectivePriority: 100, Preempt: true, Source: "10.0.0.2",
				Addresses: []string{"10.0.0.100/32"}, HeldAddresses: []string{"10.0.0.100/32", "10.1.0.254/24"}, ExcludedAddresses: []string{"10.1.0.254/24"},
				Peers: []director.PeerStatus{{Address: address("10.0.0.3"), Priority: 90, SameAddresses: true, LastSeen: epoch.Add(-time.Hour)}},
			},
			{Name: "other", State: "backup", Preempt: true, Source: "10.0.0.2", Addresses: []string{"10.0.0.200/32"}},
		},
		VirtualServers: []director.VirtualServerStatus{{
			Name: "web", Address: web, Protocol: "tcp", Forward: "nat", State: "up", Active: "always",
			RealServers: []director.RealServerStatus{{Name: "web1", State: "up"}, {Name: "web2", State: "up"}},
		}},
		IPVS:           director.IPVSStatus{LastReconcile: epoch.Add(-3 * time.Second)},
		ConnectionSync: &director.ConnectionSyncStatus{Interface: "eth0", Running: []string{"master"}},
	}
}

// elsewhere are the addresses of a host that is neither director nor real server.
var elsewhere = []netip.Addr{address("127.0.0.1"), address("10.0.0.9")}

func TestPrepare(t *testing.T) {
	p := Prepare(well(), epoch, elsewhere, Options{})
	if anyFailed(p.Checks) || !slices.Equal(p.Routers, []string{"web"}) || !slices.Equal(p.Peers, []netip.Addr{address("10.0.0.3")}) {
		t.Errorf("a pair that is well: %+v", p)
	}
	if p.Target == nil || p.Target.String() != "connections to 10.0.0.100:80" {
		t.Errorf("target %v", p.Target)
	}
	for _, c := range p.Checks {
		if c.Verdict != Passed {
			t.Errorf("a pair that is well: %v", c)
		}
	}
}

// TestPreChecks has one thing wrong in each row, and wants that one check to say so and all others to pass.
func TestPreChecks(t *testing.T) {
	type status = director.Status
	for name, tt := range map[string]struct {
		spoil   func(*status)
		options Options
		want    string // verdict, name and a part of the text
	}{
		"not ready":          {func(s *status) { s.Ready = false }, Options{}, "failed ready: first round"},
		"refused reload":     {func(s *status) { s.Config.Error = "line 3" }, Options{}, "failed configuration: line 3"},
		"no such router":     {nil, Options{Routers: []string{"web", "nosuch"}}, "failed role: no virtual router nosuch"},
		"backup of it":       {nil, Options{Routers: []string{"web", "other"}}, "failed role: not master of other (backup)"},
		"master of none":     {func(s *status) { s.VirtualRouters[0].State = "fault" }, Options{}, "failed role: master of no"},
		"half a group":       {func(s *status) { s.VirtualRouters[0].SyncGroup, s.VirtualRouters[1].SyncGroup = "g", "g" }, Options{}, "failed role: not master of other"},
		"peer never heard":   {func(s *status) { s.VirtualRouters[0].Peers = nil }, Options{}, "warning peer of web: no other director"},
		"other addresses":    {func(s *status) { s.VirtualRouters[0].Peers[0].SameAddresses = false }, Options{}, "failed peer of web: 10.0.0.3 carries other"},
		"address lost":       {func(s *status) { s.VirtualRouters[0].HeldAddresses = nil }, Options{}, "failed addresses of web: 10.0.0.100/32, 10.1.0.254/24"},
		"addresses in error": {func(s *status) { s.VirtualRouters[0].Error = "no memory" }, Options{}, "failed addresses of web: no memory"},
		"contested": {func(s *status) {
			s.VirtualRouters[0].Contested = []director.ContestedStatus{{Address: address("10.0.0.100"), Reason: "by x"}}
		}, Options{}, "failed addresses of web: someone else answers for 10.0.0.100: by x"},
		"table in error":      {func(s *status) { s.IPVS.Error = "no IPVS" }, Options{}, "failed table: no IPVS"},
		"table drifted":       {func(s *status) { s.IPVS.DriftLeft = "1 update" }, Options{}, "failed table: 1 update"},
		"table never read":    {func(s *status) { s.IPVS.LastReconcile = time.Time{} }, Options{}, "failed table: compared with the wanted one yet"},
		"table read long ago": {func(s *status) { s.IPVS.LastReconcile = epoch.Add(-60 * 24 * time.Hour) }, Options{}, "failed table: has not been compared with the wanted one for 60 days"},
		"one server down":     {func(s *status) { s.VirtualServers[0].RealServers[1].State = "down" }, Options{}, "warning servers of web: 1 of 2 up: web2 is down"},
		"service down":        {func(s *status) { s.VirtualServers[0].State, s.VirtualServers[0].Reason = "down", "quorum lost" }, Options{}, "failed servers of web: quorum lost"},
		"panic":               {func(s *status) { s.VirtualServers[0].Panic = true }, Options{}, "failed servers of web: 2 of 2 up"},
		"sorry":               {func(s *status) { s.VirtualServers[0].Sorry = true }, Options{}, "failed servers of web: 2 of 2 up"},
		"sync down":           {func(s *status) { s.ConnectionSync.Running = nil }, Options{}, "failed connection sync: does not run"},
		"sync in error":       {func(s *status) { s.ConnectionSync.Error = "no such device" }, Options{}, "failed connection sync: no such device"},
		"no preemption":       {func(s *status) { s.VirtualRouters[0].Preempt = false }, Options{}, "warning return: preempt is off"},
		"lower priority":      {func(s *status) { s.VirtualRouters[0].Peers[0].Priority = 101 }, Options{}, "warning return: 10.0.0.3 has priority 101"},
		"equal priority":      {func(s *status) { s.VirtualRouters[0].Peers[0].Priority = 100 }, Options{}, "warning return: 10.0.0.3 has priority 100"},
		"stepped down": {
			func(s *status) { s.VirtualRouters[0].SteppedDown = &director.SteppedDownStatus{} }, Options{},
			"failed role: web is stepped down by an operator already",
		},
		"no load": {nil, Options{NoLoad: true}, "skipped load: as asked for"},
	} {
		t.Run(name, func(t *testing.T) {
			s := well()
			if tt.spoil != nil {
				tt.spoil(&s)
			}
			var bad []Check
			for _, c := range Prepare(s, epoch, elsewhere, tt.options).Checks {
				// Without a router there is nothing on its addresses: no load is a consequence.
				if c.Verdict != Passed && !(strings.HasPrefix(tt.want, "failed role") && c.Name != "role") {
					bad = append(bad, c)
				}
			}
			verdict, rest, _ := strings.Cut(tt.want, " ")
			of, part, _ := strings.Cut(rest, ": ")
			if len(bad) != 1 || bad[0].Verdict.String() != verdict || bad[0].Name != of || !strings.Contains(bad[0].Text, part) {
				t.Errorf("found %v, want %s", bad, tt.want)
			}
		})
	}
	s := well()
	s.VirtualServers, s.IPVS.Error = nil, "no IPVS"
	if p := Prepare(s, epoch, elsewhere, Options{}); anyFailed(p.Checks) {
		t.Errorf("elections take no table: %v", p.Checks)
	}
	s = well()
	s.VirtualRouters[0].Priority, s.VirtualRouters[0].EffectivePriority, s.VirtualRouters[0].Preempt = 255, 255, false
	if p := Prepare(s, epoch, elsewhere, Options{}); slices.ContainsFunc(p.Checks, func(c Check) bool { return c.Verdict != Passed }) {
		t.Errorf("an address owner always preempts: %v", p.Checks)
	}
	s = well()
	s.VirtualRouters[0].Preempt = false
	if p := Prepare(s, epoch, elsewhere, Options{Stay: true}); slices.ContainsFunc(p.Checks, func(c Check) bool { return c.Verdict != Passed }) {
		t.Errorf("whether the role comes back does not matter if it is to stay: %v", p.Checks)
	}
}

// A sync group goes together.
func TestPrepareGroup(t *testing.T) {
	s := well()
	s.VirtualRouters[0].SyncGroup, s.VirtualRouters[1].SyncGroup = "g", "g"
	s.VirtualRouters[1].State, s.VirtualRouters[1].HeldAddresses = "master", s.VirtualRouters[1].Addresses
	if p := Prepare(s, epoch, elsewhere, Options{Routers: []string{"other"}}); anyFailed(p.Checks) || !slices.Equal(p.Routers, []string{"web", "other"}) {
		t.Errorf("one of a group: %v, %v", p.Routers, p.Checks)
	}
}

// TestClientHost holds where a load can come from against what a real kernel does, which cmd/holdfast-lab tries.
func TestClientHost(t *testing.T) {
	onDirector, onServer := append(slices.Clone(elsewhere), address("10.0.0.2")), append(slices.Clone(elsewhere), address("10.0.0.100"))
	asked := Options{Target: Target{Address: netip.MustParseAddrPort("10.0.0.100:80"), HTTP: true}}
	for _, tt := range []struct {
		name            string
		local           []netip.Addr
		forward, active string
		want            string // what is in the way; empty: nothing
	}{
		{"another host, dr", elsewhere, "dr", "always", ""},
		{"a real server of dr", onServer, "dr", "always", "has the address 10.0.0.100 itself"},
		{"the director, nat", onDirector, "nat", "always", "goes through its own table"},
		{"the director, dr with the role", onDirector, "dr", "web", "no client of its own service"},
		{"the director, tunnel with the role", onDirector, "tunnel", "web", "no client of its own service"},
		{"the director, nat with the role", onDirector, "nat", "web", ""},
	} {
		s := well()
		s.VirtualServers[0].Forward, s.VirtualServers[0].Active = tt.forward, tt.active
		for _, o := range []Options{{}, asked} {
			p := Prepare(s, epoch, tt.local, o)
			last := p.Checks[len(p.Checks)-1]
			verdict := Skipped // what nobody has asked for fails nothing
			if o.Target.HTTP {
				verdict = Failed
			}
			switch {
			case tt.want == "" && (p.Target == nil || last.Name == "load"):
				t.Errorf("%s: no load: %v", tt.name, last)
			case tt.want != "" && (p.Target != nil || last.Name != "load" || last.Verdict != verdict || !strings.Contains(last.Text, tt.want)):
				t.Errorf("%s: target %v, %v, want %v with %q", tt.name, p.Target, last, verdict, tt.want)
			}
		}
	}
}

func TestChooseTarget(t *testing.T) {
	s := well()
	web := s.VirtualServers[0]
	udp, every, mark, elsewhereVS := web, web, web, web
	udp.Protocol, mark.Fwmark, mark.Protocol = "udp", 7, ""
	every.Address = netip.AddrPortFrom(web.Address.Addr(), 0)
	elsewhereVS.Address = netip.MustParseAddrPort("10.0.0.200:80")
	s.VirtualServers = []director.VirtualServerStatus{udp, every, elsewhereVS}
	if p := Prepare(s, epoch, elsewhere, Options{}); p.Target != nil || !strings.Contains(p.Checks[len(p.Checks)-1].Text, "--target") {
		t.Errorf("nothing to load: %v, %v", p.Target, p.Checks)
	}
	s.VirtualServers = append(s.VirtualServers, web)
	if p := Prepare(s, epoch, elsewhere, Options{}); p.Target == nil || p.Target.Address != web.Address {
		t.Errorf("target %v, want %v", p.Target, web.Address)
	}
}

func TestParseTarget(t *testing.T) {
	for in, want := range map[string]any{
		"10.0.0.100:443":                   Target{Address: netip.MustParseAddrPort("10.0.0.100:443")},
		"[2001:db8::1]:80":                 Target{Address: netip.MustParseAddrPort("[2001:db8::1]:80")},
		"http://10.0.0.100":                Target{netip.MustParseAddrPort("10.0.0.100:80"), true, "10.0.0.100", "/"},
		"http://10.0.0.100:8080/a?b=c%20d": Target{netip.MustParseAddrPort("10.0.0.100:8080"), true, "10.0.0.100:8080", "/a?b=c%20d"},
		"http://[2001:db8::1]:81/":         Target{netip.MustParseAddrPort("[2001:db8::1]:81"), true, "[2001:db8::1]:81", "/"},
		"":                                 "want ADDRESS:PORT",
		"10.0.0.100":                       "want ADDRESS:PORT",
		"https://10.0.0.100/":              "http only",
		"http://www.example.com/":          "not a name",
		"http://10.0.0.100:99999/":         "no such port",
		"0.0.0.0:80":                       "nobody has",
		"10.0.0.100:0":                     "port 0",
		"[fe80::1%eth0]:80":                "zone",
		"http://10.0.0.100/a b\r\nX: y":    "want ADDRESS:PORT",
	} {
		got, err := ParseTarget(in)
		switch want := want.(type) {
		case Target:
			if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.AddrPort{})); err != nil || diff != "" {
				t.Errorf("%q: %v %s", in, err, diff)
			}
		case string:
			if err == nil || !strings.Contains(fmt.Sprint(err), want) {
				t.Errorf("%q: %v, error %v, want %q", in, got, err, want)
			}
		}
	}
}
