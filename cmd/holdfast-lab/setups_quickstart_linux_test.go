// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/holdfast-lb/holdfast/internal/drill"
	"github.com/holdfast-lb/holdfast/internal/netlab"
	"github.com/holdfast-lb/holdfast/internal/realserver"
	"github.com/holdfast-lb/holdfast/ipvs"
)

// quickStarts are the two set-ups of docs/quickstart.md, in its order.
var quickStarts = []customerSetup{
	{
		example: "quickstart, dr", target: "10.0.0.100:80", servers: []string{"10.0.0.21", "10.0.0.22"},
		build: func(t *testing.T, l *customerLab) {
			lan := l.lab.LAN("lan")
			l.join(lan, "eth0", "10.0.0.2/24")
			l.clientOn(lan, "10.0.0.50/24")
			for _, h := range l.webHosts {
				l.serve(h, lan)
				l.realServer(t, h, realserver.Use{Forward: ipvs.DR, Address: l.vip})
			}
		},
		table: `
TCP  10.0.0.100:80 wlc
  -> 10.0.0.21:80                 Route   1
  -> 10.0.0.22:80                 Route   1`,
	},
	{
		example: "quickstart, nat", target: "10.0.0.100:80", servers: []string{"10.10.1.11:8080", "10.10.1.12:8080"},
		build: func(t *testing.T, l *customerLab) {
			inner, outer := l.lab.LAN("inner"), l.lab.LAN("outer")
			l.join(outer, "eth0", "10.0.0.2/24")
			l.join(inner, "eth1", "10.10.1.2/24")
			l.clientOn(outer, "10.0.0.50/24")
			l.masquerade(t, inner, "10.10.1.1")
		},
		table: `
TCP  10.0.0.100:80 wlc
  -> 10.10.1.11:8080              Masq    1
  -> 10.10.1.12:8080              Masq    1`,
	},
}

// TestQuickStart follows docs/quickstart.md: its configurations serve, the doctor finds nothing, and a stop of lb1 hands over.
func TestQuickStart(t *testing.T) {
	netlab.RequireIPVS(t)
	t.Setenv(asHoldfast, "1")
	page, err := os.ReadFile("../../docs/quickstart.md")
	if err != nil {
		t.Fatal(err)
	}
	shown := regexp.MustCompile("(?s)```hcl\n(.*?)```").FindAllStringSubmatch(string(page), -1)
	if len(shown) != len(quickStarts) {
		t.Fatalf("the page shows %d configurations, this test knows %d", len(shown), len(quickStarts))
	}
	for i, c := range quickStarts {
		c.text = shown[i][1]
		t.Run(c.example, func(t *testing.T) {
			t.Parallel()
			l := newCustomerLab(t, c)
			must(t, l.await(t.Context(), settleWithin, l.master(0), l.serverState(0, "", "up"), l.serverState(1, "", "up")))
			if got := l.ipvsadm(t, "-Ln"); got != c.table[1:] {
				t.Errorf("ipvsadm -Ln prints\n%s\nwant\n%s", got, c.table[1:])
			}
			l.healthy(t)
			samples := l.load(t, func() error { return l.directors[0].signal(syscall.SIGTERM) })
			must(t, l.await(t.Context(), settleWithin, l.master(1)))
			samples = append(samples, l.load(t, func() error { return nil })...)
			if r := drill.Summarize(samples); len(r.Servers) != len(c.servers) {
				t.Errorf("answered by %v: %s", r.Servers, strings.Join(c.servers, " "))
			} else {
				t.Logf("%+v", r)
			}
		})
	}
}
