// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// inCgroup runs the master in a control group of its own.
var inCgroup = onMaster("sh", "-c", `mkdir -p "$0" && echo $$ >"$0/cgroup.procs" && exec "$@"`)

// resourceFaults take from the master what it needs: time, memory, disk, files, someone who reads.
var resourceFaults = []fault{
	{
		name: "resources/cpu", what: "the master may use 5 % of a processor for 20 s",
		note:    "it may be late, and then gives the role up: what counts is the client",
		limits:  limits{lost: 10, shared: yields, takeovers: 4, resets: unbounded},
		options: options{wrap: inCgroup},
		inject: func(ctx context.Context, s *scene) error {
			return errors.Join(s.processor("5000"), pause(ctx, 20*time.Second), s.processor("max"))
		},
	},
	{
		name: "resources/memory", what: "the kernel kills the master for want of memory, and it is started again", needs: needCgroup,
		options: options{wrap: inCgroup},
		inject:  outOfMemory,
	},
	{
		name: "resources/disk-full", what: "the disk of the state file is full, while roles change", ours: true,
		options: options{wrap: ownStateDir},
		limits:  limits{lost: 4, shared: yields, takeovers: 2, resets: unbounded},
		inject: func(ctx context.Context, s *scene) error {
			fill := fmt.Sprintf("dd if=/dev/zero of=%s/fill bs=1k 2>/dev/null; true", s.nodes[0].dir)
			return errors.Join(s.inside(ctx, fill), s.nodes[1].reload(ctx), s.nodes[0].reload(ctx), s.stepAside(ctx))
		},
		said: stateNotWritten,
	},
	{
		name: "resources/disk-read-only", what: "the disk of the state file becomes read-only, while roles change", ours: true,
		options: options{wrap: ownStateDir},
		limits:  limits{lost: 4, shared: yields, takeovers: 2, resets: unbounded},
		inject: func(ctx context.Context, s *scene) error {
			return errors.Join(s.inside(ctx, "mount -o remount,ro "+s.nodes[0].dir), s.stepAside(ctx))
		},
		said: stateNotWritten,
	},
	{
		name: "resources/log-blocked", what: "nobody reads the master's log, and its pipe is full", ours: true,
		inject: logBlocked,
	},
	{
		name: "resources/log-full", what: "the disk of the log is full, while roles change, and then there is room again", ours: true,
		options: options{wrap: ownLogDisk},
		limits:  limits{lost: 4, shared: yields, takeovers: 2, resets: unbounded},
		inject:  logFull,
	},
	{
		name: "resources/log-closed", what: "the master has neither standard output nor standard error", ours: true,
		options: options{wrap: onMaster("sh", "-c", `exec "$@" >&- 2>&-`)},
		inject: func(ctx context.Context, s *scene) error {
			for range 20 {
				if err := s.nodes[0].reload(ctx); err != nil {
					return err
				}
			}
			return pause(ctx, s.masterDown())
		},
	},
	{
		name: "resources/notify-hangs", what: "the notify program ignores SIGTERM and never ends, at 20 events", ours: true,
		options: options{with: func(n *node) extra {
			return extra{top: notifyBlock(`command = ["/bin/sh", "-c", "trap '' TERM; while :; do sleep 1; done"]`)}
		}},
		inject: manyEvents,
		said:   notifyTells("failed"),
	},
	{
		name: "resources/notify-forks", what: "the notify program leaves children behind that keep its output open, at 20 events", ours: true,
		options: options{with: func(n *node) extra {
			return extra{top: notifyBlock(`command = ["/bin/sh", "-c", "for i in 1 2 3 4 5; do sleep 1000 & done"]`)}
		}},
		inject: func(ctx context.Context, s *scene) error {
			return errors.Join(manyEvents(ctx, s), pause(ctx, 5*time.Second))
		},
		said: notifyTells("done"),
	},
	{
		name: "resources/webhook-silent", what: "the notify webhook accepts and never answers, at 20 events", ours: true,
		options: options{with: func(n *node) extra { return extra{top: notifyBlock(`webhook = "http://127.0.0.1:8099/"`)} }},
		inject:  webhookSilent,
	},
	{
		name: "resources/script-hangs", what: "a tracked script hangs, forks and ignores SIGTERM", ours: true,
		options: options{with: func(n *node) extra {
			return extra{router: "  track_script \"hangs\" {\n    command = " + hangs + "\n    weight = 1\n" + eachSecond + "  }"}
		}},
		inject: func(ctx context.Context, s *scene) error {
			return errors.Join(pause(ctx, 10*time.Second), s.fewProcesses(ctx))
		},
	},
	{
		name: "resources/exec-check-hangs", what: "an exec check hangs, forks and ignores SIGTERM", ours: true, needs: needIPVS,
		options: options{with: func(n *node) extra {
			return extra{top: "virtual_server \"other\" {\n  address = \"10.0.0.100:81\"\n  real_server \"one\" {\n    address = \"10.0.0.21:81\"\n  }\n" +
				"  check \"exec\" {\n    command = " + hangs + "\n" + eachSecond + "  }\n}\n"}
		}},
		inject: func(ctx context.Context, s *scene) error {
			return errors.Join(pause(ctx, 10*time.Second), s.fewProcesses(ctx))
		},
	},
	{
		name: "resources/scrapes", what: "1,000 scrapes of the metrics that never read the answer", ours: true,
		inject: func(ctx context.Context, s *scene) error {
			return s.unread(ctx, 1000, "tcp", metricsAddress, "/metrics")
		},
	},
	{
		name: "resources/control-clients", what: "200 clients of the control socket that never read the answer", ours: true,
		inject: func(ctx context.Context, s *scene) error {
			return s.unread(ctx, 200, "unix", s.nodes[0].api().Socket, "/v1/status")
		},
	},
	{
		name: "resources/descriptors", what: "the master may open 64 files, and others hold connections to it that use them up", ours: true,
		options: options{wrap: onMaster("prlimit", "--nofile=64:64", "--")},
		inject: func(ctx context.Context, s *scene) error {
			return s.unread(ctx, 200, "unix", s.nodes[0].api().Socket, "/v1/status")
		},
		said: func(ctx context.Context, s *scene) error {
			return s.nodes[0].logs(ctx, `"level":"WARN".*too many open files`)
		},
	},
	{
		name: "resources/descriptors-checks", what: "the master, which checks and balances, may open 64 files, and others use them up for 8 s", ours: true, needs: needIPVS,
		note:    "a check that cannot run says nothing of a server",
		options: options{wrap: onMaster("prlimit", "--nofile=64:64", "--")},
		inject: func(ctx context.Context, s *scene) error {
			return s.unread(ctx, 200, "unix", s.nodes[0].api().Socket, "/v1/status")
		},
		said: checksCannotRun,
	},
	{
		name: "resources/ports", what: "for 10 s the master has no local port left, so that no check can connect", ours: true, needs: needIPVS,
		inject: noPorts,
		said:   checksCannotRun,
	},
}

