// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/internal/netlab"
)

// TestBench measures a little of each subject, and takes what it finds for what it is: the machine may be busy.
func TestBench(t *testing.T) {
	netlab.Require(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(asHoldfast, "1")
	for _, c := range contenders(self) {
		for name, measure := range map[string]func(context.Context, *bench) ([]figure, error){
			"routers": func(ctx context.Context, b *bench) ([]figure, error) { return b.routers(ctx, 3, 100*time.Millisecond) },
			"addresses": func(ctx context.Context, b *bench) ([]figure, error) {
				return b.addresses(ctx, 20, 20, 100*time.Millisecond)
			},
		} {
			t.Run(c.name+" "+name, func(t *testing.T) {
				b := &bench{contender: c, settle: 200 * time.Millisecond, watch: time.Second}
				figures, err := b.run(t.Context(), measure)
				if err != nil {
					t.Fatal(err)
				}
				for _, f := range figures {
					t.Logf("%s: %s", f.name, show(f.value, f.unit))
					if f.value < 0 {
						t.Errorf("%s: %v", f.name, f.value)
					}
				}
			})
		}
	}
}
