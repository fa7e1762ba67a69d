// SPDX-License-Identifier: Apache-2.0

package ipvs_test

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/holdfast-lb/holdfast/ipvs"
	"github.com/holdfast-lb/holdfast/ipvs/ipvstest"
)

func TestDiff(t *testing.T) {
	const one = "-A -t 10.0.0.100:80 -s wlc\n-a -t 10.0.0.100:80 -r 10.0.1.1:80 -g -w 1"
	for _, tt := range []struct{ name, want, have, ops string }{
		{"nothing", "", "", ""},
		{"same", one, one, ""},
		{"create", one, "", one},
		{"delete with its destinations", "", one, "-D -t 10.0.0.100:80"},
		{"other protocol is another service", strings.ReplaceAll(one, "-t", "-u"), one, `
			-A -u 10.0.0.100:80 -s wlc
			-a -u 10.0.0.100:80 -r 10.0.1.1:80 -g -w 1
			-D -t 10.0.0.100:80`},
		{"scheduler", strings.Replace(one, "wlc", "rr", 1), one, "-E -t 10.0.0.100:80 -s rr"},
		{"flags", strings.Replace(one, "wlc", "mh -b mh-fallback,mh-port", 1), strings.Replace(one, "wlc", "mh", 1),
			"-E -t 10.0.0.100:80 -s mh -b mh-fallback,mh-port"},
		{"no flags", strings.Replace(one, "wlc", "sh", 1), strings.Replace(one, "wlc", "sh -b sh-port", 1), "-E -t 10.0.0.100:80 -s sh"},
		{"weight", strings.Replace(one, "-w 1", "-w 0", 1), one, "-e -t 10.0.0.100:80 -r 10.0.1.1:80 -g -w 0"},
		{"method", strings.Replace(one, "-g", "-m", 1), one, "-e -t 10.0.0.100:80 -r 10.0.1.1:80 -m -w 1"},
		{"tunnel", strings.Replace(one, "-g", "-i", 1), one, "-e -t 10.0.0.100:80 -r 10.0.1.1:80 -i -w 1 --tun-type ipip"},
		{"another server: add before delete", strings.Replace(one, "10.0.1.1", "10.0.1.2", 1), one, `
			-a -t 10.0.0.100:80 -r 10.0.1.2:80 -g -w 1
			-d -t 10.0.0.100:80 -r 10.0.1.1:80`},
		{"another port is another server", strings.Replace(one, "10.0.1.1:80", "10.0.1.1:81", 1), one, `
			-a -t 10.0.0.100:80 -r 10.0.1.1:81 -g -w 1
			-d -t 10.0.0.100:80 -r 10.0.1.1:80`},
		{"first of equals counts", one + "\n-a -t 10.0.0.100:80 -r 10.0.1.1:80 -m -w 9\n-A -t 10.0.0.100:80 -s rr", one, ""},
		{"order of the lists does not matter", `
			-A -t 10.0.0.101:80 -s rr
			-A -t 10.0.0.100:80 -s wlc
			-a -t 10.0.0.100:80 -r 10.0.1.2:80 -g -w 1
			-a -t 10.0.0.100:80 -r 10.0.1.1:80 -g -w 1`, `
			-A -t 10.0.0.100:80 -s wlc
			-a -t 10.0.0.100:80 -r 10.0.1.1:80 -g -w 1
			-a -t 10.0.0.100:80 -r 10.0.1.2:80 -g -w 1
			-A -t 10.0.0.101:80 -s rr`, ""},
		{"every kind in order", `
			-A -t 10.0.0.1:80 -s rr
			-a -t 10.0.0.1:80 -r 10.0.1.1:80 -m -w 2
			-a -t 10.0.0.1:80 -r 10.0.1.2:80 -m -w 1
			-A -t [fd00::1]:80 -s sh -b sh-port
			-a -t [fd00::1]:80 -r [fd00::2]:80 -m -w 1`, `
			-A -t 10.0.0.0:80 -s rr
			-A -t 10.0.0.1:80 -s wlc
			-a -t 10.0.0.1:80 -r 10.0.1.1:80 -m -w 1
			-a -t 10.0.0.1:80 -r 10.0.1.3:80 -m -w 1`, `
			-a -t 10.0.0.1:80 -r 10.0.1.2:80 -m -w 1
			-A -t [fd00::1]:80 -s sh -b sh-port
			-a -t [fd00::1]:80 -r [fd00::2]:80 -m -w 1
			-E -t 10.0.0.1:80 -s rr
			-e -t 10.0.0.1:80 -r 10.0.1.1:80 -m -w 2
			-d -t 10.0.0.1:80 -r 10.0.1.3:80
			-D -t 10.0.0.0:80`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			want, have := ipvstest.Parse(tt.want), ipvstest.Parse(tt.have)
			if got := text(ipvs.Diff(want, have)); got != lines(tt.ops) {
				t.Errorf("got\n%s\nwant\n%s", got, lines(tt.ops))
			}
		})
	}
}

