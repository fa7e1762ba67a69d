// SPDX-License-Identifier: Apache-2.0

package ipvs

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"

	"github.com/mdlayher/genetlink"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// The generic netlink interface of IPVS (include/uapi/linux/ip_vs.h).
const (
	familyName = "IPVS"

	cmdGetService     = 4
	cmdGetDestination = 8
	cmdGetInfo        = 15

	cmdAttrService     = 1
	cmdAttrDestination = 2

	flagHashed Flags = 0x0002 // set by the kernel on every service in its table
)

// attribute is a netlink attribute with the name that errors call it by.
type attribute struct {
	code uint16
	name string
}

var (
	svcFamily    = attribute{1, "service address family"}
	svcProtocol  = attribute{2, "service protocol"}
	svcAddress   = attribute{3, "service address"}
	svcPort      = attribute{4, "service port"}
	svcMark      = attribute{5, "service firewall mark"}
	svcScheduler = attribute{6, "service scheduler"}
	svcFlags     = attribute{7, "service flags"}
	svcStats     = attribute{12, "service 64-bit statistics"}

	destAddress  = attribute{1, "destination address"}
	destPort     = attribute{2, "destination port"}
	destForward  = attribute{3, "destination forwarding method"}
	destWeight   = attribute{4, "destination weight"}
	destActive   = attribute{7, "destination active connections"}
	destInactive = attribute{8, "destination inactive connections"}
	destFamily   = attribute{11, "destination address family"}
	destStats    = attribute{12, "destination 64-bit statistics"}

	statsConnections = attribute{1, "connections"}
	statsInPackets   = attribute{2, "incoming packets"}
	statsOutPackets  = attribute{3, "outgoing packets"}
	statsInBytes     = attribute{4, "incoming bytes"}
	statsOutBytes    = attribute{5, "outgoing bytes"}

	infoVersion = attribute{1, "version"}
	infoSize    = attribute{2, "connection table size"}
)

// forwards gives the forwarding methods their numbers (IP_VS_CONN_F_MASQ, TUNNEL, DROUTE).
var forwards = map[Forward]uint32{NAT: 0, Tunnel: 2, DR: 3}

// record is a service or a destination in a dump.
type record[T any] struct {
	value    T
	counters Counters
}

// reader reads the table over one connection.
type reader struct {
	conn   *genetlink.Conn
	family genetlink.Family
}

// table returns every service and what it counts. The second list leaves out the services by firewall mark.
func (r reader) table() ([]Service, []ServiceStats, error) {
	services, err := r.services()
	if err != nil {
		return nil, nil, err
	}
	list := make([]Service, 0, len(services))
	stats := make([]ServiceStats, 0, len(services))
	for _, s := range services {
		if s.value.Key == (Key{}) {
			list = append(list, s.value)
			continue
		}
		st := ServiceStats{Key: s.value.Key, Counters: s.counters}
		if s.value.Destinations, st.Destinations, err = r.destinations(s.value.Key); err != nil {
			return nil, nil, fmt.Errorf("service %s: %w", s.value.Key, err)
		}
		list, stats = append(list, s.value), append(stats, st)
	}
	return list, stats, nil
}

func (r reader) services() ([]record[Service], error) {
	list, err := dump(r, cmdGetService, cmdAttrService, nil, decodeService)
	slices.SortFunc(list, func(a, b record[Service]) int { return a.value.Key.Compare(b.value.Key) })
	return list, err
}

func (r reader) destinations(k Key) ([]Destination, []DestinationStats, error) {
	list, err := dump(r, cmdGetDestination, cmdAttrDestination, encodeKey(k), decodeDestination)
	slices.SortFunc(list, func(a, b destination) int { return compareDestinations(a.Destination, b.Destination) })
	settings, stats := make([]Destination, len(list)), make([]DestinationStats, len(list))
	for i, d := range list {
		settings[i], stats[i] = d.Destination, d.stats
	}
	return settings, stats, err
}

// Info is what the kernel's IPVS says about itself.
type Info struct {
	Version             string // 1.2.1 for more than ten years
	ConnectionTableSize uint32 // buckets of the hash table
}

func (r reader) info() (Info, error) {
	msgs, err := r.execute(cmdGetInfo, netlink.Request, nil)
	if err != nil {
		return Info{}, err
	}
	if len(msgs) != 1 {
		return Info{}, fmt.Errorf("got %d answers, want 1", len(msgs))
	}
	f := parse(msgs[0].Data)
	v := f.uint32(infoVersion)
	info := Info{
		Version:             fmt.Sprintf("%d.%d.%d", v>>16&0xff, v>>8&0xff, v&0xff),
		ConnectionTableSize: f.uint32(infoSize),
	}
	return info, f.err
}

func (r reader) execute(cmd uint8, flags netlink.HeaderFlags, request []byte) ([]genetlink.Message, error) {
	msg := genetlink.Message{Header: genetlink.Header{Command: cmd, Version: r.family.Version}, Data: request}
	return r.conn.Execute(msg, r.family.ID, flags)
}

