// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-lb/holdfast/internal/drill"
	"github.com/holdfast-lb/holdfast/internal/netlab"
)

// options are what a fault needs of its scene, beyond what every scene has.
type options struct {
	directors  int           // 0: 2
	priorities []int         // of the directors; nil: 200, 150, 100
	interval   time.Duration // between adverts; 0: 1 s
	// build adds to the lab before the directors are configured. nil: nothing.
	build func(*scene) error
	// with is what a director's configuration has besides. nil: nothing.
	with func(*node) extra
	// wrap is what a director's command line begins with. nil: nothing.
	wrap func(*node) []string
}

// extra is configuration of holdfast, by the block that it belongs to.
type extra struct {
	director, router, service, top string
	address                        string // of the virtual router, another one
	keepalived                     string // what keepalived has at the top instead
}

// A scene is a lab in which a fault happens.
type scene struct {
	fault
	program  string // holdfast or keepalived
	binary   string // holdfast
	dir      string
	run      string // for sockets, whose paths must be short
	lab      *netlab.Lab
	lan      *netlab.LAN
	nodes    []*node
	client   *netlab.Host
	webs     []*webServer
	tape     *tape
	stranger *netlab.Port // that is no director; nil: not there yet

	fleet  *fleetServers // nil: there is none
	uplink *netlab.Port  // of the first director to the fleet

	injected time.Time // when inject was called
	sharing  time.Time // from when on only one may hold the address; zero: from the beginning
	bounds   []bound   // that inject adds
}

var (
	sceneAddress = addr("10.0.0.100")
	sceneServers = []netip.Addr{addr("10.0.0.21"), addr("10.0.0.22"), addr("10.0.0.23")}
)

const (
	heldByClient = 20
	sceneRouter  = 51
	// holdPatience is less than the default of a drill.Hold: with the directors as servers a connection goes on or is reset.
	holdPatience = 3 * time.Second
)

// newScene builds a lab. Configurations, state and logs go below dir.
func newScene(ctx context.Context, f fault, program, binary, dir string) (s *scene, err error) {
	s = &scene{fault: f, program: program, binary: binary, dir: dir, lab: netlab.New()}
	if s.interval == 0 {
		s.interval = time.Second
	}
	if s.directors == 0 {
		s.directors = 2
	}
	if s.priorities == nil {
		s.priorities = []int{200, 150, 100}
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
			s = nil
		}
	}()
	if err := os.RemoveAll(dir); err != nil { // an earlier run's logs would be read as this one's
		return s, err
	}
	if s.run, err = os.MkdirTemp("", "holdfast-lab-"); err != nil {
		return s, err
	}
	s.lan = s.lab.LAN("lan")
	for i := range s.directors {
		n := newNode(s, i)
		if err := os.MkdirAll(n.dir, 0o755); err != nil {
			return s, err
		}
		s.nodes = append(s.nodes, n)
	}
	s.client = s.lab.Host("client")
	s.client.Join(s.lan, "eth0", prefix("10.0.0.10/24"))
	s.client.Sysctl("net.ipv4.ip_local_port_range", "1024 65000")
	if err := s.buildServers(); err != nil {
		return s, err
	}
	if s.build != nil {
		if err := s.build(s); err != nil {
			return s, err
		}
	}
	if s.tape, err = record(s.lan); err != nil {
		return s, err
	}
	return s, s.configure(ctx)
}

// buildServers makes the real servers, with DR, or makes the directors answer themselves if they do not balance.
func (s *scene) buildServers() error {
	var hosts []*netlab.Host
	if s.balances() {
		for i, a := range sceneServers {
			h := s.lab.Host(fmt.Sprintf("web%d", i+1))
			h.Join(s.lan, "eth0", netip.PrefixFrom(a, 24))
			for _, link := range []string{"all", "lo"} {
				h.Sysctl("net.ipv4.conf."+link+".arp_ignore", "1")
				h.Sysctl("net.ipv4.conf."+link+".arp_announce", "2")
			}
			h.Address("lo", netip.PrefixFrom(sceneAddress, 32))
			hosts = append(hosts, h)
		}
	} else {
		for _, n := range s.nodes {
			hosts = append(hosts, n.host)
		}
	}
	if err := s.lab.Err(); err != nil {
		return fmt.Errorf("build the lab of %s: %w", s.name, err)
	}
	for _, h := range hosts {
		w, err := startWebServer(h, 80)
		if err != nil {
			return err
		}
		s.webs = append(s.webs, w)
	}
	return nil
}

// balances reports whether the directors have a virtual server.
func (s *scene) balances() bool { return s.needs&needIPVS != 0 }

// holdfast reports whether the directors are ours.
func (s *scene) holdfast() bool { return s.program == "holdfast" }

// configure writes the configurations of all directors.
func (s *scene) configure(ctx context.Context) error {
	for _, n := range s.nodes {
		var e extra
		if s.with != nil {
			e = s.with(n)
		}
		if err := n.configure(ctx, e); err != nil {
			return err
		}
	}
	return nil
}

