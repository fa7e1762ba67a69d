// SPDX-License-Identifier: Apache-2.0

package realserver

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/holdfast-lb/holdfast/ipvs"
)

var (
	vip, vip6 = netip.MustParseAddr("10.0.0.100"), netip.MustParseAddr("2001:db8::100")
	rip, rip6 = netip.MustParseAddr("10.0.0.21"), netip.MustParseAddr("2001:db8::21")

	dr, dr6 = Use{Forward: ipvs.DR, Address: vip}, Use{Forward: ipvs.DR, Address: vip6}
	nat     = Use{Forward: ipvs.NAT, Gateway: netip.MustParseAddr("10.0.0.254")}
	nat6    = Use{Forward: ipvs.NAT, Gateway: netip.MustParseAddr("2001:db8::fe")}
	ipip    = tunnelUse(vip, netip.Addr{}, ipvs.IPIP, 0, ipvs.NoChecksum)
)

func tunnelUse(address, local netip.Addr, t ipvs.TunnelType, port uint16, sum ipvs.Checksum) Use {
	return Use{Forward: ipvs.Tunnel, Address: address, Local: local, Encapsulation: ipvs.Encapsulation{Type: t, Port: port, Checksum: sum}}
}

func commands(list []Change) []string {
	text := []string{}
	for _, c := range list {
		text = append(text, c.String())
	}
	return text
}

var quiet = []string{
	"sysctl -w net.ipv4.conf.all.arp_ignore=1", "sysctl -w net.ipv4.conf.all.arp_announce=2",
	"sysctl -w net.ipv4.conf.lo.arp_ignore=1", "sysctl -w net.ipv4.conf.lo.arp_announce=2",
}

// What each use needs, in the order in which it is made, and that a second setup changes nothing.
func TestSetup(t *testing.T) {
	tunneled := func(device, add string, more ...string) []string {
		return slices.Concat(quiet, []string{add, "sysctl -w net.ipv4.conf." + device + ".rp_filter=2", "ip link set " + device + " up"}, more)
	}
	for _, tt := range []struct {
		use  Use
		want []string
	}{
		{dr, append(slices.Clone(quiet), "ip address add 10.0.0.100/32 dev lo")},
		{dr6, []string{"ip address add 2001:db8::100/128 dev lo"}},
		{nat, []string{"ip route replace default via 10.0.0.254"}},
		{nat6, []string{"ip -6 route replace default via 2001:db8::fe metric 1"}},
		{ipip, tunneled("tunl0", "ip link add tunl0 type ipip", "ip address add 10.0.0.100/32 dev tunl0")},
		{
			tunnelUse(vip, rip6, ipvs.IPIP, 0, 0),
			tunneled("hf-ip4ip6", "ip link add hf-ip4ip6 type ip6tnl mode any local 2001:db8::21", "ip address add 10.0.0.100/32 dev hf-ip4ip6"),
		},
		{
			tunnelUse(vip6, rip, ipvs.IPIP, 0, 0),
			[]string{"ip link add sit0 type sit", "ip link set sit0 up", "ip address add 2001:db8::100/128 dev sit0"},
		},
		{
			tunnelUse(vip6, rip6, ipvs.IPIP, 0, 0),
			[]string{"ip link add ip6tnl0 type ip6tnl mode any", "ip link set ip6tnl0 up", "ip address add 2001:db8::100/128 dev ip6tnl0"},
		},
		{
			tunnelUse(vip, rip, ipvs.GUE, 5555, ipvs.RemoteChecksum),
			tunneled("tunl0", "ip link add tunl0 type ipip", "ip fou add port 5555 gue", "ip address add 10.0.0.100/32 dev tunl0"),
		},
		{
			tunnelUse(vip6, rip6, ipvs.GUE, 5555, 0),
			[]string{
				"ip link add ip6tnl0 type ip6tnl mode any", "ip link set ip6tnl0 up", "ip fou add port 5555 gue -6",
				"ip address add 2001:db8::100/128 dev ip6tnl0",
			},
		},
		{tunnelUse(vip, rip, ipvs.GRE, 0, 0), tunneled("gre0", "ip link add gre0 type gre", "ip address add 10.0.0.100/32 dev gre0")},
		{
			tunnelUse(vip, rip, ipvs.GRE, 0, ipvs.FullChecksum),
			tunneled("hf-gre", "ip link add hf-gre type gre local 10.0.0.21 icsum", "ip address add 10.0.0.100/32 dev hf-gre"),
		},
	} {
		h, state := newFake(), filepath.Join(t.TempDir(), "state.json")
		before := h.copy()
		r, err := Setup(h, state, []Use{tt.use})
		if diff := cmp.Diff(tt.want, commands(r.Changes)); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", tt.use, err, diff)
		}
		if r, err := Setup(h, state, []Use{tt.use}); err != nil || len(r.Changes) > 0 {
			t.Errorf("%s, again: %v, %v", tt.use, commands(r.Changes), err)
		}
		if found, err := Verify(h, []Use{tt.use}); err != nil || len(found) > 0 {
			t.Errorf("%s, verified: %+v, %v", tt.use, found, err)
		}
		if _, err := Teardown(h, state); err != nil {
			t.Errorf("%s, teardown: %v", tt.use, err)
		}
		if diff := cmp.Diff(before, h.copy(), ignore...); diff != "" {
			t.Errorf("%s, after teardown (-before +after):\n%s", tt.use, diff)
		}
		if _, err := os.Stat(state); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: the state file is left: %v", tt.use, err)
		}
	}
}

