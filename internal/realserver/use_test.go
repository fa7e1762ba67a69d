// SPDX-License-Identifier: Apache-2.0

package realserver

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"

	"github.com/holdfast-lb/holdfast/ipvs"
)

func TestCheck(t *testing.T) {
	for _, tt := range []struct {
		uses []Use
		want string
	}{
		{nil, "nothing to be a real server for"},
		{[]Use{{}}, "takes nat, dr or tunnel"},
		{[]Use{{Forward: ipvs.DR}}, "dr: takes a virtual address"},
		{[]Use{{Forward: ipvs.DR, Address: netip.MustParseAddr("127.0.0.1")}}, "127.0.0.1 cannot be a virtual address"},
		{[]Use{{Forward: ipvs.DR, Address: netip.MustParseAddr("fe80::1%eth0")}}, "cannot be a virtual address"},
		{[]Use{{Forward: ipvs.DR, Address: netip.MustParseAddr("::ffff:10.0.0.1")}}, "cannot be a virtual address"},
		{[]Use{{Forward: ipvs.NAT}}, "nat: takes a gateway"},
		{[]Use{{Forward: ipvs.NAT, Gateway: netip.MustParseAddr("fe80::1")}}, "as in fe80::1%eth0"},
		{[]Use{{Forward: ipvs.NAT, Gateway: netip.MustParseAddr("0.0.0.0")}}, "0.0.0.0 cannot be a gateway"},
		{[]Use{nat, {Forward: ipvs.NAT, Gateway: vip}}, "10.0.0.254 and 10.0.0.100 cannot both be the default gateway"},
		{[]Use{{Forward: ipvs.Tunnel, Address: vip}}, "takes ipip, gue or gre"},
		{[]Use{tunnelUse(vip, rip, ipvs.GUE, 0, 0)}, "gue takes a port"},
		{[]Use{tunnelUse(vip, rip, ipvs.IPIP, 9, 0)}, "ipip has no port"},
		{[]Use{tunnelUse(vip, netip.Addr{}, ipvs.GRE, 0, ipvs.FullChecksum)}, "takes this host's own address"},
		{
			[]Use{tunnelUse(vip, rip, ipvs.GRE, 0, ipvs.FullChecksum), tunnelUse(vip, vip, ipvs.GRE, 0, ipvs.FullChecksum)},
			"hf-gre takes packets to one of 10.0.0.21 and 10.0.0.100 only",
		},
	} {
		h := newFake()
		_, err := Setup(h, filepath.Join(t.TempDir(), "state.json"), tt.uses)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%v: %v, want %q", tt.uses, err, tt.want)
		}
		if _, err2 := Verify(h, tt.uses); fmt.Sprint(err2) != fmt.Sprint(err) {
			t.Errorf("%v: verify says %v, setup %v", tt.uses, err2, err)
		}
	}
}

func TestNotes(t *testing.T) {
	for _, tt := range []struct {
		use  Use
		want string
	}{
		{ipip, "grows by 20 bytes on its way here; where the network carries 1500, tell clients to send less: append advmss 1440"},
		{tunnelUse(vip, rip, ipvs.GUE, 5555, 0), "grows by 32 bytes"},
		{tunnelUse(vip, rip, ipvs.GRE, 0, 0), "grows by 24 bytes"},
		{tunnelUse(vip6, rip6, ipvs.IPIP, 0, 0), "grows by 40 bytes on its way here; where the network carries 1500, tell clients to send less: append advmss 1400"},
	} {
		if got := Notes([]Use{dr, tt.use, nat}); len(got) != 1 || !strings.Contains(got[0], tt.want) {
			t.Errorf("%s: %q, want %q", tt.use, got, tt.want)
		}
	}
}
