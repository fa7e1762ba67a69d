// SPDX-License-Identifier: Apache-2.0

package sysctl

import (
	"bytes"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-lb/holdfast/configs"
	"github.com/holdfast-lb/holdfast/ipvs"
	"github.com/holdfast-lb/holdfast/vrrp"
)

func service(forward ipvs.Forward, address, scheduler string, persistence time.Duration) configs.VirtualServer {
	a := netip.MustParseAddrPort(address)
	server := netip.MustParseAddrPort("10.0.0.21:80")
	if a.Addr().Is6() {
		server = netip.MustParseAddrPort("[2001:db8::21]:80")
	}
	return configs.VirtualServer{
		Key:         ipvs.Key{Address: a.Addr(), Port: a.Port(), Protocol: ipvs.TCP},
		Settings:    ipvs.Settings{Scheduler: scheduler, Persistence: ipvs.Persistence{Timeout: persistence}},
		RealServers: []configs.RealServer{{Address: server, Forward: forward}},
	}
}

func router(iface string, vmac bool, addresses ...string) vrrp.Config {
	vr := vrrp.Config{Interface: iface, ID: 51, VMAC: vmac}
	for _, a := range addresses {
		text, device, _ := strings.Cut(a, " dev ")
		vr.Addresses = append(vr.Addresses, vrrp.Address{Prefix: netip.MustParsePrefix(text), Device: device})
	}
	return vr
}

