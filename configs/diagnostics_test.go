// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestWriteColor(t *testing.T) {
	_, diags := LoadBytes("x.hcl", []byte("log {\n\tlevel = 1\n}\nvirtual_server \"a\" {\n  address = \"10.0.0.1:80\"\n}\n"))
	var got strings.Builder
	if err := diags.Write(&got, true); err != nil {
		t.Fatal(err)
	}
	want := "\x1b[1;31mx.hcl:2:10: error: Invalid level\x1b[0m\n" +
		"    2 | \tlevel = 1\n" +
		"      | \x1b[1;31m\t        ^\x1b[0m\n" +
		"      level takes one of debug, info, warn, error, not 1.\n" +
		"\n" +
		"\x1b[1;33mx.hcl:4:1: warning: No real server\x1b[0m\n" +
		"    4 | virtual_server \"a\" {\n" +
		"      | \x1b[1;33m^^^^^^^^^^^^^^^^^^\x1b[0m\n" +
		"      The service refuses every connection until it has a real_server.\n"
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Errorf("output (-want +got):\n%s", diff)
	}
}

// What a file says is neither repeated without end nor does it reach the terminal as it is.
func TestWriteHostile(t *testing.T) {
	tests := []struct{ name, src string }{
		{"long line", "virtual_router \"a\" {\n  source = \"" + strings.Repeat("é", 100_000) + "\"\n}\n"},
		{"escape sequence", "virtual_router \"a\" {\n  source = \"\x1b[31m\" # \x1b[2J\r\n}\n"},
		{"long name", strings.Repeat("x", 100_000) + " = 1\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, diags := LoadBytes("x.hcl", []byte(tt.src))
			var out strings.Builder
			if err := diags.Write(&out, false); err != nil {
				t.Fatal(err)
			}
			got := out.String()
			if got == "" || len(got) > 3000 || strings.ContainsAny(got, "\x1b\r") || !utf8.ValidString(got) {
				t.Errorf("got %d bytes: %.200q", len(got), got)
			}
		})
	}
}

func TestErrIsNilForWarnings(t *testing.T) {
	cfg, diags := LoadBytes("x.hcl", []byte("virtual_server \"a\" {\n  address = \"10.0.0.1:80\"\n}\n"))
	if cfg == nil || len(diags) != 1 || diags.Err() != nil {
		t.Errorf("got %v, %v, %v; want a configuration and one warning", cfg, diags, diags.Err())
	}
}
