// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"math"
	"os"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/internal/netlab"
)

// TestBenchChecks measures a small fleet, and takes what it finds for what it is.
func TestBenchChecks(t *testing.T) {
	netlab.Require(t)
	benchChecks(t, "checks", contenders("")[:1], func(ctx context.Context, b *bench) ([]figure, error) {
		return b.checksNative(ctx, fleet{120, time.Second})
	})
}

func TestBenchChecksKernel(t *testing.T) {
	netlab.RequireIPVS(t)
	benchChecks(t, "checks-kernel", contenders(""), func(ctx context.Context, b *bench) ([]figure, error) {
		return b.checksKernel(ctx, fleet{120, time.Second})
	})
}

func TestBenchTable(t *testing.T) {
	netlab.RequireIPVS(t)
	benchChecks(t, "table", contenders(""), func(ctx context.Context, b *bench) ([]figure, error) {
		return b.table(ctx, grid{5, 40})
	})
}

func benchChecks(t *testing.T, subject string, all []contender, measure func(context.Context, *bench) ([]figure, error)) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(asHoldfast, "1")
	for i := range all {
		c := contenders(self)[i]
		t.Run(c.name, func(t *testing.T) {
			b := &bench{contender: c, settle: 200 * time.Millisecond, watch: 2 * time.Second}
			figures, err := onHosts(measure)(t.Context(), b)
			if err != nil {
				t.Fatal(err)
			}
			aimsAreOf(t, subject, figures)
			for _, f := range figures {
				t.Logf("%s: %s", f.Name, show(f.Value, f.Unit))
				if f.Value < 0 || math.IsNaN(f.Value) {
					t.Errorf("%s: %v", f.Name, f.Value)
				}
			}
		})
	}
}

func TestQuantile(t *testing.T) {
	before := bucketsOf([]byte("x_bucket{le=\"0.1\"} 5\nx_bucket{le=\"0.2\"} 6\nx_bucket{le=\"+Inf\"} 6\n"), "x")
	after := bucketsOf([]byte("x_bucket{le=\"0.1\"} 55\nx_bucket{le=\"0.2\"} 106\nx_bucket{le=\"+Inf\"} 106\nx_sum 3\n"), "x")
	for q, want := range map[float64]float64{.25: .05, .5: .1, .75: .15, 1: .2} {
		if got := quantile(before, after, q); math.Abs(got-want) > 1e-9 {
			t.Errorf("quantile %v: got %v, want %v", q, got, want)
		}
	}
	if got := quantile(nil, nil, .5); !math.IsNaN(got) {
		t.Errorf("of nothing: got %v", got)
	}
}
