// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-lb/holdfast/internal/director"
)

// waitEvery is how often `drain --wait` asks.
const waitEvery = time.Second

func newDrainCommand(g *globals) *cobra.Command {
	var timeout time.Duration
	var wait bool
	c := &cobra.Command{
		Use:   "drain SERVICE/SERVER",
		Short: "Take a real server out, its connections last",
		Long: "Take a real server out on this director: it gets no new connections, whatever its checks say, and leaves the IPVS\n" +
			"table when those that it has have ended, after drain_timeout at the latest. It stays out, over reloads and restarts,\n" +
			"until `holdfast undrain`. The other director has a table of its own: give the command there, too.",
		Example: "  holdfast drain web/web1\n  holdfast drain web/web1 --timeout 10m --wait && ssh web1 reboot",
		Args:    cobra.ExactArgs(1),
	}
	c.Flags().DurationVar(&timeout, "timeout", 0, "cut what is left after this `time`; 0s: at once (default: the service's drain_timeout)")
	c.Flags().BoolVar(&wait, "wait", false, "return when no connection is left, or the time is over")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		var limit *time.Duration
		if cmd.Flags().Changed("timeout") {
			limit = &timeout
		}
		command := "drain " + args[0]
		if limit != nil {
			command += " --timeout " + limit.String()
		}
		client, err := g.client()
		if err != nil {
			return err
		}
		o, err := client.Drain(cmd.Context(), args[0], limit)
		if err != nil {
			return err
		}
		if wait {
			if o.State, err = waitDrained(cmd.Context(), client, args[0]); err != nil {
				return err
			}
		}
		return g.printOverride(cmd.OutOrStdout(), o, command)
	}
	return c
}

// waitDrained returns when a server has left the table.
func waitDrained(ctx context.Context, client director.Client, name string) (director.RealServerStatus, error) {
	tick := time.NewTicker(waitEvery)
	defer tick.Stop()
	for {
		rs, err := client.RealServer(ctx, name)
		switch {
		case err != nil:
			return rs, err
		case rs.Drain == nil:
			return rs, fmt.Errorf("drain %s: it was taken back meanwhile, and is %s", name, rs.State)
		case !rs.Drain.Ended.IsZero():
			return rs, nil
		}
		select {
		case <-ctx.Done():
			return rs, ctx.Err()
		case <-tick.C:
		}
	}
}

func newUndrainCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:     "undrain SERVICE/SERVER",
		Short:   "Take a drained real server back",
		Long:    "Take back a real server that `holdfast drain` has taken out on this director. It gets traffic again if its checks pass.",
		Example: "  holdfast undrain web/web1",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := g.client()
			if err != nil {
				return err
			}
			o, err := client.Undrain(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return g.printOverride(cmd.OutOrStdout(), o, "undrain "+args[0])
		},
	}
}

func newWeightCommand(g *globals) *cobra.Command {
	var reset bool
	c := &cobra.Command{
		Use:   "weight SERVICE/SERVER {N | --reset}",
		Short: "Give a real server another weight",
		Long: "Give a real server another weight than the configured one, on this director, over reloads and restarts, until\n" +
			"--reset. It is from 0 (no new connections) to 65535, and also counts instead of one that its checks ask for.",
		Example: "  holdfast weight web/web1 10\n  holdfast weight web/web1 --reset",
	}
	c.Flags().BoolVar(&reset, "reset", false, "as configured again")
	c.Args = func(cmd *cobra.Command, args []string) error {
		if reset {
			return cobra.ExactArgs(1)(cmd, args)
		}
		if err := cobra.ExactArgs(2)(cmd, args); err != nil {
			return err
		}
		if _, err := strconv.ParseUint(args[1], 10, 16); err != nil {
			return fmt.Errorf("a weight is a number from 0 to 65535, not %q", args[1])
		}
		return nil
	}
	c.RunE = func(cmd *cobra.Command, args []string) error {
		var weight *uint32
		if !reset {
			n, err := strconv.ParseUint(args[1], 10, 16)
			if err != nil {
				return err
			}
			w := uint32(n)
			weight = &w
		}
		client, err := g.client()
		if err != nil {
			return err
		}
		o, err := client.SetWeight(cmd.Context(), args[0], weight)
		if err != nil {
			return err
		}
		what := "weight " + strings.Join(args, " ")
		if reset {
			what += " --reset"
		}
		return g.printOverride(cmd.OutOrStdout(), o, what)
	}
	return c
}

// printOverride prints what became of an order, and what to do on the other directors.
func (g *globals) printOverride(w io.Writer, o director.Override, command string) error {
	if g.json {
		return printJSON(w, o)
	}
	rs := o.State
	text := fmt.Sprintf("%s/%s: %s, weight %s", o.Service, o.Server, rs.State, weight(rs))
	if rs.Reason != "" {
		text += "; " + printable(rs.Reason)
	}
	if n := rs.ActiveConnections + rs.InactiveConnections; rs.InTable && n > 0 {
		text += fmt.Sprintf("; %d active and %d inactive connections%s", rs.ActiveConnections, rs.InactiveConnections, held(rs.Persistent))
	}
	text += "\n"
	others := []string{"any other one"}
	if len(o.Peers) > 0 {
		others = nil
		for _, p := range o.Peers {
			others = append(others, p.String())
		}
	}
	text += fmt.Sprintf("this director only; on %s: holdfast %s\n", strings.Join(others, ", "), command)
	_, err := io.WriteString(w, text)
	return err
}
