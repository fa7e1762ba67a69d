// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"

	"github.com/spf13/cobra"

	"github.com/holdfast-lb/holdfast/internal/realserver"
	"github.com/holdfast-lb/holdfast/ipvs"
)

func newRealServerCommand(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "real-server",
		Short: "Make this host a real server, verify that it is one, or undo it",
		Long: "Make this host a real server, verify that it is one, or undo it. It needs no director and no daemon here.\n" +
			"DR: the virtual address on lo, and no answer to ARP for it. Tunnel: the virtual address on the tunnel's link, no\n" +
			"strict check of the way back. NAT: the default gateway is the directors' floating address.",
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			g.started = false
			return errors.New("it takes what to do: setup, verify or teardown")
		},
	}
	cmd.AddCommand(newSetupCommand(g), newVerifyCommand(g), newTeardownCommand(g))
	return cmd
}

// realServerFlags say what this host is a real server for.
type realServerFlags struct {
	method, tunnel, checksum string
	addresses                []string
	gateway, local, server   string
	port                     uint16
	state                    string
}

const stateUsage = "`file` that remembers what was there before"

func (f *realServerFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.method, "method", "", "forwarding `method`: dr, nat or tunnel (default: as the configuration says)")
	flags.StringArrayVar(&f.addresses, "address", nil, "virtual `address`; may be repeated (default: all that the configuration has for this host)")
	flags.StringVar(&f.gateway, "gateway", "", "with nat: the directors' floating `address` (default: as the configuration says)")
	flags.StringVar(&f.server, "server", "", "`name` of this host's real_server blocks (default: those with an address of this host)")
	flags.StringVar(&f.tunnel, "tunnel", "ipip", "with --method tunnel: its `type`, ipip, gue or gre")
	flags.Uint16Var(&f.port, "port", 0, "with --tunnel gue: the UDP `port` on which packets arrive")
	flags.StringVar(&f.checksum, "checksum", "none", "with --tunnel gue or gre: its `kind`, none, full or remote")
	flags.StringVar(&f.local, "local", "", "with --method tunnel: this host's own `address`, to which the directors send")
}

const sources = "What for is said by flags (--method and what belongs to it), or by the directors' configuration (-c): every service\n" +
	"that has a real_server with an address of this host, or of the name --server.\n"

func newSetupCommand(g *globals) *cobra.Command {
	f := &realServerFlags{}
	cmd := &cobra.Command{
		Use:   "setup",
		Short: "Make this host a real server",
		Long: "Make this host a real server. It prints the commands that do the same, and nothing if all is as it should be.\n" + sources +
			"It is for these and no others: what an earlier setup has made and these do not need is undone.\n" +
			"Exit code 0: this host is a real server; 1: something is in the way, or is not ours to change.",
		Example: "  holdfast real-server setup --method dr --address 10.0.0.100\n" +
			"  holdfast real-server setup --method nat --gateway 10.10.1.1\n" +
			"  holdfast real-server setup -c holdfast.hcl --server web1",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withKernel(func(k *realserver.Kernel) error { return setup(g, f, k, cmd.OutOrStdout()) })
		},
	}
	f.register(cmd)
	cmd.Flags().StringVar(&f.state, "state", realserver.DefaultState, stateUsage)
	return cmd
}

func newVerifyCommand(g *globals) *cobra.Command {
	f := &realServerFlags{}
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Verify that this host is a real server",
		Long: "Verify that this host is a real server: each finding is a fact, why it matters, and the command that mends it. It\n" +
			"changes nothing and needs no privileges.\n" + sources +
			"Exit code 0: no findings; 1: there are some, or it could not be found out.",
		Example: "  holdfast real-server verify --method dr --address 10.0.0.100",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withKernel(func(k *realserver.Kernel) error { return verify(g, f, k, cmd.OutOrStdout()) })
		},
	}
	f.register(cmd)
	return cmd
}