const (
	hangs      = `["/bin/sh", "-c", "trap '' TERM; sleep 1000 & while :; do sleep 1; done"]`
	eachSecond = "    user = \"root\"\n    interval = \"1s\"\n    timeout = \"500ms\"\n"
)

// noPorts leaves the master one port to connect from, and takes that.
func noPorts(ctx context.Context, s *scene) error {
	const setting = "net.ipv4.ip_local_port_range"
	h := s.nodes[0].host
	l, err := h.Listen("tcp", ":40000")
	if err != nil {
		return err
	}
	defer func() { _ = l.Close() }()
	h.Sysctl(setting, "40000 40000")
	err = errors.Join(s.lab.Err(), pause(ctx, 10*time.Second))
	h.Sysctl(setting, "32768 60999")
	return errors.Join(err, s.lab.Err())
}

func checksCannotRun(ctx context.Context, s *scene) error {
	return s.nodes[0].logs(ctx, "checks cannot run here.*no (local port|file descriptors)")
}

// onMaster is a wrap of the first director's command line; $0 of a shell is its cgroup.
func onMaster(args ...string) func(*node) []string {
	return func(n *node) []string {
		if n != n.scene.nodes[0] {
			return nil
		}
		if args[0] == "sh" {
			return append(args[:len(args):len(args)], n.cgroup())
		}
		return args
	}
}

