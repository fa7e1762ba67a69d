// SPDX-License-Identifier: Apache-2.0

package ipvs_test

import (
	"context"
	"os"
	"strconv"
	"testing"

	"github.com/holdfast-lb/holdfast/internal/netlab"
	"github.com/holdfast-lb/holdfast/ipvs"
)

// BenchmarkKernel has services with 20 destinations each: so many as HOLDFAST_BENCH_SERVICES says, or 200, which an emulated
// machine takes some seconds for.
func BenchmarkKernel(b *testing.B) {
	netlab.RequireIPVS(b)
	lab := netlab.New()
	defer lab.Close()
	k := openKernel(b, lab.Host("director"))
	services := 200
	if s := os.Getenv("HOLDFAST_BENCH_SERVICES"); s != "" {
		var err error
		if services, err = strconv.Atoi(s); err != nil {
			b.Fatal(err)
		}
	}
	want := grid(services, 20)
	owned := keys(want)
	reconcile := func(b *testing.B, want []ipvs.Service) {
		if _, err := ipvs.Reconcile(b.Context(), k, ipvs.Goal{Services: want, Owned: owned}); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("full load", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			b.StopTimer()
			reconcile(b, nil)
			b.StartTimer()
			reconcile(b, want)
		}
	})
	reconcile(b, want)
	b.Run("list", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := k.List(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("stats", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := k.Stats(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("no-op", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			reconcile(b, want)
		}
	})
	benchmarkReconciler(b, func(context.Context) (ipvs.Table, error) { return openTable(lab.Host("director")) }, want)
}
