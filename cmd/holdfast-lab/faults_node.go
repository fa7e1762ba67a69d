// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/holdfast-lb/holdfast/internal/director"
	"github.com/holdfast-lb/holdfast/internal/netlab"
	"github.com/holdfast-lb/holdfast/ipvs"
)

// A node is a director of a scene, whichever program it runs.
type node struct {
	scene    *scene
	name     string
	dir      string // configuration, state and log
	host     *netlab.Host
	port     *netlab.Port
	address  netip.Addr
	priority int
	interval time.Duration // between adverts
	run      *process      // nil: never started
	output   *os.File      // of the program; nil: its log
}

func newNode(s *scene, i int) *node {
	n := &node{
		scene: s, name: fmt.Sprintf("lb%d", i+1), address: addr(fmt.Sprintf("10.0.0.%d", 2+i)), priority: s.priorities[i],
		interval: s.interval,
	}
	n.dir = filepath.Join(s.dir, n.name)
	n.host = s.lab.Host(n.name)
	n.port = n.host.Join(s.lan, "eth0", netip.PrefixFrom(n.address, 24))
	return n
}

func (n *node) config() string  { return filepath.Join(n.dir, "config") }
func (n *node) logFile() string { return filepath.Join(n.dir, "log") }
func (n *node) api() director.Client {
	return director.Client{Socket: filepath.Join(n.scene.run, n.name+".sock")}
}

// configure writes the configuration, and has holdfast check its own.
func (n *node) configure(ctx context.Context, e extra) error {
	text := n.keepalivedText() + e.keepalived
	if n.scene.holdfast() {
		text = n.holdfastText(e)
	}
	if err := os.WriteFile(n.config(), []byte(text), 0o644); err != nil || !n.scene.holdfast() {
		return err
	}
	if out, err := n.host.Command(ctx, n.scene.binary, "check", "-c", n.config()).CombinedOutput(); err != nil {
		return fmt.Errorf("check configuration of %s: %w: %s", n.name, err, out)
	}
	return nil
}

func (n *node) holdfastText(e extra) string {
	var b strings.Builder
	fmt.Fprintf(&b, "director {\n  name = %q\n  control_socket = %q\n  state_dir = %q\n%s\n}\nhttp {\n  listen = %q\n}\n",
		n.name, n.api().Socket, n.dir, e.director, metricsAddress)
	fmt.Fprintf(&b, "virtual_router \"web\" {\n  interface = \"eth0\"\n  id = %d\n  priority = %d\n  advertise_interval = %q\n"+
		"  addresses = [\"%s/32\"]\n%s\n}\n%s\n", sceneRouter, n.priority, n.interval,
		cmp.Or(e.address, sceneAddress.String()), e.router, e.top)
	if !n.scene.balances() {
		return b.String()
	}
	fmt.Fprintf(&b, "virtual_server \"web\" {\n  address = \"%s:80\"\n  scheduler = \"rr\"\n  forward = \"dr\"\n"+
		"  check \"http\" {\n    path = \"/health\"\n    interval = %q\n    timeout = %q\n    rise = %d\n    fall = %d\n  }\n%s\n",
		sceneAddress, checkInterval, checkTimeout, checkRise, checkFall, e.service)
	for i, a := range sceneServers {
		fmt.Fprintf(&b, "  real_server \"web%d\" {\n    address = %q\n  }\n", i+1, a)
	}
	b.WriteString("}\n")
	return b.String()
}

func (n *node) keepalivedText() string {
	var b strings.Builder
	fmt.Fprintf(&b, "global_defs {\n  vrrp_version 3\n}\nvrrp_instance web {\n  state BACKUP\n  interface eth0\n  virtual_router_id %d\n"+
		"  priority %d\n  advert_int %v\n  virtual_ipaddress {\n    %s/32\n  }\n}\n", sceneRouter, n.priority, n.interval.Seconds(), sceneAddress)
	if !n.scene.balances() {
		return b.String()
	}
	fmt.Fprintf(&b, "virtual_server %s 80 {\n  delay_loop %d\n  lb_algo rr\n  lb_kind DR\n  protocol TCP\n", sceneAddress, int(checkInterval.Seconds()))
	for _, a := range sceneServers {
		fmt.Fprintf(&b, "  real_server %s 80 {\n    weight 1\n    HTTP_GET {\n      url {\n        path /health\n        status_code 200\n      }\n"+
			"      connect_timeout 1\n      retry %d\n      delay_before_retry 1\n    }\n  }\n", a, checkFall-1)
	}
	b.WriteString("}\n")
	return b.String()
}

