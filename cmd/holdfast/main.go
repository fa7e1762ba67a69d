// SPDX-License-Identifier: Apache-2.0

// Command holdfast is a high-availability load balancer: it elects a master by VRRP, balances with IPVS and checks the
// real servers. One subcommand per file; this file has what they share.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// Exit codes. Plan has one of its own.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

// commands lists the subcommands in the order of the help.
var commands = []func(*globals) *cobra.Command{
	newRunCommand,
	newCheckCommand,
	newPlanCommand,
	newStatusCommand,
	newExplainCommand,
	newEventsCommand,
	newConnectionsCommand,
	newReloadCommand,
	newFailoverCommand,
	newDrainCommand,
	newUndrainCommand,
	newWeightCommand,
	newDrillCommand,
	newDoctorCommand,
	newReleaseCommand,
	newRealServerCommand,
	newSimulateCommand,
	newFmtCommand,
	newVersionCommand,
	newManCommand,
}

// globals are the flags that every subcommand has.
type globals struct {
	config  string // a file or a folder
	socket  string // empty: as the configuration says
	json    bool
	noColor bool
	vars    variables

	started bool // the command line was right: what fails from here on is not its fault
}

// exitError ends the program with a code other than 1. Its cause may be nil: everything has been said.
type exitError struct {
	code  int
	cause error
}

func (e *exitError) Error() string {
	if e.cause == nil {
		return ""
	}
	return e.cause.Error()
}

func (e *exitError) Unwrap() error { return e.cause }

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run executes one command line and returns the exit code.
func run(args []string, stdout, stderr io.Writer) int {
	g := &globals{}
	return runRoot(newRootCommand(g), g, args, stdout, stderr)
}

// runRoot is run for a command that was made.
func runRoot(root *cobra.Command, g *globals, args []string, stdout, stderr io.Writer) int {
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	cmd, err := root.ExecuteC()
	if err == nil {
		return exitDone
	}
	if !g.started {
		fmt.Fprintf(stderr, "holdfast: %s; see %q\n", oneLine(err), cmd.CommandPath()+" --help")
		return exitUsage
	}
	if line := oneLine(err); line != "" {
		fmt.Fprintf(stderr, "holdfast: %s\n", line)
	}
	if exit, ok := errors.AsType[*exitError](err); ok {
		return exit.code
	}
	return exitFailed
}

func newRootCommand(g *globals) *cobra.Command {
	root := &cobra.Command{
		Use:              "holdfast",
		Short:            "High-availability load balancing with VRRP and IPVS",
		SilenceUsage:     true,
		SilenceErrors:    true,
		PersistentPreRun: func(*cobra.Command, []string) { g.started = true },
	}
	flags := root.PersistentFlags()
	flags.StringVarP(&g.config, "config", "c", "/etc/holdfast/holdfast.hcl", "configuration: a `path` to a file or a folder of *.hcl")
	flags.StringVar(&g.socket, "socket", "", "control socket: a `path` (default: the configuration's)")
	flags.BoolVar(&g.json, "json", false, "print JSON")
	flags.BoolVar(&g.noColor, "no-color", false, "print without colours")
	flags.Var(&g.vars, "var", "value of a variable of the configuration: `NAME=VALUE`; may be repeated")
	for _, c := range commands {
		root.AddCommand(c(g))
	}
	addCompletions(root)
	return root
}

// oneLine is an error without line breaks, which cobra's suggestions and joined errors have.
func oneLine(err error) string {
	text := strings.ReplaceAll(err.Error(), "\n\nDid you mean this?\n\t", "; did you mean ")
	return strings.ReplaceAll(strings.TrimSpace(text), "\n", "; ")
}

// color reports whether what goes to w may be coloured (https://no-color.org).
func (g *globals) color(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && !g.noColor && os.Getenv("NO_COLOR") == "" && isTerminal(f)
}

// isTerminal reports whether a file, which may be nil, is a terminal that knows escape codes.
func isTerminal(f *os.File) bool {
	return f != nil && os.Getenv("TERM") != "dumb" && term.IsTerminal(int(f.Fd()))
}
