// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"context"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/holdfast-lb/holdfast/internal/netlab"
)

// oneHost is a host on a LAN, and its Network.
func oneHost(t *testing.T) (*netlab.LAN, *netlab.Port, *Network) {
	t.Helper()
	lab := netlab.Test(t)
	lan := lab.LAN("lan")
	port := lab.Host("a").Join(lan, "eth0", prefix("192.0.2.10/24"))
	return lan, port, network(t, port.Host)
}

func TestLeaseEndsInTheKernel(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	_, port, n := oneHost(t)
	one := []Address{vip(100)}
	if err := n.Hold(one, time.Second); err != nil {
		t.Fatal(err)
	}
	if left := n.Lease(one); left <= 0 || left > time.Second {
		t.Errorf("%v left of a lease of 1 s", left)
	}
	renewed := time.Now()
	for end := renewed.Add(2500 * ms); time.Now().Before(end); {
		if !holds(t, port.Host, vip(100).Prefix.Addr()) {
			t.Fatal("gone, though its lease was renewed")
		}
		if time.Since(renewed) > 400*ms {
			renewed = time.Now()
			if err := n.Hold(one, time.Second); err != nil {
				t.Fatal(err)
			}
		}
	}
	poll(t, 3*time.Second, "the lease ends", func() bool { return !holds(t, port.Host, vip(100).Prefix.Addr()) })
	took := time.Since(renewed)
	t.Logf("gone %v after the last renewal for 1 s", took.Round(time.Millisecond))
	if took > 1500*ms { // the bound: lease + 0.5 s
		t.Error("too late")
	}
	poll(t, 10*time.Second, "the network notices", func() bool { return len(n.Missing(one)) == 1 })
	if left := n.Lease(one); left != 0 {
		t.Errorf("%v left of a lease that has ended", left)
	}
}

func TestLeaseChanges(t *testing.T) {
	_, _, n := oneHost(t)
	for _, lease := range []time.Duration{5 * time.Second, 0, 7 * time.Second} {
		if err := n.Hold([]Address{vip(100)}, lease); err != nil {
			t.Fatal(err)
		}
		left := n.Lease([]Address{vip(100)})
		if lease == 0 {
			lease = math.MaxInt64
		}
		if left > lease || left < lease-time.Second {
			t.Errorf("got %v left of %v", left, lease)
		}
	}
	if left := n.Lease([]Address{vip(100), vip(101)}); left != 0 {
		t.Errorf("got %v with an address missing", left)
	}
}

func TestHoldAndRelease(t *testing.T) {
	_, port, n := oneHost(t)
	two, nowhere := []Address{vip(100), vip(101)}, vip(102)
	nowhere.Device = "eth9"
	three := []Address{two[0], nowhere, two[1]}
	if missing := n.Missing(three); len(missing) != 3 {
		t.Errorf("missing %v at first", missing)
	}
	err := n.Hold(three, 10*time.Second)
	if want := "add address 192.0.2.102/24 dev eth9: interface eth9 does not exist"; err == nil || err.Error() != want {
		t.Errorf("got error %v, want %s", err, want)
	}
	for _, a := range two {
		if !holds(t, port.Host, a.Prefix.Addr()) {
			t.Errorf("%v is not held", a)
		}
	}
	if missing := n.Missing(three); len(missing) != 1 || missing[0] != nowhere {
		t.Errorf("missing %v", missing)
	}
	for range 2 { // removing what is not there is no error
		if err := n.Release(three); err != nil {
			t.Error(err)
		}
	}
	if holds(t, port.Host, two[0].Prefix.Addr()) || holds(t, port.Host, two[1].Prefix.Addr()) {
		t.Error("released addresses are still there")
	}
	if !holds(t, port.Host, own) {
		t.Error("the host's own address is gone")
	}
}

