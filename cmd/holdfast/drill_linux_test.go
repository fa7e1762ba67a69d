// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/holdfast-lb/holdfast/internal/director"
	"github.com/holdfast-lb/holdfast/internal/netlab"
)

// drilled is what `drill --json` has told.
type drilled struct {
	code     int
	stderr   string
	Verdict  string
	Checks   []verdict `json:"pre_checks"`
	Bounds   []verdict
	HandOver float64 `json:"hand_over_seconds"`
	Return   float64 `json:"return_seconds"`
	Load     *struct {
		Requests, Lost int
		Gap            float64 `json:"longest_gap_seconds"`
		Late           float64 `json:"late_seconds"`
		Errors         map[string]int
	}
	Held *struct{ Opened, Survived int }
}

type verdict struct{ Name, Verdict, Text string }

// of returns the verdict of a check, and what it found.
func (d drilled) of(name string) string {
	for _, c := range append(d.Checks, d.Bounds...) {
		if c.Name == name {
			return c.Verdict + ": " + c.Text
		}
	}
	return "not made"
}

func (d drilled) String() string {
	return fmt.Sprintf("exit %d, %s\n%v\n%v\nload %+v held %+v\n%s", d.code, d.Verdict, d.Checks, d.Bounds, d.Load, d.Held, d.stderr)
}

// drill runs a drill of n on a host of the lab. It is told of each line of the progress.
func (n *node) drill(host *netlab.Host, progress func(line string, p *os.Process), args ...string) drilled {
	n.t.Helper()
	c := host.Command(context.Background(), os.Args[0], append([]string{"drill", "--json", "--socket", n.socket}, args...)...)
	c.Env = append(os.Environ(), asProgram+"=1")
	var out bytes.Buffer
	c.Stdout = &out
	lines, err := c.StderrPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		n.t.Fatal(err)
	}
	var d drilled
	for s := bufio.NewScanner(lines); s.Scan(); {
		d.stderr += s.Text() + "\n"
		if progress != nil {
			progress(s.Text(), c.Process)
		}
	}
	var exit *exec.ExitError
	if err := c.Wait(); errors.As(err, &exit) {
		d.code = exit.ExitCode()
	} else if err != nil {
		n.t.Fatal(err)
	}
	if out.Len() > 0 {
		if err := json.Unmarshal(out.Bytes(), &d); err != nil {
			n.t.Fatalf("drill %q: %v\n%s", args, err, &out)
		}
	}
	return d
}

// drillPair is a running pair with lb1 as master. What is active, the directors' service is about.
func drillPair(t *testing.T, settings string) (n, o *node) {
	n = newNode(t)
	for _, h := range n.web {
		h.Route(netip.MustParsePrefix("10.0.0.0/24"), netip.MustParseAddr("10.1.0.1"))
	}
	o = n.standby()
	s := plain()
	s.settings, s.excluded = settings, `"10.1.0.1/24 dev eth1"`
	// With high priorities the skew is short: of the second in which priority 0 is said again the backup may sleep the most.
	s.router = "priority = 250"
	n.configure(s)
	s.router, s.more = "priority = 240", `http { listen = "0.0.0.0:9652" }`
	o.configure(s)
	n.start()
	n.serving()
	o.start()
	o.routerIs("backup")
	return n, o
}

// A patient client: what is slow on a machine that others use is no loss. One whose connection has opened has lost nothing.
var patient = []string{"--rate", "20", "--timeout", "20s", "--max-lost", "0", "--max-gap", "1m", "--for", "3s"}

