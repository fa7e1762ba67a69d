// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// The parser recurses over brackets and operators without a limit of its own, and an overflow of the stack cannot be
// recovered from.
const (
	maxNesting   = 100
	maxOperators = 1000 // of one expression and those around it
)

// A level is an open bracket or quote.
type level struct {
	operators int  // of the expressions around it
	lines     bool // a block, where an expression ends with the line
}

// tooDeep returns the token at which a file, or a part of one that starts at a place, exceeds what the parser can take.
func tooDeep(name string, src []byte, start hcl.Pos) (hcl.Range, bool) {
	tokens, _ := hclsyntax.LexConfig(src, name, start)
	return deepest(tokens)
}

// deepest is tooDeep for tokens.
func deepest(tokens hclsyntax.Tokens) (hcl.Range, bool) {
	levels := []level{{lines: true}}
	operators := 0
	for i, t := range tokens {
		top := levels[len(levels)-1]
		switch t.Type {
		case hclsyntax.TokenOBrace:
			header := i > 0 && (tokens[i-1].Type == hclsyntax.TokenIdent || tokens[i-1].Type == hclsyntax.TokenCQuote)
			levels = append(levels, level{operators, top.lines && header})
		case hclsyntax.TokenTemplateControl: // nests up to its %{ endif }, which is one more
			operators++
			levels = append(levels, level{operators: operators})
		case hclsyntax.TokenOBrack, hclsyntax.TokenOParen, hclsyntax.TokenOQuote, hclsyntax.TokenOHeredoc, hclsyntax.TokenTemplateInterp:
			levels = append(levels, level{operators: operators})
		case hclsyntax.TokenCBrace, hclsyntax.TokenCBrack, hclsyntax.TokenCParen, hclsyntax.TokenCQuote,
			hclsyntax.TokenCHeredoc, hclsyntax.TokenTemplateSeqEnd:
			if operators = top.operators; len(levels) > 1 {
				levels = levels[:len(levels)-1]
			}
		case hclsyntax.TokenComma: // separates expressions
			operators = top.operators
		case hclsyntax.TokenNewline:
			if top.lines {
				operators = top.operators
			}
		case hclsyntax.TokenBang, hclsyntax.TokenMinus, hclsyntax.TokenPlus, hclsyntax.TokenStar, hclsyntax.TokenSlash,
			hclsyntax.TokenPercent, hclsyntax.TokenQuestion, hclsyntax.TokenAnd, hclsyntax.TokenOr,
			hclsyntax.TokenEqualOp, hclsyntax.TokenNotEqual, hclsyntax.TokenLessThan, hclsyntax.TokenLessThanEq,
			hclsyntax.TokenGreaterThan, hclsyntax.TokenGreaterThanEq, hclsyntax.TokenDot:
			operators++
		}
		if len(levels)-1 > maxNesting || operators > maxOperators {
			return t.Range, true
		}
	}
	return hcl.Range{}, false
}

func nestedTooDeeply(at hcl.Range) *hcl.Diagnostic {
	return fault(at, "Nested too deeply", "No configuration needs that many brackets or operators.")
}
