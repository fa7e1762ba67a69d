// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"

	"github.com/holdfast-lb/holdfast/internal/netlab"
)

// A peer is another implementation of VRRP on a host of its own.
type peer interface {
	configure(s side) error // before start
	start(ctx context.Context) error
	stop() error                                         // as its administrator does
	crash() error                                        // all its processes at once, without a word
	role(ctx context.Context, router vr) (string, error) // "master", "backup" or another word, as it says itself
	complaints() []string                                // what it said against us
	lastLines(n int) string                              // of its log
}

// process is one process of a peer.
type process struct {
	cmd  *netlab.Cmd
	done chan struct{}
}

// startProcess starts a command on a host. Its output is appended to the log.
func startProcess(ctx context.Context, h *netlab.Host, log string, name string, args ...string) (*process, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer func() { _ = out.Close() }()
	p := &process{cmd: h.Command(ctx, name, args...), done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = out, out
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		defer close(p.done)
		_ = p.cmd.Wait() // scenarios kill it: how it ended is in its log
	}()
	return p, nil
}

// end sends a signal and waits for the end.
func (p *process) end(sig syscall.Signal) error {
	if p == nil {
		return nil
	}
	if err := p.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-p.done
	return nil
}

// keepalivedPeer is the VRRP half of the real one.
type keepalivedPeer struct {
	match match
	host  *netlab.Host
	dir   string
	run   *process
}

func (k *keepalivedPeer) log() string { return filepath.Join(k.dir, "keepalived.log") }

func (k *keepalivedPeer) configure(s side) error {
	return os.WriteFile(filepath.Join(k.dir, "keepalived.conf"), []byte(keepalivedText(k.match, s)), 0o644)
}

func keepalivedText(m match, s side) string {
	var b strings.Builder
	var names []string
	state := "BACKUP"
	if s.priority == owner {
		state = "MASTER" // else it waits like any other
	}
	for i, r := range m.routers() {
		names = append(names, r.name)
		fmt.Fprintf(&b, "vrrp_instance %s {\n\tversion %d\n\tstate %s\n\tinterface %s\n\tvirtual_router_id %d\n"+
			"\tpriority %d\n\tadvert_int %g\n", r.name, m.version, state, r.ifname, r.id, s.priority, s.interval.Seconds())
		if !s.preempt {
			b.WriteString("\tnopreempt\n")
		}
		if m.vmac == "both" {
			b.WriteString("\tuse_vmac\n")
		}
		if m.unicast {
			fmt.Fprintf(&b, "\tunicast_src_ip %s\n\tunicast_peer {\n\t\t%s\n\t}\n", r.own[them], r.own[us])
			if m.hops == "peer" {
				b.WriteString("\tunicast_ttl 255\n")
			}
		}
		if s.password != "" {
			fmt.Fprintf(&b, "\tauthentication {\n\t\tauth_type PASS\n\t\tauth_pass %s\n\t}\n", s.password)
		}
		fmt.Fprintf(&b, "\tvirtual_ipaddress {\n\t\t%s\n\t}\n}\n", strings.Join(prefixes(s.listed(i, r)), "\n\t\t"))
	}
	if len(names) > 1 {
		fmt.Fprintf(&b, "vrrp_sync_group both {\n\tgroup {\n\t\t%s\n\t}\n}\n", strings.Join(names, "\n\t\t"))
	}
	return b.String()
}

func (k *keepalivedPeer) start(ctx context.Context) (err error) {
	// A file that names a dead process keeps keepalived from starting.
	pid, child := filepath.Join(k.dir, "pid"), filepath.Join(k.dir, "vrrp.pid")
	_, _ = os.Remove(pid), os.Remove(child)
	k.run, err = startProcess(ctx, k.host, k.log(), "keepalived", "-n", "-l", "-D", "-P",
		"-f", filepath.Join(k.dir, "keepalived.conf"), "--pid", pid, "--vrrp_pid", child)
	return err
}

func (k *keepalivedPeer) stop() error { return k.run.end(syscall.SIGTERM) }

// crash stops both of its processes before it kills them: the one that does VRRP resigns if it is told of the other's end.
func (k *keepalivedPeer) crash() error {
	if err := errors.Join(k.host.Signal(syscall.SIGSTOP), k.host.Signal(syscall.SIGKILL)); err != nil {
		return err
	}
	<-k.run.done
	return nil
}

var keepalivedState = regexp.MustCompile(`\((\w+)\) Entering (\w+) STATE`)

func (k *keepalivedPeer) role(_ context.Context, r vr) (role string, err error) {
	text, err := os.ReadFile(k.log())
	for _, m := range keepalivedState.FindAllSubmatch(text, -1) {
		if string(m[1]) == r.name {
			role = strings.ToLower(string(m[2]))
		}
	}
	return role, err
}

var keepalivedComplaint = regexp.MustCompile(`(?i)checksum|mismatch|incorrect|invalid|dropping|bogus|expected|differs|` +
	`less than|cannot|unable|unknown|error`)

func (k *keepalivedPeer) complaints() []string { return grep(k.log(), keepalivedComplaint) }

func (k *keepalivedPeer) lastLines(n int) string { return lastLines(k.log(), n) }

// grep returns the lines of a file that fit, without repeats.
func grep(file string, fits *regexp.Regexp) (found []string) {
	text, _ := os.ReadFile(file) // without a log there is nothing to find
	seen := make(map[string]bool)
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); fits.MatchString(line) && !seen[line] {
			seen[line] = true
			found = append(found, line)
		}
	}
	return found
}

// peerVersion is what a peer's program says of itself.
func peerVersion(ctx context.Context, name string) (string, error) {
	program, fits := "keepalived", regexp.MustCompile(`Keepalived v(\S+)`)
	if name == "frr" {
		program, fits = frrDaemon("vrrpd"), regexp.MustCompile(`vrrpd version (\S+)`)
	}
	out, err := exec.CommandContext(ctx, program, "--version").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("ask %s for its version: %w; install it with deploy/lab/vm --prepare", program, err)
	}
	m := fits.FindSubmatch(out)
	if m == nil {
		return "", fmt.Errorf("%s does not say its version: %s", program, out)
	}
	return string(m[1]), nil
}
