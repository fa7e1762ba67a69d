// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"fmt"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// entry is one of a map.
type entry[T any] struct {
	key   string
	value T
	at    hcl.Range // of the key
}

// readMap returns the entries of a map whose keys are right, in the order of the file, or of the keys if it was worked out.
func readMap[T any](b *builder, a *hcl.Attribute, example string, key func(string) (string, error), value parser[T]) (list []entry[T]) {
	if a == nil {
		return nil
	}
	inner, ctx := b.eval.open(a.Expr)
	object, ok := inner.(*hclsyntax.ObjectConsExpr)
	if !ok {
		return readMapValue(b, a, example, key, value)
	}
	for _, item := range object.Items {
		name := readKey(b, a.Name, item.KeyExpr, ctx, key)
		v := readExpression(b, a.Name, b.eval.in(ctx, item.ValueExpr), value)
		if name != "" {
			list = append(list, entry[T]{name, v, item.KeyExpr.Range()})
		}
	}
	return list
}

// readMapValue is readMap for a map that is worked out.
func readMapValue[T any](b *builder, a *hcl.Attribute, example string, key func(string) (string, error), value parser[T]) (list []entry[T]) {
	v, ok := b.evaluate(a.Expr)
	if !ok {
		return nil
	}
	if t := v.Type(); v.IsNull() || !t.IsObjectType() && !t.IsMapType() {
		b.misfit(a.Name, a.Expr, fmt.Errorf("is a map, such as %s, not %s", example, show(v)))
		return nil
	}
	for it := v.ElementIterator(); it.Next(); {
		k, element := it.Element()
		name, err := key(k.AsString())
		var parsed T
		if err == nil {
			parsed, err = value(element)
		}
		if err != nil {
			b.misfit(a.Name, a.Expr, err)
			continue
		}
		list = append(list, entry[T]{name, parsed, a.Expr.Range()})
	}
	return list
}

// readKey reads a key of a map, which may be a bare word; empty if it is wrong.
func readKey(b *builder, attribute string, expr hclsyntax.Expression, ctx *hcl.EvalContext, parse func(string) (string, error)) string {
	word := hcl.ExprAsKeyword(expr)
	if word == "" {
		inner := expr
		if k, ok := expr.(*hclsyntax.ObjectConsKeyExpr); ok {
			inner = k.Wrapped
		}
		return readExpression(b, attribute, b.eval.in(ctx, inner), matching(parse))
	}
	if _, err := parse(word); err != nil {
		b.invalid(attribute, expr.Range(), err)
		return ""
	}
	return word
}
