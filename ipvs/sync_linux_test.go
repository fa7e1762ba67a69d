// SPDX-License-Identifier: Apache-2.0

package ipvs_test

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/internal/netlab"
	"github.com/holdfast-lb/holdfast/ipvs"
	"github.com/vishvananda/netlink"
)

// TestKernelStopsSyncAtOnce stops daemons that may not have begun to run, which the kernel leaves unanswered.
func TestKernelStopsSyncAtOnce(t *testing.T) {
	netlab.RequireIPVS(t)
	host := netlab.Test(t).Host("director")
	k := openKernel(t, host)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for i := range 100 {
		d := syncDaemon(ipvs.SyncMaster, 51)
		d.Interface = "lo"
		for _, kind := range []ipvs.Kind{ipvs.StartSync, ipvs.StopSync} {
			if err := k.Apply(ctx, ipvs.Op{Kind: kind, Sync: d}); err != nil {
				t.Fatalf("%s, time %d: %v", kind, i+1, err)
			}
		}
	}
}

// TestKernelSyncLink takes the link from under daemons and puts another one of the same name there.
func TestKernelSyncLink(t *testing.T) {
	netlab.RequireIPVS(t)
	host := netlab.Test(t).Host("director")
	k := openKernel(t, host)
	add := func() {
		t.Helper()
		link := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "sync0"}, PeerName: "peer0"}
		if err := host.Netlink().LinkAdd(link); err != nil {
			t.Fatal(err)
		}
		if err := host.Netlink().LinkSetUp(link); err != nil {
			t.Fatal(err)
		}
		host.Address("sync0", netip.MustParsePrefix("10.9.2.1/24"))
	}
	add()
	goal := ipvs.Goal{Syncs: true}
	for _, role := range []ipvs.SyncRole{ipvs.SyncMaster, ipvs.SyncBackup} {
		d := syncDaemon(role, 51)
		d.Interface = "sync0"
		goal.Sync = append(goal.Sync, d)
	}
	reconcile := func(want int) {
		t.Helper()
		report, err := ipvs.Reconcile(t.Context(), k, goal)
		if err != nil || report.Done[ipvs.StartSync] != want || report.Done[ipvs.StopSync] != 0 && want == 0 {
			t.Fatalf("got %+v, %v, want %d daemons started", report, err, want)
		}
	}
	reconcile(2)
	reconcile(0)
	link, err := host.Netlink().LinkByName("sync0")
	if err != nil {
		t.Fatal(err)
	}
	if err := host.Netlink().LinkDel(link); err != nil {
		t.Fatal(err)
	}
	lost, err := k.SyncDaemons(t.Context())
	if err != nil || len(lost) != 2 || lost[0].Interface != "" || lost[1].Interface != "" {
		t.Errorf("without the link: got %+v, %v, want both daemons without one", lost, err)
	}
	add()
	reconcile(2)
	reconcile(0)
}
