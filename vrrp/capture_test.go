// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
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

// TestCapture holds every frame of another project's capture against what `tcpdump -nvvr` prints of it, which is in
// vrrp.txt, one line a frame from the source address on.
func TestCapture(t *testing.T) {
	lines := strings.Split(strings.TrimSpace(readFile(t, "vrrp.txt")), "\n")
	frames := readCapture(t, "vrrp.pcap")
	if len(frames) != 165 || len(lines) != 165 {
		t.Fatalf("got %d frames and %d lines, want 165", len(frames), len(lines))
	}
	for n, f := range frames {
		if got := describe(f); got != lines[n] {
			t.Errorf("frame %d:\ngot  %s\nwant %s", n+1, got, lines[n])
		}
	}
}

// describe writes a frame as tcpdump does.
func describe(f frame) string {
	a, err := Parse(f.payload, f.header)
	if err != nil {
		return err.Error()
	}
	if want := map[uint8]Checksum{2: Plain, 3: Pseudo}[a.Version]; f.header.TTL != 255 || a.Checksum != want {
		return fmt.Sprintf("ttl %d, checksum %v", f.header.TTL, a.Checksum)
	}
	auth, password, interval := "", "", fmt.Sprintf("%dcs", a.Interval/(10*time.Millisecond))
	if a.Version == 2 {
		auth, interval = "authtype none, ", fmt.Sprintf("%ds", a.Interval/time.Second)
	}
	if a.Auth.Type == authSimple {
		auth, password = "authtype simple, ", fmt.Sprintf(" auth %q", bytes.TrimRight(a.Auth.Data[:], "\x00"))
	}
	var list []string
	for _, addr := range a.Addresses {
		list = append(list, addr.String())
	}
	count := fmt.Sprintf("(%d)", len(list))
	if len(list) == 1 {
		count = ""
	}
	return fmt.Sprintf("%v > %v: VRRPv%d, Advertisement, vrid %d, prio %d, %sintvl %s, length %d, addrs%s: %s%s",
		f.header.Src, f.header.Dst, a.Version, a.ID, a.Priority, auth, interval, len(f.payload), count,
		strings.Join(list, ","), password)
}

// TestHostileCaptures decodes the files that once made tcpdump read out of bounds. Their packets are cut by the capture.
func TestHostileCaptures(t *testing.T) {
	files := map[string]map[Refusal]int{
		"vrrp-vrrp_print-oobr.pcap":   {RefusedLength: 3},
		"vrrp-vrrp_print-oobr-2.pcap": {RefusedLength: 7, RefusedCount: 2, RefusedVersion: 1},
	}
	for name, want := range files {
		got := make(map[Refusal]int)
		for n, f := range readCapture(t, name) {
			_, err := Parse(f.payload, f.header)
			reason, ok := errors.AsType[Refusal](err)
			if !ok {
				t.Errorf("%s frame %d: got error %v, want a refusal", name, n+1, err)
			}
			got[reason]++
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
	}
}

// TestTcpdumpReadsUs has tcpdump, which knows the checksums, print every packet of the table as we write it.
func TestTcpdumpReadsUs(t *testing.T) {
	if _, err := exec.LookPath("tcpdump"); err != nil {
		if os.Getenv("REQUIRE_KERNEL") != "" {
			t.Fatal("needs tcpdump, and REQUIRE_KERNEL forbids to skip")
		}
		t.Skip("needs tcpdump: apt-get install tcpdump")
	}
	b := unhex(t, "a1b2c3d4 0002 0004 00000000 00000000 00010000 00000001")
	var want []string
	for _, p := range packets {
		src, dst := addr(p.src), addr(p.dst)
		if p.advert.Version == 3 && p.advert.Checksum == Plain || p.advert.Auth.Type == authAH { // it knows one reading only
			continue
		}
		payload := p.advert.Append(nil, src, dst)
		ethernet := appendFrame(nil, VirtualMAC(p.advert.ID, src.Is6()), src, dst, payload)
		b = append(b, 0, 0, 0, 0, 0, 0, 0, 0)
		b = binary.BigEndian.AppendUint32(b, uint32(len(ethernet)))
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(ethernet))), ethernet...)
		want = append(want, describe(frame{Header{src, dst, 255}, payload}))
	}
	name := filepath.Join(t.TempDir(), "ours.pcap")
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "tcpdump", "-tnvvr", name).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if len(want) < 8 || strings.Contains(string(out), "bad") {
		t.Errorf("tcpdump of %d adverts prints\n%s", len(want), out)
	}
	for _, line := range want {
		if !strings.Contains(string(out), line) {
			t.Errorf("tcpdump does not print\n%s\nbut\n%s", line, out)
		}
	}
}
