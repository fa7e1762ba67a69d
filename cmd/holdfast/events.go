// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-lb/holdfast/configs"
	"github.com/holdfast-lb/holdfast/internal/director"
)

// eventsLast is how many events are printed if nothing is said.
const eventsLast = 20

// again is how long a command that goes on waits before it asks a director again that it does not reach.
const again = time.Second

func newEventsCommand(g *globals) *cobra.Command {
	q := director.EventQuery{}
	var follow bool
	var since time.Duration
	c := &cobra.Command{
		Use:   "events",
		Short: "Print the last events, and new ones",
		Long: "Print the last events of the running director: each change of state with its reason, the oldest first, and with\n" +
			"--follow each new one, until ^C. Following goes on when the director is started again, and says so. A director keeps\n" +
			"its last 1,000 events in memory; `journalctl -u holdfast` has the older ones. With --json and --follow, each event is\n" +
			"one line; those of kind \"stream\" say what was missed.",
		Example: "  holdfast events --since 1h\n  holdfast events --follow --kind virtual_router\n  holdfast events --follow --json",
		Args:    cobra.NoArgs,
	}
	flags := c.Flags()
	flags.BoolVarP(&follow, "follow", "f", false, "print new events as they come")
	flags.DurationVar(&since, "since", 0, "only events of this `time` until now, such as 10m")
	flags.IntVarP(&q.Last, "last", "n", eventsLast, "at most so `many` of those that there are (default with --since: all)")
	flags.StringSliceVar(&q.Kinds, "kind", nil, "only events of a `kind`: "+strings.Join(configs.EventKinds, ", ")+"; may be repeated")
	flags.StringVar(&q.Name, "name", "", "only events of what has this `name`, such as web or web/web1")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		if q.Last < 0 || since < 0 {
			g.started = false
			return errors.New("--last and --since are not below 0")
		}
		for _, kind := range q.Kinds {
			if !slices.Contains(configs.EventKinds, kind) {
				g.started = false
				return fmt.Errorf("no event is of kind %q: there are %s", kind, strings.Join(configs.EventKinds, ", "))
			}
		}
		if since > 0 {
			q.Since = time.Now().Add(-since)
			if !flags.Changed("last") {
				q.Last = -1
			}
		}
		client, err := g.client()
		if err != nil {
			return err
		}
		if !follow {
			return listEvents(cmd.Context(), g, client, q, cmd.OutOrStdout())
		}
		ctx, stop := untilSignal(cmd.Context())
		defer stop()
		return followEvents(ctx, g, client, q, cmd.OutOrStdout(), cmd.ErrOrStderr())
	}
	return c
}

// untilSignal is a context that ends when the user has had enough, which is no failure.
func untilSignal(ctx context.Context) (context.Context, context.CancelFunc) {
	if ctx == nil {
		ctx = context.Background()
	}
	return signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
}

func listEvents(ctx context.Context, g *globals, client director.Client, q director.EventQuery, out io.Writer) error {
	list, err := client.Events(ctx, q)
	if err != nil {
		return err
	}
	if g.json {
		return printJSON(out, list)
	}
	p := palette(g.color(out))
	for _, e := range list.Events {
		if _, err := fmt.Fprintln(out, eventLineOf(e, p)); err != nil {
			return err
		}
	}
	return nil
}

// followEvents prints events until ctx ends, over restarts of the director. The first time it has to be there.
func followEvents(ctx context.Context, g *globals, client director.Client, q director.EventQuery, out, errs io.Writer) error {
	p := palette(g.color(out))
	lines := json.NewEncoder(out)
	lines.SetEscapeHTML(false)
	var writeErr error
	said := false // that it is gone
	each := func(e director.Recorded) error {
		said = false
		if g.json {
			writeErr = lines.Encode(e)
		} else {
			_, writeErr = fmt.Fprintln(out, eventLineOf(e, p))
		}
		return writeErr
	}
	for {
		err := client.FollowEvents(ctx, &q, each)
		switch {
		case ctx.Err() != nil:
			return nil
		case writeErr != nil:
			return fmt.Errorf("print events: %w", writeErr)
		case q.Run == "": // it was never there
			return err
		}
		if !said {
			fmt.Fprintf(errs, "holdfast: %s; waiting for it\n", oneLine(err))
		}
		said = true
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(again):
		}
	}
}

// eventLineOf is an event for a person, in one line.
func eventLineOf(e director.Recorded, p palette) string {
	text := e.Time.Local().Format("2006-01-02 15:04:05.000") + "  " + e.Kind
	if e.Name != "" {
		text += " " + e.Name
	}
	text += ": "
	if e.From != "" {
		text += p.state(e.From) + " -> "
	}
	text += p.state(e.To)
	if e.Reason != "" {
		text += ": " + printable(strings.ReplaceAll(e.Reason, "\n", "; "))
	}
	return text
}