var ignore = []cmp.Option{cmp.Comparer(func(a, b netip.Addr) bool { return a == b }), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }), cmpopts.EquateEmpty()}

// From any set of uses to any other and back to nothing, at random.
func TestWalk(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	all := []Use{
		dr, dr6, nat, nat6, ipip, tunnelUse(vip6, rip6, ipvs.GUE, 5555, 0), tunnelUse(vip, rip, ipvs.GRE, 0, ipvs.FullChecksum),
		tunnelUse(vip, rip6, ipvs.GUE, 6666, 0), {Forward: ipvs.DR, Address: netip.MustParseAddr("10.0.0.101")},
	}
	for seed := range uint64(8) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		h, state := newFake(), filepath.Join(t.TempDir(), "state.json")
		before := h.copy()
		for range 20 {
			var uses []Use
			for _, u := range all {
				if rnd.IntN(3) == 0 {
					uses = append(uses, u)
				}
			}
			if len(uses) == 0 {
				continue
			}
			if _, err := Setup(h, state, uses); err != nil {
				t.Fatalf("seed %d: setup %v: %v", seed, uses, err)
			}
			if found, err := Verify(h, uses); err != nil || len(found) > 0 {
				t.Fatalf("seed %d: %v: %+v, %v", seed, uses, found, err)
			}
			once := newFake()
			if _, err := Setup(once, filepath.Join(t.TempDir(), "state.json"), uses); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(sorted(once.copy()), sorted(h.copy()), ignore...); diff != "" {
				t.Fatalf("seed %d: %v (-at once +on the way):\n%s", seed, uses, diff)
			}
		}
		if r, err := Teardown(h, state); err != nil || len(r.Left) > 0 {
			t.Fatalf("seed %d: teardown left %q, %v", seed, r.Left, err)
		}
		if diff := cmp.Diff(before, h.copy(), ignore...); diff != "" {
			t.Fatalf("seed %d (-before +after):\n%s", seed, diff)
		}
	}
}

