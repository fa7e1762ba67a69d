// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/gohcl"
)

// TestDecodeIsGohcl holds what decodeConfig makes of every file, right or wrong, against what gohcl does.
func TestDecodeIsGohcl(t *testing.T) {
	var files []string
	for _, pattern := range []string{"*.hcl", "examples/*.hcl", "testdata/*.hcl", "testdata/*/*.hcl", "testdata/*/*/*.hcl"} {
		found, _ := filepath.Glob(pattern)
		files = append(files, found...)
	}
	same := cmp.Options{
		cmp.Comparer(func(a, b hcl.Expression) bool { return a == b }),
		cmp.Comparer(func(a, b hcl.Body) bool { return a.MissingItemRange() == b.MissingItemRange() }),
	}
	faults := 0
	for _, file := range files {
		l := open(file)
		for _, merged := range []bool{false, true} {
			body := hcl.MergeFiles(l.bodies)
			if !merged {
				body = l.bodies[0].Body
			}
			var got, want rawConfig
			found, expected := decodeConfig(body, &got), gohcl.DecodeBody(body, nil, &want)
			if diff := cmp.Diff(want, got, same); diff != "" {
				t.Errorf("%s: (-gohcl +decodeConfig):\n%s", file, diff)
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