func TestDiffLeavesItsArgumentsAlone(t *testing.T) {
	want := ipvstest.Parse("-A -t 10.0.0.2:80 -s rr\n-A -t 10.0.0.1:80 -s rr\n-a -t - -r 10.0.1.2:80 -m -w 1\n-a -t - -r 10.0.1.1:80 -m -w 1")
	before := slices.Clone(want)
	destinations := slices.Clone(want[1].Destinations)
	ipvs.Diff(want, want)
	if !slices.EqualFunc(want, before, ipvs.Service.Equal) || !slices.Equal(want[1].Destinations, destinations) {
		t.Errorf("got %v, want %v", want, before)
	}
}

func TestDiffRepairsUnknownMethod(t *testing.T) {
	want := ipvstest.Parse("-A -t 10.0.0.1:80 -s rr\n-a -t 10.0.0.1:80 -r 10.0.1.1:80 -g -w 1")
	have := ipvstest.Parse("-A -t 10.0.0.1:80 -s rr\n-a -t 10.0.0.1:80 -r 10.0.1.1:80 ? -w 1")
	if got := text(ipvs.Diff(want, have)); got != "-e -t 10.0.0.1:80 -r 10.0.1.1:80 -g -w 1" {
		t.Errorf("got %s", got)
	}
}

func text(ops []ipvs.Op) string {
	var s []string
	for _, op := range ops {
		s = append(s, op.String())
	}
	return strings.Join(s, "\n")
}

// lines takes the indentation off a text.
func lines(s string) string {
	var list []string
	for line := range strings.Lines(s) {
		if line = strings.TrimSpace(line); line != "" {
			list = append(list, line)
		}
	}
	return strings.Join(list, "\n")
}

// walk is a day in the life of a table.
var walk = []string{
	"",
	`-A -t 10.0.0.100:80 -s wlc`,
	`-A -t 10.0.0.100:80 -s wlc
	-a -t 10.0.0.100:80 -r 10.0.1.1:80 -g -w 1
	-a -t 10.0.0.100:80 -r 10.0.1.2:80 -g -w 1`,
	`-A -t 10.0.0.100:80 -s wlc
	-a -t 10.0.0.100:80 -r 10.0.1.1:80 -g -w 0
	-a -t 10.0.0.100:80 -r 10.0.1.2:80 -g -w 1`,
	`-A -t 10.0.0.100:80 -s wlc
	-a -t 10.0.0.100:80 -r 10.0.1.2:80 -g -w 5`,
	`-A -t 10.0.0.100:80 -s mh -b mh-port
	-a -t 10.0.0.100:80 -r 10.0.1.1:8080 -m -w 1
	-a -t 10.0.0.100:80 -r 10.0.1.2:80 -i -w 1
	-A -t [fd00::100]:80 -s mh -b mh-fallback,mh-port
	-a -t [fd00::100]:80 -r [fd00::1]:80 -g -w 1
	-A -u 10.0.0.100:53 -s rr
	-a -u 10.0.0.100:53 -r 10.0.1.1:53 -m -w 1`,
	`-A -t 10.0.0.100:80 -s wlc
	-a -t 10.0.0.100:80 -r 10.0.1.9:80 -g -w 1
	-A -u 10.0.0.100:53 -s sh -b sh-fallback
	-a -u 10.0.0.100:53 -r 10.0.1.1:53 -m -w 1`,
}

