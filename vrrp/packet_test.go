// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

func addrs(list ...string) []netip.Addr {
	var all []netip.Addr
	for _, s := range list {
		all = append(all, addr(s))
	}
	return all
}

// unhex reads bytes that were grouped for the eye.
func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The columns of the bytes are the fields of RFC 9568 section 5.2: version and type, id, priority, address count,
// reserved bits and interval, checksum, addresses. The checksums were computed by another program.
var packets = []struct {
	name     string
	src, dst string
	bytes    string
	advert   Advert
}{
	{
		"with pseudo-header", "192.0.2.1", "224.0.0.18",
		"31 33 64 01  0064 0572  c0000264",
		Advert{51, 100, time.Second, addrs("192.0.2.100"), Pseudo},
	},
	{
		"message alone", "192.0.2.1", "224.0.0.18",
		"31 33 64 01  0064 a802  c0000264",
		Advert{51, 100, time.Second, addrs("192.0.2.100"), Plain},
	},
	{
		"unicast with pseudo-header", "192.0.2.1", "192.0.2.2",
		"31 33 64 01  0064 2382  c0000264",
		Advert{51, 100, time.Second, addrs("192.0.2.100"), Pseudo},
	},
	{
		"unicast, message alone", "192.0.2.1", "192.0.2.2",
		"31 33 64 01  0064 a802  c0000264",
		Advert{51, 100, time.Second, addrs("192.0.2.100"), Plain},
	},
	{
		"longest interval, resigning, two addresses", "192.0.2.1", "224.0.0.18",
		"31 ff 00 02  0fff 2ecb  c0000264 c6336407",
		Advert{255, 0, 40950 * time.Millisecond, addrs("192.0.2.100", "198.51.100.7"), Pseudo},
	},
	{
		"shortest interval, owner", "192.0.2.1", "224.0.0.18",
		"31 01 ff 02  0001 e35a  c0000264 c6336407",
		Advert{1, 255, 10 * time.Millisecond, addrs("192.0.2.100", "198.51.100.7"), Plain},
	},
	{
		"IPv6", "fe80::1", "ff02::12",
		"31 09 c8 02  0064 da26  fe800000000000000000000000000100 20010db8000000000000000000000100",
		Advert{9, 200, time.Second, addrs("fe80::100", "2001:db8::100"), Pseudo},
	},
}

func TestPackets(t *testing.T) {
	for _, p := range packets {
		t.Run(p.name, func(t *testing.T) {
			b := unhex(t, p.bytes)
			got, err := Parse(b, Header{Src: addr(p.src), Dst: addr(p.dst), TTL: 255})
			if err != nil || !reflect.DeepEqual(got, p.advert) {
				t.Errorf("parse: got %+v, %v; want %+v", got, err, p.advert)
			}
			before := []byte("what was there")
			if out := p.advert.Append(before, addr(p.src), addr(p.dst)); !bytes.Equal(out, append(before, b...)) {
				t.Errorf("append: got %x, want %x", out[len(before):], b)
			}
		})
	}
}

// keepalived before 1.3.7 computed the checksum of a unicast advert with the multicast group as its destination.
func TestParseOldUnicastChecksum(t *testing.T) {
	b := unhex(t, "31 33 64 01  0064 0572  c0000264")
	a, err := Parse(b, Header{Src: addr("192.0.2.1"), Dst: addr("192.0.2.2")})
	if err != nil || a.Checksum != Pseudo || a.Priority != 100 {
		t.Errorf("got %+v, %v", a, err)
	}
}

func TestParseIgnoresReservedBits(t *testing.T) { // RFC 9568 section 5.2.6
	b := unhex(t, "31 33 64 01  f064 b801  c0000264")
	a, err := Parse(b, Header{Src: addr("192.0.2.1"), Dst: groupIPv4})
	if err != nil || a.Interval != time.Second {
		t.Errorf("got %+v, %v", a, err)
	}
}

func TestParseKeepsNothingOfItsInput(t *testing.T) {
	b := unhex(t, packets[0].bytes)
	a, err := Parse(b, Header{Src: addr("192.0.2.1"), Dst: groupIPv4})
	clear(b)
	if err != nil || a.Addresses[0] != addr("192.0.2.100") {
		t.Errorf("got %+v, %v", a, err)
	}
}

