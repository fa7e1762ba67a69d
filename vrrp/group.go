// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// Standing is what the election of one member means for its sync group.
type Standing uint8

// The standings.
const (
	_         Standing = iota
	Waiting            // knows of no master yet
	Ripe               // would be master, but for the group
	Leading            // is master
	Following          // backup of a master that it hears, or that must be assumed
	Unable             // in fault
)

func (s Standing) String() string {
	switch s {
	case Waiting:
		return "waiting"
	case Ripe:
		return "ripe"
	case Leading:
		return "leading"
	case Following:
		return "following"
	case Unable:
		return "unable"
	}
	return "invalid"
}

// Standing says what this machine's state means for its sync group.
func (m *Machine) Standing() Standing {
	switch {
	case m.state == Fault:
		return Unable
	case m.state == Master && !m.leaving:
		return Leading
	case m.ripe:
		return Ripe
	case m.following:
		return Following
	}
	return Waiting
}

// Verdict is what a sync group wants of its members.
type Verdict uint8

// The verdicts.
const (
	_        Verdict = iota
	Stay             // as they are
	Lead             // those that are ripe become master
	Withdraw         // those that are master become backup
)

// Together decides for a sync group: its members are master together or not at all. One that knows nothing yet holds up
// the others, but does not depose them.
func Together(members ...Standing) Verdict {
	v := Lead
	for _, s := range members {
		switch s {
		case Following, Unable:
			return Withdraw
		case Waiting:
			v = Stay
		}
	}
	return v
}

// Member is one virtual router of a sync group.
type Member struct {
	Name     string
	Standing Standing
	Reason   string // why its machine is in its state
}

// Decide is [Together] for the sync group of that name, and why if that is not to lead.
func Decide(group string, members []Member) (v Verdict, why string) {
	all := make([]Standing, 0, len(members))
	for _, m := range members {
		all = append(all, m.Standing)
	}
	v = Together(all...)
	blame := ""
	for _, m := range members {
		if v != Lead && Together(m.Standing) == v && (blame == "" || m.Name < blame) {
			blame, why = m.Name, fmt.Sprintf("%s of sync group %s is not master: %s", m.Name, group, m.Reason)
		}
	}
	return v, why
}

// Promote makes a machine that is ripe master, because all of its sync group are.
func (m *Machine) Promote(now time.Time) []Action {
	acts, stalled := m.stalled(now)
	if stalled || !m.ripe || m.outdated() {
		return acts
	}
	return append(acts, m.becomeMaster(now, m.expiry)...)
}

// Withdraw makes a master a backup, because another one of its sync group cannot be master. It serves on until another
// router has taken over.
func (m *Machine) Withdraw(now time.Time, reason string) []Action {
	acts, stalled := m.stalled(now)
	if stalled || m.state != Master || m.leaving {
		return acts
	}
	acts = append(acts, Action{Kind: SendAdvert, Priority: 0})
	m.enter(now, Backup, cause{why: because, text: reason})
	m.waitForMaster(now, m.MasterDownInterval())
	if !m.p.Handover {
		return m.drop(acts)
	}
	m.release = m.timer
	return acts
}

// Group couples the virtual routers of a sync group. Its zero value is not usable.
type Group struct {
	name string

	mu      sync.Mutex
	size    int
	down    time.Duration // see longest
	members map[*Instance]Member
}

// NewGroup returns a group without members: an [Instance] joins it when it is told to.
func NewGroup(name string) *Group { return &Group{name: name, members: make(map[*Instance]Member)} }

// Resize says how many members the group is to have. While some of them have not joined, the others stay as they are: a
// reload tells one after the other, and one that starts anew is away for a while.
func (g *Group) Resize(n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.size = n
}

// report notes how an instance stands, and wakes the others if that changes what the group wants.
func (g *Group) report(i *Instance, m Member, down time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.down = max(g.down, down)
	before := g.members[i]
	g.members[i] = m
	if before.Standing == m.Standing {
		return
	}
	for other := range g.members {
		if other != i {
			poke(other.wake)
		}
	}
}

// longest is the longest master-down interval that a member has had as master, also one that has left: when all of them
// stop, one is the first.
func (g *Group) longest() time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.down
}

// leave forgets an instance.
func (g *Group) leave(i *Instance) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.members, i)
	for other := range g.members {
		poke(other.wake)
	}
}

// verdict is what the group wants, and why if that is not to lead.
func (g *Group) verdict() (Verdict, string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	v, why := Decide(g.name, slices.Collect(maps.Values(g.members)))
	if v == Lead && len(g.members) < g.size {
		return Stay, fmt.Sprintf("not every member of sync group %s has started", g.name)
	}
	return v, why
}

// followGroup does what the sync group wants. Before it leads to a new role, what has arrived is heard.
func (i *Instance) followGroup() {
	if i.group == nil {
		return
	}
	verdict, reason := i.group.verdict()
	switch {
	case verdict == Lead && i.machine.ripe:
		i.drain(drainAll)
		if i.conn == nil {
			return // what has arrived is not known
		}
		now := i.now()
		i.do(now, i.machine.Promote(now))
	case verdict == Withdraw && i.machine.Standing() == Leading:
		now := i.now()
		i.do(now, i.machine.Withdraw(now, reason))
	case i.machine.ripe && i.machine.reason.text != reason:
		i.machine.reason = cause{why: because, text: reason}
		i.publish()
	}
}

// join makes this instance a member of another sync group; nil: of none.
func (i *Instance) join(g *Group) {
	if i.group == g {
		return
	}
	if i.group != nil {
		i.group.leave(i)
	}
	i.group = g
}
