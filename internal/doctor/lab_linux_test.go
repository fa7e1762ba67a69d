// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-lb/holdfast/configs"
	"github.com/holdfast-lb/holdfast/internal/netlab"
	"github.com/holdfast-lb/holdfast/vrrp"
)

// site is a pair of directors on a LAN: lb1, which the doctor looks at, and lb2, the master.
type site struct {
	t        *testing.T
	lab      *netlab.Lab
	lan      *netlab.LAN
	lb1, lb2 *netlab.Host
	port     *netlab.Port // of lb1
	config   string
	options  Options

	advert  vrrp.Advert // what lb2 sends
	unicast bool        // it sends to lb1 alone
	silent  bool        // it does not
	ttl     uint8       // with unicast
}

const vip = "10.0.0.100"

// election is a configuration without services, which needs no IPVS.
const electionOnly = `
virtual_router "web" {
  interface          = "eth0"
  id                 = 51
  advertise_interval = "100ms"
  addresses          = ["10.0.0.100/32"]
}
`

func newSite(t *testing.T) *site {
	t.Parallel()
	lab := netlab.Test(t)
	s := &site{
		t: t, lab: lab, lan: lab.LAN("lan"), lb1: lab.Host("lb1"), lb2: lab.Host("lb2"), config: electionOnly, ttl: 255,
		options: Options{Listen: time.Second, Root: t.TempDir()},
		advert: vrrp.Advert{
			Version: 3, ID: 51, Priority: 200, Interval: 100 * time.Millisecond, Addresses: []netip.Addr{netip.MustParseAddr(vip)},
		},
	}
	s.port = s.lb1.Join(s.lan, "eth0", netip.MustParsePrefix("10.0.0.2/24"))
	s.lb2.Join(s.lan, "eth0", netip.MustParsePrefix("10.0.0.3/24"), netip.MustParsePrefix(vip+"/32"))
	return s
}

// write writes a file below the root of lb1.
func (s *site) write(name, text string) {
	s.t.Helper()
	file := filepath.Join(s.options.Root, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

// run runs a command on a host.
func run(t *testing.T, h *netlab.Host, line string) {
	t.Helper()
	if out, err := h.Command(t.Context(), "sh", "-ec", line).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", line, err, out)
	}
}

func (s *site) load() *configs.Config {
	s.t.Helper()
	cfg, diags := configs.LoadBytes("site.hcl", []byte(s.config))
	if diags.Errors() > 0 {
		s.t.Fatal(diags.Err())
	}
	return cfg
}

// diagnose lets lb2 send, and the doctor look at lb1.
func (s *site) diagnose() (Facts, []Finding) {
	s.t.Helper()
	if !s.silent {
		defer s.send()()
	}
	if s.config != "" {
		s.options.Config = s.load()
	}
	var f Facts
	if err := s.lb1.Do(func() (err error) {
		f, err = Gather(s.t.Context(), s.options)
		return err
	}); err != nil {
		s.t.Fatal(err)
	}
	return f, Diagnose(f)
}

// send sends the advert of lb2, often, until stop.
func (s *site) send() (stop func()) {
	s.t.Helper()
	c := vrrp.Config{Name: "web", Interface: "eth0", ID: s.advert.ID, Version: s.advert.Version}
	for _, a := range s.advert.Addresses {
		c.Addresses = append(c.Addresses, vrrp.Address{Prefix: netip.PrefixFrom(a, a.BitLen()), Device: "eth0"})
	}
	to := netip.MustParseAddr("224.0.0.18")
	if s.unicast {
		to = netip.MustParseAddr("10.0.0.2")
		c.Unicast = vrrp.Unicast{Source: netip.MustParseAddr("10.0.0.3"), Peers: []netip.Addr{to}, TTL: s.ttl}
	}
	if c.Family6() {
		to = netip.MustParseAddr("ff02::12")
	}
	var n *vrrp.Network
	var conn vrrp.Conn
	if err := s.lb2.Do(func() (err error) {
		if n, err = vrrp.OpenNetwork(slog.New(slog.DiscardHandler)); err == nil {
			conn, err = n.Dial(c)
		}
		return err
	}); err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(s.t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			_ = conn.Write(s.advert.Append(nil, conn.Source(), to), to) // a firewall may forbid it
			select {
			case <-ctx.Done():
			case <-time.After(50 * time.Millisecond):
			}
		}
	}()
	return func() {
		cancel()
		<-ended
		_ = conn.Close()
		n.Close()
	}
}

