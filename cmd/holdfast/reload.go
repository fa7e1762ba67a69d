// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/holdfast-lb/holdfast/configs"
	"github.com/holdfast-lb/holdfast/internal/director"
)

func newReloadCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "reload",
		Short: "Make the running director read its configuration again",
		Long: "Make the running director read its configuration again, as HUP does, and say what changed or why not.\n" +
			"A configuration with an error changes nothing.",
		Example: "  holdfast check && holdfast reload",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := g.client()
			if err != nil {
				return err
			}
			r, err := client.Reload(cmd.Context())
			if err != nil {
				return err
			}
			if g.json {
				return printJSON(cmd.OutOrStdout(), r)
			}
			return printReload(cmd.OutOrStdout(), r)
		},
	}
}

func printReload(w io.Writer, r director.Reload) error {
	for _, d := range r.Warnings {
		fmt.Fprintln(w, d)
	}
	if len(r.Changes) == 0 {
		_, err := fmt.Fprintln(w, "reloaded: nothing changed")
		return err
	}
	fmt.Fprintln(w, "reloaded:")
	for _, c := range r.Changes {
		if _, err := fmt.Fprintln(w, "  "+c); err != nil {
			return err
		}
	}
	return nil
}

// client finds the control socket: as the flag says, or the configuration.
func (g *globals) client() (director.Client, error) {
	if g.socket != "" {
		return director.Client{Socket: g.socket}, nil
	}
	cfg, diags := g.load()
	if diags.Errors() == 0 {
		return director.Client{Socket: cfg.Director.ControlSocket}, nil
	}
	// A director that runs may have an older, valid configuration: it can still be asked, and tell that a reload is refused.
	if _, err := os.Stat(configs.DefaultControlSocket); err != nil {
		return director.Client{}, fmt.Errorf("%w; give the control socket of the running director with --socket", diags.Err())
	}
	return director.Client{Socket: configs.DefaultControlSocket}, nil
}
