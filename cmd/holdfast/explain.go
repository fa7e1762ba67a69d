// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-lb/holdfast/internal/director"
)

func newExplainCommand(g *globals) *cobra.Command {
	explain := &cobra.Command{
		Use:   "explain",
		Short: "Show why something is in its state",
		Long:  "Show why a virtual router or a real server of the running director is in its state, and what would change it.",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			g.started = false
			return errors.New("it takes what to explain: router NAME, or server SERVICE/SERVER")
		},
	}
	explain.AddCommand(&cobra.Command{
		Use:   "router NAME",
		Short: "Show why a virtual router is in its state",
		Long: "Show why a virtual router is in its state: what its priority is made of, what would have to happen for it to\n" +
			"become master, its sync group, timers, peers, adverts and addresses.",
		Example: "  holdfast explain router web",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return printExplanation(cmd.Context(), g, args[0], []string{"virtual_router", "virtual_address", "failover"}, cmd.OutOrStdout(),
				func(s director.Status, name string, events []director.Recorded) (explanation, error) {
					e, err := newExplanation(s, name)
					e.Events = events
					return e, err
				})
		},
	})
	explain.AddCommand(newExplainServerCommand(g))
	return explain
}

// printExplanation prints what find makes of the status of the director, and the last events of these kinds.
func printExplanation[E interface {
	text(time.Time, palette) string
}](
	ctx context.Context, g *globals, name string, kinds []string, out io.Writer,
	find func(director.Status, string, []director.Recorded) (E, error),
) error {
	client, err := g.client()
	if err != nil {
		return err
	}
	s, err := client.Status(ctx)
	if err != nil {
		return err
	}
	events, err := client.Events(ctx, director.EventQuery{Name: name, Kinds: kinds, Last: explainEvents})
	if err != nil {
		return err
	}
	e, err := find(s, name, events.Events)
	if err != nil {
		return err
	}
	if g.json {
		return printJSON(out, e)
	}
	p := palette(g.color(out))
	text := e.text(time.Now(), p)
	if len(events.Events) > 0 {
		text += "\nlast events\n"
		for _, e := range events.Events {
			text += "  " + eventLineOf(e, p) + "\n"
		}
	}
	_, err = io.WriteString(out, text)
	return err
}

// explainEvents is how many events of a thing are shown.
const explainEvents = 5

// explanation is all that is known of a virtual router.
type explanation struct {
	director.VirtualRouterStatus
	Members []groupMember       `json:"sync_group_members"` // the others of its sync group
	Outlook []string            `json:"outlook"`            // what would have to happen for another role
	Events  []director.Recorded `json:"events,omitempty"`   // the last ones
}

type groupMember struct {
	Name   string `json:"name"`
	State  string `json:"state"`
	Reason string `json:"reason"`
}

func newExplanation(s director.Status, name string) (explanation, error) {
	var names []string
	for _, vr := range s.VirtualRouters {
		names = append(names, vr.Name)
	}
	at := slices.Index(names, name)
	if at < 0 {
		return explanation{}, fmt.Errorf("no virtual_router %q runs here: there is %s", name, cmp.Or(strings.Join(names, ", "), "none"))
	}
	vr := s.VirtualRouters[at]
	e := explanation{VirtualRouterStatus: vr, Members: []groupMember{}, Outlook: outlook(vr)}
	for _, other := range s.VirtualRouters {
		if vr.SyncGroup != "" && other.SyncGroup == vr.SyncGroup && other.Name != name {
			e.Members = append(e.Members, groupMember{other.Name, other.State, other.Reason})
		}
	}
	return e, nil
}

