// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files")

// TestCheck compares all that check prints, and its exit code, with the golden file beside each configuration.
func TestCheck(t *testing.T) {
	files, _ := filepath.Glob("testdata/check/*.hcl")
	for _, f := range append(files, "testdata/check/absent.hcl") {
		for _, args := range [][]string{{"check", "-c", f}, {"check", "--json", "-c", f}} {
			name := strings.TrimSuffix(f, ".hcl") + ".txt"
			if len(args) == 4 {
				name = strings.TrimSuffix(f, ".hcl") + ".json.txt"
			}
			t.Run(filepath.Base(name), func(t *testing.T) {
				var stdout, stderr bytes.Buffer
				code := run(args, &stdout, &stderr)
				golden(t, name, fmt.Sprintf("$ holdfast %s\n%s%sexit code %d\n", strings.Join(args, " "), &stdout, &stderr, code))
			})
		}
	}
}

// TestCheckPeer compares what check --peer prints of a pair of files, NAME.1.hcl and NAME.2.hcl, with its golden files.
func TestCheckPeer(t *testing.T) {
	firsts, _ := filepath.Glob("testdata/check/pair/*.1.hcl")
	if len(firsts) == 0 {
		t.Fatal("no pairs")
	}
	for _, first := range firsts {
		pair := strings.TrimSuffix(first, ".1.hcl")
		for _, form := range []string{"", "--json"} {
			args := []string{"check", "-c", first, "--peer", pair + ".2.hcl"}
			name := pair + ".txt"
			if form != "" {
				args, name = append(args, form), pair+".json.txt"
			}
			t.Run(filepath.Base(name), func(t *testing.T) {
				var stdout, stderr bytes.Buffer
				code := run(args, &stdout, &stderr)
				golden(t, name, fmt.Sprintf("$ holdfast %s\n%s%sexit code %d\n", strings.Join(args, " "), &stdout, &stderr, code))
			})
		}
	}
}

// golden compares got with the contents of a file, or writes them with -update.
func golden(t *testing.T, name, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

// TestCheckVariables holds what check makes of --var and --peer-var against testdata/check_variables.txt.
func TestCheckVariables(t *testing.T) {
	const file = "../../configs/examples/variables.hcl"
	var out strings.Builder
	for _, args := range [][]string{
		{"check", "-c", file, "--var", "priority=120", "--var", `servers={only={address="10.0.0.21", weight=1}}`},
		{"check", "-c", file, "--peer", file, "--peer-var", "priority=90"},
		{"check", "-c", file, "--var", "priority=90", "--peer", file, "--peer-var", "priority=100", "--peer-var", "address=10.0.0.101"},
		{"check", "-c", file, "--var", "priority=500", "--var", "adress=10.0.0.1"},
		{"check", "-c", file, "--var", "priority"},
	} {
		var stdout, stderr bytes.Buffer
		code := run(args, &stdout, &stderr)
		fmt.Fprintf(&out, "$ holdfast %s\n%s%sexit code %d\n\n", strings.Join(args, " "), &stdout, &stderr, code)
	}
	golden(t, "testdata/check_variables.txt", out.String())
}
