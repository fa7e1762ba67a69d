// SPDX-License-Identifier: Apache-2.0

package director

import (
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/holdfast-lb/holdfast/internal/trust"
	"github.com/holdfast-lb/holdfast/ipvs"
	"github.com/holdfast-lb/holdfast/vrrp"
)

const routerOnly = `
virtual_router "web" {
  interface = "eth0"
  id        = 51
  addresses = ["10.0.0.100/32", "192.168.1.1/24 dev eth1"]
}
`

func TestStateIsReadAsItWasWritten(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "by", "write")
	cfg := parse(t, routerOnly+twoServersUnset)
	key := cfg.VirtualServers[0].Key
	s := newState(cfg, nil, map[string]vrrp.State{"web": vrrp.Master}, []ipvs.Key{key})
	if err := s.write(dir); err != nil {
		t.Fatal(err)
	}
	got, err := ReadState(dir)
	if err != nil {
		t.Fatal(err)
	}
	if !got.equal(s) {
		t.Errorf("written %+v, read %+v", s, got)
	}
	if left := got.stale(cfg); !got.master(cfg.VirtualRouters[0]) || len(left.addresses)+len(left.routes)+len(left.vmacs) > 0 {
		t.Errorf("master %v, left %+v", got.master(cfg.VirtualRouters[0]), left)
	}
	if keys := got.Keys(); len(keys) != 1 || keys[0] != key {
		t.Errorf("keys %v, want %v", keys, key)
	}
	if list, _ := os.ReadDir(dir); len(list) != 1 {
		t.Errorf("the folder has %v, want the state alone", list)
	}
}

func TestStateKnowsAddressesThatAreNoLongerConfigured(t *testing.T) {
	old := newState(parse(t, routerOnly), nil, nil, nil)
	cfg := parse(t, strings.Replace(routerOnly, "10.0.0.100/32", "10.0.0.101/32", 1))
	if got := old.stale(cfg).addresses; len(got) != 1 || got[0].String() != "10.0.0.100/32 dev eth0" {
		t.Errorf("got %v, want 10.0.0.100/32 dev eth0", got)
	}
}

func TestStateKnowsWhatIsLeftOfARouter(t *testing.T) {
	cfg := parse(t, routerOnly)
	vr := &cfg.VirtualRouters[0]
	vr.VMAC = true
	vr.Excluded = []vrrp.Address{{Prefix: netip.MustParsePrefix("2001:db8::1/128"), Device: "eth2"}}
	vr.Routes = []vrrp.Route{
		{Destination: netip.MustParsePrefix("192.0.2.0/24"), Via: netip.MustParseAddr("10.0.0.1"), Device: "eth1", Table: 100, Metric: 5},
		{Destination: netip.MustParsePrefix("198.51.100.0/24"), Device: "eth1", Source: netip.MustParseAddr("10.0.0.100")},
	}
	dir := t.TempDir()
	if err := newState(cfg, nil, nil, nil).write(dir); err != nil {
		t.Fatal(err)
	}
	s, err := ReadState(dir)
	if err != nil || !s.equal(newState(cfg, nil, nil, nil)) {
		t.Fatalf("read %+v, %v", s, err)
	}
	if left := s.stale(cfg); len(left.addresses)+len(left.routes)+len(left.vmacs) > 0 {
		t.Errorf("left %+v, but all is configured", left)
	}
	left := s.stale(parse(t, strings.Replace(routerOnly, "= 51", "= 52", 1)))
	if len(left.addresses) != 1 || left.addresses[0] != vr.Excluded[0] || !slices.Equal(left.routes, vr.Routes) {
		t.Errorf("left %+v", left)
	}
	if len(left.vmacs) != 1 || !left.vmacs[0].VMAC || !samePlace(left.vmacs[0], *vr) {
		t.Errorf("virtual MAC addresses left: %+v", left.vmacs)
	}
}

// What version 0.1 wrote has fewer fields.
func TestStateOfAnEarlierVersionIsRead(t *testing.T) {
	s, err := parseState([]byte(`{"version": 1, "virtual_routers": [{"name": "web", "master": true,
		"addresses": [{"prefix": "10.0.0.99/32", "device": "eth0"}]}], "services": null}`))
	cfg := parse(t, routerOnly)
	if left := s.stale(cfg); err != nil || !s.master(cfg.VirtualRouters[0]) || len(left.addresses) != 1 || len(left.routes)+len(left.vmacs) > 0 {
		t.Errorf("%+v, %v, left %+v", s, err, left)
	}
}

func TestReadStateRefuses(t *testing.T) {
	for name, tt := range map[string]struct{ content, want string }{
		"truncated": {`{"version": 1, "virtual_rou`, "unexpected end of JSON"},
		"garbage":   {"\x00\x01", "invalid character"},
		"future":    {`{"version": 2}`, "version 2 is not 1"},
		"address":   {`{"version": 1, "services": [{"address": "x"}]}`, "not an ip:port"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, stateName), []byte(tt.content), 0o600); err != nil {
				t.Fatal(err)
			}
			s, err := ReadState(dir)
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), dir) {
				t.Errorf("error %v, want one with %q and the path", err, tt.want)
			}
			if !s.equal(State{}) {
				t.Errorf("got %+v, want an empty state", s)
			}
		})
	}
	if _, err := ReadState(t.TempDir()); err != nil {
		t.Errorf("without a file: %v", err)
	}
}

// TestStateOfOthers: a state file that others may write does not say what root removes.
func TestStateOfOthers(t *testing.T) {
	dir := t.TempDir()
	if os.Geteuid() != 0 || trust.Path(dir) != nil {
		t.Skip("needs root, and a folder for temporary files that is root's")
	}
	if err := newState(parse(t, routerOnly), nil, nil, nil).write(dir); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{filepath.Join(dir, stateName), dir} {
		if err := os.Chmod(path, 0o775); err != nil {
			t.Fatal(err)
		}
		if s, err := ReadState(dir); !errors.Is(err, trust.ErrOthers) || !strings.Contains(err.Error(), path+" is writable") || !s.equal(State{}) {
			t.Errorf("%s: got %+v, %v", path, s, err)
		}
		if err := os.Chmod(path, 0o755); err != nil {
			t.Fatal(err)
		}
		if s, err := ReadState(dir); err != nil || len(s.VirtualRouters) != 1 {
			t.Errorf("%s put right: got %+v, %v", path, s, err)
		}
	}
}

func FuzzParseState(f *testing.F) {
	f.Add([]byte(`{"version":1,"virtual_routers":[{"name":"web","master":true,"addresses":[{"prefix":"10.0.0.1/32","device":"eth0"}],"routes":[{"destination":"::/0"}],"vmac":{"interface":"eth0","id":1}}],` +
		`"services":[{"address":"10.0.0.1:80","protocol":"tcp"}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := parseState(b)
		if err != nil {
			return
		}
		s.Keys()
		s.stale(parse(t, routerOnly))
		out, err := json.Marshal(s)
		if err != nil {
			t.Fatalf("%s cannot be written again: %v", b, err)
		}
		again, err := parseState(out)
		if err != nil {
			t.Fatalf("%s is written as %s: %v", b, out, err)
		}
		if same, err := json.Marshal(again); err != nil || string(same) != string(out) {
			t.Errorf("%s is written as %s, and then as %s, %v", b, out, same, err)
		}
	})
}