func TestNeeded(t *testing.T) {
	web := router("eth0", false, "10.0.0.100/32 dev eth0")
	sync := configs.ConnectionSync{VirtualRouter: "web", Daemon: ipvs.SyncDaemon{Interface: "eth0", ID: 51}}
	always := []string{"net.ipv4.vs.conn_reuse_mode=1", "net.ipv4.vs.expire_nodest_conn=1"}
	eth0 := []string{"net.ipv4.conf.eth0.arp_announce=2", "net.ipv4.conf.eth0.arp_ignore=1"}
	nat := []string{"net.ipv4.conf.all.send_redirects=0", "net.ipv4.conf.eth0.send_redirects=0", "net.ipv4.ip_forward=1"}
	synced := []string{
		"net.ipv4.vs.backup_only=0", "net.ipv4.vs.sync_refresh_period=10", "net.ipv4.vs.sync_sock_size=4194304",
		"net.ipv4.vs.sync_threshold=0 0", "net.ipv4.vs.sync_version=1",
	}
	for _, tt := range []struct {
		name string
		cfg  configs.Config
		want []string
	}{
		{"an election alone", configs.Config{VirtualRouters: []vrrp.Config{web}}, nil},
		{
			"nat",
			configs.Config{VirtualRouters: []vrrp.Config{web}, VirtualServers: []configs.VirtualServer{service(ipvs.NAT, "10.0.0.100:80", "rr", 0)}},
			slices.Concat(always, eth0, nat),
		},
		{
			"nat over IPv6",
			configs.Config{
				VirtualRouters: []vrrp.Config{router("eth0", false, "2001:db8::100/128 dev eth0")},
				VirtualServers: []configs.VirtualServer{service(ipvs.NAT, "[2001:db8::100]:80", "rr", 0)},
			},
			append([]string{"net.ipv6.conf.all.forwarding=1"}, always...),
		},
		{
			"dr with persistence",
			configs.Config{VirtualRouters: []vrrp.Config{web}, VirtualServers: []configs.VirtualServer{service(ipvs.DR, "10.0.0.100:80", "rr", time.Minute)}},
			slices.Concat(always, eth0, []string{"net.ipv4.conf.eth0.rp_filter=2", "net.ipv4.vs.expire_quiescent_template=1"}),
		},
		{
			"a scheduler that chooses alike on both",
			configs.Config{VirtualServers: []configs.VirtualServer{service(ipvs.DR, "10.0.0.100:80", "mh", 0)}},
			append([]string{"net.ipv4.vs.sloppy_tcp=1"}, always...),
		},
		{
			"connection sync",
			configs.Config{
				VirtualRouters: []vrrp.Config{web}, ConnectionSync: sync,
				VirtualServers: []configs.VirtualServer{service(ipvs.Tunnel, "10.0.0.100:80", "rr", 0)},
			},
			slices.Concat(always, eth0, synced, []string{"net.ipv4.conf.eth0.rp_filter=2"}),
		},
		{
			"an address on another link",
			configs.Config{
				VirtualRouters: []vrrp.Config{router("eth0", false, "10.0.0.100/32 dev eth0", "192.168.1.1/32 dev eth1")},
				VirtualServers: []configs.VirtualServer{service(ipvs.NAT, "10.0.0.100:80", "rr", 0)},
			},
			slices.Concat(always, nat, []string{
				"net.ipv4.conf.eth0.arp_announce=2", "net.ipv4.conf.eth1.arp_announce=2", "net.ipv4.conf.eth1.send_redirects=0",
			}),
		},
		{
			"a virtual mac address, and the loopback",
			configs.Config{
				VirtualRouters: []vrrp.Config{
					router("eth0", true, "10.0.0.100/32 dev "+vrrp.VMACDevice("eth0", 51, false)), router("eth1", false, "10.1.0.100/32 dev lo"),
				},
				VirtualServers: []configs.VirtualServer{service(ipvs.DR, "10.0.0.100:80", "rr", 0)},
			},
			always,
		},
	} {
		var got []string
		for _, s := range Needed(&tt.cfg) {
			got = append(got, s.Name()+"="+s.Value)
			if s.Reason == "" {
				t.Errorf("%s: no reason for %s", tt.name, s.Name())
			}
		}
		slices.Sort(tt.want)
		slices.Sort(got)
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

// tree is a /proc/sys in a directory.
type tree struct {
	t    *testing.T
	root string
	eth0 int // index
	log  bytes.Buffer
}

func newTree(t *testing.T, values map[string]string) *tree {
	tr := &tree{t: t, root: t.TempDir(), eth0: 3}
	tr.put("kernel/random/boot_id", "first")
	for path, value := range values {
		tr.put(path, value)
	}
	return tr
}

func (tr *tree) put(path, value string) {
	tr.t.Helper()
	file := filepath.Join(tr.root, path)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		tr.t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(value+"\n"), 0o644); err != nil {
		tr.t.Fatal(err)
	}
}

func (tr *tree) keeper(before Loans) *Keeper {
	log := slog.New(slog.NewTextHandler(&tr.log, nil))
	return newKeeper(log, files{tr.root, func(string) int { return tr.eth0 }}, before)
}

func (tr *tree) is(path, want string) {
	tr.t.Helper()
	b, err := os.ReadFile(filepath.Join(tr.root, path))
	if got := strings.Join(strings.Fields(string(b)), " "); err != nil || got != want {
		tr.t.Errorf("%s is %q, %v; want %q", path, got, err, want)
	}
}

func (tr *tree) said(what string) int { return strings.Count(tr.log.String(), what) }

var (
	ipForward = Setting{Path: "net/ipv4/ip_forward", Value: "1", Reason: "nat"}
	threshold = Setting{Path: "net/ipv4/vs/sync_threshold", Value: "0 0", Reason: "sync"}
	rpFilter  = Setting{Path: "net/ipv4/conf/eth0/rp_filter", Value: "2", Serves: "0", Larger: "net/ipv4/conf/all/rp_filter", Reason: "dr"}
)

func TestSetAndPutBack(t *testing.T) {
	tr := newTree(t, map[string]string{ipForward.Path: "0", threshold.Path: "3\t50"})
	k := tr.keeper(Loans{})
	for range 2 {
		k.Apply([]Setting{ipForward, threshold})
	}
	tr.is(ipForward.Path, "1")
	tr.is(threshold.Path, "0 0")
	if n := tr.said("sysctl set"); n != 2 {
		t.Errorf("said %d times what was set, want once for each:\n%s", n, &tr.log)
	}
	k.Apply([]Setting{ipForward}) // a reload: what is there may need the other one
	tr.is(threshold.Path, "0 0")
	k.Restore()
	tr.is(ipForward.Path, "0")
	tr.is(threshold.Path, "3 50")
	if l := k.Loans(); len(l.List) > 0 {
		t.Errorf("left after all was put back: %v", l)
	}
}

// What is as needed, or serves, was not changed and is not put back.
func TestNothingToSet(t *testing.T) {
	for _, tt := range []struct{ own, all, want string }{
		{"0", "0", "0"}, {"2", "0", "2"}, {"1", "2", "1"}, {"1", "0", "2"}, {"0", "1", "2"}, {"1", "1", "2"},
	} {
		tr := newTree(t, map[string]string{rpFilter.Path: tt.own, rpFilter.Larger: tt.all})
		k := tr.keeper(Loans{})
		want := []Setting{threshold} // it does not exist
		if tt.own != tt.want {
			want = append(want, rpFilter)
		}
		if missing := Missing(tr.root, []Setting{threshold, rpFilter}); !slices.Equal(missing, want) {
			t.Errorf("%+v: missing %v, want %v", tt, missing, want)
		}
		k.Apply([]Setting{rpFilter})
		tr.is(rpFilter.Path, tt.want)
		k.Restore()
		tr.is(rpFilter.Path, tt.own)
	}
}

func TestChangedByOthers(t *testing.T) {
	tr := newTree(t, map[string]string{ipForward.Path: "0", threshold.Path: "3 50"})
	k := tr.keeper(Loans{})
	k.Apply([]Setting{ipForward, threshold})
	tr.put(ipForward.Path, "2")
	for range 2 {
		k.Apply([]Setting{ipForward, threshold})
	}
	if n := tr.said("left to them"); n != 1 {
		t.Errorf("said %d times that others changed it, want once:\n%s", n, &tr.log)
	}
	tr.put(threshold.Path, "7 9") // and nobody looks before the end
	k.Restore()
	tr.is(ipForward.Path, "2")
	tr.is(threshold.Path, "7 9")
}

// A crash loses nothing: the next run goes on with what the state file says. After a boot that means nothing any more.
func TestNextRun(t *testing.T) {
	tr := newTree(t, map[string]string{ipForward.Path: "0"})
	k := tr.keeper(Loans{})
	k.Apply([]Setting{ipForward})
	after := tr.keeper(k.Loans())
	after.Apply([]Setting{ipForward})
	after.Restore()
	tr.is(ipForward.Path, "0")

	left := k.Loans()
	tr.put("kernel/random/boot_id", "second")
	tr.put(ipForward.Path, "1") // by the host's own configuration
	booted := tr.keeper(left)
	booted.Apply([]Setting{ipForward})
	booted.Restore()
	tr.is(ipForward.Path, "1")
}

// A state file that names other files than those of the network's parameters has not been written by us.
func TestLoansOfOthers(t *testing.T) {
	for _, path := range []string{"kernel/core_pattern", "../outside", "net/../../outside", "net/./x", "/net/x", ""} {
		tr := newTree(t, map[string]string{"kernel/core_pattern": "core"})
		outside := filepath.Join(filepath.Dir(tr.root), "outside")
		if err := os.WriteFile(outside, []byte("core"), 0o600); err != nil {
			t.Fatal(err)
		}
		k := tr.keeper(Loans{Boot: "first", List: []Loan{{Path: path, Was: "changed", Is: "core"}}})
		if k.Restore(); len(k.Loans().List) > 0 {
			t.Errorf("%q is kept", path)
		}
		tr.is("kernel/core_pattern", "core")
		if b, err := os.ReadFile(outside); err != nil || string(b) != "core" {
			t.Errorf("%q: a file elsewhere has become %q, %v", path, b, err)
		}
	}
}

// A link that comes anew has the kernel's values again, and what the one before it had means nothing.
func TestLinkComesAnew(t *testing.T) {
	tr := newTree(t, map[string]string{rpFilter.Path: "1", rpFilter.Larger: "0"})
	k := tr.keeper(Loans{})
	k.Apply([]Setting{rpFilter})
	if err := os.RemoveAll(filepath.Join(tr.root, "net/ipv4/conf/eth0")); err != nil {
		t.Fatal(err)
	}
	tr.eth0 = 0
	for range 2 {
		k.Apply([]Setting{rpFilter})
	}
	if n := tr.said("they appear with the link eth0"); n != 1 || tr.said("others") > 0 {
		t.Errorf("said %d times that the link is missing, want once and nothing else:\n%s", n, &tr.log)
	}
	tr.put(rpFilter.Path, "1")
	tr.eth0 = 9
	k.Apply([]Setting{rpFilter})
	tr.is(rpFilter.Path, "2")
	k.Restore()
	tr.is(rpFilter.Path, "1")
}

// Before IPVS is there its parameters are missing: that is said once, and they are set when they appear.
func TestIPVSComesLater(t *testing.T) {
	tr := newTree(t, nil)
	k := tr.keeper(Loans{})
	for range 3 {
		k.Apply([]Setting{threshold})
	}
	if n := tr.said("modprobe ip_vs"); n != 1 {
		t.Errorf("said %d times what is missing, want once:\n%s", n, &tr.log)
	}
	tr.put(threshold.Path, "3 50")
	k.Apply([]Setting{threshold})
	tr.is(threshold.Path, "0 0")
}

func TestName(t *testing.T) {
	for path, want := range map[string]string{
		threshold.Path: "net.ipv4.vs.sync_threshold", "net/ipv4/conf/eth0.7/arp_ignore": "net/ipv4/conf/eth0.7/arp_ignore",
	} {
		if got := (Setting{Path: path}).Name(); got != want {
			t.Errorf("%s is named %s, want %s", path, got, want)
		}
	}
}
