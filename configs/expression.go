// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// An evaluator works expressions out, within the budget of one configuration.
type evaluator struct {
	base      *hcl.EvalContext // what every expression can name
	variables map[string]*variable
	left      int // of the budget; negative: it is used up, and was reported
	prepared  map[hclsyntax.Expression][]hcl.Traversal
}

// newEvaluator returns one that knows the functions, and no variables.
func newEvaluator() *evaluator {
	return &evaluator{
		base: &hcl.EvalContext{Functions: functions}, left: budget, prepared: map[hclsyntax.Expression][]hcl.Traversal{},
	}
}

// scoped is an expression in the content of a dynamic block, where it can name what the block goes through.
type scoped struct {
	hcl.Expression
	ctx *hcl.EvalContext
}

// UnwrapExpression is for hcl.UnwrapExpression.
func (s scoped) UnwrapExpression() hcl.Expression { return s.Expression }

// open returns what is within an expression, and where its names are looked up.
func (e *evaluator) open(expr hcl.Expression) (hcl.Expression, *hcl.EvalContext) {
	ctx := e.base
	if s, ok := expr.(scoped); ok {
		expr, ctx = s.Expression, s.ctx
	}
	if m, ok := expr.(*metered); ok {
		expr = m.Expression
	}
	return expr, ctx
}

// in is a part of an expression that had that scope.
func (e *evaluator) in(ctx *hcl.EvalContext, part hcl.Expression) hcl.Expression {
	if ctx == e.base {
		return part
	}
	return scoped{part, ctx}
}

// value works an expression out. It may be unknown, if it depends on something that was reported.
func (e *evaluator) value(expr hcl.Expression) (cty.Value, hcl.Diagnostics) {
	if e.left < 0 {
		return cty.DynamicVal, nil
	}
	inner, ctx := e.open(expr)
	native, ok := inner.(hclsyntax.Expression)
	if !ok { // of JSON, in a test that does without convert
		return inner.Value(ctx)
	}
	if diags := e.known(e.prepare(native), ctx); len(diags) > 0 {
		return cty.DynamicVal, diags
	}
	if !e.spend(stepCost + length(native.Range())) {
		return cty.DynamicVal, hcl.Diagnostics{tooMuch(native.Range())}
	}
	return native.Value(ctx)
}

// known reports names that mean nothing.
func (e *evaluator) known(names []hcl.Traversal, ctx *hcl.EvalContext) (diags hcl.Diagnostics) {
	for _, t := range names {
		at, root := t.SourceRange(), t.RootName()
		if _, found := lookUp(ctx, root); !found {
			diags = append(diags, fault(at, "Unknown name", e.unknown(root)))
			continue
		}
		if root != variableRoot || len(t) < 2 {
			continue
		}
		if step, ok := t[1].(hcl.TraverseAttr); ok && e.variables[step.Name] == nil {
			diags = append(diags, fault(at, "Unknown variable", fmt.Sprintf("No variable %q is declared%s", step.Name, e.instead(step.Name))))
		}
	}
	return diags
}

// unknown says what to write instead of a name.
func (e *evaluator) unknown(name string) string {
	switch {
	case name == variableRoot:
		return "No variable can be used here: its value may depend on them."
	case e.variables[name] != nil:
		return fmt.Sprintf("A variable is named with var.: write var.%s.", name)
	}
	return fmt.Sprintf("Nothing is called %q here: a variable is var.NAME, and a text stands in quotes.", name)
}

// instead says what to do about a variable that is not declared.
func (e *evaluator) instead(name string) string {
	var names []string
	for n := range e.variables {
		names = append(names, n)
	}
	if n := nearest(name, names); n != "" {
		return fmt.Sprintf("; did you mean %q?", n)
	}
	return fmt.Sprintf(": write variable %q { default = … }, or without a default and set it with --var.", name)
}

// lookUp returns what a name stands for.
func lookUp(ctx *hcl.EvalContext, name string) (cty.Value, bool) {
	for ; ctx != nil; ctx = ctx.Parent() {
		if v, ok := ctx.Variables[name]; ok {
			return v, true
		}
	}
	return cty.NilVal, false
}

