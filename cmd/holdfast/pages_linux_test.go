// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/holdfast-lb/holdfast/configs"
	"github.com/holdfast-lb/holdfast/internal/netlab"
	"github.com/holdfast-lb/holdfast/ipvs"
)

// TestFirewallInPages: a pair lives behind the rules of docs/security.md, and the doctor finds nothing wrong; without the
// rule for adverts it does.
func TestFirewallInPages(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	netlab.RequireTool(t, "nft")
	netlab.RequireTool(t, "iptables") // else it is not found out
	list, _ := blocks(string(files(t)["docs/security.md"]))
	rules := ""
	for _, b := range list {
		if b.language == "nft" {
			rules += b.text
		}
	}
	if !strings.Contains(rules, "protocol 112") {
		t.Fatalf("no rules for adverts in docs/security.md: %q", rules)
	}
	_, _, pair := startPair(t, "")
	load := func(n *node, text string) {
		t.Helper()
		cmd := n.host.Command(t.Context(), "nft", "-f", "-")
		cmd.Stdin = strings.NewReader("flush ruleset\n" + text)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("nft on %s: %v: %s", n.host.Name, err, out)
		}
	}
	load(pair[0], rules)
	load(pair[1], strings.ReplaceAll(rules, "10.0.0.3", "10.0.0.2"))
	finds := func(n *node, want string) {
		t.Helper()
		n.eventually("the doctor", func() error { // adverts may be late on a busy machine
			if _, found, _ := examined(t, n); !strings.Contains(found, want) || want == "" && found != "" {
				return fmt.Errorf("finds %q, not %q", found, want)
			}
			return nil
		})
	}
	for _, n := range pair {
		finds(n, "") // it listens for longer than a master-down interval
	}
	pair[0].is("master")
	pair[1].is("backup")
	var without []string
	for line := range strings.Lines(rules) {
		if !strings.Contains(line, "protocol 112") {
			without = append(without, line)
		}
	}
	load(pair[1], strings.Join(without, ""))
	pair[1].is("master")
	finds(pair[1], "firewall-vrrp")
}

var captured = regexp.MustCompile(`^tcpdump -ni eth0 '?([^']+)'?$`)

// TestFiltersInPages: tcpdump takes what pages have it look for.
func TestFiltersInPages(t *testing.T) {
	netlab.RequireTool(t, "tcpdump")
	lab := netlab.Test(t)
	h := lab.Host("lb1")
	h.Join(lab.LAN("lan"), "eth0", netip.MustParsePrefix("10.0.0.2/24"))
	tried := 0
	for name, page := range pages(t) {
		for _, line := range commandLines(page) {
			if !strings.HasPrefix(line, "tcpdump ") {
				continue
			}
			tried++
			if m := captured.FindStringSubmatch(line); m == nil {
				t.Errorf("%s: %s: a link other than eth0, or other flags", name, line)
			} else if out, err := h.Command(t.Context(), "tcpdump", "-d", "-ni", "eth0", m[1]).CombinedOutput(); err != nil {
				t.Errorf("%s: %s: %v: %s", name, line, err, out)
			}
		}
	}
	if tried < 4 {
		t.Errorf("%d commands", tried)
	}
}

// TestKeepalivedInPages: keepalived takes the file that docs/keepalived.md shows as its own, and holdfast's version of it,
// which follows, makes the same election and table.
func TestKeepalivedInPages(t *testing.T) {
	netlab.RequireTool(t, "keepalived")
	list, _ := blocks(string(files(t)["docs/keepalived.md"]))
	i := slices.IndexFunc(list, func(b block) bool { return b.language == "keepalived" })
	if i < 0 || list[i+1].language != "hcl" {
		t.Fatal("no file of keepalived in docs/keepalived.md, with holdfast's after it")
	}
	file := filepath.Join(t.TempDir(), "keepalived.conf")
	if err := os.WriteFile(file, []byte(list[i].text), 0o600); err != nil {
		t.Fatal(err)
	}
	lab := netlab.Test(t)
	h := lab.Host("lb1")
	h.Join(lab.LAN("lan"), "eth0", netip.MustParsePrefix("10.0.0.2/24"))
	if out, err := h.Command(t.Context(), "keepalived", "--config-test", "--use-file", file).CombinedOutput(); err != nil {
		t.Errorf("keepalived --config-test: %v: %s", err, out)
	}
	cfg, diags := configs.LoadBytes("holdfast.hcl", []byte(list[i+1].text))
	if diags.Errors() > 0 {
		t.Fatal(diags.Err())
	}
	vr, vs := cfg.VirtualRouters[0], cfg.VirtualServers[0]
	if vr.ID != 51 || vr.Version != 2 || vr.Priority != 100 || vr.Password != "secret" || vr.Addresses[0].Prefix.String() != "10.0.0.100/32" {
		t.Errorf("another election: %+v", vr)
	}
	if rs := vs.RealServers[0]; vs.Key.String() != "10.0.0.100:80/tcp" || vs.Forward != ipvs.DR || rs.Address.String() != "10.0.0.21:80" || rs.Weight != 2 {
		t.Errorf("another service: %+v", vs)
	}
}
