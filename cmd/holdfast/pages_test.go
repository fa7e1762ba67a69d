// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/xml"
	"errors"
	"io"
	"net/netip"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/holdfast-lb/holdfast/configs"
	"github.com/holdfast-lb/holdfast/internal/doctor"
)

var picture = regexp.MustCompile(`!\[([^\]]*)\]\(([^)]+\.svg)\)`)

// TestPictures: each picture is shown by a page, with a text for those who do not see it, can be read in the dark, and is one
// file.
func TestPictures(t *testing.T) {
	shown := make(map[string]bool)
	for name, page := range pages(t) {
		for _, m := range picture.FindAllStringSubmatch(page, -1) {
			shown[path.Join(path.Dir(name), m[2])] = true
			if len(strings.Fields(m[1])) < 5 {
				t.Errorf("%s: %s has the text %q", name, m[2], m[1])
			}
		}
	}
	n := 0
	for name, src := range files(t) {
		if path.Ext(name) != ".svg" {
			continue
		}
		n++
		if !shown[name] {
			t.Errorf("no page shows %s", name)
		}
		for _, want := range []string{"<title", "<desc", `role="img"`, "prefers-color-scheme: dark"} {
			if !strings.Contains(string(src), want) {
				t.Errorf("%s has no %s", name, want)
			}
		}
		if strings.Contains(string(src), "href") || strings.Contains(string(src), "<script") {
			t.Errorf("%s is more than one file", name)
		}
		for d := xml.NewDecoder(strings.NewReader(string(src))); ; {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
	}
	if n < 4 {
		t.Errorf("%d pictures", n)
	}
}

var ipv4 = regexp.MustCompile(`\b\d+\.\d+\.\d+\.\d+\b`)

// TestPicturesAreOfExamples: a picture of a forwarding method has the addresses of an example, with which the lab's
// TestCustomerSetups captures the packets that it shows.
func TestPicturesAreOfExamples(t *testing.T) {
	all := files(t)
	for method, example := range map[string]string{"nat": "lvs-nat-two-networks", "dr": "lvs-dr-one-lan", "tunnel": "lvs-tunnel"} {
		cfg, diags := configs.Load(filepath.Join(repository, "configs/examples", example+".hcl"))
		if diags.Errors() > 0 {
			t.Fatal(diags.Err())
		}
		var known []netip.Addr
		vs := cfg.VirtualServers[0]
		if vs.Forward.String() != method {
			t.Errorf("%s is of %v", example, vs.Forward)
		}
		for _, a := range cfg.VirtualRouters[0].Addresses {
			known = append(known, a.Prefix.Addr())
		}
		known = append(known, vs.RealServers[0].Address.Addr())
		text := string(all["docs/pictures/"+method+".svg"])
		for _, a := range known {
			if !strings.Contains(text, a.String()) {
				t.Errorf("%s.svg lacks %s of %s", method, a, example)
			}
		}
		// The others are those of the lab: the client's, and the directors' own.
		lab := string(all["cmd/holdfast-lab/setups_linux_test.go"]) + string(all["cmd/holdfast-lab/setups_wire_linux_test.go"])
		for _, a := range ipv4.FindAllString(text, -1) {
			if !slices.Contains(known, netip.MustParseAddr(a)) && !strings.Contains(lab, `"`+a) {
				t.Errorf("%s.svg has %s, which is neither in %s nor in the lab", method, a, example)
			}
		}
	}
}

// TestOutputInPages: what docs/troubleshooting.md shows of what commands print is what they print: each line is in a golden
// file or, of status, in docs/operations.md.
func TestOutputInPages(t *testing.T) {
	all := files(t)
	printed := string(all["docs/operations.md"])
	for name, src := range all {
		if strings.HasPrefix(name, "cmd/holdfast/testdata/") {
			printed += string(src)
		}
	}
	list, _ := blocks(string(all["docs/troubleshooting.md"]))
	n := 0
	for _, b := range list {
		for line := range strings.Lines(b.text) {
			if b.language != "console" || strings.HasPrefix(line, "$ ") {
				continue
			}
			n++
			if !strings.Contains(printed, line) {
				t.Errorf("docs/troubleshooting.md:%d: no command prints %q", b.line, line)
			}
		}
	}
	if n < 10 {
		t.Errorf("%d lines", n)
	}
}

var (
	metricName = regexp.MustCompile("`(holdfast_[a-z_]+?)(_bucket|_count|_sum)?[`{]")
	findingID  = regexp.MustCompile("`([a-z]+(?:-[a-z]+)+)`")
)

// TestNamesInPages: the metrics that pages name are exposed, and the findings that the troubleshooting names are in the
// doctor's catalogue.
func TestNamesInPages(t *testing.T) {
	all := files(t)
	metrics := string(all["docs/metrics.md"])
	for name, page := range pages(t) {
		for _, m := range metricName.FindAllStringSubmatch(page, -1) {
			if !strings.Contains(metrics, "| `"+m[1]+"` |") {
				t.Errorf("%s: there is no metric %s", name, m[1])
			}
		}
	}
	var ids []string
	for _, c := range doctor.Catalogue() {
		ids = append(ids, c.ID)
	}
	_, prose := blocks(string(all["docs/troubleshooting.md"]))
	named := findingID.FindAllStringSubmatch(prose, -1)
	for _, m := range named {
		if !slices.Contains(ids, m[1]) {
			t.Errorf("docs/troubleshooting.md: doctor finds no %s", m[1])
		}
	}
	if len(named) < 10 {
		t.Errorf("%d findings", len(named))
	}
}

// TestComparisonPage: what docs/keepalived.md names of holdfast's language exists, and its figures are those of
// docs/benchmarks.md.
func TestComparisonPage(t *testing.T) {
	all := files(t)
	page, reference := string(all["docs/keepalived.md"]), string(all["configs/reference.hcl"])
	_, keywords, _ := strings.Cut(page, "| keepalived.conf | here | to mind |\n|---|---|---|\n")
	rows := 0
	for line := range strings.Lines(keywords) {
		columns := strings.Split(line, " | ")
		if len(columns) != 3 {
			t.Fatalf("no row of three: %q", line)
		}
		rows++
		for _, m := range inlineCode.FindAllStringSubmatch(columns[1], -1) {
			if !regexp.MustCompile(`\b` + m[1] + `\b`).MatchString(reference) {
				t.Errorf("configs/reference.hcl has no %s", m[1])
			}
		}
	}
	_, figures, _ := strings.Cut(page, "\n## Figures\n")
	figures, _, _ = strings.Cut(figures, "\n## ")
	measured := 0
	for line := range strings.Lines(figures) {
		if strings.HasPrefix(line, "| ") && !strings.Contains(line, "| ratio |") {
			measured++
			if !strings.Contains(string(all["docs/benchmarks.md"]), strings.TrimSpace(line)) { // which has more columns
				t.Errorf("docs/benchmarks.md does not have %q", line)
			}
		}
	}
	if rows < 30 || measured < 5 {
		t.Errorf("%d keywords, %d figures", rows, measured)
	}
}

// TestPackagesInPages: docs/architecture.md says where each package is.
func TestPackagesInPages(t *testing.T) {
	all := files(t)
	page := string(all["docs/architecture.md"])
	for name := range all {
		folder := path.Dir(name)
		if path.Ext(name) != ".go" || strings.Contains(folder, "testdata") || strings.HasPrefix(folder, "tools") {
			continue
		}
		if !strings.Contains(page, "`"+folder+"`") && !strings.Contains(page, "`"+path.Base(folder)+"`") {
			t.Errorf("docs/architecture.md does not have %s", folder)
		}
	}
}
