// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/internal/director"
)

// drainingServer answers as a director whose web/web1 drains, until it was asked for it some times.
func drainingServer(t *testing.T, asks int32, end *director.DrainStatus) (socket string, got *atomic.Pointer[string]) {
	t.Helper()
	got = new(atomic.Pointer[string])
	rs := webStatus().VirtualServers[0].RealServers[0]
	rs.State, rs.Reason, rs.EffectiveWeight = "draining", "drained by command: its connections may go on until 12:01:00", 0
	rs.Drain = &director.DrainStatus{Cause: "command", Since: ago(0), Until: ago(-time.Minute)}
	var asked atomic.Int32
	mux := http.NewServeMux()
	mux.HandleFunc("POST /", func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		text := r.URL.Path + " " + string(b)
		got.Store(&text)
		_ = json.NewEncoder(w).Encode(director.Override{
			Service: "web", Server: "web1", State: rs, Peers: []netip.Addr{netip.MustParseAddr("10.0.0.3")},
		})
	})
	mux.HandleFunc("GET /v1/server", func(w http.ResponseWriter, _ *http.Request) {
		now := rs
		if asked.Add(1) > asks {
			now.State, now.Reason, now.InTable, now.Drain = "maintenance", "drained by command: it has no connections", false, end
		}
		_ = json.NewEncoder(w).Encode(now)
	})
	socket = filepath.Join(t.TempDir(), "control.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: mux}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	return socket, got
}

func TestDrainCommands(t *testing.T) {
	const drains = "web/web1: draining, weight 100 (now 0); drained by command: its connections may go on until 12:01:00; 3 active and 20 inactive connections\n"
	ended := &director.DrainStatus{Cause: "command", Ended: ago(0)}
	for name, tt := range map[string]struct {
		args           string
		end            *director.DrainStatus
		code           int
		asked          string
		stdout, stderr string
	}{
		"drain":   {"drain web/web1", nil, 0, `/v1/drain {"server":"web/web1"}`, drains + "this director only; on 10.0.0.3: holdfast drain web/web1\n", ""},
		"timeout": {"drain web/web1 --timeout 90s", nil, 0, `/v1/drain {"server":"web/web1","timeout_seconds":90}`, drains + "this director only; on 10.0.0.3: holdfast drain web/web1 --timeout 1m30s\n", ""},
		"at once": {"drain web/web1 --timeout 0s", nil, 0, `/v1/drain {"server":"web/web1","timeout_seconds":0}`, drains + "this director only; on 10.0.0.3: holdfast drain web/web1 --timeout 0s\n", ""},
		"wait": {
			"drain web/web1 --wait", ended, 0, `/v1/drain {"server":"web/web1"}`,
			"web/web1: maintenance, weight 100 (now 0); drained by command: it has no connections\nthis director only; on 10.0.0.3: holdfast drain web/web1\n", "",
		},
		"taken back":  {"drain web/web1 --wait", nil, 1, `/v1/drain {"server":"web/web1"}`, "", "holdfast: drain web/web1: it was taken back meanwhile, and is maintenance\n"},
		"undrain":     {"undrain web/web1", nil, 0, `/v1/undrain {"server":"web/web1"}`, drains + "this director only; on 10.0.0.3: holdfast undrain web/web1\n", ""},
		"weight":      {"weight web/web1 7", nil, 0, `/v1/weight {"server":"web/web1","weight":7}`, drains + "this director only; on 10.0.0.3: holdfast weight web/web1 7\n", ""},
		"reset":       {"weight web/web1 --reset", nil, 0, `/v1/weight {"server":"web/web1"}`, drains + "this director only; on 10.0.0.3: holdfast weight web/web1 --reset\n", ""},
		"no weight":   {"weight web/web1", nil, 2, "", "", "holdfast: accepts 2 arg(s), received 1; see \"holdfast weight --help\"\n"},
		"too heavy":   {"weight web/web1 65536", nil, 2, "", "", "holdfast: a weight is a number from 0 to 65535, not \"65536\"; see \"holdfast weight --help\"\n"},
		"both":        {"weight web/web1 7 --reset", nil, 2, "", "", "holdfast: accepts 1 arg(s), received 2; see \"holdfast weight --help\"\n"},
		"no server":   {"drain", nil, 2, "", "", "holdfast: accepts 1 arg(s), received 0; see \"holdfast drain --help\"\n"},
		"no duration": {"drain web/web1 --timeout 5", nil, 2, "", "", "holdfast: invalid argument \"5\" for \"--timeout\" flag: time: missing unit in duration \"5\"; see \"holdfast drain --help\"\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			socket, got := drainingServer(t, 1, tt.end)
			var stdout, stderr bytes.Buffer
			code := run(append(strings.Fields(tt.args), "--socket", socket), &stdout, &stderr)
			asked := ""
			if p := got.Load(); p != nil {
				asked = *p
			}
			if code != tt.code || asked != tt.asked || stdout.String() != tt.stdout || stderr.String() != tt.stderr {
				t.Errorf("got  %d, %s, %q, %q\nwant %d, %s, %q, %q", code, asked, &stdout, &stderr, tt.code, tt.asked, tt.stdout, tt.stderr)
			}
		})
	}
}

func TestStatusListsWhatLeaves(t *testing.T) {
	s := webStatus()
	s.IPVS.DriftLeft = "update destination 1"
	s.Leaving = []director.LeavingStatus{
		{Service: "web", Server: "web3", VirtualAddress: "10.0.0.100:80/tcp", Address: netip.MustParseAddrPort("10.0.0.23:80"), ActiveConnections: 2, Persistent: 1,
			Drain: &director.DrainStatus{Cause: "configuration", Since: ago(20 * time.Second), Until: ago(-40 * time.Second)}},
		{Service: "web", Server: "web1", VirtualAddress: "10.0.0.100:80/tcp", Address: netip.MustParseAddrPort("10.0.0.21:8080"), EffectiveWeight: 100},
	}
	const want = `
leaving
  web/web3  10.0.0.23:80    weight 0    2+0 conns
    of 10.0.0.100:80/tcp: drains, 40s left, and persistence holds 1
  web/web1  10.0.0.21:8080  weight 100  0+0 conns
    of 10.0.0.100:80/tcp: until its successor has a verdict
`
	const drift = "\n! ipvs table changed by others and left so (drift = \"report\"), which takes to\n  mend: update destination 1\n"
	if got := statusScreen(s, now, false); !strings.HasSuffix(got, want) || !strings.Contains(got, drift) {
		t.Errorf("got %s\nwant at its end %s", got, want)
	}
}