func TestLinksAreFollowed(t *testing.T) {
	_, port, n := oneHost(t)
	nl := port.Host.Netlink()
	is := func(what, want string) {
		t.Helper()
		poll(t, 2*time.Second, what, func() bool {
			_, err := n.Link("eth0")
			return want == "" && err == nil || err != nil && err.Error() == want
		})
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	is("at first", "")
	must(port.Down())
	is("set down", "interface eth0 is down")
	must(port.Up())
	is("set up", "")
	must(port.Unplug())
	is("without carrier", "interface eth0 is down")
	must(port.Plug())
	is("with carrier", "")

	// A port that leaves a bridge is reported as deleted, by the bridge.
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "br1"
	bridge := &netlink.Bridge{LinkAttrs: attrs}
	must(nl.LinkAdd(bridge))
	eth0, err := nl.LinkByName("eth0")
	must(err)
	must(nl.LinkSetMaster(eth0, bridge))
	gone := false
	stop := n.Watch(func() { gone = gone || n.links["eth0"].index == 0 })
	must(nl.LinkSetNoMaster(eth0))
	must(nl.LinkDel(bridge))
	poll(t, 2*time.Second, "the bridge goes", func() bool { _, err := n.Link("br1"); return err != nil })
	is("out of the bridge", "")
	if stop(); gone {
		t.Error("out of the bridge: gone for a moment")
	}

	must(nl.LinkSetDown(eth0))
	must(nl.LinkSetName(eth0, "lan0"))
	is("renamed", "interface eth0 does not exist")
	must(nl.LinkSetName(eth0, "eth0"))
	must(nl.LinkSetUp(eth0))
	is("named back", "")

	before, _ := n.Link("eth0")
	must(n.Hold([]Address{vip(100)}, 0))
	must(nl.LinkDel(eth0))
	is("deleted", "interface eth0 does not exist")
	if missing := n.Missing([]Address{vip(100)}); len(missing) != 1 {
		t.Error("an address outlives its link")
	}
	port.Host.Join(port.LAN, "eth0", prefix("192.0.2.10/24"))
	is("made anew", "")
	if after, _ := n.Link("eth0"); after == before {
		t.Error("a new link has the old index")
	}
}

func TestWatch(t *testing.T) {
	_, port, n := oneHost(t)
	changed := make(chan struct{}, 1)
	stop := n.Watch(func() { poke(changed) })
	port.Host.Address("eth0", prefix("192.0.2.77/24"))
	select {
	case <-changed:
	case <-time.After(2 * time.Second):
		t.Error("not told of an address")
	}
	stop()
	if len(n.watchers) != 0 {
		t.Error("still watched")
	}
}

// padding fills an ARP packet to the least size of a frame.
var padding = strings.Repeat("00", 18)

func TestAnnouncementsOnTheWire(t *testing.T) {
	lan, port, n := oneHost(t)
	c := watch(t, lan.Host, "br0")
	announce := func(a Address, f ARPFormat) {
		t.Helper()
		// A socket is opened in the namespace of the thread.
		if err := port.Host.Do(func() error { return n.Announce(a, f) }); err != nil {
			t.Error(err)
		}
	}
	hold := func() {
		t.Helper()
		if err := n.Hold([]Address{vip(100)}, 0); err != nil {
			t.Fatal(err)
		}
	}
	hold()
	announce(vip(100), ARPBoth)
	mac := fmt.Sprintf("%x", []byte(port.MAC))
	for _, want := range []string{
		"ffffffffffff " + mac + " 0806  0001 0800 06 04 0001  " + mac + " c0000264  ffffffffffff c0000264",
		"ffffffffffff " + mac + " 0806  0001 0800 06 04 0002  " + mac + " c0000264  " + mac + " c0000264",
	} {
		if f := c.next("announcement", isARP); !looks(f.b, want+padding) {
			t.Errorf("got %x, want %s", f.b, want)
		}
	}

	// A link that is made anew has another address, and the old socket is of no use.
	link, err := port.Host.Netlink().LinkByName("eth0")
	if err == nil {
		err = port.Host.Netlink().LinkDel(link)
	}
	if err != nil {
		t.Fatal(err)
	}
	again := port.Host.Join(lan, "eth0", prefix("192.0.2.10/24"))
	poll(t, 2*time.Second, "the new link is known", func() bool {
		n.mu.Lock()
		defer n.mu.Unlock()
		return n.links["eth0"].mac == again.MAC.String()
	})
	hold()
	c.drop()
	announce(vip(100), ARPRequest)
	mac = fmt.Sprintf("%x", []byte(again.MAC))
	want := "ffffffffffff " + mac + " 0806  0001 0800 06 04 0001  " + mac + " c0000264  ffffffffffff c0000264"
	if f := c.next("announcement", func(b []byte) bool { return isARP(b) && looks(b[28:32], "c0000264") }); !looks(f.b, want+padding) {
		t.Errorf("got %x, want %s", f.b, want)
	}

	lo := Address{Prefix: prefix("192.0.2.100/32"), Device: "lo"}
	announce(lo, ARPRequest) // to nobody, and no error
	err = port.Host.Do(func() error { return n.Announce(Address{Prefix: lo.Prefix, Device: "eth9"}, ARPRequest) })
	if want := "announce 192.0.2.100/32 dev eth9: interface eth9 does not exist"; err == nil || err.Error() != want {
		t.Errorf("got error %v, want %s", err, want)
	}
}

// TestNetworkEnds sees that following ends without a goroutine left: Run waits for those of the library.
func TestNetworkEnds(t *testing.T) {
	lab := netlab.Test(t)
	h := lab.Host("a")
	err := h.Do(func() error {
		n, err := OpenNetwork(nil)
		if err != nil {
			return err
		}
		defer n.Close()
		ctx, stop := context.WithCancel(t.Context())
		defer n.Watch(stop)() // as soon as it has subscribed
		return n.Run(ctx)
	})
	if err != nil {
		t.Error(err)
	}
}