// TestDrill rehearses failovers of a pair, from a third host and from the director itself.
func TestDrill(t *testing.T) {
	netlab.RequireIPVS(t)
	n, o := drillPair(t, `scheduler = "rr"`)
	here := func() string {
		s, err := director.Client{Socket: n.socket}.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return s.VirtualRouters[0].State
	}

	t.Run("passed", func(t *testing.T) {
		junit := filepath.Join(t.TempDir(), "drill.xml")
		d := n.drill(n.client, nil, append(patient, "--peer", "http://10.0.0.3:9652", "--junit", junit)...)
		if d.code != 0 || d.Load == nil || d.Load.Requests < 50 || d.Load.Lost > 0 || here() != "master" {
			t.Fatalf("%s, now %v", d, here())
		}
		t.Logf("%d connections opened, %d lost, longest gap %.3f s, client late by %.3f s; handed over in %.3f s, returned in %.3f s",
			d.Load.Requests, d.Load.Lost, d.Load.Gap, d.Load.Late, d.HandOver, d.Return)
		if b, err := os.ReadFile(junit); err != nil || !bytes.Contains(b, []byte(`name="handed over"`)) {
			t.Errorf("JUnit: %v\n%s", err, b)
		}
	})
	t.Run("the page", func(t *testing.T) { n.page(t) })
	t.Run("from the director", func(t *testing.T) {
		if d := n.drill(n.host, nil, "--check"); d.code != 0 || !strings.HasPrefix(d.of("load"), "skipped: none from this host: this is the director") {
			t.Errorf("without a target: %s", d)
		}
		if d := n.drill(n.host, nil, "--target", vip+":80"); d.code != exitFailed || !strings.HasPrefix(d.of("load"), "failed: this is the director") || len(d.Bounds) > 0 {
			t.Errorf("with a target: %s", d)
		}
		if d := o.drill(o.host, nil); d.code != exitFailed || !strings.Contains(d.of("role"), "lb2 is master of no virtual router") {
			t.Errorf("on the backup: %s", d)
		}
	})
	t.Run("interrupted", func(t *testing.T) {
		d := n.drill(n.client, func(line string, p *os.Process) {
			if strings.Contains(line, "handed over: to 10.0.0.3") {
				_ = p.Signal(syscall.SIGINT)
			}
		}, append(patient, "--for", "10m")...)
		if d.code != exitFailed || !strings.HasPrefix(d.of("returned"), "passed") || d.of("completed") == "not made" || here() != "master" {
			t.Errorf("%s, now %v", d, here())
		}
	})
	t.Run("the other director dies before the step-down", func(t *testing.T) {
		d := n.drill(n.client, func(line string, _ *os.Process) {
			if strings.Contains(line, "drill of web on lb1") {
				o.kill()
			}
		}, append(patient, "--target", "http://"+vip+"/", "--peer", "http://10.0.0.3:9652")...)
		if d.code != exitFailed || !strings.Contains(d.of("handed over"), "no peer took over") || d.Load == nil || d.Load.Lost > 0 || here() != "master" {
			t.Errorf("%s, now %v", d, here())
		}
	})
	t.Run("the other director is dead", func(t *testing.T) {
		d := n.drill(n.client, nil, append(patient, "--peer", "http://10.0.0.3:9652")...)
		if d.code != exitFailed || !strings.HasPrefix(d.of("readiness of the peer"), "failed") || len(d.Bounds) > 0 {
			t.Errorf("%s", d)
		}
	})
	t.Run("the other host is dead", func(t *testing.T) {
		nl := o.host.Netlink()
		link, err := nl.LinkByName("eth0")
		if err == nil {
			err = nl.LinkSetDown(link)
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := forget(n.client); err != nil {
			t.Fatal(err)
		}
		d := n.drill(n.client, nil, patient...)
		if d.code != exitFailed || !strings.HasPrefix(d.of("host 10.0.0.3"), "failed") || len(d.Bounds) > 0 {
			t.Errorf("%s", d)
		}
	})
}

// TestDrillNobodyListens: a drill whose reader has gone, as with a lost session, goes on to the return.
func TestDrillNobodyListens(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "control.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	calls := make(chan string, 8)
	mux := http.NewServeMux()
	for path, answer := range map[string]string{
		"/v1/status": `{"name": "lb1", "ready": true, "virtual_routers": [{"name": "web", "state": "master", "preempt": true}],
			"ipvs": {"last_reconcile": "` + time.Now().Format(time.RFC3339) + `"}}`,
		"/v1/failover":        `{"routers": [{"virtual_router": "web", "result": "handed_over", "master": "10.0.0.3"}]}`,
		"/v1/failover/return": `{"routers": [{"virtual_router": "web", "result": "returned"}]}`,
	} {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			if path != "/v1/status" {
				calls <- path
			}
			_, _ = io.WriteString(w, answer)
		})
	}
	s := &http.Server{Handler: mux}
	go s.Serve(l)
	defer s.Close()
	c := exec.Command(os.Args[0], "drill", "--no-load", "--for", "1s", "--socket", socket)
	c.Env = append(os.Environ(), asProgram+"=1")
	for _, out := range []*io.Writer{&c.Stdout, &c.Stderr} {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		_ = r.Close()
		defer w.Close()
		*out = w
	}
	err = c.Run()
	var got []string
	for len(calls) > 0 {
		got = append(got, <-calls)
	}
	if !slices.Equal(got, []string{"/v1/failover", "/v1/failover/return"}) {
		t.Errorf("the director was told %q; the drill ended with %v", got, err)
	}
}

// page runs the commands that docs/drills.md shows, on the host that it shows them for; quicker, and as patiently as this
// machine needs.
func (n *node) page(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(repository, "docs/drills.md"))
	if err != nil {
		t.Fatal(err)
	}
	list, _ := blocks(string(page))
	ran := 0
	for _, b := range list {
		for line := range strings.Lines(b.text) {
			args, ok := strings.CutPrefix(comment.ReplaceAllString(strings.TrimSpace(line), ""), "holdfast drill")
			if b.language != "sh" || !ok {
				continue
			}
			host := n.host
			if strings.Contains(args, "--socket") || strings.Contains(args, "--load-only") {
				host = n.client
			}
			// Later flags count. Requests that are under way are lost in a hand-over, and on a slow machine many are.
			all := append(strings.Fields(args), "--socket", n.socket)
			all = append(append(all, patient...), "--for", "1s", "--max-lost", "1000")
			d := n.drill(host, nil, all...)
			if d.code != 0 {
				t.Errorf("holdfast drill%s: %s", args, d)
			}
			if d.Held != nil {
				t.Logf("holdfast drill%s: %+v, %+v", args, d.Load, d.Held)
				if d.Held.Opened != 10 {
					t.Errorf("%d connections were held, want 10", d.Held.Opened)
				}
			}
			ran++
		}
	}
	if ran < 5 {
		t.Errorf("the page shows %d drills", ran)
	}
}

// forget has a host ask for its neighbours anew.
func forget(h *netlab.Host) error {
	all, err := h.Netlink().NeighList(0, netlink.FAMILY_V4)
	for _, e := range all {
		err = errors.Join(err, h.Netlink().NeighDel(&e))
	}
	return err
}

// TestDrillFromDirector: a director is a client of its pair where its services go with the role, by NAT.
func TestDrillFromDirector(t *testing.T) {
	netlab.RequireIPVS(t)
	n, _ := drillPair(t, "scheduler = \"rr\"\n  active = \"web\"")
	// While a director has the address and not yet the service, it refuses: how long that lasts is not what this is about.
	d := n.drill(n.host, nil, append(patient, "--max-lost", "1000")...)
	if d.code != 0 || d.Load == nil || d.Load.Requests < 50 || d.Load.Lost > d.Load.Errors["refused"] {
		t.Errorf("%s", d)
	}
}
