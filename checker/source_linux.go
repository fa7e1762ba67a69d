// SPDX-License-Identifier: Apache-2.0

package checker

import (
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// local knows of this host what decides whether a result says something of the server: the address that a check is sent
// from, and the link that it leaves by. Run's loop owns it.
type local struct {
	virtual func(netip.Addr) bool // nil: none is

	seen      uint64                    // the change of addresses that what follows is newer than
	read      time.Duration             // when it was begun
	chosen    map[netip.Addr]netip.Addr // by target; invalid: what the kernel chooses
	addresses []netlink.Addr            // nil: not read yet

	looked   time.Duration // at the links
	lastDown time.Duration // when one was last seen down
	down     map[int]downLink
}

// downLink is a link that was down when it was last seen so.
type downLink struct {
	name string
	seen time.Duration
}

const (
	sourcesValid = 10 * time.Second       // at most; nobody tells of a changed route
	linksValid   = 250 * time.Millisecond // at most
)

// source returns the address to send from to a target: none if the kernel does not choose a virtual one. An answer to a
// virtual address may go to the other director, or never leave a server that has it, too.
func (l *local) source(target netip.Addr, now time.Duration, changes uint64) netip.Addr {
	target = target.Unmap()
	if l.virtual == nil || !target.IsValid() || target.IsLoopback() {
		return netip.Addr{}
	}
	if l.chosen == nil || l.seen != changes || now-l.read > sourcesValid {
		l.chosen, l.addresses, l.seen, l.read = make(map[netip.Addr]netip.Addr), nil, changes, now
	}
	source, known := l.chosen[target]
	if known {
		return source
	}
	kernels, err := kernelSource(target)
	if err == nil && l.virtual(kernels) {
		source, err = l.instead(kernels, target)
	}
	if err == nil { // else the next check finds out: there may be a route by then, or a descriptor
		l.chosen[target] = source
	}
	return source
}

// kernelSource is the address that the kernel sends from: connecting a UDP socket chooses it and sends nothing.
func kernelSource(target netip.Addr) (netip.Addr, error) {
	family, sa, err := sockaddr(netip.AddrPortFrom(target, 9))
	if err != nil {
		return netip.Addr{}, err
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return netip.Addr{}, err
	}
	defer closeNow(fd)
	if err := connectNow(fd, sa); err != nil {
		return netip.Addr{}, err
	}
	local, err := unix.Getsockname(fd)
	if err != nil {
		return netip.Addr{}, err
	}
	return addrPort(local).Addr().WithZone(""), nil
}

// instead finds the address that suits a target best and is not virtual: one of the target's network, else one of the
// link that the virtual one is on, else any. Invalid: there is none, and a virtual one is better than no check.
// With an error some may be unknown.
func (l *local) instead(virtual, target netip.Addr) (best netip.Addr, err error) {
	addresses := l.addresses
	if addresses == nil {
		if addresses, err = netlink.AddrList(nil, netlink.FAMILY_ALL); err == nil {
			l.addresses = addresses
		}
	}
	link := 0
	for _, a := range addresses {
		if p, ok := toPrefix(a.IPNet); ok && p.Addr() == virtual {
			link = a.LinkIndex
		}
	}
	rank := 0
	for _, a := range addresses {
		p, ok := toPrefix(a.IPNet)
		if !ok || !usable(a, p.Addr(), target) || l.virtual(p.Addr()) {
			continue
		}
		r := 1
		switch {
		case p.Contains(target.WithZone("")) && a.LinkIndex == link:
			r = 4
		case p.Contains(target.WithZone("")):
			r = 3
		case a.LinkIndex == link:
			r = 2
		}
		if r > rank {
			best, rank = p.Addr(), r
		}
	}
	if best.Is6() && best.IsLinkLocalUnicast() {
		best = best.WithZone(target.Zone())
	}
	return best, err
}

// usable reports whether an address of this host can be the source of what goes to a target.
func usable(a netlink.Addr, addr, target netip.Addr) bool {
	const not = unix.IFA_F_TENTATIVE | unix.IFA_F_DADFAILED | unix.IFA_F_DEPRECATED
	return addr.Is4() == target.Is4() && !addr.IsLoopback() && a.Flags&not == 0 && a.Scope < unix.RT_SCOPE_HOST &&
		addr.IsLinkLocalUnicast() == target.IsLinkLocalUnicast()
}

func toPrefix(n *net.IPNet) (netip.Prefix, bool) {
	addr, ok := netip.AddrFromSlice(n.IP)
	ones, _ := n.Mask.Size()
	return netip.PrefixFrom(addr.Unmap(), ones), ok
}

// judge makes a failure, or a pass by silence, a local fault when the way to the target leaves by a link of ours that has been down since the run
// was started: the kernel keeps the routes of a link that has lost its carrier. What was read of the links in the second
// half of the run is new enough.
func (l *local) judge(res Result, target netip.Addr, started, now time.Duration) Result {
	if res.Reason != reasonTimeout && res.Reason != reasonNoRoute && !res.silent || !target.IsValid() {
		return res
	}
	if l.down == nil || now-l.looked > min(linksValid, (now-started)/2) {
		l.look(now)
	}
	if l.lastDown < started {
		return res
	}
	routes, err := netlink.RouteGet(target.WithZone("").AsSlice())
	if err != nil {
		return res
	}
	for _, r := range routes {
		if d, known := l.down[r.LinkIndex]; known && d.seen >= started {
			return localFault(reasonNetwork, fmt.Errorf("%w, and %s here was down", res.cause(), d.name))
		}
	}
	return res
}

// look notes the links that do not work: not set up, without a carrier, or with one that is so new that the kernel sends
// nothing yet.
func (l *local) look(now time.Duration) {
	l.looked = now
	if l.down == nil {
		l.down = make(map[int]downLink)
	}
	links, _ := netlink.LinkList()
	for _, link := range links {
		if a := link.Attrs(); a.RawFlags&unix.IFF_RUNNING == 0 {
			l.down[a.Index] = downLink{a.Name, now}
			l.lastDown = now
		}
	}
}
