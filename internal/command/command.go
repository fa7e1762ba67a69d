// SPDX-License-Identifier: Apache-2.0

// Package command runs the programs that a configuration names: without a shell, as a user, in a process group of their
// own that is killed at the deadline.
package command

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
	"unicode/utf8"
)

// Command is a program and how to run it. It starts in the root directory, with no descriptor of ours.
type Command struct {
	Args    []string // the program's absolute path and its arguments
	User    string   // name or number of the user that it runs as; empty: ours
	Env     []string // NAME=VALUE, added to a small fixed environment
	Stdin   []byte
	Timeout time.Duration // then its process group is killed; 0: only when the context ends
}

// Result is how a run ended.
type Result struct {
	Exit     int    // exit status; -1: it did not exit by itself
	Output   string // the last of what it wrote to stdout and stderr, at most OutputMost bytes of valid UTF-8
	Duration time.Duration
}

// OutputMost is how many bytes of output are kept.
const OutputMost = 4096

// ErrTimeout is the error of a program that was killed at its deadline.
var ErrTimeout = errors.New("timeout")

// ErrLocal marks the error of a program that could not be started for want of a descriptor, of memory or of a process,
// while its file was being written, because its user could not be looked up, or because it was refused: root does not run
// what others may change. It says nothing of what the program is for.
var ErrLocal = errors.New("could not run here")

const (
	searchPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	// lastOutput is how long the output of a program that has ended is waited for: a child that it left behind may hold
	// the pipe open for ever.
	lastOutput = 500 * time.Millisecond
)

// Run runs the program and waits for it. The error says why it did not run, which signal ended it, or that it was killed
// (ErrTimeout, or the error of ctx); an exit status is no error. What a program that exits in time leaves running in
// the background goes on.
func (c Command) Run(ctx context.Context) (Result, error) {
	if len(c.Args) == 0 {
		return Result{Exit: -1}, errors.New("run: no program is named")
	}
	if !filepath.IsAbs(c.Args[0]) {
		return Result{Exit: -1}, fmt.Errorf("run %q: not an absolute path", c.Args[0])
	}
	limit, cancel := ctx, context.CancelFunc(func() {})
	if c.Timeout > 0 {
		limit, cancel = context.WithTimeout(ctx, c.Timeout)
	}
	defer cancel()

	out := new(tail)
	cmd := exec.CommandContext(limit, c.Args[0], c.Args[1:]...)
	cmd.Dir = "/"
	cmd.Env = append([]string{searchPath}, c.Env...)
	cmd.Stdin = bytes.NewReader(c.Stdin)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.WaitDelay = lastOutput
	if err := c.isolate(cmd); err != nil {
		return Result{Exit: -1}, fmt.Errorf("run %s: %w", c.Args[0], err)
	}
	start := time.Now()
	if err := cmd.Start(); err != nil {
		if ctx.Err() != nil {
			return Result{Exit: -1}, fmt.Errorf("run %s: %w", c.Args[0], ctx.Err())
		}
		return Result{Exit: -1}, fmt.Errorf("run %s: %w", c.Args[0], c.explain(err))
	}
	err := cmd.Wait()
	r := Result{Exit: -1, Output: out.String(), Duration: time.Since(start)}
	switch state := cmd.ProcessState; {
	case state != nil && state.Exited(): // in time, even if our own timer came first
		r.Exit = state.ExitCode()
		return r, nil
	case ctx.Err() != nil:
		return r, fmt.Errorf("run %s: killed: %w", c.Args[0], ctx.Err())
	case limit.Err() != nil:
		return r, fmt.Errorf("run %s: killed: %w after %s", c.Args[0], ErrTimeout, c.Timeout)
	case state != nil:
		return r, fmt.Errorf("run %s: ended by %s", c.Args[0], state)
	}
	return r, fmt.Errorf("run %s: %w", c.Args[0], err)
}

// tail keeps the last of what is written to it.
type tail struct{ b []byte }

func (t *tail) Write(p []byte) (int, error) {
	n := len(p)
	p = p[max(0, n-OutputMost):]
	if len(t.b)+len(p) > 2*OutputMost {
		t.b = t.b[:copy(t.b, t.b[len(t.b)-OutputMost:])]
	}
	t.b = append(t.b, p...)
	return n, nil
}

// String returns at most the last OutputMost bytes, and no part of a character.
func (t *tail) String() string {
	b := t.b[max(0, len(t.b)-OutputMost):]
	for i := 0; i < utf8.UTFMax-1 && len(b) > 0 && !utf8.RuneStart(b[0]); i++ {
		b = b[1:]
	}
	return strings.ToValidUTF8(string(b), "?")
}
