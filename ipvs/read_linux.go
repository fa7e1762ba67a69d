// SPDX-License-Identifier: Apache-2.0

package ipvs

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/mdlayher/genetlink"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// reader reads the table over one connection.
type reader struct {
	conn   *genetlink.Conn
	family genetlink.Family
}

// Info is what the kernel's IPVS says about itself.
type Info struct {
	Version             string // 1.2.1 for more than ten years
	ConnectionTableSize uint32 // buckets of the hash table
}

func (r reader) info() (Info, error) {
	f, err := r.get(cmdGetInfo)
	v := f.uint32(infoVersion)
	info := Info{
		Version:             fmt.Sprintf("%d.%d.%d", v>>16&0xff, v>>8&0xff, v&0xff),
		ConnectionTableSize: f.uint32(infoSize),
	}
	return info, cmp.Or(err, f.err)
}

func (r reader) timeouts() (Timeouts, error) {
	f, err := r.get(cmdGetTimeouts)
	t := Timeouts{TCP: f.seconds(timeoutTCP), TCPFin: f.seconds(timeoutTCPFin), UDP: f.seconds(timeoutUDP)}
	return t, cmp.Or(err, f.err)
}

// list returns every service with its destinations, in order.
func (r reader) list() ([]Service, error) {
	list, err := dump(r, cmdGetService, cmdAttrService, nil, decodeService)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(list, compareServices)
	for i := range list {
		s := &list[i]
		if s.Destinations, err = dump(r, cmdGetDestination, cmdAttrDestination, encodeKey(s.Key), decodeDestination); err != nil {
			return nil, fmt.Errorf("service %s: %w", s.Key, err)
		}
		slices.SortFunc(s.Destinations, compareDestinations)
	}
	return list, nil
}

// stats returns what is counted, in the order of list.
func (r reader) stats() ([]ServiceStats, error) {
	list, err := dump(r, cmdGetService, cmdAttrService, nil, decodeServiceStats)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(list, func(a, b ServiceStats) int { return a.Key.Compare(b.Key) })
	for i := range list {
		s := &list[i]
		if s.Destinations, err = dump(r, cmdGetDestination, cmdAttrDestination, encodeKey(s.Key), decodeDestinationStats); err != nil {
			return nil, fmt.Errorf("service %s: %w", s.Key, err)
		}
		slices.SortFunc(s.Destinations, func(a, b DestinationStats) int { return a.Address.Compare(b.Address) })
	}
	return list, nil
}

func (r reader) syncDaemons() ([]SyncDaemon, error) {
	list, err := dump(r, cmdGetSync, cmdAttrDaemon, nil, decodeSyncDaemon)
	return sorted(list), err
}

// get returns the attributes of the one answer to a request without arguments.
func (r reader) get(cmd uint8) (fields, error) {
	msgs, err := r.execute(cmd, netlink.Request, nil)
	if err != nil {
		return fields{}, err
	}
	if len(msgs) != 1 {
		return fields{}, fmt.Errorf("got %d answers, want 1", len(msgs))
	}
	f := parse(msgs[0].Data)
	return f, f.err
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

func decodeKey(f *fields) Key {
	if f.has(svcMark) {
		return MarkKey(f.uint32(svcMark), f.uint16(svcFamily) == unix.AF_INET6)
	}
	return Key{
		Address:  f.address(svcAddress, svcFamily),
		Port:     f.port(svcPort),
		Protocol: Protocol(f.uint16(svcProtocol)),
	}
}

func decodeService(b []byte) (Service, error) {
	f := parse(b)
	s := Service{Key: decodeKey(&f)}
	s.Scheduler = f.text(svcScheduler)
	if flags := f.fixed(svcFlags, 8); flags != nil { // struct ip_vs_flags: flags, mask
		s.Flags = Flags(binary.NativeEndian.Uint32(flags)) &^ flagHashed
	}
	// Without the flag the kernel keeps timeout and netmask but does not look at them.
	if timeout := f.seconds(svcTimeout); s.Flags&flagPersistent != 0 && timeout > 0 {
		s.Flags &^= flagPersistent
		s.Persistence = Persistence{Timeout: timeout, Netmask: decodeNetmask(&f, s.Address.Is6())}
	}
	if f.has(svcEngine) {
		s.Persistence.Engine = f.text(svcEngine)
	}
	return s, f.err
}

// decodeNetmask returns a length: IPv4 masks are in network byte order, IPv6 ones a length in that of the machine.
func decodeNetmask(f *fields, v6 bool) uint8 {
	b := f.fixed(svcNetmask, 4)
	switch {
	case b == nil:
		return 0
	case v6:
		return uint8(min(binary.NativeEndian.Uint32(b), oddMask))
	}
	return maskLength(binary.BigEndian.Uint32(b))
}

func decodeServiceStats(b []byte) (ServiceStats, error) {
	f := parse(b)
	s := ServiceStats{Key: decodeKey(&f), Counters: f.counters(svcStats)}
	return s, f.err
}

func decodeDestination(b []byte) (Destination, error) {
	f := parse(b)
	d := Destination{
		Address: f.addrPort(destAddress, destFamily, destPort),
		Weight:  f.uint32(destWeight),
		Upper:   f.uint32(destUpper),
		Lower:   f.uint32(destLower),
	}
	number := f.uint32(destForward)
	for method, n := range forwards {
		if n == number {
			d.Forward = method
		}
	}
	if d.Forward == Tunnel {
		d.Encapsulation = decodeEncapsulation(&f)
	}
	return d, f.err
}

// decodeEncapsulation leaves out what does not count for the type. Kernels before 5.2 know IPIP only and do not say so.
func decodeEncapsulation(f *fields) Encapsulation {
	if !f.has(destTunnelType) {
		return Encapsulation{Type: IPIP}
	}
	var e Encapsulation
	number, flags := f.uint8(destTunnelType), uint16(0)
	for t, n := range tunnelTypes {
		if n == number {
			e.Type = t
		}
	}
	if e.Type == GUE {
		e.Port = f.port(destTunnelPort)
	}
	if e.Type != IPIP && f.has(destTunnelFlags) {
		flags = f.uint16(destTunnelFlags)
	}
	switch {
	case flags&tunnelChecksum != 0:
		e.Checksum = FullChecksum
	case flags&tunnelRemoteChecksum != 0:
		e.Checksum = RemoteChecksum
	}
	return e
}

func decodeDestinationStats(b []byte) (DestinationStats, error) {
	f := parse(b)
	d := DestinationStats{
		Address:    f.addrPort(destAddress, destFamily, destPort),
		Active:     f.uint32(destActive),
		Inactive:   f.uint32(destInactive),
		Persistent: f.uint32(destPersistent),
		Counters:   f.counters(destStats),
	}
	return d, f.err
}

func decodeSyncDaemon(b []byte) (SyncDaemon, error) {
	f := parse(b)
	d := SyncDaemon{
		Role:      SyncRole(f.uint32(daemonState)),
		Interface: f.text(daemonInterface),
		ID:        uint8(f.uint32(daemonID)),
		Port:      f.uint16(daemonPort), // alone of the ports it is in the byte order of the machine
		TTL:       f.uint8(daemonTTL),
	}
	if f.has(daemonGroup6) {
		d.Group = f.ip(daemonGroup6, unix.AF_INET6)
	} else {
		d.Group = f.ip(daemonGroup4, unix.AF_INET)
	}
	return d, f.err
}

func (f *fields) seconds(a attribute) time.Duration { return time.Duration(f.uint32(a)) * time.Second }
