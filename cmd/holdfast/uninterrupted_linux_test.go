// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/internal/director"
	"github.com/holdfast-lb/holdfast/internal/drill"
	"github.com/holdfast-lb/holdfast/internal/netlab"
)

// service is what the tests change about the configuration of a node.
type service struct {
	onExit     string
	settings   string // of virtual_server web
	address    string // of it
	web1, web2 string // blocks of its real servers
	more       string // other virtual servers
	router     string // attributes of the virtual router
	excluded   string // and addresses
}

// plain is the service that wantTable is about.
func plain() service {
	return service{
		onExit: "withdraw", settings: `scheduler = "wrr"`, address: vip + ":80",
		web1: `real_server "web1" { address = "10.1.0.21" }`, web2: `real_server "web2" { address = "10.1.0.22" }`,
	}
}

func (n *node) configure(s service) {
	n.t.Helper()
	text := fmt.Sprintf(`
director {
  name           = %q
  control_socket = %q
  state_dir      = %q
  on_exit        = %q
}
virtual_router "web" {
  interface          = "eth0"
  id                 = 51
  %s
  addresses          = ["%s/32"]
  excluded_addresses = [%s]
}
virtual_server "web" {
  address       = %q
  drain_timeout = "10m"
  %s
  check "http" {
    interval = "1s"
    path     = "/health"
  }
  %s
  %s
}
%s
`, n.host.Name, n.socket, filepath.Dir(n.config), s.onExit, cmp.Or(s.router, "priority = 100"), vip, s.excluded, s.address, s.settings, s.web1, s.web2, s.more)
	if err := os.WriteFile(n.config, []byte(text), 0o600); err != nil {
		n.t.Fatal(err)
	}
}

// kept are connections of a client that are kept, with a request each now and then, and a load of new ones beside them.
type kept struct {
	t    *testing.T
	stop context.CancelFunc
	wg   sync.WaitGroup
	all  []drill.Held
	load []drill.Sample
	errs [2]error
}

// keep opens connections to the service, as many to each server, and returns when they are open.
func (n *node) keep(count int) *kept {
	n.t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	h := &kept{t: n.t, stop: stop}
	n.t.Cleanup(func() { stop(); h.wg.Wait() })
	opened := make(chan struct{})
	to := netip.MustParseAddrPort(vip + ":80")
	h.wg.Go(func() {
		hold := drill.Hold{Target: to, Count: count, Interval: 200 * time.Millisecond, Within: n.client.Do}
		h.all, h.errs[0] = hold.Run(ctx, func() { close(opened) })
	})
	select {
	case <-opened:
	case <-time.After(settling):
		n.t.Fatal("connections not opened")
	}
	h.wg.Go(func() {
		load := drill.Load{Target: to, Interval: 100 * time.Millisecond, Timeout: 5 * time.Second, Within: n.client.Do}
		h.errs[1] = load.Run(ctx, func(s drill.Sample) { h.load = append(h.load, s) })
	})
	return h
}

// end reports what became of the connections, and which requests of the load were lost.
func (k *kept) end() (drill.HeldReport, drill.Report) {
	k.t.Helper()
	k.stop()
	k.wg.Wait()
	for _, err := range k.errs {
		if err != nil {
			k.t.Fatal(err)
		}
	}
	r, l := drill.SummarizeHeld(k.all), drill.Summarize(k.load)
	k.t.Logf("connections: %d opened, %d survived, longest stall %v; load: %d requests, %d lost, longest gap %v",
		r.Opened, r.Survived, r.Stall.Round(time.Millisecond), l.Requests, l.Lost, l.LongestGap.Round(time.Millisecond))
	return r, l
}

// table waits for what ipvsadm is to print.
func (n *node) table(when, want string) {
	n.t.Helper()
	n.eventually(when, func() error {
		if got := n.ipvsadm("-Sn"); got != want {
			return fmt.Errorf("table:\n%swant:\n%s", got, want)
		}
		return nil
	})
}

// counted returns the operations that came since before, by their kind.
func counted(before, now string) string {
	parse := func(text string) map[string]int {
		m := make(map[string]int)
		for _, part := range strings.Split(text, ", ") {
			var op, result string
			var count int
			if _, err := fmt.Sscan(part, &op, &result, &count); err == nil {
				m[op+" "+result] += count
			}
		}
		return m
	}
	was, is := parse(before), parse(now)
	var list []string
	for _, op := range slices.Sorted(maps.Keys(is)) {
		if more := is[op] - was[op]; more > 0 {
			list = append(list, fmt.Sprintf("%s %d", op, more))
		}
	}
	return strings.Join(list, ", ")
}

