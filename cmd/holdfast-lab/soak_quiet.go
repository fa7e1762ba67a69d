// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/holdfast-lb/holdfast/configs"
	"github.com/holdfast-lb/holdfast/internal/netlab"
	"github.com/holdfast-lb/holdfast/ipvs"
)

const (
	soakPatience = 60 * time.Second // until all is as it should be
	soakAgain    = time.Second      // and must be so again
)

// quiet waits until everything is as it should be after a round, and is so twice in a row. last is what it waited for.
func (s *soakScene) quiet(ctx context.Context, steps []soakStep) (last string, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	look := func() error {
		err := s.well(ctx, steps)
		if err != nil {
			last = oneLine(err)
		}
		return err
	}
	err = poll(ctx, soakPatience, func() error {
		for _, n := range s.nodes {
			if !n.running() {
				cancel(fmt.Errorf("%s has ended by itself", n.name))
				return context.Cause(ctx)
			}
		}
		s.repeat(ctx, steps)
		if err := look(); err != nil {
			return err
		}
		if err := pause(ctx, soakAgain); err != nil {
			return err
		}
		return look()
	})
	return last, err
}

// well says what is not as it should be.
func (s *soakScene) well(ctx context.Context, steps []soakStep) error {
	ctx, cancel := context.WithTimeout(ctx, orderPatience)
	defer cancel()
	if err := s.masterIs(ctx, 0); err != nil {
		return err
	}
	if err := s.oneAnswers(ctx); err != nil {
		return err
	}
	for i, n := range s.nodes {
		if err := s.configured(ctx, n); err != nil {
			return err
		}
		if err := s.tableIs(ctx, i, steps); err != nil {
			return err
		}
	}
	c, err := s.client.Dial(ctx, "tcp", netip.AddrPortFrom(sceneAddress, 80).String())
	if err != nil {
		return fmt.Errorf("a client has no answer: %w", err)
	}
	return c.Close()
}

// configured says in what the configuration in force is not the last one.
func (s *soakScene) configured(ctx context.Context, n *node) error {
	given, diags := configs.Load(n.config())
	if err := diags.Err(); err != nil {
		return err
	}
	status, err := n.api().Status(ctx)
	if err != nil {
		return err
	}
	if status.Config.Hash != given.Hash || status.Config.Error != "" {
		return fmt.Errorf("%s runs with configuration %s, and %q, not with the last one: %s", n.name, status.Config.Hash, status.Config.Error, given.Hash)
	}
	return nil
}

// tableIs says in what a director's table is not what the configuration and the health of the servers want.
func (s *soakScene) tableIs(ctx context.Context, i int, steps []soakStep) error {
	if !s.serves {
		return nil
	}
	n := s.nodes[i]
	table, err := ipvs.OpenKernel(ctx, n.host.Path())
	if err != nil {
		return err
	}
	defer func() { _ = table.Close() }()
	services, err := table.List(ctx)
	if err != nil {
		return err
	}
	if len(services) != 1 || services[0].Key.Address != sceneAddress || services[0].Key.Port != 80 || services[0].Scheduler != "wrr" {
		return fmt.Errorf("%s has services that are not wanted, or lacks one: %v", n.name, services)
	}
	has := make(map[netip.Addr]uint32)
	for _, d := range services[0].Destinations {
		has[d.Address.Addr()] = d.Weight
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, weight := range s.wanted.weights {
		state, is := has[sceneServers[k]]
		delete(has, sceneServers[k])
		switch stays := staying(steps, k); {
		case stays == soakDrain && s.drained[i][k]:
			if state != 0 { // out, or without new connections
				return fmt.Errorf("%s has web%d with weight %d, which is drained", n.name, k+1, state)
			}
		case is != (weight > 0 && (stays == 0 || stays == soakDrain)), is && int(state) != weight:
			return fmt.Errorf("%s has web%d in its table: %t, with weight %d; wanted is %d, and it is: %v", n.name, k+1, is, state, weight, stays)
		}
	}
	if len(has) > 0 {
		return fmt.Errorf("%s has destinations that nobody wants: %v", n.name, has)
	}
	return nil
}

// staying is what is the matter with a real server in the quiet time; 0: nothing.
func staying(steps []soakStep, server int) soakKind {
	i := slices.IndexFunc(steps, func(s soakStep) bool { return s.stays && s.who == server })
	if i < 0 {
		return 0
	}
	return steps[i].kind
}

// An arpTape keeps who said of themselves that they have the virtual address.
type arpTape struct {
	mu   sync.Mutex
	from map[string]bool // MAC addresses
}

func (t *arpTape) frame(f netlab.Frame) {
	b := f.Data
	const reply = 2
	vip := sceneAddress.As4()
	if len(b) < ethernetLen+28 || binary.BigEndian.Uint16(b[12:]) != etherARP || binary.BigEndian.Uint16(b[ethernetLen+6:]) != reply ||
		!bytes.Equal(b[ethernetLen+14:][:4], vip[:]) {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.from[net.HardwareAddr(b[ethernetLen+8:][:6]).String()] = true
}

// answered returns all since the last call.
func (t *arpTape) answered() map[string]bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := t.from
	t.from = make(map[string]bool)
	return all
}

// oneAnswers asks by ARP for the virtual address, and says so if not the master alone answers.
func (s *soakScene) oneAnswers(ctx context.Context) error {
	port, err := s.strangerPort()
	if err != nil {
		return err
	}
	own, vip := stranger.As4(), sceneAddress.As4()
	frame := append([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, port.MAC...)
	frame = append(frame, 0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 1) // a request, of Ethernet for IPv4
	frame = append(append(append(frame, port.MAC...), own[:]...), 0, 0, 0, 0, 0, 0)
	frame = append(frame, vip[:]...)
	s.arp.answered()
	if err := errors.Join(port.Send(ctx, frame, 1, time.Millisecond), pause(ctx, 300*time.Millisecond)); err != nil {
		return err
	}
	from := s.arp.answered()
	if len(from) != 1 || !from[s.nodes[0].port.MAC.String()] {
		return fmt.Errorf("by ARP the address is at %v, not at %s alone", from, s.nodes[0].port.MAC)
	}
	return nil
}
