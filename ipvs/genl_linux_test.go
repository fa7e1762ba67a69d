// SPDX-License-Identifier: Apache-2.0

package ipvs

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mdlayher/genetlink"
	"github.com/mdlayher/genetlink/genltest"
	"github.com/mdlayher/netlink"
)

// attr returns one netlink attribute in the byte order of the machine.
func attr(code uint16, value ...byte) []byte {
	b := binary.NativeEndian.AppendUint16(nil, uint16(4+len(value)))
	b = binary.NativeEndian.AppendUint16(b, code)
	b = append(b, value...)
	return append(b, make([]byte, -len(b)&3)...)
}

func attrs(list ...[]byte) []byte { return slices.Concat(list...) }

func u16(v uint16) []byte { return binary.NativeEndian.AppendUint16(nil, v) }
func u32(v uint32) []byte { return binary.NativeEndian.AppendUint32(nil, v) }
func u64(v uint64) []byte { return binary.NativeEndian.AppendUint64(nil, v) }

func stats64(code uint16, first uint64) []byte {
	var list []byte
	for i := range uint16(10) {
		list = append(list, attr(i+1, u64(first+uint64(i))...)...)
	}
	return attr(code, list...)
}

// The attributes of 10.9.0.1:80/tcp and 10.9.1.1:8080 as Linux 6.1 sends them, addresses in 16 bytes.
func serviceAttrs() [][]byte {
	address := append([]byte{10, 9, 0, 1}, make([]byte, 12)...)
	return [][]byte{
		attr(1, u16(syscall.AF_INET)...), attr(2, u16(6)...), attr(3, address...), attr(4, 0, 80),
		attr(6, []byte("wlc\x00")...), attr(7, append(u32(0x1a), u32(0xffffffff)...)...),
		attr(8, u32(0)...), attr(9, u32(0xffffffff)...), attr(10), stats64(12, 1<<40),
	}
}

func destinationAttrs() [][]byte {
	address := append([]byte{10, 9, 1, 1}, make([]byte, 12)...)
	return [][]byte{
		attr(1, address...), attr(2, 0x1f, 0x90), attr(3, u32(3)...), attr(4, u32(65536)...),
		attr(5, u32(0)...), attr(6, u32(0)...), attr(7, u32(5)...), attr(8, u32(6)...), attr(9, u32(0)...),
		attr(10), attr(11, u16(syscall.AF_INET)...), stats64(12, 7),
		attr(13, 0), attr(14, 0, 0), attr(15, 0, 0),
	}
}

var (
	wantKey         = Key{Address: netip.MustParseAddr("10.9.0.1"), Port: 80, Protocol: TCP}
	wantDestination = Destination{Address: netip.MustParseAddrPort("10.9.1.1:8080"), Forward: DR, Weight: 65536}
)

// serve answers as a kernel with one service, and one by mark, of one destination each.
func serve(t *testing.T) reader {
	t.Helper()
	mark := attrs(attr(1, u16(syscall.AF_INET6)...), attr(5, u32(7)...), attr(6, []byte("rr\x00")...),
		attr(7, append(u32(3), u32(0)...)...), attr(8, u32(300)...), attr(9, u32(64)...), attr(11, []byte("sip\x00")...), stats64(12, 0))
	conn := genltest.Dial(func(req genetlink.Message, _ netlink.Message) ([]genetlink.Message, error) {
		switch req.Header.Command {
		case cmdGetService:
			return []genetlink.Message{
				{Data: attr(cmdAttrService, attrs(serviceAttrs()...)...)},
				{Data: attr(cmdAttrService, mark...)},
			}, nil
		case cmdGetDestination:
			got := hex.EncodeToString(req.Data)
			if strings.HasSuffix(got, "08000500"+"07000000") {
				return nil, io.EOF
			}
			if !strings.HasSuffix(got, "08000300"+"0a090001"+"06000400"+"00500000") {
				t.Errorf("got request %s, want one for 10.9.0.1:80", got)
			}
			return []genetlink.Message{{Data: attr(cmdAttrDestination, attrs(destinationAttrs()...)...)}}, nil
		case cmdGetTimeouts:
			return []genetlink.Message{{Data: attrs(attr(4, u32(900)...), attr(5, u32(120)...), attr(6, u32(300)...))}}, nil
		case cmdGetSync:
			return []genetlink.Message{{Data: attr(cmdAttrDaemon, attrs(daemonAttrs()...)...)}}, nil
		case cmdGetInfo:
			return []genetlink.Message{{Data: attrs(attr(1, u32(0x010201)...), attr(2, u32(4096)...))}}, nil
		}
		return nil, genltest.Error(int(syscall.EOPNOTSUPP))
	})
	t.Cleanup(func() { conn.Close() })
	return reader{conn, genetlink.Family{ID: 30, Version: 1}}
}

