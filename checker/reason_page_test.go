// SPDX-License-Identifier: Apache-2.0

package checker

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// reasons returns the values of all constants of this package that are called reason….
func reasons(t *testing.T) []string {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || len(spec.Values) != 1 || !strings.HasPrefix(spec.Names[0].Name, "reason") {
				return true
			}
			if text, ok := spec.Values[0].(*ast.BasicLit); ok && text.Kind == token.STRING {
				value, err := strconv.Unquote(text.Value)
				if err != nil {
					t.Fatal(err)
				}
				found = append(found, value)
			}
			return true
		})
	}
	return found
}

// TestReasonsPage: docs/checks.md explains every reason that a result can have, and no other.
func TestReasonsPage(t *testing.T) {
	page, err := os.ReadFile("../docs/checks.md")
	if err != nil {
		t.Fatal(err)
	}
	_, tables, _ := strings.Cut(string(page), "## Reasons")
	listed := map[string]bool{}
	for line := range strings.Lines(tables) {
		first, _, ok := strings.Cut(strings.TrimPrefix(line, "| "), " | ")
		for i, part := range strings.Split(first, "`") {
			if ok && i%2 == 1 {
				listed[part] = true
			}
		}
	}
	all := reasons(t)
	if len(all) == 0 {
		t.Fatal("no reasons")
	}
	for _, r := range all {
		if !listed[r] {
			t.Errorf("docs/checks.md lacks the reason %q", r)
		}
	}
	for r := range listed {
		if !slices.Contains(all, r) {
			t.Errorf("docs/checks.md has %q, which is no reason", r)
		}
	}
}
