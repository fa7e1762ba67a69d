// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-lb/holdfast/internal/director"
)

// A play is a sequence of steps, each of which is a row of the report. The first step that fails ends it.
type play struct {
	name   string
	direct string // who is master to begin with: "holdfast" or "peer"
	fits   func(match) bool
	steps  []step

	disputed bool // the peer refuses what holdfast accepts, or both refuse: complaints are in order
}

// takeovers is the name of the plays that are the matrix; the others are details.
const takeovers = "takeover"

// A step is one thing that has to work.
type step struct {
	name string
	run  func(*stage) (finding, error)
}

// A finding is how long a takeover took on the wire, and how long RFC 9568 or RFC 3768 says, if there was one to measure;
// or something else to know of a step that went well.
type finding struct {
	took, want time.Duration
	note       string
}

// Timers may fire so much early, as FRR rounds to 10 ms, and so much late on a busy machine.
const (
	early = 20 * time.Millisecond
	slack = 3 * time.Second
)

const (
	owner = 255 // priority of the address owner
	high  = 200 // of the master
	low   = 100 // of the backup
)

func every(match) bool { return true }

// simple are the matches that differ in nothing but peer, version and family.
func simple(m match) bool {
	return m == match{peer: m.peer, version: m.version, family: ipv4, checksum: m.checksum}
}

func version(v int) func(match) bool {
	return func(m match) bool { return simple(m) && m.version == v }
}

// plays are made for both directions.
var plays = slices.Concat(directed(us), directed(them), []play{
	disputed("different interval", version(2), "interval", func(s *side) { s.interval = 2 * time.Second }),
	disputed("wrong password", withPassword, "auth", func(s *side) { s.password = "other" }),
	disputed("no password", withPassword, "auth", func(s *side) { s.password = "" }),
	disputed("hop limit 64", func(m match) bool { return m.hops == "holdfast" }, "ttl", func(*side) {}),
})

func withPassword(m match) bool { return m.password != "" }

// disputed is a play in which the peer is configured so that holdfast has a reason to refuse its adverts.
func disputed(name string, fits func(match) bool, reason string, change func(*side)) play {
	return play{name: name, direct: "peer", fits: fits, disputed: true, steps: []step{
		{"refused, reason " + reason, func(s *stage) (finding, error) { return s.refused(reason, change) }},
	}}
}

func directed(master int) []play {
	name := [2]string{"holdfast", "peer"}[master]
	backup := 1 - master
	election := step{"election", func(s *stage) (finding, error) { return finding{}, s.election(master, nil) }}
	stop := step{"planned stop", func(s *stage) (finding, error) { return s.handover(master) }}
	preemption := step{"preemption", func(s *stage) (finding, error) { return finding{}, s.comeback(master) }}
	crash := step{"crash", func(s *stage) (finding, error) { return s.loss(master) }}
	return []play{
		{name: takeovers, direct: name, fits: every, steps: []step{
			election, stop, preemption, crash,
		}},
		{name: "address owner", direct: name, fits: func(m match) bool {
			return simple(m) && m.version == 3 && (master == us || m.peer != "frr") // which knows no priority 255
		}, steps: []step{
			{"election", func(s *stage) (finding, error) {
				return finding{}, s.election(master, func(sides *[2]side) { sides[master].priority = owner })
			}},
			stop, preemption, crash,
		}},
		{name: "preempt off", direct: name, fits: simple, steps: []step{
			{"the higher priority waits", func(s *stage) (finding, error) {
				return finding{}, s.election(master, func(sides *[2]side) {
					sides[master].priority, sides[backup].priority = low, high
					sides[backup].preempt = false
				})
			}},
			stop,
		}},
		{name: "different interval", direct: name, fits: version(3), steps: []step{
			{"learned", func(s *stage) (finding, error) { return finding{}, s.learned(master) }},
			crash,
		}},
		{name: "different addresses", direct: name, fits: version(3), disputed: true, steps: []step{
			{"tolerated", func(s *stage) (finding, error) { return s.otherAddresses(master) }},
		}},
		{name: "one link lost", direct: name, fits: func(m match) bool { return m.family == both }, steps: []step{
			election,
			{"the group moves", func(s *stage) (finding, error) { return finding{}, s.linkLost(master) }},
			{"and returns", func(s *stage) (finding, error) { return finding{}, s.linkBack(master) }},
		}},
	}
}

// election starts the master first, and then the other one.
func (s *stage) election(master int, change func(*[2]side)) error {
	sides := [2]side{s.side(high), s.side(high)}
	sides[1-master].priority = low
	if change != nil {
		change(&sides)
	}
	if err := s.configure(sides[us], sides[them]); err != nil {
		return err
	}
	if err := s.start(master); err != nil {
		return err
	}
	for i := range s.routers {
		timeout := s.masterDown(sides[master].priority, sides[master].interval) + slack
		if _, err := s.tapes[i].next(s.ctx, time.Time{}, timeout, "advert of the first master", s.from(master, i)); err != nil {
			return err
		}
	}
	if err := s.start(1 - master); err != nil {
		return err
	}
	return s.settled(master, false)
}

// handover stops the master: it sends priority 0, and the other one waits for its skew time and takes over.
func (s *stage) handover(master int) (finding, error) {
	before := time.Now()
	if err := s.stop(master); err != nil {
		return finding{}, err
	}
	other := 1 - master
	want := s.skew(s.sides[other].priority, s.sides[master].interval)
	t, err := s.takeover(other, want, func(i int) (time.Time, error) {
		a, err := s.tapes[i].next(s.ctx, before, slack, "priority 0", s.with(master, i, 0))
		return a.at, err
	})
	err = errors.Join(err, s.settled(other, true), s.noAddresses(master, slack))
	if err == nil && other == us {
		err = s.ourReason("gave up the role")
	}
	return t, err
}

