// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/holdfast-lb/holdfast/internal/netlab"
)

// frrPeer is FRR's vrrpd, and the zebra that it needs to turn links on and off. Both run as FRR's own user. FRR makes no
// macvlan itself, and the addresses are always on it: a backup sets it "protodown".
type frrPeer struct {
	match match
	host  *netlab.Host
	dir   string
	run   string // where sockets are

	zebra, vrrpd *process
}

// frrDaemon is where Debian keeps FRR's daemons.
func frrDaemon(name string) string { return filepath.Join("/usr/lib/frr", name) }

func (f *frrPeer) log() string { return filepath.Join(f.dir, "frr.log") }

// prepare makes the links of the virtual routers, all of them off.
func (f *frrPeer) prepare(ctx context.Context) error {
	for _, r := range f.match.routers() {
		if err := f.link(ctx, r); err != nil {
			return err
		}
	}
	owner, err := user.Lookup("frr")
	if err != nil {
		return err
	}
	uid, _ := strconv.Atoi(owner.Uid) // on Linux a number
	gid, _ := strconv.Atoi(owner.Gid)
	return os.Chown(f.run, uid, gid)
}

// frrLink is the name of the link of a virtual router.
func frrLink(r vr) string { return r.ifname + "-" + strconv.Itoa(r.id) }

// link makes the macvlan of a virtual router. IPv6 adverts are sent from its link-local address, which must not come from
// the virtual MAC that all share, and which it only gets while it is on.
func (f *frrPeer) link(ctx context.Context, r vr) error {
	name, mac := frrLink(r), fmt.Sprintf("00:00:5e:00:01:%02x", r.id)
	if r.six {
		mac = fmt.Sprintf("00:00:5e:00:02:%02x", r.id)
	}
	for _, args := range []string{
		"link add " + name + " link " + r.ifname + " type macvlan mode bridge",
		"link set " + name + " addrgenmode random",
		"link set " + name + " address " + mac,
		"link set " + name + " up",
	} {
		if err := f.ip(ctx, args); err != nil {
			return err
		}
	}
	err := netlab.Poll(5*time.Second, func() error {
		addrs, err := f.host.Addresses(name)
		if err == nil && len(addrs) == 0 {
			err = errors.New("no link-local address on " + name)
		}
		return err
	})
	if err != nil {
		return err
	}
	for _, p := range prefixes(r.addresses) {
		if err := f.ip(ctx, "addr add "+p+" dev "+name); err != nil {
			return err
		}
	}
	return f.ip(ctx, "link set "+name+" protodown on")
}

func (f *frrPeer) ip(ctx context.Context, args string) error {
	_, err := f.host.Command(ctx, "ip", strings.Fields(args)...).Output()
	return err
}

func (f *frrPeer) configure(s side) error {
	var b strings.Builder
	for i, r := range f.match.routers() {
		fmt.Fprintf(&b, "interface %s\n vrrp %d version %d\n vrrp %d priority %d\n vrrp %d advertisement-interval %d\n",
			r.ifname, r.id, f.match.version, r.id, s.priority, r.id, s.interval.Milliseconds())
		if !s.preempt {
			fmt.Fprintf(&b, " no vrrp %d preempt\n", r.id)
		}
		family := "ip"
		if r.six {
			family = "ipv6"
		}
		for _, a := range s.listed(i, r) {
			fmt.Fprintf(&b, " vrrp %d %s %s\n", r.id, family, a)
		}
		b.WriteString("exit\n")
	}
	return errors.Join(
		os.WriteFile(filepath.Join(f.run, "zebra.conf"), nil, 0o644),
		os.WriteFile(filepath.Join(f.run, "vrrpd.conf"), []byte(b.String()), 0o644),
		os.WriteFile(filepath.Join(f.dir, "vrrpd.conf"), []byte(b.String()), 0o644), // for the reader of --keep
	)
}

// start runs zebra, if it does not run, and vrrpd once it answers: else vrrpd would try again only after seconds.
func (f *frrPeer) start(ctx context.Context) (err error) {
	socket := filepath.Join(f.run, "zserv.api")
	if f.zebra == nil {
		if f.zebra, err = f.daemon(ctx, "zebra"); err != nil {
			return err
		}
		err = netlab.Poll(10*time.Second, func() error {
			_, err := os.Stat(socket)
			return err
		})
		if err != nil {
			return fmt.Errorf("start zebra: %w", err)
		}
	}
	f.vrrpd, err = f.daemon(ctx, "vrrpd")
	return err
}

func (f *frrPeer) daemon(ctx context.Context, name string) (*process, error) {
	return startProcess(ctx, f.host, f.log(), frrDaemon(name), "-u", "frr", "-g", "frr", "-P", "0", "--log", "stdout",
		"--vty_socket", f.run, "-z", filepath.Join(f.run, "zserv.api"),
		"-i", filepath.Join(f.run, name+".pid"), "-f", filepath.Join(f.run, name+".conf"))
}

func (f *frrPeer) stop() error { return f.vrrpd.end(syscall.SIGTERM) }

func (f *frrPeer) crash() error { return f.vrrpd.end(syscall.SIGKILL) }

func (f *frrPeer) role(ctx context.Context, r vr) (string, error) {
	select {
	case <-f.vrrpd.done:
		return "stopped", nil
	default:
	}
	out, err := exec.CommandContext(ctx, "vtysh", "--vty_socket", f.run, "-d", "vrrpd", "-c", "show vrrp json").Output()
	if err != nil {
		return "", fmt.Errorf("ask vrrpd for its state: %w", err)
	}
	var routers []struct {
		ID     int `json:"vrid"`
		V4, V6 struct{ Status string }
	}
	if err := json.Unmarshal(out, &routers); err != nil {
		return "", fmt.Errorf("read vrrpd's state: %w: %s", err, out)
	}
	for _, s := range routers {
		switch {
		case s.ID != r.id:
		case r.six:
			return strings.ToLower(s.V6.Status), nil
		default:
			return strings.ToLower(s.V4.Status), nil
		}
	}
	return "absent", nil
}

var frrComplaint = regexp.MustCompile(`(?i)VRRP: .*(checksum|malformed|mismatch|invalid|incorrect|unacceptable|discard|dropp|unsupported)`)

func (f *frrPeer) complaints() []string { return grep(f.log(), frrComplaint) }

func (f *frrPeer) lastLines(n int) string { return lastLines(f.log(), n) }
