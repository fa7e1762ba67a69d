// SPDX-License-Identifier: Apache-2.0

package netlab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"testing"

	"github.com/vishvananda/netlink"
)

// Test returns an empty lab that any error of building ends the test for, and that closes with the test. It skips as
// Require does.
func Test(t testing.TB) *Lab {
	t.Helper()
	Require(t)
	l := New()
	l.fail = func(err error) {
		t.Helper()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Errorf("close lab: %v", err)
		}
	})
	return l
}

// Require skips the test where labs cannot be built, saying why. With REQUIRE_KERNEL set, to 1 or to "netns", it fails
// the test instead.
func Require(t testing.TB) {
	t.Helper()
	require(t, namespaces(), "run it as root", "1", "netns")
}

// RequireIPVS skips the test on a kernel without IPVS. With REQUIRE_KERNEL=1 it fails the test instead.
func RequireIPVS(t testing.TB) {
	t.Helper()
	Require(t)
	require(t, ipvs(), "run it with: deploy/lab/test PACKAGE", "1")
}

// RequireNetem skips the test on a kernel without sch_netem, which Port.ImpairIn and ImpairOut use. With
// REQUIRE_KERNEL=1 it fails the test instead.
func RequireNetem(t testing.TB) {
	t.Helper()
	Require(t)
	require(t, netem(), "run it with: deploy/lab/test PACKAGE", "1")
}

// RequireTool skips the test where a program is not installed. With REQUIRE_KERNEL set it fails the test instead.
func RequireTool(t testing.TB, name string) {
	t.Helper()
	_, err := exec.LookPath(name)
	require(t, err, "install it with: deploy/lab/vm --prepare", "1", "netns")
}

func require(t testing.TB, err error, advice string, strict ...string) {
	t.Helper()
	if err == nil {
		return
	}
	for _, s := range strict {
		if os.Getenv("REQUIRE_KERNEL") == s {
			t.Fatalf("%v, and REQUIRE_KERNEL=%s forbids to skip", err, s)
		}
	}
	t.Skipf("%v; %s", err, advice)
}

var namespaces = sync.OnceValue(func() error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("needs root")
	}
	l := New()
	l.LAN("probe")
	if err := errors.Join(l.Err(), l.Close()); err != nil {
		return fmt.Errorf("needs network namespaces and bridges: %w", err)
	}
	return nil
})

var ipvs = sync.OnceValue(func() error {
	// A kernel that lacks the module says so below.
	_ = exec.Command("modprobe", "-q", "ip_vs").Run()
	if _, err := netlink.GenlFamilyGet("IPVS"); err != nil {
		return fmt.Errorf("needs a kernel with IPVS: genetlink family IPVS: %w", err)
	}
	return nil
})

var netem = sync.OnceValue(func() error {
	l := New()
	port := l.Host("probe").Join(l.LAN("lan"), "eth0")
	err := l.Err()
	if err == nil {
		err = port.ImpairOut(Impairment{Loss: 1})
	}
	if err = errors.Join(err, l.Close()); err != nil {
		return fmt.Errorf("needs a kernel with sch_netem: %w", err)
	}
	return nil
})
