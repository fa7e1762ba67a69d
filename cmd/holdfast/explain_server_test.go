// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/internal/director"
)

// webStatus is a director with one service, of which web1 and web2 are up.
func webStatus() director.Status {
	check := director.CheckStatus{
		Name: "http", Kind: "http", Target: "10.0.0.21:80", State: "up", Up: true, Since: ago(time.Hour), Last: ago(1200 * time.Millisecond),
		Next: ago(-800 * time.Millisecond), DurationSeconds: .0023456, Run: 1800, Passing: true, Rise: 2, Need: 2, Fall: 3,
		IntervalSeconds: 2, TimeoutSeconds: 1, Passed: 1800, Local: 1,
	}
	web1 := director.RealServerStatus{
		Name: "web1", Address: netip.MustParseAddrPort("10.0.0.21:80"), State: "up", Verdict: "up", Since: ago(time.Hour), InTable: true,
		Weight: 100, EffectiveWeight: 100, ActiveConnections: 3, InactiveConnections: 20, Checks: []director.CheckStatus{check},
	}
	web2 := web1
	web2.Name, web2.Address = "web2", netip.MustParseAddrPort("10.0.0.22:80")
	web2.Checks = []director.CheckStatus{check}
	return director.Status{
		Name: "lb1", Version: "0.1.0", Started: ago(2 * time.Hour), Ready: true, Config: director.ConfigStatus{Loaded: ago(time.Hour)},
		VirtualServers: []director.VirtualServerStatus{{
			Name: "web", Address: netip.MustParseAddrPort("10.0.0.100:80"), Protocol: "tcp", Scheduler: "wlc", Forward: "dr",
			State: "up", Since: ago(time.Hour), Reason: "2 of 2 real servers up", Quorum: director.QuorumStatus{Weight: 1, Needed: 1, Up: 200},
			Active: "always", InTable: true, DrainSeconds: 60,
			RealServers: []director.RealServerStatus{web1, web2},
		}},
	}
}

