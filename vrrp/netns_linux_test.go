// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"context"
	"encoding/hex"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"

	"github.com/holdfast-lb/holdfast/internal/netlab"
)

func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

// network opens the Network of a host and follows it until the test ends.
func network(t *testing.T, h *netlab.Host) *Network { return networkWith(t, h, func(*Network) {}) }

func networkWith(t *testing.T, h *netlab.Host, change func(*Network)) *Network {
	t.Helper()
	var n *Network
	err := h.Do(func() (err error) {
		n, err = OpenNetwork(slog.New(slog.DiscardHandler))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	change(n)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	following := make(chan struct{}, 1)
	defer n.Watch(func() { poke(following) })()
	go func() { ended <- h.Do(func() error { return n.Run(ctx) }) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("follow links and addresses: %v", err)
		}
		n.Close()
	})
	<-following // what it tells when it has subscribed and read
	return n
}

// capture is what passes a link.
type capture struct {
	t      *testing.T
	conn   *packet.Conn
	frames chan captured
}

type captured struct {
	at time.Time
	b  []byte
}

// watch captures on a link of a host until the test ends. On the bridge of a LAN it sees all that goes to everybody.
func watch(t *testing.T, h *netlab.Host, ifname string) *capture {
	t.Helper()
	c := &capture{t: t, frames: make(chan captured, 100000)}
	err := h.Do(func() error {
		ifi, err := net.InterfaceByName(ifname)
		if err != nil {
			return err
		}
		c.conn, err = packet.Listen(ifi, packet.Raw, unix.ETH_P_ALL, nil)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			b := make([]byte, 2048)
			n, _, err := c.conn.ReadFrom(b)
			if err != nil {
				return
			}
			c.frames <- captured{time.Now(), b[:n]}
		}
	}()
	t.Cleanup(func() {
		_ = c.conn.Close()
		<-ended
	})
	return c
}

// next returns the next frame that fits, within 5 s.
func (c *capture) next(what string, fits func(b []byte) bool) captured {
	c.t.Helper()
	deadline := time.After(15 * time.Second)
	for {
		select {
		case f := <-c.frames:
			if fits(f.b) {
				return f
			}
		case <-deadline:
			c.t.Fatalf("no %s on the wire", what)
		}
	}
}

// drop forgets what was captured so far.
func (c *capture) drop() {
	for len(c.frames) > 0 {
		<-c.frames
	}
}

func isARP(b []byte) bool { return b[12] == 0x08 && b[13] == 0x06 }

func isVRRP(b []byte) bool { return b[12] == 0x08 && b[13] == 0x00 && b[14+9] == 112 }

// isAdvert fits adverts of one router and priority.
func isAdvert(from netip.Addr, priority uint8) func(b []byte) bool {
	return func(b []byte) bool {
		if !isVRRP(b) {
			return false
		}
		f := readIP(b[14:])
		a, err := Parse(f.payload, f.header)
		return err == nil && f.header.Src == from && a.Priority == priority
	}
}

// looks compares bytes with hex digits, of which dots fit anything.
func looks(b []byte, pattern string) bool {
	pattern = strings.Join(strings.Fields(pattern), "")
	got := hex.EncodeToString(b)
	if len(got) != len(pattern) {
		return false
	}
	for i := range got {
		if pattern[i] != '.' && pattern[i] != got[i] {
			return false
		}
	}
	return true
}

// poll waits for something that takes a moment.
func poll(t *testing.T, timeout time.Duration, what string, ok func() bool) {
	t.Helper()
	err := netlab.Poll(timeout, func() error {
		if !ok() {
			return errors.New("not so")
		}
		return nil
	})
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

func holds(t *testing.T, h *netlab.Host, a netip.Addr) bool {
	t.Helper()
	there, err := h.Holds(a)
	if err != nil {
		t.Fatal(err)
	}
	return there
}
