// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"net/netip"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-lb/holdfast/internal/netlab"
)

// newRealServer is a host on the network of docs/quickstart.md.
func newRealServer(t *testing.T) *netlab.Host {
	lab := netlab.Test(t)
	h := lab.Host("web1")
	h.Join(lab.LAN("lan"), "eth0", netip.MustParsePrefix("10.0.0.21/24"))
	h.Join(lab.LAN("inside"), "eth1", netip.MustParsePrefix("10.10.1.11/24"))
	h.Route(netip.MustParsePrefix("0.0.0.0/0"), netip.MustParseAddr("10.10.1.254"))
	return h
}

// on runs a command line on a host. What was there before is remembered in the file state.
func on(t *testing.T, h *netlab.Host, state string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	if slices.Contains(args, "setup") || slices.Contains(args, "teardown") {
		args = append(slices.Clone(args), "--state", state)
	}
	var out, failed bytes.Buffer
	if err := h.Do(func() error {
		code = run(args, &out, &failed)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return out.String(), failed.String(), code
}

// TestRealServersPage runs what docs/real-servers.md shows, in its order, on one host.
func TestRealServersPage(t *testing.T) {
	h, state := newRealServer(t), filepath.Join(t.TempDir(), "state.json")
	list, _ := blocks(pages(t)["docs/real-servers.md"])
	ran := 0
	for _, b := range list {
		line, want, _ := strings.Cut(b.text, "\n")
		args, isCommand := strings.CutPrefix(line, "$ holdfast ")
		if b.language != "console" || !isCommand {
			continue
		}
		ran++
		stdout, stderr, code := on(t, h, state, strings.Fields(args)...)
		if diff := cmp.Diff(want, stdout); diff != "" {
			t.Errorf("%s: exit code %d, %s (-page +command):\n%s", line, code, stderr, diff)
		}
		if wrong := strings.Contains(line, "verify"); (code == exitFailed) != wrong {
			t.Errorf("%s: exit code %d, %s", line, code, stderr)
		}
	}
	if ran < 5 {
		t.Errorf("the page shows %d commands", ran)
	}
}

// TestRealServer compares all that the commands print with a golden file.
func TestRealServer(t *testing.T) {
	h, state := newRealServer(t), filepath.Join(t.TempDir(), "state.json")
	const flags = " --method dr --address 10.0.0.100"
	var got strings.Builder
	for _, line := range []string{
		"real-server verify --json" + flags,
		"real-server setup --json" + flags,
		"real-server setup --json" + flags,
		"real-server verify" + flags,
		"real-server verify --json" + flags,
		"real-server verify -c testdata/realserver/site.hcl",
		"real-server verify -c testdata/realserver/site.hcl --server web1",
		"real-server verify -c testdata/realserver/site.hcl --server app1 --json",
		"real-server setup -c testdata/realserver/site.hcl --server app1 --address 10.0.0.100",
		"real-server setup -c testdata/realserver/site.hcl --server nobody",
		"real-server setup -c testdata/realserver/site.hcl --address 10.9.9.9",
		"real-server setup -c testdata/realserver/nosuch.hcl",
		"real-server setup -c testdata/realserver/site.hcl --local 10.0.0.21",
		"real-server setup --method dr",
		"real-server setup --method dr --address 10.0.0.100:80",
		"real-server setup --method dr --address 10.0.0.100/32",
		"real-server setup --method dr --address 127.0.0.1",
		"real-server setup --method dr --address 10.0.0.100 --server web1",
		"real-server setup --method nat",
		"real-server setup --method nat --gateway gw",
		"real-server setup --method nat --gateway 192.0.2.1",
		"real-server setup --method tun --address 10.0.0.100",
		"real-server setup --method tunnel --tunnel gre6 --address 10.0.0.100",
		"real-server setup --method tunnel --tunnel gue --address 10.0.0.100",
		"real-server setup --method tunnel --tunnel gue --port 5555 --checksum half --address 10.0.0.100",
		"real-server teardown --json",
		"real-server teardown",
		"real-server",
		"real-server teardown --method dr",
	} {
		stdout, stderr, code := on(t, h, state, strings.Fields(line)...)
		fmt.Fprintf(&got, "$ holdfast %s\n%s%sexit code %d\n\n", line, stdout, stderr, code)
	}
	golden(t, "testdata/realserver/commands.txt", got.String())
}

// TestSetupSaysWhatIsNotOurs: what setup may not mend is its error.
func TestSetupSaysWhatIsNotOurs(t *testing.T) {
	h, state := newRealServer(t), filepath.Join(t.TempDir(), "state.json")
	h.Address("eth0", netip.MustParsePrefix("10.0.0.100/24"))
	_, stderr, code := on(t, h, state, strings.Fields("real-server setup --method dr --address 10.0.0.100")...)
	if want := "10.0.0.100/24 is on eth0, which is not ours to change: ip address del 10.0.0.100/24 dev eth0"; code != exitFailed || !strings.Contains(stderr, want) {
		t.Errorf("exit code %d, %q, want %q", code, stderr, want)
	}
}

// TestUnitsRunCommands: what the systemd units run are commands that there are, with the flags that the pages show.
func TestUnitsRunCommands(t *testing.T) {
	all := files(t)
	flags := regexp.MustCompile(`(?m)^REAL_SERVER=(.*)$`).FindSubmatch(all["docs/real-servers.md"])
	if flags == nil {
		t.Fatal("docs/real-servers.md does not say REAL_SERVER=")
	}
	units := 0
	for name, text := range all {
		if path.Ext(name) != ".service" {
			continue
		}
		units++
		for _, m := range regexp.MustCompile(`(?m)^Exec\w+=(.*)$`).FindAllSubmatch(text, -1) {
			line := strings.ReplaceAll(string(m[1]), "$REAL_SERVER", string(flags[1]))
			if err := wrongCommand(line, nil); err != nil {
				t.Errorf("%s: %s: %v", name, line, err)
			}
		}
	}
	if units == 0 {
		t.Error("no units")
	}
}
