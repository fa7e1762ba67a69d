// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"net/netip"
	"time"
)

const (
	// lingerMost bounds how long a master that was taken over from serves on: the new one announces its addresses only
	// after its first advert.
	lingerMost = 300 * time.Millisecond
	// Least time between two answers to the adverts of a lower master.
	answerEvery   = 100 * time.Millisecond
	announceEvery = time.Second
)

var stopped = cause{why: because, text: "stopped"}

// Machine is the state machine of one virtual router (RFC 9568 section 6), with planned hand-over and the care for a
// stalled process added. It does no I/O and reads no clock: time is an argument, and [Machine.Deadline] says when to call
// [Machine.Tick] next. Every method first asks whether the process was held up for so long that another master must be
// assumed; if so nothing that was due is done, and the machine goes on as a backup.
type Machine struct {
	p      Params
	state  State
	since  time.Time
	reason cause

	unready        string        // why this director could not serve; empty: it could
	masterInterval time.Duration // Active_Adver_Interval
	timer          time.Time     // backup: Active_Down_Timer, master: Adver_Timer; zero: not running
	notBefore      time.Time     // no election before this: the startup delay
	lower          bool          // the timer runs on against a lower master
	able           time.Time     // since when that one could be taken over from; zero: none could
	ripe           bool          // the timer has run out, and the sync group has the word
	following      bool          // backup of a master that was heard, or that must be assumed
	expiry         cause         // why the master-down timer runs, for the reason of what follows

	holding  bool      // the addresses are, or may be, installed
	leaving  bool      // master that has sent priority 0 and serves on until it is relieved
	release  time.Time // when a machine that lost its role gives up the addresses; zero: not set
	resuming bool      // backup that was master before a restart and still holds its addresses
	stepped  stepDown

	announced time.Time // last answer of each kind to a lower master
	answered  time.Time
	again     time.Time // when that is said again which was said too soon, or may have been lost; zero: nothing is
}

// NewMachine returns a machine in state init.
func NewMachine(p Params) *Machine {
	return &Machine{p: p, state: Init, masterInterval: p.Interval}
}

// State is the machine's state, since when it is in it, and why.
func (m *Machine) State() (s State, since time.Time, reason string) {
	return m.state, m.since, m.reason.String()
}

// Holding reports whether the addresses belong on this host now. It outlasts the state master during a hand-over.
func (m *Machine) Holding() bool { return m.holding }

// Silent reports whether the addresses are only served until the next master has announced them, so that announcing
// them here would take them back.
func (m *Machine) Silent() bool { return m.leaving || m.state != Master }

// Deadline is when [Machine.Tick] must be called next; zero: not before something else happens.
func (m *Machine) Deadline() time.Time {
	d := m.timer
	for _, t := range []time.Time{m.release, m.again} {
		if !t.IsZero() {
			d = earlier(d, t)
		}
	}
	return d
}

// MasterDownInterval is how long a backup waits for the master's next advert (Active_Down_Interval).
func (m *Machine) MasterDownInterval() time.Duration { return m.down(m.masterInterval) }

func (m *Machine) down(interval time.Duration) time.Duration { return 3*interval + m.skew(interval) }

// skew is Skew_Time, RFC 9568 section 6.1. In version 2 it is parts of a second whatever the interval, RFC 3768 section
// 6.1.
func (m *Machine) skew(interval time.Duration) time.Duration {
	if m.p.Version == 2 {
		interval = time.Second
	}
	return time.Duration(256-int(m.p.Priority)) * interval / 256
}

// Start begins the election, RFC 9568 section 6.4.1; there is none before delay has passed. With resume the addresses
// are still installed from a run of this director as master, and the role is taken up again if no other master is heard
// for one advertise interval; else they are released. An address owner that is not ready yet waits as any other router.
func (m *Machine) Start(now time.Time, delay time.Duration, resume bool) []Action {
	m.notBefore = now.Add(delay)
	m.masterInterval = m.p.Interval
	if resume {
		m.enter(now, Backup, cause{why: because, text: "was master before the restart"})
		m.waitForMaster(now, m.p.Interval)
		m.holding, m.resuming = true, true
		m.timer = now.Add(m.p.Interval)
		m.expiry = cause{why: because, text: "was master before the restart, and heard no other"}
		return nil
	}
	if m.p.Priority == ownerPrio && delay == 0 && m.unready == "" && !m.p.Grouped && !m.stepped.on {
		return m.becomeMaster(now, cause{why: because, text: "owns the addresses"})
	}
	m.enter(now, Backup, cause{why: because, text: "started"})
	m.waitForMaster(now, m.MasterDownInterval())
	return m.drop(nil)
}