// sorted leaves out what depends on the way: order, and the indexes of links.
func sorted(f Facts) Facts {
	for name, l := range f.Links {
		l.Index = 0
		f.Links[name] = l
	}
	slices.SortFunc(f.Addresses, func(a, b Address) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	slices.SortFunc(f.Defaults, func(a, b Route) int { return strings.Compare(a.String(), b.String()) })
	slices.SortFunc(f.Ports, func(a, b Port) int { return int(a.Number) - int(b.Number) })
	return f
}

func TestTeardownLeavesWhatOthersChanged(t *testing.T) {
	h, state := newFake(), filepath.Join(t.TempDir(), "state.json")
	if _, err := Setup(h, state, []Use{dr, nat, tunnelUse(vip, rip, ipvs.GUE, 5555, 0)}); err != nil {
		t.Fatal(err)
	}
	h.Sysctls["net/ipv4/conf/all/arp_ignore"] = "2"
	h.Addresses = slices.DeleteFunc(h.Addresses, func(a Address) bool { return a.Device == "lo" && a.Prefix.Addr() == vip })
	h.Defaults = []Route{{Via: netip.MustParseAddr("10.0.0.7")}}
	h.Links["tunl0"] = Link{Index: 99, Up: true, Kind: "ipip"} // another one
	h.Ports = nil
	r, err := Teardown(h, state)
	want := []string{
		"10.0.0.100/32 is not on lo any more", "default via 10.0.0.254 is not there any more", "net.ipv4.conf.all.arp_ignore is 2, which others have set",
		"nothing takes packets on UDP port 5555 any more", "tunl0 is gone, or another one",
	}
	got := slices.Compact(slices.Sorted(slices.Values(r.Left)))
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("left: %v (-want +got):\n%s", err, diff)
	}
	if h.Sysctls["net/ipv4/conf/all/arp_ignore"] != "2" || h.Defaults[0].Via.String() != "10.0.0.7" || h.Sysctls["net/ipv4/conf/lo/arp_ignore"] != "0" {
		t.Errorf("after teardown: %+v", h.Facts)
	}
}

// What was there before setup is not taken away after it; what others have changed meanwhile is what it is put back to.
func TestSetupTouchesOnlyWhatDiffers(t *testing.T) {
	h, state := newFake(), filepath.Join(t.TempDir(), "state.json")
	h.Addresses = append(h.Addresses, Address{"lo", netip.PrefixFrom(vip, 32)})
	h.Sysctls["net/ipv4/conf/all/arp_ignore"] = "2" // serves
	if _, err := Setup(h, state, []Use{dr}); err != nil {
		t.Fatal(err)
	}
	h.Sysctls["net/ipv4/conf/all/arp_announce"] = "1"
	if r, err := Setup(h, state, []Use{dr}); err != nil || len(r.Changes) != 1 {
		t.Errorf("mended %v, %v", commands(r.Changes), err)
	}
	if r, err := Teardown(h, state); err != nil || len(r.Left) > 0 {
		t.Fatalf("left %q, %v", r.Left, err)
	}
	if !h.has("lo", netip.PrefixFrom(vip, 32)) || h.Sysctls["net/ipv4/conf/all/arp_ignore"] != "2" || h.Sysctls["net/ipv4/conf/all/arp_announce"] != "1" {
		t.Errorf("after teardown: %+v", h.Facts)
	}
}

// A route that is not the first choice stays; ours goes before it, and is deleted after.
func TestGatewayBesideOthers(t *testing.T) {
	h, state := newFake(), filepath.Join(t.TempDir(), "state.json")
	h.Defaults[0].Metric = 100
	before := h.copy()
	if _, err := Setup(h, state, []Use{nat}); err != nil || len(h.Defaults) != 2 {
		t.Fatalf("%v, %v", h.Defaults, err)
	}
	if _, err := Teardown(h, state); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, h.copy(), ignore...); diff != "" {
		t.Errorf("(-before +after):\n%s", diff)
	}
}

// After a boot nothing of it is there, and what looks like it is not ours.
func TestBoot(t *testing.T) {
	h, state := newFake(), filepath.Join(t.TempDir(), "state.json")
	if _, err := Setup(h, state, []Use{dr}); err != nil {
		t.Fatal(err)
	}
	h.Boot = "second"
	before := h.copy()
	if r, err := Teardown(h, state); err != nil || len(r.Changes)+len(r.Left) > 0 {
		t.Errorf("after a boot: %v, %q, %v", commands(r.Changes), r.Left, err)
	}
	if diff := cmp.Diff(before, h.copy(), ignore...); diff != "" {
		t.Errorf("(-before +after):\n%s", diff)
	}
}

