// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/holdfast-lb/holdfast/internal/director"
)

func newStatusCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:     "status",
		Short:   "Show the state of the running director",
		Long:    "Show the state of the running director: roles and why, addresses, services, real servers and why.",
		Example: "  holdfast status\n  holdfast status --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := g.client()
			if err != nil {
				return err
			}
			s, err := client.Status(cmd.Context())
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			if g.json {
				return printJSON(out, s)
			}
			_, err = io.WriteString(out, statusScreen(s, time.Now(), palette(g.color(out))))
			return err
		},
	}
}

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

// statusScreen is the state for a person.
func statusScreen(s director.Status, now time.Time, p palette) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, holdfast %s, up %s, configuration loaded %s ago\n", s.Name, s.Version, age(now, s.Started), age(now, s.Config.Loaded))
	problem(&b, "last reload failed, the old configuration is in force", s.Config.Error)
	problem(&b, "ipvs", s.IPVS.Error)
	problem(&b, "ipvs table changed by others and left so (drift = \"report\"), which takes to mend", s.IPVS.DriftLeft)
	if !s.Ready {
		fmt.Fprintln(&b, "! the first round of checks is not done")
	}
	for _, vr := range s.VirtualRouters {
		writeRouter(&b, vr, now, p)
		for _, peer := range vr.Peers {
			fmt.Fprintf(&b, "  peer %s: priority %d, last heard %s ago%s\n", peer.Address, peer.Priority, age(now, peer.LastSeen), differs(peer))
		}
		problem(&b, "addresses", vr.Error)
		for _, c := range vr.Contested {
			who := fmt.Sprintf("%d others answer", len(c.By))
			if len(c.By) == 1 {
				who = c.By[0].MAC + " answers"
			}
			problem(&b, fmt.Sprintf("%s contested for %s", c.Address, age(now, c.Since)), who+" ARP for it")
		}
	}
	writeSync(&b, s.ConnectionSync)
	for _, vs := range s.VirtualServers {
		fmt.Fprintf(&b, "\nvirtual_server %s: %s, %s, %s, %s\n", vs.Name, p.state(vs.State), vs.Place(), vs.Scheduler, vs.Forward)
		if vs.State == "up" && !vs.InTable {
			fmt.Fprintf(&b, "  in the table only while virtual_router %s serves its addresses\n", vs.Active)
		}
		if vs.Panic {
			problem(&b, "panic", vs.Reason)
		} else if vs.State == "down" || vs.Sorry {
			problem(&b, "down for "+age(now, vs.Since), vs.Reason)
		}
		table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
		for _, rs := range vs.RealServers {
			// The state comes last before free text, because the colour's bytes would widen its column.
			fmt.Fprintf(table, "  %s\t%s\tweight %s\t%d+%d conns\t%s\t%s\n", rs.Name, rs.Address, weight(rs),
				rs.ActiveConnections, rs.InactiveConnections, lastResults(now, rs), p.state(rs.State)+since(now, rs))
		}
		_ = table.Flush()
	}
	writeLeaving(&b, s.Leaving, now)
	return b.String()
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
	fmt.Fprintf(w, "\nconnection_sync on %s, id %d, follows virtual_router %s: %s\n", c.Interface, c.ID, c.VirtualRouter, halves)
	problem(w, "sync daemons", c.Error)
}

// writeLeaving writes the real servers that are not in the configuration any more.
func writeLeaving(w io.Writer, list []director.LeavingStatus, now time.Time) {
	if len(list) == 0 {
		return
	}
	fmt.Fprint(w, "\nleaving\n")
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, l := range list {
		end := "until its successor has a verdict"
		if l.Drain != nil {
			end = fmt.Sprintf("drains, %s left", max(0, l.Drain.Until.Sub(now)).Round(time.Second))
		}
		fmt.Fprintf(table, "  %s/%s\t%s of %s\tweight %d\t%d+%d conns%s\t%s\n", l.Service, l.Server, l.Address, l.VirtualAddress,
			l.EffectiveWeight, l.ActiveConnections, l.InactiveConnections, held(l.Persistent), end)
	}
	_ = table.Flush()
}

// width is that of a screen, which a line should not be longer than.
const width = 80

// writeRouter writes a virtual router's state, why, and what it is about. `explain` has the whole of it.
func writeRouter(w io.Writer, vr director.VirtualRouterStatus, now time.Time, p palette) {
	lasting := " for " + age(now, vr.Since)
	short := utf8.RuneCountInString("virtual_router "+vr.Name+": "+vr.State+lasting+": "+vr.Reason) <= width
	fmt.Fprintf(w, "\nvirtual_router %s: %s%s", vr.Name, p.state(vr.State), lasting)
	switch reason := []rune(vr.Reason); {
	case len(reason) == 0:
	case short:
		fmt.Fprintf(w, ": %s", vr.Reason)
	case len(reason) > width-2:
		fmt.Fprintf(w, "\n  %s…", string(reason[:width-3]))
	default:
		fmt.Fprintf(w, "\n  %s", vr.Reason)
	}
	priority := fmt.Sprint(vr.EffectivePriority)
	if vr.EffectivePriority != vr.Priority {
		priority += fmt.Sprintf(" (configured %d)", vr.Priority)
	}
	if vr.SyncGroup != "" {
		priority += ", sync group " + vr.SyncGroup
	}
	line := fmt.Sprintf("  id %d on %s, priority %s, addresses", vr.ID, vr.Interface, priority)
	all := slices.Concat(vr.Addresses, vr.ExcludedAddresses)
	const more = " and 999 more"
	for n, a := range all {
		room := width
		if n < len(all)-1 {
			room -= len(more)
		}
		if n > 0 && len(line)+1+len(a) > room {
			line += fmt.Sprintf(" and %d more", len(all)-n)
			break
		}
		line += " " + a
	}
	fmt.Fprintln(w, "\n"+line)
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
		fmt.Fprintf(w, "! %s: %s\n", what, strings.ReplaceAll(text, "\n", "; "))
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
