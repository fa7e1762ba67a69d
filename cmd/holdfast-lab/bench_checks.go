// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-lb/holdfast/internal/netlab"
)

// A fleet is what is checked over TCP: services of 100 real servers, each of ten on a port of its own of the same 100
// addresses.
type fleet struct {
	servers  int
	interval time.Duration
}

const (
	perService = 100
	fleetPorts = 10
	firstPort  = 8000
)

// fleetNetwork is behind one host, which answers for all of it: no address of it is a neighbour of the director.
var fleetNetwork = netip.MustParsePrefix("10.128.0.0/9")

func (f fleet) services() int { return (f.servers + perService - 1) / perService }

func (f fleet) service(k int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 100, byte(k / 250), byte(1 + k%250)}), firstPort+uint16(k%fleetPorts))
}

func (f fleet) server(k, i int) netip.AddrPort {
	n := k/fleetPorts*perService + i
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 128, byte(n / 250), byte(1 + n%250)}), firstPort+uint16(k%fleetPorts))
}

// each calls f for all real servers of a service, with their weights.
func (f fleet) each(k int, c change, do func(server netip.AddrPort, weight int)) {
	for i := range min(perService, f.servers-k*perService) {
		do(f.server(k, i), c.of(k*perService+i, f.servers))
	}
}

// Both go down by the second failure, a second after the first at most, and come up by the first pass.
func holdfastFleet(dir string, f fleet, c change) string {
	return holdfastConfig(dir, nil, 0, 0) + f.holdfast(c)
}

// holdfast is the part of the services.
func (f fleet) holdfast(c change) string {
	var b strings.Builder
	for k := range f.services() {
		fmt.Fprintf(&b, `virtual_server "s%d" {
  address   = %q
  scheduler = "rr"
  forward   = "dr"
  check "tcp" {
    interval       = %q
    timeout        = "1s"
    retry_interval = "1s"
    rise           = 1
    fall           = 2
  }
`, k, f.service(k), f.interval)
		f.each(k, c, func(server netip.AddrPort, weight int) {
			fmt.Fprintf(&b, "  real_server %q {\n    address = %q\n    weight = %d\n  }\n", server.Addr(), server.Addr(), weight)
		})
		b.WriteString("}\n")
	}
	return b.String()
}

func keepalivedFleet(_ string, f fleet, c change) string {
	var b strings.Builder
	for k := range f.services() {
		s := f.service(k)
		fmt.Fprintf(&b, `virtual_server %s %d {
  delay_loop %d
  lb_algo rr
  lb_kind DR
  protocol TCP
`, s.Addr(), s.Port(), int(f.interval.Seconds()))
		f.each(k, c, func(server netip.AddrPort, weight int) {
			fmt.Fprintf(&b, `  real_server %s %d {
    weight %d
    TCP_CHECK {
      connect_timeout 1
      retry 1
      delay_before_retry 1
    }
  }
`, server.Addr(), server.Port(), weight)
		})
		b.WriteString("}\n")
	}
	return b.String()
}

// fleetServers are all real servers of a fleet: they accept, and close.
type fleetServers struct {
	host      *netlab.Host
	listeners []net.Listener
}

// startFleet makes a host the whole fleet, which a director reaches by an address of it.
func startFleet(ctx context.Context, host, director *netlab.Host, gateway netip.Addr) (*fleetServers, error) {
	if _, err := host.Command(ctx, "ip", "route", "add", "local", fleetNetwork.String(), "dev", "lo").Output(); err != nil {
		return nil, err
	}
	if _, err := director.Command(ctx, "ip", "route", "add", fleetNetwork.String(), "via", gateway.String()).Output(); err != nil {
		return nil, err
	}
	s := &fleetServers{host: host}
	if err := s.up(); err != nil {
		return nil, err
	}
	// So that the first checks do not all wait for one answer to ARP: the kernel keeps but a hundred packets that do.
	c, err := director.Dial(ctx, "tcp4", netip.AddrPortFrom(gateway, firstPort).String())
	if err != nil {
		s.down()
		return nil, fmt.Errorf("reach the fleet: %w", err)
	}
	return s, c.Close()
}

func (s *fleetServers) up() error {
	for i := range fleetPorts {
		l, err := s.host.Listen("tcp4", fmt.Sprintf(":%d", firstPort+i))
		if err != nil {
			return err
		}
		s.listeners = append(s.listeners, l)
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return // closed
				}
				_ = c.Close()
			}
		}()
	}
	return nil
}

