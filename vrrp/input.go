// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"cmp"
	"errors"
	"net/netip"
	"time"
)

// Input is what a virtual router is told from outside. It is given as a whole; the newest one counts.
type Input struct {
	Config  Config // of the same election: see Config.SameElection
	Unready string // why this director could not serve as master: see Machine.SetUnready; empty: it could
	Fault   string // why this director cannot take part; empty: it can
	Parts   []Part // what is tracked beside the interfaces
	Group   *Group // its sync group; nil: none
	// StepDown is an order to leave the role to others, see Machine.StepDown; each new number is another one. 0: none, or
	// what the last one has begun is over.
	StepDown uint64
}

// ordered carries out what is new of an order to step down.
func (i *Instance) ordered(now time.Time, order uint64) {
	if order == i.order {
		return
	}
	i.order, i.ended = order, order == 0
	change := i.machine.StepDown
	if order == 0 {
		change = i.machine.Return
	}
	if acts := change(now); i.machine.state != Init { // else what is held is not known yet
		i.do(now, acts)
	}
}

func (i *Instance) current() Input {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.input
}

// refresh compares the machine with what it is told and with the state of its interface. One that is stopping only
// goes on stopping.
func (i *Instance) refresh(stopping bool) {
	if stopping {
		return
	}
	in, now := i.current(), i.now()
	if !in.Config.Equal(i.cfg) {
		i.cfg = in.Config
		i.last.news++
	}
	i.join(in.Group)
	var fault, unready string
	i.parts = i.track(in)
	_, fault = Effective(i.cfg.Priority, i.parts)
	unready = in.Unready
	for _, p := range i.parts {
		if p.Pending && unready == "" {
			unready = "the tracked " + p.String() + " is not known yet"
		}
	}
	i.machine.SetParams(now, i.params(i.machine.p.Source))
	i.machine.SetUnready(unready)
	i.ordered(now, in.StepDown)
	if err := i.usable(cmp.Or(in.Fault, fault)); err != nil {
		i.retry = now.Add(retryEvery)
		if i.machine.state == Init && errors.Is(err, errNotYet) {
			i.machine.reason = cause{why: because, text: err.Error()}
			i.publish()
			i.close()
			return
		}
		i.do(now, i.machine.Fail(now, err.Error()))
		i.close()
		return
	}
	if s := i.machine.state; s == Init || s == Fault {
		i.start(now)
		return
	}
	if i.machine.resuming && len(i.o.Host.Missing(i.cfg.All())) > 0 {
		i.do(now, i.machine.Lost(now))
	}
	i.do(now, nil)
}

// track tells what the tracked things add: the interfaces, which are seen here, and what others have found out.
func (i *Instance) track(in Input) []Part {
	parts := make([]Part, 0, len(i.cfg.Links)+len(in.Parts))
	for _, l := range i.cfg.Links {
		detail := ""
		_, err := i.o.Host.Link(l.Name)
		if err != nil {
			detail = err.Error()
		}
		parts = append(parts, NewPart("interface", l.Name, l.Weight, err != nil, detail))
	}
	return append(parts, in.Parts...)
}

// errNotYet is in the error of a Dial that fails as it does at every boot with IPv6: a router that has not begun waits.
var errNotYet = errors.New("duplicate address detection is not over")

// usable opens the connection if need be, and says what keeps this router out of the election.
func (i *Instance) usable(fault string) error {
	if fault != "" {
		return errors.New(fault)
	}
	index, err := i.o.Host.Link(i.cfg.Interface)
	if err != nil {
		return err
	}
	if i.conn != nil && index == i.index && i.o.Host.Owns(i.cfg.Interface, i.conn.Source()) {
		return nil
	}
	// The link was made anew, or has lost the address that we send from. The old connection is there for a good-bye until
	// there is another.
	if i.cfg.VMAC {
		if err := i.o.Host.Prepare(i.cfg); err != nil {
			return err
		}
	}
	conn, err := i.o.Dial(i.cfg)
	if err != nil {
		return err
	}
	i.close()
	i.conn, i.index = conn, index
	i.machine.SetParams(i.now(), i.params(conn.Source()))
	return nil
}

// reopen makes the loop open a new connection at once, but not again and again.
func (i *Instance) reopen() {
	now := i.now()
	at := now
	if again := i.reopened.Add(min(retryEvery/10, i.cfg.Interval)); now.Before(again) {
		at = again
	}
	i.reopened = at
	i.retry = earlier(i.retry, at)
}

func (i *Instance) start(now time.Time) {
	delay, resume := time.Duration(0), false
	if !i.started {
		i.started = true
		delay = i.cfg.StartupDelay
		resume = i.o.Resume && i.o.Host.Lease(i.cfg.All()) > i.cfg.Interval
	}
	i.do(now, i.machine.Start(now, delay, resume))
}

// discard removes what was made beside the interface.
func (i *Instance) discard() {
	if !i.cfg.VMAC {
		return
	}
	if err := i.o.Host.Discard(i.cfg); err != nil {
		i.o.Log.Warn("virtual MAC address not given up", "err", err)
	}
}

func (i *Instance) close() {
	if i.conn == nil {
		return
	}
	_ = i.conn.Close()
	i.conn = nil
}

func (i *Instance) params(source netip.Addr) Params {
	priority, _ := Effective(i.cfg.Priority, i.parts)
	patience := time.Duration(0)
	if i.group != nil {
		patience = i.group.longest()
	}
	return Params{
		Version: i.cfg.Version, Priority: priority, Interval: i.cfg.Interval, Preempt: i.cfg.Preempt,
		PreemptDelay: i.cfg.PreemptDelay, Handover: i.cfg.Handover, Grouped: i.group != nil, Patience: patience, Source: source,
	}
}