// cgroup is the directory of the director's control group, for the processor.
func (n *node) cgroup() string {
	root := "/sys/fs/cgroup"
	if !exists(root + "/cgroup.controllers") {
		root += "/cpu"
	}
	return filepath.Join(root, "holdfast-lab-"+filepath.Base(n.scene.run))
}

// processor lets the master use so many microseconds of a tenth of a second, or as many as it wants.
func (s *scene) processor(quota string) error {
	dir := s.nodes[0].cgroup()
	file, text := filepath.Join(dir, "cpu.max"), quota+" 100000"
	if !exists(file) {
		file, text = filepath.Join(dir, "cpu.cfs_quota_us"), strings.Replace(quota, "max", "-1", 1)
	}
	return os.WriteFile(file, []byte(text), 0)
}

// outOfMemory leaves the master less memory than it has.
func outOfMemory(ctx context.Context, s *scene) error {
	n := s.nodes[0]
	limit := filepath.Join(n.cgroup(), "memory.max")
	if err := os.WriteFile(limit, []byte("1M"), 0); err != nil {
		return err
	}
	for until := time.Now().Add(10 * time.Second); n.running() && time.Now().Before(until); {
		_, _ = n.role(ctx) // which takes memory
	}
	if err := os.WriteFile(limit, []byte("max"), 0); err != nil {
		return err
	}
	return errors.Join(n.start(ctx), s.becomes(ctx, 0), pause(ctx, s.masterDown()))
}

// ownStateDir gives the master a small disk of its own for what it writes.
func ownStateDir(n *node) []string {
	if n != n.scene.nodes[0] {
		return nil
	}
	const keep = `cp "$0/config" /dev/shm/$$.config && mount -t tmpfs -o size=64k tmpfs "$0" && mv /dev/shm/$$.config "$0/config" && exec "$@"`
	return []string{"unshare", "-m", "sh", "-c", keep, n.dir}
}

// inside runs a command among the mounts of the master.
func (s *scene) inside(ctx context.Context, command string) error {
	return s.tool(ctx, 0, "nsenter", "-m", "-t", strconv.Itoa(s.nodes[0].run.cmd.Process.Pid), "sh", "-c", command)
}

// stepAside makes the master leave the role and take it again, without a restart: it is suspended for longer than the backup waits.
func (s *scene) stepAside(ctx context.Context) error {
	err := s.nodes[0].freeze(ctx, 4*time.Second)
	s.only()
	return errors.Join(err, s.becomes(ctx, 0), pause(ctx, s.masterDown()))
}

func stateNotWritten(ctx context.Context, s *scene) error {
	return s.nodes[0].logs(ctx, `state.*(no space left|read-only)`)
}

// logBlocked starts the master anew with a pipe for its log that is full.
func logBlocked(ctx context.Context, s *scene) error {
	n := s.nodes[0]
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	defer func() { _ = w.Close() }()
	if err := fillPipe(w); err != nil {
		return err
	}
	n.output = w
	if err := errors.Join(n.run.end(syscall.SIGKILL), n.start(ctx), s.becomes(ctx, 0)); err != nil {
		return err
	}
	from := time.Now()
	for range 2000 {
		if err := n.reload(ctx); err != nil {
			return err
		}
	}
	s.bound(within("longest silence of the master", s.silence(n, from), s.interval*3/2))
	if err := r.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20) // what filled it is one line
	for lines.Scan() {
		if strings.Contains(lines.Text(), "log lines dropped") {
			return nil
		}
	}
	return errors.New("lb1 does not tell that lines of its log were dropped")
}