func (s *fleetServers) down() {
	for _, l := range s.listeners {
		_ = l.Close()
	}
	s.listeners = nil
}

// checksNative measures what checks cost on a kernel that may have no IPVS: the table is out of reach then, which holdfast
// says and lives with.
func (b *bench) checksNative(ctx context.Context, f fleet) ([]figure, error) {
	servers, err := startFleet(ctx, b.backup.Host, b.master.Host, b.backup.address)
	if err != nil {
		return nil, err
	}
	defer servers.down()
	if err := b.master.launch(ctx, b.contender, b.fleet(b.master.dir, f, change{}), b.contender.args(b.master.dir, true)); err != nil {
		return nil, err
	}
	began := time.Now()
	if err := until(ctx, time.Minute, func() (bool, error) {
		m, err := b.master.metrics(ctx)
		if err != nil {
			return false, nil // not there yet
		}
		up, err := sumMetric(m, "holdfast_check_up", "")
		return err == nil && int(up) == f.servers, nil
	}); err != nil {
		return nil, fmt.Errorf("all checks up: %w: the log ends with\n%s", err, lastLines(filepath.Join(b.master.dir, "log"), 5))
	}
	figures := []figure{{"start to all checks up", "s", time.Since(began).Seconds()}}
	if err := pause(ctx, max(b.settle, 2*f.interval)); err != nil {
		return nil, err
	}
	before, err := b.master.metrics(ctx)
	if err != nil {
		return nil, err
	}
	quiet, err := b.quiet(ctx)
	if err != nil {
		return nil, err
	}
	after, err := b.master.metrics(ctx)
	if err != nil {
		return nil, err
	}
	figures = append(figures, quiet...)
	for _, name := range []string{"lateness", "duration"} {
		metric := "holdfast_check_" + name + "_seconds"
		was, is := bucketsOf(before, metric), bucketsOf(after, metric)
		figures = append(figures,
			figure{name + " p50", "ms", 1000 * quantile(was, is, .50)},
			figure{name + " p99", "ms", 1000 * quantile(was, is, .99)})
	}
	return figures, nil
}

// quiet watches the director at work.
func (b *bench) quiet(ctx context.Context) ([]figure, error) {
	before, err := b.master.cpu()
	if err != nil {
		return nil, err
	}
	opened, err := b.master.connects()
	if err != nil {
		return nil, err
	}
	began, files := time.Now(), 0
	for time.Since(began) < b.watch {
		if err := pause(ctx, b.watch/20); err != nil {
			return nil, err
		}
		n, err := b.master.files()
		if err != nil {
			return nil, err
		}
		files = max(files, n)
	}
	after, err := b.master.cpu()
	if err != nil {
		return nil, err
	}
	took := time.Since(began)
	now, err := b.master.connects()
	if err != nil {
		return nil, err
	}
	memory, err := b.master.memory()
	return []figure{
		{"CPU", "ms/s", (after - before).Seconds() * 1000 / took.Seconds()},
		{"memory", "MiB", float64(memory) / (1 << 20)},
		{"checks", "/s", float64(now-opened) / took.Seconds()},
		{"CPU of a check", "µs", float64((after - before).Microseconds()) / float64(max(1, now-opened))},
		{"open files at most", "", float64(files)},
	}, err
}

// checksKernel measures how the kernel's table follows a fleet.
func (b *bench) checksKernel(ctx context.Context, f fleet) (figures []figure, err error) {
	servers, err := startFleet(ctx, b.backup.Host, b.master.Host, b.backup.address)
	if err != nil {
		return nil, err
	}
	defer servers.down()
	measure := func(name string, do func() error, want func(table []byte) bool) error {
		took, err := b.follows(ctx, name, do, want)
		figures = append(figures, figure{name, "s", took.Seconds()})
		return err
	}
	holds := func(n int) func([]byte) bool {
		return func(table []byte) bool { return destinations(table) == n }
	}
	if err := measure("start to full table", func() error {
		return b.master.launch(ctx, b.contender, b.fleet(b.master.dir, f, change{}), b.contender.args(b.master.dir, true))
	}, holds(f.servers)); err != nil {
		return nil, err
	}
	if err := pause(ctx, max(b.settle, 2*f.interval)); err != nil {
		return nil, err
	}
	quiet, err := b.quiet(ctx)
	if err != nil {
		return nil, err
	}
	figures = append(figures, quiet[:4]...)
	for _, r := range reloads(f.servers) {
		if err := measure(r.name, func() error { return b.master.reload(b.fleet(b.master.dir, f, r.change)) }, r.done); err != nil {
			return nil, err
		}
		if err := pause(ctx, max(b.settle, 2*f.interval)); err != nil {
			return nil, err
		}
	}
	if err := measure(allDead, func() error { servers.down(); return nil }, holds(0)); err != nil {
		return nil, err
	}
	if err := pause(ctx, 2*f.interval); err != nil {
		return nil, err
	}
	return figures, measure(allBack, servers.up, holds(f.servers))
}

