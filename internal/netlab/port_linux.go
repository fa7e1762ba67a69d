// SPDX-License-Identifier: Apache-2.0

package netlab

import (
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// A Port is a host's link and the switch port at its other end.
type Port struct {
	Host *Host
	LAN  *LAN
	Name string           // of the link in the host
	MAC  net.HardwareAddr // of the link in the host

	name string // of the port in the LAN's namespace
}

// plug makes the pair of links and waits until packets pass.
func (p *Port) plug() error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = p.name
	err := p.LAN.nl.LinkAdd(&netlink.Veth{
		LinkAttrs: attrs, PeerName: p.Name, PeerHardwareAddr: p.MAC, PeerNamespace: netlink.NsFd(p.Host.ns),
	})
	if err != nil {
		return fmt.Errorf("veth: %w", err)
	}
	// The switch's end first: the host's end then comes up with carrier, and its IPv6 link-local address with it.
	if err := errors.Join(p.Heal(), p.Plug(), p.Up()); err != nil {
		return err
	}
	return Poll(5*time.Second, p.ready)
}

// ready says what the port still lacks.
func (p *Port) ready() error {
	port, err := p.LAN.nl.LinkByName(p.name)
	if err != nil {
		return err
	}
	link, err := p.Host.nl.LinkByName(p.Name)
	if err != nil {
		return err
	}
	for _, l := range []netlink.Link{port, link} {
		if state := l.Attrs().OperState; state != netlink.OperUp {
			return fmt.Errorf("link %s is %s", l.Attrs().Name, state)
		}
	}
	if !hasIPv6() {
		return nil
	}
	addrs, err := p.Host.nl.AddrList(link, netlink.FAMILY_V6)
	if err == nil && (len(addrs) == 0 || addrs[0].Flags&unix.IFA_F_TENTATIVE != 0) {
		err = errors.New("no IPv6 link-local address yet")
	}
	return err
}

// Cut takes the port off the switch: nothing passes, but the host still sees carrier, as behind a dead switch.
func (p *Port) Cut() error {
	return p.change("cut", p.LAN.Host, p.name, func(l netlink.Link) error { return p.LAN.nl.LinkSetNoMaster(l) })
}

// Heal undoes Cut.
func (p *Port) Heal() error {
	return p.change("heal", p.LAN.Host, p.name, func(l netlink.Link) error { return p.LAN.nl.LinkSetMaster(l, p.LAN.bridge) })
}

// Unplug takes the carrier away: the host's link is up without carrier.
func (p *Port) Unplug() error {
	return p.change("unplug", p.LAN.Host, p.name, p.LAN.nl.LinkSetDown)
}

// Plug undoes Unplug.
func (p *Port) Plug() error { return p.change("plug", p.LAN.Host, p.name, p.LAN.nl.LinkSetUp) }

// Down sets the host's link down, which removes its routes and its IPv6 addresses.
func (p *Port) Down() error { return p.change("set down", p.Host, p.Name, p.Host.nl.LinkSetDown) }

// Up undoes Down, except for the routes and IPv6 addresses.
func (p *Port) Up() error { return p.change("set up", p.Host, p.Name, p.Host.nl.LinkSetUp) }

func (p *Port) change(what string, h *Host, ifname string, f func(netlink.Link) error) error {
	link, err := h.nl.LinkByName(ifname)
	if err == nil {
		err = f(link)
	}
	if err != nil {
		return fmt.Errorf("%s %s %s: %w", what, p.Host.Name, p.Name, err)
	}
	return nil
}

// An Impairment says how a bad line treats packets. The zero value is a good line.
type Impairment struct {
	Delay     time.Duration
	Jitter    time.Duration // needs Delay
	Loss      float64       // percent of packets
	Duplicate float64       // percent of packets
	Reorder   float64       // percent of packets that overtake the delayed ones; needs Delay
}

// ImpairOut changes the line from the host to the switch. It needs a kernel with sch_netem: see RequireNetem.
func (p *Port) ImpairOut(i Impairment) error {
	return p.change("impair sending of", p.Host, p.Name, func(l netlink.Link) error { return impair(p.Host.nl, l, i) })
}

// ImpairIn changes the line from the switch to the host. It needs a kernel with sch_netem: see RequireNetem.
func (p *Port) ImpairIn(i Impairment) error {
	return p.change("impair receiving of", p.LAN.Host, p.name, func(l netlink.Link) error { return impair(p.LAN.nl, l, i) })
}

func impair(nl *netlink.Handle, link netlink.Link, i Impairment) error {
	if i.Delay == 0 && (i.Jitter > 0 || i.Reorder > 0) {
		return errors.New("jitter and reordering need a delay")
	}
	qdisc := netlink.NewNetem(netlink.QdiscAttrs{
		LinkIndex: link.Attrs().Index,
		Handle:    netlink.MakeHandle(1, 0),
		Parent:    netlink.HANDLE_ROOT,
	}, netlink.NetemQdiscAttrs{
		Latency:     uint32(i.Delay.Microseconds()),
		Jitter:      uint32(i.Jitter.Microseconds()),
		Loss:        float32(i.Loss),
		Duplicate:   float32(i.Duplicate),
		ReorderProb: float32(i.Reorder),
		Limit:       10000, // of packets under way; more are dropped
	})
	if i != (Impairment{}) {
		return nl.QdiscReplace(qdisc)
	}
	err := nl.QdiscDel(qdisc)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EINVAL) {
		return nil // there was none
	}
	return err
}

// SwitchPort returns the name of the port on the switch, for tools that run there.
func (p *Port) SwitchPort() string { return p.name }