// Stop ends the part in the election, RFC 9568 sections 6.4.2 and 6.4.3. A master hands over: see Params.Handover. It is
// over when the state is init.
func (m *Machine) Stop(now time.Time) []Action {
	if acts, stalled := m.stalled(now); stalled {
		return append(acts, m.Stop(now)...)
	}
	if m.leaving {
		return m.leaveForGood(now)
	}
	if m.state != Master {
		if m.holding && !m.resuming { // serves on for the next master: to the end that was set
			m.leaving, m.timer, m.again = true, time.Time{}, time.Time{}
			return nil
		}
		return m.halt(now, Init, stopped, nil)
	}
	acts := []Action{{Kind: SendAdvert, Priority: 0}}
	if !m.p.Handover {
		return m.halt(now, Init, stopped, acts)
	}
	m.leaving = true
	m.timer = time.Time{}
	m.release = now.Add(m.handoverMost())
	return acts
}

// Fail takes the machine out of the election until the next Start. A master resigns and gives up its addresses at once.
func (m *Machine) Fail(now time.Time, reason string) []Action {
	why := cause{why: because, text: reason}
	if m.state == Fault {
		m.reason = why
		return nil
	}
	acts := m.CatchUp(now)
	if m.state == Master && !m.leaving {
		acts = append(acts, Action{Kind: SendAdvert, Priority: 0})
	}
	return m.halt(now, Fault, why, acts)
}

// SetUnready says why this director could not serve as master; empty: it could. One that could not does not preempt, and
// leaves the role to any other master that is heard.
func (m *Machine) SetUnready(reason string) { m.unready = reason }

// SetParams changes the parameters of a running machine. It takes effect with the next advert, sent or heard.
func (m *Machine) SetParams(now time.Time, p Params) {
	if m.state == Master && !m.leaving && p.Interval < m.p.Interval {
		m.timer = earlier(m.timer, now.Add(p.Interval))
	}
	if m.masterInterval == m.p.Interval {
		m.masterInterval = p.Interval
	}
	if m.state == Backup && p.Priority != m.p.Priority {
		m.again = time.Time{} // it would be another word, and perhaps a claim
	}
	m.p = p
}

// Lost says that an address is gone that a restarted master hoped to find: it cannot resume.
func (m *Machine) Lost(now time.Time) []Action {
	if !m.resuming {
		return nil
	}
	m.waitForMaster(now, m.MasterDownInterval())
	return m.drop(nil)
}

// CatchUp does what a stall asks for, and nothing else.
func (m *Machine) CatchUp(now time.Time) []Action {
	acts, _ := m.stalled(now)
	return acts
}

// Receive handles an advert of another router that nothing speaks against.
func (m *Machine) Receive(now time.Time, from netip.Addr, a Advert) []Action {
	acts := m.CatchUp(now)
	switch {
	case m.stepped.handing && a.Priority != 0:
		acts = append(acts, m.handOver(now, from, a)...)
	case m.leaving:
		m.relieve(now, a)
	case m.state == Backup:
		acts = append(acts, m.receiveBackup(now, from, a)...)
	case m.state == Master:
		acts = append(acts, m.receiveMaster(now, from, a)...)
	}
	return acts
}

