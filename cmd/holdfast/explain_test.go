// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/holdfast-lb/holdfast/internal/director"
	"github.com/holdfast-lb/holdfast/internal/notify"
)

var now = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func ago(d time.Duration) time.Time { return now.Add(-d) }

// pairStatus is a director with two virtual routers in a sync group, both backups of a director with priority 150.
func pairStatus() director.Status {
	peer := director.PeerStatus{Address: netip.MustParseAddr("10.0.0.2"), Priority: 150, IntervalSeconds: .5, Checksum: "pseudo",
		SameAddresses: true, LastSeen: ago(300 * time.Millisecond)}
	web := director.VirtualRouterStatus{
		Name: "web", State: "backup", Since: ago(46 * time.Second), Reason: "10.0.0.2 has priority 150 against 100",
		ID: 51, Interface: "eth0", Version: 3, Priority: 100, EffectivePriority: 100, Preempt: true, Master: "10.0.0.2", Source: "10.0.0.3",
		Parts:     []director.PartStatus{},
		Addresses: []string{"10.0.0.100/32"}, ExcludedAddresses: []string{}, HeldAddresses: []string{},
		Contested: []director.ContestedStatus{}, Peers: []director.PeerStatus{peer},
		AdvertiseIntervalSeconds: 1, MasterIntervalSeconds: .5, MasterDownSeconds: 1.80469, LatenessWorstSeconds: .00104,
		AdvertsSent: 3, AdvertsReceived: 92, AdvertsRefused: map[string]uint64{},
	}
	return director.Status{
		Name: "lb2", Version: "0.1.0", Started: ago(time.Minute), Ready: true, Config: director.ConfigStatus{Loaded: ago(time.Minute)},
		VirtualRouters: []director.VirtualRouterStatus{web},
	}
}