func TestErrorsOfSetup(t *testing.T) {
	for _, tt := range []struct {
		name string
		use  Use
		do   func(*fake)
		want string
	}{
		{
			"no root", dr, func(h *fake) { h.fails["sysctl -w net.ipv4.conf.all.arp_ignore=1"] = syscall.EACCES },
			"sysctl -w net.ipv4.conf.all.arp_ignore=1: permission denied: run it as root, with CAP_NET_ADMIN",
		},
		{
			"read-only /proc/sys", dr, func(h *fake) { h.fails["sysctl -w net.ipv4.conf.all.arp_ignore=1"] = syscall.EROFS },
			"read-only file system: run it where /proc/sys can be written",
		},
		{"no module", ipip, func(h *fake) { h.fails["ip link add tunl0 type ipip"] = syscall.EOPNOTSUPP }, "the kernel lacks a module: modprobe ipip"},
		{
			"no module", tunnelUse(vip, rip, ipvs.GUE, 5555, 0), func(h *fake) { h.fails["ip fou add port 5555 gue"] = syscall.ENOENT },
			"the kernel lacks a module: modprobe fou",
		},
		{"no lo", dr, func(h *fake) { delete(h.Links, "lo") }, "there is no link lo: run it where lo is"},
		{"no IPv6", dr6, func(h *fake) { delete(h.Sysctls, "net/ipv6/conf/lo/disable_ipv6") }, "this kernel has no IPv6"},
		{"far gateway", Use{Forward: ipvs.NAT, Gateway: netip.MustParseAddr("10.9.9.9")}, func(*fake) {}, "no link of this host is on a network with 10.9.9.9"},
		{"several next hops", nat, func(h *fake) { h.Defaults[0].Special = true }, "ip route replace default via 10.0.0.254"},
		{"another link's name", ipip, func(h *fake) { h.Links["tunl0"] = Link{Index: 7, Kind: "dummy"} }, "tunl0 is a link of kind dummy, not ipip: ip link delete tunl0"},
	} {
		h, state := newFake(), filepath.Join(t.TempDir(), "state.json")
		tt.do(h)
		_, err := Setup(h, state, []Use{tt.use})
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
		if h.has("lo", netip.PrefixFrom(vip, 32)) {
			t.Errorf("%s: the address is there without what has to be first", tt.name)
		}
		before := newFake()
		tt.do(before)
		if _, err := Teardown(h, state); err != nil {
			t.Errorf("%s: teardown: %v", tt.name, err)
		}
		if diff := cmp.Diff(before.Facts, h.Facts, ignore...); diff != "" {
			t.Errorf("%s, after teardown (-before +after):\n%s", tt.name, diff)
		}
	}
}

// What is in the way of a setup is found before the last one is undone, and a tunnel of the last one is not in the way.
func TestInTheWay(t *testing.T) {
	h, state := newFake(), filepath.Join(t.TempDir(), "state.json")
	if _, err := Setup(h, state, []Use{dr, tunnelUse(vip, rip, ipvs.GRE, 0, ipvs.FullChecksum)}); err != nil {
		t.Fatal(err)
	}
	before := h.copy()
	if r, err := Setup(h, state, []Use{{Forward: ipvs.NAT, Gateway: netip.MustParseAddr("10.9.9.9")}}); err == nil || len(r.Changes) > 0 {
		t.Errorf("changed %v, %v", commands(r.Changes), err)
	}
	if diff := cmp.Diff(before, h.copy(), ignore...); diff != "" {
		t.Errorf("(-before +after):\n%s", diff)
	}
	other := tunnelUse(vip, netip.MustParseAddr("10.0.0.22"), ipvs.GRE, 0, ipvs.FullChecksum)
	if _, err := Setup(h, state, []Use{other}); err != nil || h.Links["hf-gre"].Local != other.Local {
		t.Errorf("the tunnel takes packets to %s, %v", h.Links["hf-gre"].Local, err)
	}
	h.Links["hf-gre"] = Link{Index: 99, Kind: "dummy"} // by others
	if _, err := Setup(h, state, []Use{tunnelUse(vip, rip, ipvs.GRE, 0, ipvs.FullChecksum)}); err == nil || h.Links["hf-gre"].Index != 99 {
		t.Errorf("links %v, %v", h.Links, err)
	}
}

