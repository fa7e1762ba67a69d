// SPDX-License-Identifier: Apache-2.0

package checker

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// What a TCP check costs from connect to result, many in flight. The kernel answers for the listener, but only while its
// backlog has room, in which also those wait that the check has ended: so the checks never get far ahead of Accept.
func BenchmarkTCP(b *testing.B) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	backlog := make(chan struct{}, 64) // less than any listener's, together with those in flight
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.Close()
			<-backlog
		}
	}()
	c := Config{Kind: TCP, Target: l.Addr().(*net.TCPAddr).AddrPort(), Timeout: time.Second, Interval: time.Hour}
	benchmark(b, c, func() { backlog <- struct{}{} })
}

// What a HTTP check costs, the server's part included.
func BenchmarkHTTP(b *testing.B) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok")) }))
	defer srv.Close()
	c := httpConfig(netip.MustParseAddrPort(srv.Listener.Addr().String()))
	c.Timeout, c.Interval = 10*time.Second, time.Hour
	b.Run("status", func(b *testing.B) { benchmark(b, c, func() {}) })
	c.Expect = "^ok$"
	b.Run("expect", func(b *testing.B) { benchmark(b, c, func() {}) })
}

// benchmark runs b.N equal checks as the first round of a Set, and tells passed of each that passes.
func benchmark(b *testing.B, c Config, passed func()) {
	b.ReportAllocs()
	failed := 0
	s := NewSet(Options{Concurrency: 64, OnResult: func(_ Status, r Result) {
		if r.Err != nil {
			failed++
			return
		}
		passed()
	}})
	s.tcp.limit = 64
	s.Apply(checks(b.N, c))
	var before, after unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &before)
	b.ResetTimer()
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Run(b.Context()) }()
	<-s.FirstRound()
	b.StopTimer()
	_ = unix.Getrusage(unix.RUSAGE_SELF, &after)
	cpu := after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano()
	b.ReportMetric(float64(cpu)/float64(b.N), "cpu-ns/op")
	if failed > 0 {
		b.Errorf("%d of %d failed", failed, b.N)
	}
}

// BenchmarkIdle shows what a check takes while it waits.
func BenchmarkIdle(b *testing.B) {
	const n = 10_000
	for b.Loop() {
		in := checks(n, httpConfig(netip.MustParseAddrPort("10.0.0.21:80")))
		for i := range in {
			in[i].Config = in[0].Config
			in[i].Target = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}), 80)
		}
		before := heapInUse()
		s := NewSet(Options{})
		s.Apply(in)
		b.ReportMetric(float64(heapInUse()-before)/n, "B/check")
		runtime.KeepAlive(s)
		runtime.KeepAlive(in)
	}
}

func heapInUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// checks are n checks that are equal but for a setting that is without effect, so that each runs.
func checks(n int, c Config) []Check {
	out := make([]Check, n)
	for i := range out {
		c.HELO = fmt.Sprint(i)
		out[i] = NewCheck(Key{"web", fmt.Sprint("web", i), "check"}, c)
	}
	return out
}
