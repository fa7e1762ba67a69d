// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// vmacAlias is the alias of the links that we make.
const vmacAlias = "holdfast"

// Prepare implements Host. It makes the macvlan of a virtual MAC address, or adopts the one that an earlier run has left.
//
// The macvlan is in bridge mode. In private mode the kernel takes a multicast frame whose source is the macvlan's own
// address for one of the macvlan's and hides it from the interface below (macvlan_handle_frame): a second master, which
// sends from the same virtual MAC address, would never be heard.
//
// It is down but for the time in which it has addresses, because a backup must not accept what is sent to the virtual MAC
// address (RFC 9568 section 6.4.2), and a forwarding kernel would even pass it on.
func (n *Network) Prepare(c Config) error {
	name := VMACDevice(c.Interface, c.ID, c.Family6())
	if err := n.makeVMAC(name, c); err != nil {
		return fmt.Errorf("prepare virtual MAC address: %w", err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.vmacs[name] = c
	return nil
}

func (n *Network) makeVMAC(name string, c Config) error {
	base, err := n.handle.LinkByName(c.Interface)
	if err != nil {
		return fmt.Errorf("interface %s: %w", c.Interface, err)
	}
	mac := VirtualMAC(c.ID, c.Family6())
	l, err := n.adoptVMAC(name, base.Attrs().Index, mac)
	if err == nil && l == nil {
		l, err = n.addVMAC(name, base.Attrs().Index, mac)
	}
	if err != nil {
		return err
	}
	n.learn(l)
	return n.lendSettings(name, base.Attrs().Index, l.Attrs().Index)
}

// adoptVMAC returns the macvlan of that name if it is as it should be, nil if there is none.
func (n *Network) adoptVMAC(name string, base int, mac net.HardwareAddr) (netlink.Link, error) {
	l, err := n.handle.LinkByName(name)
	if errors.As(err, new(netlink.LinkNotFoundError)) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("interface %s: %w", name, err)
	}
	if !isVMAC(l, mac) {
		return nil, fmt.Errorf("interface %s exists and was not made by holdfast: remove or rename it", name)
	}
	if m := l.(*netlink.Macvlan); m.Mode == netlink.MACVLAN_MODE_BRIDGE && m.ParentIndex == base && bytes.Equal(m.HardwareAddr, mac) {
		return l, n.handle.LinkSetAlias(l, vmacAlias) // it may have been left half made
	}
	if err := n.handle.LinkDel(l); err != nil {
		return nil, fmt.Errorf("remove interface %s: %w", name, err)
	}
	return nil, nil
}

func (n *Network) addVMAC(name string, base int, mac net.HardwareAddr) (netlink.Link, error) {
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.ParentIndex, attrs.HardwareAddr = name, base, mac
	if err := n.handle.LinkAdd(&netlink.Macvlan{LinkAttrs: attrs, Mode: netlink.MACVLAN_MODE_BRIDGE}); err != nil {
		return nil, fmt.Errorf("add macvlan %s: %w", name, err)
	}
	l, err := n.handle.LinkByName(name)
	if err != nil {
		return nil, fmt.Errorf("interface %s: %w", name, err)
	}
	if err := n.handle.LinkSetAlias(l, vmacAlias); err != nil {
		return nil, fmt.Errorf("set alias of %s: %w", name, err)
	}
	// No address of its own is made from the virtual MAC address, RFC 9568 section 7.4. A kernel without IPv6 makes none.
	const none = 1 // IN6_ADDR_GEN_MODE_NONE
	if err := n.handle.LinkSetIP6AddrGenMode(l, none); err != nil && !errors.Is(err, unix.EAFNOSUPPORT) && !errors.Is(err, unix.EOPNOTSUPP) {
		return nil, fmt.Errorf("set IPv6 address mode of %s: %w", name, err)
	}
	return l, nil
}

// learn notes a link before its event comes.
func (n *Network) learn(l netlink.Link) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.links[l.Attrs().Name] = newLink(l.Attrs())
}

