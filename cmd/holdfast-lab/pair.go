// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-lb/holdfast/internal/director"
	"github.com/holdfast-lb/holdfast/internal/drill"
	"github.com/holdfast-lb/holdfast/internal/netlab"
	"github.com/holdfast-lb/holdfast/ipvs"
)

// A setup is one way to arrange a pair of directors, real servers and a client.
type setup struct {
	name     string
	title    string
	interval time.Duration // between adverts
	build    func(*pair, *netlab.Lab)
	sync     bool // connection sync, and connections that are held while something fails

	vip       netip.Addr
	forward   string
	addresses []string // of the virtual router
	servers   []netip.Addr
}

// Timing of every set-up's checks, as config writes it.
const (
	checkInterval = time.Second
	checkTimeout  = 500 * time.Millisecond
	checkRise     = 2
	checkFall     = 3
)

// masterDown is the longest that the backup waits for adverts: three intervals and its skew.
func (s *setup) masterDown() time.Duration {
	return 3*s.interval + s.interval*(256-priorities[1])/256
}

// lease is the lifetime of the addresses under address_lease = "auto".
func (s *setup) lease() time.Duration {
	lease := max(3*time.Second, 4*s.interval+time.Second)
	return (lease + time.Second - 1) / time.Second * time.Second
}

// priorities of lb1 and lb2.
var priorities = [2]time.Duration{200, 150}

var setups = []*setup{
	{
		name: "dr", title: "DR, adverts 1 s", interval: time.Second, build: buildDR, forward: "dr",
		vip: addr("10.0.0.100"), addresses: []string{"10.0.0.100/32"},
		servers: []netip.Addr{addr("10.0.0.21"), addr("10.0.0.22"), addr("10.0.0.23")},
	},
	{
		name: "dr100", title: "DR, adverts 100 ms", interval: 100 * time.Millisecond, build: buildDR, forward: "dr",
		vip: addr("10.0.0.100"), addresses: []string{"10.0.0.100/32"},
		servers: []netip.Addr{addr("10.0.0.21"), addr("10.0.0.22"), addr("10.0.0.23")},
	},
	{
		name: "nat", title: "NAT, adverts 1 s", interval: time.Second, build: buildNAT, forward: "nat",
		vip: addr("192.168.1.231"), addresses: []string{"192.168.1.231/32", "192.168.10.254/32 dev eth1"},
		servers: []netip.Addr{addr("192.168.10.21"), addr("192.168.10.22"), addr("192.168.10.23")},
	},
	{
		name: "drsync", title: "DR, connection sync", interval: time.Second, build: buildDR, forward: "dr", sync: true,
		vip: addr("10.0.0.100"), addresses: []string{"10.0.0.100/32"},
		servers: []netip.Addr{addr("10.0.0.21"), addr("10.0.0.22"), addr("10.0.0.23")},
	},
	{
		name: "natsync", title: "NAT, connection sync", interval: time.Second, build: buildNAT, forward: "nat", sync: true,
		vip: addr("192.168.1.231"), addresses: []string{"192.168.1.231/32", "192.168.10.254/32 dev eth1"},
		servers: []netip.Addr{addr("192.168.10.21"), addr("192.168.10.22"), addr("192.168.10.23")},
	},
}

func addr(s string) netip.Addr     { return netip.MustParseAddr(s) }
func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

// buildDR is one LAN. The real servers have the virtual address too and keep quiet about it.
func buildDR(p *pair, lab *netlab.Lab) {
	lan := lab.LAN("lan")
	for i, d := range p.directors {
		d.host = lab.Host(d.name)
		d.ports = []*netlab.Port{d.host.Join(lan, "eth0", prefix(fmt.Sprintf("10.0.0.%d/24", 2+i)))}
	}
	for i, a := range p.servers {
		h := lab.Host(fmt.Sprintf("web%d", i+1))
		h.Join(lan, "eth0", netip.PrefixFrom(a, 24))
		for _, link := range []string{"all", "lo"} {
			h.Sysctl("net.ipv4.conf."+link+".arp_ignore", "1")
			h.Sysctl("net.ipv4.conf."+link+".arp_announce", "2")
		}
		h.Address("lo", netip.PrefixFrom(p.vip, 32))
		p.webHosts = append(p.webHosts, h)
	}
	p.client = lab.Host("client")
	p.client.Join(lan, "eth0", prefix("10.0.0.10/24"))
}