// TestWalk goes through the states in order and then at random; each has to look the same whichever way it is reached.
func TestWalk(t *testing.T) {
	foreign := ipvstest.Parse("-A -t 192.0.2.1:80 -s rr\n-a -t 192.0.2.1:80 -r 10.0.1.1:80 -m -w 1")
	var owned []ipvs.Key
	for _, state := range walk {
		for _, s := range ipvstest.Parse(state) {
			owned = append(owned, s.Key)
		}
	}
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	table := &ipvstest.Fake{}
	if _, err := ipvs.Reconcile(t.Context(), table, ipvs.Goal{Services: foreign}); err != nil {
		t.Fatal(err)
	}
	for i := range 1000 {
		n := i
		if i >= len(walk) {
			n = random.IntN(len(walk))
		}
		want := ipvstest.Parse(walk[n])
		report, err := ipvs.Reconcile(t.Context(), table, ipvs.Goal{Services: want, Owned: owned})
		if err != nil || report.Foreign != 1 {
			t.Fatalf("seed %d, step %d: got %+v", seed, i, report)
		}
		if got, dump := table.String(), ipvstest.Dump(append(want, foreign...)); got != dump {
			t.Fatalf("seed %d, step %d: got\n%s\nwant\n%s", seed, i, got, dump)
		}
	}
}

// grid returns services with so many servers each.
func grid(services, servers int) []ipvs.Service {
	table := make([]ipvs.Service, services)
	for i := range table {
		table[i] = ipvs.Service{
			Key:      ipvs.Key{Address: netip.AddrFrom4([4]byte{10, 9, byte(i >> 8), byte(i)}), Port: 80, Protocol: ipvs.TCP},
			Settings: ipvs.Settings{Scheduler: "wlc"},
		}
		for j := range servers {
			address := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(10 + i>>8), byte(i), byte(j + 1)}), 80)
			table[i].Destinations = append(table[i].Destinations, ipvs.Destination{Address: address, Forward: ipvs.DR, Weight: 1})
		}
	}
	return table
}

func BenchmarkDiff(b *testing.B) {
	want, have := grid(2000, 20), grid(2000, 20)
	b.Run("same", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			ipvs.Diff(want, have)
		}
	})
	b.Run("all new", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			ipvs.Diff(want, nil)
		}
	})
}

// BenchmarkFake has 2,000 services with 40,000 destinations and leaves out the kernel.
func BenchmarkFake(b *testing.B) {
	want := grid(2000, 20)
	b.Run("full load", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := ipvs.Reconcile(b.Context(), &ipvstest.Fake{}, ipvs.Goal{Services: want}); err != nil {
				b.Fatal(err)
			}
		}
	})
	table := &ipvstest.Fake{}
	benchmarkReconciler(b, func(context.Context) (ipvs.Table, error) { return table, nil }, want)
}

// benchmarkReconciler measures a running reconciler, which has read its table before.
func benchmarkReconciler(b *testing.B, open func(context.Context) (ipvs.Table, error), want []ipvs.Service) {
	reports := make(chan ipvs.Report, 1)
	ctx, cancel := context.WithCancel(b.Context())
	r := ipvs.NewReconciler(slog.New(slog.DiscardHandler), open,
		func(r ipvs.Report) {
			select {
			case reports <- r:
			case <-ctx.Done():
			}
		})
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	defer func() {
		cancel()
		<-done
	}()
	reach := func(b *testing.B, want []ipvs.Service) {
		number := r.Set(ipvs.Goal{Services: want})
		for report := range reports {
			if report.Err != nil {
				b.Fatal(report.Err)
			}
			if report.Goal == number {
				return
			}
		}
	}
	reach(b, want)
	b.Run("known no-op", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			reach(b, want)
		}
	})
	b.Run("one weight", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			changed := slices.Clone(want)
			changed[100].Destinations = slices.Clone(changed[100].Destinations)
			changed[100].Destinations[10].Weight = uint32(2 + i%2)
			reach(b, changed)
		}
	})
}
