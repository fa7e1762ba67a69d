// SPDX-License-Identifier: Apache-2.0

package director

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/holdfast-lb/holdfast/configs"
	"github.com/holdfast-lb/holdfast/ipvs"
	"github.com/holdfast-lb/holdfast/ipvs/ipvstest"
)

// BenchmarkReload is a reload that changes one weight of 5,000, from the parsed configuration to the goal of the
// reconciler.
func BenchmarkReload(b *testing.B) {
	var loaded [2]*configs.Config
	for w := range loaded {
		var text strings.Builder
		for v := range 50 {
			fmt.Fprintf(&text, "virtual_server \"v%d\" {\n  address = \"10.255.%d.1:80\"\n", v, v)
			for i := range 100 {
				weight := 1
				if v*i == 49*99 {
					weight += w
				}
				fmt.Fprintf(&text, "  real_server \"s%d\" {\n    address = \"10.%d.0.%d:80\"\n    weight = %d\n  }\n", i, v, 1+i, weight)
			}
			text.WriteString("}\n")
		}
		cfg, diags := configs.LoadBytes("test.hcl", []byte(text.String()))
		if diags.Errors() > 0 {
			b.Fatal(diags)
		}
		loaded[w] = cfg
	}
	d := New(Options{
		Config: loaded[0], Log: slog.New(slog.DiscardHandler), Level: new(slog.LevelVar),
		OpenTable: func(context.Context) (ipvs.Table, error) { return &ipvstest.Fake{}, nil },
	})
	d.web = newWeb(d.o.Log, nil)
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		if _, err := d.apply(loaded[(n+1)%2]); err != nil {
			b.Fatal(err)
		}
		d.publish()
	}
}
