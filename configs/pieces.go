// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"bytes"
	"runtime"
	"sync"
	"sync/atomic"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// A piece is a run of whole statements of a file. The parser makes tokens of all that it is given before it looks at the
// first, in a list that it copies each time that it grows: piece by piece, a large file takes half the memory and less time.
type piece struct {
	src     []byte
	start   hcl.Pos
	shallow bool // surely not too deep
}

// minPiece is the number of bytes from which on the end of a statement ends a piece.
const minPiece = 4 << 10

// parsePieces returns the body of a file, or nil if there is anything wrong with it: what that is only the file as a whole
// tells. A piece has at least so many bytes.
func parsePieces(name string, src []byte, least int) *hclsyntax.Body {
	if !utf8.Valid(src) {
		return nil
	}
	list := pieces(src, least)
	bodies := make([]*hclsyntax.Body, len(list))
	var next atomic.Int64
	var workers sync.WaitGroup
	for range min(len(list), runtime.GOMAXPROCS(0)) {
		workers.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(list); i = int(next.Add(1)) - 1 {
				bodies[i] = list[i].parse(name)
			}
		})
	}
	workers.Wait()
	return join(bodies)
}

// parse returns the body of a piece, or nil if there is anything wrong with it.
func (p piece) parse(name string) *hclsyntax.Body {
	if p.start.Byte > 0 && bytes.HasPrefix(p.src, []byte("\ufeff")) {
		return nil // the parser skips it at a start
	}
	if !p.shallow {
		if _, deep := tooDeep(name, p.src, p.start); deep {
			return nil
		}
	}
	file, diags := hclsyntax.ParseConfig(p.src, name, p.start)
	if len(diags) > 0 {
		return nil
	}
	return file.Body.(*hclsyntax.Body)
}

// join makes one body of those of the pieces of a file, of which none may be nil or give an argument of another one.
func join(bodies []*hclsyntax.Body) *hclsyntax.Body {
	whole := &hclsyntax.Body{Attributes: hclsyntax.Attributes{}, Blocks: hclsyntax.Blocks{}}
	for i, body := range bodies {
		if body == nil {
			return nil
		}
		for name, a := range body.Attributes {
			if whole.Attributes[name] != nil {
				return nil
			}
			whole.Attributes[name] = a
		}
		whole.Blocks = append(whole.Blocks, body.Blocks...)
		if i == 0 {
			whole.SrcRange = body.SrcRange
		}
		whole.SrcRange.End, whole.EndRange = body.SrcRange.End, body.EndRange
	}
	return whole
}

// pieces cuts a file. Where it meets what only the scanner of HCL tells apart, such as a heredoc, the rest is one piece.
func pieces(src []byte, least int) []piece {
	var list []piece
	s, from := outline{src: src, line: 1}, hcl.InitialPos
	known := true
	for known && s.at < len(src) {
		known = s.step()
		if known && src[s.at-1] == '\n' && len(s.open) == 0 && s.at-from.Byte >= least {
			list = append(list, piece{src[from.Byte:s.at], from, s.operators <= maxOperators})
			from, s.operators = hcl.Pos{Line: s.line, Column: 1, Byte: s.at}, 0
		}
	}
	if from.Byte == len(src) && len(list) > 0 {
		return list
	}
	return append(list, piece{src[from.Byte:], from, known && s.operators <= maxOperators})
}

// An outline knows which brackets and quotes are open at a place in a file.
type outline struct {
	src       []byte
	at        int
	line      int
	open      []byte // '$' is that of ${
	operators int    // at least as many as there are
}

// step goes over the next byte and what belongs to it, and reports whether it knows the place where it comes to.
func (s *outline) step() bool {
	c := s.src[s.at]
	s.at++
	if len(s.open) > 0 && s.open[len(s.open)-1] == '"' {
		return s.text(c)
	}
	switch c {
	case '{', '[', '(', '"':
		s.open = append(s.open, c)
		return len(s.open) <= maxNesting
	case '}', ']', ')':
		return s.close(c)
	case '\n':
		s.line++
	case '#':
		s.comment()
	case '/':
		switch {
		case s.next('/'):
			s.comment()
		case s.next('*'):
			return s.comments()
		}
		s.operators++
	case '<':
		s.operators++
		return !s.next('<')
	case '=':
		if s.next('=') {
			s.operators++
		}
	case '!', '-', '+', '*', '%', '?', '&', '|', '>', '.':
		s.operators++
	}
	return c < utf8.RuneSelf
}

// text is step within quotes.
func (s *outline) text(c byte) bool {
	switch c {
	case '"':
		s.open = s.open[:len(s.open)-1]
	case '\\':
		s.at++
		return s.at < len(s.src) && s.src[s.at-1] != '\r' && s.src[s.at-1] != '\n'
	case '$':
		s.open = append(s.open, c)
		s.at++
		return s.at < len(s.src) && s.src[s.at-1] == '{' && len(s.open) <= maxNesting
	case '%', '\r', '\n':
		return false
	}
	return true
}

func (s *outline) next(c byte) bool { return s.at < len(s.src) && s.src[s.at] == c }

// close takes the innermost bracket away if c belongs to it.
func (s *outline) close(c byte) bool {
	if len(s.open) == 0 {
		return false
	}
	last := len(s.open) - 1
	open := s.open[last]
	s.open = s.open[:last]
	switch c {
	case ']':
		return open == '['
	case ')':
		return open == '('
	}
	return open == '{' || open == '$'
}

// comment goes to the end of the line.
func (s *outline) comment() {
	if n := bytes.IndexByte(s.src[s.at:], '\n'); n >= 0 {
		s.at += n
	} else {
		s.at = len(s.src)
	}
}

// comments goes to the end of a comment of several lines.
func (s *outline) comments() bool {
	n := bytes.Index(s.src[s.at+1:], []byte("*/"))
	if n < 0 {
		return false
	}
	end := s.at + 1 + n + 2
	s.line += bytes.Count(s.src[s.at:end], []byte("\n"))
	s.at = end
	return true
}
