// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/internal/director"
	"github.com/holdfast-lb/holdfast/internal/drill"
	"github.com/holdfast-lb/holdfast/internal/netlab"
)

// electionPair is a LAN for two directors and a client, without IPVS: who has the virtual address answers on port 80.
func electionPair(t *testing.T) (lb1, lb2 *node) {
	lab := netlab.Test(t)
	lan := lab.LAN("lan")
	client := lab.Host("client")
	client.Join(lan, "eth0", netip.MustParsePrefix("10.0.0.9/24"))
	join := func(name, address string, priority int) *node {
		n := &node{t: t, host: lab.Host(name), client: client, lab: lab}
		n.host.Join(lan, "eth0", netip.MustParsePrefix(address))
		l, err := n.host.Listen("tcp", ":80")
		if err != nil {
			t.Fatal(err)
		}
		s := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})}
		go s.Serve(l)
		t.Cleanup(func() { _ = s.Close() })
		n.files()
		n.elects(priority, "500ms")
		return n
	}
	return join("lb1", "10.0.0.2/24", 200), join("lb2", "10.0.0.3/24", 100)
}

// elects writes a configuration of two virtual routers of one sync group.
func (n *node) elects(priority int, interval string) {
	n.t.Helper()
	text := fmt.Sprintf(`
director {
  name           = %q
  control_socket = %q
  state_dir      = %q
}
http { listen = "" }
`, n.host.Name, n.socket, filepath.Dir(n.config))
	for id, name := range []string{"web", "dns"} {
		text += fmt.Sprintf(`
virtual_router %q {
  interface          = "eth0"
  id                 = %d
  priority           = %d
  advertise_interval = %q
  addresses          = ["10.0.0.%d/32"]
}
`, name, 51+id, priority, interval, 100+id)
	}
	text += `sync_group "edge" { members = ["web", "dns"] }`
	if err := os.WriteFile(n.config, []byte(text), 0o600); err != nil {
		n.t.Fatal(err)
	}
}

// routers waits until each virtual router is in a state, and stepped down or not.
func (n *node) routers(state string, steppedDown bool) {
	n.t.Helper()
	n.eventually(n.host.Name+" "+state, func() error {
		s, err := director.Client{Socket: n.socket}.Status(n.t.Context())
		if err != nil {
			return err
		}
		for _, vr := range s.VirtualRouters {
			if vr.State != state || (vr.SteppedDown != nil) != steppedDown {
				return fmt.Errorf("%s is %s, stepped down: %v: %s", vr.Name, vr.State, vr.SteppedDown, vr.Reason)
			}
		}
		return nil
	})
}

// loaded does something while the client opens a connection to the virtual address each 20 ms, and returns what came of
// them. It waits as long as a busy machine needs, and not so long that a lost SYN is sent again.
func (n *node) loaded(what string, do func()) drill.Report {
	n.t.Helper()
	var samples []drill.Sample
	ctx, stop := context.WithCancel(n.t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	load := drill.Load{
		Target: netip.MustParseAddrPort(vip + ":80"), Interval: 20 * time.Millisecond, Timeout: 900 * time.Millisecond, Within: n.client.Do,
	}
	wg.Go(func() {
		if err := load.Run(ctx, func(s drill.Sample) { samples = append(samples, s) }); err != nil {
			n.t.Error(err)
		}
	})
	time.Sleep(200 * time.Millisecond) // what it is without
	do()
	time.Sleep(500 * time.Millisecond) // and after the last one has let go
	stop()
	wg.Wait()
	r := drill.Summarize(samples)
	n.t.Logf("%s: %d requests, %d lost, longest gap %v, late by up to %v", what, r.Requests, r.Lost,
		r.LongestGap.Round(time.Millisecond), r.Late.Round(time.Millisecond))
	return r
}

// busyFrom is how late a client is on a machine that is too busy to measure on.
const busyFrom = 50 * time.Millisecond

// unharmed is loaded where no new connection may be lost. One that is open while the address moves is reset: each director
// has a server of its own here. Where the client itself was held up, what it lost says nothing.
func (n *node) unharmed(what string, do func()) {
	n.t.Helper()
	if r := n.loaded(what, do); r.Requests == 0 || r.Lost > r.Errors["reset"] && r.Late < busyFrom {
		n.t.Errorf("%s: %+v", what, r)
	}
}

func TestFailoverOfAPair(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute")
	}
	lb1, lb2 := electionPair(t)
	lb1.start()
	lb1.routers("master", false)
	lb1.unharmed("nobody takes over", func() {
		out, code := lb1.runs("failover")
		if code != exitFailed || !strings.Contains(out, "web: not taken: no peer took over within") ||
			!strings.Contains(out, "holdfast: failover: web, dns: no peer took over; is another director well") {
			t.Errorf("exit %d:\n%s", code, out)
		}
		lb1.routers("master", false)
	})
	lb2.start()
	lb2.routers("backup", false)
	lb1.unharmed("failover", func() {
		out, code := lb1.runs("failover", "dns", "--wait")
		if code != exitDone || !strings.Contains(out, "web: handed over to 10.0.0.3 in") || !strings.Contains(out, "dns: backup after") {
			t.Errorf("exit %d:\n%s", code, out)
		}
	})
	lb1.routers("backup", true)
	lb2.routers("master", false)

	lb1.elects(201, "500ms")
	if out, code := lb1.runs("reload"); code != exitDone {
		t.Fatal(out)
	}
	lb1.routers("backup", true)
	lb1.kill()
	lb1.start()
	lb1.routers("backup", true)
	lb2.routers("master", false)

	// It still takes over when no master is heard, and leaves the role to one that says that it is master.
	lb2.kill()
	lb1.routers("master", true)
	lb2.start()
	lb2.routers("backup", false)
	lb1.unharmed("failover of a master that is stepped down", func() {
		if out, code := lb1.runs("failover", "--return-after", "4s", "--wait"); code != exitDone || !strings.Contains(out, "web: master after") {
			t.Errorf("exit %d:\n%s", code, out)
		}
	})
	lb1.routers("master", false)

	if out, code := lb1.runs("failover", "--return-after", "10m"); code != exitDone || !strings.Contains(out, "does not preempt for 10m0s") {
		t.Errorf("exit %d:\n%s", code, out)
	}
	lb1.unharmed("return", func() {
		if out, code := lb1.runs("failover", "--return", "--wait"); code != exitDone || !strings.Contains(out, "dns: returned; takes over from 10.0.0.3 within") {
			t.Errorf("exit %d:\n%s", code, out)
		}
	})
	lb1.interrupted()
	lb2.routers("backup", false)
}

