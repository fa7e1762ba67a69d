// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/holdfast-lb/holdfast/internal/director"
	"github.com/holdfast-lb/holdfast/internal/netlab"
)

// asProgram is the variable that makes the test binary be holdfast.
const asProgram = "HOLDFAST_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	os.Exit(m.Run())
}

// node is a director on a host of its own, balancing two servers by NAT on a real IPVS table.
type node struct {
	t       *testing.T
	host    *netlab.Host
	client  *netlab.Host
	web     [2]*netlab.Host
	lab     *netlab.Lab
	lans    [2]*netlab.LAN // the clients' and the real servers'
	cmd     *netlab.Cmd
	ended   chan error
	config  string
	socket  string
	program string // empty: this one
	log     bytes.Buffer
	hits    [2]atomic.Int64 // requests of clients
	sick    [2]atomic.Bool  // the health check fails, the service works
}

const (
	vip      = "10.0.0.100"
	settling = 30 * time.Second // an emulated machine that others use, too
)

func newNode(t *testing.T) *node {
	t.Helper()
	lab := netlab.Test(t)
	lan := lab.LAN("lan")
	n := &node{t: t, host: lab.Host("lb1"), client: lab.Host("client"), lab: lab}
	n.host.Join(lan, "eth0", netip.MustParsePrefix("10.0.0.2/24"))
	n.host.Sysctl("net.ipv4.ip_forward", "1")
	n.client.Join(lan, "eth0", netip.MustParsePrefix("10.0.0.9/24"))
	inside := lab.LAN("inside")
	n.lans = [2]*netlab.LAN{lan, inside}
	n.host.Join(inside, "eth1", netip.MustParsePrefix("10.1.0.2/24"))
	for i := range n.hits {
		h := lab.Host(fmt.Sprintf("web%d", i+1))
		n.web[i] = h
		h.Join(inside, "eth0", netip.MustParsePrefix(fmt.Sprintf("10.1.0.%d/24", 21+i)))
		h.Route(netip.MustParsePrefix("0.0.0.0/0"), netip.MustParseAddr("10.1.0.2"))
		l, err := h.Listen("tcp", ":80")
		if err != nil {
			t.Fatal(err)
		}
		s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/health" {
				n.hits[i].Add(1)
			} else if n.sick[i].Load() {
				w.WriteHeader(http.StatusServiceUnavailable)
			}
		})}
		go s.Serve(l)
		t.Cleanup(func() { _ = s.Close() })
	}
	n.files()
	n.write(1)
	return n
}

// files gives a node a place for its files, and has it stopped at the end.
func (n *node) files() {
	dir := n.t.TempDir()
	n.config, n.socket = filepath.Join(dir, "holdfast.hcl"), filepath.Join(dir, "control.sock")
	n.t.Cleanup(func() {
		if n.cmd != nil {
			n.kill()
		}
		if n.t.Failed() {
			n.t.Log(n.log.String())
		}
	})
}

func (n *node) write(weight int) {
	text := fmt.Sprintf(`
director {
  name           = "lb1"
  control_socket = %q
  state_dir      = %q
}
virtual_router "web" {
  interface = "eth0"
  id        = 51
  addresses = ["%s/32"]
}
virtual_server "web" {
  address   = "%s:80"
  scheduler = "wrr"
  check "http" {
    interval = "1s"
    path     = "/health"
  }
  real_server "web1" {
    address = "10.1.0.21"
    weight  = %d
  }
  real_server "web2" { address = "10.1.0.22" }
}
`, n.socket, filepath.Dir(n.config), vip, vip, weight)
	if err := os.WriteFile(n.config, []byte(text), 0o600); err != nil {
		n.t.Fatal(err)
	}
}

func (n *node) command(args ...string) *netlab.Cmd {
	c := n.host.Command(context.Background(), cmp.Or(n.program, os.Args[0]), append(args, "-c", n.config)...)
	c.Env = append(os.Environ(), asProgram+"=1")
	return c
}

// start runs the director until kill or stop.
func (n *node) start() {
	n.t.Helper()
	n.cmd, n.ended = n.command("run"), make(chan error, 1)
	n.cmd.Stderr = &n.log
	if err := n.cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	go func() { n.ended <- n.cmd.Wait() }()
}

func (n *node) kill() {
	_ = n.cmd.Process.Signal(syscall.SIGKILL)
	<-n.ended
	n.cmd = nil
}

func (n *node) eventually(what string, f func() error) {
	n.t.Helper()
	if err := netlab.Poll(settling, f); err != nil {
		n.t.Fatalf("%s: %v", what, err)
	}
}