// origin says, for a value that is wrong, what the names in its expression stand for; empty if there are none.
func (e *evaluator) origin(expr hcl.Expression) string {
	inner, ctx := e.open(expr)
	native, ok := inner.(hclsyntax.Expression)
	if !ok {
		return ""
	}
	const most = 3
	var out strings.Builder
	for i, t := range e.prepared[native] {
		v, diags := t.TraverseAbs(ctx)
		if i == most || diags.HasErrors() || !v.IsKnown() {
			break
		}
		fmt.Fprintf(&out, " %s is %s", spell(t), show(v))
		if step, ok := t[min(1, len(t)-1)].(hcl.TraverseAttr); ok && t.RootName() == variableRoot {
			out.WriteString(", " + e.variables[step.Name].source())
		}
		out.WriteByte('.')
	}
	return out.String()
}

// spell writes names as the file does.
func spell(t hcl.Traversal) string {
	s := t.RootName()
	for _, step := range t[1:] {
		switch step := step.(type) {
		case hcl.TraverseAttr:
			s += "." + step.Name
		case hcl.TraverseIndex:
			s += "[" + show(step.Key) + "]"
		}
	}
	return s
}

// fault is an error at a place.
func fault(at hcl.Range, summary, detail string) *hcl.Diagnostic {
	return &hcl.Diagnostic{Severity: hcl.DiagError, Summary: summary, Detail: detail, Subject: &at}
}

// literal returns the value of an expression that is one plain text, number or truth, or null.
func (b *builder) literal(name string, expr hcl.Expression) (cty.Value, bool) {
	inner, ctx := b.eval.open(expr)
	switch e := inner.(type) {
	case *hclsyntax.LiteralValueExpr:
		if e.Val.IsKnown() {
			return e.Val, true
		}
	case *hclsyntax.ParenthesesExpr:
		return b.literal(name, b.eval.in(ctx, e.Expression))
	case *hclsyntax.TemplateExpr:
		if text, ok := plain(e); ok {
			return text, true
		}
	case *hclsyntax.ScopeTraversalExpr:
		if word := e.Traversal.RootName(); len(e.Traversal) == 1 && word != variableRoot && b.eval.variables[word] == nil {
			if _, found := lookUp(ctx, word); !found {
				b.invalid(name, expr.Range(), fmt.Errorf("takes a text in quotes: write %q", word))
				return cty.NilVal, false
			}
		}
	}
	v, ok := b.evaluate(expr)
	if ok && !v.Type().IsPrimitiveType() && v.Type() != cty.DynamicPseudoType {
		b.misfit(name, expr, fmt.Errorf("is a single value"))
		return cty.NilVal, false
	}
	return v, ok
}

// evaluate works an expression out, and reports what is wrong with it.
func (b *builder) evaluate(expr hcl.Expression) (cty.Value, bool) {
	v, diags := b.eval.value(expr)
	b.diags = append(b.diags, diags...)
	return v, !diags.HasErrors() && v.IsWhollyKnown()
}

// plain returns the text of a template in which nothing is to be worked out.
func plain(t *hclsyntax.TemplateExpr) (cty.Value, bool) {
	var text strings.Builder
	for _, part := range t.Parts {
		p, ok := part.(*hclsyntax.LiteralValueExpr)
		if !ok || !isText(p.Val) {
			return cty.NilVal, false
		}
		text.WriteString(p.Val.AsString())
	}
	return cty.StringVal(text.String()), true
}

// misfit reports a value that the named attribute does not take, and, unless it is secret, what the names in its expression
// stand for.
func (b *builder) misfit(name string, expr hcl.Expression, err error) {
	before := len(b.diags)
	b.invalid(name, expr.Range(), err)
	if name == "password" {
		return
	}
	for _, d := range b.diags[before:] {
		d.Detail += b.eval.origin(expr)
	}
}
