// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestFmt holds what fmt prints, its exit code and the files that it leaves against testdata/fmt.txt.
func TestFmt(t *testing.T) {
	const ugly, fine, wrong = "log {\nlevel=\"debug\"\n  format   = \"json\"\n}\n\n\n", "log {\n  level = \"info\"\n}\n", "log {\n  level =\n}\n"
	var out strings.Builder
	for _, args := range [][]string{
		{"fmt", "--check", "."}, {"fmt", "--check", "--json", "."}, {"fmt", "--check", "fine.hcl"}, {"fmt", "."}, {"fmt", "--json", "fine.hcl"},
		{"fmt", "-"}, {"fmt", "--check", "-"}, {"fmt", "absent.hcl"}, {"fmt", "x.hcl.json"}, {"-c", "ugly.hcl", "fmt"},
	} {
		t.Chdir(t.TempDir())
		for name, src := range map[string]string{"ugly.hcl": ugly, "fine.hcl": fine, "wrong.hcl": wrong, "x.hcl.json": "{}", ".x.hcl": wrong} {
			if err := os.WriteFile(name, []byte(src), 0o640); err != nil {
				t.Fatal(err)
			}
		}
		var stdout, stderr bytes.Buffer
		g := &globals{}
		root := newRootCommand(g)
		root.SetIn(strings.NewReader(ugly))
		code := runRoot(root, g, args, &stdout, &stderr)
		fmt.Fprintf(&out, "$ holdfast %s\n%s%sexit code %d\n", strings.Join(args, " "), &stdout, &stderr, code)
		files, _ := filepath.Glob("*")
		for _, name := range files {
			src, _ := os.ReadFile(name)
			if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o640 {
				t.Errorf("%s: %v, %v", name, info.Mode(), err)
			}
			if name == "ugly.hcl" && string(src) != ugly {
				fmt.Fprintf(&out, "ugly.hcl:\n%s", src)
			}
			if name == "wrong.hcl" && string(src) != wrong {
				t.Errorf("%v changes a file with a fault", args)
			}
		}
		out.WriteString("\n")
	}
	t.Chdir(start)
	golden(t, "testdata/fmt.txt", out.String())
}

// start is where the tests begin.
var start, _ = os.Getwd()
