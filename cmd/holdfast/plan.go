// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-lb/holdfast/internal/director"
	"github.com/holdfast-lb/holdfast/ipvs"
	"github.com/holdfast-lb/holdfast/vrrp"
)

// exitChanges is plan's code for a plan that is not empty.
const exitChanges = 2

func newPlanCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "plan",
		Short: "Show what the configuration would change in the kernel",
		Long: "Show what would change in the kernel's IPVS table and addresses if the configuration were applied now. It\n" +
			"needs no running director and changes nothing. Servers in the table count as up, and whoever holds the addresses\n" +
			"of a virtual router as its master. Lines that begin with # are what it does not do now.\n" +
			"Exit code 0: nothing to do; 2: there are changes; 1: anything else.",
		Example: "  holdfast plan -c new.hcl",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return plan(cmd.Context(), g, cmd.OutOrStdout()) },
	}
}

func plan(ctx context.Context, g *globals, out io.Writer) error {
	cfg, diags := g.load()
	if diags.Errors() > 0 {
		return fmt.Errorf("plan: %w", diags.Err())
	}
	last, err := director.ReadState(cfg.Director.StateDir)
	if err != nil {
		return fmt.Errorf("plan: %w", err)
	}
	network, err := vrrp.OpenNetwork(slog.New(slog.DiscardHandler))
	if err != nil {
		return fmt.Errorf("plan: %w", err)
	}
	defer network.Close()
	table, err := readTable(ctx)
	if err != nil {
		return fmt.Errorf("plan: %w", err)
	}
	p := director.MakePlan(cfg, table, last, network.Missing)
	if g.json {
		err = printJSON(out, p)
	} else {
		err = printPlan(out, p)
	}
	if err == nil && p.Changes() {
		return &exitError{code: exitChanges}
	}
	return err
}

// readTable returns what is in the kernel's table. A kernel without IPVS, or whose module is not loaded yet, has none.
func readTable(ctx context.Context) (state ipvs.State, err error) {
	t, err := ipvs.OpenKernel(ctx, "")
	if errors.Is(err, ipvs.ErrNoIPVS) {
		return state, nil
	}
	if err != nil {
		return state, err
	}
	defer func() { err = errors.Join(err, t.Close()) }()
	if state.Services, err = t.List(ctx); err != nil {
		return state, err
	}
	if state.Timeouts, err = t.Timeouts(ctx); err != nil {
		return state, err
	}
	state.Sync, err = t.SyncDaemons(ctx)
	return state, err
}

func printPlan(w io.Writer, p director.Plan) error {
	var b strings.Builder
	for _, op := range p.Operations {
		fmt.Fprintf(&b, "ipvsadm %s\n", op)
	}
	for _, a := range p.Remove {
		fmt.Fprintf(&b, "ip address del %s dev %s\n", a.Prefix, a.Device)
	}
	for _, s := range p.Later {
		fmt.Fprintf(&b, "# %s/%s %s: after the first passed check\n", s.Service, s.Server, s.Address)
	}
	for _, d := range p.Drains {
		waits := ""
		if d.Waits {
			waits = "serves until there is a verdict on another one, "
		}
		fmt.Fprintf(&b, "# %s/%s %s: %sdrained (%s) for at most %s, then: ipvsadm %s\n", d.Service, d.Server, d.Address, waits, d.Cause,
			time.Duration(d.TimeoutSeconds*float64(time.Second)).Round(time.Second), d.Then)
	}
	for _, n := range p.Policy {
		fmt.Fprintf(&b, "# %s: %s\n", n.Service, n.Note)
	}
	for _, a := range p.Held {
		fmt.Fprintf(&b, "# %s dev %s: held now\n", a.Prefix, a.Device)
	}
	for _, name := range p.Foreign {
		fmt.Fprintf(&b, "# %s: not ours, left alone\n", name)
	}
	if !p.Changes() {
		b.WriteString("# nothing to change\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}
