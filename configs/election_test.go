// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/holdfast-lb/holdfast/internal/notify"
	"github.com/holdfast-lb/holdfast/vrrp"
	"github.com/holdfast-lb/holdfast/vrrp/track"
)

// TestLoadElection holds one file with all that takes part in an election against what it means.
func TestLoadElection(t *testing.T) {
	got, diags := Load("testdata/election.hcl")
	if diags.Errors() > 0 {
		t.Fatal(diags.Err())
	}
	addr, prefix := netip.MustParseAddr, netip.MustParsePrefix
	router := func(c vrrp.Config) vrrp.Config {
		c.Preempt, c.Handover = true, true
		c.Announcements = vrrp.Announcements{Burst: 5, Repeat: 5, Delay: 5 * time.Second, Refresh: time.Minute, Format: vrrp.ARPRequest}
		return c
	}
	six := vrrp.VMACDevice("eth0", 51, true)
	routers := []vrrp.Config{
		router(vrrp.Config{
			Name: "old", Interface: "eth0", ID: 51, Version: 2, Priority: 100, Interval: 2 * time.Second,
			PreemptDelay: time.Minute, Password: "secret12", Lease: 9 * time.Second,
			Addresses: []vrrp.Address{
				{Prefix: prefix("10.0.0.100/24"), Device: "eth0"}, {Prefix: prefix("10.1.0.100/24"), Device: "eth1"},
			},
			Links: []vrrp.TrackedLink{{Name: "eth1", Weight: -20}, {Name: "eth2"}},
		}),
		router(vrrp.Config{
			Name: "six", Interface: "eth0", ID: 51, Version: 3, Priority: 255, Interval: time.Second,
			VMAC: true, Checksum: vrrp.Plain, Source: addr("fe80::2"), Lease: 5 * time.Second,
			Addresses: []vrrp.Address{
				{Prefix: prefix("fe80::100/64"), Device: six}, {Prefix: prefix("2001:db8::100/64"), Device: six},
				{Prefix: prefix("2001:db8::101/128"), Device: "eth3"},
			},
			Excluded: []vrrp.Address{
				{Prefix: prefix("10.0.0.101/32"), Device: six}, {Prefix: prefix("2001:db8::102/64"), Device: "eth1"},
			},
			Routes: []vrrp.Route{
				{Destination: prefix("::/0"), Device: "eth0"},
				{
					Destination: prefix("192.0.2.0/24"), Via: addr("10.0.0.1"), Device: "eth1", Source: addr("10.0.0.101"),
					Table: 100, Metric: 50,
				},
				{Destination: prefix("2001:db8:1::/48"), Via: addr("fe80::1"), Device: "eth0"},
				{Destination: prefix("198.51.100.7/32"), Device: "eth0", Metric: 1},
			},
		}),
		router(vrrp.Config{
			Name: "vmac", Interface: "eth0", ID: 52, Version: 3, Priority: 100, Interval: time.Second,
			VMAC: true, Lease: 5 * time.Second,
			Addresses: []vrrp.Address{{Prefix: prefix("10.0.0.102/24"), Device: "eth1"}},
		}),
		router(vrrp.Config{
			Name: "uni6", Interface: "eth1", ID: 51, Version: 3, Priority: 100, Interval: time.Second, Lease: 5 * time.Second,
			Addresses: []vrrp.Address{{Prefix: prefix("fe80::103/64"), Device: "eth1"}},
			Unicast: vrrp.Unicast{
				Source: addr("2001:db8::2"), Peers: []netip.Addr{addr("2001:db8::3"), addr("fe80::3")}, TTL: 255, MinTTL: 255,
			},
		}),
	}
	if diff := cmp.Diff(routers, got.VirtualRouters, byValue); diff != "" {
		t.Errorf("virtual routers (-want +got):\n%s", diff)
	}
	key := func(kind track.Kind, name string) track.Key { return track.Key{Router: "old", Kind: kind, Name: name} }
	trackers := []track.Tracker{
		{
			Key: key(track.Script, "upstream"), Weight: 10, Command: []string{"/usr/lib/holdfast/check-upstream", "--fast", ""},
			Interval: 5 * time.Second, Timeout: 5 * time.Second, Rise: 3, Fall: 4, User: "checker",
		},
		{
			Key: key(track.Script, "plain"), Command: []string{"/bin/true"},
			Interval: 2 * time.Second, Timeout: time.Second, Rise: 2, Fall: 2, User: "nobody",
		},
		{Key: key(track.Process, "proxy"), Weight: -254, Process: "haproxy", Min: 2},
		{Key: key(track.Process, "named"), Process: "named", Min: 1},
		{Key: key(track.File, "maintenance"), Weight: -1, Path: "/etc/holdfast/maintenance"},
	}
	if diff := cmp.Diff(trackers, got.Trackers); diff != "" {
		t.Errorf("trackers (-want +got):\n%s", diff)
	}
	rest := struct {
		Realtime bool
		Services []TrackedService
		Groups   []SyncGroup
		Notify   []notify.Config
		Carrier  string
	}{
		true,
		[]TrackedService{{Router: "old", Service: "web", Weight: -50}, {Router: "old", Service: "mail"}},
		[]SyncGroup{{Name: "edge", Members: []string{"old", "vmac"}}, {Name: "alone", Members: []string{"six"}}},
		[]notify.Config{
			{
				Events: []string{"virtual_router", "reload"}, Command: []string{"/usr/lib/holdfast/notify", "page"},
				Timeout: 500 * time.Millisecond, User: "ops",
			},
			{
				Events:  []string{"virtual_router", "virtual_address", "failover", "real_server", "virtual_server", "reload"},
				Webhook: "https://user:key@ops.example.com:8443/holdfast?a=b", Timeout: 10 * time.Second, User: "nobody",
			},
		},
		"six", // an excluded address is carried too
	}
	is := rest
	is.Realtime, is.Services, is.Groups = got.Director.Realtime, got.TrackedServices, got.SyncGroups
	is.Notify, is.Carrier = got.Notify, got.VirtualServers[0].VirtualRouter
	if diff := cmp.Diff(rest, is); diff != "" {
		t.Errorf("the rest (-want +got):\n%s", diff)
	}
}