func TestParseRefuses(t *testing.T) {
	const v4, v6 = "192.0.2.1", "fe80::1"
	tests := []struct {
		name  string
		src   string
		bytes string
		want  Refusal
	}{
		{"nothing", v4, "", RefusedLength},
		{"short header", v4, "31 33 64 01  0064 05", RefusedLength},
		{"address missing", v4, "31 33 64 01  0064 c467", RefusedLength},
		{"address cut", v4, "31 33 64 01  0064 0572  c00002", RefusedLength},
		{"longer than its count", v4, "31 33 64 01  0064 0572  c0000264 00", RefusedLength},
		{"one address announced, two there", v4, "31 01 ff 01  0001 e35b  c0000264 c6336407", RefusedLength},
		{"IPv4 advert over IPv6", v6, "31 33 64 01  0064 0572  c0000264", RefusedLength},
		{"version 2", v4, "21 33 64 01  0001 b865  c0000264 00000000 00000000", RefusedVersion},
		{"version 4", v4, "41 33 64 01  0064 9802  c0000264", RefusedVersion},
		{"version 0", v4, "01 33 64 01  0064 d802  c0000264", RefusedVersion},
		{"type 2", v4, "32 33 64 01  0064 a702  c0000264", RefusedType},
		{"type 0", v4, "30 33 64 01  0064 a902  c0000264", RefusedType},
		{"no addresses", v4, "31 33 64 00  0064 6a68", RefusedCount}, // 5.2.5
		{"interval 0", v4, "31 33 64 01  0000 a866  c0000264", RefusedInterval},
		{"interval 0 beside reserved bits", v4, "31 33 64 01  f000 b865  c0000264", RefusedInterval},
		{"checksum", v4, "31 33 64 01  0064 0573  c0000264", RefusedChecksum},
		{"a bit of the address", v4, "31 33 64 01  0064 0572  c0000265", RefusedChecksum},
		{"IPv6 without pseudo-header", v6, "31 09 c8 01  0064 e79f  fe800000000000000000000000000100", RefusedChecksum},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := Header{Src: addr(tt.src), Dst: groupIPv4, TTL: 255}
			if h.Src.Is6() {
				h.Dst = groupIPv6
			}
			a, err := Parse(unhex(t, tt.bytes), h)
			if err != tt.want || !reflect.DeepEqual(a, Advert{}) {
				t.Errorf("got %+v, %v; want %v", a, err, tt.want)
			}
		})
	}
}

func TestRefusalsAreAll(t *testing.T) {
	if n := len(Refusals); n != 11 || len(slices.Compact(slices.Sorted(slices.Values(Refusals)))) != n {
		t.Errorf("got %v", Refusals)
	}
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
		got := describe(f)
		if strings.Contains(lines[n], "VRRPv2") {
			lines[n] = "advert refused: version"
		}
		if got != lines[n] {
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
	if f.header.TTL != 255 || a.Checksum != Pseudo {
		return fmt.Sprintf("ttl %d, checksum %v", f.header.TTL, a.Checksum)
	}
	var list []string
	for _, addr := range a.Addresses {
		list = append(list, addr.String())
	}
	count := fmt.Sprintf("(%d)", len(list))
	if len(list) == 1 {
		count = ""
	}
	return fmt.Sprintf("%v > %v: VRRPv3, Advertisement, vrid %d, prio %d, intvl %dcs, length %d, addrs%s: %s",
		f.header.Src, f.header.Dst, a.ID, a.Priority, a.Interval/(10*time.Millisecond), len(f.payload), count,
		strings.Join(list, ","))
}

// TestHostileCaptures decodes the files that once made tcpdump read out of bounds. Their packets are cut by the capture.
func TestHostileCaptures(t *testing.T) {
	files := map[string]map[Refusal]int{
		"vrrp-vrrp_print-oobr.pcap":   {RefusedLength: 1, RefusedVersion: 2},
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

func FuzzParse(f *testing.F) {
	for _, p := range packets {
		f.Add(unhex(f, p.bytes), addr(p.src).AsSlice(), addr(p.dst).AsSlice())
	}
	for _, name := range []string{"vrrp.pcap", "vrrp-vrrp_print-oobr.pcap", "vrrp-vrrp_print-oobr-2.pcap"} {
		for _, c := range readCapture(f, name) {
			f.Add(c.payload, c.header.Src.AsSlice(), c.header.Dst.AsSlice())
		}
	}
	f.Fuzz(func(t *testing.T, b, source, destination []byte) {
		src, _ := netip.AddrFromSlice(source)
		dst, _ := netip.AddrFromSlice(destination)
		a, err := Parse(b, Header{Src: src, Dst: dst})
		if err != nil {
			if reason, ok := errors.AsType[Refusal](err); !ok || !slices.Contains(Refusals, reason) {
				t.Fatalf("error %v is no known refusal", err)
			}
			return
		}
		out := a.Append(nil, src, dst)
		again, err := Parse(out, Header{Src: src, Dst: dst})
		if err != nil || !reflect.DeepEqual(again, a) {
			t.Fatalf("%+v comes back as %+v, %v", a, again, err)
		}
		// Two things in an advert need not be as we write them: the reserved bits, and the checksum's form.
		same := slices.Clone(b)
		same[4] &= 0x0f
		copy(same[6:8], out[6:8])
		if !bytes.Equal(out, same) {
			t.Fatalf("%x comes back as %x", b, out)
		}
	})
}