// An undo that fails is told, stays in the file, and keeps nothing else from being undone.
func TestTeardownThatFails(t *testing.T) {
	h, state := newFake(), filepath.Join(t.TempDir(), "state.json")
	before := h.copy()
	if _, err := Setup(h, state, []Use{dr}); err != nil {
		t.Fatal(err)
	}
	h.fails["ip address del 10.0.0.100/32 dev lo"] = syscall.EPERM
	if r, err := Teardown(h, state); !errors.Is(err, syscall.EPERM) || len(r.Changes) != 4 {
		t.Errorf("%v, %v", commands(r.Changes), err)
	}
	clear(h.fails)
	if r, err := Teardown(h, state); err != nil || len(r.Changes) != 1 {
		t.Errorf("%v, %v", commands(r.Changes), err)
	}
	if diff := cmp.Diff(before, h.copy(), ignore...); diff != "" {
		t.Errorf("(-before +after):\n%s", diff)
	}
}

// What could not be put back is not changed.
func TestStateThatCannotBeWritten(t *testing.T) {
	h, file := newFake(), filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	before := h.copy()
	m := &memory{host: h, path: filepath.Join(file, "state.json")}
	err := m.apply(needed([]Use{dr})[0].Change)
	if err == nil || !strings.Contains(err.Error(), "remember what was there, before it is changed: ") || len(m.state.Changes) > 0 {
		t.Errorf("%v, remembers %v", err, m.state.Changes)
	}
	if diff := cmp.Diff(before, h.copy(), ignore...); diff != "" {
		t.Errorf("(-before +after):\n%s", diff)
	}
}

func TestStateFileOfOthers(t *testing.T) {
	for _, text := range []string{"", "{", `{"version":2}`, `{"version":1,"changes":[{"kind":"format disk"}]}`} {
		h, state := newFake(), filepath.Join(t.TempDir(), "state.json")
		if err := os.WriteFile(state, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		before := h.copy()
		_, err := Setup(h, state, []Use{dr})
		_, err2 := Teardown(h, state)
		if err == nil || err2 == nil || !strings.Contains(err.Error(), state) {
			t.Errorf("%q: %v, %v", text, err, err2)
		}
		if diff := cmp.Diff(before, h.copy(), ignore...); diff != "" {
			t.Errorf("%q: (-before +after):\n%s", text, diff)
		}
	}
}

// What verify finds that setup does not touch.
func TestStrays(t *testing.T) {
	for _, tt := range []struct {
		name, fact, why, mend string
		do                    func(*fake)
	}{
		{
			"on the LAN", "10.0.0.100/24 is on eth0", "this host answers for the virtual address there", "ip address del 10.0.0.100/24 dev eth0",
			func(h *fake) {
				h.Addresses = append(h.Addresses, Address{"eth0", netip.MustParsePrefix("10.0.0.100/24")})
			},
		},
		{
			"a whole network on lo", "10.0.0.100/24 is on lo", "on lo all of 10.0.0.0/24 becomes this host's own", "ip address del 10.0.0.100/24 dev lo",
			func(h *fake) {
				h.Addresses = append(h.Addresses, Address{"lo", netip.MustParsePrefix("10.0.0.100/24")})
			},
		},
		{
			"a link that answers", "net.ipv4.conf.eth0.arp_ignore is 3, and counts instead of that of all", "this host answers who-has",
			"sysctl -w net.ipv4.conf.eth0.arp_ignore=1",
			func(h *fake) { h.Sysctls["net/ipv4/conf/eth0/arp_ignore"] = "3" },
		},
	} {
		h := newFake()
		tt.do(h)
		if _, err := Setup(h, filepath.Join(t.TempDir(), "state.json"), []Use{dr}); err != nil {
			t.Fatal(err)
		}
		found, err := Verify(h, []Use{dr})
		if err != nil || len(found) != 1 || found[0].Fact != tt.fact || !strings.Contains(found[0].Why, tt.why) || found[0].Mend != tt.mend {
			t.Errorf("%s: %+v, %v", tt.name, found, err)
		}
	}
}
