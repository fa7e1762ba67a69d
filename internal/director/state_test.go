// SPDX-License-Identifier: Apache-2.0

package director

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

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
	cfg := parse(t, routerOnly+strings.ReplaceAll(twoServers, "%s", ""))
	key := cfg.VirtualServers[0].Key
	s := newState(cfg, map[string]vrrp.State{"web": vrrp.Master}, []ipvs.Key{key})
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
	if !got.master(cfg.VirtualRouters[0]) || len(got.stale(cfg)) > 0 {
		t.Errorf("master %v, stale %v", got.master(cfg.VirtualRouters[0]), got.stale(cfg))
	}
	if keys := got.Keys(); len(keys) != 1 || keys[0] != key {
		t.Errorf("keys %v, want %v", keys, key)
	}
	if list, _ := os.ReadDir(dir); len(list) != 1 {
		t.Errorf("the folder has %v, want the state alone", list)
	}
}

func TestStateKnowsAddressesThatAreNoLongerConfigured(t *testing.T) {
	old := newState(parse(t, routerOnly), nil, nil)
	cfg := parse(t, strings.Replace(routerOnly, "10.0.0.100/32", "10.0.0.101/32", 1))
	if got := old.stale(cfg); len(got) != 1 || got[0].String() != "10.0.0.100/32 dev eth0" {
		t.Errorf("got %v, want 10.0.0.100/32 dev eth0", got)
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

func FuzzParseState(f *testing.F) {
	f.Add([]byte(`{"version":1,"virtual_routers":[{"name":"web","master":true,"addresses":[{"prefix":"10.0.0.1/32","device":"eth0"}]}],` +
		`"services":[{"address":"10.0.0.1:80","protocol":"tcp"}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := parseState(b)
		if err != nil {
			return
		}
		s.Keys()
		s.stale(parse(t, routerOnly))
	})
}
