// SPDX-License-Identifier: Apache-2.0

package ipvs

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"time"

	"github.com/mdlayher/genetlink"
	"github.com/mdlayher/netlink"
	moby "github.com/moby/ipvs"
	"golang.org/x/sys/unix"
)

// mobyCan reports whether moby/ipvs can express an operation. It sends neither the address family nor the tunnel of a
// destination, and to change one without its tunnel would make that a plain one.
func mobyCan(op Op) bool {
	switch op.Kind {
	case StopSync, StartSync:
		return false
	case AddDestination, UpdateDestination, DeleteDestination:
		return op.Destination.Address.Addr().Is4() == op.Service.Address.Is4() &&
			(op.Destination.Forward != Tunnel || op.Kind == AddDestination && op.Destination.Encapsulation == Encapsulation{Type: IPIP})
	}
	return true
}

// mobyApply carries out an operation through moby/ipvs.
func mobyApply(h *moby.Handle, op Op) error {
	p := op.Persistence
	s := &moby.Service{
		Address:       op.Service.Address.AsSlice(),
		Protocol:      uint16(op.Service.Protocol),
		Port:          op.Service.Port,
		FWMark:        op.Service.Mark,
		SchedName:     op.Scheduler,
		Flags:         uint32(kernelFlags(op.Settings)),
		Timeout:       uint32(p.Timeout / time.Second),
		Netmask:       kernelNetmask(p, op.Service.Address.Is6()),
		AddressFamily: addressFamily(op.Service.Address),
		PEName:        p.Engine,
	}
	d := &moby.Destination{
		Address:         op.Destination.Address.Addr().AsSlice(),
		Port:            op.Destination.Address.Port(),
		Weight:          int(op.Destination.Weight),
		ConnectionFlags: forwards[op.Destination.Forward],
		UpperThreshold:  op.Destination.Upper,
		LowerThreshold:  op.Destination.Lower,
	}
	switch op.Kind {
	case AddService:
		return h.NewService(s)
	case UpdateService:
		return h.UpdateService(s)
	case DeleteService:
		return h.DelService(s)
	case AddDestination:
		return h.NewDestination(s, d)
	case UpdateDestination:
		return h.UpdateDestination(s, d)
	case DeleteDestination:
		return h.DelDestination(s, d)
	case SetTimeouts:
		return h.SetConfig(&moby.Config{TimeoutTCP: op.Timeouts.TCP, TimeoutTCPFin: op.Timeouts.TCPFin, TimeoutUDP: op.Timeouts.UDP})
	}
	return fmt.Errorf("%s: %w", op.Kind, unix.EINVAL)
}

