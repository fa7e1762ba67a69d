// SPDX-License-Identifier: Apache-2.0

package director

import (
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/internal/systemd"
	"github.com/holdfast-lb/holdfast/vrrp"
)

// managed gives the site a service manager and returns what it is sent, a message at a time.
func (s *site) managed(watchdog time.Duration) <-chan string {
	s.t.Helper()
	name := filepath.Join(s.t.TempDir(), "notify")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = c.Close() })
	s.t.Setenv("NOTIFY_SOCKET", name)
	s.t.Setenv("WATCHDOG_USEC", strconv.FormatInt(watchdog.Microseconds(), 10))
	if watchdog == 0 {
		s.t.Setenv("WATCHDOG_USEC", "")
	}
	if s.manager, err = systemd.FromEnvironment(); err != nil {
		s.t.Fatal(err)
	}
	messages := make(chan string, 1000)
	go func() {
		defer close(messages)
		b := make([]byte, 4096)
		for {
			n, err := c.Read(b)
			if err != nil {
				return
			}
			messages <- string(b[:n])
		}
	}()
	return messages
}

// next waits for a message that contains text, and returns it and those before it.
func next(t *testing.T, messages <-chan string, text string) (list []string) {
	t.Helper()
	end := time.After(20 * time.Second)
	for {
		select {
		case m := <-messages:
			if list = append(list, m); strings.Contains(m, text) {
				return list
			}
		case <-end:
			t.Fatalf("no message has %q; there were %q", text, list)
		}
	}
}

func TestManagerIsTold(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	s := newSite(t)
	messages := s.managed(0)
	_, stop := s.run()
	if got := next(t, messages, "READY=1"); len(got) != 1 || got[0] != "STATUS=init: web\nREADY=1" {
		t.Errorf("at the start: %q", got)
	}
	next(t, messages, "STATUS=backup: web")
	next(t, messages, "STATUS=master: web")

	s.write(1, `virtual_router "x" {
  interface = "eth0"
  id        = 52
  addresses = ["127.0.0.101/32"]
}`)
	s.reload()
	got := next(t, messages, "READY=1")
	usec, found := strings.CutPrefix(got[0], "RELOADING=1\nMONOTONIC_USEC=")
	if n, err := strconv.ParseUint(usec, 10, 64); !found || err != nil || n == 0 {
		t.Errorf("at a reload: %q", got)
	}
	next(t, messages, "STATUS=master: web, x")

	s.write(1, "nonsense")
	if _, err := s.client.Reload(t.Context()); err == nil {
		t.Fatal("taken")
	}
	if got := next(t, messages, "STATUS=master: web, x; the last reload was refused"); !strings.HasPrefix(got[0], "RELOADING=1") {
		t.Errorf("at a refused reload: %q", got)
	}

	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if got := next(t, messages, "STOPPING=1"); strings.Contains(strings.Join(got, ""), "WATCHDOG") {
		t.Errorf("a watchdog is fed that nobody asked for: %q", got)
	} else if _, most, found := strings.Cut(got[len(got)-1], "EXTEND_TIMEOUT_USEC="); !found || len(most) < 8 {
		t.Errorf("at the stop: %q", got)
	}
	next(t, messages, "STATUS=init: web, x") // what is told last
}

// TestWatchdogIsFedByTheLiving: no longer than the loop and every virtual router are alive.
func TestWatchdogIsFedByTheLiving(t *testing.T) {
	s := newSite(t)
	messages := s.managed(40 * time.Millisecond)
	d, _ := s.run()
	for range 3 {
		next(t, messages, "WATCHDOG=1")
	}
	// The loop hangs. What has been sent before that is not counted.
	hangs, goOn := make(chan struct{}), make(chan struct{})
	go func() { _ = d.call(t.Context(), func() { close(hangs); <-goOn }) }()
	<-hangs
	d.beat.Store(int64(-time.Minute))
	s.logged(`msg="watchdog not fed" reason="the loop was last seen alive`)
	for len(messages) > 0 {
		<-messages
	}
	time.Sleep(100 * time.Millisecond) // in which there would be ten
	if n := len(messages); n > 0 {
		t.Errorf("%d messages while the loop hangs, the first one %q", n, <-messages)
	}
	close(goOn)
	next(t, messages, "WATCHDOG=1")
}

func TestRolesText(t *testing.T) {
	var routers []vrrp.Config
	roles := make(map[string]vrrp.State)
	if got := rolesText(routers, roles); got != "no virtual router" {
		t.Errorf("got %q", got)
	}
	for i, s := range []vrrp.State{vrrp.Backup, vrrp.Master, vrrp.Fault, vrrp.Init, vrrp.Master} {
		name := fmt.Sprintf("r%d", i)
		routers = append(routers, vrrp.Config{Name: name})
		if s != vrrp.Init { // of which nothing has been heard
			roles[name] = s
		}
	}
	if got := rolesText(routers, roles); got != "master: r1, r4; fault: r2; backup: r0; init: r3" {
		t.Errorf("got %q", got)
	}
	routers = slices.Repeat([]vrrp.Config{{Name: "r"}}, 1000)
	if got := rolesText(routers, roles); got != "init: r, r, r, r, r, r, r, r and 992 more" {
		t.Errorf("got %q", got)
	}
}
