// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-lb/holdfast/internal/director"
)

// palette says whether states are coloured.
type palette bool

// state colours a state: green for what serves, red for what should and does not.
func (p palette) state(s string) string {
	code := map[string]string{"master": "32", "up": "32", "down": "31", "fault": "31", "panic": "31", "failed": "31", "contested": "31"}[s]
	if !p || code == "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

// statusScreen is the state for a person, in lines that fit a screen.
func statusScreen(s director.Status, now time.Time, p palette) string {
	var b strings.Builder
	wrap(&b, "", fmt.Sprintf("%s, holdfast %s, up %s, configuration loaded %s ago", s.Name, s.Version, age(now, s.Started), age(now, s.Config.Loaded)), "  ")
	if len(s.VirtualServers) > 1 {
		wrap(&b, "", totals(s.VirtualServers), "  ")
	}
	problem(&b, "last reload failed, the old configuration is in force", s.Config.Error)
	problem(&b, "ipvs", s.IPVS.Error)
	problem(&b, "ipvs table changed by others and left so (drift = \"report\"), which takes to mend", s.IPVS.DriftLeft)
	if !s.Ready {
		fmt.Fprintln(&b, "! the first round of checks is not done")
	}
	for _, vr := range s.VirtualRouters {
		writeRouter(&b, vr, now, p)
	}
	writeSync(&b, s.ConnectionSync)
	for _, vs := range s.VirtualServers {
		writeService(&b, vs, now, p)
	}
	writeLeaving(&b, s.Leaving, now)
	return b.String()
}

// totals counts services and servers by their states.
func totals(list []director.VirtualServerStatus) string {
	services, servers := make(map[string]int), make(map[string]int)
	for _, vs := range list {
		services[vs.State]++
		for _, rs := range vs.RealServers {
			servers[rs.State]++
		}
	}
	count := func(by map[string]int) string {
		var parts []string
		for _, state := range []string{"up", "down", "unknown", "draining", "maintenance"} {
			if by[state] > 0 {
				parts = append(parts, fmt.Sprintf("%d %s", by[state], state))
			}
		}
		return cmp.Or(strings.Join(parts, ", "), "none")
	}
	return fmt.Sprintf("virtual servers: %s; real servers: %s", count(services), count(servers))
}

// writeService writes a virtual server and its real servers.
func writeService(w io.Writer, vs director.VirtualServerStatus, now time.Time, p palette) {
	head := fmt.Sprintf("virtual_server %s: %s, %s, %s, %s", vs.Name, p.state(vs.State), vs.Place(), vs.Scheduler, vs.Forward)
	if vs.State == "up" && !vs.Panic && !vs.Sorry && len(vs.RealServers) > 0 {
		head += ": " + vs.Reason
	}
	fmt.Fprintln(w)
	wrap(w, "", head, "  ")
	if vs.State == "up" && !vs.InTable {
		wrap(w, "  ", fmt.Sprintf("in the table only while virtual_router %s serves its addresses", vs.Active), "  ")
	}
	if vs.Panic {
		problem(w, "panic", vs.Reason)
	} else if vs.State == "down" || vs.Sorry {
		problem(w, "down for "+age(now, vs.Since), vs.Reason)
	}
	var rows []row
	for _, rs := range vs.RealServers {
		set := ""
		if rs.OverrideWeight != nil {
			set = ", weight set by command"
		}
		rows = append(rows, row{
			cells: []string{rs.Name, rs.Address.String(), tableWeight(rs), fmt.Sprintf("%d+%d conns", rs.ActiveConnections, rs.InactiveConnections)},
			text:  p.state(rs.State) + since(now, rs) + set,
			extra: lastResults(now, rs),
		})
	}
	writeTable(w, rows)
}

// tableWeight is the weight in the table, and the configured one where that differs.
func tableWeight(rs director.RealServerStatus) string {
	text := fmt.Sprintf("weight %d", rs.EffectiveWeight)
	if rs.EffectiveWeight != rs.Weight {
		text += fmt.Sprintf("/%d", rs.Weight)
	}
	return text
}

// writeSync writes what is known of connection sync; nil: there is none.
func writeSync(w io.Writer, c *director.ConnectionSyncStatus) {
	if c == nil {
		return
	}
	halves := strings.Join(c.Running, " and ")
	switch {
	case len(c.Running) == 0:
		halves = "does not run"
	case !c.Warm:
		halves += ", warming up: does not take over from another master yet"
	}
	fmt.Fprintln(w)
	wrap(w, "", fmt.Sprintf("connection_sync on %s, id %d, follows virtual_router %s: %s", c.Interface, c.ID, c.VirtualRouter, halves), "  ")
	problem(w, "sync daemons", c.Error)
}

// writeLeaving writes the real servers that are not in the configuration any more.
func writeLeaving(w io.Writer, list []director.LeavingStatus, now time.Time) {
	if len(list) == 0 {
		return
	}
	fmt.Fprint(w, "\nleaving\n")
	var rows []row
	for _, l := range list {
		end := "until its successor has a verdict"
		if l.Drain != nil {
			end = fmt.Sprintf("drains, %s left", max(0, l.Drain.Until.Sub(now)).Round(time.Second))
		}
		rows = append(rows, row{
			cells: []string{
				l.Service + "/" + l.Server, l.Address.String(), fmt.Sprintf("weight %d", l.EffectiveWeight),
				fmt.Sprintf("%d+%d conns", l.ActiveConnections, l.InactiveConnections),
			},
			text: "of " + l.VirtualAddress + ": " + end + held(l.Persistent),
		})
	}
	writeTable(w, rows)
}

// writeRouter writes a virtual router's state, why, and what it is about. `explain` has the whole of it.
func writeRouter(w io.Writer, vr director.VirtualRouterStatus, now time.Time, p palette) {
	fmt.Fprintln(w)
	head := fmt.Sprintf("virtual_router %s: %s for %s", vr.Name, p.state(vr.State), age(now, vr.Since))
	if vr.Reason != "" {
		head += ": " + printable(vr.Reason)
	}
	wrap(w, "", head, "  ")
	about := fmt.Sprintf("id %d on %s, priority %d", vr.ID, vr.Interface, vr.EffectivePriority)
	if vr.EffectivePriority != vr.Priority {
		about += fmt.Sprintf(" (configured %d)", vr.Priority)
	}
	if vr.SyncGroup != "" {
		about += ", sync group " + vr.SyncGroup
	}
	wrap(w, "  ", about+", "+someAddresses(slices.Concat(vr.Addresses, vr.ExcludedAddresses), width-4-columns(about)), "    ")
	for _, peer := range vr.Peers {
		wrap(w, "  ", fmt.Sprintf("peer %s: priority %d, last heard %s ago%s", peer.Address, peer.Priority, age(now, peer.LastSeen), differs(peer)), "    ")
	}
	if text := steppedDownText(vr.SteppedDown, now); text != "" {
		wrap(w, "  ", text, "    ")
	}
	problem(w, "addresses", vr.Error)
	for _, c := range vr.Contested {
		who := fmt.Sprintf("%d others answer", len(c.By))
		if len(c.By) == 1 {
			who = c.By[0].MAC + " answers"
		}
		problem(w, fmt.Sprintf("%s contested for %s", c.Address, age(now, c.Since)), who+" ARP for it")
	}
}

// someAddresses names as many addresses as there is room for, one at least.
func someAddresses(all []string, room int) string {
	text := "addresses"
	const more = " and 999 more"
	for n, a := range all {
		left := room
		if n < len(all)-1 {
			left -= len(more)
		}
		if n > 0 && len(text)+1+len(a) > left {
			return text + fmt.Sprintf(" and %d more", len(all)-n)
		}
		text += " " + a
	}
	return text
}

// differs says what of a peer's adverts should not be.
func differs(p director.PeerStatus) string {
	if p.SameAddresses {
		return ""
	}
	return ", with other addresses"
}

// problem is a line that should not be there.
func problem(w io.Writer, what, text string) {
	if text != "" {
		wrap(w, "! ", what+": "+printable(strings.ReplaceAll(text, "\n", "; ")), "  ")
	}
}

// weight shows the configured weight, and that in the table where it differs.
func weight(rs director.RealServerStatus) string {
	if rs.OverrideWeight != nil && *rs.OverrideWeight == rs.EffectiveWeight {
		return fmt.Sprintf("%d (set to %d)", rs.Weight, rs.EffectiveWeight)
	}
	if rs.EffectiveWeight == rs.Weight {
		return fmt.Sprint(rs.Weight)
	}
	return fmt.Sprintf("%d (now %d)", rs.Weight, rs.EffectiveWeight)
}

// lastResults is how long ago the checks of a server ran, each with the time that it took.
func lastResults(now time.Time, rs director.RealServerStatus) string {
	var list []string
	for _, c := range rs.Checks {
		if c.Last.IsZero() {
			list = append(list, c.Name+" not run")
			continue
		}
		list = append(list, fmt.Sprintf("%s %s, %s ago", c.Name, took(c.DurationSeconds), age(now, c.Last)))
	}
	return strings.Join(list, "; ")
}

// took is a time in the three figures that people want of it.
func took(s float64) string {
	d := time.Duration(s * float64(time.Second))
	for unit := time.Microsecond; unit < time.Second; unit *= 10 {
		if d < 1000*unit {
			return d.Round(unit).String()
		}
	}
	return d.Round(10 * time.Millisecond).String()
}

// since is how long a server has been in its state, and why: the server's reason, or else the checks' last errors.
func since(now time.Time, rs director.RealServerStatus) string {
	text := " for " + age(now, rs.Since)
	reason := rs.Reason
	for _, c := range rs.Checks {
		if rs.State == "up" && c.Error != "" {
			reason = cmp.Or(reason, "last check: "+c.Error)
		}
	}
	if reason != "" {
		text += ": " + printable(reason)
	}
	return text
}

// age is the time since t, as short as it is still useful.
func age(now, t time.Time) string {
	d := max(0, now.Sub(t))
	switch {
	case d < time.Minute:
		return d.Round(time.Second).String()
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}
