// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/mdlayher/arp"

	"github.com/holdfast-lb/holdfast/internal/netlab"
)

// A real server that answers ARP for the virtual address is heard, by the interface and by the virtual MAC address's;
// one that is set up as it should be, and this host itself, are not.
func TestWhoHas(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	lab := netlab.Test(t)
	lan := lab.LAN("lan")
	vip := prefix("192.0.2.100/32")
	director := lab.Host("director").Join(lan, "eth0", prefix("192.0.2.1/24"), vip)
	second := director.Host.Join(lan, "eth1") // the kernel answers on both
	bad := lab.Host("bad").Join(lan, "eth0", prefix("192.0.2.11/24"))
	good := lab.Host("good").Join(lan, "eth0", prefix("192.0.2.12/24"))
	for _, p := range []*netlab.Port{bad, good} {
		p.Host.Address("lo", vip)
	}
	good.Host.Sysctl("net.ipv4.conf.all.arp_ignore", "1")
	n := network(t, director.Host)
	ask := func(device string, addrs ...netip.Addr) (answers []Answer) {
		t.Helper()
		must(t, director.Host.Do(func() (err error) {
			answers, err = n.WhoHas(t.Context(), device, addrs)
			return err
		}))
		return answers
	}
	if !pings(t, director.Host, "192.0.2.11") { // so that the kernel knows its neighbour
		t.Fatal("the server does not answer")
	}
	want := []Answer{{addr("192.0.2.100"), "eth0", bad.MAC.String(), addr("192.0.2.11")}}
	if got := ask("eth0", vip.Addr(), addr("192.0.2.200")); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	want = []Answer{{addr("192.0.2.100"), "eth1", bad.MAC.String(), addr("192.0.2.11")}}
	if got := ask(second.Name, vip.Addr()); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := ask("lo", vip.Addr()); got != nil {
		t.Errorf("lo: %v, want nobody", got)
	}
	bad.Host.Sysctl("net.ipv4.conf.all.arp_ignore", "1")
	if got := ask("eth0", vip.Addr()); got != nil {
		t.Errorf("got %v, want nobody any more", got)
	}
	must(t, director.Down())
	poll(t, patience, "link down", func() bool { _, err := n.Link("eth0"); return err != nil })
	err := director.Host.Do(func() error { _, err := n.WhoHas(t.Context(), "eth0", []netip.Addr{vip.Addr()}); return err })
	if err == nil {
		t.Error("asked on a link that is down")
	}
	t.Log(err)
}

// Who answers late among many addresses is heard on a network where others ask for much.
func TestWhoHasOnABusyNetwork(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	lab := netlab.Test(t)
	lan := lab.LAN("lan")
	director := lab.Host("director").Join(lan, "eth0", prefix("192.0.2.1/24"))
	bad := lab.Host("bad").Join(lan, "eth0", prefix("192.0.2.11/24"))
	stranger := lab.Host("x").Join(lan, "eth0", prefix("192.0.2.12/24"))
	var addresses []netip.Addr
	for i := range 50 {
		addresses = append(addresses, netip.AddrFrom4([4]byte{192, 0, 2, byte(100 + i)}))
	}
	last := addresses[len(addresses)-1]
	bad.Host.Address("lo", netip.PrefixFrom(last, 32))
	n := network(t, director.Host)
	request, err := arp.NewPacket(arp.OperationRequest, stranger.MAC, addr("192.0.2.12"), make(net.HardwareAddr, 6), addr("192.0.2.99"))
	must(t, err)
	payload, err := request.MarshalBinary()
	must(t, err)
	frame := append(append(append(slices.Clone(director.MAC), stranger.MAC...), 0x08, 0x06), payload...)
	ended := make(chan int)
	go func() { ended <- flood(t, stranger.Host, frame, time.Second) }()
	var answers []Answer
	must(t, director.Host.Do(func() (err error) {
		answers, err = n.WhoHas(t.Context(), "eth0", addresses)
		return err
	}))
	t.Logf("beside %d other requests", <-ended)
	if len(answers) != 1 || answers[0].Address != last || answers[0].MAC != bad.MAC.String() {
		t.Errorf("got %v, want %v of %v", answers, last, bad.MAC)
	}
}