// TestExplainServer compares what explain and status print of a real server with a golden file for each case.
func TestExplainServer(t *testing.T) {
	down := func(rs *director.RealServerStatus, c *director.CheckStatus) {
		rs.State, rs.Verdict = "down", "down"
		rs.Since, rs.Reason = ago(6*time.Second), "http: connect 10.0.0.21:80: connection refused (3 in a row)"
		rs.InTable, rs.EffectiveWeight, rs.ActiveConnections, rs.InactiveConnections = false, 0, 0, 0
		c.State, c.Up, c.Since, c.Run, c.Passing, c.Failed = "down", false, ago(6*time.Second), 6, false, 6
		c.Reason, c.Error = "connection refused", "connect 10.0.0.21:80: connection refused"
	}
	weight := func(w uint32) *uint32 { return &w }
	cases := map[string]func(vs *director.VirtualServerStatus, rs *director.RealServerStatus, c *director.CheckStatus){
		"up": func(*director.VirtualServerStatus, *director.RealServerStatus, *director.CheckStatus) {},
		"down": func(vs *director.VirtualServerStatus, rs *director.RealServerStatus, c *director.CheckStatus) {
			down(rs, c)
			vs.Reason, vs.Quorum.Up = "1 of 2 real servers up", 100
		},
		"failing": func(_ *director.VirtualServerStatus, rs *director.RealServerStatus, c *director.CheckStatus) {
			c.Run, c.Passing, c.Failed = 1, false, 1
			c.Reason, c.Error = "status", "503 Service Unavailable"
		},
		"rising": func(_ *director.VirtualServerStatus, rs *director.RealServerStatus, c *director.CheckStatus) {
			down(rs, c)
			c.Run, c.Passing, c.Need, c.DampedSeconds, c.Reason, c.Error = 1, true, 8, 12, "", ""
		},
		"new": func(_ *director.VirtualServerStatus, rs *director.RealServerStatus, c *director.CheckStatus) {
			rs.State, rs.Reason, rs.InTable, rs.EffectiveWeight = "unknown", "not checked yet", false, 0
			*c = director.CheckStatus{Name: "live", Kind: "tcp", Target: "10.0.0.21:80", State: "unknown", Rise: 2, Need: 2, Fall: 3, IntervalSeconds: 2, TimeoutSeconds: 1}
		},
		"restarted": func(_ *director.VirtualServerStatus, rs *director.RealServerStatus, c *director.CheckStatus) {
			c.Last, c.Run, c.Passing, c.Passed, c.Local = time.Time{}, 0, false, 0, 0
		},
		"hostile": func(_ *director.VirtualServerStatus, rs *director.RealServerStatus, c *director.CheckStatus) {
			down(rs, c)
			rs.Reason, c.Error = "http: \x1b[2J\tup\nweb9 up (3 in a row)", "\x1b[2J\tup\nweb9 up"
		},
		"raised": func(_ *director.VirtualServerStatus, rs *director.RealServerStatus, c *director.CheckStatus) {
			rs.DynamicWeight, rs.SlowStartSince, rs.SlowStartSeconds, rs.EffectiveWeight = weight(40), ago(12*time.Second), 30, 16
			c.Name, c.Kind, c.Weight = "db", "exec", weight(40)
		},
		"draining": func(vs *director.VirtualServerStatus, rs *director.RealServerStatus, c *director.CheckStatus) {
			rs.State, rs.Since, rs.Reason, rs.EffectiveWeight = "draining", ago(20*time.Second), "drained by command: its connections may go on until 12:00:40", 0
			rs.Drain = &director.DrainStatus{Cause: "command", Since: ago(20 * time.Second), Until: ago(-40 * time.Second)}
			rs.Persistent = 2
			vs.Reason, vs.Quorum.Up = "1 of 2 real servers up, 1 drained", 100
		},
		"maintenance": func(vs *director.VirtualServerStatus, rs *director.RealServerStatus, c *director.CheckStatus) {
			down(rs, c)
			rs.State, rs.Verdict, rs.Since, rs.Reason = "maintenance", "down", ago(20*time.Second), "maintenance = true: it has no connections"
			rs.Drain = &director.DrainStatus{Cause: "maintenance", Since: ago(time.Minute), Until: ago(0), Ended: ago(20 * time.Second)}
			vs.Reason, vs.Quorum.Up = "1 of 2 real servers up, 1 drained", 100
		},
		"weighed": func(_ *director.VirtualServerStatus, rs *director.RealServerStatus, c *director.CheckStatus) {
			rs.OverrideWeight, rs.DynamicWeight, rs.EffectiveWeight = weight(7), weight(40), 7
			c.Weight = weight(40)
		},
		"standby": func(vs *director.VirtualServerStatus, rs *director.RealServerStatus, _ *director.CheckStatus) {
			vs.Active, vs.InTable, rs.InTable, rs.EffectiveWeight = "edge", false, false, 0
		},
		"panic": func(vs *director.VirtualServerStatus, rs *director.RealServerStatus, c *director.CheckStatus) {
			down(rs, c)
			rs.InTable, rs.EffectiveWeight = true, 100
			vs.State, vs.Panic, vs.PanicThreshold, vs.Quorum.Up, vs.SorryServer = "down", true, 50, 0, "10.0.0.30:80"
			vs.Reason = "below its quorum: 0 of 2 real servers up, which is less than 50 %: all get traffic"
		},
		"sorry": func(vs *director.VirtualServerStatus, rs *director.RealServerStatus, c *director.CheckStatus) {
			rs.InTable, rs.EffectiveWeight = false, 0
			vs.State, vs.Sorry, vs.SorryServer = "down", true, "10.0.0.30:80"
			vs.Quorum = director.QuorumStatus{Weight: 150, Hysteresis: 20, Needed: 170, Up: 100}
			vs.Reason = "below its quorum: 1 of 2 real servers up, weight 100 for a quorum of 170, sorry server 10.0.0.30:80 gets the traffic"
		},
	}
	for name, change := range cases {
		t.Run(name, func(t *testing.T) {
			s := webStatus()
			vs := &s.VirtualServers[0]
			change(vs, &vs.RealServers[0], &vs.RealServers[0].Checks[0])
			screen := statusScreen(s, now, false)
			e, err := newServerExplanation(s, "web/web1")
			if err != nil {
				t.Fatal(err)
			}
			b, err := json.MarshalIndent(e, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			golden(t, filepath.Join("testdata", "explain", "server-"+name+".txt"),
				fmt.Sprintf("%s\n---- status\n%s\n---- explain --json\n%s\n", e.text(now, false), screen, b))
		})
	}
}

func TestExplainServerCommand(t *testing.T) {
	socket := serveStatus(t, webStatus())
	for name, tt := range map[string]struct {
		args           []string
		code           int
		stdout, stderr string // parts
	}{
		"text":       {[]string{"web/web2"}, 0, "real_server web/web2 at 10.0.0.22:80: up for ", ""},
		"json":       {[]string{"web/web1", "--json"}, 0, `"why": "in the table"`, ""},
		"events":     {[]string{"web/web1"}, 0, "\nlast events\n  2026-11-21 12:00:00.000  real_server web/web1: up -> down: 5\n", ""},
		"no server":  {[]string{"web/web3"}, 1, "", `virtual_server "web" has no real_server "web3": there is web1, web2` + "\n"},
		"no service": {[]string{"wbe/web1"}, 1, "", `no virtual_server "wbe" runs here: there is web` + "\n"},
		"half":       {[]string{"web1"}, 1, "", `"web1" names no real server: write SERVICE/SERVER`},
		"nothing":    {nil, 2, "", "accepts 1 arg(s), received 0"},
	} {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			code := run(append(append([]string{"explain", "server"}, tt.args...), "--socket", socket), &stdout, &stderr)
			if code != tt.code || !strings.Contains(stdout.String(), tt.stdout) || !strings.Contains(stderr.String(), tt.stderr) {
				t.Errorf("got %d, %q, %q", code, &stdout, &stderr)
			}
		})
	}
}
