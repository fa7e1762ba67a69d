// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// expectation is a comment /* error: SUMMARY: DETAIL */ before the token that it is about; several may share a token.
var (
	expectation = regexp.MustCompile(`(?s)/\* (error|warning): (.*?) \*/\s*`)
	others      = regexp.MustCompile(`(?s)^(/\* .*? \*/\s*)*`)
)

// TestInvalid loads every file, and every folder, of testdata/invalid and compares all that is reported, with its
// position, with what the comments in the files expect.
func TestInvalid(t *testing.T) {
	entries, err := os.ReadDir("testdata/invalid")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		t.Run(e.Name(), func(t *testing.T) {
			path := filepath.Join("testdata/invalid", e.Name())
			files := []string{path}
			if e.IsDir() {
				files, _ = filepath.Glob(filepath.Join(path, "*.hcl"))
			}
			cfg, diags := Load(path)
			if compare(t, files, cfg, diags) == 0 {
				t.Fatal("the file expects nothing")
			}
		})
	}
}

// compare holds all that was reported of files, with its position, against what their comments expect; it returns how
// much that is.
func compare(t *testing.T, files []string, cfg *Config, diags Diagnostics) int {
	var want, got []string
	for _, f := range files {
		want = append(want, expected(t, f)...)
	}
	for _, d := range diags {
		got = append(got, fmt.Sprintf("%s:%d:%d: %s: %s: %s", d.File, d.Line, d.Column, d.Severity, d.Summary, d.Detail))
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("diagnostics (-want +got):\n%s", diff)
	}
	if (cfg == nil) != (diags.Errors() > 0) {
		t.Errorf("config is %v with %d errors", cfg, diags.Errors())
	}
	return len(want)
}

// TestPair compares the two files of each folder of testdata/pair, with what their comments expect.
func TestPair(t *testing.T) {
	folders, _ := filepath.Glob("testdata/pair/*")
	if len(folders) == 0 {
		t.Fatal("no pairs")
	}
	for _, folder := range folders {
		t.Run(filepath.Base(folder), func(t *testing.T) {
			files := []string{filepath.Join(folder, "here.hcl"), filepath.Join(folder, "there.hcl")}
			cfg, diags := LoadPair(files[0], files[1], nil, nil)
			compare(t, files, cfg, diags)
		})
	}
}

// expected returns the diagnostics that a file announces.
func expected(t *testing.T, file string) []string {
	src, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, m := range expectation.FindAllSubmatchIndex(src, -1) {
		before := string(src[:m[1]+len(others.Find(src[m[1]:]))])
		line := strings.Count(before, "\n") + 1
		column := len([]rune(before[strings.LastIndexByte(before, '\n')+1:])) + 1
		text := strings.Join(strings.Fields(string(src[m[4]:m[5]])), " ")
		want = append(want, fmt.Sprintf("%s:%d:%d: %s: %s", file, line, column, src[m[2]:m[3]], text))
	}
	return want
}

// TestErr has the faults that leave no room for a comment before the token, in the form of one line.
func TestErr(t *testing.T) {
	tests := []struct{ name, src, want string }{
		{
			"duration without quotes", "virtual_router \"a\" {\n  advertise_interval = 300ms\n}\n",
			"x.hcl:2:27: error: Missing newline after argument: An argument definition must end with a newline. " +
				`A duration is a text in quotes: write "300ms".`,
		},
		{
			"text without end", "log {\n  level = \"info\n}\nlog {\n}\n",
			"x.hcl:2:16: error: Invalid multi-line string: Quoted strings may not be split over multiple lines. To produce " +
				`a multi-line string, either use the \n escape to represent a newline character or use the "heredoc" ` +
				"multi-line template syntax.",
		},
		{
			"more errors than one", "log {\n  level  = 1\n  format = 2\n}\nhttp {\n  listen = \"x\"\n}\n",
			"x.hcl:2:12: error: Invalid level: level takes one of debug, info, warn, error, not 1. (and 2 more)",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg, diags := LoadBytes("x.hcl", []byte(tt.src))
			if err := diags.Err(); cfg != nil || err == nil || err.Error() != tt.want {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
}

func TestLoadFiles(t *testing.T) {
	dir := t.TempDir()
	folder := filepath.Join(dir, "folder.hcl")
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	empty := t.TempDir()
	if err := os.WriteFile(filepath.Join(empty, ".#web.hcl"), []byte("nonsense"), 0o644); err != nil {
		t.Fatal(err)
	}
	tests := []struct{ name, path, want string }{
		{"absent", filepath.Join(dir, "absent.hcl"), "no such file"},
		{"device", "/dev/zero", "not a regular file"},
		{"folder named as a file", dir, "not a regular file"},
		{"empty folder", empty, "no file whose name ends in .hcl"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg, diags := Load(tt.path)
			if cfg != nil || len(diags) != 1 || !strings.Contains(diags[0].Detail, tt.want) || diags[0].Line != 0 {
				t.Errorf("got %v, %+v; want %q without a line", cfg, diags, tt.want)
			}
		})
	}
}

// doubling is an expression whose value is twice as large with each level, although its parts are shared.
func doubling(levels int) string {
	expr := "[x0, x0]"
	for i := range levels {
		expr = fmt.Sprintf("[for x%d in [[x%d, x%[2]d]] : %s]", i, i+1, expr)
	}
	return fmt.Sprintf("[for x%d in [1] : %s]", levels, expr)
}

func TestLoadBounds(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	tests := []struct{ name, src string }{
		{"brackets", "a = " + strings.Repeat("[", 50_000)},
		{"braces", strings.Repeat("a {", 50_000)},
		{"templates", "a = " + strings.Repeat(`"${`, 50_000)},
		{"directives", `a = "` + strings.Repeat("%{ if true }", 50_000)},
		{"negations", "a = " + strings.Repeat("!", 50_000) + "true"},
		{"sum", "a = 1" + strings.Repeat("+1", 50_000)},
		{"conditions", "a = " + strings.Repeat("true ? 1 : ", 50_000) + "1"},
		{"traversal", "a = b" + strings.Repeat(".c", 50_000)},
		{"size", strings.Repeat("\n", maxSize+1)},
		{"loops", "log {\n  level = [for a in range(1000) : [for b in range(1000) : [for c in range(1000) : c]]]\n}"},
		{"texts", "log {\n  level = join(\",\", [for a in range(1000) : join(\",\", [for b in range(1000) : \"${a}${b}\"])])\n}"},
		{"doubling", "log {\n  level = " + doubling(90) + "\n}"},
		{"directives that loop", "log {\n  level = \"%{ for a in range(1000) }%{ for b in range(1000) }${a}%{ endfor }%{ endfor }\"\n}"},
		{"dynamic", "dynamic \"notify\" {\n  for_each = flatten([for a in range(100) : range(1000)])\n  content {}\n}"},
		{"dynamic in dynamic", "dynamic \"virtual_server\" {\n  for_each = range(1000)\n  labels = [virtual_server.value]\n  content {\n" +
			"    dynamic \"real_server\" {\n      for_each = range(1000)\n      labels = [real_server.value]\n      content {}\n    }\n  }\n}"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg, diags := LoadBytes("x.hcl", []byte(tt.src))
			tooMuch := slices.ContainsFunc(diags, func(d Diagnostic) bool { return d.Summary == "Too much to work out" })
			if cfg != nil || diags.Errors() != 1 && !tooMuch {
				t.Errorf("got %v, %d errors; want one, or that it is too much", cfg, diags.Errors())
			}
		})
	}
}
