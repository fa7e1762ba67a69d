// SPDX-License-Identifier: Apache-2.0

// Package command runs the programs that a configuration names: without a shell, as a user, in a process group of their
// own that is killed at the deadline.
package command

import (
	"context"
	"errors"
	"time"
)

// Command is a program and how to run it.
type Command struct {
	Args    []string // the program's absolute path and its arguments
	User    string   // name or number of the user that it runs as; empty: ours
	Env     []string // NAME=VALUE, added to a small fixed environment
	Stdin   []byte
	Timeout time.Duration // then its process group is killed
}

// Result is how a run ended.
type Result struct {
	Exit     int    // exit status; -1: it did not exit by itself
	Output   string // the last of what it wrote to stdout and stderr, at most OutputMost bytes
	Duration time.Duration
}

// OutputMost is how many bytes of output are kept.
const OutputMost = 4096

// ErrTimeout is the error of a program that was killed at its deadline.
var ErrTimeout = errors.New("timeout")

// Run runs the program and waits for it. The error says why it did not run, or was killed; an exit status is no error.
func (c Command) Run(context.Context) (Result, error) { return Result{}, errors.ErrUnsupported }
