// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/internal/drill"
	"github.com/holdfast-lb/holdfast/internal/netlab"
	"github.com/holdfast-lb/holdfast/internal/realserver"
	"github.com/holdfast-lb/holdfast/ipvs"
)

// A customerSetup is an example that replaces what people set up by hand with ipvsadm and scripts.
type customerSetup struct {
	example string   // in configs/examples
	text    string   // instead of the example's
	target  string   // what the client loads
	servers []string // each with its port, if that is not the target's
	build   func(*testing.T, *customerLab)
	table   string // what ipvsadm -Ln prints below its heading, with all real servers up
	look    func(*testing.T, *customerLab, []packet)
}

// The network 10.9.0.0/24 is the client's own where it is not on a LAN of the directors.
var customerSetups = []customerSetup{
	{
		example: "lvs-dr-persistent.hcl", target: "10.15.144.120:10087",
		servers: []string{"10.15.144.102", "10.15.144.103", "10.15.144.104"},
		build: func(t *testing.T, l *customerLab) {
			lan := l.lab.LAN("lan")
			l.join(lan, "eth0", "10.15.144.100/24")
			l.clientBehind(lan, "10.15.144.1/24")
			for _, h := range l.webHosts {
				l.serve(h, lan)
				l.realServer(t, h, realserver.Use{Forward: ipvs.DR, Address: l.vip})
				h.Route(prefix("0.0.0.0/0"), addr("10.15.144.1"))
			}
		},
		table: `
TCP  10.15.144.120:10087 wrr persistent 60
  -> 10.15.144.102:10087          Route   2
  -> 10.15.144.103:10087          Route   1
  -> 10.15.144.104:10087          Route   1`,
	},
	{
		example: "lvs-nat.hcl", target: "192.168.1.231:80",
		servers: []string{"192.168.1.200", "192.168.1.201", "192.168.1.12:10012"},
		build: func(t *testing.T, l *customerLab) {
			inner, outer := l.lab.LAN("inner"), l.lab.LAN("outer")
			l.join(outer, "eth0", "10.15.144.68/24")
			l.join(inner, "eth1", "192.168.1.2/24")
			l.clientBehind(outer, "10.15.144.1/24")
			l.routed.Route(prefix("192.168.1.231/32"), addr("10.15.144.71"))
			l.masquerade(t, inner, "192.168.1.230")
		},
		table: `
TCP  10.15.144.71:80 rr
  -> 192.168.1.12:10012           Masq    1
TCP  192.168.1.231:80 rr
  -> 192.168.1.200:80             Masq    1
  -> 192.168.1.201:80             Masq    1`,
		look: translated,
	},
	{
		example: "lvs-dr.hcl", target: "192.168.1.241:80",
		servers: []string{"192.168.1.200", "192.168.1.201"},
		build:   oneLAN,
		table: `
TCP  192.168.1.241:80 rr
  -> 192.168.1.200:80             Route   1
  -> 192.168.1.201:80             Route   1`,
		look: answeredByDirector,
	},
	{
		example: "lvs-nat-two-networks.hcl", target: "192.168.10.100:80",
		servers: []string{"192.168.1.10", "192.168.1.11", "192.168.1.12"},
		build: func(t *testing.T, l *customerLab) {
			inner, outer := l.lab.LAN("inner"), l.lab.LAN("outer")
			l.join(inner, "eth0", "192.168.1.2/24")
			l.join(outer, "eth1", "192.168.10.2/24")
			l.clientOn(outer, "192.168.10.13/24")
			l.masquerade(t, inner, "192.168.1.100")
		},
		table: `
TCP  192.168.10.100:80 rr
  -> 192.168.1.10:80              Masq    1
  -> 192.168.1.11:80              Masq    1
  -> 192.168.1.12:80              Masq    1`,
		look: translated,
	},
	{
		example: "lvs-dr-one-lan.hcl", target: "192.168.1.100:80",
		servers: []string{"192.168.1.10", "192.168.1.11", "192.168.1.12"},
		build:   oneLAN,
		table: `
TCP  192.168.1.100:80 rr
  -> 192.168.1.10:80              Route   1
  -> 192.168.1.11:80              Route   1
  -> 192.168.1.12:80              Route   1`,
		look: readdressed,
	},
	{
		example: "lvs-tunnel.hcl", target: "202.10.1.101:80",
		servers: []string{"192.168.1.10", "192.168.1.11"},
		build: func(t *testing.T, l *customerLab) {
			inner, outer, out := l.lab.LAN("inner"), l.lab.LAN("outer"), l.lab.LAN("out")
			l.join(inner, "eth0", "192.168.1.100/24")
			l.join(outer, "eth1", "202.10.1.99/24")
			l.clientBehind(outer, "202.10.1.1/24")
			l.routed.Join(out, "eth2", prefix("10.10.1.1/24"))
			for i, h := range l.webHosts {
				l.serve(h, inner)
				h.Join(out, "eth1", prefix(fmt.Sprintf("10.10.1.%d/24", 10+i)))
				l.realServer(t, h, realserver.Use{
					Forward: ipvs.Tunnel, Address: l.vip, Local: l.servers[i], Encapsulation: ipvs.Encapsulation{Type: ipvs.IPIP},
				})
				// As doctor advises: clients learn what fits, wrapped.
				out, err := h.Command(t.Context(), "ip", "route", "add", "default", "via", "10.10.1.1", "dev", "eth1", "advmss", "1440").CombinedOutput()
				if err != nil {
					t.Fatalf("ip route: %v: %s", err, out)
				}
			}
		},
		table: `
TCP  202.10.1.101:80 rr
  -> 192.168.1.10:80              Tunnel  1
  -> 192.168.1.11:80              Tunnel  1`,
		look: wrapped,
	},
}

