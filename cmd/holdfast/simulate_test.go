// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/holdfast-lb/holdfast/configs"
)

// TestSimulate compares all that simulate prints, and its exit code, with golden files.
func TestSimulate(t *testing.T) {
	const pair = "testdata/simulate/lb1.hcl testdata/simulate/lb2.hcl"
	for name, args := range map[string]string{
		"default":     pair,
		"events":      pair + " --events testdata/simulate/events.txt",
		"events.json": pair + " --events testdata/simulate/events.txt --for 12s --json",
		"failover":    pair + " --events testdata/simulate/failover.txt --for 60s",
		"wrong":       pair + " --events testdata/simulate/wrong.txt",
		"absent":      pair + " --events testdata/simulate/absent.txt",
		"loss":        pair + " --loss 2",
		"one":         "testdata/simulate/lb1.hcl",
		"twins":       "testdata/simulate/lb1.hcl testdata/simulate/lb1.hcl --for 5s",
		"invalid":     "testdata/simulate/lb1.hcl testdata/check/errors.hcl",
		"none":        "../../configs/examples/balancer-only.hcl ../../configs/examples/balancer-only.hcl",
	} {
		t.Run(name, func(t *testing.T) {
			args := append([]string{"simulate"}, strings.Fields(args)...)
			var stdout, stderr bytes.Buffer
			code := run(args, &stdout, &stderr)
			golden(t, filepath.Join("testdata/simulate", name+".golden"),
				fmt.Sprintf("$ holdfast %s\n%s%sexit code %d\n", strings.Join(args, " "), &stdout, &stderr, code))
		})
	}
}

// TestSimulatePage plays the example of docs/simulate.md: its two configurations, its events, its output.
func TestSimulatePage(t *testing.T) {
	list, _ := blocks(string(files(t)["docs/simulate.md"]))
	dir := t.TempDir()
	t.Chdir(dir)
	played := 0
	for _, b := range list {
		switch b.language {
		case "hcl":
			cfg, diags := configs.LoadBytes("docs/simulate.md", []byte(b.text))
			if cfg == nil {
				t.Fatal(diags)
			}
			write(t, cfg.Director.Name+".hcl", b.text)
		case "text":
			write(t, "events.txt", b.text)
		case "console":
			command, want, _ := strings.Cut(b.text, "\n")
			var stdout, stderr bytes.Buffer
			run(strings.Fields(strings.TrimPrefix(command, "$ holdfast ")), &stdout, &stderr)
			if got := stdout.String() + stderr.String(); !strings.HasSuffix(got, want) || want == "" {
				t.Errorf("%s: the page says\n%s\nbut it prints\n%s", command, want, got)
			}
			played++
		}
	}
	if played == 0 {
		t.Error("docs/simulate.md plays nothing")
	}
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
