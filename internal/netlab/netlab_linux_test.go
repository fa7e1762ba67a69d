// SPDX-License-Identifier: Apache-2.0

package netlab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

var (
	addrA  = netip.MustParsePrefix("10.15.144.2/24")
	addrB  = netip.MustParsePrefix("10.15.144.3/24")
	addrA6 = netip.MustParsePrefix("fd00:15::2/64")
	addrB6 = netip.MustParsePrefix("fd00:15::3/64")
)

// pair is two hosts on one LAN.
func pair(t *testing.T) (lan *LAN, a, b *Port) {
	t.Helper()
	lab := Test(t)
	lan = lab.LAN("lan")
	a = lab.Host("a").Join(lan, "eth0", addrA, addrA6)
	b = lab.Host("b").Join(lan, "eth0", addrB, addrB6)
	return lan, a, b
}

// echo answers datagrams on every address of the host until the test ends.
func echo(t *testing.T, h *Host) {
	t.Helper()
	conn, err := h.ListenPacket("udp", ":7")
	if err != nil {
		t.Fatal(err)
	}
	var done sync.WaitGroup
	t.Cleanup(func() {
		conn.Close()
		done.Wait()
	})
	done.Go(func() {
		buf := make([]byte, 64)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = conn.WriteTo(buf[:n], from)
		}
	})
}

// ask sends one datagram to echo and waits for the answer.
func ask(h *Host, addr netip.Addr, wait time.Duration) error {
	conn, err := h.Dial(context.Background(), "udp", netip.AddrPortFrom(addr, 7).String())
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("hello")); err != nil {
		return err
	}
	if err := conn.SetReadDeadline(time.Now().Add(wait)); err != nil {
		return err
	}
	_, err = conn.Read(make([]byte, 64))
	return err
}

func TestHostsReachEachOtherAtOnce(t *testing.T) {
	_, a, b := pair(t)
	echo(t, b.Host)
	for _, addr := range []netip.Prefix{addrB, addrB6} {
		if err := ask(a.Host, addr.Addr(), 10*time.Second); err != nil {
			t.Errorf("ask %s: %v", addr.Addr(), err)
		}
		mac, err := a.Host.Neighbour(addr.Addr())
		if err != nil || mac.String() != b.MAC.String() {
			t.Errorf("neighbour %s = %s, %v; want %s", addr.Addr(), mac, err, b.MAC)
		}
	}
	if mac, err := a.Host.Neighbour(netip.MustParseAddr("10.15.144.99")); mac != nil || err != nil {
		t.Errorf("neighbour of an unknown address = %s, %v; want none", mac, err)
	}
}