// buildNAT is three networks: the client's, behind a router; the directors' outer one, with the virtual address; and the
// inner one, whose gateway is an address of the same virtual router.
func buildNAT(p *pair, lab *netlab.Lab) {
	far, outer, inner := lab.LAN("far"), lab.LAN("outer"), lab.LAN("inner")
	router := lab.Host("router")
	router.Join(far, "eth0", prefix("10.9.0.1/24"))
	router.Join(outer, "eth1", prefix("192.168.1.1/24"))
	router.Sysctl("net.ipv4.ip_forward", "1")
	for i, d := range p.directors {
		d.host = lab.Host(d.name)
		d.ports = []*netlab.Port{
			d.host.Join(outer, "eth0", prefix(fmt.Sprintf("192.168.1.%d/24", 2+i))),
			d.host.Join(inner, "eth1", prefix(fmt.Sprintf("192.168.10.%d/24", 2+i))),
		}
		d.host.Route(prefix("0.0.0.0/0"), addr("192.168.1.1"))
	}
	for i, a := range p.servers {
		h := lab.Host(fmt.Sprintf("web%d", i+1))
		h.Join(inner, "eth0", netip.PrefixFrom(a, 24))
		h.Route(prefix("0.0.0.0/0"), addr("192.168.10.254"))
		p.webHosts = append(p.webHosts, h)
	}
	p.client = lab.Host("client")
	p.client.Join(far, "eth0", prefix("10.9.0.10/24"))
	p.client.Route(prefix("0.0.0.0/0"), addr("10.9.0.1"))
}

// A pair is a running set-up.
type pair struct {
	*setup
	lab       *netlab.Lab
	client    *netlab.Host
	directors [2]*directorHost // lb1, which has the higher priority, and lb2
	webHosts  []*netlab.Host
	web       []*webServer
	binary    string
	options   serviceOptions // of the configuration in force
}

// newPair builds the set-up in a lab of its own. Configurations, state and logs go below dir.
func newPair(ctx context.Context, s *setup, binary, dir string) (_ *pair, err error) {
	p := &pair{setup: s, lab: netlab.New(), binary: binary, options: defaultOptions}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.close())
		}
	}()
	for i := range p.directors {
		name := fmt.Sprintf("lb%d", i+1)
		p.directors[i] = newDirectorHost(name, filepath.Join(dir, s.name, name))
		if err := os.MkdirAll(p.directors[i].dir, 0o755); err != nil {
			return nil, err
		}
	}
	s.build(p, p.lab)
	// With the range's default 28,000 ports the connections of some minutes meet the remains of earlier ones.
	p.client.Sysctl("net.ipv4.ip_local_port_range", "1024 65000")
	if err := p.lab.Err(); err != nil {
		return nil, fmt.Errorf("build the lab %s: %w", s.name, err)
	}
	for _, h := range p.webHosts {
		w, err := startWebServer(h, 80)
		if err != nil {
			return nil, err
		}
		p.web = append(p.web, w)
	}
	if err := p.configure(ctx, defaultOptions); err != nil {
		return nil, err
	}
	return p, nil
}

// close ends everything that runs in the lab.
func (p *pair) close() error {
	for _, w := range p.web {
		w.close()
	}
	err := p.lab.Close()
	for _, d := range p.directors {
		if d != nil {
			d.wait()
		}
	}
	return err
}

// configure writes both directors' configurations and has holdfast check them.
func (p *pair) configure(ctx context.Context, o serviceOptions) error {
	p.options = o
	for i, d := range p.directors {
		text := configText(p.setup, d, int(priorities[i]), o)
		if err := os.WriteFile(d.config(), []byte(text), 0o644); err != nil {
			return err
		}
		if out, err := d.host.Command(ctx, p.binary, "check", "-c", d.config()).CombinedOutput(); err != nil {
			return fmt.Errorf("check configuration of %s: %w: %s", d.name, err, out)
		}
	}
	return nil
}

// reload configures both directors anew and makes them take it.
func (p *pair) reload(ctx context.Context, o serviceOptions) error {
	if err := p.configure(ctx, o); err != nil {
		return err
	}
	for _, d := range p.directors {
		if _, err := d.api().Reload(ctx); err != nil {
			return fmt.Errorf("reload %s: %w", d.name, err)
		}
	}
	return nil
}

