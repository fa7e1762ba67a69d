// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const (
	netlinkTimeout = 5 * time.Second
	netlinkBuffer  = 4 << 20 // bytes that may wait to be read before the kernel drops events
)

// Network is the Host of the network namespace that this process runs in. One serves all instances.
type Network struct {
	log    *slog.Logger
	handle *netlink.Handle

	mu        sync.Mutex // guards what follows
	links     map[string]link
	addresses map[int]map[netip.Prefix]bool // by the index of their link
	virtual   map[netip.Addr]bool           // installed by Hold
	watchers  map[int]func()
	watcher   int // the next one's number

	portMu sync.Mutex // guards ports, whose making may block
	ports  map[portKey]*port

	arpMu sync.Mutex // guards arps, whose making may block
	arps  map[string]*announcer
}

// link is what is known of a network interface.
type link struct {
	index int
	up    bool // administratively, and with a carrier
	mac   string
}

var _ Host = (*Network)(nil)

// OpenNetwork reads the links and addresses that there are. They are followed while Run runs.
func OpenNetwork(log *slog.Logger) (*Network, error) {
	handle, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open rtnetlink: %w", err)
	}
	if err := handle.SetSocketTimeout(netlinkTimeout); err != nil {
		handle.Close()
		return nil, fmt.Errorf("open rtnetlink: %w", err)
	}
	n := &Network{log: log, handle: handle, watchers: make(map[int]func()), virtual: make(map[netip.Addr]bool), arps: make(map[string]*announcer), ports: make(map[portKey]*port)}
	if err := n.read(); err != nil {
		handle.Close()
		return nil, err
	}
	return n, nil
}

// Close frees the sockets. Nothing may use n any more.
func (n *Network) Close() {
	n.arpMu.Lock()
	defer n.arpMu.Unlock()
	for _, a := range n.arps {
		_ = a.client.Close()
	}
	n.handle.Close()
}

// Run follows the links and addresses until ctx ends. When the kernel has dropped events, all is read anew.
func (n *Network) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := n.follow(ctx); err != nil && ctx.Err() == nil {
			n.log.Warn("link and address events interrupted, reading all again", "err", err)
			select {
			case <-ctx.Done():
			case <-time.After(100 * time.Millisecond):
			}
		}
	}
	return nil
}

// follow subscribes, reads what there is, and applies events until one of the subscriptions ends. The library's
// goroutines block on a send, so their channels are read until they are closed.
func (n *Network) follow(ctx context.Context) error {
	done := make(chan struct{})
	links, addresses := make(chan netlink.LinkUpdate), make(chan netlink.AddrUpdate)
	defer func() {
		close(done)
		for range links {
		}
		for range addresses {
		}
	}()
	failed := make(chan error, 1)
	report := func(err error) {
		select {
		case failed <- err:
		default:
		}
	}
	err := netlink.LinkSubscribeWithOptions(links, done, netlink.LinkSubscribeOptions{
		ErrorCallback: report, ReceiveBufferSize: netlinkBuffer, ReceiveBufferForceSize: true,
	})
	if err != nil {
		close(links)
		close(addresses)
		return fmt.Errorf("subscribe to links: %w", err)
	}
	err = netlink.AddrSubscribeWithOptions(addresses, done, netlink.AddrSubscribeOptions{
		ErrorCallback: report, ReceiveBufferSize: netlinkBuffer, ReceiveBufferForceSize: true,
	})
	if err != nil {
		close(addresses)
		return fmt.Errorf("subscribe to addresses: %w", err)
	}
	if err := n.read(); err != nil {
		return err
	}
	n.tell()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-failed:
			return err
		case u, ok := <-links:
			if ok {
				n.applyLink(u)
			}
		case u, ok := <-addresses:
			if ok {
				n.applyAddress(u)
			}
		}
	}
}