// Tick does what is due.
func (m *Machine) Tick(now time.Time) []Action {
	acts, stalled := m.stalled(now)
	if stalled {
		return acts
	}
	if !m.release.IsZero() && !now.Before(m.release) {
		switch {
		case m.stepped.handing:
			return append(acts, m.resume(now, NotTaken, "was to hand over, and nobody took over")...)
		case m.leaving:
			acts = m.halt(now, Init, stopped, acts)
		default:
			acts = m.drop(acts)
		}
	}
	if due(m.again, now) {
		acts = append(acts, m.sayAgain(now)...)
	}
	if m.timer.IsZero() || now.Before(m.timer) {
		return acts
	}
	switch m.state {
	case Master:
		if m.leaving {
			return append(acts, m.resignAgain(now))
		}
		m.timer = now.Add(m.p.Interval)
		acts = append(acts, Action{Kind: SendAdvert, Priority: m.p.Priority})
	case Backup:
		if m.outdated() {
			m.waitForMaster(now, m.MasterDownInterval())
			return acts
		}
		if m.p.Grouped {
			m.ripen(now)
			return acts
		}
		acts = append(acts, m.becomeMaster(now, m.expiry)...)
	}
	return acts
}

// ripen leaves it to the sync group what becomes of a timer that has run out. Addresses of an earlier run are not kept
// for ever meanwhile.
func (m *Machine) ripen(now time.Time) {
	if !m.ripe && m.resuming {
		m.release = now.Add(m.MasterDownInterval())
	}
	m.ripe, m.following = true, false
	m.timer = now.Add(m.p.Interval) // a stall from here on is seen by this
}

// receiveBackup is RFC 9568 section 6.4.2, (420) ff.
func (m *Machine) receiveBackup(now time.Time, from netip.Addr, a Advert) []Action {
	var acts []Action
	if a.Priority == 0 {
		// Said again, it does not begin the skew time anew: who is held up between the two would never take over.
		again := m.expiry.why == gaveUp && m.expiry.from == from
		if !m.resuming && !m.ripe && !again {
			m.waitForMaster(now, m.skew(m.masterInterval))
			m.expiry = cause{why: gaveUp, from: from}
		}
		if !m.release.IsZero() { // the one that we serve on for does not want it
			m.release = m.timer.Add(m.linger())
		}
		return nil
	}
	if m.resuming {
		acts = m.drop(nil)
		m.waitForMaster(now, m.MasterDownInterval())
	}
	if !m.release.IsZero() {
		m.release = earlier(m.release, now.Add(m.linger()))
	}
	if a.Priority >= m.p.Priority || !m.preempts() {
		m.masterInterval = a.Interval
		m.waitForMaster(now, m.MasterDownInterval())
		m.able, m.following = time.Time{}, true
		m.reason = m.against(from, a)
		return acts
	}
	m.outrank(now, from, a)
	return acts
}

// outrank hears a lower master: the timer goes on, and when it ends we take over. During preempt_delay that one is
// followed as any other.
func (m *Machine) outrank(now time.Time, from netip.Addr, a Advert) {
	if m.able.IsZero() {
		m.able = now
	}
	m.reason = cause{why: takesOver, from: from, theirs: a.Priority, ours: m.p.Priority}
	if end := m.able.Add(m.p.PreemptDelay); now.Before(end) {
		m.masterInterval = a.Interval
		m.waitForMaster(now, m.MasterDownInterval())
		m.following = true
		m.reason.why, m.reason.wait = delayed, m.p.PreemptDelay
		if m.timer.Before(end) {
			return
		}
		if m.timer = end; end.Before(m.notBefore) {
			m.timer = m.notBefore
		}
	}
	m.lower, m.following = true, false
	m.expiry = cause{why: lowerHeard, from: from, theirs: a.Priority, ours: m.p.Priority}
}

// receiveMaster is RFC 9568 section 6.4.3, (700) ff.
func (m *Machine) receiveMaster(now time.Time, from netip.Addr, a Advert) []Action {
	advert := Action{Kind: SendAdvert, Priority: m.p.Priority}
	if a.Priority == 0 {
		m.timer = now.Add(m.p.Interval)
		return []Action{advert}
	}
	if a.Priority > m.p.Priority || a.Priority == m.p.Priority && m.p.Source.Less(from) {
		return m.yield(now, from, a)
	}
	if m.unready != "" || m.stepped.on {
		return m.resign(now, from, a)
	}
	// A split has healed, or the other one has not heard us yet. Its neighbours may have learned its address, so
	// saying that we are the master is not enough.
	var acts []Action
	if now.Sub(m.answered) >= answerEvery {
		m.answered = now
		acts = append(acts, advert)
	}
	if now.Sub(m.announced) >= announceEvery {
		m.announced, m.again = now, time.Time{}
		return append(acts, Action{Kind: AnnounceAgain})
	}
	// This may be the last word of a master that now yields: what we said before it, neighbours may not have heard.
	m.again = m.announced.Add(announceEvery)
	return acts
}