// lendSettings makes the macvlan, and nothing else, answer for its addresses.
func (n *Network) lendSettings(name string, base, vmac int) error {
	for _, s := range []struct {
		index   int
		setting setting
		least   uint32
	}{
		{base, arpIgnore, 1},   // the interface does not answer for addresses of the macvlan …
		{vmac, arpIgnore, 1},   // … nor the other way round
		{base, arpAnnounce, 2}, // nor asks for others in the name of the virtual address, which would teach them its own MAC address
		{vmac, rpFilter, 2},    // the way back to a client leads over the interface; strict and loose: the larger of the link's and all's counts
	} {
		if err := n.settings.want(s.index, s.setting, s.least, name); err != nil {
			return fmt.Errorf("interface %s: %w", name, err)
		}
	}
	return nil
}

// Discard implements Host. What an earlier run has left is removed, too; a stranger's interface is left alone.
func (n *Network) Discard(c Config) error {
	name := VMACDevice(c.Interface, c.ID, c.Family6())
	n.mu.Lock()
	delete(n.vmacs, name)
	n.mu.Unlock()
	err := n.settings.drop(name)
	l, lerr := n.handle.LinkByName(name)
	if lerr == nil && isVMAC(l, VirtualMAC(c.ID, c.Family6())) {
		lerr = n.handle.LinkDel(l)
	}
	if lerr != nil && !errors.As(lerr, new(netlink.LinkNotFoundError)) && !errors.Is(lerr, unix.ENODEV) {
		err = errors.Join(err, fmt.Errorf("remove interface %s: %w", name, lerr))
	}
	return err
}

// isVMAC reports whether a link is a macvlan that we made. The alias is set after it.
func isVMAC(l netlink.Link, mac net.HardwareAddr) bool {
	_, macvlan := l.(*netlink.Macvlan)
	a := l.Attrs()
	return macvlan && (a.Alias == vmacAlias || a.Alias == "" && bytes.Equal(a.HardwareAddr, mac))
}

// liftVMAC sets a macvlan of ours up that is down, and makes it anew if someone has removed it.
func (n *Network) liftVMAC(device string) error {
	n.mu.Lock()
	c, ours := n.vmacs[device]
	l, there := n.links[device]
	n.mu.Unlock()
	if !ours || there && l.admin {
		return nil
	}
	if !there {
		if err := n.makeVMAC(device, c); err != nil {
			return err
		}
	}
	if err := n.setVMAC(device, true); err != nil {
		return err
	}
	if !c.Family6() {
		return nil
	}
	// Without an address that makes it, the way to others on the link: a link-local virtual address answers them from here.
	return n.route(Route{Destination: linkLocal, Device: device, Metric: 256}, n.handle.RouteReplace)
}

// restVMACs sets those macvlans of ours down that have no address any more.
func (n *Network) restVMACs(addresses []Address) error {
	var devices []string
	n.mu.Lock()
	for _, a := range addresses {
		l := n.links[a.Device]
		if _, ours := n.vmacs[a.Device]; ours && l.admin && len(n.addresses[l.index]) == 0 && !slices.Contains(devices, a.Device) {
			devices = append(devices, a.Device)
		}
	}
	n.mu.Unlock()
	var errs []error
	for _, d := range devices {
		errs = append(errs, n.setVMAC(d, false))
	}
	return errors.Join(errs...)
}

// setVMAC sets a macvlan up or down, and knows it before the event comes: going up is no reason to announce once more.
func (n *Network) setVMAC(device string, up bool) error {
	n.mu.Lock()
	l := n.links[device]
	n.mu.Unlock()
	k := &netlink.Dummy{LinkAttrs: netlink.LinkAttrs{Name: device, Index: l.index}}
	change, word := n.handle.LinkSetDown, "down"
	if up {
		change, word = n.handle.LinkSetUp, "up"
	}
	if err := change(k); err != nil {
		return fmt.Errorf("set interface %s %s: %w", device, word, err)
	}
	now, err := n.handle.LinkByName(device)
	if err != nil {
		return fmt.Errorf("interface %s: %w", device, err)
	}
	n.learn(now)
	return nil
}
