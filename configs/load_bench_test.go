// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"fmt"
	"strings"
	"testing"
)

// BenchmarkLoad reads what a fleet is configured with: services of 100 real servers with one check.
func BenchmarkLoad(b *testing.B) {
	for _, servers := range []int{1000, 5000} {
		b.Run(fmt.Sprintf("%d", servers), func(b *testing.B) {
			src := fleet(servers)
			b.SetBytes(int64(len(src)))
			b.ReportAllocs()
			for b.Loop() {
				if cfg, diags := LoadBytes("fleet.hcl", src); cfg == nil {
					b.Fatal(diags.Err())
				}
			}
		})
	}
}

func fleet(servers int) []byte {
	var b strings.Builder
	for i := range servers {
		if i%100 == 0 {
			fmt.Fprintf(&b, `virtual_server "s%d" {
  address   = "10.100.0.%d:8000"
  scheduler = "rr"
  forward   = "dr"
  check "tcp" {
    interval       = "1s"
    timeout        = "1s"
    retry_interval = "1s"
    rise           = 1
    fall           = 2
  }
`, i/100, 1+i/100)
		}
		address := fmt.Sprintf("10.128.%d.%d", i/250, 1+i%250)
		fmt.Fprintf(&b, "  real_server %q {\n    address = %q\n    weight = 1\n  }\n", address, address)
		if i%100 == 99 {
			b.WriteString("}\n")
		}
	}
	return []byte(b.String())
}

// BenchmarkDynamic makes as many real servers by a dynamic block.
func BenchmarkDynamic(b *testing.B) {
	src := []byte(`dynamic "virtual_server" {
  for_each = range(10)
  labels   = ["s${virtual_server.value}"]
  content {
    address = "10.100.0.${1 + virtual_server.value}:8000"
    check "tcp" {}
    dynamic "real_server" {
      for_each = range(100)
      labels   = ["r${real_server.value}"]
      content {
        address = "10.128.${virtual_server.value}.${1 + real_server.value}"
        weight  = 1
      }
    }
  }
}
`)
	b.ReportAllocs()
	for b.Loop() {
		if cfg, diags := LoadBytes("fleet.hcl", src); cfg == nil {
			b.Fatal(diags.Err())
		}
	}
}
