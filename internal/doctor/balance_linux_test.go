// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/holdfast-lb/holdfast/internal/netlab"
	"github.com/holdfast-lb/holdfast/internal/sysctl"
)

// balancer is a configuration with all forwarding methods.
const balancer = `
director { manage_sysctls = false }
virtual_router "web" {
  interface          = "eth0"
  id                 = 51
  advertise_interval = "100ms"
  addresses          = ["10.0.0.100/32"]
  excluded_addresses = ["10.10.1.254/24 dev eth1"]
}
connection_sync { interface = "eth0" }
virtual_server "web" {
  address = "10.0.0.100:80"
  forward = "dr"
  check "tcp" {}
  real_server "web1" { address = "10.0.0.21" }
}
virtual_server "app" {
  address   = "10.0.0.100:81"
  scheduler = "ovf"
  check "tcp" {}
  real_server "app1" { address = "10.10.1.11" }
}
virtual_server "far" {
  address = "10.0.0.100:82"
  forward = "tunnel"
  check "tcp" {}
  real_server "far1" { address = "10.10.1.31" }
}
`

// newBalancer is a healthy director with real servers.
func newBalancer(t *testing.T) *site {
	netlab.RequireIPVS(t)
	s := newSite(t)
	s.config = balancer
	s.lb1.Join(s.lab.LAN("inside"), "eth1", netip.MustParsePrefix("10.10.1.2/24"))
	s.must(os.MkdirAll(filepath.Join(s.options.Root, "lib"), 0o755))
	s.must(os.Symlink("/lib/modules", filepath.Join(s.options.Root, "lib/modules")))
	s.must(s.lb1.Do(func() error {
		sysctl.NewKeeper(slog.New(slog.DiscardHandler), sysctl.Root, sysctl.Loans{}).Apply(sysctl.Needed(s.load()))
		return nil
	}))
	return s
}

// TestBalancing breaks one thing of a director with services at a time.
func TestBalancing(t *testing.T) {
	netlab.RequireIPVS(t)
	netlab.RequireTool(t, "nft")
	netlab.RequireTool(t, "iptables")
	set := func(key, value string) func(*site) { return func(s *site) { s.lb1.Sysctl(key, value) } }
	on := func(lines string) func(*site) { return func(s *site) { run(s.t, s.lb1, lines) } }
	for _, b := range []breakage{
		{name: "healthy"},
		{name: "ip_forward", want: "sysctl", fact: `net.ipv4.ip_forward is "0", not "1"`, mend: "sysctl -w net.ipv4.ip_forward=1", wreck: set("net.ipv4.ip_forward", "0")},
		{name: "send_redirects", want: "sysctl", fact: "net.ipv4.conf.eth1.send_redirects", wreck: set("net.ipv4.conf.eth1.send_redirects", "1")},
		{name: "rp_filter", want: "sysctl", fact: "net.ipv4.conf.eth0.rp_filter", mend: "rp_filter=2", wreck: set("net.ipv4.conf.eth0.rp_filter", "1")},
		{name: "arp_announce", want: "sysctl", fact: "arp_announce", wreck: set("net.ipv4.conf.eth0.arp_announce", "0")},
		{name: "sync_threshold", want: "sysctl", mend: `sysctl -w net.ipv4.vs.sync_threshold="0 0"`, wreck: set("net.ipv4.vs.sync_threshold", "3 50")},
		{name: "left to a director that starts", wreck: func(s *site) {
			s.replace("director { manage_sysctls = false }", "")
			s.lb1.Sysctl("net.ipv4.ip_forward", "0")
		}},
		{name: "changed by others", want: "sysctl", wreck: func(s *site) {
			s.replace("director { manage_sysctls = false }", "")
			s.options.Running = true
			s.lb1.Sysctl("net.ipv4.ip_forward", "0")
		}},
		{name: "no route", want: "server-unreachable", fact: "no route leads to web1 (192.0.2.21) of virtual_server \"web\"", mend: "ip route add 192.0.2.21",
			wreck: func(s *site) { s.replace("10.0.0.21", "192.0.2.21") }},
		{name: "dr behind a router", want: "dr-behind-router", fact: "web1 (192.0.2.21) of virtual_server \"web\", with dr, is behind the router 10.0.0.3",
			wreck: func(s *site) {
				s.replace("10.0.0.21", "192.0.2.21")
				s.lb1.Route(netip.MustParsePrefix("192.0.2.0/24"), netip.MustParseAddr("10.0.0.3"))
			}},
		{name: "mtu", want: "tunnel-mtu", fact: "by eth1 carries 1400 bytes, eth0 carries 1500", mend: "ip link set eth1 mtu 1500", wreck: on("ip link set eth1 mtu 1400")},
		{name: "forbidden module", want: "module-missing", fact: "modprobe is told not to load ip_vs_ovf", mend: "grep -r 'install ip_vs_ovf' /etc/modprobe.d",
			wreck: func(s *site) { unload(s); s.write("etc/modprobe.d/hardening.conf", "install ip_vs_ovf /bin/false\n") }},
		{name: "missing module", want: "module-missing", fact: "the kernel has no module ip_vs_ovf, for scheduler ovf of virtual_server \"app\"", mend: "modprobe ip_vs_ovf",
			wreck: withoutModule},
		{name: "sync out", want: "firewall-sync", fact: "connection sync that goes out on eth0: dropped by chain OUTPUT", mend: "iptables -I OUTPUT -o eth0 -p udp --dport 8848 -j ACCEPT",
			wreck: on("iptables -A OUTPUT -p udp -m udp --dport 8000:9000 -j DROP")},
		{name: "sync in", want: "firewall-sync", fact: "connection sync that comes in on eth0: dropped by chain in of table mine (nft)",
			mend: "nft insert rule inet mine in iifname eth0 udp dport 8848 accept",
			wreck: on(`nft add table inet mine
				nft 'add chain inet mine in { type filter hook input priority 0; }'
				nft add rule inet mine in ip daddr 224.0.0.81 drop`)},
		{name: "requests", want: "firewall-service", fact: `requests to virtual_server "app" (10.0.0.100:81/tcp): dropped by chain INPUT`,
			mend:  "iptables -I INPUT -d 10.0.0.100 -p tcp --dport 81 -j ACCEPT",
			wreck: on("iptables -A INPUT -p tcp --dport 81 -j REJECT")},
		{name: "wrapped", want: "firewall-tunnel", fact: "wrapped packets (ipip) to far1", mend: "iptables -I OUTPUT -o eth1 -d 10.10.1.31 -p 4 -j ACCEPT",
			wreck: on("iptables -A OUTPUT -p ipencap -j DROP")},
		{name: "answers", want: "firewall-forward", fact: "answers of app1 (10.10.1.11) of virtual_server \"app\": dropped by chain FORWARD",
			mend: "iptables -I FORWARD -i eth1 -s 10.10.1.11 -p tcp -j ACCEPT", wreck: on("iptables -P FORWARD DROP")},
		{name: "answers that connection tracking may let pass", wreck: on("iptables -P FORWARD DROP; iptables -A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT")},
		{name: "files", want: "files", fact: "a director here may have 100 files open, and checks alone may take 3", mend: "LimitNOFILE=65536", wreck: limited},
		{name: "a real server that answers for its lo", want: "address-taken", fact: `real_server "web1" 02:68:66:00:`, mend: "there: holdfast real-server setup",
			wreck: func(s *site) {
				h := s.lab.Host("web1")
				h.Join(s.lan, "eth0", netip.MustParsePrefix("10.0.0.21/24"))
				h.Address("lo", netip.MustParsePrefix(vip+"/32"))
				l, err := h.Listen("tcp", "10.0.0.21:80")
				s.must(err)
				c, err := s.lb1.Dial(s.t.Context(), "tcp", "10.0.0.21:80") // as a check does: lb1 knows its Ethernet address
				s.must(err)
				s.must(errors.Join(c.Close(), l.Close()))
			}},
		{name: "connection sync without its link", want: "link-missing", fact: "there is no link eth9, which connection_sync uses",
			wreck: func(s *site) {
				s.replace(`connection_sync { interface = "eth0" }`, `connection_sync { interface = "eth9" }`)
			}},
	} {
		t.Run(b.name, func(t *testing.T) { b.test(t, newBalancer) })
	}
}

