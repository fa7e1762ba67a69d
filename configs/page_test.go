// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

var update = flag.Bool("update", false, "write the pages that are made of code")

// A pageWriter makes the tables of docs/configuration.md of reference.hcl.
type pageWriter struct {
	src   []byte
	lines []string
	out   strings.Builder
}

// after is the comment behind a place on its line.
func (w *pageWriter) after(p hcl.Pos) string {
	_, text, _ := strings.Cut(string(w.src[p.Byte:p.Byte+len(w.lines[p.Line-1])-p.Column+1]), "#")
	return strings.TrimSpace(text)
}

// above is the comment on the lines before a place; rulers are none.
func (w *pageWriter) above(p hcl.Pos) string {
	var list []string
	for n := p.Line - 2; n >= 0; n-- {
		text, is := strings.CutPrefix(strings.TrimSpace(w.lines[n]), "# ")
		if !is || strings.HasPrefix(text, "---") {
			break
		}
		list = append([]string{text}, list...)
	}
	return strings.Join(list, " ")
}

// cell is text in a table.
func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }

// block writes a block's table, and those of the blocks in it.
func (w *pageWriter) block(path string, b *hclsyntax.Block) {
	name := strings.TrimSpace(path + " " + b.Type)
	title := name
	for _, l := range b.Labels {
		title += fmt.Sprintf(" %q", l)
	}
	fmt.Fprintf(&w.out, "### %s\n\n", title)
	for _, text := range []string{w.above(b.TypeRange.Start), w.after(b.OpenBraceRange.Start)} {
		if text != "" && len(b.Body.Attributes)+len(b.Body.Blocks) > 0 {
			fmt.Fprintf(&w.out, "%s.\n\n", strings.TrimRight(strings.ToUpper(text[:1])+text[1:], ".:"))
		}
	}
	var attributes []*hclsyntax.Attribute
	for _, a := range b.Body.Attributes {
		attributes = append(attributes, a)
	}
	slices.SortFunc(attributes, func(a, b *hclsyntax.Attribute) int { return a.SrcRange.Start.Byte - b.SrcRange.Start.Byte })
	if len(attributes) == 0 {
		w.out.WriteString("Nothing of its own.\n\n")
	} else {
		w.out.WriteString("| argument | value | |\n|---|---|---|\n")
	}
	for _, a := range attributes {
		fmt.Fprintf(&w.out, "| `%s` | `%s` | %s |\n", a.Name, cell(string(a.Expr.Range().SliceBytes(w.src))), cell(w.after(a.SrcRange.End)))
	}
	if len(attributes) > 0 {
		w.out.WriteString("\n")
	}
	for _, inner := range b.Body.Blocks {
		w.block(name, inner)
	}
}

// TestConfigurationPage: the tables of docs/configuration.md are what reference.hcl has, which the schema and the code's
// defaults agree with (TestReferenceIsComplete, TestReferenceHasTheDefaults).
func TestConfigurationPage(t *testing.T) {
	const begin, end = "<!-- go test ./configs -run TestConfigurationPage -update -->\n", "<!-- end -->\n"
	const path = "../docs/configuration.md"
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok1 := strings.Cut(string(page), begin)
	table, after, ok2 := strings.Cut(rest, end)
	if !ok1 || !ok2 {
		t.Fatalf("%s lacks the lines around its tables", path)
	}
	src, err := os.ReadFile("reference.hcl")
	if err != nil {
		t.Fatal(err)
	}
	file, diags := hclsyntax.ParseConfig(src, "reference.hcl", hcl.InitialPos)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	w := &pageWriter{src: src, lines: strings.Split(string(src), "\n")}
	w.out.WriteString("\n")
	for _, b := range file.Body.(*hclsyntax.Body).Blocks {
		w.block("", b)
	}
	got := w.out.String()
	if *update {
		if err := os.WriteFile(path, []byte(before+begin+got+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(table, got); diff != "" {
		t.Errorf("%s differs from reference.hcl (-page +reference); write the page anew with -update:\n%s", path, diff)
	}
}