// ownLogDisk gives the master a small disk of its own for its log.
func ownLogDisk(n *node) []string {
	if n != n.scene.nodes[0] {
		return nil
	}
	const there = `mkdir -p "$0" && mount -t tmpfs -o size=64k tmpfs "$0" && exec "$@" 2>>"$0/log"`
	return []string{"unshare", "-m", "sh", "-c", there, logDisk(n)}
}

func logDisk(n *node) string { return filepath.Join(n.dir, "log.d") }

// logFull bounds the silence of the master while nothing of what it logs can be written, and asks afterwards how much that was.
func logFull(ctx context.Context, s *scene) error {
	n := s.nodes[0]
	disk := logDisk(n)
	if err := s.inside(ctx, fmt.Sprintf("dd if=/dev/zero of=%s/fill bs=1k 2>/dev/null; ! echo >>%[1]s/full", disk)); err != nil {
		return err
	}
	from := time.Now()
	for range 200 {
		if err := n.reload(ctx); err != nil {
			return err
		}
	}
	err := pause(ctx, time.Until(from.Add(3*s.interval)))
	s.bound(within("longest silence of the master", s.silence(n, from), s.interval*3/2))
	if err := errors.Join(err, s.stepAside(ctx), s.inside(ctx, "rm "+disk+"/fill")); err != nil {
		return err
	}
	return poll(ctx, 10*time.Second, func() error {
		if err := n.reload(ctx); err != nil { // which is logged
			return err
		}
		return s.inside(ctx, "grep 'log lines dropped' "+disk+"/log")
	})
}

// fillPipe writes until nothing more fits.
func fillPipe(w *os.File) error {
	if err := w.SetWriteDeadline(time.Now().Add(200 * time.Millisecond)); err != nil {
		return err
	}
	for {
		if _, err := w.Write(make([]byte, 4096)); err != nil {
			return nil // full
		}
	}
}

func notifyBlock(text string) string {
	return "notify {\n  " + text + "\n  user = \"root\"\n  timeout = \"1s\"\n}\n"
}

// manyEvents are reloads.
func manyEvents(ctx context.Context, s *scene) error {
	for range 20 {
		if err := s.nodes[0].reload(ctx); err != nil {
			return err
		}
	}
	return pause(ctx, 2*s.masterDown())
}

func notifyTells(result string) func(context.Context, *scene) error {
	return func(ctx context.Context, s *scene) error {
		return s.nodes[0].tells(ctx, "holdfast_notify_total", fmt.Sprintf("result=%q", result))
	}
}

// webhookSilent is there before the first event.
func webhookSilent(ctx context.Context, s *scene) error {
	l, err := s.nodes[0].host.Listen("tcp", "127.0.0.1:8099")
	if err != nil {
		return err
	}
	defer func() { _ = l.Close() }()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			defer func() { _ = c.Close() }()
		}
	}()
	return manyEvents(ctx, s)
}

// fewProcesses says whether the master has left processes behind, beyond those that run now.
func (s *scene) fewProcesses(ctx context.Context) error {
	return poll(ctx, 15*time.Second, func() error {
		pids, err := s.nodes[0].host.Processes()
		if err == nil && len(pids) > 12 {
			err = fmt.Errorf("there are %d processes on lb1", len(pids))
		}
		return err
	})
}

// unread opens connections, asks on each, reads nothing for 8 s, and bounds how long others wait for an answer meanwhile.
func (s *scene) unread(ctx context.Context, count int, network, address, path string) error {
	n := s.nodes[0]
	var open []net.Conn
	defer func() {
		for _, c := range open {
			_ = c.Close()
		}
	}()
	from := time.Now()
	for range count {
		within, cancel := context.WithTimeout(ctx, time.Second)
		c, err := n.host.Dial(within, network, address)
		cancel()
		if err != nil {
			break // it refuses more, which is well
		}
		open = append(open, c)
		if _, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path); err != nil {
			continue
		}
	}
	if err := pause(ctx, 8*time.Second); err != nil {
		return err
	}
	s.bound(within("longest silence of the master", s.silence(n, from), s.interval*3/2))
	return nil
}
