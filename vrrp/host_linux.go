// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
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
	log      *slog.Logger
	handle   *netlink.Handle
	rtnl     *rtnl
	settings settings
	buffer   int // bytes of events that may wait to be read
	suspend  suspendClock

	mu        sync.Mutex // guards what follows
	links     map[string]link
	changes   map[string]uint64                 // see Changes
	addresses map[int]map[netip.Prefix]presence // by the index of their link
	virtual   map[netip.Addr]bool               // installed by Hold
	places    map[Address]int                   // indices of the links that Hold has put them on
	vmacs     map[string]Config                 // by device: made by Prepare
	routes    map[Route]bool                    // installed by HoldRoutes
	pace      pace
	watchers  map[int]func()
	watcher   int    // the next one's number
	overruns  uint64 // how often the events were interrupted

	portMu sync.Mutex // guards ports, whose making may block
	ports  map[portKey]*port

	sendMu     sync.Mutex // guards announcers, whose making may block
	announcers map[string]*announcer
}

// link is what is known of a network interface.
type link struct {
	index int
	admin bool // set up
	up    bool // and with a carrier
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
	rtnl, err := openRTNL()
	if err != nil {
		handle.Close()
		return nil, fmt.Errorf("open rtnetlink: %w", err)
	}
	n := &Network{
		log: log, handle: handle, rtnl: rtnl, buffer: netlinkBuffer,
		settings: settings{rtnl: rtnl, ours: make(map[linkSetting]*loan)},
		changes:  make(map[string]uint64), virtual: make(map[netip.Addr]bool), places: make(map[Address]int), vmacs: make(map[string]Config),
		routes: make(map[Route]bool), watchers: make(map[int]func()), announcers: make(map[string]*announcer),
		ports: make(map[portKey]*port),
	}
	n.suspend.start()
	if err := n.read(); err != nil {
		n.Close()
		return nil, err
	}
	return n, nil
}

// Close frees the sockets. Nothing may use n any more.
func (n *Network) Close() {
	n.sendMu.Lock()
	defer n.sendMu.Unlock()
	for _, a := range n.announcers {
		_ = a.conn.Close()
	}
	n.rtnl.close()
	n.handle.Close()
}

// Run follows the links and addresses until ctx ends. When the kernel has dropped events, all is read anew.
func (n *Network) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := n.follow(ctx); err != nil && ctx.Err() == nil {
			n.log.Warn("link and address events interrupted, reading all again", "err", err)
			n.mu.Lock()
			n.overruns++
			n.mu.Unlock()
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
	// An error may be of one message only, such as one that is not the kernel's: that is no reason to begin anew. One
	// that ends a subscription is reported before its channel is closed.
	failed := make(chan error, 1)
	report := func(err error) {
		select {
		case failed <- err:
		default:
		}
	}
	err := netlink.LinkSubscribeWithOptions(links, done, netlink.LinkSubscribeOptions{
		ErrorCallback: report, ReceiveBufferSize: n.buffer, ReceiveBufferForceSize: true,
	})
	if err != nil {
		close(links)
		close(addresses)
		return fmt.Errorf("subscribe to links: %w", err)
	}
	err = netlink.AddrSubscribeWithOptions(addresses, done, netlink.AddrSubscribeOptions{
		ErrorCallback: report, ReceiveBufferSize: n.buffer, ReceiveBufferForceSize: true,
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
		case u, ok := <-links:
			if !ok {
				return <-failed
			}
			n.applyLink(u)
		case u, ok := <-addresses:
			if !ok {
				return <-failed
			}
			n.applyAddress(u)
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
	before := n.links
	n.links = make(map[string]link)
	for _, l := range links {
		n.links[l.Attrs().Name] = newLink(l.Attrs())
	}
	n.note(before)
	n.addresses = make(map[int]map[netip.Prefix]presence)
	for _, a := range addresses {
		n.put(a.LinkIndex, toPrefix(*a.IPNet), present(a.Flags))
	}
	return nil
}

// note counts what makes it wise to announce the addresses of a link once more: it was made, came up, or has another
// hardware address. The caller holds the lock.
func (n *Network) note(before map[string]link) {
	for name, l := range n.links {
		if was := before[name]; l.up && (!was.up || was.index != l.index || was.mac != l.mac) {
			n.changes[name]++
		}
	}
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
	n.note(before)
	same := maps.Equal(before, n.links)
	n.mu.Unlock()
	if !same {
		n.tell()
	}
}

func (n *Network) applyAddress(u netlink.AddrUpdate) {
	n.mu.Lock()
	is := absent
	if u.NewAddr {
		is = present(u.Flags)
	}
	changed := n.put(u.LinkIndex, toPrefix(u.LinkAddress), is)
	n.mu.Unlock()
	if changed {
		n.tell()
	}
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

// Changes implements Host.
func (n *Network) Changes(device string) uint64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.changes[device]
}

// Turn implements Host.
func (n *Network) Turn(device string, pause time.Duration, now time.Time) time.Time {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.pace.turn(device, pause, now)
}

func newLink(a *netlink.LinkAttrs) link {
	const up = unix.IFF_UP | unix.IFF_RUNNING
	return link{index: a.Index, admin: a.RawFlags&unix.IFF_UP != 0, up: a.RawFlags&up == up, mac: a.HardwareAddr.String()}
}

func toPrefix(n net.IPNet) netip.Prefix {
	addr, _ := netip.AddrFromSlice(n.IP)
	bits, _ := n.Mask.Size()
	return netip.PrefixFrom(addr.Unmap(), bits)
}
