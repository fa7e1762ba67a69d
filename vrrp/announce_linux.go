// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"fmt"
	"net"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"
	"github.com/mdlayher/packet"
)

// announcer is a socket that sends ARP on one link.
type announcer struct {
	link   link
	client *arp.Client
}

// Announce implements Host. A link without hardware addresses, such as lo, needs no announcement.
func (n *Network) Announce(a Address, f ARPFormat) error {
	c, err := n.announcer(a.Device)
	if err != nil {
		return fmt.Errorf("announce %v: %w", a, err)
	}
	if c == nil {
		return nil
	}
	for _, op := range f.operations() {
		p, err := arpFrame(op, c.HardwareAddr(), a.Prefix.Addr())
		if err == nil {
			err = c.WriteTo(p, ethernet.Broadcast)
		}
		if err != nil {
			n.forget(a.Device)
			return fmt.Errorf("announce %v: %w", a, err)
		}
	}
	return nil
}

// announcer returns the socket for a device, a new one if the link has been made anew or has another hardware address.
// Protocol 0 makes it one that receives nothing. There is none, and no error, for a link without hardware addresses.
func (n *Network) announcer(device string) (*arp.Client, error) {
	n.mu.Lock()
	l, ok := n.links[device]
	n.mu.Unlock()
	switch {
	case !ok:
		return nil, fmt.Errorf("interface %s does not exist", device)
	case l.mac == "":
		return nil, nil
	}
	n.arpMu.Lock()
	defer n.arpMu.Unlock()
	have := n.arps[device]
	if have != nil && have.link.index == l.index && have.link.mac == l.mac {
		return have.client, nil
	}
	if have != nil {
		_ = have.client.Close()
		delete(n.arps, device)
	}
	ifi, err := net.InterfaceByName(device)
	if err != nil {
		return nil, err
	}
	conn, err := packet.Listen(ifi, packet.Raw, 0, nil)
	if err != nil {
		return nil, err
	}
	client, err := arp.New(ifi, conn)
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	n.arps[device] = &announcer{link: l, client: client}
	return client, nil
}

// forget drops a socket that failed.
func (n *Network) forget(device string) {
	n.arpMu.Lock()
	defer n.arpMu.Unlock()
	if a := n.arps[device]; a != nil {
		_ = a.client.Close()
		delete(n.arps, device)
	}
}