func newTeardownCommand(g *globals) *cobra.Command {
	state := ""
	cmd := &cobra.Command{
		Use:   "teardown",
		Short: "Put back what was there before setup",
		Long: "Put back what was there before setup. What others have changed since is left as it is, and said. After a boot there\n" +
			"is nothing to put back.",
		Example: "  holdfast real-server teardown",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withKernel(func(k *realserver.Kernel) error {
				r, err := realserver.Teardown(k, state)
				return finish(g, "teardown", r, nil, err, cmd.OutOrStdout())
			})
		},
	}
	cmd.Flags().StringVar(&state, "state", realserver.DefaultState, stateUsage)
	return cmd
}

func withKernel(f func(*realserver.Kernel) error) error {
	k, err := realserver.Open()
	if err != nil {
		return err
	}
	defer k.Close()
	return f(k)
}

func setup(g *globals, f *realServerFlags, k *realserver.Kernel, out io.Writer) error {
	uses, err := f.uses(g, k)
	if err != nil {
		return fmt.Errorf("setup: %w", err)
	}
	r, err := realserver.Setup(k, f.state, uses)
	if err := finish(g, "setup", r, uses, err, out); err != nil {
		return err
	}
	left, err := realserver.Verify(k, uses)
	if err == nil && len(left) > 0 {
		err = fmt.Errorf("%s, which is not ours to change: %s", left[0].Fact, left[0].Mend)
	}
	if err != nil {
		return fmt.Errorf("setup: %w", err)
	}
	return nil
}

// changed is what setup --json and teardown --json print.
type changed struct {
	Commands []string `json:"commands"` // that do the same as was done
	Left     []string `json:"left"`     // what others have changed since, and was not put back
	Notes    []string `json:"notes"`
}

// finish prints what was done, also before an error.
func finish(g *globals, what string, r realserver.Result, uses []realserver.Use, failed error, out io.Writer) error {
	c := changed{Commands: []string{}, Left: append([]string{}, r.Left...), Notes: []string{}}
	if failed == nil {
		c.Notes = append(c.Notes, realserver.Notes(uses)...)
	}
	for _, change := range r.Changes {
		c.Commands = append(c.Commands, change.String())
	}
	err := error(nil)
	if g.json {
		err = printJSON(out, c)
	} else {
		_, err = io.WriteString(out, c.text(failed == nil))
	}
	if failed != nil {
		return fmt.Errorf("%s: %w", what, failed)
	}
	return err
}

func (c changed) text(whole bool) string {
	var b strings.Builder
	for _, command := range c.Commands {
		fmt.Fprintln(&b, command)
	}
	for _, left := range c.Left {
		fmt.Fprintf(&b, "# left alone: %s\n", left)
	}
	for _, note := range c.Notes {
		fmt.Fprintf(&b, "# %s\n", note)
	}
	if whole && len(c.Commands) == 0 {
		b.WriteString("# nothing to change\n")
	}
	return b.String()
}

// verified is what verify --json prints.
type verified struct {
	OK       bool                 `json:"ok"`
	Uses     []string             `json:"uses"`
	Findings []realserver.Finding `json:"findings"`
	Notes    []string             `json:"notes"`
}

func verify(g *globals, f *realServerFlags, k *realserver.Kernel, out io.Writer) error {
	uses, err := f.uses(g, k)
	if err != nil {
		return fmt.Errorf("verify: %w", err)
	}
	findings, err := realserver.Verify(k, uses)
	if err != nil {
		return fmt.Errorf("verify: %w", err)
	}
	v := verified{
		OK: len(findings) == 0, Findings: append([]realserver.Finding{}, findings...), Notes: append([]string{}, realserver.Notes(uses)...),
	}
	for _, u := range uses {
		v.Uses = append(v.Uses, u.String())
	}
	if g.json {
		err = printJSON(out, v)
	} else {
		_, err = io.WriteString(out, v.text())
	}
	if err == nil && !v.OK {
		err = fmt.Errorf("verify: %s: setup with the same flags mends what it may", plural(len(findings), "finding"))
	}
	return err
}

