// SPDX-License-Identifier: Apache-2.0

package ipvs

import (
	"net/netip"
	"testing"
	"time"
)

func TestMobyCan(t *testing.T) {
	service := Key{Address: netip.MustParseAddr("10.9.0.1"), Port: 80, Protocol: TCP}
	nat := Destination{Address: netip.MustParseAddrPort("10.9.1.1:80"), Forward: NAT, Upper: 5}
	with := func(change func(*Destination)) Destination { d := nat; change(&d); return d }
	ipip := with(func(d *Destination) { d.Forward, d.Encapsulation.Type = Tunnel, IPIP })
	gue := with(func(d *Destination) { d.Forward, d.Encapsulation = Tunnel, Encapsulation{Type: GUE, Port: 6080} })
	gre := with(func(d *Destination) { d.Forward, d.Encapsulation.Type = Tunnel, GRE })
	mixed := with(func(d *Destination) { d.Address = netip.MustParseAddrPort("[fd00::1]:80") })
	for _, tt := range []struct {
		name string
		op   Op
		want bool
	}{
		{"service", Op{Kind: AddService, Service: service}, true},
		{"service by mark", Op{Kind: UpdateService, Service: MarkKey(7, true)}, true},
		{"timeouts", Op{Kind: SetTimeouts}, true},
		{"start sync", Op{Kind: StartSync}, false},
		{"stop sync", Op{Kind: StopSync}, false},
		{"add nat", Op{Kind: AddDestination, Service: service, Destination: nat}, true},
		{"update nat", Op{Kind: UpdateDestination, Service: service, Destination: nat}, true},
		{"add ipip", Op{Kind: AddDestination, Service: service, Destination: ipip}, true},
		{"update ipip: it may have been another tunnel", Op{Kind: UpdateDestination, Service: service, Destination: ipip}, false},
		{"add gue", Op{Kind: AddDestination, Service: service, Destination: gue}, false},
		{"update gre", Op{Kind: UpdateDestination, Service: service, Destination: gre}, false},
		{"delete", Op{Kind: DeleteDestination, Service: service, Destination: Destination{Address: nat.Address}}, true},
		{"delete of another family", Op{Kind: DeleteDestination, Service: service, Destination: Destination{Address: mixed.Address}}, false},
		{"add of another family", Op{Kind: AddDestination, Service: service, Destination: mixed}, false},
	} {
		if got := mobyCan(tt.op); got != tt.want {
			t.Errorf("%s: got %t, want %t", tt.name, got, tt.want)
		}
	}
}

// What we encode is what we decode.
func TestEncode(t *testing.T) {
	for _, s := range []Service{
		{Key: wantKey, Settings: Settings{"mh", SchedPort | OnePacket, Persistence{time.Minute, 24, "sip"}}},
		{Key: Key{Address: netip.MustParseAddr("fd00::1"), Port: 443, Protocol: SCTP}, Settings: Settings{"rr", 0, Persistence{time.Hour, 64, ""}}},
		{Key: MarkKey(7, true), Settings: Settings{Scheduler: "wlc"}},
		{Key: MarkKey(1<<32-1, false), Settings: Settings{"wlc", 0, Persistence{time.Minute, 0, ""}}},
	} {
		f := parse(encodeOp(Op{Kind: AddService, Service: s.Key, Settings: s.Settings}))
		if got, err := decodeService(f.values[cmdAttrService]); err != nil || !got.Equal(s) {
			t.Errorf("got %+v, %v, want %+v", got, err, s)
		}
	}
	for _, d := range []Destination{
		{netip.MustParseAddrPort("10.9.1.1:80"), NAT, 1, 5, 4, Encapsulation{}},
		{netip.MustParseAddrPort("[fd00::1]:80"), DR, 1<<31 - 1, 0, 0, Encapsulation{}},
		{netip.MustParseAddrPort("[fd00::1]:80"), Tunnel, 0, 0, 0, Encapsulation{Type: IPIP}},
		{netip.MustParseAddrPort("10.9.1.1:80"), Tunnel, 1, 0, 0, Encapsulation{GUE, 6080, RemoteChecksum}},
		{netip.MustParseAddrPort("10.9.1.1:80"), Tunnel, 1, 0, 0, Encapsulation{GRE, 0, FullChecksum}},
	} {
		f := parse(encodeOp(Op{Kind: AddDestination, Service: wantKey, Destination: d}))
		// The kernel sends in addition what counts, which decodeDestination does not read.
		if got, err := decodeDestination(f.values[cmdAttrDestination]); err != nil || got != d {
			t.Errorf("got %+v, %v, want %+v", got, err, d)
		}
	}
	for _, group := range []string{"224.0.0.81", "ff05::81"} {
		d := SyncDaemon{SyncBackup, "eth0", 51, netip.MustParseAddr(group), 8848, 3}
		f := parse(encodeOp(Op{Kind: StartSync, Sync: d}))
		if got, err := decodeSyncDaemon(f.values[cmdAttrDaemon]); err != nil || got != d {
			t.Errorf("got %+v, %v, want %+v", got, err, d)
		}
	}
}