// yield leaves the role to a higher master: with a last advert, so that this one knows that it must announce over
// ours, and with the addresses still served until it has. It answers; if not, the advert may have been lost.
func (m *Machine) yield(now time.Time, from netip.Addr, a Advert) []Action {
	acts := []Action{{Kind: SendAdvert, Priority: m.p.Priority}}
	m.follow(now, from, a)
	if !m.p.Handover {
		return m.drop(acts)
	}
	m.release, m.again = now.Add(m.linger()), now.Add(m.linger()/2)
	return acts
}

// follow makes a master the backup of another one.
func (m *Machine) follow(now time.Time, from netip.Addr, a Advert) {
	m.enter(now, Backup, m.against(from, a))
	m.masterInterval = a.Interval
	m.waitForMaster(now, m.MasterDownInterval())
	m.following = true
}

func (m *Machine) becomeMaster(now time.Time, why cause) []Action {
	m.enter(now, Master, why)
	m.masterInterval = m.p.Interval
	m.able, m.lower, m.ripe, m.following = time.Time{}, false, false, false
	m.holding, m.resuming = true, false
	m.release = time.Time{}
	m.timer = now.Add(m.p.Interval)
	return []Action{{Kind: SendAdvert, Priority: m.p.Priority}, {Kind: HoldAddresses}}
}

// stalled tells whether this process was held up (stopped, starved, suspended) for longer than a master-down interval.
// Then another router is master by now, so the timers that ran out meanwhile mean nothing.
func (m *Machine) stalled(now time.Time) ([]Action, bool) {
	var last time.Time
	switch {
	case m.leaving && !m.stepped.handing:
		last = m.release
	case m.state == Master:
		last = m.timer.Add(-m.p.Interval) // our last advert
	case m.state == Backup:
		last = m.Deadline()
	default:
		return nil, false
	}
	late := now.Sub(last)
	if late <= m.MasterDownInterval() {
		return nil, false
	}
	m.endStepDown(Interrupted)
	if m.leaving {
		return m.halt(now, Init, stopped, nil), true
	}
	why := cause{why: heldUp, wait: late}
	if m.state == Master {
		m.enter(now, Backup, why)
	}
	m.reason = why
	m.masterInterval = m.p.Interval
	m.waitForMaster(now, m.MasterDownInterval())
	m.able, m.following = time.Time{}, true
	return m.drop(nil), true
}

// waitForMaster restarts the master-down timer.
func (m *Machine) waitForMaster(now time.Time, d time.Duration) {
	m.timer, m.again, m.lower, m.ripe, m.following = now.Add(d), time.Time{}, false, false, false
	m.expiry = cause{why: silence, wait: d}
	if m.timer.Before(m.notBefore) {
		m.timer = m.notBefore
	}
}

// halt leaves the election for Init or Fault.
func (m *Machine) halt(now time.Time, s State, why cause, acts []Action) []Action {
	if m.state != s {
		m.enter(now, s, why)
	}
	m.endStepDown(Interrupted)
	m.timer, m.able, m.leaving, m.ripe = time.Time{}, time.Time{}, false, false
	return m.drop(acts)
}

// drop gives up the addresses. It asks for it even if they should not be there: an earlier run may have left them.
func (m *Machine) drop(acts []Action) []Action {
	m.holding, m.resuming = false, false
	m.release = time.Time{}
	return append(acts, Action{Kind: ReleaseAddresses})
}

func (m *Machine) enter(now time.Time, s State, why cause) {
	m.state, m.since, m.reason, m.again = s, now, why, time.Time{}
}

// preempts reports whether a lower master is taken over from. An address owner always does, RFC 9568 section 6.1, unless
// an operator wants it not to.
func (m *Machine) preempts() bool {
	return m.unready == "" && !m.stepped.on && (m.p.Preempt || m.p.Priority == ownerPrio)
}

// earlier is the first of both, where a zero a means never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}
