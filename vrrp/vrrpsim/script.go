// SPDX-License-Identifier: Apache-2.0

package vrrpsim

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-lb/holdfast/vrrp"
)

// Event is something that happens in a [Network.Play].
type Event struct {
	At    time.Duration // after the start
	Lasts time.Duration // of what ends by itself
	Text  string        // target and action
	// do makes it happen, to the directors that are returned.
	do func(n *Network) []*Director
}

// masterOf begins a target: the director that is master of a virtual router.
const masterOf = "master:"

// ParseScript reads a script for a network: one event a line, "TIME TARGET ACTION…", in the order of their times; what
// follows a # is a comment. The error has a line "NAME:LINE: what is wrong; what is allowed" for each that is wrong.
//
// The target is a director, "all", "master:ROUTER" or "network".
func ParseScript(name string, src []byte, n *Network) ([]Event, error) {
	var list []Event
	var errs []error
	last := time.Duration(0)
	lines := bufio.NewScanner(bytes.NewReader(bytes.TrimPrefix(src, []byte("\ufeff"))))
	for line := 1; lines.Scan(); line++ {
		text := uncomment(lines.Text())
		if strings.TrimSpace(text) == "" {
			continue
		}
		e, err := n.parseEvent(text)
		if err == nil && e.At < last {
			err = fmt.Errorf("%v is before the event above, at %v: put the events in the order of their times", e.At, last)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s:%d: %w", name, line, err))
			continue
		}
		last = e.At
		list = append(list, e)
	}
	if err := lines.Err(); err != nil {
		errs = append(errs, fmt.Errorf("read %s: %w", name, err))
	}
	return list, errors.Join(errs...)
}

// uncomment returns a line without its comment. A # within quotes begins none.
func uncomment(line string) string {
	quoted := false
	for i := 0; i < len(line); i++ {
		switch {
		case quoted && line[i] == '\\':
			i++
		case line[i] == '"':
			quoted = !quoted
		case line[i] == '#' && !quoted:
			return line[:i]
		}
	}
	return line
}

// Longest is how long a simulation may go on: a year, which takes a minute or so.
const Longest = 365 * 24 * time.Hour

var errLongest = errors.New("is longer than a year (8760h), the longest there is")

// duration reads a duration of at least 0.
func duration(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	switch {
	case err != nil || d < 0:
		return 0, errors.New("no duration")
	case d > Longest:
		return 0, errLongest
	}
	return d, nil
}

func (n *Network) parseEvent(line string) (Event, error) {
	at, rest := word(line)
	target, action := word(rest)
	when, err := duration(at)
	if errors.Is(err, errLongest) {
		return Event{}, fmt.Errorf("%s %w", at, err)
	}
	if err != nil {
		return Event{}, fmt.Errorf("%q is no time: an event is TIME TARGET ACTION, such as %q", at, "10s lb1 crash")
	}
	e := Event{At: when, Text: strings.Join(strings.Fields(rest), " ")}
	if target == "network" {
		do, err := n.parseNetworkAction(action)
		e.do = func(n *Network) []*Director { do(n); return nil }
		return e, err
	}
	who, err := n.parseTarget(target)
	if err != nil {
		return e, err
	}
	act, err := n.parseAction(action)
	if args := strings.Fields(action); err == nil && args[0] == "stall" && len(args) == 2 {
		e.Lasts, _ = time.ParseDuration(args[1])
	}
	e.do = func(n *Network) (hit []*Director) {
		for _, d := range who() {
			if act(d) {
				hit = append(hit, d)
			}
		}
		return hit
	}
	return e, err
}

// word cuts the first word off a line.
func word(line string) (first, rest string) {
	line = strings.TrimSpace(line)
	if i := strings.IndexAny(line, " \t"); i >= 0 {
		return line[:i], strings.TrimSpace(line[i:])
	}
	return line, ""
}

// parseTarget returns what finds the directors that an event is for, when it happens.
func (n *Network) parseTarget(target string) (func() []*Director, error) {
	if target == "all" {
		return func() []*Director { return n.Directors }, nil
	}
	if router, ok := strings.CutPrefix(target, masterOf); ok {
		e := n.electionOf(router)
		if e == nil {
			return nil, fmt.Errorf("no virtual router %q: there is %s", router, strings.Join(n.routerNames(), ", "))
		}
		return func() []*Director {
			if at := slices.IndexFunc(e, func(r *Router) bool { return r.State() == vrrp.Master }); at >= 0 {
				return []*Director{e[at].director}
			}
			return nil
		}, nil
	}
	d := n.director(target)
	if d == nil {
		return nil, fmt.Errorf("no director %q: the target is one of %s, all, master:ROUTER or network", target,
			strings.Join(n.directorNames(), ", "))
	}
	return func() []*Director { return []*Director{d} }, nil
}

