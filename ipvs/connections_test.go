// SPDX-License-Identifier: Apache-2.0

package ipvs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

const connectionTable = `Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires PEName PEData
TCP C0000201 1F90 0A090001 0050 0A090101 1F90 ESTABLISHED     899
TCP C0000201 0000 0A090001 0050 0A090101 0050 NONE             60
UDP C0000202 0035 0A090001 0035 0A090102 0035 UDP             300
SCTP C0000202 0035 0A090001 0035 0A090102 0035 ESTABLISHED     300
IP  C0000200 0000 00000007 0000 0A090101 0000 ASSURED         300
TCP fd00:0009:0000:0000:0000:0000:0000:0099 9C40 fd00:0009:0000:0000:0000:0000:0000:0001 01BB fd00:0009:0001:0000:0000:0000:0000:0001 01BB FIN_WAIT        119
TCP C0000203 9C41 0A090001 0050 fd00:0009:0001:0000:0000:0000:0000:0001 0050 SYN_RECV         59
UDP C0000204 0000 0A090001 13C4 0A090101 13C4 UDP              59 sip id@host with a space
IP_50 C0000204 01F4 0A090001 01F4 0A090101 01F4 NONE            1
`

func endpoint(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

var connections = []Connection{
	{Protocol: TCP, Client: endpoint("192.0.2.1:8080"), Virtual: endpoint("10.9.0.1:80"), Destination: endpoint("10.9.1.1:8080"), State: "ESTABLISHED", Expires: 899 * time.Second},
	{Protocol: TCP, Client: endpoint("192.0.2.1:0"), Virtual: endpoint("10.9.0.1:80"), Destination: endpoint("10.9.1.1:80"), State: "NONE", Expires: time.Minute, Template: true},
	{Protocol: UDP, Client: endpoint("192.0.2.2:53"), Virtual: endpoint("10.9.0.1:53"), Destination: endpoint("10.9.1.2:53"), State: "UDP", Expires: 5 * time.Minute},
	{Protocol: SCTP, Client: endpoint("192.0.2.2:53"), Virtual: endpoint("10.9.0.1:53"), Destination: endpoint("10.9.1.2:53"), State: "ESTABLISHED", Expires: 5 * time.Minute},
	{Client: endpoint("192.0.2.0:0"), Virtual: endpoint("0.0.0.7:0"), Destination: endpoint("10.9.1.1:0"), State: "ASSURED", Expires: 5 * time.Minute, Template: true},
	{Protocol: TCP, Client: endpoint("[fd00:9::99]:40000"), Virtual: endpoint("[fd00:9::1]:443"), Destination: endpoint("[fd00:9:1::1]:443"), State: "FIN_WAIT", Expires: 119 * time.Second},
	{Protocol: TCP, Client: endpoint("192.0.2.3:40001"), Virtual: endpoint("10.9.0.1:80"), Destination: endpoint("[fd00:9:1::1]:80"), State: "SYN_RECV", Expires: 59 * time.Second},
	{Protocol: UDP, Client: endpoint("192.0.2.4:0"), Virtual: endpoint("10.9.0.1:5060"), Destination: endpoint("10.9.1.1:5060"), State: "UDP", Expires: 59 * time.Second, Template: true, Engine: "sip", Data: "id@host with a space"},
	{Protocol: 50, Client: endpoint("192.0.2.4:500"), Virtual: endpoint("10.9.0.1:500"), Destination: endpoint("10.9.1.1:500"), State: "NONE", Expires: time.Second},
}

func TestConnections(t *testing.T) {
	service := Key{Address: netip.MustParseAddr("10.9.0.1"), Port: 80, Protocol: TCP}
	every := service
	every.Port = 0
	for _, tt := range []struct {
		name   string
		filter ConnectionFilter
		want   []int
	}{
		{"all", ConnectionFilter{}, []int{0, 1, 2, 3, 4, 5, 6, 7, 8}},
		{"service", ConnectionFilter{Service: service}, []int{0, 1, 6}},
		{"every port", ConnectionFilter{Service: every}, []int{0, 1, 6}},
		{"service of another protocol", ConnectionFilter{Service: Key{Address: service.Address, Port: 53, Protocol: UDP}}, []int{2}},
		{"mark", ConnectionFilter{Service: MarkKey(7, false)}, []int{4}},
		{"mark of another family", ConnectionFilter{Service: MarkKey(7, true)}, nil},
		{"destination", ConnectionFilter{Destination: endpoint("10.9.1.1:80")}, []int{1}},
		{"destination with every port", ConnectionFilter{Destination: endpoint("10.9.1.1:0")}, []int{0, 1, 4, 7, 8}},
		{"both", ConnectionFilter{Service: service, Destination: endpoint("10.9.1.1:0")}, []int{0, 1}},
		{"absent", ConnectionFilter{Destination: endpoint("10.9.9.9:0")}, nil},
	} {
		var got, want []Connection
		skipped, err := readConnections(t.Context(), strings.NewReader(connectionTable), tt.filter, func(c Connection) bool {
			got = append(got, c)
			return true
		})
		for _, i := range tt.want {
			want = append(want, connections[i])
		}
		if err != nil || skipped != 0 || !slices.Equal(got, want) {
			t.Errorf("%s: got %+v, %d skipped, %v, want %+v", tt.name, got, skipped, err, want)
		}
	}
}

func TestConnectionsSynced(t *testing.T) {
	const table = `Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Origin Expires
TCP C0000201 1F90 0A090001 0050 0A090101 1F90 ESTABLISHED LOCAL      899
TCP C0000201 1F91 0A090001 0050 0A090101 1F90 ESTABLISHED SYNC       898
`
	var got []Connection
	if _, err := readConnections(t.Context(), strings.NewReader(table), ConnectionFilter{Synced: true}, func(c Connection) bool {
		got = append(got, c)
		return true
	}); err != nil {
		t.Fatal(err)
	}
	if len(got) != 1 || !got[0].Synced || got[0].Client.Port() != 8081 || got[0].Expires != 898*time.Second {
		t.Errorf("got %+v, want the second one", got)
	}
}

func TestConnectionsBadLines(t *testing.T) {
	good := "TCP C0000201 1F90 0A090001 0050 0A090101 1F90 ESTABLISHED     899"
	bad := []string{
		"", "TCP", "TCP C0000201", strings.Replace(good, "TCP", "XXX", 1), strings.Replace(good, "TCP", "IP_256", 1), strings.Replace(good, "TCP", "IP_", 1),
		strings.Replace(good, "C0000201", "C000020", 1), strings.Replace(good, "C0000201", "C000020G", 1),
		strings.Replace(good, "C0000201", "fd00:0009:0000:0000:0000:0000:0000-0099", 1),
		strings.Replace(good, "C0000201", "fd00:0009:0000:0000:0000:0000:0000:00g9", 1),
		strings.Replace(good, "1F90", "11F90", 1), strings.Replace(good, "899", "", 1), strings.Replace(good, "899", "-1", 1),
		strings.Replace(good, "899", "4294967296", 1), strings.Repeat("x", 200<<10),
	}
	text := "heading\n" + strings.Join(bad, "\n") + "\n" + good // the last without an end
	n := 0
	skipped, err := readConnections(t.Context(), strings.NewReader(text), ConnectionFilter{}, func(Connection) bool { n++; return true })
	if err != nil || n != 1 || skipped != len(bad) {
		t.Errorf("got %d connections, %d skipped, %v, want 1 and %d", n, skipped, err, len(bad))
	}
}

func TestConnectionsEnd(t *testing.T) {
	n := 0
	_, err := readConnections(t.Context(), strings.NewReader(connectionTable), ConnectionFilter{}, func(Connection) bool { n++; return n < 2 })
	if err != nil || n != 2 {
		t.Errorf("stopped by the caller: got %d, %v, want 2", n, err)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := readConnections(cancelled, strings.NewReader(connectionTable), ConnectionFilter{}, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: got %v", err)
	}
	broken := io.MultiReader(strings.NewReader(connectionTable), errReader{})
	if _, err := readConnections(t.Context(), broken, ConnectionFilter{}, func(Connection) bool { return true }); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("broken: got %v", err)
	}
}

type errReader struct{}

func (errReader) Read([]byte) (int, error) { return 0, io.ErrClosedPipe }

// Reading is streamed: what it allocates does not grow with the table.
func TestConnectionsAllocateNothingEach(t *testing.T) {
	lines := strings.Split(connectionTable, "\n")
	few, many := strings.Join(lines[:7], "\n"), lines[0]+strings.Repeat("\n"+strings.Join(lines[1:7], "\n"), 1000)
	read := func(text string) float64 {
		return testing.AllocsPerRun(5, func() {
			_, _ = readConnections(t.Context(), strings.NewReader(text), ConnectionFilter{}, func(Connection) bool { return true })
		})
	}
	if a, b := read(few), read(many); b > a {
		t.Errorf("got %v allocations for 6000 connections, %v for 6", b, a)
	}
}

func FuzzConnections(f *testing.F) {
	f.Add(connectionTable, false)
	f.Add("TCP C0000201 1F90 0A090001 0050 0A090101 1F90 ESTABLISHED SYNC 899", true)
	f.Fuzz(func(t *testing.T, text string, synced bool) {
		n := 0
		skipped, err := readConnections(t.Context(), strings.NewReader("\n"+text), ConnectionFilter{Synced: synced}, func(c Connection) bool {
			n++
			if !c.Client.IsValid() || !c.Virtual.IsValid() || !c.Destination.IsValid() || c.State == "" || c.Expires < 0 {
				t.Errorf("got %+v of %q", c, text)
			}
			return true
		})
		if lines := strings.Count(text, "\n") + 1; err != nil || n+skipped > lines {
			t.Errorf("got %d and %d skipped of %d lines, %v", n, skipped, lines, err)
		}
	})
}

func BenchmarkConnections(b *testing.B) {
	var text strings.Builder
	text.WriteString("heading\n")
	for i := range 100_000 {
		fmt.Fprintf(&text, "TCP %08X %04X 0A090001 0050 0A090101 1F90 ESTABLISHED %7d\n", i, i&0xffff, 899)
	}
	b.ReportAllocs()
	for b.Loop() {
		_, _ = readConnections(b.Context(), strings.NewReader(text.String()), ConnectionFilter{}, func(Connection) bool { return true })
	}
}