func TestReadTable(t *testing.T) {
	r := serve(t)
	services, err := r.list()
	if err != nil {
		t.Fatal(err)
	}
	stats, err := r.stats()
	if err != nil {
		t.Fatal(err)
	}
	want := Service{Key: wantKey, Settings: Settings{Scheduler: "wlc", Flags: SchedFallback | SchedPort}, Destinations: []Destination{wantDestination}}
	mark := Service{Key: MarkKey(7, true), Settings: Settings{Scheduler: "rr", Persistence: Persistence{5 * time.Minute, 64, "sip"}}}
	if len(services) != 2 || !services[0].Equal(mark) || !services[1].Equal(want) {
		t.Errorf("got %+v, want %+v and %+v", services, mark, want)
	}
	if len(stats) != 2 || stats[1].Key != wantKey || stats[1].Counters != (Counters{1 << 40, 1<<40 + 1, 1<<40 + 2, 1<<40 + 3, 1<<40 + 4}) {
		t.Fatalf("got %+v, want the counters of %s", stats, wantKey)
	}
	wantStats := DestinationStats{Address: wantDestination.Address, Active: 5, Inactive: 6, Persistent: 0, Counters: Counters{7, 8, 9, 10, 11}}
	if got := stats[1].Destinations; len(got) != 1 || got[0] != wantStats {
		t.Errorf("got %+v, want %+v", got, wantStats)
	}
}

func TestReadInfo(t *testing.T) {
	if info, err := serve(t).info(); err != nil || info != (Info{"1.2.1", 4096}) {
		t.Errorf("got %+v, %v, want version 1.2.1 and size 4096", info, err)
	}
}

func TestReadTimeoutsAndDaemons(t *testing.T) {
	if got, err := serve(t).timeouts(); err != nil || got != (Timeouts{15 * time.Minute, 2 * time.Minute, 5 * time.Minute}) {
		t.Errorf("got %+v, %v, want 15m, 2m, 5m", got, err)
	}
	if got, err := serve(t).syncDaemons(); err != nil || len(got) != 1 || got[0].Role != SyncBackup {
		t.Errorf("got %+v, %v, want one daemon", got, err)
	}
}

func TestReadEmptyTable(t *testing.T) {
	conn := genltest.Dial(func(genetlink.Message, netlink.Message) ([]genetlink.Message, error) { return nil, io.EOF })
	defer conn.Close()
	if services, err := (reader{conn: conn}).list(); err != nil || len(services) != 0 {
		t.Errorf("got %v, %v, want nothing", services, err)
	}
}

func TestReadKeepsErrno(t *testing.T) {
	conn := genltest.Dial(func(genetlink.Message, netlink.Message) ([]genetlink.Message, error) {
		return nil, genltest.Error(int(syscall.EPERM))
	})
	defer conn.Close()
	_, err := (reader{conn: conn}).info()
	if !errors.Is(err, os.ErrPermission) || !strings.Contains(explain(Op{}, err).Error(), "CAP_NET_ADMIN") {
		t.Errorf("got %v, want EPERM, explained", err)
	}
}

