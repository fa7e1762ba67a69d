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
		Advert{3, 51, 100, time.Second, addrs("192.0.2.100"), Pseudo, Auth{}},
	},
	{
		"message alone", "192.0.2.1", "224.0.0.18",
		"31 33 64 01  0064 a802  c0000264",
		Advert{3, 51, 100, time.Second, addrs("192.0.2.100"), Plain, Auth{}},
	},
	{
		"unicast with pseudo-header", "192.0.2.1", "192.0.2.2",
		"31 33 64 01  0064 2382  c0000264",
		Advert{3, 51, 100, time.Second, addrs("192.0.2.100"), Pseudo, Auth{}},
	},
	{
		"unicast, message alone", "192.0.2.1", "192.0.2.2",
		"31 33 64 01  0064 a802  c0000264",
		Advert{3, 51, 100, time.Second, addrs("192.0.2.100"), Plain, Auth{}},
	},
	{
		"longest interval, resigning, two addresses", "192.0.2.1", "224.0.0.18",
		"31 ff 00 02  0fff 2ecb  c0000264 c6336407",
		Advert{3, 255, 0, 40950 * time.Millisecond, addrs("192.0.2.100", "198.51.100.7"), Pseudo, Auth{}},
	},
	{
		"shortest interval, owner", "192.0.2.1", "224.0.0.18",
		"31 01 ff 02  0001 e35a  c0000264 c6336407",
		Advert{3, 1, 255, 10 * time.Millisecond, addrs("192.0.2.100", "198.51.100.7"), Plain, Auth{}},
	},
	{
		"IPv6", "fe80::1", "ff02::12",
		"31 09 c8 02  0064 da26  fe800000000000000000000000000100 20010db8000000000000000000000100",
		Advert{3, 9, 200, time.Second, addrs("fe80::100", "2001:db8::100"), Pseudo, Auth{}},
	},
	{
		"IPv6 unicast", "2001:db8::1", "2001:db8::2",
		"31 09 c8 01  0064 ab12  fe800000000000000000000000000100",
		Advert{3, 9, 200, time.Second, addrs("fe80::100"), Pseudo, Auth{}},
	},
	// Version 2: authentication type and interval in seconds instead, and eight bytes of authentication data.
	{
		"version 2", "192.0.2.1", "224.0.0.18",
		"21 33 64 01  00 01 b865  c0000264 00000000 00000000",
		Advert{2, 51, 100, time.Second, addrs("192.0.2.100"), Plain, Auth{}},
	},
	{
		"version 2 with a password", "192.0.2.1", "192.0.2.2",
		"21 33 c8 02  01 03 ecda  c0000264 c6336407 7365637265740000",
		Advert{2, 51, 200, 3 * time.Second, addrs("192.0.2.100", "198.51.100.7"), Plain, Password("secret")},
	},
	{
		"version 2, longest interval and password, resigning", "192.0.2.1", "224.0.0.18",
		"21 ff 00 01  01 ff 8806  c0000264 6162636465666768",
		Advert{2, 255, 0, 255 * time.Second, addrs("192.0.2.100"), Plain, Password("abcdefghij")},
	},
	{
		"version 2 with an authentication header", "192.0.2.1", "224.0.0.18",
		"21 33 64 01  02 01 b665  c0000264 00000000 00000000",
		Advert{2, 51, 100, time.Second, addrs("192.0.2.100"), Plain, Auth{Type: 2}},
	},
	// What the tests of others have.
	{
		"gopacket", "192.168.0.30", "224.0.0.18",
		"21 01 64 01  00 01 ba52  c0a80001 00000000 00000000",
		Advert{2, 1, 100, time.Second, addrs("192.168.0.1"), Plain, Auth{}},
	},
	{
		"holo", "192.168.100.1", "224.0.0.18",
		"21 33 65 01  00 01 54bd  c0a86464 00000000 00000000",
		Advert{2, 51, 101, time.Second, addrs("192.168.100.100"), Plain, Auth{}},
	},
	{
		"scapy", "20.0.0.3", "224.0.0.18",
		"31 02 fe 02  0001 b25e  14000102 14000103",
		Advert{3, 2, 254, 10 * time.Millisecond, addrs("20.0.1.2", "20.0.1.3"), Pseudo, Auth{}},
	},
	{
		"scapy over IPv6", "2001:db8::1", "ff02::12",
		"31 02 fe 02  0001 481b  20010db8000000000000000000000002 20010db8000000000000000000000003",
		Advert{3, 2, 254, 10 * time.Millisecond, addrs("2001:db8::2", "2001:db8::3"), Pseudo, Auth{}},
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

// trailer is what keepalived appends to a signed advert: type, key id, time, count, and 16 bytes of HMAC.
const trailer = "01 07 0000 6a1b2c3d 4e5f 0001 00112233445566778899aabbccddeeff"

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
		{"version 2 over IPv6", v6, "21 33 64 01  0001 b865  c0000264 00000000 00000000", RefusedVersion},
		{"version 2 without its last eight bytes", v4, "21 33 64 01  0001 b865  c0000264", RefusedLength},
		{"version 2, interval 0", v4, "21 33 64 01  0000 b866  c0000264 00000000 00000000", RefusedInterval},
		{"version 2 with pseudo-header", v4, "21 33 64 01  0001 15cd  c0000264 00000000 00000000", RefusedChecksum},
		{"version 2, a bit of the password", v4, "21 ff 00 01  01 ff 8806  c0000264 6162636465666769", RefusedChecksum},
		{"version 2, no addresses", v4, "21 33 64 00  0001 79ca  00000000 00000000", RefusedCount},
		{"signed", v4, "31 33 64 01  0064 0572  c0000264" + trailer, RefusedHMAC},
		{"version 2, signed", v4, "21 33 64 01  0001 b865  c0000264 00000000 00000000" + trailer, RefusedHMAC},
		{"signed, over IPv6", v6, "31 09 c8 01  0064 e79f  fe800000000000000000000000000100" + trailer, RefusedHMAC},
		{"signed, and longer", v4, "31 33 64 01  0064 0572  c0000264" + trailer + "00", RefusedLength},
		{"as long as if it was signed", v4, "31 33 64 01  0064 0572  c0000264" + strings.Repeat("0a", 28), RefusedLength},
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
	if n := len(Refusals); n != 13 || len(slices.Compact(slices.Sorted(slices.Values(Refusals)))) != n {
		t.Errorf("got %v", Refusals)
	}
}

