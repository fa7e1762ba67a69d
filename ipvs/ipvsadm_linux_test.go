// SPDX-License-Identifier: Apache-2.0

package ipvs_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/internal/netlab"
	"github.com/holdfast-lb/holdfast/ipvs"
	"github.com/holdfast-lb/holdfast/ipvs/ipvstest"
)

// TestOpsAreIpvsadm goes through the states with ipvsadm, which reads the operations as they print themselves.
func TestOpsAreIpvsadm(t *testing.T) {
	netlab.RequireIPVS(t)
	host := netlab.Test(t).Host("director")
	k := openKernel(t, host)
	for _, byHand := range []bool{false, true} { // at first by us, which loads the schedulers
		for _, state := range slices.Concat(walk, []string{ipvstest.Full, ipvstest.Edited, ipvstest.Full, ""}) {
			have, err := k.List(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			want := ipvstest.Parse(state)
			for _, op := range ipvs.Diff(want, have) {
				if byHand {
					ipvsadm(t, host, op.String())
				} else if err := k.Apply(t.Context(), op); err != nil {
					t.Fatalf("%s: %v", op, err)
				}
			}
			if have, err = k.List(t.Context()); err != nil || !slices.EqualFunc(have, want, ipvs.Service.Equal) {
				t.Errorf("got %v\n%swant\n%s", err, ipvstest.Dump(have), ipvstest.Dump(want))
			}
		}
	}
}

// TestIpvsadmPrintsTheSame compares our text of a table with every attribute with that of ipvsadm, which leaves out the
// thresholds and has another order. Having made the table once, nothing is left to do.
func TestIpvsadmPrintsTheSame(t *testing.T) {
	netlab.RequireIPVS(t)
	host := netlab.Test(t).Host("director")
	k := openKernel(t, host)
	thresholds := regexp.MustCompile(` -[xy] \d+`)
	for _, state := range []string{ipvstest.Full, ipvstest.Edited} {
		want := ipvstest.Parse(state)
		goal := ipvs.Goal{Services: want, Owned: keys(ipvstest.Parse(ipvstest.Full))}
		if _, err := ipvs.Reconcile(t.Context(), k, goal); err != nil {
			t.Fatal(err)
		}
		if report, err := ipvs.Reconcile(t.Context(), k, goal); err != nil || report.Done.Total() != 0 {
			t.Errorf("got %+v, want nothing done", report)
		}
		printed := sortedLines(string(ipvsadm(t, host, "-Sn")))
		if dump := sortedLines(thresholds.ReplaceAllString(ipvstest.Dump(want), "")); printed != dump {
			t.Errorf("got\n%s\nwant\n%s", printed, dump)
		}
		if have, err := k.List(t.Context()); err != nil || ipvstest.Dump(have) != ipvstest.Dump(want) {
			t.Errorf("got %v\n%swant\n%s", err, ipvstest.Dump(have), ipvstest.Dump(want))
		}
	}
}

// TestIpvsadmPrintsTheExamples puts the table of each example configuration into the kernel, and compares what ipvsadm
// prints of it, line by line, with the text beside the example.
func TestIpvsadmPrintsTheExamples(t *testing.T) {
	netlab.RequireIPVS(t)
	const examples = "../configs/examples"
	files, err := filepath.Glob(examples + "/*.ipvsadm")
	if err != nil || len(files) == 0 {
		t.Fatalf("got %d examples: %v", len(files), err)
	}
	host := netlab.Test(t).Host("director")
	k := openKernel(t, host)
	var owned []ipvs.Key
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		want := ipvstest.Parse(string(text))
		if _, err := ipvs.Reconcile(t.Context(), k, ipvs.Goal{Services: want, Owned: owned}); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		owned = keys(want)
		if printed := sortedLines(string(ipvsadm(t, host, "-Sn"))); printed != sortedLines(string(text)) {
			t.Errorf("%s: ipvsadm prints\n%s\nwant\n%s", file, printed, text)
		}
	}
}

func keys(table []ipvs.Service) (list []ipvs.Key) {
	for _, s := range table {
		list = append(list, s.Key)
	}
	return list
}

func sortedLines(s string) string {
	list := strings.Split(strings.TrimSpace(s), "\n")
	slices.Sort(list)
	return strings.Join(list, "\n")
}

// TestIpvsadmSyncAndTimeouts has ipvsadm do the operations on what is not a service.
func TestIpvsadmSyncAndTimeouts(t *testing.T) {
	netlab.RequireIPVS(t)
	host := netlab.Test(t).Host("director")
	k := openKernel(t, host)
	want := syncDaemon(ipvs.SyncBackup, 9)
	want.Interface, want.TTL, want.Port = "lo", 3, 9000
	ipvsadm(t, host, ipvs.Op{Kind: ipvs.StartSync, Sync: want}.String())
	if got, err := k.SyncDaemons(t.Context()); err != nil || !slices.Equal(got, []ipvs.SyncDaemon{want}) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	ipvsadm(t, host, ipvs.Op{Kind: ipvs.StopSync, Sync: want}.String())
	if got, err := k.SyncDaemons(t.Context()); err != nil || len(got) != 0 {
		t.Errorf("got %+v, %v, want none", got, err)
	}
	ipvsadm(t, host, ipvs.Op{Kind: ipvs.SetTimeouts, Timeouts: ipvs.Timeouts{UDP: 7 * time.Second}}.String())
	if got, err := k.Timeouts(t.Context()); err != nil || got != (ipvs.Timeouts{TCP: 15 * time.Minute, TCPFin: 2 * time.Minute, UDP: 7 * time.Second}) {
		t.Errorf("got %v, %v", got, err)
	}
}

func ipvsadm(t *testing.T, host *netlab.Host, args string) []byte {
	t.Helper()
	out, err := host.Command(t.Context(), "ipvsadm", strings.Fields(args)...).CombinedOutput()
	if err != nil {
		t.Fatalf("ipvsadm %s: %v: %s", args, err, out)
	}
	return out
}
