// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/holdfast-lb/holdfast/internal/director"
)

const (
	watchInterval = 2 * time.Second
	// watchLeast keeps a director from being asked all the time.
	watchLeast = 100 * time.Millisecond
	// watchPatience is how long one answer may take before the director counts as not reachable.
	watchPatience = 5 * time.Second
)

func newStatusCommand(g *globals) *cobra.Command {
	var watch bool
	var f statusFilter
	c := &cobra.Command{
		Use:   "status [--watch [INTERVAL]]",
		Short: "Show the state of the running director",
		Long: "Show the state of the running director: roles and why, addresses, services, real servers and why, in lines of at most\n" +
			"80 columns. With --watch it is shown again and again, each 2s or INTERVAL, until ^C, also while the director is started\n" +
			"again: on a terminal in place, else one below the other; with --json one line each.",
		Example: "  holdfast status\n  holdfast status --down\n  holdfast status --service web --json\n  holdfast status --watch 5s",
	}
	c.Flags().BoolVarP(&watch, "watch", "w", false, "show it again and again")
	c.Flags().BoolVar(&f.down, "down", false, "only what is not well, and real servers that are not up")
	c.Flags().StringSliceVar(&f.services, "service", nil, "only a virtual_server, by its `name`; may be repeated")
	every := watchInterval
	c.Args = func(cmd *cobra.Command, args []string) (err error) {
		if !watch {
			return cobra.NoArgs(cmd, args)
		}
		if len(args) == 1 {
			every, err = time.ParseDuration(args[0])
		}
		if err == nil && every < watchLeast {
			err = fmt.Errorf("an interval is at least %s", watchLeast)
		}
		return errors.Join(err, cobra.MaximumNArgs(1)(cmd, args))
	}
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		client, err := g.client()
		if err != nil {
			return err
		}
		return showState(cmd, g, watch, every, func(ctx context.Context) (director.Status, error) {
			s, err := client.Status(ctx)
			if err != nil {
				return s, err
			}
			return f.of(s)
		})
	}
	return c
}

// showState shows the state once, or again and again.
func showState(cmd *cobra.Command, g *globals, watch bool, every time.Duration, status func(context.Context) (director.Status, error)) error {
	out := cmd.OutOrStdout()
	if watch {
		ctx, stop := untilSignal(cmd.Context())
		defer stop()
		return watchStatus(ctx, g, status, every, out)
	}
	s, err := status(cmd.Context())
	if err != nil {
		return err
	}
	if g.json {
		return printJSON(out, s)
	}
	_, err = io.WriteString(out, statusScreen(s, time.Now(), palette(g.color(out))))
	return err
}

// statusFilter says what of the state is wanted.
type statusFilter struct {
	services []string // empty: all, and the virtual routers
	down     bool
}

func (f statusFilter) of(s director.Status) (director.Status, error) {
	if len(f.services) > 0 {
		var names []string
		for _, vs := range s.VirtualServers {
			names = append(names, vs.Name)
		}
		for _, name := range f.services {
			if !slices.Contains(names, name) {
				return s, director.NoService(name, names)
			}
		}
		s.VirtualRouters = []director.VirtualRouterStatus{}
		s.VirtualServers = slices.DeleteFunc(s.VirtualServers, func(vs director.VirtualServerStatus) bool { return !slices.Contains(f.services, vs.Name) })
		s.Leaving = slices.DeleteFunc(s.Leaving, func(l director.LeavingStatus) bool { return !slices.Contains(f.services, l.Service) })
	}
	if f.down {
		s.VirtualRouters = slices.DeleteFunc(s.VirtualRouters, func(vr director.VirtualRouterStatus) bool {
			return (vr.State == "master" || vr.State == "backup") && vr.Error == "" && len(vr.Contested) == 0
		})
		for i, vs := range s.VirtualServers {
			s.VirtualServers[i].RealServers = slices.DeleteFunc(vs.RealServers, func(rs director.RealServerStatus) bool { return rs.State == "up" })
		}
		s.VirtualServers = slices.DeleteFunc(s.VirtualServers, func(vs director.VirtualServerStatus) bool {
			return vs.State == "up" && !vs.Panic && !vs.Sorry && len(vs.RealServers) == 0
		})
	}
	return s, nil
}

// watchStatus shows the state again and again until ctx ends, which is no failure. A director that does not answer may be
// started again.
func watchStatus(ctx context.Context, g *globals, status func(context.Context) (director.Status, error), every time.Duration, out io.Writer) error {
	p := palette(g.color(out))
	tick := time.NewTicker(every)
	defer tick.Stop()
	var lost time.Time // since when it does not answer
	last := ""         // that it said
	for {
		asking, cancel := context.WithTimeout(ctx, watchPatience)
		s, err := status(asking)
		cancel()
		if ctx.Err() != nil {
			return nil
		}
		now := time.Now()
		var text strings.Builder
		switch {
		case err != nil:
			if lost.IsZero() {
				lost = now
			}
			problem(&text, fmt.Sprintf("not reachable since %s (%s)", lost.Format(time.TimeOnly), age(now, lost)), oneLine(err))
		case !g.json:
			lost, last = time.Time{}, statusScreen(s, now, p)
		}
		if err := showStatus(g, s, now, text.String(), last, out); err != nil {
			return fmt.Errorf("show status: %w", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// showStatus writes one of the states that are watched, or the trouble there is in getting it.
func showStatus(g *globals, s director.Status, now time.Time, trouble, last string, out io.Writer) error {
	f, _ := out.(*os.File)
	head := now.Format(time.DateTime) + "\n"
	var err error
	switch {
	case g.json && trouble == "":
		lines := json.NewEncoder(out)
		lines.SetEscapeHTML(false)
		return lines.Encode(s)
	case g.json:
		_, err = fmt.Fprintf(os.Stderr, "holdfast: %s", strings.TrimPrefix(trouble, "! "))
	case isTerminal(f):
		_, height, _ := term.GetSize(int(f.Fd()))
		if trouble != "" && last != "" {
			trouble += "  before that it said:\n"
		}
		_, err = io.WriteString(out, frame(head+trouble+last, height))
	case trouble != "":
		_, err = io.WriteString(out, head+trouble+"\n")
	default:
		_, err = io.WriteString(out, head+last+"\n")
	}
	return err
}

// frame draws a text over what a terminal of so many lines shows, without what does not fit. A serial line says 0, which is
// taken for the 24 of most.
func frame(text string, height int) string {
	if height <= 0 {
		height = 24
	}
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if most := max(height-1, 2); len(lines) > most {
		more := len(lines) - most + 1
		lines = append(lines[:most-1:most-1], fmt.Sprintf("… %d more lines: --down or --service NAME shows less", more))
	}
	return "\x1b[H" + strings.Join(lines, "\x1b[K\n") + "\x1b[K\n\x1b[J"
}
