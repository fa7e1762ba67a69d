// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// FuzzPieces: what is parsed statement by statement is what the parser makes of the whole, and no piece that is called
// shallow is too deep.
func FuzzPieces(f *testing.F) {
	for _, pattern := range []string{"*.hcl", "examples/*.hcl", "testdata/*.hcl", "testdata/*/*.hcl", "testdata/*/*/*.hcl"} {
		files, _ := filepath.Glob(pattern)
		for _, file := range files {
			src, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(src)
		}
	}
	for _, src := range []string{
		"\ufeffa = 1\r\nb = 2 // c\n# {\n", "a \"x\" {\n  b = \"${c[\"}\"]}\"\n}\na {}\n", "a = \"\\\"{\"\nb = 1\n",
		"a = 1\na = 2\n", "a = 1\n\ufeffb = 2\n", "a = 1 /* {\n */\nb {\n}\n", "a = <<X\n}\nX\nb = 1\n", "a = \"$${\"\nb = \"%{if true}%{endif}\"\n",
		"a = \"\u2028{\"\nb = [\n1,\n]\n", "a = \"\\\n\"\n", "a = {\n b = 1\n}\nc = (\n1)\n", "# x", "a = 1 # é\nb = \"é\"\nc = 1", "a {\n}", "",
		"a = [for k, v in { b = 1 } : \"${k}}\" if v > 0]\nb = f({\n  c = 1\n}...)[*].d\n", "a = \"%{ for b in c ~}\n\"\nd = 1\n",
		"dynamic \"a\" {\n  labels = [a.value[\"b\"], c ? d : e]\n  content {}\n}\nf = 1\n", "a = [" + strings.Repeat("b.c, ", 1200) + "1]\nd = 1\n",
		strings.Repeat("a = ", 2) + strings.Repeat("!", 1001) + "true\n", "a = 1\n\"b\" = 1\n", "a = 1;\n", "a {\n ~}\n", "a = 1 <\n", "\xff = 1\n",
	} {
		f.Add([]byte(src))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		for _, p := range pieces(src, 0) {
			if at, deep := tooDeep("x", p.src, p.start); p.shallow && deep {
				t.Fatalf("a piece is called shallow that is too deep at %s", at)
			}
		}
		if _, deep := tooDeep("x", src, hcl.InitialPos); deep {
			return
		}
		got := parsePieces("x", src, 0)
		want, diags := hclsyntax.ParseConfig(src, "x", hcl.InitialPos)
		switch {
		case got == nil:
		case len(diags) > 0:
			t.Fatalf("the pieces lack %v", diags)
		case !reflect.DeepEqual(want.Body, got):
			t.Fatalf("the pieces differ from the whole:\n%#v\n%#v", want.Body, got)
		}
	})
}

// TestPieces: files without anything unusual are cut, the others as far as they are usual.
func TestPieces(t *testing.T) {
	tests := []struct {
		src  string
		want int // pieces
	}{
		{"", 1},
		{"a = 1\n", 1},
		{"a = 1\nb {\n  c = \"}\"\n}\n# {\nd = 1\n", 4},
		{"a = \"${b[\"c\"]}\"\nd = \"\\\"\"\ne = 1 /*\n*/\nf {\n}", 4},
		{"a = 1\nb = <<X\n}\nX\nd = 1\n", 2},
		{"a = 1\nb = 1)\nd = 1\n", 2},
	}
	for _, tt := range tests {
		got := pieces([]byte(tt.src), 0)
		var joined strings.Builder
		for _, p := range got {
			joined.Write(p.src)
		}
		if len(got) != tt.want || joined.String() != tt.src {
			t.Errorf("%q is cut into %d pieces, want %d", tt.src, len(got), tt.want)
		}
	}
}
