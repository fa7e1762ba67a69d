// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/spf13/cobra"
)

func TestRunExitCodes(t *testing.T) {
	failing := func(err error) func(*globals) *cobra.Command {
		return func(*globals) *cobra.Command {
			return &cobra.Command{Use: "try", Args: cobra.NoArgs, RunE: func(*cobra.Command, []string) error { return err }}
		}
	}
	tests := []struct {
		name   string
		args   []string
		err    error
		code   int
		stderr string
	}{
		{name: "done", args: []string{"try"}},
		{name: "failed", args: []string{"try"}, err: errors.New("read x: no"), code: 1, stderr: "holdfast: read x: no\n"},
		{
			name: "joined", args: []string{"try"}, err: errors.Join(errors.New("one"), errors.New("two")),
			code: 1, stderr: "holdfast: one; two\n",
		},
		{name: "code without words", args: []string{"try"}, err: &exitError{code: 2}, code: 2},
		{
			name: "code with a cause", args: []string{"try"}, err: fmt.Errorf("try: %w", &exitError{code: 3, cause: errors.New("no")}),
			code: 3, stderr: "holdfast: try: no\n",
		},
		{
			name: "unknown command", args: []string{"tri"}, code: 2,
			stderr: "holdfast: unknown command \"tri\" for \"holdfast\"; did you mean try; see \"holdfast --help\"\n",
		},
		{
			name: "unknown flag", args: []string{"try", "--nosuch"}, code: 2,
			stderr: "holdfast: unknown flag: --nosuch; see \"holdfast try --help\"\n",
		},
		{
			name: "too many arguments", args: []string{"try", "this"}, code: 2,
			stderr: "holdfast: unknown command \"this\" for \"holdfast try\"; see \"holdfast try --help\"\n",
		},
	}
	defer func(saved []func(*globals) *cobra.Command) { commands = saved }(commands)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			commands = []func(*globals) *cobra.Command{failing(tt.err)}
			var stdout, stderr bytes.Buffer
			code := run(tt.args, &stdout, &stderr)
			if code != tt.code || stderr.String() != tt.stderr || stdout.Len() > 0 {
				t.Errorf("got %d, %q, %q; want %d, %q and no output", code, &stderr, &stdout, tt.code, tt.stderr)
			}
		})
	}
}

func TestColor(t *testing.T) {
	if (&globals{}).color(&bytes.Buffer{}) {
		t.Error("colours into something that is not a terminal")
	}
}