// serving waits until the director is master and both servers are up.
func (n *node) serving() director.Status {
	n.t.Helper()
	var s director.Status
	n.eventually("wait for service", func() (err error) {
		if s, err = (director.Client{Socket: n.socket}).Status(n.t.Context()); err != nil {
			return err
		}
		for _, rs := range s.VirtualServers[0].RealServers {
			if rs.State != "up" {
				return fmt.Errorf("server %s is %s: %s", rs.Name, rs.State, rs.Reason)
			}
		}
		if vr := s.VirtualRouters[0]; vr.State != "master" || !s.Ready || s.IPVS.LastReconcile.IsZero() {
			return fmt.Errorf("router is %s: %s", vr.State, vr.Reason)
		}
		return nil
	})
	return s
}

// ipvsadm runs Debian's tool against the director's table.
func (n *node) ipvsadm(args ...string) string {
	n.t.Helper()
	out, err := n.host.Command(n.t.Context(), "ipvsadm", args...).Output()
	if err != nil {
		n.t.Fatal(err)
	}
	return string(out)
}

// get asks the service once, as a client.
func (n *node) get() error {
	tr := &http.Transport{DialContext: n.client.Dial, DisableKeepAlives: true}
	resp, err := (&http.Client{Transport: tr, Timeout: time.Second}).Get("http://" + vip)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// operations sums holdfast_ipvs_operations_total.
func (n *node) operations() string {
	n.t.Helper()
	tr := &http.Transport{DialContext: n.host.Dial, DisableKeepAlives: true}
	resp, err := (&http.Client{Transport: tr}).Get("http://127.0.0.1:9652/metrics")
	if err != nil {
		n.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		n.t.Fatal(err)
	}
	var ops []string
	for _, m := range regexp.MustCompile(`holdfast_ipvs_operations_total\{op="(\w+)",result="(\w+)"\} ([1-9]\d*)`).FindAllStringSubmatch(string(b), -1) {
		ops = append(ops, strings.Join(m[1:], " "))
	}
	return strings.Join(ops, ", ")
}

const wantTable = `-A -t 10.0.0.100:80 -s wrr
-a -t 10.0.0.100:80 -r 10.1.0.21:80 -m -w 1
-a -t 10.0.0.100:80 -r 10.1.0.22:80 -m -w 1
`

// TestKilledDirectorComesBackUnnoticed: kill -9 and a new start change nothing that a client could notice.
func TestKilledDirectorComesBackUnnoticed(t *testing.T) {
	netlab.RequireIPVS(t)
	n := newNode(t)
	n.start()
	n.serving()
	if got := n.ipvsadm("-Sn"); got != wantTable {
		t.Fatalf("table:\n%swant:\n%s", got, wantTable)
	}
	for range 10 {
		n.eventually("request", n.get)
	}

	// From here on the address is watched and must never be missing.
	var wg sync.WaitGroup
	watch, stop := context.WithCancel(t.Context())
	missing := 0
	wg.Go(func() {
		for watch.Err() == nil {
			if there, err := n.host.Holds(netip.MustParseAddr(vip)); err == nil && !there {
				missing++
			}
			time.Sleep(10 * time.Millisecond)
		}
	})
	n.kill()
	n.start()
	s := n.serving()
	time.Sleep(time.Second) // a second in which something could go wrong
	stop()
	wg.Wait()

	if missing > 0 {
		t.Errorf("the address was missing in %d samples", missing)
	}
	if reason := s.VirtualRouters[0].Reason; !strings.Contains(reason, "before the restart") {
		t.Errorf("master because %q, want because it was before the restart", reason)
	}
	if ops := n.operations(); ops != "" {
		t.Errorf("operations after the restart: %s", ops)
	}
	if got := n.ipvsadm("-Sn"); got != wantTable {
		t.Errorf("table:\n%swant:\n%s", got, wantTable)
	}
	n.eventually("connections counted before the restart", func() error {
		if stats := n.ipvsadm("-Ln", "--stats", "--exact"); !regexp.MustCompile(`TCP +10\.0\.0\.100:80 +10 `).MatchString(stats) {
			return fmt.Errorf("statistics:\n%s", stats)
		}
		return nil
	})
}

// TestNothingIsSentBeforeTheFirstPassedCheck: not after the first start, and not after a restart either.
func TestNothingIsSentBeforeTheFirstPassedCheck(t *testing.T) {
	netlab.RequireIPVS(t)
	n := newNode(t)
	n.sick[1].Store(true)
	for _, start := range []string{"first start", "restart"} {
		n.start()
		n.eventually("first server", func() error {
			if got := n.ipvsadm("-Sn"); !strings.Contains(got, "10.1.0.21:80") {
				return fmt.Errorf("table:\n%s", got)
			}
			return n.get()
		})
		for range 20 {
			if err := n.get(); err != nil {
				t.Errorf("%s: %v", start, err)
			}
		}
		if hits := n.hits[1].Load(); hits > 0 {
			t.Errorf("%s: %d requests sent to a server that has passed no check", start, hits)
		}
		if start == "first start" {
			n.kill()
		}
	}
	n.sick[1].Store(false)
	n.eventually("second server", func() error {
		if err := n.get(); err != nil || n.hits[1].Load() == 0 {
			return fmt.Errorf("no request yet, %v", err)
		}
		return nil
	})
}

func TestReloadOfAWeightIsOneOperation(t *testing.T) {
	netlab.RequireIPVS(t)
	n := newNode(t)
	n.start()
	n.serving()
	before := n.operations()
	n.write(5)
	if err := n.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	want := strings.Replace(wantTable, "21:80 -m -w 1", "21:80 -m -w 5", 1)
	n.eventually("reload", func() error {
		if got := n.ipvsadm("-Sn"); got != want {
			return fmt.Errorf("table:\n%s", got)
		}
		return nil
	})
	if got, want := n.operations(), before+", update_destination done 1"; got != want {
		t.Errorf("operations %q, want %q", got, want)
	}
}

func TestWhatOthersChangeIsMended(t *testing.T) {
	netlab.RequireIPVS(t)
	n := newNode(t)
	n.ipvsadm("-A", "-t", "10.9.9.9:99", "-s", "rr") // not ours
	n.start()
	n.serving()
	foreign := "-A -t 10.9.9.9:99 -s rr\n"
	for _, args := range [][]string{
		{"-D", "-t", vip + ":80"},
		{"-d", "-t", vip + ":80", "-r", "10.1.0.21:80"},
		{"-e", "-t", vip + ":80", "-r", "10.1.0.22:80", "-m", "-w", "9"},
		{"-E", "-t", vip + ":80", "-s", "rr"},
	} {
		n.ipvsadm(args...)
		begin := time.Now()
		n.eventually("drift after ipvsadm "+strings.Join(args, " "), func() error {
			got := n.ipvsadm("-Sn")
			if !strings.Contains(got, wantTable) || !strings.Contains(got, foreign) {
				return fmt.Errorf("table:\n%s", got)
			}
			return nil
		})
		t.Logf("ipvsadm %s: mended after %v", strings.Join(args, " "), time.Since(begin).Round(time.Millisecond))
	}

	link, err := n.host.Netlink().LinkByName("eth0")
	if err != nil {
		t.Fatal(err)
	}
	addr, _ := netlink.ParseAddr(vip + "/32")
	if err := n.host.Netlink().AddrDel(link, addr); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	n.eventually("deleted address", func() error {
		if there, err := n.host.Holds(netip.MustParseAddr(vip)); err != nil || !there {
			return fmt.Errorf("holds %v, %v", there, err)
		}
		return nil
	})
	t.Logf("address: restored after %v", time.Since(begin).Round(time.Millisecond))
}

// TestStopLeavesTheTable: a planned stop takes the address and leaves the services, to be adopted by the next run; plan
// says so with its exit code.
func TestStopLeavesTheTable(t *testing.T) {
	netlab.RequireIPVS(t)
	n := newNode(t)
	out, err := n.command("plan").CombinedOutput()
	if code := exitCode(err); code != exitChanges || !strings.Contains(string(out), "ipvsadm -A -t 10.0.0.100:80 -s wrr\n") {
		t.Errorf("plan before the first run: exit code %d\n%s", code, out)
	}
	n.start()
	n.serving()
	_ = n.cmd.Process.Signal(syscall.SIGTERM)
	if err := <-n.ended; err != nil {
		t.Errorf("run ended with %v", err)
	}
	n.cmd = nil
	if there, err := n.host.Holds(netip.MustParseAddr(vip)); err != nil || there {
		t.Errorf("after a stop: holds %v, %v", there, err)
	}
	if got := n.ipvsadm("-Sn"); got != wantTable {
		t.Errorf("table:\n%swant:\n%s", got, wantTable)
	}
	out, err = n.command("plan").CombinedOutput()
	if code := exitCode(err); code != exitDone || !strings.Contains(string(out), "nothing to change") {
		t.Errorf("plan after a run: exit code %d\n%s", code, out)
	}
	out, _ = n.command("version", "--json").CombinedOutput()
	var v version
	if err := json.Unmarshal(out, &v); err != nil || v.IPVS != "1.2.1" {
		t.Errorf("version: %v\n%s", err, out)
	}
}

func exitCode(err error) int {
	if exit, ok := errors.AsType[interface {
		error
		ExitCode() int
	}](err); ok {
		return exit.ExitCode()
	}
	return 0
}