// TestConnectionsSurviveEveryReload: each kind of change to the table leaves the connections that there are alone, and is
// made with the operations that it takes. What is unchanged takes none.
func TestConnectionsSurviveEveryReload(t *testing.T) {
	netlab.RequireIPVS(t)
	n := newNode(t)
	n.host.Sysctl("net.ipv4.ip_forward", "0") // for the director to set
	n.host.Address("eth1", netip.MustParsePrefix("fd00:1::2/64"))
	for i, h := range n.web {
		h.Address("eth0", netip.MustParsePrefix(fmt.Sprintf("fd00:1::%d/64", 21+i)))
		l, err := h.Listen("tcp", ":8080")
		if err != nil {
			t.Fatal(err)
		}
		s := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})}
		go s.Serve(l)
		t.Cleanup(func() { _ = s.Close() })
	}
	s := plain()
	s.excluded = `"fd00::100/128"`
	n.configure(s)
	n.start()
	n.serving()
	n.table("the start", wantTable)
	_, first := n.hold(0)
	_, second := n.hold(1)
	h := n.keep(20)
	// While the kernel changes a service's scheduler it has none, and refuses what is new: some milliseconds (ip_vs_edit_service
	// waits for its readers). After that no request may be lost.
	var strict time.Time
	const web = "-a -t 10.0.0.100:80 -r 10.1.0.2"
	for _, step := range []struct {
		what   string
		change func()
		table  string
		ops    string
	}{
		{"nothing", func() {}, wantTable, ""},
		{"another scheduler", func() { s.settings = `scheduler = "wlc"` },
			"-A -t 10.0.0.100:80 -s wlc\n" + web + "1:80 -m -w 1\n" + web + "2:80 -m -w 1\n", "update_service done 1"},
		{"a scheduler with flags", func() { s.settings = "scheduler = \"mh\"\n scheduler_flags = [\"mh-port\"]" },
			"-A -t 10.0.0.100:80 -s mh -b mh-port\n" + web + "1:80 -m -w 1\n" + web + "2:80 -m -w 1\n", "update_service done 1"},
		{"other flags", func() { s.settings = "scheduler = \"mh\"\n scheduler_flags = [\"mh-fallback\"]" },
			"-A -t 10.0.0.100:80 -s mh -b mh-fallback\n" + web + "1:80 -m -w 1\n" + web + "2:80 -m -w 1\n", "update_service done 1"},
		{"persistence", func() { s.settings = "scheduler = \"wrr\"\n persistence { timeout = \"1m\" }" },
			"-A -t 10.0.0.100:80 -s wrr -p 60\n" + web + "1:80 -m -w 1\n" + web + "2:80 -m -w 1\n", "update_service done 1"},
		{"no persistence", func() { s.settings = `scheduler = "wrr"` }, wantTable, "update_service done 1"},
		{"a weight", func() { s.web1 = "real_server \"web1\" {\n address = \"10.1.0.21\"\n weight = 7\n }" },
			strings.Replace(wantTable, "21:80 -m -w 1", "21:80 -m -w 7", 1), "update_destination done 1"},
		{"thresholds", func() {
			s.web1 = "real_server \"web1\" {\n address = \"10.1.0.21\"\n upper_threshold = 5000\n lower_threshold = 4000\n }"
		}, wantTable, "update_destination done 1"}, // ipvsadm -S does not have them
		{"maintenance", func() { s.web1 = "real_server \"web1\" {\n address = \"10.1.0.21\"\n maintenance = true\n }" },
			strings.Replace(wantTable, "21:80 -m -w 1", "21:80 -m -w 0", 1), "update_destination done 1"},
		{"no maintenance", func() { s.web1 = plain().web1 }, wantTable, "update_destination done 1"},
		{"another port", func() { s.web1 = `real_server "web1" { address = "10.1.0.21:8080" }` },
			"-A -t 10.0.0.100:80 -s wrr\n" + web + "1:80 -m -w 0\n" + web + "1:8080 -m -w 1\n" + web + "2:80 -m -w 1\n",
			"add_destination done 1, update_destination done 1"},
		{"the port again", func() { s.web1 = plain().web1 },
			"-A -t 10.0.0.100:80 -s wrr\n" + web + "1:80 -m -w 1\n" + web + "1:8080 -m -w 0\n" + web + "2:80 -m -w 1\n",
			"update_destination done 2"},
		{"a move to another service", func() {
			s.web1 = ""
			s.more = "virtual_server \"api\" {\n address = \"10.0.0.100:81\"\n check \"tcp\" {}\n real_server \"web1\" { address = \"10.1.0.21:80\" }\n }"
		}, "-A -t 10.0.0.100:80 -s wrr\n" + web + "1:80 -m -w 0\n" + web + "1:8080 -m -w 0\n" + web + "2:80 -m -w 1\n" +
			"-A -t 10.0.0.100:81 -s wlc\n-a -t 10.0.0.100:81 -r 10.1.0.21:80 -m -w 1\n",
			"add_destination done 1, add_service done 1, update_destination done 1"},
		{"and back", func() { s.web1, s.more = plain().web1, "" },
			"-A -t 10.0.0.100:80 -s wrr\n" + web + "1:80 -m -w 1\n" + web + "1:8080 -m -w 0\n" + web + "2:80 -m -w 1\n",
			"delete_service done 1, update_destination done 2"},
	} {
		before := n.operations()
		if step.what == "a weight" {
			strict = time.Now()
		}
		step.change()
		n.configure(s)
		if out, code := n.runs("reload"); code != 0 {
			t.Fatalf("%s: reload: %s", step.what, out)
		}
		n.eventually(step.what, func() error {
			got := counted(before, n.operations())
			if got != step.ops {
				return fmt.Errorf("operations %q, want %q", got, step.ops)
			}
			return nil
		})
		n.table(step.what, step.table)
		for i, ask := range []func() error{first, second} {
			if err := ask(); err != nil {
				t.Fatalf("%s: the connection to web%d does not go on: %v", step.what, i+1, err)
			}
		}
	}
	held, load := h.end()
	if held.Survived != 20 {
		t.Errorf("connections %+v", held)
	}
	after := drill.Summarize(drill.Between(h.load, strict, time.Now()))
	if before := load.Lost - after.Lost; after.Lost > 0 || load.Errors["refused"] != before {
		t.Errorf("lost %d before and %d after the last change of the scheduler: %v", before, after.Lost, load.Errors)
	}

	// A service that gets an address of another family is another one; the old one is there for its connections.
	s.address = "[fd00::100]:80"
	s.web1, s.web2 = `real_server "web1" { address = "[fd00:1::21]:80" }`, `real_server "web2" { address = "[fd00:1::22]:80" }`
	n.configure(s)
	if out, code := n.runs("reload"); code != 0 {
		t.Fatalf("another family: reload: %s", out)
	}
	n.eventually("another family", func() error {
		got := n.ipvsadm("-Sn")
		for _, want := range []string{
			"-A -t [fd00::100]:80 -s wrr\n", "-r [fd00:1::21]:80 -m -w 1\n", "-r [fd00:1::22]:80 -m -w 1\n", web + "1:80 -m -w 0\n", web + "2:80 -m -w 0\n",
		} {
			if !strings.Contains(got, want) {
				return fmt.Errorf("table:\n%swant %s", got, want)
			}
		}
		return nil
	})
	for i, ask := range []func() error{first, second} {
		if err := ask(); err != nil {
			t.Fatalf("another family: the connection to web%d does not go on: %v", i+1, err)
		}
	}
}

