// SPDX-License-Identifier: Apache-2.0

package track

import (
	"encoding/hex"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/holdfast-lb/holdfast/internal/netlab"
)

func TestParseStat(t *testing.T) {
	for in, want := range map[string]string{
		"12 (haproxy) S 1 12": "haproxy S",
		"12 (a) b (c)) R 1":   "a) b (c) R",
		"12 ( ) Z 1":          "  Z",
		"12 ()) Z 1":          ") Z",
		"":                    "", "12": "", "12 (x)": "", "12 )x( S": "", "(": "",
	} {
		comm, state, ok := parseStat([]byte(in))
		if got := comm + " " + string(state); ok != (want != "") || ok && got != want {
			t.Errorf("%q: got %q, %t", in, got, ok)
		}
	}
}

// Captured on Linux 6.18 with a listener of its own: /bin/true was forked, and a child exited.
const (
	capturedAck  = "4c00000003000000000000000000000001000000010000000000000001000000280000000000000000000000d558532d2f0b0000000000000000000000000000000000000000000000000000"
	capturedFork = "4c00000003000000010000000000000001000000010000000100000000000000280000000100000000000000e350542d2f0b0000571f0000571f0000801f0000801f00000000000000000000"
	capturedExec = "4c00000003000000000000000000000001000000010000000000000000000000280000000200000001000000073d562d2f0b0000801f0000801f000000000000000000000000000000000000"
	capturedExit = "4c00000003000000010000000000000001000000010000000100000000000000280000000000008001000000cc635a2d2f0b0000801f0000801f00000000000011000000571f0000571f0000"
)

func TestParseEvent(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		want     []processEvent
	}{
		{"ack", capturedAck, nil},
		{"fork", capturedFork, []processEvent{{forked, 0x1f80, 0x1f57}}},
		{"exec", capturedExec, []processEvent{{renamed, 0x1f80, 0}}},
		{"exit", capturedExit, []processEvent{{exited, 0x1f80, 0}}},
		{"two", capturedExec + capturedExit, []processEvent{{renamed, 0x1f80, 0}, {exited, 0x1f80, 0}}},
		{"exit of a thread", strings.Replace(capturedExit, "801f0000801f0000", "811f0000801f0000", 1), nil},
		{"of another index", strings.Replace(capturedExec, "0100000001000000", "0200000001000000", 1), nil},
		{"cut", capturedExec[:100], nil},
		{"a length too long", "ff" + capturedExec[2:], nil},
		{"a length of nothing", "00" + capturedExec[2:], nil},
		{"short", "4c00", nil},
	} {
		b, err := hex.DecodeString(tt.in)
		if err != nil {
			t.Fatal(err)
		}
		var got []processEvent
		messages(b, func(m []byte) {
			if ev, ok := parseEvent(m); ok {
				got = append(got, ev)
			}
		})
		if len(got) != len(tt.want) || len(got) > 0 && got[0] != tt.want[0] || len(got) > 1 && got[1] != tt.want[1] {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
}

// program makes a program of that name which sleeps.
func program(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile("/bin/sleep")
	must(t, err)
	path := filepath.Join(t.TempDir(), name)
	must(t, os.WriteFile(path, b, 0o755))
	return path
}

// start starts a program and returns what kills it.
func start(t *testing.T, path string) (kill func()) {
	t.Helper()
	var cmd *exec.Cmd
	for range 100 { // a fork of another test may hold the new file open for a moment
		cmd = exec.Command(path, "1000")
		err := cmd.Start()
		if err == nil {
			break
		}
		if !strings.Contains(err.Error(), "busy") {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond)
	}
	killed := false
	kill = func() {
		if !killed {
			killed = true
			must(t, cmd.Process.Kill())
			_ = cmd.Wait()
		}
	}
	t.Cleanup(kill)
	return kill
}

var errNoEvents = errors.New("no events in this test")

// both runs a test with the kernel's events, where they are, and without.
func both(t *testing.T, test func(t *testing.T, prepare func(*Set))) {
	t.Run("events", func(t *testing.T) {
		source, err := listenProcesses()
		if err != nil {
			t.Skip("the kernel tells no process events here: ", err)
		}
		must(t, source.Close())
		test(t, nil)
	})
	t.Run("polled", func(t *testing.T) {
		test(t, func(s *Set) { s.events = func() (processEvents, error) { return nil, errNoEvents } })
	})
}

func TestProcess(t *testing.T) {
	both(t, func(t *testing.T, prepare func(*Set)) {
		path := program(t, "hf-proc")
		w := newWatch(t, prepare)
		w.Apply([]Tracker{{Key: Key{"web", Process, "p"}, Process: "hf-proc", Min: 2}})
		w.until(t, "none", func(s Status) bool { return failed(s) && s.Detail == "0 of 2 running" })
		killOne := start(t, path)
		w.until(t, "one", func(s Status) bool { return failed(s) && s.Detail == "1 of 2 running" })
		start(t, path)
		w.until(t, "two", passed)
		begin := time.Now()
		killOne()
		w.until(t, "one again", func(s Status) bool { return failed(s) && s.Detail == "1 of 2 running" })
		t.Logf("an exit is seen after %s", time.Since(begin).Round(time.Millisecond))
		start(t, path)
		w.until(t, "another one", passed)
	})
}

// TestProcessWithoutScan: what is told at once is not left to a scan, which is an hour away.
func TestProcessWithoutScan(t *testing.T) {
	both(t, func(t *testing.T, prepare func(*Set)) {
		path := filepath.Join(t.TempDir(), "hf-no-scan")
		more, forked := filepath.Join(t.TempDir(), "more"), filepath.Join(t.TempDir(), "forked")
		must(t, os.WriteFile(path, []byte("#!/bin/sh\nwhile [ ! -e "+more+" ]; do sleep 0.01; done\n(: >"+forked+"; while :; do sleep 0.01; done) &\nwait\n"), 0o755))
		cmd := exec.Command(path)
		must(t, cmd.Start())
		t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
		w := newWatch(t, func(s *Set) {
			s.scanNet, s.scanBlind = time.Hour, time.Hour
			if prepare != nil {
				prepare(s)
			}
		})
		w.Apply([]Tracker{{Key: Key{"web", Process, "p"}, Process: "hf-no-scan", Min: 1}})
		w.until(t, "one", passed)
		if prepare != nil {
			must(t, cmd.Process.Kill())
			w.until(t, "none", failed)
			return
		}
		must(t, os.WriteFile(more, nil, 0o644))
		for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
			if _, err := os.Stat(forked); err == nil { // else a sleep of the first that is slow to start counts for it
				break
			}
			if time.Now().After(deadline) {
				t.Fatal("no second process")
			}
		}
		w.until(t, "two", func(s Status) bool { return s.Detail == "2 of 1 running" })
		must(t, cmd.Process.Kill())
		w.until(t, "one again", func(s Status) bool { return s.Detail == "1 of 1 running" })
		killAll(t, "hf-no-scan")
		w.until(t, "none", failed)
	})
}

