// SPDX-License-Identifier: Apache-2.0

// Command holdfast-lab runs holdfast in a lab of network namespaces and shows what a client sees while things fail. It
// needs root and a kernel with IPVS; deploy/lab/vm provides both. One subcommand per file.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

// Exit codes.
const (
	exitDone   = 0
	exitMissed = 1 // a bound was missed, or the lab failed
	exitUsage  = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// errMissed ends the program when the report has said everything already.
var errMissed = errors.New("a bound was missed")

// run executes one command line and returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	started := false // the command line was right: what fails from here on is not its fault
	root := &cobra.Command{
		Use:              "holdfast-lab",
		Short:            "Show what a client sees while directors and servers fail",
		SilenceUsage:     true,
		SilenceErrors:    true,
		PersistentPreRun: func(*cobra.Command, []string) { started = true },
	}
	root.AddCommand(newDemoCommand(), newBenchCommand(), newInteropCommand(), newFaultsCommand(), newSoakCommand())
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	cmd, err := root.ExecuteContextC(ctx)
	switch {
	case err == nil:
		return exitDone
	case !started:
		fmt.Fprintf(stderr, "holdfast-lab: %s; see %q\n", oneLine(err), cmd.CommandPath()+" --help")
		return exitUsage
	case !errors.Is(err, errMissed):
		fmt.Fprintf(stderr, "holdfast-lab: %s\n", oneLine(err))
	}
	return exitMissed
}

// oneLine is an error without line breaks, which joined errors have.
func oneLine(err error) string {
	return strings.NewReplacer(":\n", ": ", "\n", "; ").Replace(strings.TrimSpace(err.Error()))
}