// read replaces what is known with what the kernel says now.
func (n *Network) read() error {
	links, err := dumped(n.handle.LinkList)
	if err != nil {
		return fmt.Errorf("list links: %w", err)
	}
	addresses, err := n.list(nil)
	if err != nil {
		return fmt.Errorf("list addresses: %w", err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.links = make(map[string]link)
	for _, l := range links {
		n.links[l.Attrs().Name] = newLink(l.Attrs())
	}
	n.addresses = make(map[int]map[netip.Prefix]bool)
	for _, a := range addresses {
		n.put(a.LinkIndex, toPrefix(*a.IPNet), true)
	}
	return nil
}

// list lists the addresses of a link; nil: of all.
func (n *Network) list(l netlink.Link) ([]netlink.Addr, error) {
	return dumped(func() ([]netlink.Addr, error) { return n.handle.AddrList(l, netlink.FAMILY_ALL) })
}

// dumped repeats a dump that a change has interrupted.
func dumped[T any](dump func() ([]T, error)) (all []T, err error) {
	for range 10 {
		if all, err = dump(); !errors.Is(err, netlink.ErrDumpInterrupted) {
			break
		}
	}
	return all, err
}

func (n *Network) applyLink(u netlink.LinkUpdate) {
	if u.Family == unix.AF_BRIDGE {
		return // says what the bridge does with a port, "deleted" when it has left
	}
	attrs := u.Attrs()
	n.mu.Lock()
	before := maps.Clone(n.links)
	// A renamed link is found under its old name, too.
	maps.DeleteFunc(n.links, func(_ string, l link) bool { return l.index == attrs.Index })
	if u.Header.Type == unix.RTM_DELLINK {
		delete(n.addresses, attrs.Index)
	} else {
		n.links[attrs.Name] = newLink(attrs)
	}
	same := maps.Equal(before, n.links)
	n.mu.Unlock()
	if !same {
		n.tell()
	}
}

func (n *Network) applyAddress(u netlink.AddrUpdate) {
	n.mu.Lock()
	changed := n.put(u.LinkIndex, toPrefix(u.LinkAddress), u.NewAddr)
	n.mu.Unlock()
	if changed {
		n.tell()
	}
}

// put notes that an address is there, or not. The caller holds the lock.
func (n *Network) put(index int, p netip.Prefix, there bool) (changed bool) {
	on := n.addresses[index]
	if on == nil {
		on = make(map[netip.Prefix]bool)
		n.addresses[index] = on
	}
	changed = on[p] != there
	if there {
		on[p] = true
	} else {
		delete(on, p)
	}
	if len(on) == 0 {
		delete(n.addresses, index) // of a link that may be gone
	}
	return changed
}

func (n *Network) tell() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, changed := range n.watchers {
		changed()
	}
}

// Watch implements Host.
func (n *Network) Watch(changed func()) (stop func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	id := n.watcher
	n.watcher++
	n.watchers[id] = changed
	return func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		delete(n.watchers, id)
	}
}

// Link implements Host.
func (n *Network) Link(device string) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	l, ok := n.links[device]
	switch {
	case !ok:
		return 0, fmt.Errorf("interface %s does not exist", device)
	case !l.up:
		return 0, fmt.Errorf("interface %s is down", device)
	}
	return l.index, nil
}

// Owns implements Host.
func (n *Network) Owns(device string, a netip.Addr) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	for p := range n.addresses[n.links[device].index] {
		if p.Addr() == a {
			return true
		}
	}
	return false
}

// Missing implements Host.
func (n *Network) Missing(addresses []Address) []Address {
	n.mu.Lock()
	defer n.mu.Unlock()
	var missing []Address
	for _, a := range addresses {
		if l, ok := n.links[a.Device]; !ok || !n.addresses[l.index][a.Prefix] {
			missing = append(missing, a)
		}
	}
	return missing
}

