// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/holdfast-lb/holdfast/internal/netlab"
)

// requireKeepalived skips the test where keepalived is not installed. With REQUIRE_KERNEL set it fails the test instead.
func requireKeepalived(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("keepalived"); err == nil {
		return
	}
	if os.Getenv("REQUIRE_KERNEL") != "" {
		t.Fatal("needs keepalived, and REQUIRE_KERNEL forbids to skip")
	}
	t.Skip("needs keepalived: apt-get install keepalived")
}

// keepalived is the real one, in a host of its own.
type keepalived struct {
	t    *testing.T
	host *netlab.Host
	cmd  *netlab.Cmd
	log  bytes.Buffer
	done bool // has ended
}

func startKeepalived(t *testing.T, h *netlab.Host, priority uint8, unicast bool) *keepalived {
	t.Helper()
	peer := ""
	if unicast {
		peer = "unicast_src_ip 192.0.2.11\nunicast_peer {\n192.0.2.10\n}"
	}
	return runKeepalived(t, h, fmt.Sprintf(`
vrrp_instance web {
	version 3
	state BACKUP
	interface eth0
	virtual_router_id 51
	priority %d
	advert_int 0.2
	%s
	virtual_ipaddress {
		192.0.2.100/24
	}
}
`, priority, peer))
}

func runKeepalived(t *testing.T, h *netlab.Host, conf string) *keepalived {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "keepalived.conf")
	if err := os.WriteFile(file, []byte(conf), 0o644); err != nil {
		t.Fatal(err)
	}
	k := &keepalived{t: t, host: h}
	k.cmd = h.Command(context.Background(), "keepalived", "-n", "-l", "-D", "-P", "-f", file,
		"--pid", filepath.Join(dir, "pid"), "--vrrp_pid", filepath.Join(dir, "vrrp.pid"))
	k.cmd.Stdout, k.cmd.Stderr = &k.log, &k.log
	if err := k.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.kill)
	return k
}

// kill ends both of its processes at once, as a crash of the host does. They are stopped first: the one that does VRRP
// resigns if it is told of the other's end.
func (k *keepalived) kill() {
	if k.done {
		return
	}
	if err := errors.Join(k.host.Signal(unix.SIGSTOP), k.host.Signal(unix.SIGKILL)); err != nil {
		k.t.Error(err)
	}
	k.wait()
}

// stop is a planned stop.
func (k *keepalived) stop() {
	k.t.Helper()
	if err := k.cmd.Process.Signal(unix.SIGTERM); err != nil {
		k.t.Fatal(err)
	}
	k.wait()
}

// wait reads what it had to say against us.
func (k *keepalived) wait() {
	k.t.Helper()
	_ = k.cmd.Wait()
	k.done = true
	for line := range strings.Lines(k.log.String()) {
		if complaint.MatchString(line) {
			k.t.Errorf("keepalived says: %s", line)
		}
	}
	if k.t.Failed() {
		k.t.Log(k.log.String())
	}
}

var complaint = regexp.MustCompile(`(?i)checksum|mismatch|incorrect|invalid|dropping|bogus|unexpected|expected|differs|less than|cannot|unable|unknown|error`)

var peer = addr("192.0.2.11") // keepalived's

// interop is two hosts, .10 for us and .11 for keepalived, on a LAN, and its two forms of adverts.
func interop(t *testing.T, f func(t *testing.T, us, them *netlab.Host, config func(priority uint8) Config, unicast bool)) {
	requireKeepalived(t)
	t.Parallel()
	for _, form := range []string{"multicast", "unicast"} {
		t.Run(form, func(t *testing.T) {
			t.Parallel()
			_, a, b := twoHosts(t)
			f(t, a.Host, b.Host, func(priority uint8) Config {
				c := config()
				c.Priority, c.Interval, c.Lease = priority, 200*ms, 2*time.Second
				if form == "unicast" {
					c.Unicast = Unicast{Source: own, Peers: []netip.Addr{peer}, TTL: 255, MinTTL: 255}
				}
				return c
			}, form == "unicast")
		})
	}
}

