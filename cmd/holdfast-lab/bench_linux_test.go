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
	if testing.Short() {
		t.Skip("it takes 40 s")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(asHoldfast, "1")
	for _, c := range contenders(self) {
		for name, measure := range map[string]func(context.Context, *bench) ([]figure, error){
			"routers": onHosts(func(ctx context.Context, b *bench) ([]figure, error) { return b.routers(ctx, 3, 100*time.Millisecond) }),
			"addresses": onHosts(func(ctx context.Context, b *bench) ([]figure, error) {
				return b.addresses(ctx, 20, 20, 100*time.Millisecond)
			}),
			"failover-100ms": func(ctx context.Context, b *bench) ([]figure, error) {
				return b.failover(ctx, 100*time.Millisecond, false)
			},
		} {
			t.Run(c.name+" "+name, func(t *testing.T) {
				b := &bench{contender: c, settle: 200 * time.Millisecond, watch: time.Second, cut: time.Second}
				figures, err := measure(t.Context(), b)
				if err != nil {
					t.Fatal(err)
				}
				aimsAreOf(t, name, figures)
				for _, f := range figures {
					t.Logf("%s: %s", f.Name, show(f.Value, f.Unit))
					if f.Value < 0 {
						t.Errorf("%s: %v", f.Name, f.Value)
					}
				}
			})
		}
	}
}
