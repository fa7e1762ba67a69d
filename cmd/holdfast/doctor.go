// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-lb/holdfast/configs"
	"github.com/holdfast-lb/holdfast/internal/director"
	"github.com/holdfast-lb/holdfast/internal/doctor"
	"github.com/holdfast-lb/holdfast/internal/realserver"
)

func newDoctorCommand(g *globals) *cobra.Command {
	f := &realServerFlags{}
	listen := time.Duration(0)
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Find what is wrong on this host and around it",
		Long: "Find what is wrong on this host and around it: modules, kernel parameters, addresses, routes, firewall rules, adverts\n" +
			"that do not arrive, hosts that hold a virtual address. Each finding is a fact, why it matters, and the command that\n" +
			"mends it. It changes nothing, listens for some seconds, and needs root to see all.\n" +
			"This host is a director by the configuration (-c), whether or not one runs; or a real server, if it has the address of\n" +
			"one there, or by --server, or by --method and what belongs to it, without a configuration.\n" +
			"Exit code 0: nothing broken was found, though there may be warnings, and what could not be found out; 1: something was.",
		Example: "  holdfast doctor\n" +
			"  holdfast doctor --json -c holdfast.hcl\n" +
			"  holdfast doctor --method dr --address 10.0.0.100",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withKernel(func(k *realserver.Kernel) error {
				o, err := diagnosed(cmd.Context(), g, f, k)
				if err != nil {
					return fmt.Errorf("doctor: %w", err)
				}
				o.Listen = listen
				facts, err := doctor.Gather(cmd.Context(), o)
				if err != nil {
					return fmt.Errorf("doctor: %w", err)
				}
				return report(g, diagnosisOf(facts), cmd.OutOrStdout())
			})
		},
	}
	f.register(cmd)
	cmd.Flags().DurationVar(&listen, "listen", 0, "how `long` to listen for adverts (default: three advertise intervals and a second, 2s to 15s)")
	return cmd
}

// diagnosed says what this host is.
func diagnosed(ctx context.Context, g *globals, f *realServerFlags, k *realserver.Kernel) (o doctor.Options, err error) {
	if f.method != "" || f.server != "" {
		o.Uses, err = f.uses(g, k)
		return o, err
	}
	cfg, diags := g.load()
	if diags.Errors() > 0 {
		return o, fmt.Errorf("correct the configuration, or say --method and do without: %w", diags.Err())
	}
	have, err := k.Read(nil, false)
	if err != nil {
		return o, err
	}
	socket := g.socket
	if socket == "" {
		socket = cfg.Director.ControlSocket
	}
	status, failed := director.Client{Socket: socket}.Status(ctx)
	serves := isServer(cfg, have)
	if serves {
		if o.Uses, err = f.uses(g, k); err != nil {
			return o, err
		}
	}
	if serves && failed != nil {
		return o, nil
	}
	o.Config, o.Running, o.Socket = cfg, failed == nil, socket
	for _, vr := range status.VirtualRouters {
		if vr.State == "master" {
			o.Masters = append(o.Masters, vr.Name)
		}
	}
	return o, nil
}

// isServer reports whether this host has the address of a real server.
func isServer(cfg *configs.Config, have realserver.Facts) bool {
	return slices.ContainsFunc(cfg.VirtualServers, func(s configs.VirtualServer) bool {
		return slices.ContainsFunc(s.RealServers, func(rs configs.RealServer) bool {
			return slices.ContainsFunc(have.Addresses, func(a realserver.Address) bool { return a.Prefix.Addr() == rs.Address.Addr() })
		})
	})
}

// diagnosis is what doctor --json prints.
type diagnosis struct {
	OK       bool             `json:"ok"` // nothing is broken
	Roles    []string         `json:"roles"`
	Findings []doctor.Finding `json:"findings"`
	Unknown  []string         `json:"unknown"` // what could not be found out
}

func diagnosisOf(f doctor.Facts) diagnosis {
	d := diagnosis{OK: true, Findings: append([]doctor.Finding{}, doctor.Diagnose(f)...), Unknown: append([]string{}, f.Unknown...)}
	if f.Config != nil {
		d.Roles = append(d.Roles, doctor.Director.String())
	}
	if len(f.Uses) > 0 {
		d.Roles = append(d.Roles, doctor.RealServer.String())
	}
	for _, found := range d.Findings {
		d.OK = d.OK && found.Severity != doctor.Broken
	}
	return d
}

func report(g *globals, d diagnosis, out io.Writer) error {
	err := error(nil)
	if g.json {
		err = printJSON(out, d)
	} else {
		_, err = io.WriteString(out, d.text())
	}
	if err == nil && !d.OK {
		err = &exitError{code: exitFailed}
	}
	return err
}

func (d diagnosis) text() string {
	var b strings.Builder
	broken := 0
	for _, f := range d.Findings {
		if f.Severity == doctor.Broken {
			broken++
		}
		wrap(&b, f.Severity.String()+": ", printable(f.Fact)+" ["+f.ID+"]", "  ")
		wrap(&b, "  why:  ", printable(f.Why), "        ")
		wrap(&b, "  mend: ", printable(f.Mend), "        ")
	}
	for _, u := range d.Unknown {
		wrap(&b, "not found out: ", printable(u), "  ")
	}
	sum := "nothing found"
	if len(d.Findings) > 0 {
		sum = fmt.Sprintf("%d broken, %s", broken, plural(len(d.Findings)-broken, "warning"))
	}
	if len(d.Unknown) > 0 {
		sum += fmt.Sprintf(", %d not found out", len(d.Unknown))
	}
	fmt.Fprintf(&b, "%s: %s\n", strings.Join(d.Roles, " and "), sum)
	return b.String()
}
