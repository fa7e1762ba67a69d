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
