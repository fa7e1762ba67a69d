// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// What working out the expressions of one configuration may take, in bytes of text or source that are gone over. Without
// a bound, a few nested loops would keep a director busy for ever.
const (
	budget      = 64 << 20
	stepCost    = 250  // of one part of an expression
	elementCost = 40   // of an element of a list or map
	blockCost   = 1000 // of a block that a dynamic block makes
)

// maxExponent bounds the numbers that expressions calculate with: digits are written out where a number becomes a text.
const maxExponent = 4096

// metered is a part of an expression whose value counts: what is done in a loop, and what becomes larger.
type metered struct {
	hclsyntax.Expression
	of *evaluator
}

// Value returns something unknown instead of what costs too much.
func (m *metered) Value(ctx *hcl.EvalContext) (cty.Value, hcl.Diagnostics) {
	if m.of.left < 0 {
		return cty.DynamicVal, nil
	}
	v, diags := m.Expression.Value(ctx)
	if m.of.left < 0 {
		return cty.DynamicVal, diags
	}
	at := m.Expression.Range()
	if !m.of.spend(stepCost+length(at)) || !m.of.weigh(v) {
		return cty.DynamicVal, append(diags, tooMuch(at))
	}
	if v.Type() == cty.Number && v.IsKnown() && !v.IsNull() {
		if e := v.AsBigFloat().MantExp(nil); e > maxExponent || e < -maxExponent {
			return cty.DynamicVal, append(diags, fault(at, "Number out of range", "Nothing in a configuration needs so large, or so small, a number."))
		}
	}
	return v, diags
}

// UnwrapExpression is for hcl.UnwrapExpression.
func (m *metered) UnwrapExpression() hcl.Expression { return m.Expression }

// spend reports whether the budget had that much.
func (e *evaluator) spend(n int) bool {
	e.left -= n
	return e.left >= 0
}

// weigh spends the size of a value.
func (e *evaluator) weigh(v cty.Value) bool {
	switch {
	case v.IsNull() || !v.IsKnown():
	case v.Type() == cty.String:
		return e.spend(len(v.AsString()))
	case v.CanIterateElements():
		for it := v.ElementIterator(); it.Next(); {
			key, element := it.Element()
			if !e.spend(elementCost) || !e.weigh(key) || !e.weigh(element) {
				return false
			}
		}
	}
	return true
}

func tooMuch(at hcl.Range) *hcl.Diagnostic {
	return fault(at, "Too much to work out", "The expressions and dynamic blocks of the configuration make too many blocks, or too long "+
		"texts and lists: write less of them, or generate the file.")
}

// length is the number of bytes of a place.
func length(at hcl.Range) int { return max(0, at.End.Byte-at.Start.Byte) }

// prepare makes the parts of an expression count, and returns the names in it.
func (e *evaluator) prepare(x hclsyntax.Expression) []hcl.Traversal {
	names, done := e.prepared[x]
	if !done {
		names = x.Variables()
		e.prepared[x] = names
		_ = hclsyntax.VisitAll(x, func(n hclsyntax.Node) hcl.Diagnostics {
			e.meter(n)
			return nil
		})
	}
	return names
}

// meter makes the parts of one node count.
func (e *evaluator) meter(n hclsyntax.Node) {
	if m, ok := n.(*metered); ok {
		n = m.Expression
	}
	switch n := n.(type) {
	case *hclsyntax.ForExpr:
		e.count(&n.CollExpr, &n.KeyExpr, &n.ValExpr, &n.CondExpr)
	case *hclsyntax.SplatExpr:
		e.count(&n.Source, &n.Each)
	case *hclsyntax.FunctionCallExpr:
		for i := range n.Args {
			e.count(&n.Args[i])
		}
	case *hclsyntax.TemplateExpr:
		for i := range n.Parts {
			e.count(&n.Parts[i])
		}
	case *hclsyntax.TemplateJoinExpr:
		e.count(&n.Tuple)
	case *hclsyntax.BinaryOpExpr:
		e.count(&n.LHS, &n.RHS)
	case *hclsyntax.ConditionalExpr:
		e.count(&n.TrueResult, &n.FalseResult)
	case *hclsyntax.IndexExpr:
		e.count(&n.Key)
	case *hclsyntax.ObjectConsKeyExpr:
		if _, word := n.Wrapped.(*hclsyntax.ScopeTraversalExpr); !word {
			e.count(&n.Wrapped)
		}
	}
}

// count makes parts count that do not yet.
func (e *evaluator) count(parts ...*hclsyntax.Expression) {
	for _, p := range parts {
		switch x := (*p).(type) {
		case nil, *metered, *hclsyntax.AnonSymbolExpr:
		case *hclsyntax.LiteralValueExpr:
			if x.Val.Type() != cty.String {
				*p = &metered{x, e}
			}
		default:
			*p = &metered{x, e}
		}
	}
}
