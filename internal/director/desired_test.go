// SPDX-License-Identifier: Apache-2.0

package director

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/checker"
	"github.com/holdfast-lb/holdfast/configs"
	"github.com/holdfast-lb/holdfast/ipvs"
)

const twoServers = `
virtual_server "web" {
  address   = "10.0.0.100:80"
  scheduler = "wrr"
  forward   = "dr"
  %s
  check "tcp" {}
  check "http" { path = "/" }
  real_server "web1" {
    address = "10.0.0.21"
    weight  = 3
  }
  real_server "web2" { address = "10.0.0.22" }
}
`

var twoServersUnset = strings.ReplaceAll(twoServers, "%s", "")

func parse(t *testing.T, text string) *configs.Config {
	t.Helper()
	cfg, diags := configs.LoadBytes("test.hcl", []byte(text))
	if diags.Errors() > 0 {
		t.Fatal(diags)
	}
	return cfg
}

// health is "web1/tcp up, web1/http down" as the loop knows it.
func health(text string) map[checker.Key]checker.Change {
	m := make(map[checker.Key]checker.Change)
	for part := range strings.SplitSeq(text, ", ") {
		name, verdict, _ := strings.Cut(part, " ")
		server, check, _ := strings.Cut(name, "/")
		c := checker.Change{Key: checker.Key{Service: "web", Server: server, Check: check}, Verdict: checker.Up}
		if verdict == "down" {
			c.Verdict, c.Reason = checker.Down, "timeout"
		}
		m[c.Key] = c
	}
	return m
}

func dump(services []ipvs.Service) string {
	var list []string
	for _, s := range services {
		for _, d := range s.Destinations {
			list = append(list, fmt.Sprintf("%v %v %d", d.Address.Addr(), d.Forward, d.Weight))
		}
	}
	return strings.Join(list, ", ")
}

func TestDesired(t *testing.T) {
	const bothUp = "web1/tcp up, web1/http up, web2/tcp up, web2/http up"
	up := map[string]bool{"10.0.0.21:80": true}
	tests := []struct {
		name, options, health string
		left                  map[string]bool // up in the table that the last run left
		want                  string
	}{
		{name: "nothing checked yet", want: ""},
		{name: "nothing checked yet, start up", options: `start = "up"`, want: "10.0.0.21 dr 3, 10.0.0.22 dr 1"},
		{name: "left up by the last run", left: up, want: "10.0.0.21 dr 3"},
		{name: "one check of two has passed", health: "web1/tcp up", want: ""},
		{name: "all checks have passed", health: bothUp, want: "10.0.0.21 dr 3, 10.0.0.22 dr 1"},
		{name: "one check of two fails", health: bothUp + ", web1/http down", want: "10.0.0.22 dr 1"},
		{name: "left up, and a check fails", health: "web1/tcp up, web1/http down", left: up, want: ""},
		{name: "left up, and a check passes", health: "web1/tcp up", left: up, want: "10.0.0.21 dr 3"},
		{name: "start up, and a check fails", options: `start = "up"`, health: "web2/tcp down", want: "10.0.0.21 dr 3"},
		{
			name: "inhibit", options: `on_failure = "inhibit"`, health: bothUp + ", web2/tcp down",
			want: "10.0.0.21 dr 3, 10.0.0.22 dr 0",
		},
		{name: "inhibit before the first check", options: `on_failure = "inhibit"`, want: "10.0.0.21 dr 0, 10.0.0.22 dr 0"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := parse(t, fmt.Sprintf(twoServers, tt.options))
			prev := decisions{servers: make(map[serverID]*server)}
			for a := range tt.left {
				prev.servers[serverID{cfg.VirtualServers[0].Key, netip.MustParseAddrPort(a)}] = &server{verdict: checker.Up}
			}
			want, _, _ := desired(time.Unix(0, 0), facts{cfg: cfg, health: health(tt.health)}, prev)
			if len(want) != 1 || want[0].Scheduler != "wrr" || want[0].Key.String() != "10.0.0.100:80/tcp" {
				t.Fatalf("services %v", want)
			}
			if got := dump(want); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestDesiredSaysWhyAndSinceWhen(t *testing.T) {
	cfg := parse(t, fmt.Sprintf(twoServers, ""))
	id := serverID{cfg.VirtualServers[0].Key, netip.MustParseAddrPort("10.0.0.21:80")}
	first, second := time.Unix(100, 0), time.Unix(200, 0)
	_, decided, _ := desired(first, facts{cfg: cfg, health: health("web1/tcp up, web1/http up")}, decisions{})
	if d := decided.servers[id]; d.verdict != checker.Up || d.since != first || d.reason != "" {
		t.Errorf("up: %+v", d)
	}
	_, decided, _ = desired(second, facts{cfg: cfg, health: health("web1/tcp up, web1/http up")}, decided)
	if d := decided.servers[id]; d.since != first {
		t.Errorf("still up: since %v, want %v", d.since, first)
	}
	_, decided, _ = desired(second, facts{cfg: cfg, health: health("web1/tcp up, web1/http down")}, decided)
	if d := decided.servers[id]; d.verdict != checker.Down || d.since != second || d.reason != "http: timeout" {
		t.Errorf("down: %+v", d)
	}
}

func TestChecksBeginAsTheLastRunLeftThem(t *testing.T) {
	cfg := parse(t, fmt.Sprintf(twoServers, ""))
	key := cfg.VirtualServers[0].Key
	table := []ipvs.Service{{Key: key, Destinations: []ipvs.Destination{
		{Address: netip.MustParseAddrPort("10.0.0.21:80"), Weight: 3},
		{Address: netip.MustParseAddrPort("10.0.0.22:80"), Weight: 0},
	}}}
	var got []string
	for _, c := range checks(cfg, leftBehind(time.Now(), cfg, table, State{})) {
		got = append(got, c.Key.Server+"/"+c.Key.Check+" "+c.Start.String())
	}
	want := "web1/tcp up, web1/http up, web2/tcp unknown, web2/http unknown"
	if strings.Join(got, ", ") != want {
		t.Errorf("got  %v\nwant %s", got, want)
	}
}
