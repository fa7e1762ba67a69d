// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-lb/holdfast/configs"
	"github.com/holdfast-lb/holdfast/vrrp"
	"github.com/holdfast-lb/holdfast/vrrp/vrrpsim"
)

// simulateOptions are the flags of simulate.
type simulateOptions struct {
	events string
	length time.Duration
	seed   uint64
	loss   float64
	delay  time.Duration
}

func newSimulateCommand(g *globals) *cobra.Command {
	var o simulateOptions
	cmd := &cobra.Command{
		Use:   "simulate FILE FILE…",
		Short: "Play the election of several configurations in advance",
		Long: "Play the election of these configurations, one of each director, through a script of events: who is master when,\n" +
			"why, and for how long nobody is. Nothing on this host is touched or asked, and no time passes.\n" +
			"Without --events every preferred master stops, returns, crashes and returns; everything tracked and every\n" +
			"interface fails and recovers; every segment is cut and healed. docs/simulate.md has the language of the events.\n" +
			"Exit code 0 if all was as it should be whenever the network was quiet; 1 if not.",
		Example: "  holdfast simulate lb1.hcl lb2.hcl\n  holdfast simulate lb1.hcl lb2.hcl --events night.txt --json",
		Args:    cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, paths []string) error {
			return simulate(g, o, paths, cmd.OutOrStdout())
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.events, "events", "", "a `file` with the events, one a line: TIME TARGET ACTION")
	flags.DurationVar(&o.length, "for", 0, "how long to go on (default: a while after the last event)")
	flags.Uint64Var(&o.seed, "seed", 1, "what all chance follows from")
	flags.Float64Var(&o.loss, "loss", 0, "the part of the adverts that is lost, 0 to 1")
	flags.DurationVar(&o.delay, "delay", time.Millisecond, "how long an advert is on its way at most")
	return cmd
}

// simulation is what simulate --json prints.
type simulation struct {
	Directors []simulated `json:"directors"`
	Seed      uint64      `json:"seed"`
	OK        bool        `json:"ok"`
	Notes     []string    `json:"notes"` // what was assumed
	vrrpsim.Report
}

// simulated is one director and its configuration.
type simulated struct {
	Name string `json:"name"`
	Path string `json:"path"`
}

func simulate(g *globals, o simulateOptions, paths []string, out io.Writer) error {
	if !(o.loss >= 0 && o.loss <= 1) || min(o.delay, o.length) < 0 || max(o.delay, o.length) > vrrpsim.Longest {
		return &exitError{exitUsage, errors.New("simulate: --loss takes 0 to 1, --delay and --for a duration of at most a year (8760h)")}
	}
	list, err := loadAll(g, paths, out)
	if err != nil {
		return err
	}
	s := simulation{Seed: o.seed, Notes: []string{}}
	n := vrrpsim.NewNetwork(o.seed)
	n.Loss, n.MinDelay, n.MaxDelay = o.loss, min(o.delay, 100*time.Microsecond), o.delay
	names := directorNames(list)
	for i, cfg := range list {
		s.Directors = append(s.Directors, simulated{names[i], paths[i]})
		addDirector(n, names[i], cfg, i)
	}
	if len(n.Elections()) == 0 {
		return errors.New("simulate: no virtual router in these configurations: there is no election to play")
	}
	s.Notes = append(s.Notes, networks(n)...)
	s.Notes = append(s.Notes, ties(n)...)
	events, length, err := script(n, o)
	if err != nil {
		return fmt.Errorf("simulate: %w", err)
	}
	s.Report = n.Play(events, length)
	s.OK = len(s.Findings) == 0
	if g.json {
		err = printJSON(out, s)
	} else {
		err = s.write(out)
	}
	if err != nil {
		return fmt.Errorf("print: %w", err)
	}
	if !s.OK {
		return fmt.Errorf("simulate: %s: correct the configurations and simulate again", plural(len(s.Findings), "finding"))
	}
	return nil
}

// loadAll loads every configuration. What is wrong with them is printed as check does.
func loadAll(g *globals, paths []string, out io.Writer) ([]*configs.Config, error) {
	var list []*configs.Config
	var all configs.Diagnostics
	for _, path := range paths {
		cfg, diags := configs.Load(path, g.vars...)
		list = append(list, cfg)
		all = append(all, slices.DeleteFunc(diags, func(d configs.Diagnostic) bool { return d.Severity != configs.SeverityError })...)
	}
	if len(all) == 0 {
		return list, nil
	}
	err := error(nil)
	if g.json {
		err = printJSON(out, checkResult{Path: strings.Join(paths, " "), Errors: all.Errors(), Diagnostics: all})
	} else {
		err = all.Write(out, g.color(out))
	}
	if err != nil {
		return nil, fmt.Errorf("print: %w", err)
	}
	return nil, fmt.Errorf("simulate: %s: correct the configurations and simulate again", plural(all.Errors(), "error"))
}

// directorNames are the names of the directors. Those of the same name are told apart by their files.
func directorNames(list []*configs.Config) []string {
	times := make(map[string]int)
	for _, c := range list {
		times[c.Director.Name]++
	}
	var names []string
	for _, c := range list {
		name := c.Director.Name
		if times[name] > 1 {
			name = strings.TrimSuffix(filepath.Base(c.Path), ".hcl")
		}
		for n, base := 2, name; slices.Contains(names, name); n++ {
			name = base + "-" + strconv.Itoa(n)
		}
		names = append(names, name)
	}
	return names
}