// settle mends whatever an earlier scenario left behind and waits until lb1 is master with all real servers up, and lb2
// is the backup.
func (p *pair) settle(ctx context.Context) error {
	for _, w := range p.web {
		w.sick.Store(false)
	}
	if !p.options.equal(defaultOptions) {
		if err := p.configure(ctx, defaultOptions); err != nil {
			return err
		}
		for _, d := range p.directors {
			if d.running() {
				if _, err := d.api().Reload(ctx); err != nil {
					return err
				}
			}
		}
	}
	for _, d := range p.directors {
		for _, port := range d.ports {
			if err := port.Heal(); err != nil {
				return err
			}
		}
		if err := d.start(ctx, p.binary); err != nil {
			return err
		}
	}
	return p.await(ctx, 30*time.Second, p.master(0), p.serverState(0, "", "up"), p.serverState(1, "", "up"))
}

// A condition says what is still missing.
type condition func(context.Context) error

// await polls until all conditions hold.
func (p *pair) await(ctx context.Context, timeout time.Duration, conditions ...condition) error {
	return poll(ctx, timeout, func() error {
		for _, c := range conditions {
			if err := c(ctx); err != nil {
				return err
			}
		}
		return nil
	})
}

// poll calls f every 50 ms until it returns nil. More often would cost what the client needs.
func poll(ctx context.Context, timeout time.Duration, f func() error) error {
	deadline := time.Now().Add(timeout)
	for {
		err := f()
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("not within %s: %w", timeout, err)
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
}

// pause waits, unless ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}

// master holds when director i alone is master and holds the address, and the other one, if it runs, is backup.
func (p *pair) master(i int) condition {
	return func(ctx context.Context) error {
		if err := p.holdersAre(p.directors[i].name); err != nil {
			return err
		}
		for k, d := range p.directors {
			want := "backup"
			if k == i {
				want = "master"
			} else if !d.running() {
				continue
			}
			if err := d.is(ctx, want); err != nil {
				return err
			}
		}
		return nil
	}
}

// is tells whether the director's virtual router has that role.
func (d *directorHost) is(ctx context.Context, role string) error {
	s, err := d.api().Status(ctx)
	if err != nil {
		return err
	}
	if len(s.VirtualRouters) != 1 || s.VirtualRouters[0].State != role {
		return fmt.Errorf("%s is not %s: %+v", d.name, role, s.VirtualRouters)
	}
	return nil
}

// serverState holds when the director sees the real server in that state; all of them for an empty name.
func (p *pair) serverState(i int, server, state string) condition {
	return func(ctx context.Context) error {
		s, err := p.directors[i].api().Status(ctx)
		if err != nil {
			return err
		}
		for _, vs := range s.VirtualServers {
			for _, rs := range vs.RealServers {
				if (server == "" || rs.Name == server) && rs.State != state {
					return fmt.Errorf("%s sees %s %s: %s", s.Name, rs.Name, rs.State, rs.Reason)
				}
			}
		}
		return nil
	}
}

// holdersAre says whether these and no others hold the virtual address.
func (p *pair) holdersAre(names ...string) error {
	var holders []string
	for _, c := range p.candidates() {
		holds, err := c.Holds()
		if err != nil {
			return err
		}
		if holds {
			holders = append(holders, c.Name)
		}
	}
	if !slices.Equal(holders, names) {
		return fmt.Errorf("%s is held by [%s], not by [%s]", p.vip, strings.Join(holders, " "), strings.Join(names, " "))
	}
	return nil
}

// candidates are the directors, for a watch.
func (p *pair) candidates() []drill.Candidate {
	var all []drill.Candidate
	for _, d := range p.directors {
		all = append(all, drill.Candidate{Name: d.name, Holds: func() (bool, error) { return d.host.Holds(p.vip) }})
	}
	return all
}

// api is the director's control API.
func (d *directorHost) api() director.Client {
	return director.Client{Socket: filepath.Join(d.dir, "control.sock")}
}

// connectionsOver waits until lb1 has counted more than n connections. The kernel brings it up to date every 2 s.
func (p *pair) connectionsOver(ctx context.Context, n uint64) (now uint64, err error) {
	err = poll(ctx, 10*time.Second, func() error {
		if now, err = p.connections(ctx); err == nil && now <= n {
			err = fmt.Errorf("%s counts %d connections, not more than %d", p.directors[0].name, now, n)
		}
		return err
	})
	return now, err
}

// connections is the number of connections that lb1's service has had since it was added.
func (p *pair) connections(ctx context.Context) (uint64, error) {
	t, err := ipvs.OpenKernel(ctx, p.directors[0].host.Path())
	if err != nil {
		return 0, err
	}
	defer func() { _ = t.Close() }()
	stats, err := t.Stats(ctx)
	if err != nil {
		return 0, err
	}
	var n uint64
	for _, s := range stats {
		n += s.Counters.Connections
	}
	return n, nil
}
