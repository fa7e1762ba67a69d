// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/mdlayher/arp"
	"golang.org/x/sys/unix"
)

// FuzzInbound gives an instance's socket whatever bytes as a packet, and as control messages.
func FuzzInbound(f *testing.F) {
	f.Add([]byte("\x45\x00\x00\x24\x00\x00\x00\x00\xff\x70\x00\x00\x0a\x00\x00\x02\xe0\x00\x00\x12advert.."), false, []byte{})
	f.Add([]byte("\x4f\x00"), false, []byte{})
	hops := binary.NativeEndian.AppendUint64(nil, unix.SizeofCmsghdr+4)
	hops = binary.NativeEndian.AppendUint32(hops, unix.IPPROTO_IPV6)
	hops = binary.NativeEndian.AppendUint32(hops, unix.IPV6_HOPLIMIT)
	hops = append(binary.NativeEndian.AppendUint32(hops, 255), 0, 0, 0, 0)
	f.Add([]byte("advert"), true, hops)
	f.Add([]byte("advert"), true, hops[:unix.SizeofCmsghdr])
	f.Fuzz(func(t *testing.T, packet []byte, family6 bool, control []byte) {
		var in inbound
		in.init(family6)
		in.n = copy(in.buf[:], packet)
		in.msg.SetControllen(copy(in.control[:], control))
		b, h := in.packet()
		if !bytes.HasSuffix(in.buf[:in.n], b) {
			t.Errorf("got %x of %x", b, in.buf[:in.n])
		}
		if !family6 && h.Src.IsValid() && (in.n-len(b))%4 != 0 || family6 && len(b) != in.n {
			t.Errorf("a header of %d bytes", in.n-len(b))
		}
		if _, err := Parse(b, h); err == nil && !h.Dst.IsValid() {
			t.Errorf("took %x, sent to nobody", b)
		}
	})
}

// FuzzDatagram takes whatever rtnetlink may say apart, in order, and without going over its end.
func FuzzDatagram(f *testing.F) {
	ack := message{kind: unix.NLMSG_ERROR, body: make([]byte, 4+unix.NLMSG_HDRLEN)}.append(nil, 1, 0)
	f.Add(ack)
	f.Add(append(ack, ack...))
	f.Add(append(binary.NativeEndian.AppendUint32(nil, unix.NLMSG_HDRLEN-1), make([]byte, 12)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		left := b
		split(b, func(kind uint16, seq uint32, body []byte) {
			want := message{kind: kind, flags: binary.NativeEndian.Uint16(left[6:]), body: body}
			out := want.append(nil, seq, 0)[:unix.NLMSG_HDRLEN+len(body)]
			if !bytes.Equal(out[:6], left[:6]) || !bytes.Equal(body, left[unix.NLMSG_HDRLEN:len(out)]) {
				t.Errorf("%x comes back as %x", left, out)
			}
			left = left[min(len(left), align4(len(out))):]
		})
	})
}

// FuzzAnswer reads whatever comes as ARP: what is taken is of an address that was asked for.
func FuzzAnswer(f *testing.F) {
	asked := []netip.Addr{netip.MustParseAddr("10.0.0.100")}
	p, err := arp.NewPacket(arp.OperationReply, make([]byte, 6), asked[0], make([]byte, 6), asked[0])
	if err != nil {
		f.Fatal(err)
	}
	b, err := p.MarshalBinary()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add(b[:20])
	f.Fuzz(func(t *testing.T, b []byte) {
		if a, ok := readAnswer(b, asked); ok && (a.Address != asked[0] || len(a.MAC) != len("00:00:00:00:00:00")) {
			t.Errorf("got %+v of %x", a, b)
		}
	})
}
