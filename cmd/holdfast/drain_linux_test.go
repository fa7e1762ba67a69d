// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/internal/netlab"
)

// hold opens a connection of a client that it keeps, to the server of that number; -1: to any.
func (n *node) hold(server int) (c net.Conn, ask func() error) {
	n.t.Helper()
	n.eventually("a connection to keep", func() error {
		before := int64(-1)
		if server >= 0 {
			before = n.hits[server].Load()
		}
		conn, err := n.client.Dial(n.t.Context(), "tcp", vip+":80")
		if err != nil {
			return err
		}
		r := bufio.NewReader(conn)
		c, ask = conn, func() error {
			_ = conn.SetDeadline(time.Now().Add(settling))
			if _, err := fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
				return err
			}
			resp, err := http.ReadResponse(r, nil)
			if err != nil {
				return err
			}
			return resp.Body.Close()
		}
		if err := ask(); err != nil {
			return err
		}
		if server >= 0 && n.hits[server].Load() == before {
			_ = conn.Close()
			return errors.New("it went to the other one")
		}
		return nil
	})
	n.t.Cleanup(func() { _ = c.Close() })
	return c, ask
}

// runs runs a command of holdfast and returns what it prints and its exit code.
func (n *node) runs(args ...string) (string, int) {
	n.t.Helper()
	out, err := n.command(args...).CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		n.t.Fatal(err)
	}
	if exit != nil {
		return string(out), exit.ExitCode()
	}
	return string(out), 0
}