// A refused packet leaves what was parsed before as it was; a good one takes its memory.
func TestParseTakesTheMemoryOfTheLast(t *testing.T) {
	h := Header{Src: addr("192.0.2.1"), Dst: groupIPv4}
	var a Advert
	if reason := a.parse(unhex(t, packets[4].bytes), h); reason != "" {
		t.Fatal(reason)
	}
	before := a.Addresses
	if reason := a.parse(unhex(t, "31 33 64 01  0064 0573  c0000264"), h); reason != RefusedChecksum || !reflect.DeepEqual(a, packets[4].advert) {
		t.Errorf("got %v, %+v", reason, a)
	}
	if reason := a.parse(unhex(t, packets[0].bytes), h); reason != "" || !reflect.DeepEqual(a, packets[0].advert) {
		t.Errorf("got %v, %+v", reason, a)
	}
	if &a.Addresses[0] != &before[0] {
		t.Error("the addresses were copied")
	}
}

func TestPasswordIsNotPrinted(t *testing.T) {
	a := Advert{Version: 2, Auth: Password("secret")}
	for _, format := range []string{"%v", "%+v", "%s"} {
		if s := fmt.Sprintf(format, a); strings.Contains(s, "secret") || strings.Contains(s, "115 101 99") {
			t.Errorf("%s prints %s", format, s)
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
		// Some of an advert need not be as we write it: the reserved bits, the data of no authentication, and the
		// checksum's form.
		same := slices.Clone(b)
		if a.Version == 3 {
			same[4] &= 0x0f
		}
		if a.Version == 2 && a.Auth.Type == 0 {
			clear(same[len(same)-8:])
		}
		copy(same[6:8], out[6:8])
		if !bytes.Equal(out, same) {
			t.Fatalf("%x comes back as %x", b, out)
		}
	})
}
