// SPDX-License-Identifier: Apache-2.0

package director

import (
	"context"
	"fmt"
	"log/slog"
	"slices"

	"github.com/holdfast-lb/holdfast/checker"
	"github.com/holdfast-lb/holdfast/configs"
	"github.com/holdfast-lb/holdfast/vrrp"
	"github.com/holdfast-lb/holdfast/vrrp/track"
)

// trackerChanged is what the tracking set puts into the inbox. What is known then is read from the set: a change of what
// a reload has replaced must not be taken for one of its successor.
type trackerChanged struct{}

// fileMost bounds the integer in a tracked file: no priority needs more, and no product overflows.
const fileMost = 1 << 20

// trackersChanged takes over what the trackers say, and tells their routers at once: all else may take longer.
func (d *Director) trackersChanged() {
	before := d.tracked
	d.readTrackers()
	for _, t := range d.cfg.Trackers {
		if r := d.routers[t.Key.Router]; r != nil && before[t.Key] != d.tracked[t.Key] {
			d.tell(r)
		}
	}
	for _, t := range d.cfg.Trackers {
		d.logTracker(before[t.Key], d.tracked[t.Key])
	}
}

// logTracker says what has become of a tracker. Its first good result is no news.
func (d *Director) logTracker(was, is track.Status) {
	level, message := slog.LevelInfo, ""
	switch {
	case is.Key == track.Key{} || is.Pending:
		return
	case is.Failed && !was.Failed:
		level, message = slog.LevelWarn, "tracker failed"
	case !is.Failed && was.Failed:
		message = "tracker recovered"
	case is.HasValue && is.Value != was.Value:
		message = "tracker has another value"
	default:
		return
	}
	d.log.Log(context.Background(), level, message, "virtual_router", is.Key.Router,
		"tracker", is.Key.Kind.String()+" "+is.Key.Name, "detail", is.Detail)
}

// parts is what a virtual router tracks beside interfaces, as its priority sees it.
func parts(cfg *configs.Config, router string, tracked map[track.Key]track.Status, decided decisions) []vrrp.Part {
	var list []vrrp.Part
	for _, t := range cfg.Trackers {
		if t.Key.Router == router {
			list = append(list, trackerPart(t, tracked[t.Key]))
		}
	}
	for _, t := range cfg.TrackedServices {
		if t.Router != router {
			continue
		}
		at := slices.IndexFunc(cfg.VirtualServers, func(vs configs.VirtualServer) bool { return vs.Name == t.Service })
		if at < 0 {
			continue // refused by the configuration
		}
		vs := cfg.VirtualServers[at]
		is := decided.services[vs.Key]
		p := vrrp.NewPart("service", t.Service, t.Weight, is.verdict == checker.Down, is.text(vs))
		if is.verdict == checker.Unknown {
			p.Detail = "not every real server has been checked"
		}
		list = append(list, unlessPending(p, is.verdict == checker.Unknown))
	}
	return list
}

func trackerPart(t track.Tracker, s track.Status) vrrp.Part {
	known := s.Key == t.Key
	p := vrrp.NewPart(t.Key.Kind.String(), t.Key.Name, t.Weight, s.Failed, s.Detail)
	if s.HasValue {
		p.Failed, p.Value = t.Weight == 0 && s.Value != 0, min(max(s.Value, -fileMost), fileMost)*t.Weight
	}
	return unlessPending(p, !known || s.Pending)
}

// unlessPending is a part that adds nothing while nothing is known.
func unlessPending(p vrrp.Part, pending bool) vrrp.Part {
	if pending {
		p.Pending, p.Failed, p.Value = true, false, 0
	}
	return p
}

// text says what the state of a service is made of.
func (s service) text(vs configs.VirtualServer) string {
	text := fmt.Sprintf("%d of %d real servers up", s.up, len(vs.RealServers))
	if s.drained > 0 {
		text += fmt.Sprintf(", %d drained", s.drained)
	}
	if vs.Quorum.Weight > 1 || vs.Quorum.Hysteresis > 0 || s.verdict == checker.Down && s.up > 0 {
		text += fmt.Sprintf(", weight %d for a quorum of %d", s.weight, quorum(vs, s.verdict))
	}
	if s.verdict == checker.Down {
		text = "below its quorum: " + text
	}
	switch {
	case s.panic:
		text += fmt.Sprintf(", which is less than %d %%: all get traffic", vs.PanicThreshold)
	case s.sorry:
		text += fmt.Sprintf(", sorry server %s gets the traffic", vs.Sorry.Address)
	}
	return text
}

// unserved says why a virtual router whose services need real servers should not take over; empty: one of them has its
// quorum, or there is none.
func unserved(cfg *configs.Config, decided decisions, router string) string {
	var without []string
	for _, vs := range cfg.VirtualServers {
		if vs.VirtualRouter != router || len(vs.RealServers) == 0 {
			continue
		}
		if decided.services[vs.Key].verdict == checker.Up {
			return ""
		}
		without = append(without, vs.Name)
	}
	switch len(without) {
	case 0:
		return ""
	case 1:
		return fmt.Sprintf("virtual_server %s is below its quorum", without[0])
	}
	return fmt.Sprintf("all of its %d virtual servers are below their quorum", len(without))
}

// applyGroups makes the sync groups those of the configuration. One whose name stays is the same.
func (d *Director) applyGroups() {
	groups := make(map[string]*vrrp.Group)
	d.groupOf = make(map[string]*vrrp.Group)
	for _, g := range d.cfg.SyncGroups {
		group := d.groups[g.Name]
		if group == nil {
			group = vrrp.NewGroup(g.Name)
		}
		group.Resize(len(g.Members))
		groups[g.Name] = group
		for _, router := range g.Members {
			d.groupOf[router] = group
		}
	}
	d.groups = groups
}

// applyTrackers follows what the configuration names. What is told to the routers comes of the decisions after it.
func (d *Director) applyTrackers() {
	d.trackers.Apply(d.cfg.Trackers)
	d.readTrackers()
}

// readTrackers takes over what the trackers say. Where nothing has changed that counts, the newest detail is no news.
func (d *Director) readTrackers() {
	known := d.trackerStates()
	for k, is := range known {
		was, ok := d.tracked[k]
		if ok && was.Pending == is.Pending && was.Failed == is.Failed && was.HasValue == is.HasValue && was.Value == is.Value {
			known[k] = was
		}
	}
	d.tracked = known
}

func (d *Director) trackerStates() map[track.Key]track.Status {
	known := make(map[track.Key]track.Status)
	for _, s := range d.trackers.Snapshot() {
		known[s.Key] = s
	}
	return known
}