// TestDrainKeepsConnections: a drained server gets no new connection and keeps those that it has, over a restart and whether
// it is drained by command or leaves the configuration, until the time is over.
func TestDrainKeepsConnections(t *testing.T) {
	netlab.RequireIPVS(t)
	n := newNode(t)
	n.start()
	n.serving()
	_, ask := n.hold(0)
	if out, code := n.runs("drain", "web/web1", "--timeout", "10m"); code != 0 || !strings.HasPrefix(out, "web/web1: draining, ") {
		t.Fatalf("drain: %d, %s", code, out)
	}
	drained := strings.Replace(wantTable, "10.1.0.21:80 -m -w 1", "10.1.0.21:80 -m -w 0", 1)
	table := func(want string) {
		t.Helper()
		n.eventually("the table", func() error {
			if got := n.ipvsadm("-Sn"); got != want {
				return fmt.Errorf("table:\n%swant:\n%s", got, want)
			}
			return nil
		})
	}
	table(drained)
	asks := func(when string) {
		t.Helper()
		if err := ask(); err != nil {
			t.Fatalf("%s: the connection does not go on: %v", when, err)
		}
		before := n.hits[0].Load()
		for range 5 {
			if err := n.get(); err != nil {
				t.Errorf("%s: %v", when, err)
			}
		}
		if hits := n.hits[0].Load() - before; hits > 0 {
			t.Errorf("%s: %d new connections to the drained server", when, hits)
		}
	}
	asks("drained")
	if out, code := n.runs("connections", "--server", "web/web1"); code != 0 || strings.Count(out, "\n") != 3 || !strings.Contains(out, "ESTABLISHED") {
		t.Errorf("connections: %d, %s", code, out)
	}
	n.kill()
	n.start()
	n.eventually("restart", func() error {
		_, err := n.command("status").Output()
		return err
	})
	table(drained)
	asks("after a restart")
	if out, code := n.runs("plan"); code != 0 || !strings.Contains(out, "# web/web1 10.1.0.21:80: drained (command) for at most ") {
		t.Errorf("plan: %d, %s", code, out)
	}
	if out, code := n.runs("drain", "web/web1", "--timeout", "1s", "--wait"); code != 0 || !strings.HasPrefix(out, "web/web1: maintenance, ") {
		t.Errorf("drain --wait: %d, %s", code, out)
	}
	table(strings.Replace(wantTable, "-a -t 10.0.0.100:80 -r 10.1.0.21:80 -m -w 1\n", "", 1))
	if out, code := n.runs("undrain", "web/web1"); code != 0 {
		t.Errorf("undrain: %d, %s", code, out)
	}
	table(wantTable)

	_, ask = n.hold(0)
	text, err := os.ReadFile(n.config)
	if err != nil {
		t.Fatal(err)
	}
	without := strings.Replace(string(text), "real_server \"web1\" {\n    address = \"10.1.0.21\"\n    weight  = 1\n  }", "", 1)
	if err := os.WriteFile(n.config, []byte(without), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, code := n.runs("plan"); code != exitChanges || !strings.Contains(out, "ipvsadm -e -t 10.0.0.100:80 -r 10.1.0.21:80 -m -w 0\n") {
		t.Errorf("plan: %d, %s", code, out)
	}
	if out, code := n.runs("reload"); code != 0 {
		t.Errorf("reload: %d, %s", code, out)
	}
	table(drained)
	asks("out of the configuration")
}

// TestDrainOfEveryMethod: where answers do not pass the director, and where persistence holds the client, a drained server
// keeps its connection, too, and gets no other one.
func TestDrainOfEveryMethod(t *testing.T) {
	netlab.RequireIPVS(t)
	for _, tt := range []struct{ name, settings, flag string }{
		{"direct routing, persistence", "scheduler = \"wrr\"\n forward = \"dr\"\n persistence { timeout = \"1m\" }", "-g"},
		{"tunnel", "scheduler = \"rr\"\n forward = \"tunnel\"", "-i"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := newNode(t)
			for i, h := range n.web {
				h.Join(n.lans[0], "eth1", netip.MustParsePrefix(fmt.Sprintf("10.0.0.%d/24", 21+i)))
				for key, value := range map[string]string{"arp_ignore": "1", "arp_announce": "2", "rp_filter": "0"} {
					h.Sysctl("net.ipv4.conf.all."+key, value)
				}
				h.Address("lo", netip.MustParsePrefix(vip+"/32"))
				if tt.flag == "-i" {
					tunnel(t, h)
				}
			}
			s := plain()
			s.settings = tt.settings
			s.web1, s.web2 = `real_server "web1" { address = "10.0.0.21" }`, `real_server "web2" { address = "10.0.0.22" }`
			n.configure(s)
			n.start()
			n.serving()
			before := n.hits[0].Load()
			_, ask := n.hold(-1)
			drained := 1
			if n.hits[0].Load() > before {
				drained = 0
			}
			name, place := fmt.Sprintf("web/web%d", drained+1), fmt.Sprintf("-r 10.0.0.2%d:80 %s", drained+1, tt.flag)
			if out, code := n.runs("drain", name, "--timeout", "10m"); code != 0 {
				t.Fatal(out)
			}
			n.eventually("weight 0", func() error {
				if got := n.ipvsadm("-Sn"); !strings.Contains(got, place+" -w 0") {
					return fmt.Errorf("table:\n%s", got)
				}
				return nil
			})
			before = n.hits[drained].Load()
			for range 5 {
				n.eventually("request", n.get)
			}
			if hits := n.hits[drained].Load() - before; hits > 0 {
				t.Errorf("%d new connections to the drained server", hits)
			}
			time.Sleep(3 * time.Second) // in which it could be counted, wrongly, as having none
			if err := ask(); err != nil {
				t.Errorf("the connection does not go on: %v", err)
			}
			if out, code := n.runs("drain", name, "--timeout", "0s", "--wait"); code != 0 {
				t.Fatal(out)
			}
			n.eventually("end", func() error {
				if got := n.ipvsadm("-Sn"); strings.Contains(got, place) {
					return fmt.Errorf("table:\n%s", got)
				}
				return nil
			})
		})
	}
}

// tunnel makes a host unpack what comes by IP in IP.
func tunnel(t *testing.T, h *netlab.Host) {
	t.Helper()
	if out, err := h.Command(t.Context(), "modprobe", "ipip").CombinedOutput(); err != nil {
		t.Fatalf("modprobe ipip: %v: %s", err, out)
	}
	link, err := h.Netlink().LinkByName("tunl0")
	if err == nil {
		err = h.Netlink().LinkSetUp(link)
	}
	if err != nil {
		t.Fatal(err)
	}
	h.Sysctl("net.ipv4.conf.tunl0.rp_filter", "0")
}
