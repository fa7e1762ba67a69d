// SPDX-License-Identifier: Apache-2.0

// Package netlab builds networks of hosts inside one machine and breaks them: each host is a network namespace, joined
// by veth to a bridge that lives in a namespace of its own. Tests and the lab command use it; both run as root.
//
// Methods that build (LAN, Host, Join, Address, Route, Sysctl) return no error. The first failure stops all further
// building and is what Lab.Err reports; a lab made by Test ends the test instead. Methods that act return errors.
//
// Namespaces have no names, only file descriptors: labs cannot collide, and when the process dies, however it dies, the
// kernel removes them as soon as the last process inside has gone.
package netlab

import (
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// A Lab is a set of hosts and the LANs that join them. It is built by one goroutine; faults may be injected from any.
type Lab struct {
	fail  func(error)
	err   error
	lans  int
	hosts []*Host // LANs included
}

// New returns an empty lab.
func New() *Lab {
	l := &Lab{}
	l.fail = func(err error) { l.err = err }
	return l
}

// Err returns the first error met while building.
func (l *Lab) Err() error { return l.err }

// step runs one step of building unless an earlier one failed.
func (l *Lab) step(what string, f func() error) {
	if l.err != nil {
		return
	}
	if err := f(); err != nil {
		l.fail(fmt.Errorf("%s: %w", what, err))
	}
}

// Close kills every process left in the lab's hosts and lets go of the namespaces. They vanish with everything inside
// as soon as no socket of this process is left in them: close listeners and connections first.
func (l *Lab) Close() error {
	var errs []error
	for _, h := range l.hosts {
		errs = append(errs, h.close())
	}
	l.hosts = nil
	return errors.Join(errs...)
}

// Host adds a host with nothing but a loopback link.
func (l *Lab) Host(name string) *Host {
	h := &Host{Name: name, lab: l, ns: netns.None()}
	l.hosts = append(l.hosts, h)
	l.step("add host "+name, func() error {
		ns, err := newNamespace()
		if err != nil {
			return err
		}
		h.ns = ns
		if h.nl, err = netlink.NewHandleAt(ns, unix.NETLINK_ROUTE); err != nil {
			return fmt.Errorf("netlink socket: %w", err)
		}
		lo, err := h.nl.LinkByName("lo")
		if err != nil {
			return err
		}
		return h.nl.LinkSetUp(lo)
	})
	for key, value := range hostSysctls {
		h.Sysctl(key, value)
	}
	return h
}

// hostSysctls make all hosts alike whatever the machine is set to (a new namespace copies some of its settings), and
// let IPv6 addresses be used at once.
var hostSysctls = map[string]string{
	"net.ipv4.conf.all.rp_filter":                "0",
	"net.ipv4.conf.default.rp_filter":            "0",
	"net.ipv6.conf.all.disable_ipv6":             "0",
	"net.ipv6.conf.default.disable_ipv6":         "0",
	"net.ipv6.conf.default.accept_dad":           "0",
	"net.ipv6.conf.default.dad_transmits":        "0",
	"net.ipv6.conf.default.accept_ra":            "0",
	"net.ipv6.conf.default.router_solicitations": "0",
}

// A LAN is a switch: a bridge named br0 in the namespace that the embedded Host describes. Its Do and Command are
// the place to watch all of its traffic from.
type LAN struct {
	*Host
	number byte
	ports  byte
	bridge netlink.Link
}

// LAN adds a switch that forwards from the first moment and knows nothing of multicast groups, so that VRRP reaches
// everybody.
func (l *Lab) LAN(name string) *LAN {
	l.lans++
	lan := &LAN{Host: l.Host(name), number: byte(l.lans)}
	lan.Sysctl("net.ipv6.conf.default.disable_ipv6", "1") // the switch itself says nothing
	l.step("add LAN "+name, func() error {
		snooping := false
		attrs := netlink.NewLinkAttrs()
		attrs.Name = "br0"
		if err := lan.nl.LinkAdd(&netlink.Bridge{LinkAttrs: attrs, MulticastSnooping: &snooping}); err != nil {
			return fmt.Errorf("bridge: %w", err)
		}
		var err error
		if lan.bridge, err = lan.nl.LinkByName("br0"); err != nil {
			return err
		}
		return lan.nl.LinkSetUp(lan.bridge)
	})
	return lan
}

// newNamespace makes a network namespace without a name.
func newNamespace() (netns.NsHandle, error) {
	created := netns.None()
	err := onThread(func() (err error) {
		created, err = netns.New()
		return err
	})
	if err != nil && created.IsOpen() {
		err = errors.Join(err, created.Close())
	}
	return created, err
}

// onThread runs f on a thread that may change its namespace, and brings the thread back. If that is impossible the
// goroutine stays locked to the thread, and the runtime ends both together.
func onThread(f func() error) (err error) {
	runtime.LockOSThread()
	home, err := netns.Get()
	if err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("own namespace: %w", err)
	}
	defer func() {
		back := netns.Set(home)
		if back == nil {
			runtime.UnlockOSThread()
		} else {
			back = fmt.Errorf("return to own namespace: %w", back)
		}
		if failed := errors.Join(back, home.Close()); failed != nil {
			err = errors.Join(err, failed)
		}
	}()
	return f()
}

// Poll calls f every 10 ms until it returns nil, and returns its last error, with the time waited, if it never does.
func Poll(timeout time.Duration, f func() error) error {
	deadline := time.Now().Add(timeout)
	for {
		err := f()
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("not within %s: %w", timeout, err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}
