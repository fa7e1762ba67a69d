// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// width is that of a screen, which no line is longer than.
const width = 80

// wide are the characters that take two columns of a terminal: those of East Asia, and pictures.
var wide = &unicode.RangeTable{
	R16: []unicode.Range16{
		{Lo: 0x1100, Hi: 0x115f, Stride: 1}, {Lo: 0x2e80, Hi: 0xa4cf, Stride: 1}, {Lo: 0xac00, Hi: 0xd7a3, Stride: 1},
		{Lo: 0xf900, Hi: 0xfaff, Stride: 1}, {Lo: 0xfe30, Hi: 0xfe6f, Stride: 1}, {Lo: 0xff00, Hi: 0xff60, Stride: 1}, {Lo: 0xffe0, Hi: 0xffe6, Stride: 1},
	},
	R32: []unicode.Range32{{Lo: 0x1f300, Hi: 0x1faff, Stride: 1}, {Lo: 0x20000, Hi: 0x3fffd, Stride: 1}},
}

// columns is how much of a line a text takes. Codes that colour it take nothing.
func columns(text string) (n int) {
	code := false
	for _, r := range text {
		switch {
		case code:
			code = r != 'm'
		case r == '\x1b':
			code = true
		case r < 0x300:
			n++
		case unicode.Is(wide, r):
			n += 2
		case !unicode.Is(unicode.Mn, r):
			n++
		}
	}
	return n
}

// cut divides a text after as much as takes n columns, and after one character at least.
func cut(text string, n int) (head, tail string) {
	end := len(text)
	for i := range text {
		if i > 0 && columns(text[:i]) > n {
			break
		}
		end = i
	}
	if columns(text) <= n {
		return text, ""
	}
	if end == 0 {
		_, end = utf8.DecodeRuneInString(text)
	}
	return text[:end], text[end:]
}

// wrap writes a text in lines that fit a screen, broken between its words or, where one is too long, in it. The first line
// begins with head, the others with indent.
func wrap(w io.Writer, head, text, indent string) {
	line, bare := head, true // nothing to be parted from the next word
	for _, word := range strings.Fields(text) {
		gap := " "
		if bare {
			gap = ""
		}
		if columns(line+gap+word) > width && line != indent && line != "" {
			fmt.Fprintln(w, strings.TrimRight(line, " "))
			line, gap = indent, ""
		}
		for columns(line+gap+word) > width {
			var first string
			first, word = cut(word, width-columns(line))
			fmt.Fprintln(w, line+first)
			line = indent
		}
		line += gap + word
		bare = false
	}
	fmt.Fprintln(w, line)
}

// row is one line of a table, or two.
type row struct {
	cells []string
	text  string // that follows
	extra string // and where there is room for it
}

// A table has its cells one below the other as far as they are no wider than these; those that are begin a new line.
var widest = []int{22, 21, 13, 14} // 78 with what is between them

// writeTable writes rows that fit a screen.
func writeTable(w io.Writer, rows []row) {
	at := []int{2} // where the columns begin
	for i, most := range widest {
		n := 0
		for _, r := range rows {
			n = max(n, min(columns(r.cells[i]), most))
		}
		at = append(at, at[i]+n+2)
	}
	for _, r := range rows {
		line := ""
		for i, cell := range r.cells {
			begin := at[i]
			if begin+columns(cell) > width {
				begin = at[0] + 2
			}
			if line != "" && columns(line)+2 > begin {
				fmt.Fprintln(w, line)
				line = ""
			}
			line += strings.Repeat(" ", begin-columns(line))
			for columns(line+cell) > width {
				var first string
				first, cell = cut(cell, width-columns(line))
				fmt.Fprintln(w, line+first)
				line = strings.Repeat(" ", at[0]+2)
			}
			line += cell
		}
		const indent = "    "
		whole, begin := r.text, max(at[len(at)-1], columns(line)+2)
		if r.extra != "" {
			whole += "; " + r.extra
		}
		switch {
		case begin+columns(whole) <= width:
			line += strings.Repeat(" ", begin-columns(line)) + whole
		case begin+columns(r.text) <= width:
			line += strings.Repeat(" ", begin-columns(line)) + r.text
		case columns(indent+whole) <= width:
			line += "\n" + indent + whole
		default:
			fmt.Fprintln(w, line)
			wrap(w, indent, r.text, indent)
			continue
		}
		fmt.Fprintln(w, line)
	}
}