// killAll kills every process of that name.
func killAll(t *testing.T, name string) {
	t.Helper()
	pids, err := list("/proc")
	must(t, err)
	for _, pid := range pids {
		p := process{dir: filepath.Join("/proc", strconv.Itoa(pid))}
		if alive, err := p.read(); err == nil && alive && p.is(name) {
			must(t, syscall.Kill(pid, syscall.SIGKILL))
		}
	}
}

// TestProcessExitByPidfd: an exit is told at once, without a scan.
func TestProcessExitByPidfd(t *testing.T) {
	cmd := exec.Command("/bin/sleep", "1000")
	must(t, cmd.Start())
	w, err := waitExit(cmd.Process.Pid)
	must(t, err)
	ended := make(chan error, 1)
	go func() { ended <- w.Wait() }()
	must(t, cmd.Process.Kill())
	if err := <-ended; err != nil {
		t.Error(err)
	}
	_ = cmd.Wait()
	must(t, w.Close())

	w, err = waitExit(os.Getpid())
	must(t, err)
	go func() { ended <- w.Wait() }()
	must(t, w.Close())
	if err := <-ended; err == nil {
		t.Error("a wait that was closed reports an exit")
	}
	if _, err := waitExit(1 << 30); err == nil {
		t.Error("no such process")
	}
}

// TestProcessNames: names as keepalived compares them, and longer ones as a user means them.
func TestProcessNames(t *testing.T) {
	both(t, func(t *testing.T, prepare func(*Set)) {
		const long = "hf-a-very-long-program-name"
		path := program(t, long)
		script := filepath.Join(t.TempDir(), "hf-a-long-script-name.sh")
		must(t, os.WriteFile(script, []byte("#!/bin/sh\nwhile :; do sleep 1000; done\n"), 0o755))
		start(t, path)
		start(t, script)
		for name, want := range map[string]bool{
			long: true, path: true, "hf-a-long-script-name.sh": true, script: true,
			long[:15]: true, long[:16]: false, long + "r": false, "very-long-program-name": false, "/nowhere/" + long: false,
		} {
			w := newWatch(t, prepare)
			w.Apply([]Tracker{{Key: Key{"web", Process, "p"}, Process: name, Min: 1}})
			if st := w.until(t, name, func(s Status) bool { return !s.Pending && s.Failed != want }); st.Key.Kind != Process {
				t.Error(st)
			}
		}
	})
}

