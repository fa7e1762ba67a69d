// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/holdfast-lb/holdfast/configs"
	"github.com/holdfast-lb/holdfast/vrrp"
)

// pages returns the Markdown files of the repository, all of which it checks for what they say of it.
func pages(t *testing.T) map[string]string {
	found := make(map[string]string)
	for name, src := range files(t) {
		if path.Ext(name) == ".md" {
			found[name] = string(src)
		}
	}
	return found
}

// block is a fenced block of a page.
type block struct {
	language, text string
	line           int
}

// blocks returns the fenced blocks of a page, and the page without them.
func blocks(page string) (list []block, prose string) {
	var rest strings.Builder
	open := false
	for n, line := range strings.Split(page, "\n") {
		language, fence := strings.CutPrefix(strings.TrimSpace(line), "```")
		switch {
		case fence && !open:
			list = append(list, block{language: language, line: n + 1})
		case !fence && open:
			list[len(list)-1].text += line + "\n"
		case !fence:
			rest.WriteString(line + "\n")
		}
		open = open != fence
	}
	return list, rest.String()
}

// TestConfigurationsInPages: every configuration that a page shows loads, without errors or warnings but of missing files.
func TestConfigurationsInPages(t *testing.T) {
	inReadme := 0
	for name, page := range pages(t) {
		list, _ := blocks(page)
		for _, b := range list {
			if b.language != "hcl" {
				continue
			}
			cfg, diags := configs.LoadBytes(fmt.Sprintf("%s:%d", name, b.line), []byte(b.text))
			for _, d := range diags {
				if d.Summary == "Unusable file" {
					continue // it is not of this machine
				}
				t.Errorf("%s: %s", d, d.Detail)
			}
			if name == "README.md" && cfg != nil && len(cfg.VirtualRouters) == 1 && len(cfg.VirtualServers) == 1 {
				inReadme++
			}
		}
	}
	if inReadme == 0 {
		t.Error("README.md shows no configuration of a virtual router and a virtual server")
	}
}

var (
	inlineCode = regexp.MustCompile("`([^`\n]+)`")
	comment    = regexp.MustCompile(`(^|\s)#.*`)
	separator  = regexp.MustCompile(`&&|\|\||[;|&]`)
	// What may stand before a command.
	before = regexp.MustCompile(`^(\$ |sudo |exec |deploy/lab/vm |ip netns exec \S+ |watch (-n \d+ )?)*`)
)

// commandLines returns the commands that a page names: in blocks of language sh, in those of language console after
// "$ ", and in inline code.
func commandLines(page string) []string {
	var lines []string
	list, prose := blocks(page)
	for _, b := range list {
		for _, line := range strings.Split(b.text, "\n") {
			if b.language == "sh" || b.language == "console" && strings.HasPrefix(line, "$ ") {
				lines = append(lines, comment.ReplaceAllString(line, ""))
			}
		}
	}
	for _, m := range inlineCode.FindAllStringSubmatch(prose, -1) {
		lines = append(lines, m[1])
	}
	var commands []string
	for _, line := range lines {
		for _, c := range separator.Split(line, -1) {
			c = strings.TrimSpace(c)
			commands = append(commands, strings.TrimPrefix(c, before.FindString(c)))
		}
	}
	return commands
}

// wrongCommand says why holdfast or make would refuse a command line; nil if it is neither's.
func wrongCommand(line string, targets []string) error {
	args := strings.Fields(line)
	if len(args) < 2 {
		return nil
	}
	if i := slices.IndexFunc(args, func(a string) bool { return strings.ContainsAny(a, "<>") }); i >= 0 {
		args = args[:i]
	}
	switch path.Base(args[0]) {
	case "make":
		for _, a := range args[1:] {
			if !strings.Contains(a, "=") && !slices.Contains(targets, a) {
				return fmt.Errorf("no target %s", a)
			}
		}
	case "holdfast":
		root := newRootCommand(&globals{})
		root.SetOut(io.Discard)
		root.InitDefaultHelpCmd()
		root.InitDefaultCompletionCmd()
		cmd, rest, err := root.Find(args[1:])
		if err != nil {
			return err
		}
		cmd.InitDefaultHelpFlag()
		if err := cmd.ParseFlags(rest); err != nil {
			return err
		}
		if cmd == root && cmd.Flags().NArg() > 0 {
			return errors.New("no such command")
		}
		return cmd.ValidateArgs(cmd.Flags().Args())
	}
	return nil
}

