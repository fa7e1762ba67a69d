// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"sync"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/holdfast-lb/holdfast/configs"
	"github.com/holdfast-lb/holdfast/internal/capability"
	"github.com/holdfast-lb/holdfast/internal/command"
	"github.com/holdfast-lb/holdfast/internal/director"
	"github.com/holdfast-lb/holdfast/internal/sysctl"
	"github.com/holdfast-lb/holdfast/internal/systemd"
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

// garbage is how much of it there may be, in percent of what is in use, before it is collected: GOGC, unless that is set. With
// 5,000 TCP checks each 5 s half of Go's default saves 4 to 8 MiB of 41, and costs no processor time that can be told from
// noise, as a check leaves next to no garbage.
const garbage = 50

func runDirector(ctx context.Context, g *globals) error {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(garbage)
	}
	// Before the configuration is read, so that a reload may read the same files.
	if _, err := capability.Limit(capability.Balance | capability.Elect | capability.Serve | capability.Hurry | capability.Limiting); err != nil && !errors.Is(err, capability.ErrCgo) {
		return fmt.Errorf("give up capabilities: %w", err)
	}
	cfg, diags := configs.LoadAsRoot(g.config, g.vars...)
	if len(diags) > 0 {
		_ = diags.Write(os.Stderr, g.color(os.Stderr))
	}
	if diags.Errors() > 0 {
		return fmt.Errorf("run %s: %s: correct the configuration and start again", g.config, plural(diags.Errors(), "error"))
	}
	if err := command.KeepInherited(); err != nil {
		return err
	}
	log := director.NewLog(os.Stderr, cfg.Log.Format, term.IsTerminal(int(os.Stderr.Fd())))
	defer log.Close()
	if err := limit(cfg, log.Logger); err != nil {
		return fmt.Errorf("run %s: %w", g.config, err)
	}
	manager, err := systemd.FromEnvironment()
	if err != nil {
		log.Warn("service manager not understood", "err", err)
	}
	network, err := vrrp.OpenNetwork(log.Logger)
	if err != nil {
		return err
	}
	defer network.Close()
	version := builtVersion()
	d := director.New(director.Options{
		Config: cfg, Socket: g.socket, Log: log.Logger, Level: log.Level, Host: network, Virtual: network.IsVirtual, Dial: network.Dial, WhoHas: network.WhoHas,
		OpenTable: openTable, Sysctls: sysctl.Root, Manager: manager,
		Version: director.Version{Version: version.Version, Revision: version.Revision, Go: version.Go},
	})
	return runUntilSignal(ctx, d, network)
}

// limit gives up the capabilities that the configuration does not need and no reload can.
func limit(cfg *configs.Config, log *slog.Logger) error {
	keep, needed := capability.Balance|capability.Elect|capability.Serve, capability.Set(0)
	if cfg.Director.Realtime {
		keep |= capability.Hurry
	}
	held, err := capability.Limit(keep)
	switch {
	case errors.Is(err, capability.ErrCgo):
		log.Warn("capabilities not given up", "err", err)
	case err != nil:
		return fmt.Errorf("give up capabilities: %w", err)
	default:
		log.Info("capabilities kept", "capabilities", held.String())
	}
	if len(cfg.VirtualServers) > 0 {
		needed = capability.Balance
	}
	if len(cfg.VirtualRouters) > 0 {
		needed = capability.Balance | capability.Elect
	}
	return held.Lacks(needed)
}

func openTable(ctx context.Context) (ipvs.Table, error) {
	k, err := ipvs.LoadKernel(ctx, "")
	if err != nil {
		return nil, err // and not a nil *Kernel
	}
	return k, nil
}

// runUntilSignal runs the director and what it stands on, and turns signals into calls.
func runUntilSignal(ctx context.Context, d *director.Director, network *vrrp.Network) error {
	signals := make(chan os.Signal, 8) // so that none is lost while one is handled
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGTERM, syscall.SIGINT)
	defer signal.Stop(signals)

	// The network is watched until the director has handed over.
	watch, stopWatch := context.WithCancel(ctx)
	defer stopWatch()
	run, handOver := context.WithCancel(ctx)
	defer handOver()
	var wg sync.WaitGroup
	wg.Go(func() { _ = network.Run(watch) })
	done := make(chan error, 1)
	go func() { done <- d.Run(run) }()
	for {
		select {
		case err := <-done:
			handOver() // ends a reload that waits for a director which is gone
			stopWatch()
			wg.Wait()
			return err
		case s := <-signals:
			switch {
			case s == syscall.SIGHUP:
				wg.Go(func() { _, _ = d.Reload(run) }) // the director tells how it ended
			case run.Err() != nil:
				return errors.New("stopped at once by a second signal: the addresses go with the end of their lease")
			default:
				handOver()
			}
		}
	}
}