// TestConnectionsSurviveRestarts: of a director that was killed, and of one that leaves all in place for its successor.
func TestConnectionsSurviveRestarts(t *testing.T) {
	netlab.RequireIPVS(t)
	n := newNode(t)
	s := plain()
	s.onExit = "keep"
	n.configure(s)
	n.start()
	n.serving()
	n.table("the start", wantTable)
	h := n.keep(20)
	for _, signal := range []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM, syscall.SIGKILL, syscall.SIGTERM} {
		_ = n.cmd.Process.Signal(signal)
		<-n.ended
		n.start()
		n.serving()
		if ops := n.operations(); ops != "" {
			t.Errorf("operations after %v: %s", signal, ops)
		}
		n.table(signal.String(), wantTable)
	}
	held, load := h.end()
	if held.Survived != 20 || load.Lost > 0 {
		t.Errorf("connections %+v, load %+v", held, load)
	}
}

// standby is a second director beside a node.
func (n *node) standby() *node {
	o := &node{t: n.t, host: n.lab.Host("lb2"), client: n.client, lab: n.lab, lans: n.lans, web: n.web}
	o.host.Join(n.lans[0], "eth0", netip.MustParsePrefix("10.0.0.3/24"))
	o.host.Join(n.lans[1], "eth1", netip.MustParsePrefix("10.1.0.3/24"))
	o.files()
	return o
}

