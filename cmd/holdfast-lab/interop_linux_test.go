// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/holdfast-lb/holdfast/internal/netlab"
)

// requirePeers skips the test where a peer is not installed. With REQUIRE_KERNEL set it fails the test instead.
func requirePeers(t *testing.T) {
	t.Helper()
	netlab.Require(t)
	for _, program := range []string{"keepalived", frrDaemon("vrrpd")} {
		_, err := exec.LookPath(program)
		switch {
		case err == nil:
		case os.Getenv("REQUIRE_KERNEL") != "":
			t.Fatalf("needs %s, and REQUIRE_KERNEL forbids to skip", program)
		default:
			t.Skipf("needs %s; install it with: deploy/lab/vm --prepare", program)
		}
	}
}

// All of the matrix works: what fails is in the log, with the end of both sides' own logs.
func TestInterop(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute")
	}
	requirePeers(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(asHoldfast, "1")
	var trouble strings.Builder
	run := &interop{binary: self, keep: t.TempDir(), parallel: 8, trouble: &trouble}
	wanted := regexp.MustCompile("")
	report, err := run.run(t.Context(), choosePlays(wanted), wanted)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range report.Rows {
		name := strings.Trim(strings.ReplaceAll(row.markdown(), " | ", "/"), "| ") + "/" + row.Play + "/" + row.Step
		t.Run(name, func(t *testing.T) {
			if !row.OK {
				t.Error(row.Failure)
			}
		})
	}
	if len(report.Rows) < 150 || len(report.Missing) == 0 {
		t.Errorf("%d rows and %d that are not possible", len(report.Rows), len(report.Missing))
	}
	t.Logf("%d rows in %.0f s", len(report.Rows), report.Seconds)
	if trouble.Len() > 0 {
		t.Logf("%s", &trouble)
	}
}