// ourReason looks for the words in why holdfast is what it is: a busy machine may be so late that the time does not tell.
// In a sync group one router has the reason and the others follow it.
func (s *stage) ourReason(words string) error {
	var reasons []string
	err := s.ourStatus(func(r director.VirtualRouterStatus) error {
		reasons = append(reasons, r.Reason)
		return nil
	})
	if err == nil && !strings.Contains(strings.Join(reasons, ", "), words) {
		err = fmt.Errorf("holdfast is master because of %q, not because the other one %s", reasons, words)
	}
	return err
}

// loss kills the master: the other one waits for the rest of its master-down interval.
func (s *stage) loss(master int) (finding, error) {
	if err := s.crash(master); err != nil {
		return finding{}, err
	}
	other := 1 - master
	want := s.masterDown(s.sides[other].priority, s.sides[master].interval)
	t, err := s.takeover(other, want, func(i int) (last time.Time, err error) {
		for _, a := range s.tapes[i].since(time.Time{}) {
			if s.from(master, i)(a) {
				last = a.at
			}
		}
		return last, nil
	})
	err = errors.Join(err, s.settled(other, true))
	if err == nil && master == us {
		lease := max(3*time.Second, 4*s.sides[us].interval+time.Second)
		err = s.noAddresses(us, lease+slack) // those of a killed peer stay
	}
	return t, err
}

// takeover measures from a moment on each wire to the first advert of the new master. The slowest router counts, and none
// may be early.
func (s *stage) takeover(to int, want time.Duration, from func(i int) (time.Time, error)) (finding, error) {
	t := finding{want: want}
	for i, r := range s.routers {
		start, err := from(i)
		if err != nil {
			return t, err
		}
		first, err := s.tapes[i].next(s.ctx, start, want+slack, "advert of the new master", s.with(to, i, s.sides[to].priority))
		if err != nil {
			return t, err
		}
		took := first.at.Sub(start)
		t.took = max(t.took, took)
		if took < want-early || took > want+slack {
			return t, fmt.Errorf("router %s: taken over after %s, not %s", r.name, took, want)
		}
	}
	return t, nil
}

// noAddresses waits until a side holds none.
func (s *stage) noAddresses(who int, timeout time.Duration) error {
	h := s.host
	if who == us {
		h = s.ours.host
	}
	return poll(s.ctx, timeout, func() error {
		for i, r := range s.routers {
			for _, a := range s.sides[who].listed(i, r) {
				if held, err := h.Serves(a); err != nil || held {
					return errors.Join(err, fmt.Errorf("%s is still held by %s", a, h.Name))
				}
			}
		}
		return nil
	})
}

// comeback starts the one with the higher priority again, which then is master.
func (s *stage) comeback(master int) error {
	if err := s.start(master); err != nil {
		return err
	}
	return s.settled(master, false)
}

// learned runs a master with another interval than the backup's (RFC 9568 section 6.4.2).
func (s *stage) learned(master int) error {
	const interval = 300 * time.Millisecond
	err := s.election(master, func(sides *[2]side) { sides[master].interval = interval })
	if err != nil || master == us {
		return err
	}
	return s.ourStatus(func(r director.VirtualRouterStatus) error {
		if r.MasterIntervalSeconds != interval.Seconds() {
			return fmt.Errorf("holdfast's %s believes in an interval of %g s, not %s", r.Name, r.MasterIntervalSeconds, interval)
		}
		return nil
	})
}

// otherAddresses gives the peer fewer addresses. That must not make two masters, as far as it depends on holdfast.
func (s *stage) otherAddresses(master int) (f finding, err error) {
	err = s.election(master, func(sides *[2]side) { sides[them].addresses = []netip.Addr{s.routers[0].addresses[0]} })
	if err != nil && s.peer == "keepalived" && master == us && s.theirRole("master") == nil {
		f.note = "both are master: keepalived before 2.3.3 drops adverts with other addresses than its own"
		err = s.ourRole("master")
	}
	return f, errors.Join(err, s.ourStatus(nothingRefused))
}

// linkLost takes the carrier from one of the master's two links: both routers have to move.
func (s *stage) linkLost(master int) error {
	if err := s.ports[master][1].Unplug(); err != nil {
		return err
	}
	return errors.Join(s.settled(1-master, true), s.noAddresses(master, slack))
}

func (s *stage) linkBack(master int) error {
	if err := s.ports[master][1].Plug(); err != nil {
		return err
	}
	return s.settled(master, false)
}

// refused runs both, and waits until both are master because holdfast refuses what the peer sends, and says why. That is
// what VRRPv2 asks for.
func (s *stage) refused(reason string, change func(*side)) (finding, error) {
	ours, theirs := s.side(low), s.side(high)
	ours.minTTL = 255
	change(&theirs)
	if err := s.configure(ours, theirs); err != nil {
		return finding{}, err
	}
	if err := errors.Join(s.start(them), s.start(us)); err != nil {
		return finding{}, err
	}
	return finding{note: "both are master"}, poll(s.ctx, s.masterDown(low, 2*time.Second)+slack, func() error {
		return s.ourStatus(func(r director.VirtualRouterStatus) error {
			if r.AdvertsRefused[reason] == 0 || len(r.AdvertsRefused) > 1 || r.State != "master" {
				return fmt.Errorf("holdfast is %s and refused %v, not %q", r.State, r.AdvertsRefused, reason)
			}
			return nil
		})
	})
}
