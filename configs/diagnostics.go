// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"

	"github.com/hashicorp/hcl/v2"
)

// Diagnostic is one thing wrong with, or doubtful in, a configuration.
type Diagnostic struct {
	Severity string   `json:"severity"` // error, warning
	Summary  string   `json:"summary"`  // what
	Detail   string   `json:"detail"`   // why, and what to write instead
	File     string   `json:"file"`
	Line     int      `json:"line"`   // from 1; 0: the file as a whole
	Column   int      `json:"column"` // from 1, in characters
	End      Position `json:"end"`    // first character after it

	byte   int    // offset in the file, the order within it
	source string // the line, empty when there is none to show
	marker string // what goes below the line: blanks and carets
}

// Position is a place in a file.
type Position struct {
	Line   int `json:"line"`
	Column int `json:"column"`
}

// The severities of a [Diagnostic].
const (
	SeverityError   = "error"
	SeverityWarning = "warning"
)

func (d Diagnostic) String() string {
	where := d.File
	if d.Line > 0 {
		where = fmt.Sprintf("%s:%d:%d", d.File, d.Line, d.Column)
	}
	return fmt.Sprintf("%s: %s: %s", where, d.Severity, d.Summary)
}

// Diagnostics is everything found in one configuration, ordered by file and position.
type Diagnostics []Diagnostic

// Errors returns the number of errors; without one the configuration is valid.
func (ds Diagnostics) Errors() int {
	n := 0
	for _, d := range ds {
		if d.Severity == SeverityError {
			n++
		}
	}
	return n
}

// Err returns the first error in one line, and how many follow, or nil if there is none.
func (ds Diagnostics) Err() error {
	i := slices.IndexFunc(ds, func(d Diagnostic) bool { return d.Severity == SeverityError })
	if i < 0 {
		return nil
	}
	text := fmt.Sprintf("%s: %s", ds[i], ds[i].Detail)
	if more := ds.Errors() - 1; more > 0 {
		text += fmt.Sprintf(" (and %d more)", more)
	}
	return errors.New(text)
}

// Write prints the diagnostics for a person: position, summary, the line with a marker, the detail.
func (ds Diagnostics) Write(w io.Writer, color bool) error {
	paint := func(code, text string) string {
		if !color {
			return text
		}
		return "\x1b[" + code + "m" + text + "\x1b[0m"
	}
	var out strings.Builder
	for i, d := range ds {
		if i > 0 {
			out.WriteByte('\n')
		}
		tone := "1;31"
		if d.Severity == SeverityWarning {
			tone = "1;33"
		}
		fmt.Fprintln(&out, paint(tone, d.String()))
		if d.source != "" {
			number := fmt.Sprintf("%5d", d.Line)
			fmt.Fprintf(&out, "%s | %s\n%*s | %s\n", number, d.source, len(number), "", paint(tone, d.marker))
		}
		fmt.Fprintf(&out, "      %s\n", d.Detail)
	}
	_, err := io.WriteString(w, out.String())
	return err
}

// diagnostics turns HCL's into ours, in order and with their lines of source.
func diagnostics(found hcl.Diagnostics, files map[string]*hcl.File) Diagnostics {
	out := make(Diagnostics, 0, len(found))
	for _, f := range found {
		d := Diagnostic{Severity: SeverityError, Summary: f.Summary, Detail: clip(f.Detail)}
		if f.Severity == hcl.DiagWarning {
			d.Severity = SeverityWarning
		}
		if at := f.Subject; at != nil {
			d.File, d.Line, d.Column, d.byte = at.Filename, at.Start.Line, at.Start.Column, at.Start.Byte
			d.End = Position{at.End.Line, at.End.Column}
			if file := files[at.Filename]; file != nil {
				d.source, d.marker = snippet(file.Bytes, *at)
			}
		}
		out = append(out, d)
	}
	slices.SortStableFunc(out, func(a, b Diagnostic) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.byte, b.byte), cmp.Compare(a.Summary, b.Summary))
	})
	// What a dynamic block makes many times may be wrong as often.
	return slices.Compact(out)
}

// longestLine is the number of bytes up to which a line is shown: a machine wrote what is longer.
const longestLine = 300

// snippet returns the line on which at starts and the marker below it, or nothing for a line not worth showing.
func snippet(src []byte, at hcl.Range) (source, marker string) {
	start, end := at.Start.Byte, at.End.Byte
	if start < 0 || start > len(src) || end < start {
		return "", ""
	}
	first := strings.LastIndexByte(string(src[max(0, start-longestLine):start]), '\n') + 1 + max(0, start-longestLine)
	rest, _, _ := strings.Cut(string(src[first:min(len(src), first+longestLine+1)]), "\n")
	if len(rest) > longestLine || first+len(rest) < start {
		return "", ""
	}
	end = min(end, first+len(rest))
	blank := strings.Map(func(r rune) rune {
		if r == '\t' {
			return r
		}
		return ' '
	}, rest[:start-first])
	carets := max(1, len([]rune(rest[start-first:end-first])))
	return printable(rest), blank + strings.Repeat("^", carets)
}

// longestDetail is the number of bytes that a detail may have: it quotes values, which may be of any length.
const longestDetail = 500

// clip makes one line of bounded length out of a detail.
func clip(detail string) string {
	if len(detail) > longestDetail {
		detail = strings.ToValidUTF8(detail[:longestDetail], "") + "…"
	}
	return printable(strings.Join(strings.Fields(detail), " "))
}

// printable replaces what could steer the terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\t' || unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, strings.TrimSuffix(s, "\r"))
}
