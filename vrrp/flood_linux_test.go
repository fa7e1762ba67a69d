// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/holdfast-lb/holdfast/internal/netlab"
)

const floodRate = 30000 // packets a second

// flood sends a frame to one host for a time, floodRate times a second, and returns how many were sent.
func flood(t *testing.T, h *netlab.Host, frame []byte, d time.Duration) (sent int) {
	t.Helper()
	err := h.Do(func() error {
		ifi, err := net.InterfaceByName("eth0")
		if err != nil {
			return err
		}
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		to := &unix.SockaddrLinklayer{Ifindex: ifi.Index, Halen: 6}
		for start := time.Now(); time.Since(start) < d; time.Sleep(time.Millisecond) {
			for due := int(time.Since(start).Seconds() * floodRate); sent < due; sent++ {
				if err := unix.Sendto(fd, frame, 0, to); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return sent
}

// A flood of refused packets silences neither a master, nor does it hide a master from a backup.
func TestFloodOfRefusedPackets(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	lab := netlab.Test(t)
	lan := lab.LAN("lan")
	pa := lab.Host("a").Join(lan, "eth0", prefix("192.0.2.10/24"))
	pb := lab.Host("b").Join(lan, "eth0", prefix("192.0.2.11/24"))
	stranger := lab.Host("x").Join(lan, "eth0", prefix("192.0.2.12/24"))
	a := startRouter(t, pa.Host, quick(200))
	a.becomes(Master)
	b := startRouter(t, pb.Host, quick(150))
	b.becomes(Backup)
	wire := watch(t, stranger.Host, "eth0")
	for _, target := range []struct {
		name string
		port *netlab.Port
		p    *process
	}{{"master", pa, a}, {"backup", pb, b}} {
		before := target.p.status()
		// A higher router's advert but for its type, to this host alone, so that nobody else has the work.
		advert := damaged(from(config(), addr("192.0.2.12")), func(p []byte) []byte { p[0]++; return p }).b
		frame := appendFrame(nil, stranger.MAC, addr("192.0.2.12"), groupIPv4, advert)
		copy(frame, target.port.MAC)
		wire.drop()
		const lasts = 2 * time.Second
		sent := flood(t, stranger.Host, frame, lasts)
		n, gap := adverts(wire, own, 200)
		after := target.p.status()
		refused := after.Refused[RefusedType] - before.Refused[RefusedType]
		t.Logf("flood of the %s: %d packets in %v, %d refused; %d adverts of the master, of %d, the longest pause %v",
			target.name, sent, lasts, refused, n, lasts/(100*ms), gap.Round(ms))
		if refused < uint64(sent)/10 {
			t.Errorf("the flood did not arrive: %d of %d", refused, sent)
		}
		if want := int(lasts / (100 * ms) * 3 / 4); n < want {
			t.Errorf("%d adverts, want %d at least", n, want)
		}
		if after.State != before.State || !after.Since.Equal(before.Since) {
			t.Errorf("the %s became %v: %s", target.name, after.State, after.Reason)
		}
	}
}

// adverts counts those captured so far, and tells the longest time between two.
func adverts(wire *capture, from netip.Addr, priority uint8) (n int, gap time.Duration) {
	var last time.Time
	for len(wire.frames) > 0 {
		f := <-wire.frames
		if !isAdvert(from, priority)(f.b) {
			continue
		}
		if n++; n > 1 {
			gap = max(gap, f.at.Sub(last))
		}
		last = f.at
	}
	return n, gap
}