// TestExplainRouter compares what explain and status print of a virtual router with a golden file for each case.
func TestExplainRouter(t *testing.T) {
	failed := director.PartStatus{
		Kind: "script", Name: "upstream", Weight: -20, Value: -20, Failed: true, Detail: "exit 1 (3 in a row)",
		Output: "ping: no answer\nfrom \x1b[31m192.0.2.1", Last: ago(2 * time.Second), DurationSeconds: .9,
	}
	link := director.PartStatus{Kind: "interface", Name: "eth1", Weight: 10, Value: 10}
	cases := map[string]func(s *director.Status, vr *director.VirtualRouterStatus){
		"lower": func(*director.Status, *director.VirtualRouterStatus) {},
		"tracked": func(_ *director.Status, vr *director.VirtualRouterStatus) {
			vr.Parts = []director.PartStatus{link, failed, {Kind: "service", Name: "web", Weight: -50, Pending: true, Detail: "not every real server has been checked"}}
			vr.EffectivePriority = 90
			vr.Reason = "10.0.0.2 has priority 150 against 90"
		},
		"enough": func(_ *director.Status, vr *director.VirtualRouterStatus) {
			vr.Priority, vr.EffectivePriority, vr.Parts = 160, 140, []director.PartStatus{failed}
		},
		"clamped": func(_ *director.Status, vr *director.VirtualRouterStatus) {
			failed := failed
			failed.Weight, failed.Value = -200, -200
			vr.EffectivePriority, vr.Parts = 1, []director.PartStatus{failed}
		},
		"fault": func(_ *director.Status, vr *director.VirtualRouterStatus) {
			failed := failed
			failed.Weight, failed.Value = 0, 0
			vr.State, vr.Reason, vr.Master = "fault", "tracked script upstream has failed: exit 1 (3 in a row)", ""
			vr.Parts = []director.PartStatus{failed}
		},
		"nopreempt": func(_ *director.Status, vr *director.VirtualRouterStatus) {
			vr.Preempt, vr.Peers[0].Priority = false, 90
			vr.Reason = "10.0.0.2 is master with priority 90 against 100, and preempt is off"
		},
		"unready": func(_ *director.Status, vr *director.VirtualRouterStatus) {
			vr.Unready, vr.Peers[0].Priority = "virtual_server web is below its quorum", 90
			vr.Reason = "10.0.0.2 is master with priority 90 against 100, and here virtual_server web is below its quorum"
		},
		"delay": func(_ *director.Status, vr *director.VirtualRouterStatus) {
			vr.PreemptDelaySeconds, vr.Peers[0].Priority = 30, 90
			vr.Reason = "takes over from 10.0.0.2, which has priority 90 against 100, when preempt_delay (30s) has passed"
		},
		"group": func(s *director.Status, vr *director.VirtualRouterStatus) {
			vr.SyncGroup, vr.Master, vr.Peers = "edge", "", []director.PeerStatus{}
			vr.Reason = "web6 of sync group edge is not master: interface eth2 is down"
			other := *vr
			other.Name, other.State, other.Reason = "web6", "fault", "interface eth2 is down"
			s.VirtualRouters = append(s.VirtualRouters, other)
		},
		"master": func(_ *director.Status, vr *director.VirtualRouterStatus) {
			vr.State, vr.Reason, vr.Master = "master", "no master heard for 1.805s", "10.0.0.3"
			vr.Peers[0].SameAddresses = false
			vr.Addresses = []string{"10.0.0.100/32", "10.0.0.101/32", "10.0.0.102/32"}
			vr.ExcludedAddresses = []string{"2001:db8::1/128"}
			vr.HeldAddresses = []string{"10.0.0.100/32", "2001:db8::1/128"}
			vr.Error = "add address 10.0.0.101/32 dev eth0: permission denied"
			vr.AdvertsRefused = map[string]uint64{"ttl": 2, "checksum": 1}
			vr.Contested = []director.ContestedStatus{{
				Address: netip.MustParseAddr("10.0.0.100"), Since: ago(time.Hour), Last: ago(10 * time.Second),
				By:     []director.AnswerStatus{{MAC: "02:68:66:00:01:03", Interface: "eth0", Address: "10.0.0.11"}},
				Reason: "others answer ARP for it: 02:68:66:00:01:03 (web/web1 10.0.0.11) on eth0: set arp_ignore = 1 and arp_announce = 2 on the real server",
			}}
		},
	}
	for name, change := range cases {
		t.Run(name, func(t *testing.T) {
			s := pairStatus()
			change(&s, &s.VirtualRouters[0])
			e, err := newExplanation(s, "web")
			if err != nil {
				t.Fatal(err)
			}
			screen := statusScreen(s, now, false)
			for line := range strings.Lines(screen) {
				if n := utf8.RuneCountInString(strings.TrimRight(line, "\n")); n > 80 {
					t.Errorf("status has a line of %d columns: %s", n, line)
				}
			}
			b, err := json.MarshalIndent(e, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			golden(t, filepath.Join("testdata", "explain", name+".txt"), fmt.Sprintf("%s\n---- status\n%s\n---- explain --json\n%s\n", e.text(now, false), screen, b))
		})
	}
}

// serveStatus answers on a control socket as a director with this status would.
func serveStatus(t *testing.T, s director.Status) (socket string) {
	t.Helper()
	socket = filepath.Join(t.TempDir(), "control.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/events" {
			_ = json.NewEncoder(w).Encode(director.Events{Events: []director.Recorded{{Sequence: 7, Event: notify.Event{
				Kind: r.FormValue("kind"), Name: r.FormValue("name"), From: "up", To: "down", Reason: r.FormValue("last"), Time: now,
			}}}})
			return
		}
		_ = json.NewEncoder(w).Encode(s)
	})}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	return socket
}

func TestExplainCommand(t *testing.T) {
	socket := serveStatus(t, pairStatus())
	for name, tt := range map[string]struct {
		args           []string
		code           int
		stdout, stderr string // parts
	}{
		"text":    {[]string{"explain", "router", "web"}, 0, "virtual_router web: backup for ", ""},
		"json":    {[]string{"explain", "router", "web", "--json"}, 0, `"sequence": 7,`, ""},
		"events":  {[]string{"explain", "router", "web"}, 0, "\nlast events\n  2026-11-21 12:00:00.000  virtual_router web: up -> down: 5\n", ""},
		"unknown": {[]string{"explain", "router", "wbe"}, 1, "", `no virtual_router "wbe" runs here: there is web` + "\n"},
		"nothing": {[]string{"explain"}, 2, "", "it takes what to explain: router NAME, or server SERVICE/SERVER"},
		"no name": {[]string{"explain", "router"}, 2, "", "accepts 1 arg(s), received 0"},
		"strange": {[]string{"explain", "weather"}, 2, "", "unknown command"},
	} {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			code := run(append(tt.args, "--socket", socket), &stdout, &stderr)
			if code != tt.code || !strings.Contains(stdout.String(), tt.stdout) || !strings.Contains(stderr.String(), tt.stderr) {
				t.Errorf("got %d, %q, %q", code, &stdout, &stderr)
			}
		})
	}
}