// oneLAN has directors, real servers of DR and the client on one LAN.
func oneLAN(t *testing.T, l *customerLab) {
	lan := l.lab.LAN("lan")
	l.join(lan, "eth0", "192.168.1.2/24")
	l.clientOn(lan, "192.168.1.50/24")
	for _, h := range l.webHosts {
		l.serve(h, lan)
		l.realServer(t, h, realserver.Use{Forward: ipvs.DR, Address: l.vip})
	}
}

// A customerLab is a pair in the network of a set-up.
type customerLab struct {
	*pair
	target netip.AddrPort
	watch  *netlab.LAN    // between the directors and the real servers
	wires  []*netlab.Port // of the real servers, in that LAN
	uses   []realserver.Use
	routed *netlab.Host // between the client and the directors
}

// join gives both directors a link to a LAN: the first one the address, the second one that which follows.
func (l *customerLab) join(lan *netlab.LAN, ifname, first string) {
	at := prefix(first)
	for _, d := range l.directors {
		d.ports = append(d.ports, d.host.Join(lan, ifname, at))
		at = netip.PrefixFrom(at.Addr().Next(), at.Bits())
	}
}

func (l *customerLab) clientOn(lan *netlab.LAN, address string) {
	l.client = l.lab.Host("client")
	l.client.Join(lan, "eth0", prefix(address))
}

// clientBehind puts the client behind a router with an address on the LAN.
func (l *customerLab) clientBehind(lan *netlab.LAN, gateway string) {
	far := l.lab.LAN("far")
	l.routed = l.lab.Host("router")
	l.routed.Join(far, "eth0", prefix("10.9.0.1/24"))
	l.routed.Join(lan, "eth1", prefix(gateway))
	l.routed.Sysctl("net.ipv4.ip_forward", "1")
	l.clientOn(far, "10.9.0.10/24")
	l.client.Route(prefix("0.0.0.0/0"), addr("10.9.0.1"))
	for _, d := range l.directors {
		d.host.Route(prefix("10.9.0.0/24"), prefix(gateway).Addr())
	}
}

// realServer does on a host what `holdfast real-server setup` does.
func (l *customerLab) realServer(t *testing.T, h *netlab.Host, use realserver.Use) {
	t.Helper()
	l.uses = append(l.uses, use)
	must(t, h.Do(func() error {
		k, err := realserver.Open()
		if err != nil {
			return err
		}
		defer k.Close()
		_, err = realserver.Setup(k, filepath.Join(t.TempDir(), "real-server.json"), []realserver.Use{use})
		return err
	}))
}

// masquerade makes the hosts real servers of NAT, with the gateway that moves with the virtual address.
func (l *customerLab) masquerade(t *testing.T, lan *netlab.LAN, gateway string) {
	for _, h := range l.webHosts {
		l.serve(h, lan)
		l.realServer(t, h, realserver.Use{Forward: ipvs.NAT, Gateway: addr(gateway)})
	}
}