// TestDecodeMissing leaves out one attribute after the other. To be read, those named by their index must be there.
func TestDecodeMissing(t *testing.T) {
	for _, tt := range []struct {
		name   string
		attrs  [][]byte
		decode func([]byte) error
		want   map[int]string
	}{
		{"service", serviceAttrs(), func(b []byte) error { _, err := decodeService(b); return err }, map[int]string{
			0: "service address family", 1: "service protocol", 2: "service address", 3: "service port",
			4: "service scheduler", 5: "service flags", 6: "service persistence timeout",
		}},
		{"service statistics", serviceAttrs(), func(b []byte) error { _, err := decodeServiceStats(b); return err }, map[int]string{
			0: "service address family", 1: "service protocol", 2: "service address", 3: "service port",
			9: "service 64-bit statistics",
		}},
		{"destination", destinationAttrs(), func(b []byte) error { _, err := decodeDestination(b); return err }, map[int]string{
			0: "destination address", 1: "destination port", 2: "destination forwarding method", 3: "destination weight",
			4: "destination upper threshold", 5: "destination lower threshold", 10: "destination address family",
		}},
		{"destination statistics", destinationAttrs(), func(b []byte) error { _, err := decodeDestinationStats(b); return err }, map[int]string{
			0: "destination address", 1: "destination port", 6: "destination active connections",
			7: "destination inactive connections", 8: "destination persistent connections", 10: "destination address family",
			11: "destination 64-bit statistics",
		}},
		{"sync daemon", daemonAttrs(), func(b []byte) error { _, err := decodeSyncDaemon(b); return err }, map[int]string{
			0: "sync daemon state", 1: "sync daemon interface", 2: "sync daemon id", 4: "sync daemon group",
			5: "sync daemon port", 6: "sync daemon ttl",
		}},
	} {
		for i := range tt.attrs {
			rest := slices.Delete(slices.Clone(tt.attrs), i, i+1)
			err := tt.decode(attrs(rest...))
			want, needed := tt.want[i]
			if needed && (err == nil || err.Error() != "attribute "+want+": missing") || !needed && err != nil {
				t.Errorf("%s without attribute %d: got %v, want %q missing", tt.name, i, err, want)
			}
		}
	}
}

func daemonAttrs() [][]byte {
	return [][]byte{
		attr(1, u32(2)...), attr(2, []byte("eth0\x00")...), attr(3, u32(51)...), attr(4, u16(1472)...),
		attr(5, 224, 0, 0, 81), attr(7, u16(8848)...), attr(8, 1),
	}
}

func TestDecodeSyncDaemon(t *testing.T) {
	want := SyncDaemon{Role: SyncBackup, Interface: "eth0", ID: 51, Group: netip.MustParseAddr("224.0.0.81"), Port: 8848, TTL: 1}
	if d, err := decodeSyncDaemon(attrs(daemonAttrs()...)); err != nil || d != want {
		t.Errorf("got %+v, %v, want %+v", d, err, want)
	}
	list := daemonAttrs()
	want.Group = netip.MustParseAddr("ff05::81")
	list[4] = attr(6, want.Group.AsSlice()...)
	if d, err := decodeSyncDaemon(attrs(list...)); err != nil || d != want {
		t.Errorf("got %+v, %v, want %+v", d, err, want)
	}
}