func TestMulticastReachesEverybody(t *testing.T) {
	_, a, b := pair(t)
	var conn *net.UDPConn
	err := b.Host.Do(func() error {
		ifi, err := net.InterfaceByName("eth0")
		if err != nil {
			return err
		}
		conn, err = net.ListenMulticastUDP("udp4", ifi, &net.UDPAddr{IP: net.IPv4(224, 0, 0, 18), Port: 1112})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	a.Host.Route(netip.MustParsePrefix("224.0.0.0/4"), addrB.Addr())
	out, err := a.Host.Dial(context.Background(), "udp", "224.0.0.18:1112")
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if _, err := out.Write([]byte("advert")); err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(2 * time.Second))
	if _, err := conn.Read(make([]byte, 64)); err != nil {
		t.Error(err)
	}
}

func TestRouterForwards(t *testing.T) {
	lab := Test(t)
	left, right := lab.LAN("left"), lab.LAN("right")
	router, client, server := lab.Host("router"), lab.Host("client"), lab.Host("server")
	router.Join(left, "eth0", netip.MustParsePrefix("192.168.1.1/24"))
	router.Join(right, "eth1", netip.MustParsePrefix("192.168.10.1/24"))
	router.Sysctl("net.ipv4.ip_forward", "1")
	client.Join(left, "eth0", netip.MustParsePrefix("192.168.1.2/24"))
	client.Route(netip.MustParsePrefix("0.0.0.0/0"), netip.MustParseAddr("192.168.1.1"))
	server.Join(right, "eth0", netip.MustParsePrefix("192.168.10.2/24"))
	server.Route(netip.MustParsePrefix("192.168.1.0/24"), netip.MustParseAddr("192.168.10.1"))

	l, err := server.Listen("tcp", "192.168.10.2:80")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	conn, err := client.Dial(ctx, "tcp", "192.168.10.2:80")
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
}

func TestFaults(t *testing.T) {
	_, a, b := pair(t)
	echo(t, b.Host)
	for _, tt := range []struct {
		name         string
		break_, mend func() error
		up, carrier  bool // of the host's link meanwhile
	}{
		{"cut", b.Cut, b.Heal, true, true},
		{"unplug", b.Unplug, b.Plug, true, false},
		{"down", b.Down, b.Up, false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := ask(a.Host, addrB.Addr(), 10*time.Second); err != nil {
				t.Fatalf("before: %v", err)
			}
			if err := tt.break_(); err != nil {
				t.Fatal(err)
			}
			if err := ask(a.Host, addrB.Addr(), 100*time.Millisecond); err == nil {
				t.Error("meanwhile: answered")
			}
			err := Poll(2*time.Second, func() error {
				link, err := b.Host.Netlink().LinkByName("eth0")
				if err != nil {
					return err
				}
				flags := link.Attrs().RawFlags
				if up, carrier := flags&unix.IFF_UP != 0, flags&unix.IFF_LOWER_UP != 0; up != tt.up || carrier != tt.carrier {
					return fmt.Errorf("link up %v, carrier %v; want %v, %v", up, carrier, tt.up, tt.carrier)
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
			if err := tt.mend(); err != nil {
				t.Fatal(err)
			}
			err = Poll(3*time.Second, func() error { return ask(a.Host, addrB.Addr(), 100*time.Millisecond) })
			if err != nil {
				t.Errorf("after: %v", err)
			}
		})
	}
}

func TestImpairments(t *testing.T) {
	RequireNetem(t)
	_, a, b := pair(t)
	echo(t, b.Host)
	for _, impair := range []func(Impairment) error{a.ImpairOut, a.ImpairIn} {
		if err := impair(Impairment{Delay: 200 * time.Millisecond}); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		if err := ask(a.Host, addrB.Addr(), 3*time.Second); err != nil || time.Since(start) < 200*time.Millisecond {
			t.Errorf("with a delay of 200 ms: answered after %s, %v", time.Since(start), err)
		}
		if err := impair(Impairment{Loss: 100}); err != nil {
			t.Fatal(err)
		}
		if err := ask(a.Host, addrB.Addr(), 100*time.Millisecond); err == nil {
			t.Error("with a loss of 100%: answered")
		}
		if err := impair(Impairment{Jitter: time.Second}); err == nil {
			t.Error("jitter without delay: no error")
		}
		for range 2 { // removing what is not there is no error
			if err := impair(Impairment{}); err != nil {
				t.Fatal(err)
			}
		}
		if err := Poll(2*time.Second, func() error { return ask(a.Host, addrB.Addr(), 100*time.Millisecond) }); err != nil {
			t.Errorf("unimpaired again: %v", err)
		}
	}
}

func TestAddresses(t *testing.T) {
	_, a, _ := pair(t)
	vip := netip.MustParsePrefix("10.15.144.120/32")
	a.Host.Address("lo", vip)
	list, err := a.Host.Addresses("eth0")
	if err != nil || !slices.Contains(list, addrA) || !slices.Contains(list, addrA6) || slices.Contains(list, vip) {
		t.Errorf("addresses of eth0 = %v, %v", list, err)
	}
	for addr, want := range map[netip.Addr]bool{vip.Addr(): true, addrA6.Addr(): true, addrB.Addr(): false} {
		if got, err := a.Host.Holds(addr); got != want || err != nil {
			t.Errorf("holds %s = %v, %v; want %v", addr, got, err, want)
		}
	}
	if _, err := a.Host.Addresses("eth9"); err == nil {
		t.Error("addresses of a link that is not there: no error")
	}
}

func TestCommandIsTheProcess(t *testing.T) {
	lab := Test(t)
	h := lab.Host("a")
	cmd := h.Command(context.Background(), "sleep", "1000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pids, err := h.Processes()
	if err != nil || !slices.Equal(pids, []int{cmd.Process.Pid}) {
		t.Errorf("processes = %v, %v; want [%d]", pids, err, cmd.Process.Pid)
	}
	if err := h.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if ws := cmd.ProcessState.Sys().(syscall.WaitStatus); ws.Signal() != syscall.SIGTERM {
		t.Errorf("ended by %v, want SIGTERM", cmd.ProcessState)
	}
	if err := h.Command(context.Background(), "/no/such").Start(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("command that does not exist: %v", err)
	}
	out, err := h.Command(context.Background(), "sh", "-c", "cat /proc/net/dev; echo oops >&2; exit 3").Output()
	if err == nil || !strings.Contains(err.Error(), "oops") || strings.Contains(string(out), "eth0") {
		t.Errorf("output = %q, %v; want its standard error in the error and the host's own links", out, err)
	}
}

func TestDoComesBack(t *testing.T) {
	lab := Test(t)
	h, inner := lab.Host("a"), lab.Host("b")
	home := current(t)
	err := h.Do(func() error {
		if !current(t).Equal(h.NetNS()) {
			t.Error("not inside the host")
		}
		if err := inner.Do(func() error { return io.EOF }); err != io.EOF {
			t.Errorf("inner error = %v", err)
		}
		if !current(t).Equal(h.NetNS()) {
			t.Error("not back in the outer host")
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if !current(t).Equal(home) {
		t.Error("not back home")
	}
}

func current(t *testing.T) netns.NsHandle {
	t.Helper()
	ns, err := netns.Get()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ns.Close() })
	return ns
}

func TestFirstErrorStopsBuilding(t *testing.T) {
	Require(t)
	lab := New()
	h := lab.Host("a")
	h.Route(addrA, netip.MustParseAddr("203.0.113.1"))
	h.Sysctl("net.ipv4.no_such", "1")
	h.Join(lab.LAN("lan"), "eth0", addrA)
	if err := lab.Err(); err == nil || !strings.HasPrefix(err.Error(), "add route to 10.15.144.2/24 via 203.0.113.1 on a: ") {
		t.Errorf("error = %v", err)
	}
	if err := lab.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}

func TestCloseLeavesNothing(t *testing.T) {
	Require(t)
	lab := New()
	h := lab.Host("a")
	h.Join(lab.LAN("lan"), "eth0", addrA)
	if err := lab.Err(); err != nil {
		t.Fatal(err)
	}
	// A process that ignores the polite signal, with a child of its own.
	cmd := h.Command(context.Background(), "sh", "-c", "trap '' TERM; sleep 1000; true")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	waited := make(chan error, 1)
	go func() { waited <- cmd.Wait() }()
	if err := lab.Close(); err != nil {
		t.Error(err)
	}
	if err := <-waited; err == nil {
		t.Error("the process ended by itself")
	}
	if err := lab.Close(); err != nil {
		t.Errorf("second close: %v", err)
	}
}

func TestLabsDoNotCollide(t *testing.T) {
	var wg sync.WaitGroup
	for range 4 {
		_, a, b := pair(t)
		echo(t, b.Host)
		wg.Go(func() {
			if err := ask(a.Host, addrB.Addr(), 10*time.Second); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestRequireIPVSFindsItInTheVM(t *testing.T) {
	RequireIPVS(t)
	lab := Test(t)
	h := lab.Host("a")
	out, err := h.Command(context.Background(), "ipvsadm", "-Ln").Output()
	if err != nil || !strings.Contains(string(out), "IP Virtual Server") {
		t.Errorf("ipvsadm = %q, %v", out, err)
	}
	err = h.Do(func() error { return unix.Access("/proc/thread-self/net/ip_vs", unix.R_OK) })
	if err != nil {
		t.Error(err)
	}
}
