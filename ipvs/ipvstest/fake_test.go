// SPDX-License-Identifier: Apache-2.0

package ipvstest_test

import (
	"strings"
	"testing"

	"github.com/holdfast-lb/holdfast/ipvs"
	"github.com/holdfast-lb/holdfast/ipvs/ipvstest"
)

func TestFake(t *testing.T) {
	ipvstest.TestTable(t, func(*testing.T) ipvs.Table { return &ipvstest.Fake{} })
}

func TestFakeCountersOutliveUpdates(t *testing.T) {
	f := &ipvstest.Fake{}
	states := [][]ipvs.Service{
		ipvstest.Parse("-A -t 10.9.0.1:80 -s rr\n-a -t 10.9.0.1:80 -r 10.9.1.1:80 -m -w 1"),
		ipvstest.Parse("-A -t 10.9.0.1:80 -s sh -b sh-port\n-a -t 10.9.0.1:80 -r 10.9.1.1:80 -g -w 2"),
	}
	counted := ipvs.Counters{Connections: 1 << 40}
	for i, state := range states {
		if _, err := ipvs.Reconcile(t.Context(), f, ipvs.Goal{Services: state}); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			f.Count(state[0].Key, counted)
		}
	}
	stats, err := f.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if stats[0].Counters != counted || stats[0].Destinations[0].Counters != counted {
		t.Errorf("got %+v, want %+v for the service and its destination", stats, counted)
	}
}

func TestParseAndDump(t *testing.T) {
	const text = `-A -t 10.0.0.100:80 -s wlc
-a -t 10.0.0.100:80 -r 10.0.1.1:80 -g -w 1
-A -t [fd00::1]:443 -s sh -b sh-fallback,sh-port
-a -t [fd00::1]:443 -r [fd00::2]:443 -i -w 0
-A -u 10.0.0.100:53 -s rr -b flag-1,flag-2,flag-3
-a -u 10.0.0.100:53 -r 10.0.1.1:53 -m -w 65535
`
	table := ipvstest.Parse(text)
	if got := ipvstest.Dump(table); got != text {
		t.Errorf("got\n%s\nwant\n%s", got, text)
	}
	f := &ipvstest.Fake{}
	for _, op := range ipvs.Diff(table, nil) {
		if err := f.Apply(t.Context(), op); err != nil {
			t.Fatal(err)
		}
	}
	if got := f.String(); got != text {
		t.Errorf("fake: got\n%s\nwant\n%s", got, text)
	}
	if got := strings.Join(f.Applied(), "\n") + "\n"; got != text {
		t.Errorf("applied: got\n%s\nwant\n%s", got, text)
	}
}
