// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-lb/holdfast/configs"
	"github.com/holdfast-lb/holdfast/internal/doctor"
)

// sick is a host with something of all.
func sick(t *testing.T) doctor.Facts {
	t.Helper()
	cfg, diags := configs.LoadBytes("site.hcl", []byte(`
virtual_router "web" {
  interface = "eth0"
  id        = 51
  addresses = ["10.0.0.100/32"]
}
virtual_router "inside" {
  interface = "eth7"
  id        = 52
  addresses = ["10.10.1.254/24"]
}
virtual_server "web" {
  address   = "10.0.0.100:80"
  scheduler = "mh"
  forward   = "dr"
  check "tcp" {}
  real_server "web1" { address = "10.0.0.21" }
}
`))
	if diags.Errors() > 0 {
		t.Fatal(diags.Err())
	}
	return doctor.Facts{
		Config: cfg, Files: 64,
		Links:   map[string]doctor.Link{"eth0": {Index: 2, Up: true, Carrier: true, MTU: 1500}, "lo": {Index: 1, Up: true, Carrier: true}},
		Modules: map[string]doctor.Module{"ip_vs": doctor.Loaded, "ip_vs_mh": doctor.Missing},
		Managers: []doctor.Manager{
			{Name: "networkd", Device: "eth0", File: "/run/systemd/network/10-netplan-eth0.network", Addresses: true},
		},
		Unknown: []string{"the rules of the firewall: neither nft nor iptables-save is installed"},
	}
}

// TestDoctor compares what is printed with golden files, and holds its lines against a screen of 80 columns.
func TestDoctor(t *testing.T) {
	var got strings.Builder
	for name, f := range map[string]doctor.Facts{"sick": sick(t), "healthy": {Config: &configs.Config{}}} {
		got.Reset()
		for _, json := range []bool{false, true} {
			var b bytes.Buffer
			err := report(&globals{json: json}, diagnosisOf(f), &b)
			fmt.Fprintf(&got, "%s---- broken: %t\n", &b, err != nil)
			if json {
				continue
			}
			for line := range strings.Lines(b.String()) {
				if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > width {
					t.Errorf("%d columns: %s", n, line)
				}
			}
		}
		golden(t, filepath.Join("testdata", "doctor", name+".txt"), got.String())
	}
}

// TestDoctorPage: the tables in docs/doctor.md are the catalogue.
func TestDoctorPage(t *testing.T) {
	const begin, end = "<!-- go test ./cmd/holdfast -run TestDoctorPage -update -->\n", "<!-- end -->\n"
	path := filepath.Join(repository, "docs/doctor.md")
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok1 := strings.Cut(string(page), begin)
	tables, after, ok2 := strings.Cut(rest, end)
	if !ok1 || !ok2 {
		t.Fatalf("%s lacks the lines around its tables", path)
	}
	known := make(map[string]bool)
	for _, c := range doctor.Catalogue() {
		known[c.ID] = true
	}
	_, symptoms, _ := strings.Cut(before, "## By symptom")
	named := regexp.MustCompile("`([a-z-]+)`").FindAllStringSubmatch(symptoms, -1)
	if len(named) < 20 {
		t.Errorf("by symptom the page names %d findings", len(named))
	}
	for _, m := range named {
		if !known[m[1]] {
			t.Errorf("by symptom the page names %s, which no check finds", m[1])
		}
	}
	got := catalogueTables()
	if *update {
		if err := os.WriteFile(path, []byte(before+begin+got+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(tables, got); diff != "" {
		t.Errorf("%s differs from the catalogue (-page +catalogue); write the page anew with -update:\n%s", path, diff)
	}
}

func catalogueTables() string {
	var b strings.Builder
	for _, role := range []doctor.Role{doctor.Director, doctor.RealServer} {
		fmt.Fprintf(&b, "\n## On a %s\n\n| finding | what | why it matters | what mends it |\n|---|---|---|---|\n", role)
		for _, c := range doctor.Catalogue() {
			if c.Role == role {
				cell := func(s string) string { return strings.ReplaceAll(s, "|", `\|`) }
				fmt.Fprintf(&b, "| `%s` (%s) | %s | %s | %s |\n", c.ID, c.Severity, cell(c.Looks), cell(c.Why), cell(c.Mend))
			}
		}
	}
	return b.String() + "\n"
}
