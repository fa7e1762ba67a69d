// SPDX-License-Identifier: Apache-2.0

// Package realserver makes this host a real server, verifies that it is one, and puts back what was there before.
//
// What should be ([Use] by use), what is ([Facts]) and the difference ([Finding], [Change]) are values; a [Host] reads and
// changes the kernel. A file remembers what was changed.
package realserver

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/holdfast-lb/holdfast/ipvs"
)

// Use is one way in which this host is a real server.
type Use struct {
	Forward ipvs.Forward
	// Address is the virtual address; not with NAT, which needs nothing of it here.
	Address       netip.Addr
	Encapsulation ipvs.Encapsulation // with Tunnel
	// Local is this host's own address, to which the directors send. Tunnels alone need it: its family is that of the outer
	// packet; invalid: that of the virtual address.
	Local netip.Addr
	// Gateway is the floating address of the directors, with NAT. A link-local one has the link as its zone.
	Gateway netip.Addr
}

func (u Use) String() string {
	switch u.Forward {
	case ipvs.NAT:
		return fmt.Sprintf("nat by %s", u.Gateway)
	case ipvs.Tunnel:
		return fmt.Sprintf("tunnel (%s) %s", u.Encapsulation.Type, u.Address)
	}
	return fmt.Sprintf("%s %s", u.Forward, u.Address)
}

// outer6 reports whether the packets of a tunnel come over IPv6.
func (u Use) outer6() bool {
	if u.Local.IsValid() {
		return u.Local.Is6()
	}
	return u.Address.Is6()
}

// validate says what is wrong with a use by itself.
func (u Use) validate() error {
	switch u.Forward {
	case ipvs.NAT:
		return u.validateGateway()
	case ipvs.DR, ipvs.Tunnel:
	default:
		return fmt.Errorf("forwarding method %s: takes nat, dr or tunnel", u.Forward)
	}
	switch a := u.Address; {
	case !a.IsValid():
		return fmt.Errorf("%s: takes a virtual address", u.Forward)
	case !routable(a):
		return fmt.Errorf("%s: %s cannot be a virtual address", u.Forward, a)
	case u.Forward == ipvs.Tunnel:
		return u.validateTunnel()
	}
	return nil
}

func (u Use) validateGateway() error {
	switch g := u.Gateway; {
	case !g.IsValid():
		return errors.New("nat: takes a gateway, the directors' floating address")
	case g.IsLinkLocalUnicast() && g.Zone() == "":
		return fmt.Errorf("nat: gateway %s is link-local: write it with its link, as in %s%%eth0", g, g)
	case !g.IsLinkLocalUnicast() && !routable(g):
		return fmt.Errorf("nat: %s cannot be a gateway", g)
	}
	return nil
}

func (u Use) validateTunnel() error {
	e := u.Encapsulation
	switch e.Type {
	case ipvs.IPIP, ipvs.GRE:
		if e.Port != 0 {
			return fmt.Errorf("tunnel: %s has no port", e.Type)
		}
	case ipvs.GUE:
		if e.Port == 0 {
			return errors.New("tunnel: gue takes a port, on which the packets arrive")
		}
	default:
		return fmt.Errorf("%s: takes ipip, gue or gre", e.Type)
	}
	if t := u.tunnel(); t.bound && !u.Local.IsValid() {
		return fmt.Errorf("tunnel (%s) %s: takes this host's own address, to which the directors send", t.kind, u.Address)
	}
	return nil
}

func routable(a netip.Addr) bool {
	return a.IsGlobalUnicast() && a.Zone() == "" && !a.Is4In6()
}

// tunnel is the link that packets leave their wrapping by.
type tunnel struct {
	device string
	kind   string // as ip-link(8) names it
	// bound: the link is one of our own that takes packets to Local alone, because the kernel's does not take such packets.
	bound    bool
	checksum bool // drops packets without a checksum, and is the only one that takes those with one
	bytes    int  // that the wrapping adds to a packet
}

// The links that the kernel's modules bring, which take what no other tunnel does, and our own.
func (u Use) tunnel() tunnel {
	outer, inner6, header := u.outer6(), u.Address.Is6(), 20
	if outer {
		header = 40
	}
	if u.Encapsulation.Type == ipvs.GRE {
		t := tunnel{device: "gre0", kind: "gre", bytes: header + 4}
		if outer {
			t.device, t.kind = "ip6gre0", "ip6gre"
		}
		if u.Encapsulation.Checksum != ipvs.NoChecksum {
			// gre0 drops what has one (ip_tunnel_rcv).
			t.device, t.bound, t.checksum, t.bytes = "hf-"+t.kind, true, true, header+8
		}
		return t
	}
	var t tunnel
	switch {
	case outer && inner6:
		t = tunnel{device: "ip6tnl0", kind: "ip6tnl"}
	case outer:
		// ip6tnl0 takes IPv6 alone (ip6_fb_tnl_dev_init).
		t = tunnel{device: "hf-ip4ip6", kind: "ip6tnl", bound: true}
	case inner6:
		t = tunnel{device: "sit0", kind: "sit"}
	default:
		t = tunnel{device: "tunl0", kind: "ipip"}
	}
	t.bytes = header
	if u.Encapsulation.Type == ipvs.GUE {
		t.bytes += 8 + 4 // UDP, GUE
		if u.Encapsulation.Checksum == ipvs.RemoteChecksum {
			t.bytes += 8 // private flags, offsets
		}
	}
	return t
}

// Overhead is how many bytes a packet grows by on its way here; 0 but for tunnels.
func (u Use) Overhead() int {
	if u.Forward != ipvs.Tunnel {
		return 0
	}
	return u.tunnel().bytes
}

// Notes are what is worth knowing about the uses and cannot be verified here, one line each.
func Notes(uses []Use) []string {
	var notes []string
	for _, u := range uses {
		if u.Forward != ipvs.Tunnel {
			continue
		}
		headers, added := 40, u.Overhead() // IP and TCP of the packet inside
		if u.Address.Is6() {
			headers = 60
		}
		notes = append(notes, fmt.Sprintf(
			"%s: a packet grows by %d bytes on its way here; where the network carries 1500, tell clients to send less:"+
				" append advmss %d to this host's default route", u, added, 1500-added-headers))
	}
	return notes
}