// Lease implements Host.
func (n *Network) Lease(addresses []Address) time.Duration {
	there, err := n.list(nil)
	if err != nil {
		return 0
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	least := time.Duration(math.MaxInt64)
	for _, a := range addresses {
		left := time.Duration(0)
		for _, t := range there {
			if t.LinkIndex == n.links[a.Device].index && toPrefix(*t.IPNet) == a.Prefix {
				left = lifetime(t.ValidLft)
			}
		}
		least = min(least, left)
	}
	return least
}

// lifetime converts the kernel's valid_lft, whose largest value means for ever.
func lifetime(seconds int) time.Duration {
	if uint32(seconds) == math.MaxUint32 {
		return math.MaxInt64
	}
	return time.Duration(seconds) * time.Second
}

// Hold implements Host. What can be installed is, whatever becomes of the rest.
func (n *Network) Hold(addresses []Address, lease time.Duration) error {
	var errs []error
	for _, a := range addresses {
		n.setVirtual(a, true)
		l, err := n.device(a)
		if err == nil {
			err = n.expect(l.Index, a.Prefix, true, func() error { return n.handle.AddrReplace(l, leased(a.Prefix, lease)) })
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("add address %v: %w", a, err))
		}
	}
	return errors.Join(errs...)
}

// Release implements Host. An address that is gone already is as it should be.
func (n *Network) Release(addresses []Address) error {
	missing := make(map[Address]bool)
	for _, a := range n.Missing(addresses) {
		missing[a] = true
	}
	var errs []error
	for _, a := range addresses {
		n.setVirtual(a, false)
		if missing[a] {
			continue
		}
		l, err := n.device(a)
		if err == nil {
			err = n.expect(l.Index, a.Prefix, false, func() error {
				if err := n.handle.AddrDel(l, leased(a.Prefix, 0)); !errors.Is(err, unix.EADDRNOTAVAIL) {
					return err
				}
				return nil
			})
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("delete address %v: %w", a, err))
		}
	}
	return errors.Join(errs...)
}

// setVirtual notes that an address is no router's own, or may be again.
func (n *Network) setVirtual(a Address, is bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if is {
		n.virtual[a.Prefix.Addr()] = true
	} else {
		delete(n.virtual, a.Prefix.Addr())
	}
}

// expect notes what a change is going to bring before it makes it: events of what others do after it then come after
// it here, too.
func (n *Network) expect(index int, p netip.Prefix, there bool, change func() error) error {
	note := func(there bool) (changed bool) {
		n.mu.Lock()
		defer n.mu.Unlock()
		return n.put(index, p, there)
	}
	changed := note(there)
	err := change()
	switch {
	case err != nil && changed:
		note(!there)
	case changed && !there:
		n.tell() // another virtual router of this process may want it
	}
	return err
}

// device is the library's idea of a link that we know by name.
func (n *Network) device(a Address) (*netlink.Dummy, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	l, ok := n.links[a.Device]
	if !ok {
		return nil, fmt.Errorf("interface %s does not exist", a.Device)
	}
	return &netlink.Dummy{LinkAttrs: netlink.LinkAttrs{Name: a.Device, Index: l.index}}, nil
}

// leased is a new value each time, because the library writes to it.
func leased(p netip.Prefix, lease time.Duration) *netlink.Addr {
	bits := p.Addr().BitLen()
	a := &netlink.Addr{IPNet: &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), bits)}}
	a.ValidLft = int(lease / time.Second)
	a.PreferedLft = a.ValidLft
	return a
}

func newLink(a *netlink.LinkAttrs) link {
	const up = unix.IFF_UP | unix.IFF_RUNNING
	return link{index: a.Index, up: a.RawFlags&up == up, mac: a.HardwareAddr.String()}
}

func toPrefix(n net.IPNet) netip.Prefix {
	addr, _ := netip.AddrFromSlice(n.IP)
	bits, _ := n.Mask.Size()
	return netip.PrefixFrom(addr.Unmap(), bits)
}
