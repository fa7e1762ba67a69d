// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/holdfast-lb/holdfast/configs"
)

// TestCommandsAreComplete: every command that runs says what it does, in a line and at length, and shows an example that
// its own flags and arguments take. A wrong flag is a wrong command line.
func TestCommandsAreComplete(t *testing.T) {
	root := newRootCommand(&globals{})
	for _, c := range append(tree(root), newManCommand(nil)) {
		if !c.Runnable() {
			continue
		}
		path := c.CommandPath()
		if c.Short == "" || strings.HasSuffix(c.Short, ".") || len(c.Short) > 65 {
			t.Errorf("%s: Short is a few words without a full stop, not %q", path, c.Short)
		}
		if c.Long == "" {
			t.Errorf("%s has no Long: what it does, in whole sentences", path)
		}
		if c.HasAvailableSubCommands() {
			continue // it only says what may follow
		}
		own := false
		for _, line := range commandLines("```sh\n" + c.Example + "\n```\n") {
			own = own || strings.HasPrefix(line+" ", "holdfast "+strings.TrimPrefix(path, "holdfast ")+" ") || strings.HasPrefix(line, "holdfast -c ")
			if err := wrongCommand(line, nil); err != nil {
				t.Errorf("%s: its Example %q is refused: %v", path, line, err)
			}
		}
		if !own {
			t.Errorf("%s has no Example of itself", path)
		}
		if c.Parent() == nil {
			continue
		}
		var out bytes.Buffer
		if code := run(append(strings.Fields(path)[1:], "--nosuch"), &out, &out); code != exitUsage || strings.Count(out.String(), "\n") != 1 {
			t.Errorf("%s --nosuch: exit code %d, %q", path, code, &out)
		}
	}
}

// TestCommandsPage holds the help of every command against docs/commands.md, which -update writes.
func TestCommandsPage(t *testing.T) {
	var b strings.Builder
	b.WriteString("# Commands\n\n" +
		"What `--help` prints, for every command. The test `TestCommandsPage` holds this page and writes it (`go test ./cmd/holdfast -run TestCommandsPage -update`).\n\n" +
		"Exit codes: 0 done, 1 it failed or the configuration is invalid, 2 the command line is wrong; `holdfast plan` exits with 2 when\n" +
		"there is something to change. Errors are one line on standard error, with what to do next. `holdfast completion bash` (or `zsh`, `fish`)\n" +
		"prints a script that completes commands, flags and the names of the configuration in a shell; manual pages are written by `holdfast man DIRECTORY`.\n")
	root := newRootCommand(&globals{})
	for _, c := range tree(root) {
		var out bytes.Buffer
		if code := run(append(strings.Fields(c.CommandPath())[1:], "--help"), &out, &out); code != exitDone {
			t.Errorf("%s --help: exit code %d", c.CommandPath(), code)
		}
		fmt.Fprintf(&b, "\n## %s\n\n```text\n%s```\n", c.CommandPath(), &out)
	}
	golden(t, "../../docs/commands.md", b.String())
}

// TestCompletion asks as a shell does.
func TestCompletion(t *testing.T) {
	path := filepath.Join(t.TempDir(), "holdfast.hcl")
	const text = `
virtual_router "edge" {
  interface = "eth0"
  id        = 51
  addresses = ["10.0.0.100/32"]
}
virtual_server "web" {
  address = "10.0.0.100:80"
  real_server "web1" { address = "10.0.0.21:80" }
  real_server "web2" { address = "10.0.0.22:80" }
}
virtual_server "dns" {
  address  = "10.0.0.100:53"
  protocol = "udp"
  real_server "ns1" { address = "10.0.0.31:53" }
}
`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for line, want := range map[string]string{
		"drain ":                 "web/ dns/ :6",
		"drain web/":             "web/web1 web/web2 :4",
		"drain web/web1 ":        ":4",
		"undrain dns/":           "dns/ns1 :4",
		"weight w":               "web/ dns/ :6", // the shell leaves out what does not fit
		"explain router ":        "edge :4",
		"explain server dns/":    "dns/ns1 :4",
		"failover ":              "edge :4",
		"failover edge ":         ":4",
		"connections --service ": "web dns :4",
		"status --service ":      "web dns :4",
		"events --kind ":         strings.Join(configs.EventKinds, " ") + " :4",
		"-c /nosuch drain ":      ":4",
	} {
		words := strings.Split(line, " ")
		args := []string{cobra.ShellCompNoDescRequestCmd}
		if !strings.HasPrefix(line, "-c") {
			args = append(args, "-c", path)
		}
		var stdout, stderr bytes.Buffer
		run(append(args, words...), &stdout, &stderr)
		if got := strings.Join(strings.Fields(stdout.String()), " "); got != want {
			t.Errorf("%q: got %q, want %q", line, got, want)
		}
	}
	for _, shell := range []string{"bash", "zsh", "fish"} {
		var stdout, stderr bytes.Buffer
		if code := run([]string{"completion", shell}, &stdout, &stderr); code != 0 || stdout.Len() < 1000 || stderr.Len() > 0 {
			t.Errorf("%s: %d, %d bytes, %q", shell, code, stdout.Len(), &stderr)
		}
	}
}

// TestManPages: there is a page for each command, with its options, and mandoc finds no fault in any.
func TestManPages(t *testing.T) {
	dir := t.TempDir()
	var stdout, stderr bytes.Buffer
	if code := run([]string{"man", dir}, &stdout, &stderr); code != 0 {
		t.Fatalf("exit code %d, %q", code, &stderr)
	}
	files, _ := filepath.Glob(filepath.Join(dir, "man*", "*"))
	for _, want := range []string{"man8/holdfast.8", "man8/holdfast-drain.8", "man8/holdfast-explain-server.8", "man5/holdfast.hcl.5"} {
		if !slices.Contains(files, filepath.Join(dir, want)) {
			t.Errorf("no %s among %q", want, files)
		}
	}
	drain, _ := os.ReadFile(filepath.Join(dir, "man8", "holdfast-drain.8"))
	for _, want := range []string{"\n.TP\n\\fB\\-\\-timeout\\fR \\fItime\\fR\n", "\nholdfast drain web/web1\n", "\nholdfast(8), holdfast.hcl(5)\n"} {
		if !strings.Contains(string(drain), want) {
			t.Errorf("holdfast-drain.8 has no %q: %s", want, drain)
		}
	}
	reference, _ := os.ReadFile(filepath.Join(dir, "man5", "holdfast.hcl.5"))
	if rs, re := strings.Count(string(reference), "\n.RS"), strings.Count(string(reference), "\n.RE"); rs != re || rs < 20 {
		t.Errorf("holdfast.hcl.5 begins %d blocks and ends %d", rs, re)
	}
	mandoc, err := exec.LookPath("mandoc")
	if err != nil {
		t.Skip("mandoc is not installed")
	}
	out, err := exec.Command(mandoc, append([]string{"-T", "lint", "-W", "warning"}, files...)...).CombinedOutput()
	for line := range strings.Lines(string(out)) {
		if !strings.Contains(line, "missing date") { // a date would make each build another page
			t.Error(strings.TrimPrefix(strings.TrimSpace(line), dir))
		}
	}
	_ = err // it is of the missing date
}
