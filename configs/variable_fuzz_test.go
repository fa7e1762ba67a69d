// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// tooSlow is far more than any value of its size takes.
const tooSlow = 10 * time.Second

// FuzzVariable gives variables of each type whatever value the command line may hold, and calls functions of it: there is a
// configuration, or an error at the option or in the file, soon.
func FuzzVariable(f *testing.F) {
	for _, value := range []string{
		"", "lb1", "true", "1", "1e999999999", "-0x1p4000", `["a", 1]`, `{"a" = 1, b = [2]}`, "[for x in [1] : x]", "${var.a}", `["${env("HOME")}"]`,
		"[var.a]", "[range(100000)]", "{a = file(\"/etc/passwd\")}", strings.Repeat("[", 500), "\xff", "a\x00b", strings.Repeat("x", 10_000), "[" + strings.Repeat("1,", 1_000) + "]",
	} {
		for _, kind := range []uint8{0, 1, 2, 3, 4, 5} {
			f.Add(kind, value)
		}
	}
	defaults := []string{"", `default = "a"`, "default = true", "default = 1", `default = ["a"]`, "default = {}"}
	uses := []string{
		"log { level = var.a }", `director { name = format("%s%v", var.a, var.a) }`,
		"virtual_server \"a\" {\n  address = \"10.0.0.1:80\"\n  dynamic \"real_server\" {\n    for_each = var.a\n    labels = [real_server.key]\n    content {\n      address = real_server.value\n    }\n  }\n}",
		`director { name = join(",", [for x in var.a : upper(x)]) }`, `director { name = cidrhost("10.0.0.0/8", var.a) }`,
	}
	f.Fuzz(func(t *testing.T, kind uint8, value string) {
		def := defaults[int(kind)%len(defaults)]
		for _, use := range uses {
			src := fmt.Sprintf("variable \"a\" {\n  %s\n}\n%s\n", def, use)
			start := time.Now()
			cfg, diags := LoadBytes("fuzz.hcl", []byte(src), Variable{"a", value})
			if took := time.Since(start); took > tooSlow {
				t.Errorf("%q as %q takes %s", value, use, took)
			}
			if (cfg == nil) != (diags.Errors() > 0) {
				t.Fatalf("config %v with %d errors", cfg, diags.Errors())
			}
			for _, d := range diags {
				if d.Summary == "" || d.Detail == "" || len(d.Detail) > 4<<10 {
					t.Errorf("%q: %+v", value, d)
				}
			}
		}
	})
}