// start runs the program, unless it runs, until the scene is closed. Its log is appended to.
func (n *node) start(ctx context.Context) error {
	if n.running() {
		return nil
	}
	ctx = context.WithoutCancel(ctx) // that of a trial ends before what is left of it is looked at
	args := []string{n.scene.binary, "run", "-c", n.config()}
	if !n.scene.holdfast() {
		pids := []string{"pid", "vrrp.pid", "checkers.pid"}
		for i, p := range pids {
			pids[i] = filepath.Join(n.dir, p)
			_ = os.Remove(pids[i]) // a file that names a dead process keeps keepalived from starting
		}
		args = []string{"keepalived", "-n", "-l", "-D", "-f", n.config(), "--pid", pids[0], "--vrrp_pid", pids[1], "--checkers_pid", pids[2]}
		if !n.scene.balances() {
			args = append(args, "-P")
		}
	}
	if n.scene.wrap != nil {
		args = append(n.scene.wrap(n), args...)
	}
	var err error
	if n.output == nil {
		n.run, err = startProcess(ctx, n.host, n.logFile(), args[0], args[1:]...)
		return err
	}
	cmd := n.host.Command(ctx, args[0], args[1:]...)
	cmd.Stdout, cmd.Stderr = n.output, n.output
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", n.name, err)
	}
	n.run = &process{cmd: cmd, done: make(chan struct{})}
	go func(p *process) {
		defer close(p.done)
		_ = p.cmd.Wait() // faults kill it
	}(n.run)
	return nil
}

// running reports whether the program has not ended yet.
func (n *node) running() bool {
	if n.run == nil {
		return false
	}
	select {
	case <-n.run.done:
		return false
	default:
		return true
	}
}

func (n *node) wait() {
	if n.run != nil {
		<-n.run.done
	}
}

// stop is a planned stop.
func (n *node) stop() error { return n.run.end(syscall.SIGTERM) }

// kill kills all processes of the host. They are stopped first, so that none says good-bye for another.
func (n *node) kill() error {
	if err := errors.Join(n.host.Signal(syscall.SIGSTOP), n.host.Signal(syscall.SIGKILL)); err != nil {
		return err
	}
	n.wait()
	return nil
}

// freeze stops all processes of the host for a while.
func (n *node) freeze(ctx context.Context, d time.Duration) error {
	if err := n.host.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	return errors.Join(pause(ctx, d), n.host.Signal(syscall.SIGCONT))
}

// reload makes the program read its configuration again.
func (n *node) reload(ctx context.Context) error {
	if !n.scene.holdfast() {
		return n.run.cmd.Process.Signal(syscall.SIGHUP)
	}
	if _, err := n.api().Reload(ctx); err != nil {
		return fmt.Errorf("reload %s: %w", n.name, err)
	}
	return nil
}

var anyKeepalivedState = regexp.MustCompile(`\(web\) Entering (\w+) STATE`)

// role is master, or another word for what the program says that it is.
func (n *node) role(ctx context.Context) (string, error) {
	if !n.scene.holdfast() {
		text, err := os.ReadFile(n.logFile())
		text = text[bytes.LastIndex(text, []byte("Starting Keepalived"))+1:] // what it was before it was stopped does not count
		all := anyKeepalivedState.FindAllSubmatch(text, -1)
		if err != nil || len(all) == 0 {
			return "init", err
		}
		return strings.ToLower(string(all[len(all)-1][1])), nil
	}
	s, err := n.api().Status(ctx)
	if err != nil {
		return "", err
	}
	i := slices.IndexFunc(s.VirtualRouters, func(r director.VirtualRouterStatus) bool { return r.Name == "web" })
	if i < 0 {
		return "", fmt.Errorf("%s has no virtual router web", n.name)
	}
	return s.VirtualRouters[i].State, nil
}

