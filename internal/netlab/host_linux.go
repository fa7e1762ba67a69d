// SPDX-License-Identifier: Apache-2.0

package netlab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// A Host is a network namespace.
type Host struct {
	Name string

	lab *Lab
	ns  netns.NsHandle
	nl  *netlink.Handle
}

// NetNS returns the host's namespace as a file descriptor, valid until Lab.Close.
func (h *Host) NetNS() netns.NsHandle { return h.ns }

// Path returns a file that names the host's namespace, for libraries and tools that ask for one
// (nsenter --net=PATH), valid until Lab.Close.
func (h *Host) Path() string { return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), int(h.ns)) }

// Netlink returns a route netlink handle of the host, valid until Lab.Close.
func (h *Host) Netlink() *netlink.Handle { return h.nl }

// Join plugs a new link of the host into a LAN and gives it addresses. It returns when packets pass.
func (h *Host) Join(lan *LAN, ifname string, addrs ...netip.Prefix) *Port {
	lan.ports++
	p := &Port{
		Host: h, LAN: lan, Name: ifname,
		MAC:  net.HardwareAddr{0x02, 0x68, 0x66, 0, lan.number, lan.ports},
		name: "p" + strconv.Itoa(int(lan.ports)),
	}
	h.lab.step(fmt.Sprintf("join %s %s to %s", h.Name, ifname, lan.Name), func() error { return p.plug() })
	for _, a := range addrs {
		h.Address(ifname, a)
	}
	return p
}

// Address adds an address to a link, "lo" for one. On a link that is up the address answers when Address returns: the
// kernel joins an IPv6 address's solicited-node group a moment after it added the address, and drops questions before.
func (h *Host) Address(ifname string, addr netip.Prefix) {
	h.lab.step(fmt.Sprintf("add address %s to %s %s", addr, h.Name, ifname), func() error {
		link, err := h.nl.LinkByName(ifname)
		if err != nil {
			return err
		}
		if err := h.nl.AddrAdd(link, &netlink.Addr{IPNet: ipNet(addr)}); err != nil {
			return err
		}
		if !addr.Addr().Is6() || link.Attrs().Flags&net.FlagUp == 0 {
			return nil
		}
		return Poll(5*time.Second, func() error { return h.answers(link, addr.Addr()) })
	})
}

// answers says why an IPv6 address of the host is not in use yet.
func (h *Host) answers(link netlink.Link, addr netip.Addr) error {
	held, err := h.nl.AddrList(link, netlink.FAMILY_V6)
	for _, a := range held {
		if a.IP.Equal(addr.AsSlice()) && a.Flags&unix.IFA_F_TENTATIVE != 0 {
			return errors.New("the address is tentative")
		}
	}
	return err
}

// Route adds a route through a gateway that the host can already reach. 0.0.0.0/0 and ::/0 are the default routes.
func (h *Host) Route(to netip.Prefix, via netip.Addr) {
	h.lab.step(fmt.Sprintf("add route to %s via %s on %s", to, via, h.Name), func() error {
		return h.nl.RouteAdd(&netlink.Route{Dst: ipNet(to), Gw: via.AsSlice()})
	})
}

// Sysctl sets a kernel parameter of the host, named with dots ("net.ipv4.ip_forward"), or with slashes if a link's name
// in it has a dot. IPv6 parameters are passed over on a kernel without IPv6.
func (h *Host) Sysctl(key, value string) {
	h.lab.step(fmt.Sprintf("set %s=%s on %s", key, value, h.Name), func() error {
		if !strings.Contains(key, "/") {
			key = strings.ReplaceAll(key, ".", "/")
		}
		return h.Do(func() error {
			err := os.WriteFile(filepath.Join("/proc/sys", key), []byte(value), 0)
			if strings.HasPrefix(key, "net/ipv6/") && !hasIPv6() && errors.Is(err, os.ErrNotExist) {
				return nil
			}
			return err
		})
	})
}

func hasIPv6() bool {
	_, err := os.Stat("/proc/sys/net/ipv6")
	return err == nil
}

// Do runs f inside the host. Sockets that f opens stay there; goroutines that f starts run outside, and so does a
// net.Dialer that has a name to resolve. /proc/net is the whole process's: inside, read /proc/thread-self/net.
func (h *Host) Do(f func() error) error {
	return onThread(func() error {
		if err := netns.Set(h.ns); err != nil {
			return fmt.Errorf("enter host %s: %w", h.Name, err)
		}
		return f()
	})
}

// Dial connects from the host to an IP address and port. It fits http.Transport.DialContext, which dials in a goroutine
// of its own and so needs it even inside Do.
func (h *Host) Dial(ctx context.Context, network, address string) (conn net.Conn, err error) {
	err = h.Do(func() error {
		conn, err = new(net.Dialer).DialContext(ctx, network, address)
		return err
	})
	return conn, err
}

// Listen opens a listener on the host.
func (h *Host) Listen(network, address string) (l net.Listener, err error) {
	err = h.Do(func() error {
		l, err = net.Listen(network, address)
		return err
	})
	return l, err
}

