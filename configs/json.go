// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// isJSON reports whether a file has the other syntax of HCL.
func isJSON(name string) bool { return strings.HasSuffix(name, ".json") }

// tooDeepJSON is tooDeep for JSON, whose parser recurses over brackets too.
func tooDeepJSON(name string, src []byte) (hcl.Range, bool) {
	at, depth, quoted := hcl.InitialPos, 0, false
	for i := 0; i < len(src); i++ {
		switch c := src[i]; {
		case c == '\n':
			at.Line, at.Column = at.Line+1, 0
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			depth--
		}
		if depth > maxNesting {
			at.Byte, at.Column = i, max(1, at.Column)
			return hcl.Range{Filename: name, Start: at, End: at}, true
		}
		at.Column++
	}
	return hcl.Range{}, false
}

// fromJSON makes the expression of the native syntax that one of JSON stands for, so that everybody else knows only those.
// A text is a template.
func fromJSON(expr hcl.Expression) (hclsyntax.Expression, hcl.Diagnostics) {
	at := expr.Range()
	if pairs, diags := hcl.ExprMap(expr); !diags.HasErrors() {
		object := &hclsyntax.ObjectConsExpr{SrcRange: at, OpenRange: expr.StartRange()}
		diags = nil
		for _, p := range pairs {
			key, more := fromJSON(p.Key)
			value, others := fromJSON(p.Value)
			diags = append(append(diags, more...), others...)
			object.Items = append(object.Items, hclsyntax.ObjectConsItem{KeyExpr: &hclsyntax.ObjectConsKeyExpr{Wrapped: key}, ValueExpr: value})
		}
		return object, diags
	}
	if list, diags := hcl.ExprList(expr); !diags.HasErrors() {
		tuple := &hclsyntax.TupleConsExpr{SrcRange: at, OpenRange: expr.StartRange()}
		diags = nil
		for _, e := range list {
			element, more := fromJSON(e)
			diags = append(diags, more...)
			tuple.Exprs = append(tuple.Exprs, element)
		}
		return tuple, diags
	}
	v, diags := expr.Value(nil)
	if !isText(v) || diags.HasErrors() {
		return &hclsyntax.LiteralValueExpr{Val: v, SrcRange: at}, diags
	}
	text := &hclsyntax.TemplateExpr{Parts: []hclsyntax.Expression{&hclsyntax.LiteralValueExpr{Val: v, SrcRange: at}}, SrcRange: at}
	if s := v.AsString(); strings.Contains(s, "${") || strings.Contains(s, "%{") {
		return template(text, s, at)
	}
	return text, nil
}

// template reads a text in which something is to be worked out. Its places are right up to the first escape of JSON.
func template(text *hclsyntax.TemplateExpr, src string, at hcl.Range) (hclsyntax.Expression, hcl.Diagnostics) {
	start := hcl.Pos{Line: at.Start.Line, Column: at.Start.Column + 1, Byte: at.Start.Byte + 1}
	tokens, _ := hclsyntax.LexTemplate([]byte(src), at.Filename, start)
	unknown := &hclsyntax.LiteralValueExpr{Val: cty.DynamicVal, SrcRange: at}
	if _, deep := deepest(tokens); deep {
		return unknown, hcl.Diagnostics{nestedTooDeeply(at)}
	}
	expr, diags := hclsyntax.ParseTemplate([]byte(src), at.Filename, start)
	if diags.HasErrors() {
		for _, d := range diags {
			d.Subject, d.Context = &at, nil
		}
		return unknown, diags
	}
	if t, ok := expr.(*hclsyntax.TemplateExpr); ok {
		if v, ok := plain(t); ok { // all of it was escaped
			text.Parts[0] = &hclsyntax.LiteralValueExpr{Val: cty.StringVal(v.AsString()), SrcRange: at}
			return text, nil
		}
	}
	return expr, nil
}
