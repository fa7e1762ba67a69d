// SPDX-License-Identifier: Apache-2.0

package systemd

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// manager is a socket as a service manager has it.
func manager(t *testing.T, name string) *net.UnixConn {
	t.Helper()
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func received(t *testing.T, c *net.UnixConn) string {
	t.Helper()
	b := make([]byte, 4096)
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	n, err := c.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return string(b[:n])
}

func TestNotify(t *testing.T) {
	for _, name := range []string{filepath.Join(t.TempDir(), "notify"), fmt.Sprintf("@holdfast-test-%d", os.Getpid())} {
		c := manager(t, name)
		t.Setenv("NOTIFY_SOCKET", name)
		m, err := FromEnvironment()
		if err != nil || m == nil || m.Watchdog != 0 {
			t.Fatalf("%s: %+v, %v", name, m, err)
		}
		if _, left := os.LookupEnv("NOTIFY_SOCKET"); left {
			t.Errorf("%s: programs that this one starts would see it", name)
		}
		if err := m.Notify("READY=1", "STATUS=one\nMAINPID=1"); err != nil {
			t.Fatal(err)
		}
		if got := received(t, c); got != "READY=1\nSTATUS=one MAINPID=1" {
			t.Errorf("%s: received %q", name, got)
		}
	}
}

func TestNobodyToTell(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	m, err := FromEnvironment()
	if m != nil || err != nil {
		t.Errorf("without a socket: %+v, %v", m, err)
	}
	if err := m.Notify("READY=1"); err != nil {
		t.Error(err)
	}
	t.Setenv("NOTIFY_SOCKET", "vsock:2:1234")
	if m, err := FromEnvironment(); m != nil || err == nil {
		t.Errorf("of an address that we cannot use: %+v, %v", m, err)
	}
	t.Setenv("NOTIFY_SOCKET", filepath.Join(t.TempDir(), "none"))
	if m, err = FromEnvironment(); err != nil {
		t.Fatal(err)
	}
	if err := m.Notify("READY=1"); err == nil || !strings.Contains(err.Error(), "notify the service manager: ") {
		t.Errorf("nobody listens: %v", err)
	}
}

// TestManagerThatDoesNotRead: a message to a manager that is stuck fails after a while.
func TestManagerThatDoesNotRead(t *testing.T) {
	name := filepath.Join(t.TempDir(), "notify")
	manager(t, name)
	t.Setenv("NOTIFY_SOCKET", name)
	m, err := FromEnvironment()
	if err != nil {
		t.Fatal(err)
	}
	for range 100_000 {
		if err = m.Notify("STATUS=" + strings.Repeat("x", 2000)); err != nil {
			break
		}
	}
	if !os.IsTimeout(err) && (err == nil || !strings.Contains(err.Error(), "i/o timeout")) {
		t.Errorf("got %v, want a timeout", err)
	}
}

func TestWatchdogOfTheEnvironment(t *testing.T) {
	self := strconv.Itoa(os.Getpid())
	for _, row := range []struct {
		usec, pid string
		want      time.Duration
		wrong     bool
	}{
		{"10000000", self, 10 * time.Second, false},
		{"10000000", "", 10 * time.Second, false},
		{"10000000", "1", 0, false}, // another's
		{"", self, 0, false},
		{"0", self, 0, true},
		{"-1", self, 0, true},
		{"ten", self, 0, true},
		{"9223372036854775807", self, 0, true},
	} {
		t.Setenv("NOTIFY_SOCKET", "/nonexistent")
		t.Setenv("WATCHDOG_USEC", row.usec)
		t.Setenv("WATCHDOG_PID", row.pid)
		m, err := FromEnvironment()
		if m == nil || m.Watchdog != row.want || (err != nil) != row.wrong {
			t.Errorf("%q of %q: %+v, %v", row.usec, row.pid, m, err)
		}
	}
}

func TestReloading(t *testing.T) {
	clock := func() int64 {
		var now unix.Timespec
		if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
			t.Fatal(err)
		}
		return now.Nano() / 1000
	}
	before := clock()
	got := Reloading()
	if len(got) != 2 || got[0] != "RELOADING=1" {
		t.Fatalf("got %q", got)
	}
	at, err := strconv.ParseInt(strings.TrimPrefix(got[1], "MONOTONIC_USEC="), 10, 64)
	if err != nil || at < before || at > clock() {
		t.Errorf("%q is not now, by the monotonic clock", got[1])
	}
	if got := ExtendTimeout(1500 * time.Millisecond); got != "EXTEND_TIMEOUT_USEC=1500000" {
		t.Errorf("got %q", got)
	}
}
