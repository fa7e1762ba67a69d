// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/holdfast-lb/holdfast/configs"
	"github.com/holdfast-lb/holdfast/internal/director"
	"github.com/holdfast-lb/holdfast/ipvs"
	"github.com/holdfast-lb/holdfast/vrrp"
)

func newRunCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "run",
		Short: "Run the director in the foreground",
		Long: "Run the director in the foreground. HUP reloads the configuration; TERM and INT hand over and stop, a\n" +
			"second one stops at once and leaves the addresses to the end of their lease.",
		Example: "  holdfast run -c /etc/holdfast/holdfast.hcl",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runDirector(cmd.Context(), g) },
	}
}

func runDirector(ctx context.Context, g *globals) error {
	cfg, diags := configs.Load(g.config)
	if len(diags) > 0 {
		_ = diags.Write(os.Stderr, g.color(os.Stderr))
	}
	if diags.Errors() > 0 {
		return fmt.Errorf("run %s: %s: correct the configuration and start again", g.config, plural(diags.Errors(), "error"))
	}
	if g.socket != "" {
		cfg.Director.ControlSocket = g.socket
	}
	log := director.NewLog(os.Stderr, cfg.Log.Format, term.IsTerminal(int(os.Stderr.Fd())))
	defer log.Close()
	network, err := vrrp.OpenNetwork(log.Logger)
	if err != nil {
		return err
	}
	defer network.Close()
	version := builtVersion()
	d := director.New(director.Options{
		Config: cfg, Log: log.Logger, Level: log.Level, Host: network, Dial: network.Dial,
		OpenTable: openTable,
		Version:   director.Version{Version: version.Version, Revision: version.Revision, Go: version.Go},
	})
	return runUntilSignal(ctx, d, network)
}

func openTable(ctx context.Context) (ipvs.Table, error) { return ipvs.OpenKernel(ctx, "") }

// runUntilSignal runs the director and what it stands on, and turns signals into calls.
func runUntilSignal(ctx context.Context, d *director.Director, network *vrrp.Network) error {
	signals := make(chan os.Signal, 8) // so that none is lost while one is handled
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGTERM, syscall.SIGINT)
	defer signal.Stop(signals)

	inner, stopAll := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stopAll()
	wg.Go(func() { _ = network.Run(inner) })

	leave, handOver := context.WithCancel(ctx)
	defer handOver()
	done := make(chan error, 1)
	wg.Go(func() { done <- d.Run(leave) })
	for {
		select {
		case err := <-done:
			return err
		case s := <-signals:
			if s == syscall.SIGHUP {
				wg.Go(func() { _, _ = d.Reload(leave) }) // the director tells how it ended
				continue
			}
			if leave.Err() != nil {
				return &exitError{code: exitFailed, cause: errors.New("stopped at once by a second signal")}
			}
			handOver()
		}
	}
}
