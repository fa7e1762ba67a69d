// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/holdfast-lb/holdfast/configs"
)

func newManCommand(*globals) *cobra.Command {
	return &cobra.Command{
		Use:     "man DIRECTORY",
		Short:   "Write the manual pages into a directory",
		Long:    "Write the manual pages into a directory: one in section 8 for each command, and holdfast.hcl(5), the configuration.",
		Example: "  holdfast man /usr/local/share/man",
		Hidden:  true, // it is for packages
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			for name, page := range manPages(cmd.Root()) {
				path := filepath.Join(args[0], "man"+name[len(name)-1:], name)
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					return err
				}
				if err := os.WriteFile(path, []byte(page), 0o644); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

// manPages returns the manual pages by their files.
func manPages(root *cobra.Command) map[string]string {
	pages := map[string]string{"holdfast.hcl.5": configurationPage()}
	for _, c := range tree(root) {
		pages[manName(c)+".8"] = commandPage(c)
	}
	return pages
}

// tree is a command and all below it that are documented, a command before those below.
func tree(cmd *cobra.Command) []*cobra.Command {
	list := []*cobra.Command{cmd}
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() && c.Name() != "help" && c.Name() != "completion" {
			list = append(list, tree(c)...)
		}
	}
	return list
}

func manName(c *cobra.Command) string { return strings.ReplaceAll(c.CommandPath(), " ", "-") }

// roff writes text that means itself.
var roff = strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`, "`", `\(ga`, "^", `\(ha`, "~", `\(ti`).Replace

// roffLines writes lines, none of which is taken for a request.
func roffLines(text string) string {
	var b strings.Builder
	for line := range strings.Lines(roff(strings.TrimSpace(text)) + "\n") {
		if line[0] == '.' {
			line = `\&` + line
		}
		b.WriteString(line)
	}
	return b.String()
}

func commandPage(c *cobra.Command) string {
	var b strings.Builder
	section := func(name string) { fmt.Fprintf(&b, ".SH %s\n", name) }
	fmt.Fprintf(&b, ".TH %s 8 \"\" \"holdfast\" \"holdfast\"\n", strings.ToUpper(manName(c)))
	section("NAME")
	fmt.Fprintf(&b, "%s \\- %s\n", roff(manName(c)), roff(c.Short))
	section("SYNOPSIS")
	fmt.Fprintf(&b, ".B %s\n", roff(c.UseLine()))
	section("DESCRIPTION")
	text := c.Long
	if text == "" {
		text = c.Short
	}
	b.WriteString(roffLines(text))
	see := []string{"holdfast.hcl(5)"}
	if c.HasAvailableSubCommands() {
		section("COMMANDS")
		for _, sub := range c.Commands() {
			if sub.IsAvailableCommand() && sub.Name() != "help" {
				fmt.Fprintf(&b, ".TP\n.B %s\n%s", roff(strings.TrimPrefix(sub.Use, c.CommandPath()+" ")), roffLines(sub.Short))
			}
		}
	}
	if c.HasParent() {
		see = append([]string{manName(c.Parent()) + "(8)"}, see...)
	}
	section("OPTIONS")
	option := func(f *pflag.Flag) {
		value, usage := pflag.UnquoteUsage(f)
		name := "--" + f.Name
		if f.Shorthand != "" {
			name = "-" + f.Shorthand + ", " + name
		}
		fmt.Fprintf(&b, ".TP\n\\fB%s\\fR", roff(name))
		if value != "" {
			fmt.Fprintf(&b, " \\fI%s\\fR", roff(value))
		}
		fmt.Fprintf(&b, "\n%s", roffLines(usage))
	}
	c.LocalNonPersistentFlags().VisitAll(option)
	c.Root().PersistentFlags().VisitAll(option)
	if c.Example != "" {
		section("EXAMPLES")
		fmt.Fprintf(&b, ".nf\n%s.fi\n", roffLines(strings.ReplaceAll(c.Example, "\n  ", "\n")))
	}
	section("EXIT STATUS")
	b.WriteString("0 done; 1 it failed, or the configuration is invalid; 2 the command line is wrong.\n")
	if c.Name() == "plan" {
		b.WriteString("Here 0 means nothing to do, and 2 changes.\n")
	}
	section("SEE ALSO")
	fmt.Fprintf(&b, "%s\n", roff(strings.Join(see, ", ")))
	return b.String()
}

var referenceHead = regexp.MustCompile(`^# -+ (.*?) -+$`)

// configurationPage is holdfast.hcl(5), made of the reference: each line of it is code and what it says of that.
func configurationPage() string {
	var b strings.Builder
	b.WriteString(".TH HOLDFAST.HCL 5 \"\" \"holdfast\" \"holdfast\"\n.SH NAME\nholdfast.hcl \\- configuration of holdfast\n.SH DESCRIPTION\n")
	blocks := false // the first one has come
	for line := range strings.Lines(configs.Reference) {
		line = strings.TrimSpace(line)
		code, note := line, ""
		if i := strings.Index(" "+line, " # "); i >= 0 {
			code, note = strings.TrimSpace(line[:i]), line[i+2:]
		}
		head := referenceHead.FindStringSubmatch(line)
		switch {
		case line == "" || strings.HasPrefix(line, "# SPDX"):
		case head != nil:
			fmt.Fprintf(&b, ".SH %s\n", roff(strings.ToUpper(head[1])))
		case code == "" && blocks:
			fmt.Fprintf(&b, ".PP\n%s", roffLines(note))
		case code == "":
			b.WriteString(roffLines(note))
		case code == "}":
			b.WriteString(".RE\n")
		default:
			if !blocks {
				b.WriteString(".SH THE DIRECTOR\n")
			}
			blocks = true
			fmt.Fprintf(&b, ".TP 4\n\\fB%s\\fR\n", roff(code))
			if note == "" {
				note = `\&`
				b.WriteString(note + "\n")
			} else {
				b.WriteString(roffLines(note))
			}
			if strings.HasSuffix(code, "{") {
				b.WriteString(".RS 4\n")
			}
		}
	}
	b.WriteString(".SH SEE ALSO\nholdfast(8), holdfast\\-check(8), holdfast\\-fmt(8)\n")
	return b.String()
}