const (
	allDead = "all dead to empty table"
	allBack = "all back to full table"
)

// until asks each 50 ms, or so much more seldom, down to each 500 ms, that asking takes at most a fifth of the time: for a large
// table it has its price, and the programs that are measured share the processors with it.
func until(ctx context.Context, timeout time.Duration, done func() (bool, error)) error {
	for deadline := time.Now().Add(timeout); ; {
		asked := time.Now()
		ok, err := done()
		if ok || err != nil {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("not in %s", timeout)
		}
		if err := pause(ctx, min(max(50*time.Millisecond, 4*time.Since(asked)), 500*time.Millisecond)); err != nil {
			return err
		}
	}
}

// table is the kernel's own text of its IPVS table.
func (h *benchHost) table() (text []byte, err error) {
	err = h.Do(func() error {
		text, err = os.ReadFile("/proc/thread-self/net/ip_vs")
		return err
	})
	if errors.Is(err, os.ErrNotExist) {
		err = errors.New("this kernel has no IPVS: run it with deploy/lab/vm")
	}
	return text, err
}

// destinations counts the real servers of a table: each has an arrow, and so has the head.
func destinations(table []byte) int { return max(0, bytes.Count(table, []byte("->"))-1) }

// connects is how many TCP connections the host has begun.
func (h *benchHost) connects() (n int, err error) {
	err = h.Do(func() error {
		text, err := os.ReadFile("/proc/thread-self/net/snmp")
		if err != nil {
			return err
		}
		// A line of names, which ends each field's place, and one of values.
		names, values, _ := strings.Cut(string(text[max(0, bytes.Index(text, []byte("Tcp:"))):]), "\nTcp:")
		i := slices.Index(strings.Fields(names), "ActiveOpens")
		if fields := strings.Fields(values); i > 0 && i <= len(fields) {
			n, err = strconv.Atoi(fields[i-1])
			return err
		}
		return errors.New("/proc/net/snmp: no ActiveOpens")
	})
	return n, err
}

// files is how many descriptors the processes have open.
func (h *benchHost) files() (int, error) {
	sum := 0
	err := h.each(func(pid int) error {
		list, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
		sum += len(list)
		return err
	})
	return sum, err
}

func (h *benchHost) metrics(ctx context.Context) ([]byte, error) {
	return scrape(ctx, &http.Transport{DialContext: h.Dial})
}

// buckets are those of a classic histogram: how many were at most so large.
type buckets []bucket

type bucket struct{ most, count float64 }

func (b buckets) count() float64 {
	if len(b) == 0 {
		return 0
	}
	return b[len(b)-1].count
}

func bucketsOf(text []byte, name string) (all buckets) {
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		rest, ok := strings.CutPrefix(lines.Text(), name+`_bucket{le="`)
		if !ok {
			continue
		}
		most, count, _ := strings.Cut(rest, `"} `)
		b := bucket{most: math.Inf(1)}
		b.most, _ = strconv.ParseFloat(most, 64) // it reads +Inf, too
		b.count, _ = strconv.ParseFloat(count, 64)
		all = append(all, b)
	}
	return all
}

// quantile estimates a quantile of what came between two readings, evenly within a bucket.
func quantile(before, after buckets, q float64) float64 {
	if len(after) == 0 || len(before) != len(after) {
		return math.NaN()
	}
	rank := q * (after.count() - before.count())
	low, below := 0.0, 0.0
	for i := range after {
		n := after[i].count - before[i].count
		if n >= rank && n > below {
			if math.IsInf(after[i].most, 1) {
				return low
			}
			return low + (after[i].most-low)*(rank-below)/(n-below)
		}
		low, below = after[i].most, n
	}
	return low
}