// serve joins a real server to the LAN.
func (l *customerLab) serve(h *netlab.Host, lan *netlab.LAN) {
	a := l.servers[len(l.wires)]
	l.watch = lan
	l.wires = append(l.wires, h.Join(lan, "eth0", netip.PrefixFrom(a, 24)))
}

// newCustomerLab builds the network, starts the real servers, and writes the directors' configurations: the example, on
// the second director with the changes that its own comment asks for.
func newCustomerLab(t *testing.T, c customerSetup) *customerLab {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	target := netip.MustParseAddrPort(c.target)
	s := &setup{name: c.example, interval: time.Second, vip: target.Addr()}
	l := &customerLab{pair: &pair{setup: s, lab: netlab.Test(t), binary: self}, target: target}
	dir := t.TempDir()
	for i := range l.directors {
		d := newDirectorHost(fmt.Sprintf("lb%d", i+1), filepath.Join(dir, fmt.Sprintf("lb%d", i+1)))
		d.host = l.lab.Host(d.name)
		if err := os.MkdirAll(d.dir, 0o755); err != nil {
			t.Fatal(err)
		}
		l.directors[i] = d
	}
	ports := make([]uint16, len(c.servers))
	for i, text := range c.servers {
		at, err := netip.ParseAddrPort(text)
		if err != nil {
			at = netip.AddrPortFrom(addr(text), target.Port())
		}
		s.servers, ports[i] = append(s.servers, at.Addr()), at.Port()
		l.webHosts = append(l.webHosts, l.lab.Host(fmt.Sprintf("web%d", i+1)))
	}
	c.build(t, l)
	for i, h := range l.webHosts {
		w, err := startWebServer(h, ports[i])
		if err != nil {
			t.Fatal(err)
		}
		l.web = append(l.web, w)
		t.Cleanup(w.close)
	}
	l.adapt(t, c)
	for _, d := range l.directors {
		if err := d.start(t.Context(), self); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = d.signal(syscall.SIGKILL)
			d.wait()
			if t.Failed() {
				t.Logf("log of %s:\n%s", d.name, d.lastLines(40))
			}
		})
	}
	return l
}

