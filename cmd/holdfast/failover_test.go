// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/internal/director"
)

// failoverServer answers an order with f; virtual router "web" is then as vr says, and stepped down for the first question.
func failoverServer(t *testing.T, f director.Failover, vr director.VirtualRouterStatus) (socket string, got *atomic.Pointer[string]) {
	t.Helper()
	got = new(atomic.Pointer[string])
	var asked atomic.Int32
	mux := http.NewServeMux()
	mux.HandleFunc("POST /", func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		text := r.URL.Path + " " + string(b)
		got.Store(&text)
		_ = json.NewEncoder(w).Encode(f)
	})
	mux.HandleFunc("GET /v1/status", func(w http.ResponseWriter, _ *http.Request) {
		is := vr
		if asked.Add(1) == 1 {
			is.State, is.Master, is.Peers, is.SteppedDown = "backup", "", nil, &director.SteppedDownStatus{Since: ago(0)}
		}
		_ = json.NewEncoder(w).Encode(director.Status{VirtualRouters: []director.VirtualRouterStatus{is}})
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

// aLittleLess is what is left of 10 minutes on a machine that is busy.
var aLittleLess = regexp.MustCompile(`9m[1-5]?[0-9]s`)

func TestFailoverCommand(t *testing.T) {
	const within = "takes over from 10.0.0.3 within 3.61s"
	handed := director.RouterFailover{Router: "web", Result: "handed_over", Master: "10.0.0.3", Seconds: 0.41, SteppedDown: true, Returns: true, Outlook: within}
	timed := handed
	timed.Until = time.Now().Add(10*time.Minute + 200*time.Millisecond)
	grouped := handed
	grouped.SyncGroup = "edge_1"
	stays := handed
	stays.Returns, stays.Outlook = false, "stays backup until 10.0.0.3 hands over: preempt is off"
	not := director.RouterFailover{Router: "dns", Result: "not_taken", Master: "10.0.0.2", Seconds: 3.609, Error: "no peer took over", Outlook: "stays master"}
	again := not
	again.SteppedDown = true
	backup := director.RouterFailover{Router: "web", Result: "was_backup", Master: "10.0.0.3", SteppedDown: true, Outlook: within}
	fault := director.RouterFailover{Router: "web", Result: "took_no_part", SteppedDown: true}
	off := director.RouterFailover{Router: "web", Result: "interrupted", Master: "10.0.0.2", Error: "called off by command", Outlook: "stays master"}
	part := director.RouterFailover{Router: "web", SyncGroup: "edge_1", Result: "handed_over", Master: "10.0.0.3", Seconds: 0.41, Error: "called back", Outlook: within}
	returned := director.RouterFailover{Router: "web", Result: "returned", Master: "10.0.0.3", Returns: true, Outlook: within}
	const textHanded = "web: handed over to 10.0.0.3 in 410ms\n  does not preempt until `holdfast failover --return`; then it " + within + "\n"
	settled := director.VirtualRouterStatus{
		Name: "web", State: "backup", Reason: "stepped down", Since: ago(10 * time.Second), Master: "10.0.0.3", SteppedDown: &director.SteppedDownStatus{},
		Peers: []director.PeerStatus{{Address: netip.MustParseAddr("10.0.0.3"), IntervalSeconds: 1, LastSeen: ago(9 * time.Second)}},
	}
	outranked := settled
	outranked.SteppedDown, outranked.EffectivePriority = nil, 80
	outranked.Peers = []director.PeerStatus{{Address: netip.MustParseAddr("10.0.0.3"), Priority: 90}}
	master := director.VirtualRouterStatus{Name: "web", State: "master", Reason: "priority 150 against 100 of 10.0.0.3"}
	for name, tt := range map[string]struct {
		args           string
		answer         []director.RouterFailover
		then           director.VirtualRouterStatus
		code           int
		asked          string
		stdout, stderr string // of stdout the beginning
	}{
		"all": {"failover", []director.RouterFailover{handed}, settled, 0, `/v1/failover {"routers":[]}`, textHanded, ""},
		"timed": {
			"failover web --return-after 10m", []director.RouterFailover{timed}, settled, 0, `/v1/failover {"routers":["web"],"return_after_seconds":600}`,
			"web: handed over to 10.0.0.3 in 410ms\n  does not preempt for 10m0s; then it " + within + "\n", "",
		},
		"group": {
			"failover web", []director.RouterFailover{grouped}, settled, 0, `/v1/failover {"routers":["web"]}`,
			"web: handed over to 10.0.0.3 in 410ms (as all of sync group edge_1)\n", "",
		},
		"one is not taken": {
			"failover", []director.RouterFailover{handed, not}, settled, 1, `/v1/failover {"routers":[]}`,
			textHanded + "dns: not taken: no peer took over within 3.609s; it goes on as master, nothing was lost\n",
			"holdfast: failover: dns: no peer took over; is another director well (`holdfast status` there), and does it hear this one?\n",
		},
		"backup": {
			"failover web", []director.RouterFailover{backup}, settled, 0, `/v1/failover {"routers":["web"]}`,
			"web: was backup: 10.0.0.3 is master\n  does not preempt until `holdfast failover --return`; then it " + within + "\n", "",
		},
		"fault": {
			"failover web", []director.RouterFailover{fault}, settled, 0, `/v1/failover {"routers":["web"]}`,
			"web: took no part\n  does not preempt until `holdfast failover --return`; then it takes part as before\n", "",
		},
		"called off": {
			"failover", []director.RouterFailover{off}, settled, 1, `/v1/failover {"routers":[]}`,
			"web: interrupted: called off by command\n", "holdfast: failover: web: called off by command\n",
		},
		"taken in part": {
			"failover", []director.RouterFailover{part}, settled, 1, `/v1/failover {"routers":[]}`,
			"web: handed over to 10.0.0.3 in 410ms (as all of sync group edge_1)\n  called back; " + within + "\n", "holdfast: failover: web: called back\n",
		},
		"not taken, stepped down before": {
			"failover", []director.RouterFailover{again}, settled, 1, `/v1/failover {"routers":[]}`,
			"dns: not taken: no peer took over within 3.609s; it goes on as master, nothing was lost\n  does not preempt until `holdfast failover --return`; then it stays master\n",
			"holdfast: failover: dns: no peer took over; is another director well (`holdfast status` there), and does it hear this one?\n",
		},
		"returns, and has no higher priority any more": {
			"failover --return-after 10m --wait", []director.RouterFailover{timed}, outranked, 0, `/v1/failover {"routers":[],"return_after_seconds":600}`,
			"web: handed over to 10.0.0.3 in 410ms\n  does not preempt for 10m0s; then it " + within + "\nweb: backup after ", "",
		},
		"returns into a fault": {
			"failover --return-after 10m --wait", []director.RouterFailover{timed}, director.VirtualRouterStatus{Name: "web", State: "fault", Reason: "link down"}, 1,
			`/v1/failover {"routers":[],"return_after_seconds":600}`,
			"web: handed over to 10.0.0.3 in 410ms\n", "holdfast: failover: web is returned, but in fault: link down\n",
		},
		"settles":         {"failover --wait", []director.RouterFailover{handed}, settled, 0, `/v1/failover {"routers":[]}`, textHanded + "web: backup after ", ""},
		"does not settle": {"failover --wait", []director.RouterFailover{handed}, master, 1, `/v1/failover {"routers":[]}`, textHanded, "holdfast: failover: web is master again: priority 150 against 100 of 10.0.0.3\n"},
		"waits for its return": {
			"failover --return-after 10m --wait", []director.RouterFailover{timed}, master, 0, `/v1/failover {"routers":[],"return_after_seconds":600}`,
			"web: handed over to 10.0.0.3 in 410ms\n  does not preempt for 10m0s; then it " + within + "\nweb: master after ", "",
		},
		"waits no longer than that": {
			"failover --return-after 10m --wait", []director.RouterFailover{stays}, director.VirtualRouterStatus{Name: "web", State: "backup", Reason: "preempt is off"}, 0,
			`/v1/failover {"routers":[],"return_after_seconds":600}`,
			"web: handed over to 10.0.0.3 in 410ms\n  does not preempt until `holdfast failover --return`; then it stays backup until 10.0.0.3 hands over: preempt is off\nweb: backup after ", "",
		},
		"return":         {"failover --return web", []director.RouterFailover{returned}, master, 0, `/v1/failover/return {"routers":["web"]}`, "web: returned; " + within + "\n", ""},
		"return, waited": {"failover --return --wait", []director.RouterFailover{returned}, master, 0, `/v1/failover/return {"routers":[]}`, "web: returned; " + within + "\nweb: master after ", ""},
		"return nothing": {"failover --return", nil, master, 0, `/v1/failover/return {"routers":[]}`, "nothing is stepped down\n", ""},
		"both":           {"failover --return --return-after 1m", nil, master, 2, "", "", "holdfast: --return is now, and --return-after later: take one of them; see \"holdfast failover --help\"\n"},
		"no time":        {"failover --return-after 0s", nil, master, 2, "", "", "holdfast: --return-after takes a time above 0s, not 0s; see \"holdfast failover --help\"\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			socket, got := failoverServer(t, director.Failover{Routers: tt.answer}, tt.then)
			var stdout, stderr bytes.Buffer
			code := run(append(strings.Fields(tt.args), "--socket", socket), &stdout, &stderr)
			out := aLittleLess.ReplaceAllString(stdout.String(), "10m0s")
			asked := ""
			if p := got.Load(); p != nil {
				asked = *p
			}
			if code != tt.code || asked != tt.asked || !strings.HasPrefix(out, tt.stdout) || stderr.String() != tt.stderr {
				t.Errorf("got  %d, %s, %q, %q\nwant %d, %s, %q, %q", code, asked, out, &stderr, tt.code, tt.asked, tt.stdout, tt.stderr)
			}
		})
	}
}

func TestFailoverWaitInterrupted(t *testing.T) {
	answer := director.Failover{Routers: []director.RouterFailover{{Router: "web", Result: "handed_over"}}}
	for _, tt := range []struct {
		back  bool
		after time.Duration
		want  string
	}{
		{want: "failover: interrupted: the order goes on, `holdfast failover --return` ends it"},
		{back: true, want: "failover: interrupted: the return goes on, `holdfast status` shows it"},
		{after: time.Minute, want: "failover: interrupted: the role is returned"},
	} {
		socket, _ := failoverServer(t, answer, director.VirtualRouterStatus{Name: "web", SteppedDown: &director.SteppedDownStatus{}})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		f := failover{client: director.Client{Socket: socket}, now: time.Now}
		if err := f.run(ctx, tt.back, true, tt.after); err == nil || err.Error() != tt.want {
			t.Errorf("got %v, want %s", err, tt.want)
		}
	}
}

func TestFailoverAsJSON(t *testing.T) {
	answer := director.Failover{Routers: []director.RouterFailover{
		{Router: "web", SyncGroup: "edge", Result: "handed_over", Master: "10.0.0.3", Seconds: 0.41, SteppedDown: true, Until: ago(-time.Minute), Returns: true, Outlook: "takes over from 10.0.0.3 within 3.61s"},
		{Router: "dns", Result: "not_taken", Master: "10.0.0.2", Seconds: 3.609, Returns: true, Outlook: "stays master", Error: "no peer took over"},
	}}
	socket, _ := failoverServer(t, answer, director.VirtualRouterStatus{})
	var stdout, stderr bytes.Buffer
	code := run([]string{"failover", "--json", "--socket", socket}, &stdout, &stderr)
	if code != exitFailed || !strings.Contains(stderr.String(), "no peer took over") {
		t.Errorf("code %d, %s", code, &stderr)
	}
	golden(t, "testdata/failover.json", stdout.String())
}

func TestStatusSaysWhatIsSteppedDown(t *testing.T) {
	s := director.Status{VirtualRouters: []director.VirtualRouterStatus{{
		Name: "web", State: "backup", Reason: "stepped down by an operator: 10.0.0.3 is master with priority 90 against 100",
		Priority: 100, EffectivePriority: 100, Preempt: true, Master: "10.0.0.3",
	}}}
	vr := &s.VirtualRouters[0]
	vr.Peers = []director.PeerStatus{{Address: netip.MustParseAddr("10.0.0.3"), Priority: 90, SameAddresses: true, LastSeen: ago(0)}}
	for _, tt := range []struct {
		is   director.SteppedDownStatus
		want string
	}{
		{director.SteppedDownStatus{Since: ago(3 * time.Minute)}, "  stepped down by an operator 3m00s ago, until `holdfast failover --return`\n"},
		{director.SteppedDownStatus{Since: ago(3 * time.Minute), Until: ago(-2 * time.Minute)}, "  stepped down by an operator 3m00s ago, returns in 2m00s\n"},
	} {
		vr.SteppedDown = &tt.is
		e, err := newExplanation(s, vr.Name)
		if err != nil {
			t.Fatal(err)
		}
		if got := statusScreen(s, now, false); !strings.Contains(got, tt.want) {
			t.Errorf("status lacks %q:\n%s", tt.want, got)
		}
		if got := e.text(now, false); !strings.Contains(got, tt.want) || !strings.Contains(got, "higher than 90 of 10.0.0.3, but an operator has made it step down") {
			t.Errorf("explain lacks %q:\n%s", tt.want, got)
		}
	}
	vr.State, vr.Unready = "master", ""
	if list := outlook(*vr); list[len(list)-1] != "leaves the role to any other master that it hears, by an operator's order" {
		t.Errorf("outlook of a master: %q", list)
	}
}