// TestProcessForks: a child counts as its parent does, and no longer when it runs something else.
func TestProcessForks(t *testing.T) {
	both(t, func(t *testing.T, prepare func(*Set)) {
		path := filepath.Join(t.TempDir(), "hf-forks")
		more, forked := filepath.Join(t.TempDir(), "more"), filepath.Join(t.TempDir(), "forked")
		must(t, os.WriteFile(path, []byte("#!/bin/sh\nwhile [ ! -e "+more+" ]; do sleep 0.01; done\n(: >"+forked+"; while :; do sleep 0.01; done) &\nwait\n"), 0o755))
		w := newWatch(t, prepare)
		w.Apply([]Tracker{{Key: Key{"web", Process, "p"}, Process: "hf-forks", Min: 2}})
		cmd := exec.Command(path)
		must(t, cmd.Start())
		t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
		w.until(t, "one", func(s Status) bool { return failed(s) && s.Detail == "1 of 2 running" })
		must(t, os.WriteFile(more, nil, 0o644))
		w.until(t, "its child", passed)
		killAll(t, "hf-forks")
		w.until(t, "both are gone", func(s Status) bool { return failed(s) && s.Detail == "0 of 2 running" })
	})
}

// fakeEvents are events of a test.
type fakeEvents struct {
	c    chan []processEvent
	done chan struct{}
}

func (f *fakeEvents) Read() ([]processEvent, error) {
	select {
	case b, ok := <-f.c:
		if !ok {
			return nil, errors.New("broken")
		}
		return b, nil
	case <-f.done:
		return nil, errors.New("closed")
	}
}

func (f *fakeEvents) Close() error {
	select {
	case <-f.done:
	default:
		close(f.done)
	}
	return nil
}

// TestProcessOverrun: events that were lost cost a scan, and without any events processes are polled.
func TestProcessOverrun(t *testing.T) {
	path := program(t, "hf-overrun")
	f := &fakeEvents{make(chan []processEvent), make(chan struct{})}
	w := newWatch(t, func(s *Set) { s.events = func() (processEvents, error) { return f, nil } })
	w.Apply([]Tracker{{Key: Key{"web", Process, "p"}, Process: "hf-overrun", Min: 1}})
	w.until(t, "none", failed)
	kill := start(t, path)
	f.c <- []processEvent{{what: overrun}}
	w.until(t, "found by a scan", passed)
	kill()
	close(f.c)
	w.until(t, "found without events", failed)
	start(t, path)
	w.until(t, "found by a poll", passed)
}

func TestProcessWithoutProc(t *testing.T) {
	w := newWatch(t, func(s *Set) { s.proc = t.TempDir() })
	w.Apply([]Tracker{{Key: Key{"web", Process, "p"}, Process: "x", Min: 1}})
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		st := w.Snapshot()[0]
		if strings.Contains(st.Detail, "not mounted") {
			if !st.Pending {
				t.Errorf("%+v", st)
			}
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%+v", st)
		}
	}
}

// TestConnectorOverrun: a socket that is too small for what happens says so.
func TestConnectorOverrun(t *testing.T) {
	c, err := openConnector()
	if err != nil {
		t.Skip("the kernel tells no process events here: ", err)
	}
	defer c.Close()
	must(t, c.raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 1) }))
	must(t, err)
	for range 50 {
		must(t, exec.Command("/bin/true").Run())
	}
	must(t, c.file.SetReadDeadline(time.Now().Add(30*time.Second)))
	for {
		events, err := c.Read()
		must(t, err)
		if slices.ContainsFunc(events, func(e processEvent) bool { return e.what == overrun }) {
			return
		}
	}
}

// TestListenInAnotherNamespace runs itself in a network namespace of its own, where the kernel tells nothing.
func TestListenInAnotherNamespace(t *testing.T) {
	if os.Getenv("HOLDFAST_TEST_NAMESPACE") != "" {
		if c, err := listenProcesses(); err == nil {
			c.Close()
			t.Error("there are process events here")
		} else {
			t.Log(err)
		}
		return
	}
	netlab.Require(t)
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestListenInAnotherNamespace$", "-test.v")
	cmd.Env = append(os.Environ(), "HOLDFAST_TEST_NAMESPACE=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "listen for process events: ") {
		t.Errorf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}

// TestZombieIsNotAlive: one that has exited does not run, even if its parent never asks.
func TestZombieIsNotAlive(t *testing.T) {
	cmd := exec.Command("/bin/true")
	must(t, cmd.Start())
	p := process{dir: filepath.Join("/proc", strconv.Itoa(cmd.Process.Pid))}
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		alive, err := p.read()
		must(t, err)
		if !alive {
			break
		}
		if time.Now().After(end) {
			t.Fatal("a zombie counts as alive")
		}
	}
	if _, err := os.Stat(p.dir); err != nil {
		t.Errorf("it is no zombie: %v", err)
	}
	must(t, cmd.Wait())
}