// unload makes the kernel forget a scheduler, if nothing uses it.
func unload(s *site) {
	s.t.Helper()
	run(s.t, s.lb1, "modprobe -r ip_vs_ovf || true")
}

// withoutModule lets the host have all modules but one.
func withoutModule(s *site) {
	unload(s)
	var uts unix.Utsname
	s.must(unix.Uname(&uts))
	release := unix.ByteSliceToString(uts.Release[:])
	s.must(os.Remove(filepath.Join(s.options.Root, "lib/modules")))
	for _, name := range []string{"modules.builtin", "modules.dep"} {
		b, err := os.ReadFile(filepath.Join("/lib/modules", release, name))
		s.must(err)
		var kept strings.Builder
		for line := range strings.Lines(string(b)) {
			if file, _, _ := strings.Cut(line, ":"); !strings.Contains(file, "/ip_vs_ovf.") {
				kept.WriteString(line)
			}
		}
		s.write(filepath.Join("lib/modules", release, name), kept.String())
	}
}

// limited is a director that may have few files open: this test's program, run again as TestMain says.
func limited(s *site) {
	dir, err := os.MkdirTemp("", "doctor") // the path of a socket is short
	s.must(err)
	s.t.Cleanup(func() { _ = os.RemoveAll(dir) })
	s.options.Running, s.options.Socket = true, filepath.Join(dir, "control.sock")
	cmd := s.lb1.Command(s.t.Context(), "sh", "-c", `ulimit -n 100; exec "$0"`, os.Args[0])
	cmd.Env = append(os.Environ(), listenEnv+"="+s.options.Socket)
	s.must(cmd.Start())
	s.t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	s.must(netlab.Poll(20*time.Second, func() error {
		c, err := net.Dial("unix", s.options.Socket)
		if err == nil {
			err = c.Close()
		}
		return err
	}))
}

const listenEnv = "HOLDFAST_DOCTOR_LISTEN"

// TestMain is a program that listens on a unix socket if it is told to, and else runs the tests.
func TestMain(m *testing.M) {
	if path := os.Getenv(listenEnv); path != "" {
		if _, err := net.Listen("unix", path); err != nil {
			panic(err)
		}
		select {}
	}
	os.Exit(m.Run())
}