// What the kernel keeps but does not look at must not show, or it would be drift for ever.
func TestDecodeIsCanonical(t *testing.T) {
	with := func(list [][]byte, changes map[int][]byte) []byte {
		list = slices.Clone(list)
		for i, b := range changes {
			list[i] = b
		}
		return attrs(list...)
	}
	persistent := attr(7, append(u32(3), u32(0)...)...)
	for _, tt := range []struct {
		name    string
		changes map[int][]byte
		want    Settings
	}{
		{"timeout without the flag", map[int][]byte{6: attr(8, u32(300)...), 7: attr(9, 255, 255, 255, 0)}, Settings{Scheduler: "wlc", Flags: SchedFallback | SchedPort}},
		{"persistent", map[int][]byte{5: persistent, 6: attr(8, u32(300)...), 7: attr(9, 255, 255, 255, 0)}, Settings{"wlc", 0, Persistence{5 * time.Minute, 24, ""}}},
		{"all clients are one", map[int][]byte{5: persistent, 6: attr(8, u32(300)...), 7: attr(9, 0, 0, 0, 0)}, Settings{"wlc", 0, Persistence{5 * time.Minute, 0, ""}}},
		{"mask with a hole", map[int][]byte{5: persistent, 6: attr(8, u32(300)...), 7: attr(9, 255, 0, 255, 0)}, Settings{"wlc", 0, Persistence{5 * time.Minute, oddMask, ""}}},
		{"persistent for no time", map[int][]byte{5: persistent}, Settings{"wlc", 1, Persistence{}}},
		{"engine alone", map[int][]byte{5: attr(7, append(u32(2), u32(0)...)...), 8: attr(11, []byte("sip\x00")...)}, Settings{"wlc", 0, Persistence{Engine: "sip"}}},
	} {
		if s, err := decodeService(with(serviceAttrs(), tt.changes)); err != nil || s.Settings != tt.want {
			t.Errorf("%s: got %+v, %v, want %+v", tt.name, s.Settings, err, tt.want)
		}
	}
	port, both := attr(14, 0x17, 0xc0), attr(15, u16(3)...)
	tunnel := attr(3, u32(2)...)
	for _, tt := range []struct {
		name    string
		changes map[int][]byte
		want    Encapsulation
	}{
		{"not a tunnel", map[int][]byte{12: attr(13, 1), 13: port, 14: both}, Encapsulation{}},
		{"ipip has neither port nor checksum", map[int][]byte{2: tunnel, 13: port, 14: both}, Encapsulation{Type: IPIP}},
		{"old kernel", map[int][]byte{2: tunnel, 12: nil, 13: nil, 14: nil}, Encapsulation{Type: IPIP}},
		{"gue", map[int][]byte{2: tunnel, 12: attr(13, 1), 13: port, 14: attr(15, u16(2)...)}, Encapsulation{GUE, 6080, RemoteChecksum}},
		{"gre has no port", map[int][]byte{2: tunnel, 12: attr(13, 2), 13: port, 14: attr(15, u16(1)...)}, Encapsulation{GRE, 0, FullChecksum}},
		{"a type of tomorrow", map[int][]byte{2: tunnel, 12: attr(13, 9)}, Encapsulation{}},
	} {
		if d, err := decodeDestination(with(destinationAttrs(), tt.changes)); err != nil || d.Encapsulation != tt.want {
			t.Errorf("%s: got %+v, %v, want %+v", tt.name, d.Encapsulation, err, tt.want)
		}
	}
}

func TestDecodeMalformed(t *testing.T) {
	for _, tt := range []struct {
		name string
		in   []byte
		want string
	}{
		{"short header", []byte{1, 2}, "2 bytes behind the last attribute"},
		{"length below header", attrs(u16(3), u16(1)), "attribute number 1: length 3, with 4 bytes left"},
		{"length above the rest", attrs(u16(9), u16(1), u32(0)), "attribute number 1: length 9, with 8 bytes left"},
		{"short family", attr(1, 2), "attribute service address family: got 1 bytes, want 2"},
		{"unknown family", attrs(attr(1, u16(1)...), attr(3, make([]byte, 16)...)), "attribute service address: got 16 bytes of address family 1"},
		{"short IPv6 address", attrs(attr(1, u16(syscall.AF_INET6)...), attr(3, 1, 2, 3, 4)), "attribute service address: got 4 bytes of address family 10"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := decodeService(tt.in); err == nil || err.Error() != tt.want {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestDecodeUnknown(t *testing.T) {
	list := destinationAttrs()
	list[2] = attr(3, u32(1)...) // IP_VS_CONN_F_LOCALNODE
	d, err := decodeDestination(attrs(append(list, attr(200, 1, 2, 3))...))
	want := wantDestination
	want.Forward = 0
	if err != nil || d != want {
		t.Errorf("got %+v, %v, want %+v", d, err, want)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(attrs(serviceAttrs()...))
	f.Add(attrs(destinationAttrs()...))
	f.Add(attrs(daemonAttrs()...))
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := decodeService(b); err == nil && !s.Address.IsValid() {
			t.Errorf("got a service without address: %+v", s)
		}
		if d, err := decodeDestination(b); err == nil && !d.Address.IsValid() {
			t.Errorf("got a destination without address: %+v", d)
		}
		_, _ = decodeServiceStats(b)
		_, _ = decodeDestinationStats(b)
		_, _ = decodeSyncDaemon(b)
	})
}