// ready holds when the program, if it runs, has all real servers in the kernel's table, and nothing to complain of it.
func (n *node) ready(ctx context.Context) error {
	if !n.running() || !n.scene.balances() {
		return nil
	}
	if n.scene.holdfast() {
		s, err := n.api().Status(ctx)
		if err != nil {
			return err
		}
		if s.IPVS.Error != "" || s.IPVS.DriftLeft != "" {
			return fmt.Errorf("%s has trouble with its table: %s %s", n.name, s.IPVS.Error, s.IPVS.DriftLeft)
		}
	}
	services, err := n.table(ctx)
	if err != nil {
		return err
	}
	for _, s := range services {
		if s.Key.Address != sceneAddress || s.Key.Port != 80 {
			continue
		}
		for _, want := range sceneServers {
			if !slices.ContainsFunc(s.Destinations, func(d ipvs.Destination) bool { return d.Address.Addr() == want && d.Weight == 1 }) {
				return fmt.Errorf("%s lacks %s in its table", n.name, want)
			}
		}
		return nil
	}
	return fmt.Errorf("%s lacks its service in the table", n.name)
}

// table is what the kernel has of IPVS.
func (n *node) table(ctx context.Context) ([]ipvs.Service, error) {
	table, err := ipvs.OpenKernel(ctx, n.host.Path())
	if err != nil {
		return nil, err
	}
	defer func() { _ = table.Close() }()
	return table.List(ctx)
}

// metric sums up the series of a metric that have the label, given as it is written there.
func (n *node) metric(ctx context.Context, name, label string) (float64, error) {
	b, err := scrape(ctx, &http.Transport{DialContext: n.host.Dial})
	if err != nil {
		return 0, fmt.Errorf("read metrics of %s: %w", n.name, err)
	}
	return sumMetric(b, name, label)
}

// tells waits until a metric is at least 1.
func (n *node) tells(ctx context.Context, name, label string) error {
	return poll(ctx, 10*time.Second, func() error {
		v, err := n.metric(ctx, name, label)
		if err == nil && v < 1 {
			err = fmt.Errorf("%s does not tell: %s{%s} is %v", n.name, name, label, v)
		}
		return err
	})
}

// logs waits until the log has a line that fits.
func (n *node) logs(ctx context.Context, fits string) error {
	wanted := regexp.MustCompile(fits)
	return poll(ctx, 10*time.Second, func() error {
		if len(grep(n.logFile(), wanted)) == 0 {
			return fmt.Errorf("the log of %s has nothing of %q", n.name, fits)
		}
		return nil
	})
}

// usage is what a process has of the machine.
type usage struct {
	pid        int
	files      int
	goroutines int // 0: unknown
	resident   int // MiB
}

func (n *node) usage(ctx context.Context) (u usage) {
	if !n.running() {
		return u
	}
	u.pid = n.run.cmd.Process.Pid
	entries, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", u.pid)) // gone: nothing
	u.files = len(entries)
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", u.pid))
	for line := range strings.Lines(string(status)) {
		if _, err := fmt.Sscanf(line, "VmRSS: %d kB", &u.resident); err == nil {
			u.resident >>= 10
		}
	}
	if n.scene.holdfast() {
		v, _ := n.metric(ctx, "go_goroutines", "")
		u.goroutines = int(v)
	}
	return u
}

// grown says what a process has more than before, beyond what comes and goes; empty: nothing.
func (u usage) grown(before usage) string {
	if u.pid != before.pid {
		return ""
	}
	return cmp.Or(
		above("open files", u.files-before.files, 8),
		above("goroutines", u.goroutines-before.goroutines, 12),
		above("MiB of memory", u.resident-before.resident, 40),
	)
}

func above(what string, by, most int) string {
	if by <= most {
		return ""
	}
	return fmt.Sprintf("%d %s more than before", by, what)
}
