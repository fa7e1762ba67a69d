// SPDX-License-Identifier: Apache-2.0

package realserver

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-lb/holdfast/internal/netlab"
	"github.com/holdfast-lb/holdfast/ipvs"
)

// do runs f on a host with its kernel.
func do(t *testing.T, h *netlab.Host, f func(k *Kernel) error) {
	t.Helper()
	if err := h.Do(func() error {
		k, err := Open()
		if err != nil {
			return err
		}
		defer k.Close()
		return f(k)
	}); err != nil {
		t.Fatal(err)
	}
}

// everything is all that a setup could change, as the tools show it once IPv6 addresses are settled.
func everything(t *testing.T, h *netlab.Host) (all string) {
	t.Helper()
	// The addresses first: what comes of them is there when they are settled.
	const script = `ip -o address show; ip -d -o link show; ip route show table all; ip -6 route show table all; ip rule
		cd /proc/sys/net && grep -r . ipv4/conf/*/arp_* ipv4/conf/*/rp_filter ipv6/conf/*/disable_ipv6`
	if err := netlab.Poll(10*time.Second, func() error {
		out, err := h.Command(t.Context(), "sh", "-c", script).Output()
		if all = string(out); strings.Contains(all, " tentative") {
			err = fmt.Errorf("tentative addresses: %s", all)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return all
}

// set sets a host up, verifies it, and returns what takes it down again and holds all against what was there before.
func set(t *testing.T, h *netlab.Host, uses ...Use) (teardown func()) {
	t.Helper()
	state, before := filepath.Join(t.TempDir(), "state.json"), everything(t, h)
	do(t, h, func(k *Kernel) error {
		r, err := Setup(k, state, uses)
		if err != nil {
			return err
		}
		t.Log(commands(r.Changes))
		if r, err := Setup(k, state, uses); err != nil || len(r.Changes) > 0 {
			t.Errorf("the second setup: %v, %v", commands(r.Changes), err)
		}
		found, err := Verify(k, uses)
		if len(found) > 0 {
			t.Errorf("after setup: %+v", found)
		}
		return err
	})
	return func() {
		t.Helper()
		do(t, h, func(k *Kernel) error {
			r, err := Teardown(k, state)
			if len(r.Left) > 0 {
				t.Errorf("teardown left %q", r.Left)
			}
			return err
		})
		if diff := cmp.Diff(strings.Split(before, "\n"), strings.Split(everything(t, h), "\n")); diff != "" {
			t.Errorf("after teardown (-before +after):\n%s", diff)
		}
	}
}

// questions collects, by capture, who answers and who asks for addresses by ARP or neighbour discovery, as
// "MAC answers ADDRESS", "MAC asks as ADDRESS".
type questions struct {
	mu   sync.Mutex
	seen map[string]bool
}

func (q *questions) add(f netlab.Frame) {
	const ethernet, ipv6, icmpv6 = 14, 40, 58
	if len(f.Data) < ethernet+28 {
		return
	}
	mac, packet, what := net.HardwareAddr(slices.Clone(f.Data[6:12])), f.Data[ethernet:], ""
	switch binary.BigEndian.Uint16(f.Data[12:]) {
	case 0x0806: // ARP
		verb := map[uint16]string{1: "asks as", 2: "answers"}[binary.BigEndian.Uint16(packet[6:])]
		what = fmt.Sprintf("%s %s", verb, netip.AddrFrom4([4]byte(packet[14:18])))
	case 0x86dd:
		if packet[6] != icmpv6 || len(packet) < ipv6+24 {
			return
		}
		switch packet[ipv6] {
		case 135: // neighbour solicitation
			what = fmt.Sprintf("asks as %s", netip.AddrFrom16([16]byte(packet[8:24])))
		case 136: // neighbour advertisement
			what = fmt.Sprintf("answers %s", netip.AddrFrom16([16]byte(packet[ipv6+8:ipv6+24])))
		}
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.seen[fmt.Sprintf("%s %s", mac, what)] = true
}

func (q *questions) String() string {
	q.mu.Lock()
	defer q.mu.Unlock()
	return strings.Join(slices.Sorted(maps.Keys(q.seen)), ", ")
}

// asks reports whether a port has asked for anything, by its link-local address for one.
func (q *questions) asks(p *netlab.Port) bool {
	return strings.Contains(q.String(), p.MAC.String()+" asks as ")
}

func (q *questions) has(p *netlab.Port, what string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.seen[fmt.Sprintf("%s %s", p.MAC, what)]
}

// After setup for DR only the director answers for the virtual address, and nobody learns of it from the server.
func TestOnlyTheDirectorAnswers(t *testing.T) {
	testAnswers(t, func(h *netlab.Host) (teardown func()) { return set(t, h, dr) }, false, vip, rip, "10.0.0.")
}

// What the documents warn of is what the capture sees.
func TestServerThatWasNotSetUpAnswers(t *testing.T) {
	testAnswers(t, func(h *netlab.Host) (teardown func()) {
		h.Address("lo", netip.PrefixFrom(vip, 32))
		return func() {}
	}, true, vip, rip, "10.0.0.")
}

// IPv6 needs the address alone.
func TestOnlyTheDirectorAnswersIPv6(t *testing.T) {
	testAnswers(t, func(h *netlab.Host) (teardown func()) { return set(t, h, dr6) }, false, vip6, rip6, "2001:db8::")
}

func testAnswers(t *testing.T, setup func(*netlab.Host) func(), loud bool, vip, rip netip.Addr, network string) {
	bits := map[bool]int{true: 24, false: 64}[vip.Is4()]
	on := func(host string) netip.Prefix { return netip.PrefixFrom(netip.MustParseAddr(network+host), bits) }
	lab := netlab.Test(t)
	lan := lab.LAN("lan")
	director := lab.Host("lb1").Join(lan, "eth0", on("2"), netip.PrefixFrom(vip, vip.BitLen()))
	server := lab.Host("web1").Join(lan, "eth0", netip.PrefixFrom(rip, bits))
	client := lab.Host("client").Join(lan, "eth0", on("9"))
	everything(t, client.Host) // addresses are settled
	teardown := setup(server.Host)
	q := &questions{seen: make(map[string]bool)}
	stop, err := lan.Capture(q.add)
	if err != nil {
		t.Fatal(err)
	}
	send := func(from *netlab.Port, source, to netip.Addr) {
		t.Helper()
		if err := from.Host.Do(func() error {
			c, err := net.DialUDP("udp", &net.UDPAddr{IP: source.AsSlice()}, &net.UDPAddr{IP: to.AsSlice(), Port: 9})
			if err != nil {
				return err
			}
			defer c.Close()
			_, err = c.Write([]byte("x"))
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	// The client asks for the virtual address, and then for the server's: an answer to the second one means that the first
	// one has been heard by it, too. The server sends in the name of the virtual address to somebody for whom it has to ask.
	send(client, on("9").Addr(), vip)
	send(client, on("9").Addr(), rip)
	send(server, vip, on("8").Addr())
	err = netlab.Poll(10*time.Second, func() error {
		if !q.has(director, "answers "+vip.String()) || !q.has(server, "answers "+rip.String()) || !q.asks(server) {
			return fmt.Errorf("seen so far: %s", q)
		}
		return nil
	})
	if err := errors.Join(err, stop()); err != nil {
		t.Fatal(err)
	}
	if is := q.has(server, "answers "+vip.String()) || q.has(server, "asks as "+vip.String()); is != loud {
		t.Errorf("the server is heard: %v; seen: %s", is, q)
	}
	teardown()
}

// A server with NAT answers by way of the gateway, whatever default route there was before, and that one comes back.
func TestGateway(t *testing.T) {
	for name, before := range map[string][]string{
		"none":        nil,
		"of a person": {"via", "10.0.0.1"},
		"of DHCP":     {"via", "10.0.0.1", "dev", "eth0", "proto", "dhcp", "src", "10.0.0.21", "metric", "100", "mtu", "1400"},
		"special":     {"via", "10.0.0.1", "dev", "eth0", "proto", "static", "src", "10.0.0.21", "mtu", "1400", "advmss", "1000", "onlink"},
		"on the link": {"dev", "eth0", "scope", "link"},
	} {
		t.Run(name, func(t *testing.T) {
			lab := netlab.Test(t)
			h := lab.Host("web1")
			h.Join(lab.LAN("lan"), "eth0", netip.MustParsePrefix("10.0.0.21/24"), netip.MustParsePrefix("2001:db8::21/64"))
			if before != nil {
				if _, err := h.Command(t.Context(), "ip", append([]string{"route", "add", "default"}, before...)...).Output(); err != nil {
					t.Fatal(err)
				}
			}
			teardown := set(t, h, nat, nat6)
			for to, via := range map[string]string{"192.0.2.1": "10.0.0.254", "2001:db8:1::1": "2001:db8::fe"} {
				routes, err := h.Netlink().RouteGet(net.ParseIP(to))
				if err != nil || len(routes) != 1 || routes[0].Gw.String() != via {
					t.Errorf("to %s: %v, %v, want by way of %s", to, routes, err, via)
				}
			}
			teardown()
		})
	}
}

// Several next hops cannot be put back, so they are not replaced.
func TestGatewayOfSeveralHops(t *testing.T) {
	lab := netlab.Test(t)
	h := lab.Host("web1")
	h.Join(lab.LAN("lan"), "eth0", netip.MustParsePrefix("10.0.0.21/24"))
	args := []string{"route", "add", "default", "nexthop", "via", "10.0.0.1", "nexthop", "via", "10.0.0.3"}
	if _, err := h.Command(t.Context(), "ip", args...).Output(); err != nil {
		t.Fatal(err)
	}
	before := everything(t, h)
	do(t, h, func(k *Kernel) error {
		if r, err := Setup(k, filepath.Join(t.TempDir(), "state.json"), []Use{nat}); err == nil || len(r.Changes) > 0 {
			t.Errorf("changed %v, %v", commands(r.Changes), err)
		}
		return nil
	})
	if diff := cmp.Diff(before, everything(t, h)); diff != "" {
		t.Errorf("(-before +after):\n%s", diff)
	}
}

// IPv6 on lo, and a lo that is down, as in a namespace that nobody has set up.
func TestIPv6AndLoDown(t *testing.T) {
	lab := netlab.Test(t)
	h := lab.Host("web1")
	lo, err := h.Netlink().LinkByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Netlink().LinkSetDown(lo); err != nil {
		t.Fatal(err)
	}
	h.Sysctl("net.ipv6.conf.lo.disable_ipv6", "1")
	teardown := set(t, h, dr, dr6)
	for _, address := range []string{vip.String(), vip6.String()} {
		l, err := h.Listen("tcp", net.JoinHostPort(address, "80"))
		if err != nil {
			t.Error(err)
			continue
		}
		_ = l.Close()
	}
	teardown()
}

// Every kind of tunnel in both families, from IPVS to a server's socket.
func TestTunnels(t *testing.T) {
	netlab.RequireIPVS(t) // the modules of tunnels come with it
	for _, use := range []Use{
		tunnelUse(vip, rip, ipvs.IPIP, 0, 0), tunnelUse(vip6, rip6, ipvs.IPIP, 0, 0), tunnelUse(vip6, rip, ipvs.IPIP, 0, 0),
		tunnelUse(vip, rip6, ipvs.IPIP, 0, 0),
		tunnelUse(vip, rip, ipvs.GUE, 5555, ipvs.NoChecksum), tunnelUse(vip, rip, ipvs.GUE, 5555, ipvs.FullChecksum),
		tunnelUse(vip, rip, ipvs.GUE, 5555, ipvs.RemoteChecksum), tunnelUse(vip6, rip6, ipvs.GUE, 5555, ipvs.FullChecksum),
		tunnelUse(vip, rip, ipvs.GRE, 0, ipvs.NoChecksum), tunnelUse(vip, rip, ipvs.GRE, 0, ipvs.FullChecksum),
		tunnelUse(vip6, rip6, ipvs.GRE, 0, ipvs.NoChecksum),
	} {
		t.Run(fmt.Sprintf("%s to %s checksum %s", use, use.Local, use.Encapsulation.Checksum), func(t *testing.T) { testTunnel(t, use) })
	}
}

func testTunnel(t *testing.T, use Use) {
	lab := netlab.Test(t)
	lan, outside := lab.LAN("lan"), lab.LAN("outside")
	director, server, client := lab.Host("lb1"), lab.Host("web1"), lab.Host("client")
	director.Join(lan, "eth0", netip.MustParsePrefix("10.0.0.2/24"), netip.MustParsePrefix("2001:db8::2/64"))
	director.Join(outside, "eth1", netip.MustParsePrefix("10.1.0.2/24"), netip.MustParsePrefix("2001:db8:1::2/64"))
	director.Address("eth1", netip.PrefixFrom(use.Address, use.Address.BitLen()))
	server.Join(lan, "eth0", netip.PrefixFrom(rip, 24), netip.PrefixFrom(rip6, 64))
	server.Join(outside, "eth1", netip.MustParsePrefix("10.1.0.21/24"), netip.MustParsePrefix("2001:db8:1::21/64"))
	server.Sysctl("net.ipv4.conf.default.rp_filter", "1") // which would drop what the tunnel brings
	client.Join(outside, "eth0", netip.MustParsePrefix("10.1.0.9/24"), netip.MustParsePrefix("2001:db8:1::9/64"))
	gateway := netip.MustParseAddr("10.1.0.2")
	if use.Address.Is6() {
		gateway = netip.MustParseAddr("2001:db8:1::2")
	}
	client.Route(netip.PrefixFrom(use.Address, use.Address.BitLen()), gateway)

	table := func(args ...string) {
		t.Helper()
		if _, err := director.Command(t.Context(), "ipvsadm", args...).Output(); err != nil {
			t.Fatal(err)
		}
	}
	service, to := netip.AddrPortFrom(use.Address, 80).String(), netip.AddrPortFrom(use.Local, 80).String()
	table("-A", "-t", service, "-s", "rr")
	table(append([]string{"-a", "-t", service, "-r", to, "-i"}, encapsulation(use.Encapsulation)...)...)

	loadModule(server, use.tunnel())
	teardown := set(t, server, use)
	l, err := server.Listen("tcp", ":80")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = c.Write([]byte("web1"))
			_ = c.Close()
		}
	}()
	if err := netlab.Poll(20*time.Second, func() error { return ask(client, service) }); err != nil {
		t.Error(err)
	}
	teardown()
	if err := ask(client, service); err == nil {
		t.Error("it answers after teardown")
	}
}

// loadModule loads what the kernel would load by itself during setup, so that its link is there before, and has been up, which
// leaves traces.
func loadModule(h *netlab.Host, t tunnel) {
	_ = exec.Command("modprobe", modules[t.kind]).Run()
	if link, err := h.Netlink().LinkByName(t.device); err == nil {
		_ = errors.Join(h.Netlink().LinkSetUp(link), h.Netlink().LinkSetDown(link))
	}
}

func encapsulation(e ipvs.Encapsulation) []string {
	args := []string{"--tun-type", e.Type.String()}
	if e.Port != 0 {
		args = append(args, "--tun-port", fmt.Sprint(e.Port))
	}
	switch {
	case e.Checksum == ipvs.FullChecksum:
		args = append(args, "--tun-csum")
	case e.Checksum == ipvs.RemoteChecksum:
		args = append(args, "--tun-remcsum")
	case e.Type != ipvs.IPIP:
		args = append(args, "--tun-nocsum")
	}
	return args
}

// ask takes what the service says.
func ask(client *netlab.Host, service string) error {
	return client.Do(func() error {
		c, err := net.DialTimeout("tcp", service, time.Second)
		if err != nil {
			return err
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(time.Second))
		b := make([]byte, 8)
		n, err := c.Read(b)
		if string(b[:n]) != "web1" {
			return fmt.Errorf("answered %q, %v", b[:n], err)
		}
		return nil
	})
}
