// SPDX-License-Identifier: Apache-2.0

package director

import (
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/holdfast-lb/holdfast/checker"
	"github.com/holdfast-lb/holdfast/internal/notify"
)

const (
	// newsLeast and newsMost bound for how long changes are gathered once they come in numbers; newsAtOnce is how many of a
	// kind are told at once in that time.
	newsLeast  = time.Second
	newsMost   = 10 * time.Second
	newsAtOnce = 5
	// newsNamed is how many services, and servers of each, a summary names.
	newsNamed = 3
)

// object is what an event is about: a virtual server, or one of its real servers.
type object struct{ service, server string }

func (o object) String() string {
	if o.server == "" {
		return o.service
	}
	return o.service + "/" + o.server
}

// change is the state of an object and what it was before.
type change struct {
	object
	from, to, reason string
	at               time.Time
}

// news tells of the changes of one kind of object. A few are told at once; when they come in numbers, they are gathered,
// window by window until one has but a few, and then those that have gone to the same state are one event: a thousand
// servers that fail in the same second are one message, not a thousand. What has changed back meanwhile is none.
type news struct {
	kind      string
	window    time.Duration
	told      map[object]told // of all objects of the last take
	takes     uint64
	gone      []change  // those that are removed, and nobody was told of
	opened    time.Time // when the window began
	count     int       // of the events in it
	gathering bool      // to its end
}

// told is the state of an object that was told last, and the take that it was last in.
type told struct {
	state string
	take  uint64
}

// windowOf is the longest interval of the checks: within that, all have found what has happened at one time.
func windowOf(checks []checker.Check) time.Duration {
	window := newsLeast
	for _, c := range checks {
		window = max(window, c.Config.Value().Interval)
	}
	return min(window, newsMost)
}

// close ends the window: what was gathered is told when next asked.
func (n *news) close() { n.opened = time.Time{} }

// take returns what there is to tell of all objects, and when it has to be asked again; zero: when something changes. Of
// an object that nothing was told of, such as after a start, the state before is taken as known.
func (n *news) take(now time.Time, states []change) (events []notify.Event, deadline time.Time) {
	states = n.withGone(states)
	if n.told == nil {
		n.told = make(map[object]told, len(states))
	}
	n.takes++
	var list []change
	for _, c := range states {
		if t, known := n.told[c.object]; known {
			c.from = t.state
		}
		n.told[c.object] = told{c.from, n.takes}
		if c.from != c.to {
			list = append(list, c)
			if c.to == stateRemoved {
				n.gone = append(n.gone, c)
			}
		}
	}
	maps.DeleteFunc(n.told, func(_ object, t told) bool { return t.take < n.takes })
	end := n.opened.Add(n.window)
	if n.gathering && now.Before(end) {
		return nil, end
	}
	if !now.Before(end) {
		n.opened, n.count = now, 0
	}
	few := n.count+len(list) <= newsAtOnce
	switch {
	case few:
		for _, c := range list {
			events = append(events, notify.Event{
				Kind: n.kind, Name: c.String(), From: c.from, To: c.to, Reason: c.reason, Time: c.at,
			})
		}
	case !n.gathering:
		n.gathering, n.opened, n.count = true, now, 0
		return nil, now.Add(n.window)
	default:
		events = n.summaries(now, list, states)
		deadline = now.Add(n.window) // more may come
	}
	n.gathering, n.gone = !few, nil
	n.count += len(events)
	for _, c := range list {
		n.told[c.object] = told{c.to, n.takes}
	}
	return events, deadline
}

// withGone adds to the states of all objects those that are listed once only and have not been told, but for what has come
// back.
func (n *news) withGone(states []change) []change {
	if len(n.gone) == 0 {
		return states
	}
	there := make(map[object]bool, len(states))
	for _, c := range states {
		there[c.object] = true
	}
	for _, c := range n.gone {
		if !there[c.object] {
			states = append(states, c)
		}
	}
	n.gone = nil
	return states
}

// summaries makes one event of all changes to the same state.
func (n *news) summaries(now time.Time, list, states []change) (events []notify.Event) {
	all := make(map[string]int) // objects by service
	for _, c := range states {
		all[c.service]++
	}
	var order []string
	by := make(map[string][]change)
	for _, c := range list {
		if by[c.to] == nil {
			order = append(order, c.to)
		}
		by[c.to] = append(by[c.to], c)
	}
	for _, to := range order {
		list := by[to]
		e := notify.Event{Kind: n.kind, Name: "*", From: list[0].from, To: to, Time: now, Count: len(list)}
		one := list[0].server != ""
		for _, c := range list {
			if c.from != e.From {
				e.From = "" // not the same of all
			}
			one = one && c.service == list[0].service
		}
		if one {
			e.Name = list[0].service + "/*"
		}
		e.Reason = summary(list, all, len(states))
		if why := list[0].reason; why != "" {
			e.Reason += fmt.Sprintf("; %s: %s", list[0], why)
		}
		events = append(events, e)
	}
	return events
}

// summary says how many, and names the first: "499 of 500 of web (web1, web2, web3, …), 2 of 2 of dns (ns1, ns2)".
func summary(list []change, all map[string]int, total int) string {
	if list[0].server == "" {
		return fmt.Sprintf("%d of %d (%s)", len(list), total, first(list, func(c change) string { return c.service }))
	}
	var services []string
	by := make(map[string][]change)
	for _, c := range list {
		if by[c.service] == nil {
			services = append(services, c.service)
		}
		by[c.service] = append(by[c.service], c)
	}
	var parts []string
	for _, s := range services[:min(len(services), newsNamed)] {
		parts = append(parts, fmt.Sprintf("%d of %d of %s (%s)", len(by[s]), all[s], s, first(by[s], func(c change) string { return c.server })))
	}
	if more := len(services) - newsNamed; more > 0 {
		parts = append(parts, fmt.Sprintf("and those of %d more virtual servers", more))
	}
	return strings.Join(parts, ", ")
}

// first names the first few.
func first(list []change, name func(change) string) string {
	var names []string
	for _, c := range list[:min(len(list), newsNamed)] {
		names = append(names, name(c))
	}
	if len(list) > newsNamed {
		names = append(names, "…")
	}
	return strings.Join(names, ", ")
}
