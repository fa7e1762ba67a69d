// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/internal/netlab"
)

// twoHosts is two hosts on a LAN, .10 and .11.
func twoHosts(t *testing.T) (lan *netlab.LAN, a, b *netlab.Port) {
	t.Helper()
	lab := netlab.Test(t)
	lan = lab.LAN("lan")
	a = lab.Host("a").Join(lan, "eth0", prefix("192.0.2.10/24"))
	b = lab.Host("b").Join(lan, "eth0", prefix("192.0.2.11/24"))
	return lan, a, b
}

// dial opens a connection on a host until the test ends.
func dial(t *testing.T, h *netlab.Host, n *Network, c Config) Conn {
	t.Helper()
	var conn Conn
	err := h.Do(func() (err error) {
		conn, err = n.Dial(c)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// read waits for the next packet, 5 s at most.
func read(t *testing.T, c Conn) ([]byte, Header) {
	t.Helper()
	timeout := time.After(5 * time.Second)
	for {
		var b [maxPacket]byte
		n, h, err := c.Read(b[:])
		if err == nil {
			return b[:n], h
		}
		if !errors.Is(err, ErrNothing) {
			t.Fatal(err)
		}
		select {
		case <-c.Ready():
		case <-timeout:
			t.Fatal("nothing to read")
		}
	}
}

const advert100 = "31 33 64 01  0064 a802  c0000264" // RFC 9568's own checksum

func TestMulticastOnTheWire(t *testing.T) {
	lan, a, b := twoHosts(t)
	wire := watch(t, lan.Host, "br0")
	sender, receiver := dial(t, a.Host, network(t, a.Host), config()), dial(t, b.Host, network(t, b.Host), config())
	if err := sender.Write(unhex(t, advert100), groupIPv4); err != nil {
		t.Fatal(err)
	}
	// Type of service c0, TTL 255, protocol 112, from and to.
	const want = "01005e000012 026866000101 0800  45 c0 0020 .... .... ff 70 .... c000020a e0000012" + advert100
	if f := wire.next("advert", isVRRP); !looks(f.b[:46], want) {
		t.Errorf("got %x", f.b)
	}
	payload, h := read(t, receiver)
	if !looks(payload, advert100) || h != (Header{Src: own, Dst: groupIPv4, TTL: 255}) {
		t.Errorf("got %x, %+v", payload, h)
	}
	// Neither does it come back, nor is there more.
	for _, c := range []Conn{sender, receiver} {
		if _, _, err := c.Read(make([]byte, 100)); !errors.Is(err, ErrNothing) {
			t.Errorf("got error %v", err)
		}
	}
}

func TestUnicastOnTheWire(t *testing.T) {
	_, a, b := twoHosts(t)
	wire := watch(t, b.Host, "eth0")
	c := config()
	c.Unicast = Unicast{Source: own, Peers: []netip.Addr{addr("192.0.2.11")}, TTL: 61, MinTTL: 60}
	sender := dial(t, a.Host, network(t, a.Host), c)
	c.Unicast.Source, c.Unicast.Peers = addr("192.0.2.11"), []netip.Addr{own}
	receiver := dial(t, b.Host, network(t, b.Host), c)
	if err := sender.Write(unhex(t, advert100), addr("192.0.2.11")); err != nil {
		t.Fatal(err)
	}
	const want = "026866000102 026866000101 0800  45 c0 0020 .... .... 3d 70 .... c000020a c000020b" + advert100
	if f := wire.next("advert", isVRRP); !looks(f.b[:46], want) {
		t.Errorf("got %x", f.b)
	}
	payload, h := read(t, receiver)
	if !looks(payload, advert100) || h != (Header{Src: own, Dst: addr("192.0.2.11"), TTL: 61}) {
		t.Errorf("got %x, %+v", payload, h)
	}
}

// Adverts of other virtual routers stay in the kernel, and those on another interface are none of ours. What was padded
// to the least size of a frame is read without its padding.
func TestOnlyOurAdvertsAreRead(t *testing.T) {
	lab := netlab.Test(t)
	lan, elsewhere := lab.LAN("lan"), lab.LAN("elsewhere")
	a, b := lab.Host("a"), lab.Host("b")
	a.Join(lan, "eth0", prefix("192.0.2.10/24"))
	a.Join(elsewhere, "eth1", prefix("198.51.100.10/24"))
	b.Join(lan, "eth0", prefix("192.0.2.11/24"))
	b.Join(elsewhere, "eth1", prefix("198.51.100.11/24"))
	na, nb := network(t, a), network(t, b)
	other, away := config(), config()
	other.ID, away.Interface = 52, "eth1"
	receiver := dial(t, a, na, config())
	// A join takes effect at once, so what is not for the receiver arrives before what is.
	b1, b2, b3 := dial(t, b, nb, away), dial(t, b, nb, other), dial(t, b, nb, config())
	for _, w := range []struct {
		c Conn
		b string
	}{{b1, "31 33 01 00 0000 0000"}, {b2, "31 34 02 00 0000 0000"}, {b3, "31 33 03 00 0000 0000"}} {
		if err := w.c.Write(unhex(t, w.b), groupIPv4); err != nil {
			t.Fatal(err)
		}
	}
	if payload, h := read(t, receiver); !looks(payload, "31 33 03 00 0000 0000") || h.Src != addr("192.0.2.11") {
		t.Errorf("got %x, %+v", payload, h)
	}

	frame := unhex(t, "01005e000012 02000000000b 0800  45c0 0020 0000 0000 ff70 1890 c000020b e0000012"+advert100+
		"eeeeeeeeeeeeeeeeeeeeeeeeeeee")
	throw(t, b, frame)
	if payload, _ := read(t, receiver); !looks(payload, advert100) {
		t.Errorf("got %x", payload)
	}
}

func TestClose(t *testing.T) {
	_, port, n := oneHost(t)
	c := dial(t, port.Host, n, config())
	other := config()
	other.ID = 52
	o := dial(t, port.Host, n, other)
	if c.(*rawConn).port != o.(*rawConn).port {
		t.Error("two routers of one interface have two sockets")
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if err := o.Write(unhex(t, advert100), groupIPv4); err != nil {
		t.Errorf("the other one: %v", err)
	}
	if err := o.Close(); err != nil {
		t.Error(err)
	}
	if err := o.Write(unhex(t, advert100), groupIPv4); err == nil {
		t.Error("write after close: no error")
	}
	if len(n.ports) != 0 {
		t.Errorf("left: %v", n.ports)
	}
}

func TestSourceOfAdverts(t *testing.T) {
	lab := netlab.Test(t)
	h := lab.Host("a")
	lan := lab.LAN("lan")
	// An address that an earlier run has left is not our own, even if it is the first.
	h.Join(lan, "eth0", prefix("192.0.2.100/24"), prefix("192.0.2.10/24"), prefix("192.0.2.12/24"))
	h.Join(lan, "eth1")
	h.Join(lan, "eth2", prefix("192.0.2.100/32"))
	n := network(t, h)
	tests := []struct {
		name   string
		change func(*Config)
		want   string
	}{
		{"the first of its own", func(*Config) {}, "192.0.2.10"},
		{"as configured", func(c *Config) { c.Source = addr("192.0.2.12") }, "192.0.2.12"},
		{
			"not there", func(c *Config) { c.Source = addr("192.0.2.13") },
			"interface eth0 does not have the source address 192.0.2.13",
		},
		{
			"unicast", func(c *Config) { c.Unicast = Unicast{Source: addr("192.0.2.12"), Peers: []netip.Addr{lower}, TTL: 255} },
			"192.0.2.12",
		},
		{
			"no address", func(c *Config) { c.Interface = "eth1" },
			"interface eth1 has no IPv4 address of its own to send adverts from",
		},
		{
			"a virtual one only", func(c *Config) { c.Interface = "eth2" },
			"interface eth2 has no IPv4 address of its own to send adverts from",
		},
		{"no interface", func(c *Config) { c.Interface = "eth9" }, "interface eth9 does not exist"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := config()
			tt.change(&c)
			var got string
			err := h.Do(func() error {
				conn, err := n.Dial(c)
				if err != nil {
					return err
				}
				got = conn.Source().String()
				return conn.Close()
			})
			if err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}
