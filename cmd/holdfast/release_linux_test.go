// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/holdfast-lb/holdfast/internal/netlab"
)

// TestRelease: what is removed depends on how the service has ended, and on on_exit.
func TestRelease(t *testing.T) {
	lab := netlab.Test(t)
	h := lab.Host("lb1")
	h.Join(lab.LAN("lan"), "eth0", netip.MustParsePrefix("10.0.0.2/24"))
	dir := t.TempDir()
	config := filepath.Join(dir, "holdfast.hcl")
	write := func(name, format string, args ...any) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), fmt.Appendf(nil, format, args...), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, row := range []struct {
		onExit, lifetime string
		args, want       string
		gone             bool
	}{
		{"withdraw", "forever", "", "removed 10.0.0.100/32 dev eth0\n", true},
		{"withdraw", "100", "", "removed 10.0.0.100/32 dev eth0\n", true},
		{"keep", "100", "", "removed 10.0.0.100/32 dev eth0\n", true},
		{"withdraw", "forever", "--after success", "", false},
		{"withdraw", "forever", "--after signal", "removed 10.0.0.100/32 dev eth0\n", true},
		{"withdraw", "100", "--after watchdog", "virtual_router web left for a start within its lease\n", false},
		{"withdraw", "100", "--after timeout", "removed 10.0.0.100/32 dev eth0\n", true},
		{"keep", "forever", "--after signal", "", false},
		{"withdraw", "100", "--json", "{\n  \"addresses\": [\n    \"10.0.0.100/32 dev eth0\"\n  ],\n  \"kept\": []\n}\n", true},
	} {
		write("holdfast.hcl", "director {\n  state_dir = %q\n  on_exit = %q\n}\n", dir, row.onExit)
		write("state.json", `{"version":1,"virtual_routers":[{"name":"web","master":true,"addresses":[{"prefix":"10.0.0.100/32","device":"eth0"}]}]}`)
		for _, ip := range []string{"flush dev eth0 to 10.0.0.100/32", "add 10.0.0.100/32 dev eth0 valid_lft " + row.lifetime + " preferred_lft " + row.lifetime} {
			if out, err := h.Command(t.Context(), "ip", strings.Fields("address "+ip)...).CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
		}
		stdout, stderr, code := on(t, h, "", append([]string{"release", "-c", config}, strings.Fields(row.args)...)...)
		if code != exitDone || stderr != "" || stdout != row.want {
			t.Errorf("%+v: exit code %d, %q, %s", row, code, stdout, stderr)
		}
		if there, err := h.Holds(netip.MustParseAddr("10.0.0.100")); err != nil || there == row.gone {
			t.Errorf("%+v: the address is there: %v, %v", row, there, err)
		}
	}
	if stdout, _, code := on(t, h, "", "release", "-c", config); code != exitDone || stdout != "nothing was left\n" {
		t.Errorf("again: exit code %d, %q", code, stdout)
	}
	if _, stderr, code := on(t, h, "", "release", "-c", config, "--after", ""); code != exitUsage {
		t.Errorf("an empty result: exit code %d, %s", code, stderr)
	}
}