const directorActions = `boot, stop, failover, return, crash, stall [DURATION], resume, link INTERFACE up|down, ` +
	`track KIND NAME failed|ok|value N, unready "REASON", ready`

// parseAction returns what does something to a director, and reports whether it meant anything to it.
func (n *Network) parseAction(action string) (func(*Director) bool, error) {
	verb, rest := word(action)
	args := strings.Fields(rest)
	on := func(when func(*Director) bool, do func(*Director)) (func(*Director) bool, error) {
		if len(args) > 0 {
			return nil, fmt.Errorf("%s takes nothing more, not %q", verb, rest)
		}
		return func(d *Director) bool {
			applies := when(d)
			if applies {
				do(d)
			}
			return applies
		}, nil
	}
	switch verb {
	case "boot":
		return on(func(d *Director) bool { return !d.running }, (*Director).Boot)
	case "stop":
		return on((*Director).Running, (*Director).Stop)
	case "failover":
		return on((*Director).Running, (*Director).StepDown)
	case "return":
		return on(func(d *Director) bool { return d.running && d.SteppedDown() }, (*Director).Return)
	case "crash":
		return on((*Director).Running, (*Director).Crash)
	case "resume":
		return on((*Director).Stalled, (*Director).Resume)
	case "ready":
		return on((*Director).Running, func(d *Director) { d.SetUnready("") })
	case "unready":
		reason, err := strconv.Unquote(rest)
		if err != nil || reason == "" {
			return nil, fmt.Errorf(`unready takes a reason in quotes, such as unready "no real server is up", not %q`, rest)
		}
		args = nil
		return on((*Director).Running, func(d *Director) { d.SetUnready(reason) })
	case "stall":
		return parseStall(args)
	case "link":
		return n.parseLink(args)
	case "track":
		return n.parseTrack(args)
	}
	return nil, fmt.Errorf("no action %q of a director: there is %s", verb, directorActions)
}

func parseStall(args []string) (func(*Director) bool, error) {
	var length time.Duration
	if len(args) > 0 {
		d, err := duration(args[0])
		if errors.Is(err, errLongest) {
			return nil, fmt.Errorf("stall %s %w", args[0], err)
		}
		if err != nil || d == 0 || len(args) > 1 {
			return nil, fmt.Errorf("stall takes one duration, such as 3s, or nothing, not %q", strings.Join(args, " "))
		}
		length = d
	}
	return func(d *Director) bool {
		if !d.running || d.stalled {
			return false
		}
		d.Stall()
		if length > 0 {
			stall := d.stalls
			d.net.At(d.net.now.Add(length), func() {
				if d.stalls == stall { // else it crashed meanwhile, and this is another one
					d.Resume()
				}
			})
		}
		return true
	}, nil
}

func (n *Network) parseLink(args []string) (func(*Director) bool, error) {
	if len(args) != 2 || args[1] != "up" && args[1] != "down" {
		return nil, fmt.Errorf("link takes an interface and up or down, not %q", strings.Join(args, " "))
	}
	device, up := args[0], args[1] == "up"
	if known := n.devices(); !slices.Contains(known, device) {
		return nil, fmt.Errorf("no virtual router uses or tracks interface %q: there is %s", device, strings.Join(known, ", "))
	}
	return func(d *Director) bool {
		if d.down[device] == !up || !slices.ContainsFunc(d.Routers, func(r *Router) bool { return slices.Contains(r.devices(), device) }) {
			return false
		}
		d.SetLink(device, up)
		return true
	}, nil
}

func (n *Network) parseTrack(args []string) (func(*Director) bool, error) {
	usage := fmt.Errorf("track takes KIND NAME failed, KIND NAME ok or KIND NAME value N, not %q", strings.Join(args, " "))
	if len(args) < 3 {
		return nil, usage
	}
	t := Tracked{args[0], args[1]}
	if known := n.tracked(); !slices.Contains(known, t.String()) {
		if len(known) == 0 {
			known = []string{"nothing (an interface is taken down with link)"}
		}
		return nil, fmt.Errorf("nothing tracks %s: what is tracked is %s", t, strings.Join(known, ", "))
	}
	what, value := args[2], 0
	switch {
	case len(args) == 3 && (what == "failed" || what == "ok"):
	case len(args) == 4 && what == "value" && t.Kind == "file":
		v, err := strconv.ParseInt(args[3], 10, 16)
		if err != nil {
			return nil, fmt.Errorf("value takes a number from -32768 to 32767, not %q", args[3])
		}
		value = int(v)
	default:
		return nil, usage
	}
	return func(d *Director) bool {
		_, hasValue := d.values[t]
		if !d.tracks(t) || what != "value" && !hasValue && d.failed[t] == (what == "failed") {
			return false
		}
		if what == "value" {
			d.SetValue(t, value)
			return true
		}
		d.Track(t, what == "failed")
		return true
	}, nil
}

