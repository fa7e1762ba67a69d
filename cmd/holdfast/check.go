// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/holdfast-lb/holdfast/configs"
	"github.com/spf13/cobra"
)

func newCheckCommand(g *globals) *cobra.Command {
	peer, theirs := "", variables{}
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Check the configuration",
		Long: "Check the configuration: every error and warning at its place in the file, with a hint.\n" +
			"With --peer also what only the configurations of two directors show: what keeps them from hearing each other,\n" +
			"and what differs or contradicts itself between them.\n" +
			"Exit code 0 if the configuration is valid, warnings or not; 1 if it is not.",
		Example: "  holdfast check -c lb1.hcl --peer lb2.hcl\n" +
			"  holdfast check -c pair.hcl --var priority=150 --peer pair.hcl --peer-var priority=100",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return check(g, peer, theirs, cmd.OutOrStdout()) },
	}
	cmd.Flags().StringVar(&peer, "peer", "", "configuration of the other director, a file or a folder, to compare with")
	cmd.Flags().Var(&theirs, "peer-var", "value of a variable of the other director, if it is not that of --var: `NAME=VALUE`; may be repeated")
	return cmd
}

// checkResult is what check --json prints.
type checkResult struct {
	Path        string              `json:"path"`
	Peer        string              `json:"peer,omitempty"`
	Valid       bool                `json:"valid"`
	Errors      int                 `json:"errors"`
	Warnings    int                 `json:"warnings"`
	Diagnostics configs.Diagnostics `json:"diagnostics"`
}

func check(g *globals, peer string, theirs variables, out io.Writer) error {
	cfg, diags, what := g.loadWith(peer, theirs)
	failed := diags.Errors()
	warnings := len(diags) - failed
	var err error
	switch {
	case g.json:
		err = printJSON(out, checkResult{g.config, peer, failed == 0, failed, warnings, diags})
	case len(diags) > 0:
		err = diags.Write(out, g.color(out))
	}
	if err != nil {
		return fmt.Errorf("print: %w", err)
	}
	if failed > 0 {
		return fmt.Errorf("check %s: %s: correct the configuration and check again", what, plural(failed, "error"))
	}
	if !g.json {
		_, err = fmt.Fprintln(out, summary(what, cfg, warnings))
	}
	return err
}

// loadWith reads one configuration or two, and says what it was.
func (g *globals) loadWith(peer string, theirs variables) (cfg *configs.Config, diags configs.Diagnostics, what string) {
	if peer == "" {
		cfg, diags = configs.LoadAsRoot(g.config, g.vars...)
		return cfg, diags, g.config
	}
	cfg, diags = configs.LoadPair(g.config, peer, g.vars, theirs)
	return cfg, diags, g.config + " with " + peer
}

// summary says in one line what a valid configuration holds.
func summary(what string, cfg *configs.Config, warnings int) string {
	servers, checks := 0, 0
	for _, s := range cfg.VirtualServers {
		servers += len(s.RealServers)
		for _, r := range s.RealServers {
			checks += len(r.Checks)
		}
	}
	line := fmt.Sprintf("%s: ok: %s, %s, %s, %s", what, plural(len(cfg.VirtualRouters), "virtual router"),
		plural(len(cfg.VirtualServers), "virtual server"), plural(servers, "real server"), plural(checks, "check"))
	if warnings > 0 {
		line += "; " + plural(warnings, "warning")
	}
	return line
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// printJSON prints a value the way that --json does everywhere.
func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
