// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"
	"github.com/mdlayher/packet"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const (
	probePause  = 10 * time.Millisecond // between two probes
	probeWait   = time.Second           // for answers, after the last one
	answersMost = 256                   // that strangers can make us remember
)

// WhoHas asks everyone on a device's network who has some IPv4 addresses, by one ARP probe each, and returns what hosts
// other than this one have answered, or have said unasked, within a second. Nobody learns anything of a probe, as it
// names no sender (RFC 5227 section 1.1). It blocks; a device without Ethernet addresses has nobody to ask.
func (n *Network) WhoHas(ctx context.Context, device string, addresses []netip.Addr) ([]Answer, error) {
	n.mu.Lock()
	l, ok := n.links[device]
	ours := make(map[string]bool)
	for _, l := range n.links {
		ours[l.mac] = true
	}
	n.mu.Unlock()
	mac, err := net.ParseMAC(l.mac)
	switch {
	case !ok:
		return nil, fmt.Errorf("ask on %s: interface does not exist", device)
	case err != nil || len(mac) != 6:
		return nil, nil
	}
	conn, err := packet.Listen(&net.Interface{Index: l.index, Name: device, HardwareAddr: mac}, packet.Datagram, unix.ETH_P_ARP, nil)
	if err != nil {
		return nil, fmt.Errorf("ask on %s: %w%s", device, err, hint(err))
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	sent := make(chan error, 1)
	go func() { // who answers the first is heard meanwhile: what a busy network says unasked would fill the buffer
		err := probe(ctx, conn, mac, addresses)
		until := time.Now()
		if err == nil {
			until = until.Add(probeWait)
		}
		_ = conn.SetReadDeadline(until) // an error: it is closed, and no longer read
		sent <- err
	}()
	answers, err := readAnswers(conn, addresses, ours)
	if err = cmp.Or(<-sent, err); err != nil {
		return nil, fmt.Errorf("ask on %s: %w", device, err)
	}
	for i := range answers {
		answers[i].Device = device
	}
	nameHosts(answers)
	return answers, nil
}

// probe sends the probes (RFC 5227 section 2.1.1).
func probe(ctx context.Context, conn *packet.Conn, mac net.HardwareAddr, addresses []netip.Addr) error {
	for i, a := range addresses {
		if i > 0 {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(probePause):
			}
		}
		p, err := arp.NewPacket(arp.OperationRequest, mac, netip.IPv4Unspecified(), make(net.HardwareAddr, 6), a)
		if err != nil {
			return err
		}
		b, err := p.MarshalBinary()
		if err != nil {
			return err
		}
		if _, err := conn.WriteTo(b, &packet.Addr{HardwareAddr: ethernet.Broadcast}); err != nil {
			return err
		}
	}
	return nil
}

// readAnswers reads what others say of the addresses, each once, until the deadline of the connection. A request whose sender
// has the address says so, too.
func readAnswers(conn *packet.Conn, addresses []netip.Addr, ours map[string]bool) ([]Answer, error) {
	var answers []Answer
	b := make([]byte, 128)
	for {
		n, _, err := conn.ReadFrom(b)
		if errors.Is(err, os.ErrDeadlineExceeded) || len(answers) == answersMost {
			return answers, nil
		} else if err != nil {
			return nil, err
		}
		if a, ok := readAnswer(b[:n], addresses); ok && !ours[a.MAC] && !slices.Contains(answers, a) {
			answers = append(answers, a)
		}
	}
}

// readAnswer reads what an ARP packet says of one of the addresses.
func readAnswer(b []byte, addresses []netip.Addr) (Answer, bool) {
	var p arp.Packet
	if p.UnmarshalBinary(b) != nil || len(p.SenderHardwareAddr) != 6 || !slices.Contains(addresses, p.SenderIP) {
		return Answer{}, false
	}
	return Answer{Address: p.SenderIP, MAC: p.SenderHardwareAddr.String()}, true
}

// nameHosts adds to each answer by which other address the kernel knows its sender, on whichever interface.
func nameHosts(answers []Answer) {
	if len(answers) == 0 {
		return
	}
	neighbours, _ := netlink.NeighList(0, netlink.FAMILY_V4) // not by the handle, which the election may want
	for i := range answers {
		a := &answers[i]
		for _, nb := range neighbours {
			host, ok := netip.AddrFromSlice(nb.IP)
			if host = host.Unmap(); !ok || nb.HardwareAddr.String() != a.MAC || host == a.Address {
				continue
			}
			if !a.Host.IsValid() || host.Less(a.Host) {
				a.Host = host
			}
		}
	}
}