// adapt writes the example as each director's configuration.
func (l *customerLab) adapt(t *testing.T, c customerSetup) {
	text, example := c.text, c.example
	if text == "" {
		b, err := os.ReadFile(filepath.Join("..", "..", "configs", "examples", example))
		if err != nil {
			t.Fatal(err)
		}
		text = string(b)
	}
	name, priority := regexp.MustCompile(`(?m)^  name *= "lb1"$`), regexp.MustCompile(`(?m)^  priority *= \d+$`)
	for i, d := range l.directors {
		own := text
		if name.FindString(own) == "" || priority.FindString(own) == "" {
			t.Fatalf("%s has no name \"lb1\" or no priority", example)
		}
		own = name.ReplaceAllString(own, fmt.Sprintf("  name           = %q\n  control_socket = %q\n  state_dir      = %q", d.name, d.api().Socket, d.dir))
		if i > 0 {
			own = priority.ReplaceAllString(own, "  priority = 90")
		}
		if err := os.WriteFile(d.config(), []byte(own), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// TestCustomerSetups runs each example as a pair with real servers and a client, holds the kernel's table and what is on
// the wire against what the documents say, and injects both faults: a real server that dies, and a director.
func TestCustomerSetups(t *testing.T) {
	netlab.RequireIPVS(t)
	t.Setenv(asHoldfast, "1")
	for _, c := range customerSetups {
		t.Run(strings.TrimSuffix(c.example, ".hcl"), func(t *testing.T) {
			t.Parallel()
			l := newCustomerLab(t, c)
			must(t, l.await(t.Context(), settleWithin, l.master(0), l.serverState(0, "", "up"), l.serverState(1, "", "up")))
			if got := l.ipvsadm(t, "-Ln"); got != c.table[1:] {
				t.Errorf("ipvsadm -Ln prints\n%s\nwant\n%s", got, c.table[1:])
			}
			if c.look != nil {
				c.look(t, l, l.capture(t))
			}
			l.serverDies(t)
			after := l.directorDies(t)
			if strings.Contains(c.table, "persistent") && len(after.Servers) != 1 {
				t.Errorf("the client was at several servers over a fail-over: %v", after.Servers)
			}
		})
	}
}

// settleWithin is long enough for an emulated machine that others use, too.
const settleWithin = 60 * time.Second

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// ipvsadm returns what it prints on the first director, services in order, without heading, trailing blanks and
// counters of connections.
func (l *customerLab) ipvsadm(t *testing.T, args ...string) string {
	t.Helper()
	out, err := l.directors[0].host.Command(t.Context(), "ipvsadm", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("ipvsadm: %v: %s", err, out)
	}
	var services []string
	for line := range strings.Lines(string(out)) {
		line = strings.TrimRight(line, " \n")
		switch {
		case strings.HasPrefix(line, "TCP"):
			services = append(services, line)
		case strings.HasPrefix(line, "  -> ") && !strings.Contains(line, "RemoteAddress"):
			services[len(services)-1] += "\n" + connectionCounters.ReplaceAllString(line, "$1")
		}
	}
	slices.Sort(services)
	return strings.Join(services, "\n")
}

// connectionCounters are the last two columns of ipvsadm -Ln.
var connectionCounters = regexp.MustCompile(`^(  -> \S+ +[A-Z][a-z]+ +\d+) +\d+ +\d+$`)

// load asks for the target while do runs, and for a moment before and after it. It has the patience that a busy machine takes.
func (l *customerLab) load(t *testing.T, do func() error) []drill.Sample {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var samples []drill.Sample
	done := make(chan error, 1)
	load := drill.Load{Target: l.target, Interval: 20 * time.Millisecond, Timeout: 5 * time.Second, ServerHeader: serverHeader, Within: l.client.Do}
	go func() { done <- load.Run(ctx, func(s drill.Sample) { samples = append(samples, s) }) }()
	err := errors.Join(pause(ctx, time.Second), do(), pause(ctx, time.Second))
	cancel()
	must(t, errors.Join(err, <-done))
	return samples
}

// serverDies lets the real server that the client is sent to die, and come back. From when it is out nothing is lost.
func (l *customerLab) serverDies(t *testing.T) {
	t.Helper()
	before := drill.Summarize(l.load(t, func() error { return nil }))
	if before.Lost > 0 || len(before.Servers) == 0 {
		t.Fatalf("with nothing wrong: %+v", before)
	}
	victim := slices.IndexFunc(l.web, func(w *webServer) bool { return before.Servers[w.name] > 0 })
	name := l.web[victim].name
	var out, back time.Time
	samples := l.load(t, func() error {
		err := l.wires[victim].Cut()
		err = errors.Join(err, l.await(t.Context(), settleWithin, l.down(0, name), l.down(1, name)))
		out = time.Now().Add(500 * time.Millisecond) // the table follows the verdict
		err = errors.Join(err, pause(t.Context(), 2*time.Second))
		back = time.Now()
		return errors.Join(err, l.wires[victim].Heal())
	})
	r := drill.Summarize(drill.Between(samples, out, back))
	if r.Requests == 0 || r.Lost > 0 || r.Servers[name] > 0 {
		t.Errorf("%s is dead and out of the table: %+v", name, r)
	}
	must(t, l.await(t.Context(), settleWithin, l.serverState(0, "", "up"), l.serverState(1, "", "up")))
	t.Logf("server dies: %+v", drill.Summarize(samples))
}

// down holds when the director sees a real server down, whatever its name is there.
func (l *customerLab) down(i int, host string) condition {
	at := l.servers[slices.IndexFunc(l.web, func(w *webServer) bool { return w.name == host })]
	return func(ctx context.Context) error {
		s, err := l.directors[i].api().Status(ctx)
		if err != nil {
			return err
		}
		for _, vs := range s.VirtualServers {
			for _, rs := range vs.RealServers {
				if rs.Address.Addr() == at && rs.State != "down" {
					return fmt.Errorf("%s is %s", at, rs.State)
				}
			}
		}
		return nil
	}
}

// directorDies kills the master. The other one serves soon, and nothing is lost from then on.
func (l *customerLab) directorDies(t *testing.T) drill.Report {
	t.Helper()
	var taken time.Time
	samples := l.load(t, func() error {
		err := l.directors[0].host.Signal(syscall.SIGKILL)
		err = errors.Join(err, l.await(t.Context(), settleWithin, l.master(1)))
		taken = time.Now().Add(200 * time.Millisecond)
		return errors.Join(err, pause(t.Context(), 2*time.Second))
	})
	if r := drill.Summarize(drill.Between(samples, taken, time.Now())); r.Requests == 0 || r.Lost > 0 {
		t.Errorf("lb2 is master: %+v", r)
	}
	r := drill.Summarize(samples)
	t.Logf("director dies: %+v", r)
	return r
}
