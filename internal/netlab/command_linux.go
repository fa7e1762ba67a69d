// SPDX-License-Identifier: Apache-2.0

package netlab

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strings"
)

// A Cmd is an exec.Cmd whose process starts inside a host. The process is the command itself, with nothing between:
// signals to its pid arrive.
type Cmd struct {
	*exec.Cmd
	host *Host
}

// Command prepares a command to run in the host. The process is killed when ctx ends, and by Lab.Close.
func (h *Host) Command(ctx context.Context, name string, args ...string) *Cmd {
	return &Cmd{exec.CommandContext(ctx, name, args...), h}
}

// Start is exec.Cmd.Start inside the host: a child inherits the namespace of the thread that forks.
func (c *Cmd) Start() error { return c.host.Do(c.Cmd.Start) }

// Run is exec.Cmd.Run inside the host.
func (c *Cmd) Run() error {
	if err := c.Start(); err != nil {
		return err
	}
	return c.Wait()
}

// Output is exec.Cmd.Output inside the host. The error says what the command wrote to standard error.
func (c *Cmd) Output() ([]byte, error) {
	var stdout, stderr bytes.Buffer
	c.Stdout = &stdout
	if c.Stderr == nil {
		c.Stderr = &stderr
	}
	err := c.Run()
	if err != nil {
		err = fmt.Errorf("run %s on %s: %w: %s", strings.Join(c.Args, " "), c.host.Name, err, bytes.TrimSpace(stderr.Bytes()))
	}
	return stdout.Bytes(), err
}

// CombinedOutput is exec.Cmd.CombinedOutput inside the host.
func (c *Cmd) CombinedOutput() ([]byte, error) {
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	err := c.Run()
	return out.Bytes(), err
}
