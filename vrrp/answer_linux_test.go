// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"net/netip"
	"slices"
	"testing"

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