// ListenPacket opens a datagram socket on the host.
func (h *Host) ListenPacket(network, address string) (c net.PacketConn, err error) {
	err = h.Do(func() error {
		c, err = net.ListenPacket(network, address)
		return err
	})
	return c, err
}

// Addresses lists the addresses of a link, link-local ones included.
func (h *Host) Addresses(ifname string) ([]netip.Prefix, error) {
	link, err := h.nl.LinkByName(ifname)
	if err != nil {
		return nil, fmt.Errorf("list addresses of %s %s: %w", h.Name, ifname, err)
	}
	addrs, err := h.nl.AddrList(link, netlink.FAMILY_ALL)
	if err != nil {
		return nil, fmt.Errorf("list addresses of %s %s: %w", h.Name, ifname, err)
	}
	var list []netip.Prefix
	for _, a := range addrs {
		ip, _ := netip.AddrFromSlice(a.IP)
		bits, _ := a.Mask.Size()
		list = append(list, netip.PrefixFrom(ip.Unmap(), bits))
	}
	return list, nil
}

// Holds reports whether any link of the host has the address.
func (h *Host) Holds(addr netip.Addr) (bool, error) {
	addrs, err := h.nl.AddrList(nil, netlink.FAMILY_ALL)
	// While others change addresses in numbers, a list is not of one moment.
	for range 10 {
		if !errors.Is(err, netlink.ErrDumpInterrupted) {
			break
		}
		addrs, err = h.nl.AddrList(nil, netlink.FAMILY_ALL)
	}
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return false, fmt.Errorf("list addresses of %s: %w", h.Name, err)
	}
	for _, a := range addrs {
		if ip, _ := netip.AddrFromSlice(a.IP); ip.Unmap() == addr {
			return true, nil
		}
	}
	return false, nil
}

// Serves reports whether packets for the address reach the host: one of its links that are up has it.
func (h *Host) Serves(addr netip.Addr) (bool, error) {
	links, err := h.nl.LinkList()
	if err != nil {
		return false, fmt.Errorf("list links of %s: %w", h.Name, err)
	}
	for _, l := range links {
		if l.Attrs().OperState != netlink.OperUp {
			continue
		}
		list, err := h.Addresses(l.Attrs().Name)
		if err != nil {
			return false, err
		}
		if slices.ContainsFunc(list, func(p netip.Prefix) bool { return p.Addr() == addr }) {
			return true, nil
		}
	}
	return false, nil
}

// Neighbour returns the MAC that the host sends packets for addr to; nil if it knows none.
func (h *Host) Neighbour(addr netip.Addr) (net.HardwareAddr, error) {
	neighs, err := h.nl.NeighList(0, 0)
	if err != nil {
		return nil, fmt.Errorf("list neighbours of %s: %w", h.Name, err)
	}
	for _, n := range neighs {
		if ip, _ := netip.AddrFromSlice(n.IP); ip.Unmap() == addr && len(n.HardwareAddr) > 0 {
			return n.HardwareAddr, nil
		}
	}
	return nil, nil
}

// Processes lists the processes in the host, except this one.
func (h *Host) Processes() ([]int, error) {
	var own unix.Stat_t
	if err := unix.Fstat(int(h.ns), &own); err != nil {
		return nil, fmt.Errorf("list processes of %s: %w", h.Name, err)
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("list processes of %s: %w", h.Name, err)
	}
	var pids []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		var st unix.Stat_t
		// A process that ended meanwhile has no namespace any more.
		if unix.Stat(fmt.Sprintf("/proc/%d/ns/net", pid), &st) == nil && st.Ino == own.Ino && st.Dev == own.Dev {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// Signal sends a signal to every process in the host: SIGKILL is a crash of all its daemons, SIGSTOP and SIGCONT a
// host that hangs and comes back. The kernel part of the host keeps its addresses and goes on forwarding.
func (h *Host) Signal(sig syscall.Signal) error {
	pids, err := h.Processes()
	if err != nil {
		return err
	}
	var errs []error
	for _, pid := range pids {
		if err := unix.Kill(pid, sig); err != nil && !errors.Is(err, unix.ESRCH) {
			errs = append(errs, fmt.Errorf("send %s to process %d of %s: %w", sig, pid, h.Name, err))
		}
	}
	return errors.Join(errs...)
}

// close leaves nothing of the host behind. Processes may fork while they are killed, hence the loop.
func (h *Host) close() error {
	if !h.ns.IsOpen() {
		return nil
	}
	err := Poll(5*time.Second, func() error {
		pids, err := h.Processes()
		if err == nil && len(pids) > 0 {
			err = errors.Join(fmt.Errorf("host %s still runs processes %v", h.Name, pids), h.Signal(unix.SIGKILL))
		}
		return err
	})
	if h.nl != nil {
		h.nl.Close()
	}
	return errors.Join(err, h.ns.Close())
}

// ipNet converts to the type that the netlink library takes.
func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