// outlook says what would have to happen for a virtual router to become master, or to stop being it.
func outlook(vr director.VirtualRouterStatus) []string {
	var list []string
	switch vr.State {
	case "master":
		list = append(list, fmt.Sprintf("stays master until one with a priority above %d takes over", vr.EffectivePriority))
		if vr.Unready != "" {
			list = append(list, "leaves the role to any other master that it hears: "+vr.Unready)
		} else if vr.SteppedDown != nil {
			list = append(list, "leaves the role to any other master that it hears, by an operator's order")
		}
		return list
	case "fault":
		for _, p := range vr.Parts {
			if p.Failed && p.Weight == 0 {
				list = append(list, fmt.Sprintf("takes no part before the tracked %s %s has recovered", p.Kind, p.Name))
			}
		}
		if len(list) == 0 {
			list = append(list, "takes no part before the fault has ended")
		}
		return list
	case "backup":
		list = append(list, backupOutlook(vr)...)
		if vr.SyncGroup != "" {
			list = append(list, fmt.Sprintf("but only together with all of sync group %s", vr.SyncGroup))
		}
		return list
	}
	return []string{"has not started"}
}

func backupOutlook(vr director.VirtualRouterStatus) []string {
	wait := seconds(vr.MasterDownSeconds)
	at := slices.IndexFunc(vr.Peers, func(p director.PeerStatus) bool { return p.Address.String() == vr.Master })
	if at < 0 {
		return []string{fmt.Sprintf("becomes master when no other is heard for %s", wait)}
	}
	master := vr.Peers[at]
	list := []string{fmt.Sprintf("becomes master when %s is not heard for %s", master.Address, wait)}
	if vr.EffectivePriority > master.Priority {
		return append(list, preemption(vr, master))
	}
	list = append(list, fmt.Sprintf("or with a priority above %d, which %s has", master.Priority, master.Address))
	if best := bestPriority(vr); best != int(vr.EffectivePriority) {
		is := "still not enough"
		if best > int(master.Priority) {
			is = "enough"
		}
		list = append(list, fmt.Sprintf("with all that is tracked well its priority is %d: %s", best, is))
	}
	return list
}

// preemption says what keeps a backup from taking over from a lower master.
func preemption(vr director.VirtualRouterStatus, master director.PeerStatus) string {
	over := fmt.Sprintf("its priority is higher than %d of %s", master.Priority, master.Address)
	switch {
	case !vr.Preempt && vr.Priority != 255:
		return over + ", but preempt is off"
	case vr.Unready != "":
		return over + ", but " + vr.Unready
	case vr.SteppedDown != nil:
		return over + ", but an operator has made it step down"
	}
	if vr.PreemptDelaySeconds > 0 {
		return fmt.Sprintf("%s: it takes over after preempt_delay, which is %s", over, seconds(vr.PreemptDelaySeconds))
	}
	return over + ": it takes over at the end of its timer"
}

// bestPriority is the priority if nothing that is tracked had failed.
func bestPriority(vr director.VirtualRouterStatus) int {
	if vr.Priority == 255 {
		return 255
	}
	sum := int(vr.Priority)
	for _, p := range vr.Parts {
		if p.Failed || p.Pending {
			sum += max(p.Weight, 0)
		} else {
			sum += p.Value
		}
	}
	return min(max(sum, 1), 254)
}

// text is the explanation for a person.
func (e explanation) text(now time.Time, p palette) string {
	var b strings.Builder
	fmt.Fprintf(&b, "virtual_router %s: %s for %s\n", e.Name, p.state(e.State), age(now, e.Since))
	fmt.Fprintf(&b, "  %s\n", cmp.Or(e.Reason, "not started"))
	if text := steppedDownText(e.SteppedDown, now); text != "" {
		fmt.Fprintf(&b, "  %s\n", text)
	}
	for _, line := range e.Outlook {
		fmt.Fprintf(&b, "  %s\n", line)
	}
	e.writePriority(&b, now)
	if e.SyncGroup != "" {
		fmt.Fprintf(&b, "\nsync_group %s\n", e.SyncGroup)
		for _, m := range e.Members {
			fmt.Fprintf(&b, "  %s: %s: %s\n", m.Name, p.state(m.State), m.Reason)
		}
	}
	fmt.Fprintf(&b, "\ntimers\n  adverts every %s, the master's every %s\n", seconds(e.AdvertiseIntervalSeconds), seconds(e.MasterIntervalSeconds))
	fmt.Fprintf(&b, "  master-down interval %s\n  fired late by at most %s\n", seconds(e.MasterDownSeconds), seconds(e.LatenessWorstSeconds))
	e.writeAdverts(&b, now)
	e.writeAddresses(&b)
	for _, c := range e.Contested {
		problem(&b, fmt.Sprintf("%s contested for %s", c.Address, age(now, c.Since)), c.Reason)
	}
	return b.String()
}