const networkActions = "partition A,B | C on INTERFACE, heal [INTERFACE], loss PART, delay MIN MAX"

func (n *Network) parseNetworkAction(action string) (func(*Network), error) {
	verb, rest := word(action)
	args := strings.Fields(rest)
	switch {
	case verb == "partition":
		return n.parsePartition(rest)
	case verb == "heal" && len(args) == 0:
		return func(n *Network) { n.Heal("") }, nil
	case verb == "heal" && len(args) == 1:
		return func(n *Network) { n.Heal(args[0]) }, n.knownSegment(args[0])
	case verb == "loss" && len(args) == 1:
		p, err := strconv.ParseFloat(args[0], 64)
		if err != nil || !(p >= 0 && p <= 1) {
			return nil, fmt.Errorf("loss takes a part from 0 to 1, such as 0.1, not %q", args[0])
		}
		return func(n *Network) { n.Loss = p }, nil
	case verb == "delay" && len(args) == 2:
		least, err1 := duration(args[0])
		most, err2 := duration(args[1])
		if err := errors.Join(err1, err2); errors.Is(err, errLongest) {
			return nil, fmt.Errorf("delay %s %w", rest, errLongest)
		}
		if err1 != nil || err2 != nil || most < least {
			return nil, fmt.Errorf("delay takes the least and the most, such as 100us 2ms, not %q", rest)
		}
		return func(n *Network) { n.MinDelay, n.MaxDelay = least, most }, nil
	}
	return nil, fmt.Errorf("no action %q of the network: there is %s", action, networkActions)
}

func (n *Network) parsePartition(rest string) (func(*Network), error) {
	who, segment, ok := strings.Cut(rest, " on ")
	if segment = strings.TrimSpace(segment); !ok {
		return nil, fmt.Errorf("partition takes sides and an interface, such as lb1 | lb2,lb3 on eth0, not %q", rest)
	}
	if err := n.knownSegment(segment); err != nil {
		return nil, err
	}
	var sides [][]*Director
	for side := range strings.SplitSeq(who, "|") {
		var members []*Director
		for name := range strings.SplitSeq(side, ",") {
			d := n.director(strings.TrimSpace(name))
			if d == nil {
				return nil, fmt.Errorf("no director %q: there is %s", strings.TrimSpace(name), strings.Join(n.directorNames(), ", "))
			}
			members = append(members, d)
		}
		sides = append(sides, members)
	}
	return func(n *Network) { n.Partition(segment, sides...) }, nil
}

func (n *Network) knownSegment(segment string) error {
	if known := n.segments(); !slices.Contains(known, segment) {
		return fmt.Errorf("no election on interface %q: there is %s", segment, strings.Join(known, ", "))
	}
	return nil
}

func (n *Network) director(name string) *Director {
	at := slices.IndexFunc(n.Directors, func(d *Director) bool { return d.Name == name })
	if at < 0 {
		return nil
	}
	return n.Directors[at]
}

func (n *Network) directorNames() []string {
	var names []string
	for _, d := range n.Directors {
		names = append(names, d.Name)
	}
	return names
}

// electionOf returns the first election of a virtual router of this name.
func (n *Network) electionOf(router string) []*Router {
	for _, e := range n.Elections() {
		if slices.ContainsFunc(e, func(r *Router) bool { return r.Config.Name == router }) {
			return e
		}
	}
	return nil
}

// names collects what f says of all virtual routers, in order and once each.
func (n *Network) names(f func(r *Router) []string) []string {
	found := make(map[string]bool)
	for _, d := range n.Directors {
		for _, r := range d.Routers {
			for _, name := range f(r) {
				found[name] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}

func (n *Network) routerNames() []string {
	return n.names(func(r *Router) []string { return []string{r.Config.Name} })
}

func (n *Network) segments() []string {
	return n.names(func(r *Router) []string { return []string{r.Config.Interface} })
}

func (n *Network) devices() []string { return n.names((*Router).devices) }

func (n *Network) tracked() []string {
	return n.names(func(r *Router) (list []string) {
		for _, t := range r.Tracked {
			list = append(list, t.Tracked.String())
		}
		return list
	})
}

// devices are the interfaces that the router depends on, its own first.
func (r *Router) devices() []string {
	list := []string{r.Config.Interface}
	for _, l := range r.Config.Links {
		list = append(list, l.Name)
	}
	return list
}

func (d *Director) tracks(t Tracked) bool {
	return slices.ContainsFunc(d.Routers, func(r *Router) bool {
		return slices.ContainsFunc(r.Tracked, func(w Weighted) bool { return w.Tracked == t })
	})
}
