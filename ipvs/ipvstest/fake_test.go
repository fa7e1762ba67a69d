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
	const text = `-A -f 7 -s rr
-a -f 7 -r 10.0.1.1:0 -g -w 1
-A -f 8 -6 -s rr -p 300 -M 64
-a -f 8 -6 -r [fd00::2]:0 -g -w 1
-A -t 10.0.0.100:0 -s rr -p 360
-a -t 10.0.0.100:0 -r 10.0.1.1:0 -g -w 1
-A -t 10.0.0.100:80 -s wlc -p 60 -M 255.255.255.0
-a -t 10.0.0.100:80 -r 10.0.1.1:80 -g -w 1
-a -t 10.0.0.100:80 -r 10.0.1.2:80 -i -w 1 --tun-type gue --tun-port 6080 --tun-nocsum
-a -t 10.0.0.100:80 -r 10.0.1.3:80 -i -w 1 --tun-type gue --tun-port 6080 --tun-csum -x 100 -y 50
-a -t 10.0.0.100:80 -r 10.0.1.4:80 -i -w 1 --tun-type gue --tun-port 6080 --tun-remcsum
-a -t 10.0.0.100:80 -r 10.0.1.5:80 -i -w 1 --tun-type gre --tun-nocsum
-a -t 10.0.0.100:80 -r 10.0.1.6:80 -i -w 1 --tun-type gre --tun-csum
-a -t 10.0.0.100:80 -r [fd00::2]:80 -i -w 1 --tun-type ipip -x 9
-A -t 10.0.0.101:80 -s rr -p 60 -M 0.0.0.0
-A -t [fd00::1]:443 -s sh -p 60 -b sh-fallback,sh-port
-a -t [fd00::1]:443 -r [fd00::2]:443 -i -w 0 --tun-type ipip
-A -u 10.0.0.100:53 -s rr -o -b flag-1,flag-2,flag-3
-a -u 10.0.0.100:53 -r 10.0.1.1:53 -m -w 65535
-A -u 10.0.0.100:5060 -s mh -p 60 -M 255.255.255.0 --pe sip -o -b mh-port
-A --sctp-service 10.0.0.100:80 -s mh -b mh-fallback,mh-port
-a --sctp-service 10.0.0.100:80 -r 10.0.1.1:80 -m -w 1
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
