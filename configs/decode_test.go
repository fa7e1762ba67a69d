// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/dynblock"
	"github.com/hashicorp/hcl/v2/gohcl"
)

// TestDecodeIsGohcl holds what decodeConfig makes of every file, right or wrong, against what gohcl does with ext/dynblock.
func TestDecodeIsGohcl(t *testing.T) {
	var files []string
	for _, pattern := range []string{"*.hcl", "examples/*.hcl", "testdata/*.hcl", "testdata/*/*.hcl", "testdata/*/*/*.hcl"} {
		found, _ := filepath.Glob(pattern)
		files = append(files, found...)
	}
	same := cmp.Options{
		cmp.Comparer(func(a, b hcl.Expression) bool { return hcl.UnwrapExpression(a) == hcl.UnwrapExpression(b) }),
		cmp.Comparer(func(a, b hcl.Body) bool { return a.MissingItemRange() == b.MissingItemRange() }),
	}
	faults := 0
	for _, file := range files {
		if strings.Contains(file, "dynamic_") {
			continue // what ext/dynblock makes without a bound, or of what is not for it
		}
		l := open(file)
		for _, merged := range []bool{false, true} {
			body := hcl.MergeFiles(l.bodies)
			if !merged {
				body = l.bodies[0].Body
			}
			var got, want rawConfig
			b := newBuilder()
			b.variables(body, nil, nil)
			found := decodeConfig(b.eval, body, &got)
			expected := gohcl.DecodeBody(dynblock.Expand(body, b.eval.base), b.eval.base, &want)
			if diff := cmp.Diff(want, got, same); diff != "" {
				t.Errorf("%s: (-gohcl +decodeConfig):\n%s", file, diff)
			}
			if strings.Contains(file, "dynamic") {
				continue // we say it otherwise
			}
			if diff := cmp.Diff(diagnostics(expected, nil), diagnostics(found, nil), cmp.AllowUnexported(Diagnostic{})); diff != "" {
				t.Errorf("%s: diagnostics (-gohcl +decodeConfig):\n%s", file, diff)
			}
			faults += len(found)
		}
	}
	if len(files) < 50 || faults < 10 {
		t.Errorf("%d files with %d faults tell little", len(files), faults)
	}
}