// handed waits for the first frame that fits next, and checks how long it came after the last that fits last, which
// was captured at from or is still to come.
func (c *capture) handed(what string, from time.Time, last, next func([]byte) bool, least, most time.Duration) {
	c.t.Helper()
	for {
		f := c.next("advert: "+what, func(b []byte) bool { return last(b) || next(b) })
		if last(f.b) {
			from = f.at
			continue
		}
		took := f.at.Sub(from)
		c.t.Logf("%s after %v", what, took.Round(10*time.Microsecond))
		if took < least || took > most {
			c.t.Errorf("%s after %v, want %v to %v", what, took, least, most)
		}
		return
	}
}

// never sees that nothing of a kind is sent for so long.
func (c *capture) never(what string, d time.Duration, bad func([]byte) bool) {
	c.t.Helper()
	for end := time.After(d); ; {
		select {
		case f := <-c.frames:
			if bad(f.b) {
				c.t.Errorf("%s", what)
				return
			}
		case <-end:
			return
		}
	}
}

// keepalived, with priority 100, takes over from us after a skew of 121.875 ms when we resign, and 721.875 ms after our
// last advert when we are killed. It yields when we are back.
func TestKeepalivedAsBackup(t *testing.T) {
	interop(t, func(t *testing.T, us, them *netlab.Host, config func(uint8) Config, unicast bool) {
		wire := watch(t, them, "eth0")
		ours, resigned, theirs := isAdvert(own, 200), isAdvert(own, 0), isAdvert(peer, 100)
		hf := startRouter(t, us, config(200))
		hf.becomes(Master)
		k := startKeepalived(t, them, 100, unicast)
		wire.never("keepalived does not accept our adverts", 2*time.Second, theirs)

		clean(t, hf.stop())
		wire.handed("stopped, keepalived takes over", time.Time{}, resigned, theirs, 115*ms, 600*ms)

		hf = startRouter(t, us, config(200))
		hf.becomes(Master)
		wire.next("our advert", ours)
		poll(t, 10*time.Second, "keepalived yields", func() bool { return !holds(t, them, vip(100).Prefix.Addr()) })
		wire.drop()
		wire.never("keepalived does not yield", 2*time.Second, theirs)
		clean(t, hf.status())

		last := wire.next("our advert", ours)
		hf.kill()
		wire.handed("killed, keepalived takes over", last.at, ours, theirs, 715*ms, 2*time.Second)
		k.stop()
	})
}

// The reverse: keepalived has priority 200 and we have 100.
func TestKeepalivedAsMaster(t *testing.T) {
	interop(t, func(t *testing.T, us, them *netlab.Host, config func(uint8) Config, unicast bool) {
		wire := watch(t, them, "eth0")
		theirs, resigned, ours := isAdvert(peer, 200), isAdvert(peer, 0), isAdvert(own, 100)
		k := startKeepalived(t, them, 200, unicast)
		wire.next("advert of keepalived", theirs)
		hf := startRouter(t, us, config(100))
		wire.never("we do not accept keepalived's adverts", 2*time.Second, ours)
		s := hf.status()
		clean(t, s)
		if s.State != Backup || s.Master() != peer || s.Received < 8 || s.Peers[0].Checksum != Pseudo {
			t.Errorf("got %+v", s)
		}

		k.stop()
		wire.handed("stopped, we take over", time.Time{}, resigned, ours, 115*ms, 600*ms)
		poll(t, 10*time.Second, "we have the address", func() bool { return holds(t, us, vip(100).Prefix.Addr()) })

		k = startKeepalived(t, them, 200, unicast)
		wire.next("advert of keepalived", theirs)
		poll(t, 2*time.Second, "we yield", func() bool { return !holds(t, us, vip(100).Prefix.Addr()) })
		wire.drop()
		wire.never("we do not yield", time.Second, ours)

		last := wire.next("advert of keepalived", theirs)
		k.kill()
		wire.handed("killed, we take over", last.at, theirs, ours, 715*ms, 2*time.Second)
		clean(t, hf.stop())
	})
}

// clean checks that nothing was refused.
func clean(t *testing.T, s Status) {
	t.Helper()
	if sum(s.Refused) != 0 || s.SendErrors != 0 || s.ReadErrors != 0 || s.HostErrors != 0 {
		t.Errorf("got %+v", s)
	}
}