// ids are those of findings, one each.
func ids(found []Finding) string {
	var list []string
	for _, f := range found {
		list = append(list, f.ID)
	}
	return strings.Join(list, " ")
}

// breakage is one thing that is wrong, and what the doctor says of it.
type breakage struct {
	name  string
	wreck func(*site)
	want  string // ids
	fact  string // of the first one, or a part of it
	mend  string // likewise
}

func (b breakage) test(t *testing.T, healthy func(*testing.T) *site) {
	s := healthy(t)
	if b.wreck != nil {
		b.wreck(s)
	}
	f, found := s.diagnose()
	if diff := cmp.Diff(b.want, ids(found)); diff != "" {
		t.Fatalf("findings (-want +got):\n%s\n%+v\nunknown: %q\nheard: %+v", diff, found, f.Unknown, f.Heard)
	}
	if len(found) == 0 {
		return
	}
	if !strings.Contains(found[0].Fact, b.fact) || !strings.Contains(found[0].Mend, b.mend) {
		t.Errorf("got %+v, want the fact %q and the command %q", found[0], b.fact, b.mend)
	}
	for _, x := range found {
		if x.Fact == "" || x.Why == "" || x.Mend == "" || x.Severity == 0 {
			t.Errorf("the finding is not whole: %+v", x)
		}
	}
}

const unicastBlock = `addresses = ["10.0.0.100/32"]
  unicast {
    source = "10.0.0.2"
    peers  = ["10.0.0.3"]
  }`

func (s *site) replace(old, new string) {
	s.t.Helper()
	if !strings.Contains(s.config, old) {
		s.t.Fatalf("the configuration has no %q", old)
	}
	s.config = strings.Replace(s.config, old, new, 1)
}

// goUnicast makes the pair speak without multicast.
func (s *site) goUnicast() {
	s.replace(`addresses          = ["10.0.0.100/32"]`, unicastBlock)
	s.unicast = true
}

