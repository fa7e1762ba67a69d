// SPDX-License-Identifier: Apache-2.0

package sysctl

import (
	"log/slog"
	"net/netip"
	"testing"

	"github.com/holdfast-lb/holdfast/internal/netlab"
)

// The kernel's tree of a namespace of its own: as the one in a directory.
func TestKernel(t *testing.T) {
	lab := netlab.Test(t)
	h := lab.Host("lb1")
	h.Join(lab.LAN("lan"), "eth0", netip.MustParsePrefix("10.0.0.2/24"))
	h.Sysctl("net.ipv4.ip_forward", "0")
	h.Sysctl("net.ipv4.conf.eth0.rp_filter", "1")
	values := func(want ...string) {
		t.Helper()
		for i, path := range []string{ipForward.Path, rpFilter.Path} {
			if got, err := (files{root: Root}).read(path); err != nil || got != want[i] {
				t.Errorf("%s is %q, %v; want %q", path, got, err, want[i])
			}
		}
	}
	if err := h.Do(func() error {
		k := NewKeeper(slog.New(slog.DiscardHandler), Root, Loans{})
		k.Apply([]Setting{ipForward, rpFilter})
		values("1", "2")
		if l := k.Loans(); len(l.Boot) != 36 || len(l.List) != 2 || l.List[0].Link == 0 || l.List[1].Link != 0 {
			t.Errorf("loans %+v, want the link's index with the first of two, and a boot", l)
		}
		k.Restore()
		values("0", "1")
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}
