// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/ipvs"
)

var someConnections = []ipvs.Connection{
	{
		Protocol: ipvs.TCP, Client: netip.MustParseAddrPort("10.0.0.9:40000"), Virtual: netip.MustParseAddrPort("10.0.0.100:80"),
		Destination: netip.MustParseAddrPort("10.0.0.21:80"), State: "ESTABLISHED", Expires: 897 * time.Second,
	},
	{
		Protocol: ipvs.UDP, Client: netip.MustParseAddrPort("[2001:db8::9]:0"), Virtual: netip.MustParseAddrPort("[2001:db8::100]:5060"),
		Destination: netip.MustParseAddrPort("[2001:db8::21]:5060"), State: "NONE", Expires: 3 * time.Second, Template: true, Engine: "sip", Data: "call-1\x1b[2J",
	},
	{
		Client: netip.MustParseAddrPort("10.0.0.8:0"), Virtual: netip.MustParseAddrPort("0.0.0.7:0"),
		Destination: netip.MustParseAddrPort("10.0.0.31:0"), State: "NONE", Expires: time.Minute, Template: true,
	},
}

func readerOf(list []ipvs.Connection, skipped int, err error) connectionReader {
	return func(_ context.Context, _ ipvs.ConnectionFilter, yield func(ipvs.Connection) bool) (int, error) {
		for _, c := range list {
			if !yield(c) {
				break
			}
		}
		return skipped, err
	}
}

func TestConnectionsAreListed(t *testing.T) {
	const head = "IPVS connection entries\npro expire state       source             virtual            destination\n"
	for name, tt := range map[string]struct {
		read         connectionReader
		want, stderr string
	}{
		"some": {readerOf(someConnections, 0, nil), head +
			"TCP 14:57  ESTABLISHED 10.0.0.9:40000     10.0.0.100:80      10.0.0.21:80\n" +
			"UDP 00:03  NONE        [2001:db8::9]:0    [2001:db8::100]:5060 [2001:db8::21]:5060 sip call-1[2J\n" +
			"IP  01:00  NONE        10.0.0.8:0         0.0.0.7:0          10.0.0.31:0\n", ""},
		"none":    {readerOf(nil, 0, nil), head, ""},
		"strange": {readerOf(nil, 2, nil), head, "holdfast: 2 lines of the kernel left out, because they were not understood\n"},
	} {
		var out, errs bytes.Buffer
		if err := listConnections(t.Context(), &globals{}, wanted{}, &out, &errs, tt.read); err != nil || out.String() != tt.want || errs.String() != tt.stderr {
			t.Errorf("%s: %v, %q\ngot\n%swant\n%s", name, err, &errs, &out, tt.want)
		}
	}
	var out bytes.Buffer
	if err := listConnections(t.Context(), &globals{}, wanted{}, &out, &out, readerOf(nil, 0, ipvs.ErrNoIPVS)); !errors.Is(err, ipvs.ErrNoIPVS) || out.Len() > 0 {
		t.Errorf("without IPVS: %v, %q", err, &out)
	}
}

func TestConnectionsAsJSON(t *testing.T) {
	for n := range len(someConnections) + 1 {
		var out bytes.Buffer
		if err := listConnections(t.Context(), &globals{json: true}, wanted{}, &out, &out, readerOf(someConnections[:n], 0, nil)); err != nil {
			t.Fatal(err)
		}
		var got []connectionJSON
		if err := json.Unmarshal(out.Bytes(), &got); err != nil || len(got) != n {
			t.Errorf("%d: %v: %s", n, err, &out)
		}
		if n > 0 && (got[0].Protocol != "tcp" || got[0].ExpiresSeconds != 897 || got[0].Client != someConnections[0].Client) {
			t.Errorf("got %+v", got[0])
		}
	}
}

// A pipe that is closed ends the list.
func TestConnectionsEndWithTheirReader(t *testing.T) {
	read := func(_ context.Context, _ ipvs.ConnectionFilter, yield func(ipvs.Connection) bool) (int, error) {
		n := 0
		for yield(someConnections[0]) {
			if n++; n > 1_000_000 {
				t.Fatal("nobody reads, and it goes on")
			}
		}
		return 0, nil
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	_ = r.Close()
	defer w.Close()
	if err := listConnections(t.Context(), &globals{}, wanted{}, w, w, read); err == nil {
		t.Error("no error")
	}
}

func TestWantedConnections(t *testing.T) {
	path := filepath.Join(t.TempDir(), "holdfast.hcl")
	if err := os.WriteFile(path, []byte(`
virtual_router "edge" {
  interface = "eth0"
  id        = 51
  addresses = ["10.0.0.100/32"]
}
virtual_server "web" {
  address = "10.0.0.100:80"
  real_server "web1" { address = "10.0.0.21" }
}
virtual_server "marked" {
  fwmark = 7
  family = "ipv4"
  real_server "m1" { address = "10.0.0.31" }
}
`), 0o600); err != nil {
		t.Fatal(err)
	}
	g := &globals{config: path}
	for name, tt := range map[string]struct {
		service, server string
		err             string // part of it
		want            []bool // of someConnections
	}{
		"all":            {"", "", "", []bool{true, true, true}},
		"service":        {"web", "", "", []bool{true, false, false}},
		"server":         {"", "web/web1", "", []bool{true, false, false}},
		"server beside":  {"web", "web1", "", []bool{true, false, false}},
		"marked":         {"marked", "", "", []bool{false, false, true}},
		"marked server":  {"", "marked/m1", "", []bool{false, false, true}},
		"no service":     {"wbe", "", `no virtual_server "wbe" in ` + path + ": there is web, marked", nil},
		"no server":      {"", "web/web2", `virtual_server "web" has no real_server "web2": there is web1`, nil},
		"half":           {"", "web1", "--server takes SERVICE/SERVER", nil},
		"two of a thing": {"marked", "web/web1", "--server web/web1 is not of --service marked", nil},
	} {
		t.Run(name, func(t *testing.T) {
			w, err := g.wantedConnections(tt.service, tt.server)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("got %v, want %q", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var got []bool
			for _, c := range someConnections {
				f := w.filter
				matches := f.Service == (ipvs.Key{}) || f.Service == ipvs.Key{Address: c.Virtual.Addr(), Port: c.Virtual.Port(), Protocol: c.Protocol}
				matches = matches && (!f.Destination.IsValid() || f.Destination == c.Destination)
				got = append(got, matches && w.matches(c))
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}
