// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"encoding/binary"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
)

// frame is one captured VRRP packet.
type frame struct {
	header  Header
	payload []byte
}

func readFile(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// readCapture reads a pcap file of VRRP packets on Ethernet or Frame Relay.
func readCapture(t testing.TB, name string) []frame {
	t.Helper()
	b := []byte(readFile(t, name))
	var order binary.ByteOrder = binary.LittleEndian
	if b[0] == 0xa1 {
		order = binary.BigEndian
	}
	link := map[uint32]int{1: 14, 107: 5}[order.Uint32(b[20:])] // the length of its header
	if link == 0 {
		t.Fatalf("%s: unknown link type", name)
	}
	var frames []frame
	for b = b[24:]; len(b) > 0; {
		n := order.Uint32(b[8:])
		frames = append(frames, readIP(b[16+link:16+n]))
		b = b[16+n:]
	}
	return frames
}

// readIP takes the lengths from the IP header: a short frame was padded on its way.
func readIP(p []byte) frame {
	if p[0]>>4 == 6 {
		src, dst := netip.AddrFrom16([16]byte(p[8:24])), netip.AddrFrom16([16]byte(p[24:40]))
		return frame{Header{src, dst, p[7]}, p[40 : 40+binary.BigEndian.Uint16(p[4:])]}
	}
	src, dst := netip.AddrFrom4([4]byte(p[12:16])), netip.AddrFrom4([4]byte(p[16:20]))
	end := min(int(binary.BigEndian.Uint16(p[2:])), len(p)) // a capture may have cut it
	start := min(int(p[0]&0xf)*4, end)
	return frame{Header{src, dst, p[8]}, p[start:end]}
}