// TestCommandsInPages: every command of holdfast and every target of make that a page names exists, with its flags.
func TestCommandsInPages(t *testing.T) {
	var targets []string
	for _, m := range regexp.MustCompile(`(?m)^([a-z-]+):`).FindAllStringSubmatch(string(files(t)["Makefile"]), -1) {
		targets = append(targets, m[1])
	}
	seen := make(map[string]bool)
	for name, page := range pages(t) {
		for _, line := range commandLines(page) {
			if err := wrongCommand(line, targets); err != nil {
				t.Errorf("%s: %s: %v", name, line, err)
			}
			if words := strings.Fields(line); len(words) > 1 && path.Base(words[0]) == "holdfast" {
				seen[words[1]] = true
			}
		}
	}
	for _, c := range newRootCommand(&globals{}).Commands() {
		if !seen[c.Name()] {
			t.Errorf("no page names holdfast %s", c.Name())
		}
	}
	for _, line := range []string{"holdfast nosuch", "bin/holdfast run --nosuch", "holdfast reload now", "make nosuch"} {
		if wrongCommand(line, targets) == nil {
			t.Errorf("%s: not found to be wrong", line)
		}
	}
}

var (
	link     = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading  = regexp.MustCompile(`(?m)^#+ +(.*)$`)
	unlinked = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// anchors returns the names that links to the headings of a page have.
func anchors(page string) []string {
	_, prose := blocks(page)
	var list []string
	for _, m := range heading.FindAllStringSubmatch(prose, -1) {
		list = append(list, strings.ReplaceAll(unlinked.ReplaceAllString(strings.ToLower(m[1]), ""), " ", "-"))
	}
	return list
}

// wrongLink says why a link in a page leads nowhere; empty: it does not. Other sites are not asked.
func wrongLink(all map[string][]byte, from, to string) string {
	if strings.Contains(to, "://") {
		return ""
	}
	file, anchor, _ := strings.Cut(to, "#")
	name := from
	if file != "" {
		name = path.Join(path.Dir(from), file)
	}
	folder := func(f string) bool { return strings.HasPrefix(f, name+"/") }
	switch src, ok := all[name]; {
	case !ok && !anyKey(all, folder):
		return "no such file"
	case anchor != "" && !slices.Contains(anchors(string(src)), anchor):
		return "no such heading"
	}
	return ""
}

func anyKey(m map[string][]byte, f func(string) bool) bool {
	for k := range m {
		if f(k) {
			return true
		}
	}
	return false
}

// TestLinksInPages: every link of a page to a file or a heading of the repository leads somewhere.
func TestLinksInPages(t *testing.T) {
	all := files(t)
	for name, page := range pages(t) {
		_, prose := blocks(page)
		for _, m := range link.FindAllStringSubmatch(prose, -1) {
			if problem := wrongLink(all, name, m[1]); problem != "" {
				t.Errorf("%s: %s: %s", name, m[1], problem)
			}
		}
	}
	for _, to := range []string{"nosuch.md", "Makefile/x", "deploy/lab/README.md#nosuch", "#nosuch"} {
		if wrongLink(all, "README.md", to) == "" {
			t.Errorf("%s: not found to be wrong", to)
		}
	}
}

// TestPagesAreListed: README.md leads to every page in docs.
func TestPagesAreListed(t *testing.T) {
	readme := string(files(t)["README.md"])
	for name := range pages(t) {
		if path.Dir(name) == "docs" && !strings.Contains(readme, "]("+name+")") {
			t.Errorf("README.md has no link to %s", name)
		}
	}
}

// TestRefusalsInPages holds the table of docs/election.md against the reasons that there are.
func TestRefusalsInPages(t *testing.T) {
	page := string(files(t)["docs/election.md"])
	_, table, _ := strings.Cut(page, "## Adverts that are refused")
	var listed []string
	for line := range strings.Lines(table) {
		if name, ok := strings.CutPrefix(line, "| `"); ok {
			name, _, _ = strings.Cut(name, "`")
			listed = append(listed, name)
		}
	}
	var want []string
	for _, r := range vrrp.Refusals {
		want = append(want, string(r))
	}
	if !slices.Equal(listed, want) {
		t.Errorf("docs/election.md lists %q, the code knows %q", listed, want)
	}
}