// addDirector gives the network the nth director.
func addDirector(n *vrrpsim.Network, name string, cfg *configs.Config, nth int) {
	d := n.Add(name)
	for _, vr := range cfg.VirtualRouters {
		r := vrrpsim.Router{Config: vr, Source: source(vr, nth)}
		for _, g := range cfg.SyncGroups {
			if slices.Contains(g.Members, vr.Name) {
				r.Group = g.Name
			}
		}
		for _, t := range cfg.Trackers {
			if t.Key.Router == vr.Name {
				what := vrrpsim.Tracked{Kind: t.Key.Kind.String(), Name: t.Key.Name}
				r.Tracked = append(r.Tracked, vrrpsim.Weighted{Tracked: what, Weight: t.Weight})
			}
		}
		for _, t := range cfg.TrackedServices {
			if t.Router == vr.Name {
				what := vrrpsim.Tracked{Kind: "service", Name: t.Service}
				r.Tracked = append(r.Tracked, vrrpsim.Weighted{Tracked: what, Weight: t.Weight})
			}
		}
		d.Add(r)
	}
}

// source is where the adverts of the nth director come from: an assumption, unless the configuration says it.
func source(vr vrrp.Config, nth int) netip.Addr {
	switch last := byte(nth + 1); {
	case vr.Unicast.Enabled():
		return vr.Unicast.Source
	case vr.Source.IsValid():
		return vr.Source
	case vr.Family6():
		return netip.AddrFrom16([16]byte{0: 0xfe, 1: 0x80, 15: last})
	default:
		return netip.AddrFrom4([4]byte{192, 0, 2, last})
	}
}

// networks says where interfaces of different names are assumed to be on the same network.
func networks(n *vrrpsim.Network) (notes []string) {
	for _, e := range n.Elections() {
		for i, r := range e[1:] {
			a := e[i]
			if a.Config.Interface != r.Config.Interface && !a.Config.Unicast.Enabled() {
				notes = append(notes, fmt.Sprintf("%s is on %s of %s and on %s of %s, which are assumed to be on the same network",
					r.Config.Name, a.Config.Interface, a.Director().Name, r.Config.Interface, r.Director().Name))
			}
		}
	}
	return notes
}

// ties says where it is an assumption who wins.
func ties(n *vrrpsim.Network) (notes []string) {
	for _, e := range n.Elections() {
		for i, r := range e[1:] {
			a := e[i]
			known := a.Config.Unicast.Enabled() || a.Config.Source.IsValid() && r.Config.Source.IsValid()
			if a.Config.Priority == r.Config.Priority && !known {
				notes = append(notes, fmt.Sprintf("%s has priority %d on %s and on %s: then the higher address wins, which is assumed to be that of %s",
					r.Config.Name, r.Config.Priority, a.Director().Name, r.Director().Name, r.Director().Name))
			}
		}
	}
	return notes
}

// script is what to play, and for how long.
func script(n *vrrpsim.Network, o simulateOptions) ([]vrrpsim.Event, time.Duration, error) {
	name := o.events
	var src []byte
	var length time.Duration
	if name == "" {
		var text string
		text, length = n.DefaultScript()
		name, src = "default script", []byte(text)
	} else {
		var err error
		if src, err = os.ReadFile(name); err != nil {
			return nil, 0, fmt.Errorf("read events: %w", err)
		}
	}
	events, err := vrrpsim.ParseScript(name, src, n)
	switch {
	case err != nil:
		return nil, 0, err
	case len(events) == 0:
		return nil, 0, fmt.Errorf("%s: no event in it: an event is TIME TARGET ACTION, such as %q", name, "0s all boot")
	case length == 0:
		last := events[len(events)-1]
		length = last.At + last.Lasts + n.Settle().Truncate(time.Second) + time.Second
	}
	if o.length > 0 {
		length = o.length
		events = slices.DeleteFunc(events, func(e vrrpsim.Event) bool { return e.At >= length })
	}
	return events, length, nil
}

// write prints the time line and the verdict for a person.
func (s simulation) write(out io.Writer) error {
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	for _, n := range s.Notes {
		fmt.Fprintf(w, "note: %s\n", n)
	}
	for _, e := range s.Timeline {
		at := fmt.Sprintf("%.3f s", float64(e.At))
		switch {
		case e.Transition != nil:
			c := e.Transition
			fmt.Fprintf(w, "%11s\t%s\t%s\t%s -> %s\t%d\t%s\n", at, c.Director, c.Router, c.From, c.To, c.Priority, c.Reason)
		case e.Gap != nil:
			fmt.Fprintf(w, "%11s\t%s\n", at, e.Gap)
		default:
			_ = w.Flush() // each event has columns of its own
			fmt.Fprintf(w, "%s\n", eventLine(e))
		}
	}
	_ = w.Flush()
	for _, f := range s.Findings {
		fmt.Fprintf(&text, "wrong: %s\n", f)
	}
	if s.OK {
		fmt.Fprintln(&text, "every virtual router had exactly one master once quiet")
	}
	_, err := io.WriteString(out, text.String())
	return err
}

// eventLine is the line of an event: which directors it happened to is said where its text does not.
func eventLine(e vrrpsim.Entry) string {
	text := fmt.Sprintf("%v: %s", e.At, e.Event)
	target, _, _ := strings.Cut(e.Event, " ")
	switch {
	case target == "network" || len(e.Directors) == 1 && e.Directors[0] == target:
		return text
	case len(e.Directors) == 0:
		return text + " (nothing to do)"
	}
	return text + " (" + strings.Join(e.Directors, ", ") + ")"
}
