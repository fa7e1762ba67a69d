// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/holdfast-lb/holdfast/configs"
	"github.com/holdfast-lb/holdfast/internal/director"
	"github.com/holdfast-lb/holdfast/vrrp"
)

func newReleaseCommand(g *globals) *cobra.Command {
	var after string
	cmd := &cobra.Command{
		Use:   "release",
		Short: "Remove from this host what a director that was killed has left",
		Long: "Remove from this host what a director that was killed has left: the addresses, routes and virtual MAC links that\n" +
			"its state file names. Services in the IPVS table stay, for the next start. It is refused while a director runs.\n" +
			"With --after it does what is right after a service has ended so, for ExecStopPost= of a systemd unit: nothing after\n" +
			"a success or with on_exit = \"keep\"; all after a timeout; else systemd starts it again, and virtual routers that go\n" +
			"on with their addresses within the lease are left alone.",
		Example: "  holdfast release\n  holdfast release --after watchdog",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("after") && after == "" {
				g.started = false
				return errors.New("--after is empty: it takes what systemd calls $SERVICE_RESULT")
			}
			return g.release(cmd.OutOrStdout(), cmd.ErrOrStderr(), after)
		},
	}
	cmd.Flags().StringVar(&after, "after", "", "how the service has ended: a `result` as systemd calls it")
	return cmd
}

// The results that systemd.exec(5) lists at $SERVICE_RESULT and that are not a crash in the middle of work.
const (
	resultSuccess = "success"
	resultTimeout = "timeout" // of a stop, as a rule: it is not started again
)

func (g *globals) release(stdout, stderr io.Writer, after string) error {
	if after == resultSuccess {
		return nil // it has handed over, or kept what it was told to keep
	}
	dir := configs.DefaultStateDir
	cfg, diags := g.load()
	switch {
	case diags.Errors() > 0: // which may be why the director has ended
		fmt.Fprintf(stderr, "holdfast: %s has errors: what the state file in %s names is released\n", g.config, dir)
	case after != "" && cfg.Director.OnExit == configs.Keep:
		return nil
	default:
		dir = cfg.Director.StateDir
	}
	network, err := vrrp.OpenNetwork(slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer network.Close()
	done, err := director.Release(dir, network, after != "" && after != resultTimeout)
	if err != nil {
		return err
	}
	if g.json {
		return printJSON(stdout, done)
	}
	return printReleased(stdout, done, after == "")
}

func printReleased(w io.Writer, r director.Released, all bool) error {
	for _, a := range r.Addresses {
		fmt.Fprintln(w, "removed "+a)
	}
	for _, name := range r.Kept {
		fmt.Fprintf(w, "virtual_router %s left for a start within its lease\n", name)
	}
	if all && len(r.Addresses) == 0 {
		_, err := fmt.Fprintln(w, "nothing was left")
		return err
	}
	return nil
}