// interrupted: to interrupt the wait for a return returns the role.
func (n *node) interrupted() {
	n.t.Helper()
	var out bytes.Buffer
	c := n.command("failover", "--return-after", "10m", "--wait")
	c.Stdout, c.Stderr = &out, &out
	if err := c.Start(); err != nil {
		n.t.Fatal(err)
	}
	n.routers("backup", true)
	_ = c.Process.Signal(syscall.SIGINT)
	if err := c.Wait(); exitCode(err) != exitFailed || !strings.Contains(out.String(), "holdfast: failover: interrupted: the role is returned") {
		n.t.Errorf("%v:\n%s", err, &out)
	}
	n.routers("master", false)
}

// lockedLog is what a program has said so far.
type lockedLog struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// TestFailoverToKeepalived: the peer may be another program.
func TestFailoverToKeepalived(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	netlab.RequireTool(t, "keepalived")
	lb1, lb2 := electionPair(t)
	conf := filepath.Join(t.TempDir(), "keepalived.conf")
	text := ""
	for id, name := range []string{"web", "dns"} {
		text += fmt.Sprintf("vrrp_instance %s {\n\tversion 3\n\tstate BACKUP\n\tinterface eth0\n\tvirtual_router_id %d\n\tpriority 100\n"+
			"\tadvert_int 0.5\n\tvirtual_ipaddress {\n\t\t10.0.0.%d/32\n\t}\n}\n", name, 51+id, 100+id)
	}
	text += "vrrp_sync_group edge {\n\tgroup {\n\t\tweb\n\t\tdns\n\t}\n}\n"
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	lb1.start()
	lb1.routers("master", false)
	dir := t.TempDir()
	k := lb2.host.Command(context.Background(), "keepalived", "-n", "-l", "-D", "-P", "-f", conf,
		"--pid", filepath.Join(dir, "pid"), "--vrrp_pid", filepath.Join(dir, "vrrp.pid"))
	log := &lockedLog{}
	k.Stdout, k.Stderr = log, log
	if err := k.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = k.Process.Signal(syscall.SIGTERM); _ = k.Wait() })
	lb1.eventually("keepalived is backup", func() error {
		if n := strings.Count(log.String(), "Entering BACKUP STATE"); n < 2 {
			return fmt.Errorf("%d of 2", n)
		}
		return nil
	})
	lb1.unharmed("failover to keepalived", func() {
		if out, code := lb1.runs("failover", "--wait"); code != exitDone {
			t.Errorf("exit %d:\n%s", code, out)
		}
	})
	lb1.routers("backup", true)
	r := lb1.loaded("return from keepalived", func() { // which lets go at once
		if out, code := lb1.runs("failover", "--return", "--wait"); code != exitDone {
			t.Errorf("exit %d:\n%s", code, out)
		}
	})
	if r.Requests == 0 {
		t.Error("no load")
	}
	lb1.routers("master", false)
}
