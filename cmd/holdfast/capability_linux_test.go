// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/holdfast-lb/holdfast/internal/capability"
	"github.com/holdfast-lb/holdfast/internal/director"
	"github.com/holdfast-lb/holdfast/internal/netlab"
)

// limitedNode is a director on a host without IPVS, as it is shipped: without cgo, which the tests' own program may have.
func limitedNode(t *testing.T) *node {
	netlab.Require(t)
	if testing.Short() {
		t.Skip("takes seconds")
	}
	lab := netlab.Test(t)
	n := &node{t: t, host: lab.Host("lb1"), lab: lab}
	n.host.Join(lab.LAN("lan"), "eth0", netip.MustParsePrefix("10.0.0.2/24"))
	n.files()
	for dir := filepath.Dir(n.config); dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil { // nobody runs programs in it
			t.Fatal(err)
		}
	}
	n.program = filepath.Join(filepath.Dir(n.config), "holdfast")
	if err := shipped(n.program); err != nil {
		t.Fatal(err)
	}
	return n
}

// shipped makes the program at path: out of this one, if it is without cgo.
func shipped(path string) error {
	if info, ok := debug.ReadBuildInfo(); ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "CGO_ENABLED", Value: "0"}) {
		self, err := os.ReadFile("/proc/self/exe")
		if err != nil {
			return err
		}
		return os.WriteFile(path, self, 0o755)
	}
	build := exec.Command("go", "build", "-o", path, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// tell is a program that writes the user that it runs as, and what that one may do.
func (n *node) tell(name string) (program, told string) {
	dir := filepath.Join(filepath.Dir(n.config), name)
	if err := errors.Join(os.Mkdir(dir, 0o755), os.Mkdir(dir+"/told", 0o777), os.Chmod(dir+"/told", 0o777)); err != nil {
		n.t.Fatal(err)
	}
	program, told = filepath.Join(dir, "program"), dir+"/told/by"
	text := fmt.Sprintf("#!/bin/sh\n{ id -u; grep CapEff /proc/self/status; } >%[1]s.new && mv %[1]s.new %[1]s\n", told)
	if err := os.WriteFile(program, []byte(text), 0o755); err != nil {
		n.t.Fatal(err)
	}
	return program, told
}

func (n *node) toldBy(told, want string) {
	n.t.Helper()
	n.eventually("wait for "+told, func() error {
		if b, err := os.ReadFile(told); err != nil || string(b) != want {
			return fmt.Errorf("%q, %v, want %q", b, err, want)
		}
		return nil
	})
}

// capabilities returns the different values that a field of /proc/PID/status has in the threads of the director.
func (n *node) capabilities(field string) []string {
	n.t.Helper()
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", n.cmd.Process.Pid))
	if err != nil || len(threads) < 2 {
		n.t.Fatalf("threads %v, %v", threads, err)
	}
	var list []string
	for _, thread := range threads {
		b, _ := os.ReadFile(thread) // it may have ended
		if _, rest, ok := strings.Cut(string(b), field+":\t"); ok {
			value, _, _ := strings.Cut(rest, "\n")
			list = append(list, value)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// TestCapabilities: after its start, a director of root has the capabilities that it needs in all its threads, and so have the
// programs that it runs as root; those of others have none. All that it does works with that.
func TestCapabilities(t *testing.T) {
	n := limitedNode(t)
	script, byScript := n.tell("script")
	check, byCheck := n.tell("check")
	hook, byHook := n.tell("hook")
	write := func(priority int) {
		text := fmt.Sprintf(`
director {
  control_socket = %q
  state_dir      = %q
  control_group  = "nogroup"
}
http { listen = "127.0.0.1:99" }
virtual_router "web" {
  interface = "eth0"
  id        = 51
  priority  = %d
  addresses = ["10.0.0.100/32"]
  advertise_interval = "100ms"
  address_lease      = "60s"
  track_script "nobody" {
    command  = [%q]
    interval = "1m" # a machine may be slow
    timeout  = "1m"
  }
  track_script "hangs" {
    command  = ["/bin/sleep", "1000"]
    interval = "300ms"
    timeout  = "200ms"
    weight   = -1
  }
}
virtual_server "elsewhere" {
  address = "192.0.2.1:80"
  check "exec" {
    command  = [%q]
    interval = "1m"
    timeout  = "1m"
  }
  real_server "web1" { address = "10.0.0.21" }
}
notify {
  command = [%q]
  user    = "root"
}
`, n.socket, filepath.Join(filepath.Dir(n.config), "state"), priority, script, check, hook)
		if err := os.WriteFile(n.config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(100)
	n.start()
	client := director.Client{Socket: n.socket}
	master := func(priority uint8) {
		t.Helper()
		n.eventually("wait for the master", func() error {
			s, err := client.Status(t.Context())
			if err != nil {
				return err
			}
			vr := s.VirtualRouters[0]
			if vr.State != "master" || vr.EffectivePriority != priority-1 {
				return fmt.Errorf("%s with priority %d: %s", vr.State, vr.EffectivePriority, vr.Reason)
			}
			return nil
		})
	}
	master(100) // less the weight of the script that is killed
	bits := fmt.Sprintf("%016x", uint64(capability.Balance|capability.Elect|capability.Serve))
	for field, want := range map[string]string{"CapEff": bits, "CapPrm": bits, "CapBnd": bits, "CapInh": "0000000000000000", "CapAmb": "0000000000000000"} {
		if got := n.capabilities(field); len(got) != 1 || got[0] != want {
			t.Errorf("%s: got %v, want %s", field, got, want)
		}
	}
	const none = "65534\nCapEff:\t0000000000000000\n"
	n.toldBy(byScript, none)
	n.toldBy(byCheck, none)
	n.toldBy(byHook, "0\nCapEff:\t"+bits+"\n")
	if info, err := os.Stat(n.socket); err != nil || info.Sys().(*syscall.Stat_t).Gid == 0 {
		t.Errorf("the control socket: %v, %v", info, err)
	}
	addresses := func() string {
		out, _ := n.host.Command(t.Context(), "ip", "-br", "address", "show", "eth0").Output()
		return string(out)
	}
	n.eventually("wait for the address", func() error {
		if got := addresses(); !strings.Contains(got, "10.0.0.100/32") {
			return errors.New(got)
		}
		return nil
	})
	sysctl := func() string {
		out, _ := n.host.Command(t.Context(), "cat", "/proc/sys/net/ipv4/conf/eth0/arp_announce", "/proc/sys/net/ipv4/ip_forward").Output()
		return strings.Join(strings.Fields(string(out)), " ")
	}
	set := sysctl()
	write(101)
	if _, err := client.Reload(t.Context()); err != nil {
		t.Error(err)
	}
	master(101)
	if got := n.capabilities("CapEff"); len(got) != 1 || got[0] != bits {
		t.Errorf("after a reload: %v", got)
	}
	if err := errors.Join(n.cmd.Process.Signal(syscall.SIGTERM), <-n.ended); err != nil {
		t.Error(err)
	}
	n.cmd = nil
	if got := addresses(); strings.Contains(got, "10.0.0.100/32") {
		t.Errorf("not released: %s", got)
	}
	if was := sysctl(); set == was {
		t.Errorf("sysctls %s while it ran and %s after it", set, was)
	}
}

// TestCapabilitiesOfAnotherUser: with ambient ones a director needs no root; none passes to its programs. What lacks is named.
func TestCapabilitiesOfAnotherUser(t *testing.T) {
	n := limitedNode(t)
	script, byScript := n.tell("script")
	dir := filepath.Join(filepath.Dir(n.config), "own")
	n.socket = filepath.Join(dir, "control.sock")
	text := fmt.Sprintf(`
director {
  control_socket = %q
  state_dir      = %q
}
http { listen = "" }
virtual_router "web" {
  interface = "eth0"
  id        = 51
  addresses = ["10.0.0.100/32"]
  advertise_interval = "100ms"
  track_script "nobody" {
    command  = [%q]
    user     = "nobody"
    interval = "1m"
    timeout  = "1m"
  }
}
`, n.socket, dir, script)
	if err := errors.Join(os.WriteFile(n.config, []byte(text), 0o644), os.Mkdir(dir, 0o755), os.Chown(dir, 65534, 65534)); err != nil {
		t.Fatal(err)
	}
	const netAdmin, netRaw = 12, 13
	as := func(ambient ...uintptr) *netlab.Cmd {
		c := n.command("run")
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}, AmbientCaps: ambient}
		return c
	}
	out, err := as(netAdmin).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "without CAP_NET_RAW: start holdfast as root") {
		t.Errorf("without CAP_NET_RAW: %v, %s", err, out)
	}
	n.cmd, n.ended = as(netAdmin, netRaw), make(chan error, 1)
	n.cmd.Stderr = &n.log
	if err := n.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func(c *netlab.Cmd) { n.ended <- c.Wait() }(n.cmd)
	n.toldBy(byScript, "65534\nCapEff:\t0000000000000000\n")
	n.eventually("wait for the master", func() error {
		s, err := (director.Client{Socket: n.socket}).Status(t.Context())
		if err == nil && s.VirtualRouters[0].State != "master" {
			err = errors.New(s.VirtualRouters[0].Reason)
		}
		return err
	})
	want := fmt.Sprintf("%016x", uint64(capability.Balance|capability.Elect))
	for field, want := range map[string]string{"CapEff": want, "CapPrm": want, "CapInh": "0000000000000000", "CapAmb": "0000000000000000"} {
		if got := n.capabilities(field); len(got) != 1 || got[0] != want {
			t.Errorf("%s: got %v, want %s", field, got, want)
		}
	}
}