// routerIs waits for a role.
func (n *node) routerIs(state string) {
	n.t.Helper()
	n.eventually(n.host.Name+" "+state, func() error {
		s, err := director.Client{Socket: n.socket}.Status(n.t.Context())
		if err == nil && (s.VirtualRouters[0].State != state || !s.Ready) {
			err = fmt.Errorf("it is %s: %s", s.VirtualRouters[0].State, s.VirtualRouters[0].Reason)
		}
		return err
	})
}

// TestKeepLeavesTheRole: one of a pair that is put in the place of another version keeps the addresses, the connections and
// the role; if nobody comes in its place, the other one takes over within the lease.
func TestKeepLeavesTheRole(t *testing.T) {
	netlab.RequireIPVS(t)
	n := newNode(t)
	for _, h := range n.web {
		h.Route(netip.MustParsePrefix("10.0.0.0/24"), netip.MustParseAddr("10.1.0.1"))
	}
	const interval, lease = 2 * time.Second, 9 * time.Second
	s, o := plain(), n.standby()
	s.onExit, s.excluded = "keep", `"10.1.0.1/24 dev eth1"`
	s.router = `advertise_interval = "2s"`
	n.configure(s)
	s.router += "\npriority = 90"
	o.configure(s)
	n.start()
	n.serving()
	o.start()
	o.routerIs("backup")

	h := n.keep(20)
	watch, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	var seen []drill.Observation
	candidates := []drill.Candidate{
		{Name: "lb1", Holds: func() (bool, error) { return n.host.Holds(netip.MustParseAddr(vip)) }},
		{Name: "lb2", Holds: func() (bool, error) { return o.host.Holds(netip.MustParseAddr(vip)) }},
	}
	defer wg.Wait()
	defer stop()
	wg.Go(func() {
		w := drill.Watch{Every: 20 * time.Millisecond, Candidates: candidates}
		if err := w.Run(watch, func(o drill.Observation) { seen = append(seen, o) }); err != nil {
			t.Error(err)
		}
	})
	for range 3 {
		_ = n.cmd.Process.Signal(syscall.SIGTERM)
		if err := <-n.ended; err != nil {
			t.Errorf("run ended with %v", err)
		}
		n.start()
		n.serving()
		if ops := n.operations(); ops != "" {
			t.Errorf("operations: %s", ops)
		}
	}
	held, load := h.end()
	if held.Survived != 20 || load.Lost > 0 {
		t.Errorf("connections %+v, load %+v", held, load)
	}

	_ = n.cmd.Process.Signal(syscall.SIGTERM)
	<-n.ended
	n.cmd = nil
	ended := time.Now()
	o.routerIs("master")
	n.eventually("end of the lease", func() error {
		if there, err := n.host.Holds(netip.MustParseAddr(vip)); err != nil || there {
			return fmt.Errorf("holds %v, %v", there, err)
		}
		return nil
	})
	n.eventually("request", n.get)
	stop()
	wg.Wait()
	before, after := drill.Spans(seen, time.Time{}), drill.Spans(seen, ended)
	for _, span := range before {
		if span.From.Before(ended) && !slices.Equal(span.Holders, []string{"lb1"}) {
			t.Errorf("held by %v for %v during the restarts", span.Holders, span.Duration())
		}
	}
	if unheld := drill.Unheld(after); unheld > interval {
		t.Errorf("held by nobody for %v", unheld)
	}
	gone := drill.LetGo(after, "lb1").Sub(ended)
	t.Logf("without a successor: the lease ended after %v, both had the address for %v, nobody for %v", gone, drill.Shared(after), drill.Unheld(after))
	if gone > lease+2*time.Second { // the kernel looks after addresses once in a while
		t.Errorf("the address was left for %v", gone)
	}
}