// dump reads every object that the request is about; each comes in an attribute of the given type.
func dump[T any](r reader, cmd uint8, attr uint16, request []byte, decode func([]byte) (T, error)) ([]T, error) {
	msgs, err := r.execute(cmd, netlink.Request|netlink.Dump, request)
	if err != nil {
		return nil, err
	}
	list := make([]T, 0, len(msgs))
	for _, m := range msgs {
		f := parse(m.Data)
		body := f.bytes(attribute{attr, "object"})
		if f.err != nil {
			return nil, f.err
		}
		v, err := decode(body)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, nil
}

// encodeKey returns the request for the destinations of a service.
func encodeKey(k Key) []byte {
	family := uint16(unix.AF_INET6)
	if k.Address.Is4() {
		family = unix.AF_INET
	}
	e := netlink.NewAttributeEncoder()
	e.Nested(cmdAttrService, func(e *netlink.AttributeEncoder) error {
		e.Uint16(svcFamily.code, family)
		e.Uint16(svcProtocol.code, uint16(k.Protocol))
		e.Bytes(svcAddress.code, k.Address.AsSlice())
		e.Bytes(svcPort.code, binary.BigEndian.AppendUint16(nil, k.Port))
		return nil
	})
	b, err := e.Encode()
	if err != nil {
		panic(err) // only an attribute above 64 KiB can fail
	}
	return b
}

func decodeService(b []byte) (record[Service], error) {
	f := parse(b)
	var s Service
	if !f.has(svcMark) {
		s.Address = f.address(svcAddress, svcFamily)
		s.Port = f.port(svcPort)
		s.Protocol = Protocol(f.uint16(svcProtocol))
	}
	s.Scheduler = f.text(svcScheduler)
	if flags := f.fixed(svcFlags, 8); flags != nil { // struct ip_vs_flags: flags, mask
		s.Flags = Flags(binary.NativeEndian.Uint32(flags)) &^ flagHashed
	}
	c := f.counters(svcStats)
	return record[Service]{s, c}, f.err
}

// destination is a destination in a dump.
type destination struct {
	Destination
	stats DestinationStats
}

func decodeDestination(b []byte) (destination, error) {
	f := parse(b)
	var d destination
	d.Address = netip.AddrPortFrom(f.address(destAddress, destFamily), f.port(destPort))
	number := f.uint32(destForward)
	for method, n := range forwards {
		if n == number {
			d.Forward = method
		}
	}
	d.Weight = f.uint32(destWeight)
	d.stats = DestinationStats{
		Address:  d.Address,
		Active:   f.uint32(destActive),
		Inactive: f.uint32(destInactive),
		Counters: f.counters(destStats),
	}
	return d, f.err
}

// fields are the attributes of one object by their number. A newer kernel may send more than we know; one that we need
// and that is missing or of the wrong size is an error, of which the first stays.
type fields struct {
	values [16][]byte
	err    error
}

// parse splits attributes without copying them: a table has tens of thousands.
func parse(b []byte) fields {
	const header, typeMask = unix.SizeofNlAttr, 0x3fff
	var f fields
	for len(b) >= header {
		size, code := int(binary.NativeEndian.Uint16(b)), binary.NativeEndian.Uint16(b[2:])&typeMask
		if size < header || size > len(b) {
			f.fail("attribute number %d: length %d, with %d bytes left", code, size, len(b))
			return f
		}
		if int(code) < len(f.values) {
			f.values[code] = b[header:size:size]
		}
		b = b[min((size+3)&^3, len(b)):]
	}
	if len(b) > 0 {
		f.fail("%d bytes behind the last attribute", len(b))
	}
	return f
}

func (f *fields) fail(format string, args ...any) {
	if f.err == nil {
		f.err = fmt.Errorf(format, args...)
	}
}

func (f *fields) has(a attribute) bool { return f.values[a.code] != nil }

func (f *fields) bytes(a attribute) []byte {
	if !f.has(a) {
		f.fail("attribute %s: missing", a.name)
	}
	return f.values[a.code]
}

// fixed returns nil unless the attribute is there in the right size.
func (f *fields) fixed(a attribute, size int) []byte {
	b := f.bytes(a)
	if len(b) == size {
		return b
	}
	f.fail("attribute %s: got %d bytes, want %d", a.name, len(b), size)
	return nil
}

func (f *fields) uint16(a attribute) uint16 {
	if b := f.fixed(a, 2); b != nil {
		return binary.NativeEndian.Uint16(b)
	}
	return 0
}

func (f *fields) uint32(a attribute) uint32 {
	if b := f.fixed(a, 4); b != nil {
		return binary.NativeEndian.Uint32(b)
	}
	return 0
}

func (f *fields) uint64(a attribute) uint64 {
	if b := f.fixed(a, 8); b != nil {
		return binary.NativeEndian.Uint64(b)
	}
	return 0
}

// port reads a port, which alone is in network byte order.
func (f *fields) port(a attribute) uint16 {
	if b := f.fixed(a, 2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (f *fields) text(a attribute) string {
	b, _, _ := bytes.Cut(f.bytes(a), []byte{0})
	return string(b)
}

// address reads an address, which the kernel sends in 16 bytes for either family.
func (f *fields) address(a, family attribute) netip.Addr {
	af, b := f.uint16(family), f.bytes(a)
	switch {
	case af == unix.AF_INET && len(b) >= 4:
		return netip.AddrFrom4([4]byte(b))
	case af == unix.AF_INET6 && len(b) == 16:
		return netip.AddrFrom16([16]byte(b))
	}
	f.fail("attribute %s: got %d bytes of address family %d", a.name, len(b), af)
	return netip.Addr{}
}

func (f *fields) counters(a attribute) Counters {
	n := parse(f.bytes(a))
	c := Counters{
		Connections: n.uint64(statsConnections),
		InPackets:   n.uint64(statsInPackets),
		OutPackets:  n.uint64(statsOutPackets),
		InBytes:     n.uint64(statsInBytes),
		OutBytes:    n.uint64(statsOutBytes),
	}
	if n.err != nil {
		f.fail("attribute %s: %w", a.name, n.err)
	}
	return c
}
