// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/holdfast-lb/holdfast/configs"
)

// completed says by which names of the configuration the arguments of a command are completed. It needs no director.
var completed = map[string]cobra.CompletionFunc{
	"holdfast drain": serverNames, "holdfast undrain": serverNames, "holdfast weight": serverNames,
	"holdfast explain server": serverNames, "holdfast explain router": routerNames, "holdfast failover": routerNames,
}

// completedFlags says the same of flags.
var completedFlags = map[string]map[string]cobra.CompletionFunc{
	"holdfast connections": {"service": serviceNames, "server": serverNames},
	"holdfast events":      {"kind": cobra.FixedCompletions(configs.EventKinds, cobra.ShellCompDirectiveNoFileComp), "name": serverNames},
	"holdfast status":      {"service": serviceNames},
}

// addCompletions makes a shell complete names of the configuration for a command and those below it.
func addCompletions(cmd *cobra.Command) {
	if f := completed[cmd.CommandPath()]; f != nil {
		cmd.ValidArgsFunction = f
	}
	for name, f := range completedFlags[cmd.CommandPath()] {
		if err := cmd.RegisterFlagCompletionFunc(name, f); err != nil {
			panic(err) // there is no such flag, which a test would have found
		}
	}
	for _, c := range cmd.Commands() {
		addCompletions(c)
	}
}

// configured is the configuration that the command line names; nil: it cannot be read.
func configured(cmd *cobra.Command) *configs.Config {
	path, err := cmd.Flags().GetString("config")
	if err != nil {
		return nil
	}
	var vars variables
	if v, ok := cmd.Flags().Lookup("var").Value.(*variables); ok {
		vars = *v
	}
	cfg, diags := configs.Load(path, vars...)
	if diags.Errors() > 0 {
		return nil
	}
	return cfg
}

func routerNames(cmd *cobra.Command, args []string, _ string) (names []string, _ cobra.ShellCompDirective) {
	if cfg := configured(cmd); cfg != nil && (len(args) == 0 || cmd.Name() == "failover") {
		for _, vr := range cfg.VirtualRouters {
			if !slices.Contains(args, vr.Name) {
				names = append(names, vr.Name)
			}
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

func serviceNames(cmd *cobra.Command, _ []string, _ string) (names []string, _ cobra.ShellCompDirective) {
	if cfg := configured(cmd); cfg != nil {
		for _, vs := range cfg.VirtualServers {
			names = append(names, vs.Name)
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// serverNames completes SERVICE/ first, and then SERVICE/SERVER, because there may be very many.
func serverNames(cmd *cobra.Command, args []string, begun string) (names []string, _ cobra.ShellCompDirective) {
	cfg := configured(cmd)
	if cfg == nil || len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	service, _, within := strings.Cut(begun, "/")
	for _, vs := range cfg.VirtualServers {
		switch {
		case !within:
			names = append(names, vs.Name+"/")
		case vs.Name == service:
			for _, rs := range vs.RealServers {
				names = append(names, vs.Name+"/"+rs.Name)
			}
		}
	}
	if within {
		return names, cobra.ShellCompDirectiveNoFileComp
	}
	return names, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}
