// SPDX-License-Identifier: Apache-2.0

package checker

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// pathCheck opens a connection as a client does whose packet a director passes on: with direct routing by a frame to the
// server, with a packet to the virtual address in it, or by such a packet in a tunnel's. It needs neither IPVS nor the
// virtual address on this host, and the kernel here has no part in it: it may drop the answer, which seems to come from an
// address of its own.
type pathCheck struct {
	config  *Config
	wires   *wires
	changes uint64 // of the addresses and links of this host, so far
	then    Probe  // what is left to check, at the server's own address; nil: nothing
	refused bool   // the server's kernel does not take packets of the tunnel
}

func (p *pathCheck) run(ctx context.Context) Result {
	// What follows has the other half, so that the server has as long to answer for the virtual address as for its own,
	// however long it took to find the way.
	find, done := half(ctx)
	w, res := p.findWay(find)
	done()
	if w.own {
		return p.direct(ctx)
	}
	if res.Err == nil {
		open, done := half(ctx)
		res = p.open(open, w)
		done()
	}
	if res.Err != nil {
		p.wires.forgetRoute(p.config.Target.Addr().Unmap())
		if res.Reason == reasonRefused || res.Reason == reasonTimeout {
			return p.blame(ctx, res)
		}
		return res
	}
	if p.then == nil {
		return Result{}
	}
	return p.then(ctx)
}

// half is a context with half of the time that is left.
func half(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, time.Until(deadline)/2)
}

// open goes the way, and meanwhile asks a server on a network of this host whether it answers ARP.
func (p *pathCheck) open(ctx context.Context, w way) Result {
	service := p.config.Service
	asked, fresh, err := p.ask(w)
	if err != nil {
		return fault("connect by way of a client's packet to", service, err)
	}
	var res Result
	if p.config.Tunnel.Kind != 0 {
		res = p.openTunnel(ctx, w)
	} else {
		res = p.connect(ctx, w, func(packet []byte) error {
			return p.wires.send(wireKey{w.index, etherType(service.Addr())}, w.server, packet)
		})
	}
	if res.Err == nil && answersARP(ctx, asked, fresh) {
		return failure(reasonARP, fmt.Errorf("%s (%s) answers ARP for the virtual address %s: set arp_ignore = 1 and arp_announce = 2 there (holdfast real-server setup)",
			p.config.Target.Addr(), w.server, service.Addr()))
	}
	return res
}

// connect sends SYN, and once more after half of the time that ctx leaves, and judges the answer. RST ends what it began.
func (p *pathCheck) connect(ctx context.Context, w way, sendPacket func([]byte) error) Result {
	service := p.config.Service
	fail := func(err error) Result { return fault("connect by way of a client's packet to", service, err) }
	local, release, err := reserve(w.source)
	if err != nil {
		return fail(err)
	}
	defer release()
	seq, answers, done := p.wires.wait(local, service)
	defer done()
	send := func(seq uint32, flags byte) error {
		return sendPacket(appendSegment(nil, local, service, seq, flags))
	}
	if err := send(seq, flagSYN); err != nil {
		return fail(err)
	}
	a, res := p.await(ctx, answers, func() error { return send(seq, flagSYN) })
	if res.Err != nil {
		return res
	}
	if a.flags&flagRST != 0 {
		return fail(unix.ECONNREFUSED)
	}
	_ = send(seq+1, flagRST) // lost: the server gives up by itself
	return Result{}
}

// await waits for an answer until ctx ends, and calls again after half of that time.
func (p *pathCheck) await(ctx context.Context, answers <-chan segment, again func() error) (segment, Result) {
	fail := func(err error) (segment, Result) {
		return segment{}, fault("connect by way of a client's packet to", p.config.Service, err)
	}
	deadline, ok := ctx.Deadline()
	var repeat <-chan time.Time
	if ok {
		repeat = time.After(time.Until(deadline) / 2)
	}
	for {
		select {
		case a := <-answers:
			return a, Result{}
		case <-repeat:
			if err := again(); err != nil {
				return fail(err)
			}
		case <-ctx.Done():
			select {
			case a := <-answers:
				return a, Result{}
			default:
			}
			_, res := fail(ctx.Err())
			return segment{}, judgeLate(res, time.Since(deadline))
		}
	}
}

// ask begins to find out whether the server answers ARP. In IPv6 only an address of the interface itself is answered
// for, never one of lo.
func (p *pathCheck) ask(w way) (asked *arpAsk, fresh bool, err error) {
	virtual := p.config.Service.Addr()
	if !virtual.Is4() || w.server == (mac{}) {
		return nil, false, nil
	}
	return p.wires.ask(arpKey{w.index, w.server, virtual}, w.ours)
}

// answersARP reports whether a server that was asked has answered. One that was asked just now has a little time left.
func answersARP(ctx context.Context, asked *arpAsk, fresh bool) bool {
	if asked == nil {
		return false
	}
	if fresh {
		select {
		case <-asked.heard:
		case <-ctx.Done():
		case <-time.After(arpWait):
		}
	}
	return asked.answered()
}

// direct checks the server's own address alone.
func (p *pathCheck) direct(ctx context.Context) Result {
	if p.then != nil {
		return p.then(ctx)
	}
	conn, err := dial(ctx, p.config)
	if err != nil {
		return fault("connect", p.config.Target, err)
	}
	abort(conn)
	return Result{}
}

// blame finds out whether it is the virtual address alone that the server does not answer for.
func (p *pathCheck) blame(ctx context.Context, res Result) Result {
	conn, err := dial(ctx, p.config)
	if err != nil {
		return fault("connect", p.config.Target, err)
	}
	abort(conn)
	if res.Reason == reasonRefused {
		return failure(reasonVirtual, fmt.Errorf("service answers on %s, but %s refuses connections to the virtual address %s: nothing listens on it",
			p.config.Target, p.config.Target.Addr(), p.config.Service))
	}
	return failure(reasonVirtual, fmt.Errorf("service answers on %s, but not for the virtual address %s: %s (holdfast real-server setup)",
		p.config.Target, p.config.Service.Addr(), p.cause()))
}

// cause is the likely one of a server's silence.
func (p *pathCheck) cause() string {
	t, server := p.config.Tunnel, p.config.Target.Addr().Unmap()
	switch {
	case t.Kind == 0:
		return "is it on lo of the server?"
	case p.refused:
		return t.refused(server)
	case server.Is4():
		return fmt.Sprintf("is it on %s, with rp_filter = 0 or 2 there?", t.device(false))
	}
	return fmt.Sprintf("is it on %s?", t.device(true))
}

func etherType(a netip.Addr) uint16 {
	if a.Is4() {
		return unix.ETH_P_IP
	}
	return unix.ETH_P_IPV6
}
