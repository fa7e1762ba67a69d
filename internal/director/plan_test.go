// SPDX-License-Identifier: Apache-2.0

package director

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/holdfast-lb/holdfast/configs"
	"github.com/holdfast-lb/holdfast/ipvs"
	"github.com/holdfast-lb/holdfast/vrrp"
)

func TestPlan(t *testing.T) {
	cfg := parse(t, routerOnly+twoServersUnset)
	foreign := ipvs.Service{Key: ipvs.Key{Address: netip.MustParseAddr("10.9.9.9"), Port: 80, Protocol: ipvs.TCP}, Settings: ipvs.Settings{Scheduler: "rr"}}
	old := ipvs.Key{Address: netip.MustParseAddr("10.0.0.100"), Port: 81, Protocol: ipvs.TCP}
	web1 := ipvs.Destination{Address: netip.MustParseAddrPort("10.0.0.21:80"), Forward: ipvs.DR, Weight: 1}
	table := []ipvs.Service{
		foreign, {Key: old, Settings: ipvs.Settings{Scheduler: "rr"}},
		{Key: cfg.VirtualServers[0].Key, Settings: ipvs.Settings{Scheduler: "wrr"}, Destinations: []ipvs.Destination{web1}},
	}
	last := State{Services: []ServiceKey{{Address: netip.MustParseAddrPort("10.0.0.100:81"), Protocol: "tcp"}}}
	last.VirtualRouters = []RouterState{{Addresses: []AddressState{{netip.MustParsePrefix("10.0.0.99/32"), "eth0"}}}}
	allThere := func([]vrrp.Address) []vrrp.Address { return nil }
	p := MakePlan(cfg, ipvs.State{Services: table}, last, allThere)
	if got, want := strings.Join(p.Operations, "; "), "-e -t 10.0.0.100:80 -r 10.0.0.21:80 -g -w 3; -D -t 10.0.0.100:81"; got != want {
		t.Errorf("operations %s\nwant       %s", got, want)
	}
	if len(p.Later) != 1 || p.Later[0].Server != "web2" || strings.Join(p.Foreign, " ") != "10.9.9.9:80/tcp" || len(p.Held) != 2 || len(p.Remove) != 1 {
		t.Errorf("plan %+v", p)
	}
}

func TestPlanSaysWhatThePolicyWouldDo(t *testing.T) {
	cfg := farm([]uint32{1, 1, 1}, func(vs *configs.VirtualServer) {
		vs.Quorum, vs.Sorry, vs.PanicThreshold = configs.Quorum{Weight: 2, Hysteresis: 1}, sorryServer, 50
	})
	key := cfg.VirtualServers[0].Key
	dest := func(last byte) ipvs.Destination {
		return ipvs.Destination{Address: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, last}), 80), Forward: ipvs.DR, Weight: 1}
	}
	sorry := ipvs.Destination{Address: sorryServer.Address, Forward: sorryServer.Forward, Weight: 1}
	const panics = "; panic_threshold 50 %: with fewer than 2 of 3 servers up all get traffic; "
	for name, tt := range map[string]struct {
		table []ipvs.Destination
		want  string
	}{
		"all":  {[]ipvs.Destination{dest(1), dest(2), dest(3)}, "quorum 1, servers in the table have weight 3: met; sorry server 10.0.0.99:80 (nat) gets the traffic when the quorum is lost" + panics + "3 are in the table"},
		"none": {nil, "quorum 2, servers in the table have weight 0: not known before more servers are checked; sorry server 10.0.0.99:80 (nat) gets the traffic when the quorum is lost" + panics + "0 are in the table"},
		"lost": {[]ipvs.Destination{sorry}, "quorum 3, servers in the table have weight 0: lost; sorry server 10.0.0.99:80 (nat) stays, until the quorum is met" + panics + "0 are in the table"},
	} {
		p := MakePlan(cfg, ipvs.State{Services: []ipvs.Service{{Key: key, Settings: ipvs.Settings{Scheduler: "wlc"}, Destinations: tt.table}}}, State{}, nil)
		var notes []string
		for _, n := range p.Policy {
			notes = append(notes, n.Note)
		}
		if got := strings.Join(notes, "; "); got != tt.want || p.Changes() {
			t.Errorf("%s:\ngot  %s\nwant %s\noperations %v", name, got, tt.want, p.Operations)
		}
	}
}

func TestPlanOfDrainsTimeoutsAndSync(t *testing.T) {
	cfg := parse(t, `
timeouts { tcp = "10m" }
connection_sync { interface = "eth0" }
`+routerOnly+strings.Replace(twoServersUnset, "weight  = 3", "weight  = 3\n    maintenance = true", 1)+`
virtual_server "mail" {
  address = "10.0.0.100:25"
  active  = "web"
  start   = "up"
  real_server "mail1" { address = "10.0.0.31" }
}`)
	dest := func(last byte) ipvs.Destination {
		return ipvs.Destination{Address: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, last}), 80), Forward: ipvs.DR, Weight: 1}
	}
	have := ipvs.State{
		Services: []ipvs.Service{{
			Key: cfg.VirtualServers[0].Key, Settings: ipvs.Settings{Scheduler: "wrr"}, Destinations: []ipvs.Destination{dest(21), dest(22), dest(23)},
		}},
		Timeouts: ipvs.Timeouts{TCP: 900e9, TCPFin: 120e9, UDP: 300e9},
	}
	for _, tt := range []struct {
		held bool
		want string
	}{
		{false, "--start-daemon backup --mcast-interface eth0 --syncid 51 --mcast-group 224.0.0.81 --mcast-port 8848 --mcast-ttl 1; --set 600 120 300; " +
			"-e -t 10.0.0.100:80 -r 10.0.0.21:80 -g -w 0; -e -t 10.0.0.100:80 -r 10.0.0.23:80 -g -w 0"},
		{true, "--start-daemon master --mcast-interface eth0 --syncid 51 --mcast-group 224.0.0.81 --mcast-port 8848 --mcast-ttl 1; --set 600 120 300; " +
			"-A -t 10.0.0.100:25 -s wlc; -a -t 10.0.0.100:25 -r 10.0.0.31:25 -m -w 1; " +
			"-e -t 10.0.0.100:80 -r 10.0.0.21:80 -g -w 0; -e -t 10.0.0.100:80 -r 10.0.0.23:80 -g -w 0"},
	} {
		p := MakePlan(cfg, have, State{}, func(list []vrrp.Address) []vrrp.Address {
			if tt.held {
				return nil
			}
			return list
		})
		if got := strings.Join(p.Operations, "; "); got != tt.want {
			t.Errorf("held %v:\ngot  %s\nwant %s", tt.held, got, tt.want)
		}
		want := []DrainNote{
			{"web", "web1", "10.0.0.21:80", "maintenance", 60, false, "-d -t 10.0.0.100:80 -r 10.0.0.21:80"},
			{"web", "10.0.0.23:80", "10.0.0.23:80", "configuration", 60, false, "-d -t 10.0.0.100:80 -r 10.0.0.23:80"},
		}
		if !slices.Equal(p.Drains, want) {
			t.Errorf("drains %+v\nwant   %+v", p.Drains, want)
		}
	}
}