func (v verified) text() string {
	var b strings.Builder
	for _, f := range v.Findings {
		fmt.Fprintf(&b, "%s\n  why:  %s\n  mend: %s\n", f.Fact, f.Why, f.Mend)
	}
	if v.OK {
		for _, u := range v.Uses {
			fmt.Fprintf(&b, "%s: ok\n", u)
		}
	}
	for _, note := range v.Notes {
		fmt.Fprintf(&b, "# %s\n", note)
	}
	return b.String()
}

// uses is what the flags say, or the configuration.
func (f *realServerFlags) uses(g *globals, k *realserver.Kernel) ([]realserver.Use, error) {
	sel, local, err := f.selection()
	if err == nil && f.method != "" {
		var uses []realserver.Use
		if uses, err = f.explicit(sel, local); err == nil {
			err = realserver.Check(uses)
		}
		if err == nil {
			return uses, nil
		}
	}
	if err == nil && (local.IsValid() || f.port != 0) {
		err = errors.New("--local and --port belong to --method tunnel; the configuration says them by itself")
	}
	if err != nil {
		g.started = false // the command line is wrong
		return nil, err
	}
	cfg, diags := g.load()
	if diags.Errors() > 0 {
		return nil, fmt.Errorf("correct the configuration, or say --method and do without: %w", diags.Err())
	}
	have, err := k.Read(nil, false)
	if err != nil {
		return nil, err
	}
	return realserver.FromConfig(cfg, have, sel)
}

// selection reads the flags that are addresses.
func (f *realServerFlags) selection() (sel realserver.Selection, local netip.Addr, err error) {
	sel.Server = f.server
	for _, a := range f.addresses {
		ip, err := netip.ParseAddr(a)
		if err != nil {
			return sel, local, fmt.Errorf("--address %s: takes an IP address, without a port or a length", a)
		}
		sel.Addresses = append(sel.Addresses, ip)
	}
	if sel.Gateway, err = optionalAddr("--gateway", f.gateway); err != nil {
		return sel, local, err
	}
	local, err = optionalAddr("--local", f.local)
	return sel, local, err
}

func optionalAddr(flag, text string) (netip.Addr, error) {
	if text == "" {
		return netip.Addr{}, nil
	}
	a, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("%s %s: takes an IP address", flag, text)
	}
	return a, nil
}

// explicit is what the flags alone say.
func (f *realServerFlags) explicit(sel realserver.Selection, local netip.Addr) ([]realserver.Use, error) {
	if sel.Server != "" {
		return nil, errors.New("--server is about the configuration, --method does without it: say one of them")
	}
	use := realserver.Use{Local: local}
	switch f.method {
	case "dr":
		use.Forward = ipvs.DR
	case "nat":
		return []realserver.Use{{Forward: ipvs.NAT, Gateway: sel.Gateway}}, nil
	case "tunnel":
		use.Forward = ipvs.Tunnel
		use.Encapsulation.Port = f.port
		var known bool
		if use.Encapsulation.Type, known = tunnelTypes[f.tunnel]; !known {
			return nil, fmt.Errorf("--tunnel %s: takes ipip, gue or gre", f.tunnel)
		}
		if use.Encapsulation.Checksum, known = checksums[f.checksum]; !known {
			return nil, fmt.Errorf("--checksum %s: takes none, full or remote", f.checksum)
		}
	default:
		return nil, fmt.Errorf("--method %s: takes dr, nat or tunnel", f.method)
	}
	if len(sel.Addresses) == 0 {
		return nil, fmt.Errorf("--method %s: takes --address, the virtual address", f.method)
	}
	var uses []realserver.Use
	for _, a := range sel.Addresses {
		use.Address = a
		uses = append(uses, use)
	}
	return uses, nil
}

var (
	tunnelTypes = map[string]ipvs.TunnelType{"ipip": ipvs.IPIP, "gue": ipvs.GUE, "gre": ipvs.GRE}
	checksums   = map[string]ipvs.Checksum{"none": ipvs.NoChecksum, "full": ipvs.FullChecksum, "remote": ipvs.RemoteChecksum}
)
