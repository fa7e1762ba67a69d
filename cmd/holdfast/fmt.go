// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/holdfast-lb/holdfast/configs"
)

func newFmtCommand(g *globals) *cobra.Command {
	check := false
	cmd := &cobra.Command{
		Use:   "fmt [PATH...]",
		Short: "Write configurations in canonical form",
		Long: "Write configurations in canonical form: blanks and alignment as everybody's files have them. It prints the name of\n" +
			"each file that it changes. A path is a file, a folder, of which all *.hcl are meant, or - for standard input and\n" +
			"output; without one it is the configuration. What a file includes is not looked at.\n" +
			"Exit code 0: done, or with --check nothing to do; 1: anything else.",
		Example: "  holdfast fmt /etc/holdfast\n  holdfast fmt --check conf.d",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				args = []string{g.config}
			}
			f := formatter{check: check, color: g.color(cmd.ErrOrStderr()), in: cmd.InOrStdin(), out: cmd.OutOrStdout(), err: cmd.ErrOrStderr()}
			err := f.all(args)
			return errors.Join(f.print(g.json), err)
		},
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return []string{"hcl"}, cobra.ShellCompDirectiveFilterFileExt
		},
	}
	cmd.Flags().BoolVar(&check, "check", false, "change nothing, fail if there is something to change")
	return cmd
}

// fmtResult is what fmt --json prints.
type fmtResult struct {
	Changed []string `json:"changed"` // or with --check: to change
}

// formatter is one run of fmt.
type formatter struct {
	check, color bool
	in           io.Reader
	out, err     io.Writer
	changed      []string
	piped        bool // the output is a configuration
}

func (f *formatter) all(paths []string) error {
	var failed error
	for _, path := range paths {
		failed = errors.Join(failed, f.path(path))
	}
	if failed == nil && f.check && len(f.changed) > 0 {
		return fmt.Errorf("fmt: %s not in canonical form: run holdfast fmt", plural(len(f.changed), "file"))
	}
	return failed
}

// print tells which files are not what they were, or with check should be.
func (f *formatter) print(asJSON bool) error {
	if f.piped {
		return nil
	}
	if asJSON {
		return printJSON(f.out, fmtResult{Changed: append([]string{}, f.changed...)})
	}
	for _, path := range f.changed {
		if _, err := fmt.Fprintln(f.out, path); err != nil {
			return fmt.Errorf("print: %w", err)
		}
	}
	return nil
}

// path formats what a path stands for.
func (f *formatter) path(path string) error {
	if path == "-" {
		return f.pipe()
	}
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("fmt: %w", err)
	}
	if !info.IsDir() {
		return f.file(path)
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return fmt.Errorf("fmt: %w", err)
	}
	var failed error
	for _, e := range entries {
		if name := e.Name(); strings.HasSuffix(name, ".hcl") && !strings.HasPrefix(name, ".") {
			failed = errors.Join(failed, f.file(filepath.Join(path, name)))
		}
	}
	return failed
}

// pipe formats standard input.
func (f *formatter) pipe() error {
	f.piped = true
	src, err := io.ReadAll(f.in)
	if err != nil {
		return fmt.Errorf("fmt: read standard input: %w", err)
	}
	formatted, err := f.format("<stdin>", src)
	if err != nil {
		return err
	}
	if f.check {
		if !bytes.Equal(src, formatted) {
			f.changed = append(f.changed, "<stdin>")
		}
		return nil
	}
	_, err = f.out.Write(formatted)
	return err
}

// file formats a file in its place.
func (f *formatter) file(path string) error {
	src, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("fmt: %w", err)
	}
	formatted, err := f.format(path, src)
	if err != nil || bytes.Equal(src, formatted) {
		return err
	}
	if !f.check {
		if err := replace(path, formatted); err != nil {
			return fmt.Errorf("fmt: %w", err)
		}
	}
	f.changed = append(f.changed, path)
	return nil
}

// format returns the canonical form; what keeps it from that is printed.
func (f *formatter) format(name string, src []byte) ([]byte, error) {
	formatted, diags := configs.Format(name, src)
	if diags.Errors() == 0 {
		return formatted, nil
	}
	if err := diags.Write(f.err, f.color); err != nil {
		return nil, fmt.Errorf("print: %w", err)
	}
	return nil, fmt.Errorf("fmt %s: %s: left as it is", name, plural(diags.Errors(), "error"))
}

// keepOwner gives a file the owner of another one.
func keepOwner(f *os.File, like os.FileInfo) error {
	owner, ok := like.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	return f.Chown(int(owner.Uid), int(owner.Gid))
}

// replace gives a file other contents, or none of them: a director may read it at any time.
func replace(path string, src []byte) (err error) {
	path, err = filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	t, err := os.CreateTemp(filepath.Dir(path), ".fmt-*")
	if err != nil {
		return err
	}
	_, err = t.Write(src)
	err = errors.Join(err, t.Chmod(info.Mode().Perm()), keepOwner(t, info), t.Sync(), t.Close())
	if err == nil {
		err = os.Rename(t.Name(), path)
	}
	if err != nil {
		_ = os.Remove(t.Name())
	}
	return err
}
