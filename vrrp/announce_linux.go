// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"fmt"
	"net"
	"time"

	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"
)

// announcer is a socket that sends announcements on one link.
type announcer struct {
	link   link
	mac    net.HardwareAddr
	conn   *packet.Conn
	router bool      // the link forwards IPv6
	asked  time.Time // when that was read
}

// Announce implements Host. A link without hardware addresses, such as lo, needs no announcement.
func (n *Network) Announce(a Address, f ARPFormat) error {
	n.sendMu.Lock()
	defer n.sendMu.Unlock()
	c, err := n.announcer(a.Device)
	if err == nil && c != nil {
		if err = n.send(c, a, f); err != nil {
			n.forget(a.Device)
		}
	}
	if err != nil {
		return fmt.Errorf("announce %v: %w", a, err)
	}
	return nil
}

func (n *Network) send(c *announcer, a Address, f ARPFormat) error {
	addr := a.Prefix.Addr()
	if addr.Is6() {
		if now := time.Now(); now.Sub(c.asked) > time.Second {
			forwarding, err := n.rtnl.conf(c.link.index, unix.AF_INET6, iflaInet6Conf, 0)
			if err != nil {
				return fmt.Errorf("read forwarding: %w", err)
			}
			c.router, c.asked = forwarding != 0, now
		}
		b, err := naFrame(c.mac, addr, c.router)
		if err != nil {
			return err
		}
		return c.write(b)
	}
	for _, op := range f.operations() {
		b, err := arpFrame(op, c.mac, addr)
		if err == nil {
			err = c.write(b)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// write sends a frame. The destination in it is the one that counts.
func (c *announcer) write(b []byte) error {
	_, err := c.conn.WriteTo(b, &packet.Addr{HardwareAddr: net.HardwareAddr(b[:6])})
	return err
}

// announcer returns the socket for a device, a new one if the link has been made anew or has another hardware address.
// Protocol 0 makes it one that receives nothing. There is none, and no error, for a link without hardware addresses.
func (n *Network) announcer(device string) (*announcer, error) {
	n.mu.Lock()
	l, ok := n.links[device]
	n.mu.Unlock()
	switch {
	case !ok:
		return nil, fmt.Errorf("interface %s does not exist", device)
	case l.mac == "":
		return nil, nil
	}
	if have := n.announcers[device]; have != nil {
		if have.link.index == l.index && have.link.mac == l.mac {
			return have, nil
		}
		n.forget(device)
	}
	mac, err := net.ParseMAC(l.mac)
	if err != nil {
		return nil, err
	}
	conn, err := packet.Listen(&net.Interface{Index: l.index, Name: device}, packet.Raw, 0, nil)
	if err != nil {
		return nil, err
	}
	a := &announcer{link: l, mac: mac, conn: conn}
	n.announcers[device] = a
	return a, nil
}

// forget drops a socket that failed, or whose link has changed.
func (n *Network) forget(device string) {
	if a := n.announcers[device]; a != nil {
		_ = a.conn.Close()
		delete(n.announcers, device)
	}
}
