// SPDX-License-Identifier: Apache-2.0

package vrrpsim

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-lb/holdfast/vrrp"
)

// Entry is one line of the time line: an event, a transition, or the end of a time without a master.
type Entry struct {
	At         Seconds     `json:"at_seconds"` // since the start
	Event      string      `json:"event,omitempty"`
	Directors  []string    `json:"directors,omitempty"` // that the event happened to
	Transition *Change     `json:"transition,omitempty"`
	Gap        *Masterless `json:"gap,omitempty"`
}

// Seconds is a time or a duration in seconds.
type Seconds float64

func (s Seconds) String() string { return strconv.FormatFloat(float64(s), 'f', -1, 64) + " s" }

func seconds(d time.Duration) Seconds { return Seconds(d.Round(time.Microsecond).Seconds()) }

// Change is a transition. Its reason names directors where the machine names their addresses.
type Change struct {
	Director string `json:"director"`
	Router   string `json:"router"`
	From     string `json:"from"`
	To       string `json:"to"`
	Priority uint8  `json:"priority"`
	Reason   string `json:"reason"`
}

// Masterless is a time without a master. During part of it no director that runs may have had the addresses.
type Masterless struct {
	Router   string  `json:"router"`
	Length   Seconds `json:"seconds"`
	Unserved Seconds `json:"unserved_seconds"`
}

func (m Masterless) String() string {
	text := fmt.Sprintf("no master of %s for %.2f s", m.Router, float64(m.Length))
	switch m.Unserved {
	case 0:
		return text + ", the addresses were served"
	case m.Length:
		return text
	}
	return fmt.Sprintf("%s, unserved for %.2f s", text, float64(m.Unserved))
}

// Report is what a script has shown.
type Report struct {
	Timeline []Entry  `json:"timeline"`
	Findings []string `json:"findings"` // what is not as it should be
}

// player plays a script.
type player struct {
	n         *Network
	elections [][]*Router
	gaps      []gap // of each election
	names     map[netip.Addr]string
	pending   []failure
	report    Report
}

// gap is a time without a master that has not ended.
type gap struct {
	open     bool
	since    time.Time
	last     time.Time // what has passed until then is counted
	held     bool      // at that time
	unserved time.Duration
}

// Play runs the events, and ends after length or with the last of them. Whenever nothing has happened for [Network.Settle]
// it looks whether all is as it should be.
func (n *Network) Play(events []Event, length time.Duration) Report {
	p := &player{n: n, elections: n.Elections(), names: make(map[netip.Addr]string)}
	p.report = Report{Timeline: []Entry{}, Findings: append([]string{}, n.strangers()...)}
	for _, d := range n.Directors {
		for _, r := range d.Routers {
			p.names[r.Source] = d.Name
		}
	}
	p.gaps = make([]gap, len(p.elections))
	n.OnTransition, n.OnStep = p.transition, p.step
	last := time.Duration(0)
	for _, e := range events {
		p.until(last, e.At)
		last = e.At + e.Lasts
		p.happen(e)
	}
	p.until(last, max(length, last))
	n.OnTransition, n.OnStep = nil, nil
	for i := range p.gaps {
		p.close(i)
	}
	return p.report
}

// until lets time pass, and looks at what has come of the last event if that was long ago.
func (p *player) until(last, t time.Duration) {
	p.n.Run(Epoch.Add(t))
	p.step()
	if t-last >= p.n.Settle() {
		p.look()
	}
	if t > last {
		p.pending = nil
	}
}

func (p *player) now() Seconds { return seconds(p.n.now.Sub(Epoch)) }

// happen makes one event happen.
func (p *player) happen(e Event) {
	at := len(p.report.Timeline)
	p.report.Timeline = append(p.report.Timeline, Entry{At: p.now(), Event: e.Text})
	before := p.masters()
	hit := e.do(p.n)
	for _, d := range hit {
		p.report.Timeline[at].Directors = append(p.report.Timeline[at].Directors, d.Name)
	}
	p.expect(e, before, hit)
	p.step()
}

func (p *player) transition(t Transition) {
	p.report.Timeline = append(p.report.Timeline, Entry{At: p.now(), Transition: &Change{
		Director: t.Router.director.Name, Router: t.Router.Config.Name, From: t.From.String(), To: t.To.String(),
		Priority: t.Priority, Reason: p.named(t.Reason),
	}})
}

// named puts the names of the directors for their addresses.
func (p *player) named(reason string) string {
	words := strings.Split(reason, " ")
	for i, w := range words {
		bare := strings.TrimRight(w, ",:;")
		if a, err := netip.ParseAddr(bare); err == nil && p.names[a] != "" {
			words[i] = p.names[a] + w[len(bare):]
		}
	}
	return strings.Join(words, " ")
}

// step measures the times without a master.
func (p *player) step() {
	now := p.n.now
	for i, e := range p.elections {
		g := &p.gaps[i]
		if g.open && !g.held {
			g.unserved += now.Sub(g.last)
		}
		g.last, g.held = now, false
		master := false
		for _, r := range e {
			g.held = g.held || r.director.running && r.Holds()
			master = master || r.director.running && !r.director.stalled && r.machine.Standing() == vrrp.Leading
		}
		switch {
		case master && g.open:
			p.close(i)
		case !master && !g.open:
			*g = gap{open: true, since: now, last: now, held: g.held}
		}
	}
}

// close ends a time without a master. One that nobody could notice is none.
func (p *player) close(i int) {
	g := &p.gaps[i]
	if length := p.n.now.Sub(g.since); g.open && length > 0 {
		p.report.Timeline = append(p.report.Timeline, Entry{At: p.now(), Gap: &Masterless{
			Router: p.elections[i][0].Config.Name, Length: seconds(length), Unserved: seconds(g.unserved),
		}})
	}
	g.open = false
}

// find notes what is wrong, and since when.
func (p *player) find(at time.Time, format string, args ...any) {
	p.report.Findings = append(p.report.Findings, fmt.Sprintf("%v: ", seconds(at.Sub(Epoch)))+fmt.Sprintf(format, args...))
}

// masters returns who is master now.
func (p *player) masters() map[*Router]bool {
	found := make(map[*Router]bool)
	for _, e := range p.elections {
		for _, r := range e {
			if r.State() == vrrp.Master {
				found[r] = true
			}
		}
	}
	return found
}
