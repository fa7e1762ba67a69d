// SPDX-License-Identifier: Apache-2.0

// Package systemd tells the service manager how this process is doing, as sd_notify(3) describes it.
package systemd

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// notifyTimeout bounds how long a message waits for a manager that does not read.
const notifyTimeout = time.Second

// Manager is the service manager that started this process. A nil Manager is none: it is told nothing.
type Manager struct {
	// Watchdog is how long the manager waits for the next WATCHDOG=1 before it ends this process; 0: for ever.
	Watchdog time.Duration

	socket *net.UnixAddr
}

// FromEnvironment returns the manager that the environment names, or nil, and takes its variables out of the environment:
// they are not for the programs that this one starts.
func FromEnvironment() (*Manager, error) {
	socket, usec, pid := os.Getenv("NOTIFY_SOCKET"), os.Getenv("WATCHDOG_USEC"), os.Getenv("WATCHDOG_PID")
	for _, name := range []string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} {
		_ = os.Unsetenv(name)
	}
	if socket == "" {
		return nil, nil
	}
	if socket[0] != '/' && socket[0] != '@' { // @: in the abstract namespace
		return nil, fmt.Errorf("NOTIFY_SOCKET %q: neither a path nor an abstract unix socket: the service manager is told nothing", socket)
	}
	m := &Manager{socket: &net.UnixAddr{Name: socket, Net: "unixgram"}}
	if usec == "" || pid != "" && pid != strconv.Itoa(os.Getpid()) { // sd_watchdog_enabled(3)
		return m, nil
	}
	n, err := strconv.ParseInt(usec, 10, 64)
	if m.Watchdog = time.Duration(n) * time.Microsecond; err != nil || m.Watchdog <= 0 || n != m.Watchdog.Microseconds() {
		m.Watchdog = 0
		return m, fmt.Errorf("WATCHDOG_USEC %q: not a number of microseconds: the watchdog is not fed", usec)
	}
	return m, nil
}

// Notify sends assignments, such as READY=1, as one message. It waits a second at most.
func (m *Manager) Notify(assignments ...string) error {
	if m == nil {
		return nil
	}
	for i, a := range assignments {
		assignments[i] = strings.ReplaceAll(a, "\n", " ") // which would begin another assignment
	}
	c, err := net.DialUnix("unixgram", nil, m.socket)
	if err == nil {
		err = c.SetWriteDeadline(time.Now().Add(notifyTimeout))
		if err == nil {
			_, err = c.Write([]byte(strings.Join(assignments, "\n")))
		}
		err = errors.Join(err, c.Close())
	}
	if err != nil {
		return fmt.Errorf("notify the service manager: %w", err)
	}
	return nil
}

// Reloading are the assignments that begin a reload. READY=1 ends it.
func Reloading() []string {
	var now unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) // which Linux always has
	return []string{"RELOADING=1", "MONOTONIC_USEC=" + strconv.FormatInt(now.Nano()/1000, 10)}
}

// ExtendTimeout is the assignment that gives a start or a stop so much more time, from now on.
func ExtendTimeout(d time.Duration) string {
	return "EXTEND_TIMEOUT_USEC=" + strconv.FormatInt(d.Microseconds(), 10)
}
