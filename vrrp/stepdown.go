// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"net/netip"
	"time"
)

// Outcome is how an order to step down has ended.
type Outcome uint8

// The outcomes.
const (
	_           Outcome = iota
	HandedOver          // another master was heard
	NotTaken            // none was, within a master-down interval: the role is kept
	WasBackup           // there was nothing to hand over
	TookNoPart          // the router was in init or in fault
	Interrupted         // by a fault, a stop, a stall or a return
)

func (o Outcome) String() string {
	switch o {
	case HandedOver:
		return "handed_over"
	case NotTaken:
		return "not_taken"
	case WasBackup:
		return "was_backup"
	case TookNoPart:
		return "took_no_part"
	case Interrupted:
		return "interrupted"
	}
	return "invalid"
}

// stepDown is what a machine knows of an operator's order to leave the role to others.
type stepDown struct {
	on      bool       // does not preempt, and leaves the role to any other master that it hears
	handing bool       // master that has sent priority 0 and waits for another one; leaving is set, too
	outcome Outcome    // of the last order; zero: it goes on, or there was none
	to      netip.Addr // that has taken over
}

// StepDown leaves the role to another router, and does not preempt from now on. A master sends priority 0 and serves on: it
// follows the first other master that it hears, and goes on as master if it hears none for a master-down interval. The
// addresses are given up for another master only, whatever Params.Handover says, so that nothing is lost by trying.
func (m *Machine) StepDown(now time.Time) []Action {
	acts := m.CatchUp(now)
	m.stepped.on = true
	switch {
	case m.leaving: // has been told so already, or stops
		return acts
	case m.state == Backup:
		m.stepped.outcome = WasBackup
		return acts
	case m.state != Master:
		m.stepped.outcome = TookNoPart
		return acts
	}
	m.stepped.handing, m.stepped.outcome, m.leaving = true, 0, true
	m.reason = cause{why: because, text: "hands over by an operator's order"}
	m.release = now.Add(m.handoverMost())
	return append(acts, m.resignAgain(now))
}

// handoverMost is how long it takes until another router is master if one can be.
func (m *Machine) handoverMost() time.Duration { return max(m.MasterDownInterval(), m.p.Patience) }

// linger is how long an old master serves beside the new one.
func (m *Machine) linger() time.Duration { return min(m.p.Interval, lingerMost) }

// sayAgain says what was put off or may have been lost: a master announces, and who has yielded sends its last advert.
func (m *Machine) sayAgain(now time.Time) []Action {
	m.again = time.Time{}
	switch {
	case m.state == Backup:
		return []Action{{Kind: SendAdvert, Priority: m.p.Priority}}
	case m.state == Master && !m.leaving:
		m.announced = now
		return []Action{{Kind: AnnounceAgain}}
	}
	return nil
}

// resignAgain sends priority 0, and again after an interval: one that is lost must not cost the hand-over.
func (m *Machine) resignAgain(now time.Time) Action {
	m.timer = now.Add(m.p.Interval)
	return Action{Kind: SendAdvert, Priority: 0}
}

// Return ends what StepDown has begun. What can preempt does so at the end of its timer, without preempt_delay, because
// this is an order, too; a hand-over that nobody has taken yet is called off.
func (m *Machine) Return(now time.Time) []Action {
	acts := m.CatchUp(now)
	m.stepped.on = false
	if m.stepped.handing {
		return append(acts, m.resume(now, Interrupted, "went on by an operator's order")...)
	}
	if m.state == Backup {
		m.able = now.Add(-m.p.PreemptDelay)
	}
	return acts
}

// SteppedDown reports whether the machine leaves the role to others by an operator's order.
func (m *Machine) SteppedDown() bool { return m.stepped.on }

// Outcome is how the last order to step down has ended, and who is master if it was handed over; zero: it has not.
func (m *Machine) Outcome() (Outcome, netip.Addr) { return m.stepped.outcome, m.stepped.to }

// Listens reports whether what has arrived must be heard before the next Tick, which goes by there being no other master.
func (m *Machine) Listens() bool { return m.state == Backup || m.stepped.handing }

// handOver ends the wait for another master: there is one.
func (m *Machine) handOver(now time.Time, from netip.Addr, a Advert) []Action {
	m.endStepDown(HandedOver)
	m.stepped.to = from
	m.follow(now, from, a)
	m.reason = m.leftTo(from, a)
	if !m.p.Handover {
		return m.drop(nil)
	}
	m.release = now.Add(m.linger())
	return nil
}

// resign leaves the role to a lower master, because this one could not serve: a split that has healed may have cut it off
// from its real servers, too. That one may have yielded already, so it is told that it must not. One that is only to leave
// the role to others serves until it is heard again.
func (m *Machine) resign(now time.Time, from netip.Addr, a Advert) []Action {
	m.follow(now, from, a)
	acts := []Action{{Kind: SendAdvert, Priority: 0}}
	if m.unready != "" || !m.p.Handover {
		return m.drop(acts)
	}
	m.release = m.timer
	return acts
}

// relieve shortens a planned step-down, because the new master is heard.
func (m *Machine) relieve(now time.Time, a Advert) {
	if a.Priority != 0 {
		m.release = earlier(m.release, now.Add(m.linger()))
	}
}

// leaveForGood stops a master that hands over: what it waited for is now the end.
func (m *Machine) leaveForGood(now time.Time) []Action {
	if !m.stepped.handing {
		return nil
	}
	m.endStepDown(Interrupted)
	if !m.p.Handover {
		return m.halt(now, Init, stopped, nil)
	}
	m.leaving, m.timer = true, time.Time{}
	return nil
}

// resume goes on as master. That a neighbour has learned another address meanwhile is unlikely, and cheap to mend.
func (m *Machine) resume(now time.Time, o Outcome, why string) []Action {
	m.endStepDown(o)
	m.reason = cause{why: because, text: why}
	m.release, m.timer = time.Time{}, now.Add(m.p.Interval)
	return []Action{{Kind: SendAdvert, Priority: m.p.Priority}, {Kind: AnnounceAgain}}
}

// endStepDown notes how a hand-over has ended, if one goes on.
func (m *Machine) endStepDown(o Outcome) {
	if m.stepped.handing {
		m.stepped.handing, m.stepped.outcome, m.leaving = false, o, false
	}
}

// leftTo is the cause of the one that has the role by an operator's order.
func (m *Machine) leftTo(from netip.Addr, a Advert) cause {
	return cause{why: steppedDown, from: from, theirs: a.Priority, ours: m.p.Priority}
}
