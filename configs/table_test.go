// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/holdfast-lb/holdfast/ipvs"
)

// TestLoadTable holds what the table can be asked for, each with a value other than the default, against what it means.
func TestLoadTable(t *testing.T) {
	got, diags := Load("testdata/table.hcl")
	if diags.Errors() > 0 {
		t.Fatal(diags)
	}
	director := Director{
		Name: "lb9", ControlSocket: DefaultControlSocket, StateDir: "/var/lib/holdfast",
		OnExit: Clear, ControlGroup: "adm", ReportDrift: true,
	}
	if diff := cmp.Diff(director, got.Director); diff != "" {
		t.Errorf("director (-want +got):\n%s", diff)
	}
	daemon := ipvs.SyncDaemon{Interface: "eth1", ID: 52, Group: netip.MustParseAddr("ff02::81"), Port: 8849, TTL: 3}
	if want := (ConnectionSync{VirtualRouter: "other", Daemon: daemon}); got.ConnectionSync != want {
		t.Errorf("connection_sync is %+v, want %+v", got.ConnectionSync, want)
	}
	if want := (ipvs.Timeouts{TCP: time.Hour, TCPFin: 2 * time.Minute, UDP: time.Second}); got.Timeouts != want {
		t.Errorf("timeouts are %+v, want %+v", got.Timeouts, want)
	}
	for i := range got.VirtualServers {
		for j := range got.VirtualServers[i].RealServers {
			got.VirtualServers[i].RealServers[j].Checks = nil
		}
	}
	if diff := cmp.Diff(tableServices(), got.VirtualServers, byValue); diff != "" {
		t.Errorf("services (-want +got):\n%s", diff)
	}
}

// tableServices are the services of testdata/table.hcl, without checks.
func tableServices() []VirtualServer {
	server, address := netip.MustParseAddrPort, netip.MustParseAddr
	ipip := ipvs.Encapsulation{Type: ipvs.IPIP}
	return []VirtualServer{{
		Name: "streams", Key: ipvs.Key{Address: address("10.0.0.100"), Port: 80, Protocol: ipvs.SCTP},
		Settings: ipvs.Settings{Scheduler: "wlc", Persistence: ipvs.Persistence{Timeout: time.Minute, Netmask: 24}},
		Forward:  ipvs.Tunnel, Active: "web", Quorum: Quorum{Weight: 1}, VirtualRouter: "web",
		Sorry: SorryServer{Address: server("10.0.0.30:80"), Forward: ipvs.Tunnel, Encapsulation: ipip},
		RealServers: []RealServer{
			{
				Name: "ipip", Address: server("10.0.0.21:80"), Weight: 1, Forward: ipvs.Tunnel, Encapsulation: ipip,
				UpperThreshold: 100, LowerThreshold: 80, Maintenance: true,
			},
			{
				Name: "gue", Address: server("10.0.0.22:80"), Weight: 1, Forward: ipvs.Tunnel,
				Encapsulation: ipvs.Encapsulation{Type: ipvs.GUE, Port: 6080, Checksum: ipvs.RemoteChecksum},
			},
			{
				Name: "gre", Address: server("10.0.0.23:80"), Weight: 1, Forward: ipvs.Tunnel,
				Encapsulation: ipvs.Encapsulation{Type: ipvs.GRE, Checksum: ipvs.FullChecksum},
			},
			{Name: "dr", Address: server("10.0.0.24:80"), Weight: 1, Forward: ipvs.DR},
			{Name: "nat", Address: server("10.0.0.25:8080"), Weight: 1, Forward: ipvs.NAT},
		},
	}, {
		Name: "calls", Key: ipvs.MarkKey(4294967295, true), Forward: ipvs.NAT, DrainTimeout: time.Minute, Quorum: Quorum{Weight: 1},
		Settings: ipvs.Settings{
			Scheduler: "wlc", Flags: ipvs.OnePacket,
			Persistence: ipvs.Persistence{Timeout: 5 * time.Minute, Netmask: 64, Engine: "sip"},
		},
		RealServers: []RealServer{{Name: "sip1", Address: server("[2001:db8::21]:0"), Weight: 1, Forward: ipvs.NAT}},
	}, {
		Name: "mapped", Key: ipvs.MarkKey(1, false), Settings: ipvs.Settings{Scheduler: "wlc"}, Forward: ipvs.NAT,
		DrainTimeout: time.Minute, Quorum: Quorum{Weight: 1},
		RealServers: []RealServer{{Name: "app1", Address: server("10.0.0.21:8080"), Weight: 1, Forward: ipvs.NAT}},
	}, {
		Name: "every", Key: ipvs.Key{Address: address("10.0.0.100"), Protocol: ipvs.TCP}, Forward: ipvs.DR,
		Settings:     ipvs.Settings{Scheduler: "wlc", Persistence: ipvs.Persistence{Timeout: 5 * time.Minute, Netmask: 24}},
		DrainTimeout: time.Minute, Quorum: Quorum{Weight: 1}, VirtualRouter: "web",
		RealServers: []RealServer{{Name: "web1", Address: server("10.0.0.21:0"), Weight: 1, Forward: ipvs.DR}},
	}}
}

// TestCheckPort: the port of a check is its own, or that of the real server.
func TestCheckPort(t *testing.T) {
	cfg, diags := Load("testdata/table.hcl")
	if diags.Errors() > 0 {
		t.Fatal(diags)
	}
	for i, want := range map[int]string{1: "[2001:db8::21]:0", 2: "10.0.0.21:8080", 3: "10.0.0.21:443"} {
		if got := cfg.VirtualServers[i].RealServers[0].Checks[0].Target.String(); got != want {
			t.Errorf("%s: the check asks %s, want %s", cfg.VirtualServers[i].Name, got, want)
		}
	}
}
