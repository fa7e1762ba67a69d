// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

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

// runKeepalived runs it with a configuration until the test ends. holdfast-lab interop is the election with it.
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