// TestElection breaks one thing of an election at a time, and expects that finding and no other.
func TestElection(t *testing.T) {
	for _, b := range []breakage{
		{name: "healthy"},
		{name: "healthy, unicast", wreck: (*site).goUnicast},
		{
			name: "link missing", want: "link-missing", fact: "there is no link eth7", mend: "this host has eth0",
			wreck: func(s *site) { s.config = strings.ReplaceAll(s.config, "eth0", "eth7") },
		},
		{
			name: "link down", want: "link-down", fact: "eth0, which virtual_router \"web\" is elected on, is down", mend: "ip link set eth0 up",
			wreck: func(s *site) { s.must(s.port.Down()) },
		},
		{
			name: "no carrier", want: "link-carrier", fact: "has no carrier", mend: "ip link show eth0",
			wreck: func(s *site) { s.must(s.port.Unplug()) },
		},
		{
			name: "static address", want: "address-static", fact: "10.0.0.100/24 of virtual_router \"web\" is on eth0 for good",
			mend:  "ip address del 10.0.0.100/24 dev eth0",
			wreck: func(s *site) { s.lb1.Address("eth0", netip.MustParsePrefix("10.0.0.100/24")) },
		},
		{
			name: "no address to send from", want: "adverts-deaf", fact: "interface eth0 has no IPv4 address of its own",
			mend:  "ip address add",
			wreck: func(s *site) { run(s.t, s.lb1, "ip address del 10.0.0.2/24 dev eth0") },
		},
		{
			name: "another version", want: "adverts-refused", fact: "adverts of 10.0.0.3 are refused (version)",
			wreck: func(s *site) { s.advert.Version, s.advert.Interval = 2, time.Second },
		},
		{
			name: "a stranger with the same number", want: "vrid-taken", fact: "10.0.0.3 sends adverts for 10.0.0.77, and for none of 10.0.0.100",
			mend: "choose another id for virtual_router \"web\"",
			wreck: func(s *site) {
				s.advert.Addresses = []netip.Addr{netip.MustParseAddr("10.0.0.77")}
			},
		},
		{
			name: "another list of addresses", want: "addresses-differ", fact: "10.0.0.3 alone has 10.0.0.77, this host alone has none",
			wreck: func(s *site) { s.advert.Addresses = append(s.advert.Addresses, netip.MustParseAddr("10.0.0.77")) },
		},
		{
			name: "the other reading of the checksum", want: "checksum-reading", fact: "the checksums of 10.0.0.3 are plain, this director sends pseudo",
			mend:  `checksum = "plain"`,
			wreck: func(s *site) { s.advert.Checksum = vrrp.Plain },
		},
		{
			name: "no advert", want: "adverts-silent", fact: "no advert on eth0 within 1s", mend: "tcpdump -ni eth0 proto 112",
			wreck: func(s *site) { s.silent = true; run(s.t, s.lb2, "ip address del 10.0.0.100/32 dev eth0") },
		},
		{
			name: "two masters", want: "two-masters", fact: "virtual_router \"web\" is master here, and on 10.0.0.3", mend: "there: holdfast doctor",
			wreck: func(s *site) { s.options.Masters = []string{"web"} },
		},
		{
			name: "no advert of a unicast peer", want: "adverts-silent", mend: "(host 10.0.0.3)",
			wreck: func(s *site) {
				s.goUnicast()
				s.silent = true
				run(s.t, s.lb2, "ip address del 10.0.0.100/32 dev eth0")
			},
		},
		{
			name: "a unicast peer that nobody has named", want: "adverts-refused", fact: "(peer)",
			wreck: func(s *site) {
				s.goUnicast()
				s.replace(`["10.0.0.3"]`, `["10.0.0.4"]`)
				run(s.t, s.lb2, "ip address del 10.0.0.100/32 dev eth0")
			},
		},
		{
			name: "another holder of the address", want: "address-taken", fact: "answers ARP for 10.0.0.100 of virtual_router \"web\" on eth0",
			mend: "ip address del 10.0.0.100",
			wreck: func(s *site) {
				s.lab.Host("web1").Join(s.lan, "eth0", netip.MustParsePrefix("10.0.0.21/24"), netip.MustParsePrefix("10.0.0.100/32"))
			},
		},
		{
			name: "two hosts with one address", want: "host-address-taken", fact: "answers ARP for 10.0.0.2 of this host on eth0",
			wreck: func(s *site) { s.lab.Host("twin").Join(s.lan, "eth0", netip.MustParsePrefix("10.0.0.2/24")) },
		},
		{
			name: "networkd", want: "networkd-addresses", fact: "systemd-networkd configures eth0 by /etc/systemd/network/10-lan.network",
			mend:  "/etc/systemd/network/10-lan.network.d/holdfast.conf",
			wreck: func(s *site) { s.networkd("[Network]\nAddress=10.0.0.2/24\n") },
		},
		{name: "networkd that keeps", wreck: func(s *site) { s.networkd("[Network]\nKeepConfiguration=yes\n") }},
		{
			name: "networkd that keeps by a drop-in",
			wreck: func(s *site) {
				s.networkd("[Network]\nAddress=10.0.0.2/24\n")
				s.write("etc/systemd/network/10-lan.network.d/holdfast.conf", "[Network]\nKeepConfiguration=static\n")
			},
		},
		{
			name: "networkd and virtual routes", want: "networkd-addresses networkd-routes",
			wreck: func(s *site) {
				s.networkd("[Network]\nAddress=10.0.0.2/24\n")
				s.replace(`id                 = 51`, "id = 51\n virtual_routes = [\"192.0.2.0/24 via 10.0.0.1\"]")
			},
		},
		{
			name: "networkmanager", want: "networkmanager-addresses", fact: "NetworkManager manages eth0", mend: "nmcli device set eth0 managed no",
			wreck: func(s *site) {
				s.write("run/NetworkManager/devices/"+s.index(), "[device]\nmanaged=true\n")
			},
		},
		{
			name:  "networkmanager that leaves it alone",
			wreck: func(s *site) { s.write("run/NetworkManager/devices/"+s.index(), "[device]\nmanaged=false\n") },
		},
	} {
		t.Run(b.name, func(t *testing.T) { b.test(t, newSite) })
	}
}

func (s *site) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) index() string {
	s.t.Helper()
	l, err := s.lb1.Netlink().LinkByName("eth0")
	s.must(err)
	return fmt.Sprint(l.Attrs().Index)
}

// networkd writes what systemd-networkd does when it has configured eth0.
func (s *site) networkd(file string) {
	s.write("run/systemd/netif/links/"+s.index(), "ADMIN_STATE=configured\nOPER_STATE=routable\nNETWORK_FILE=/etc/systemd/network/10-lan.network\n")
	s.write("etc/systemd/network/10-lan.network", file)
}