func (s *scene) close() error {
	for _, w := range s.webs {
		w.close()
	}
	if s.fleet != nil {
		s.fleet.down()
	}
	var errs []error
	if s.tape != nil {
		errs = append(errs, s.tape.stop())
	}
	errs = append(errs, s.lab.Close(), os.RemoveAll(s.run))
	for _, n := range s.nodes {
		n.wait()
	}
	if len(s.nodes) > 0 {
		if err := os.Remove(s.nodes[0].cgroup()); !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// masterDown is the longest that a backup waits for adverts.
func (s *scene) masterDown() time.Duration {
	return 3*s.interval + s.interval*time.Duration(256-s.priorities[1])/256
}

// lease is the lifetime of the addresses under address_lease = "auto".
func (s *scene) lease() time.Duration { return (&setup{interval: s.interval}).lease() }

// start starts all directors.
func (s *scene) start(ctx context.Context) error {
	for _, n := range s.nodes {
		if err := n.start(ctx); err != nil {
			return err
		}
	}
	return nil
}

// candidates are the directors, for a watch.
func (s *scene) candidates() []drill.Candidate {
	var all []drill.Candidate
	for _, n := range s.nodes {
		all = append(all, drill.Candidate{Name: n.name, Holds: func() (bool, error) { return n.host.Holds(sceneAddress) }})
	}
	return all
}

// masterIs holds when that director, or either, alone has the address, says that it is master, and all others that run that they
// are not.
func (s *scene) masterIs(ctx context.Context, i int) error {
	var holders []string
	for _, c := range s.candidates() {
		holds, err := c.Holds()
		if err != nil {
			return err
		}
		if holds {
			holders = append(holders, c.Name)
		}
	}
	if i == either {
		i = slices.IndexFunc(s.nodes, func(n *node) bool { return slices.Contains(holders, n.name) })
	}
	if i < 0 {
		return errors.New("nobody holds the address")
	}
	if strings.Join(holders, " ") != s.nodes[i].name {
		return fmt.Errorf("the address is held by [%s], not by %s", strings.Join(holders, " "), s.nodes[i].name)
	}
	for k, n := range s.nodes {
		if !n.running() {
			continue
		}
		role, err := n.role(ctx)
		if err != nil {
			return err
		}
		if (role == "master") != (k == i) {
			return fmt.Errorf("%s is %s", n.name, role)
		}
	}
	return nil
}

// settle waits until that director is master and everything is in its place.
func (s *scene) settle(ctx context.Context, i int) error {
	return poll(ctx, 40*time.Second, func() error {
		if err := s.masterIs(ctx, i); err != nil {
			return err
		}
		for _, n := range s.nodes {
			if err := n.ready(ctx); err != nil {
				return err
			}
		}
		return nil
	})
}

// advertsOf are those that a director sent, from a moment on.
func (s *scene) advertsOf(n *node, from time.Time) (own []advert) {
	for _, a := range s.tape.since(from) {
		if a.src == n.address && a.id == sceneRouter {
			own = append(own, a)
		}
	}
	return own
}

// silence is the longest time between two adverts of a director, from a moment on until now.
func (s *scene) silence(n *node, from time.Time) (longest time.Duration) {
	last := from
	for _, a := range s.advertsOf(n, from) {
		longest = max(longest, a.at.Sub(last))
		last = a.at
	}
	return max(longest, time.Since(last))
}

// becomes waits until that director says that it is master.
func (s *scene) becomes(ctx context.Context, i int) error {
	return poll(ctx, 30*time.Second, func() error {
		role, err := s.nodes[i].role(ctx)
		if err == nil && role != "master" {
			err = fmt.Errorf("%s is %s", s.nodes[i].name, role)
		}
		return err
	})
}

// reached waits until the client has an answer again.
func (s *scene) reached(ctx context.Context) error {
	return poll(ctx, 40*time.Second, func() error {
		within, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		c, err := s.client.Dial(within, "tcp", netip.AddrPortFrom(sceneAddress, 80).String())
		if err != nil {
			return err
		}
		return c.Close()
	})
}

// tookOver bounds the time from the last advert of one director to the first of another, by the formula of RFC 9568.
func (s *scene) tookOver(from, to *node, since time.Time) {
	late := s.advertsOf(to, since)
	if len(late) == 0 {
		return // it is not master, which is said elsewhere
	}
	var last time.Time
	for _, a := range s.advertsOf(from, time.Time{}) {
		if a.at.Before(late[0].at) {
			last = a.at
		}
	}
	down := 3*s.interval + s.interval*time.Duration(256-to.priority)/256
	b := within("took over after", late[0].at.Sub(last), down+100*time.Millisecond)
	b.Least = (down - 5*time.Millisecond).Seconds()
	s.bound(b)
}