func addressFamily(a netip.Addr) uint16 {
	if a.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

func kernelFlags(s Settings) Flags {
	if s.Persistence.Timeout != 0 {
		return s.Flags | flagPersistent
	}
	return s.Flags
}

// kernelNetmask returns the netmask as the number that has the bytes which the kernel wants. A service that is not
// persistent needs a valid one, too.
func kernelNetmask(p Persistence, v6 bool) uint32 {
	switch {
	case v6 && p.Timeout == 0:
		return 128
	case v6:
		return uint32(p.Netmask)
	case p.Timeout == 0:
		return ^uint32(0)
	}
	return binary.NativeEndian.Uint32(binary.BigEndian.AppendUint32(nil, mask4(p.Netmask)))
}

// commands gives the operations their numbers.
var commands = [numKinds]uint8{
	AddService: cmdAddService, UpdateService: cmdUpdateService, DeleteService: cmdDeleteService,
	AddDestination: cmdAddDestination, UpdateDestination: cmdUpdateDestination, DeleteDestination: cmdDeleteDestination,
	SetTimeouts: cmdSetTimeouts, StartSync: cmdStartSync, StopSync: cmdStopSync,
}

// apply carries out an operation by ourselves.
func (r reader) apply(op Op) error {
	if op.Kind == 0 || op.Kind >= numKinds {
		return fmt.Errorf("%s: %w", op.Kind, unix.EINVAL)
	}
	if op.Kind == StopSync {
		return r.stopSync(encodeOp(op))
	}
	_, err := r.execute(commands[op.Kind], netlink.Request|netlink.Acknowledge, encodeOp(op))
	return err
}

// stopSync asks for something else right behind, which is answered in any case. For a daemon that is stopped before it has
// begun to run kthread_stop returns EINTR, and with this errno netlink_rcv_skb leaves the answer out.
func (r reader) stopSync(request []byte) error {
	for _, m := range []genetlink.Message{
		{Header: genetlink.Header{Command: cmdStopSync, Version: r.family.Version}, Data: request},
		{Header: genetlink.Header{Command: cmdGetInfo, Version: r.family.Version}},
	} {
		if _, err := r.conn.Send(m, r.family.ID, netlink.Request); err != nil { // without acknowledgement: only errors are told
			return err
		}
	}
	_, _, err := r.conn.Receive() // the error of the first comes first
	return err
}

// encodeKey returns the request that is about a service.
func encodeKey(k Key) []byte { return encodeOp(Op{Kind: DeleteService, Service: k}) }

func encodeOp(op Op) []byte {
	e := netlink.NewAttributeEncoder()
	switch op.Kind {
	case SetTimeouts: // 0 leaves one as it is
		e.Uint32(timeoutTCP.code, uint32(op.Timeouts.TCP/time.Second))
		e.Uint32(timeoutTCPFin.code, uint32(op.Timeouts.TCPFin/time.Second))
		e.Uint32(timeoutUDP.code, uint32(op.Timeouts.UDP/time.Second))
	case StartSync, StopSync:
		nested(e, cmdAttrDaemon, func(e *netlink.AttributeEncoder) { encodeSyncDaemon(e, op.Sync) })
	default:
		nested(e, cmdAttrService, func(e *netlink.AttributeEncoder) { encodeService(e, op) })
		if op.Destination.Address.IsValid() {
			nested(e, cmdAttrDestination, func(e *netlink.AttributeEncoder) { encodeDestination(e, op.Destination) })
		}
	}
	b, err := e.Encode()
	if err != nil {
		panic(err) // only an attribute above 64 KiB can fail
	}
	return b
}

func nested(e *netlink.AttributeEncoder, code uint16, f func(*netlink.AttributeEncoder)) {
	e.Nested(code, func(e *netlink.AttributeEncoder) error { f(e); return nil })
}

func encodeService(e *netlink.AttributeEncoder, op Op) {
	k, p := op.Service, op.Persistence
	e.Uint16(svcFamily.code, addressFamily(k.Address))
	if k.Mark != 0 {
		e.Uint32(svcMark.code, k.Mark)
	} else {
		e.Uint16(svcProtocol.code, uint16(k.Protocol))
		e.Bytes(svcAddress.code, k.Address.AsSlice())
		e.Bytes(svcPort.code, binary.BigEndian.AppendUint16(nil, k.Port))
	}
	if op.Kind != AddService && op.Kind != UpdateService {
		return
	}
	e.String(svcScheduler.code, op.Scheduler)
	if p.Engine != "" {
		e.String(svcEngine.code, p.Engine)
	}
	flags := binary.NativeEndian.AppendUint32(nil, uint32(kernelFlags(op.Settings)))
	e.Bytes(svcFlags.code, binary.NativeEndian.AppendUint32(flags, ^uint32(0)))
	e.Uint32(svcTimeout.code, uint32(p.Timeout/time.Second))
	e.Uint32(svcNetmask.code, kernelNetmask(p, k.Address.Is6()))
}

// encodeDestination sends the whole of it: what is left out would be reset.
func encodeDestination(e *netlink.AttributeEncoder, d Destination) {
	flags := map[Checksum]uint16{FullChecksum: tunnelChecksum, RemoteChecksum: tunnelRemoteChecksum}[d.Encapsulation.Checksum]
	e.Bytes(destAddress.code, d.Address.Addr().AsSlice())
	e.Bytes(destPort.code, binary.BigEndian.AppendUint16(nil, d.Address.Port()))
	e.Uint16(destFamily.code, addressFamily(d.Address.Addr()))
	e.Uint32(destForward.code, forwards[d.Forward])
	e.Uint32(destWeight.code, d.Weight)
	e.Uint32(destUpper.code, d.Upper)
	e.Uint32(destLower.code, d.Lower)
	if d.Forward == Tunnel {
		e.Uint8(destTunnelType.code, tunnelTypes[d.Encapsulation.Type])
		e.Bytes(destTunnelPort.code, binary.BigEndian.AppendUint16(nil, d.Encapsulation.Port))
		e.Uint16(destTunnelFlags.code, flags)
	}
}

func encodeSyncDaemon(e *netlink.AttributeEncoder, d SyncDaemon) {
	e.Uint32(daemonState.code, uint32(d.Role))
	e.String(daemonInterface.code, d.Interface)
	e.Uint32(daemonID.code, uint32(d.ID))
	if d.Group.Is6() {
		e.Bytes(daemonGroup6.code, d.Group.AsSlice())
	} else if d.Group.IsValid() {
		e.Bytes(daemonGroup4.code, d.Group.AsSlice())
	}
	e.Uint16(daemonPort.code, d.Port)
	e.Uint8(daemonTTL.code, d.TTL)
}
