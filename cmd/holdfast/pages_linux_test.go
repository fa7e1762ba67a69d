// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/holdfast-lb/holdfast/internal/netlab"
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