// writePriority writes the sum.
func (e explanation) writePriority(w io.Writer, now time.Time) {
	fmt.Fprintf(w, "\npriority\n  %4d  configured\n", e.Priority)
	sum := int(e.Priority)
	for _, p := range e.Parts {
		value := fmt.Sprintf("%+d", p.Value)
		if !p.Pending {
			sum += p.Value
		}
		state := "well"
		switch {
		case p.Pending:
			value, state = "?", "pending"
		case p.Failed && p.Weight == 0:
			value, state = "", "failed, which is a fault"
		case p.Failed:
			state = "failed"
		}
		if p.Detail != "" {
			state += ": " + p.Detail
		}
		if !p.Last.IsZero() {
			state += ", " + fineAge(now, p.Last) + " ago"
		}
		if p.DurationSeconds > 0 {
			state += ", took " + seconds(p.DurationSeconds)
		}
		fmt.Fprintf(w, "  %4s  %s %s %s\n", value, p.Kind, p.Name, state)
		for line := range strings.Lines(p.Output) {
			fmt.Fprintf(w, "        | %s\n", printable(line))
		}
	}
	note := ""
	switch {
	case sum == int(e.EffectivePriority):
	case e.Priority == 255:
		note = ": the owner's does not change"
	default:
		note = ": it stays within 1 and 254"
	}
	fmt.Fprintf(w, "  %4d  in the election%s\n", e.EffectivePriority, note)
}

func (e explanation) writeAdverts(w io.Writer, now time.Time) {
	fmt.Fprintf(w, "\nadverts, VRRP version %d\n  %d sent, %d received\n", e.Version, e.AdvertsSent, e.AdvertsReceived)
	for _, reason := range slices.Sorted(maps.Keys(e.AdvertsRefused)) {
		fmt.Fprintf(w, "  %d refused: %s\n", e.AdvertsRefused[reason], reason)
	}
	for _, p := range e.Peers {
		fmt.Fprintf(w, "  %s: priority %d, every %s, checksum %s, last heard %s ago%s\n",
			p.Address, p.Priority, seconds(p.IntervalSeconds), p.Checksum, fineAge(now, p.LastSeen), differs(p))
	}
}

func (e explanation) writeAddresses(w io.Writer) {
	fmt.Fprint(w, "\naddresses\n")
	problem(w, "not as wanted", e.Error)
	write := func(list []string, note string) {
		for _, a := range list {
			held := "not here"
			if slices.Contains(e.HeldAddresses, a) {
				held = "here"
			}
			fmt.Fprintf(w, "  %s: %s%s\n", a, held, note)
		}
	}
	write(e.Addresses, "")
	write(e.ExcludedAddresses, ", not carried in adverts")
}

// printable is a line that a program or a server has written, without what could steer a terminal.
func printable(line string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return -1
		}
		return r
	}, strings.ToValidUTF8(line, "?"))
}

// fineAge is the time since t, and finer than age if that is short.
func fineAge(now, t time.Time) string {
	if d := now.Sub(t); d >= 0 && d < 10*time.Second {
		return d.Round(time.Millisecond).String()
	}
	return age(now, t)
}

// seconds is a time as short as it is still exact to a tenth of a millisecond.
func seconds(s float64) string {
	return time.Duration(s * float64(time.Second)).Round(100 * time.Microsecond).String()
}
