// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"fmt"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// A dynamic block makes blocks of another type, one for each element of a list or map. It means what ext/dynblock of HCL
// makes of it. That hides from the expressions which element they are for, so that an element of a list could not be
// worked out, and a fault in it be shown, by itself; and it has no bound.
const dynamicType = "dynamic"

var dynamicHeader = hcl.BlockHeaderSchema{Type: dynamicType, LabelNames: []string{"type"}}

var dynamicSchema = &hcl.BodySchema{
	Attributes: []hcl.AttributeSchema{{Name: "for_each", Required: true}, {Name: "iterator"}, {Name: "labels"}},
	Blocks:     []hcl.BlockHeaderSchema{{Type: "content"}},
}

// scopedBody is the content of a dynamic block for one element.
type scopedBody struct {
	hcl.Body
	ctx *hcl.EvalContext
}

// dynamic is a dynamic block that was read.
type dynamic struct {
	*hcl.Block
	of       *field         // the blocks that it makes
	iterator string         // what its content calls an element
	elements hcl.Expression // for_each
	labels   []hcl.Expression
	content  *hcl.Block
}

// expand puts what dynamic blocks make into their places.
func (d *decoder) expand(p *plan, blocks hcl.Blocks) (out hcl.Blocks, diags hcl.Diagnostics) {
	for _, b := range blocks {
		if b.Type != dynamicType {
			out = append(out, b)
			continue
		}
		dyn, more := d.dynamic(p, b)
		diags = append(diags, more...)
		if more.HasErrors() {
			continue
		}
		made, more := d.make(dyn)
		out, diags = append(out, made...), append(diags, more...)
	}
	return out, diags
}

// dynamic reads a dynamic block.
func (d *decoder) dynamic(p *plan, b *hcl.Block) (dynamic, hcl.Diagnostics) {
	name, at := b.Labels[0], b.LabelRanges[0]
	dyn := dynamic{Block: b, of: p.byName[name], iterator: name}
	if dyn.of == nil || dyn.of.blocks == nil || dyn.of.static {
		return dyn, hcl.Diagnostics{fault(at, "Unsupported block type", fmt.Sprintf("Blocks of type %q cannot be made here.%s", name, p.suggest(name)))}
	}
	content, diags := b.Body.Content(dynamicSchema)
	for _, a := range content.Attributes {
		diags = append(diags, d.bind(a)...)
	}
	if diags.HasErrors() {
		return dyn, diags
	}
	dyn.elements = content.Attributes["for_each"].Expr
	if a := content.Attributes["iterator"]; a != nil {
		inner, _ := d.eval.open(a.Expr)
		if dyn.iterator = keyword(inner); !hclsyntax.ValidIdentifier(dyn.iterator) || dyn.iterator == variableRoot {
			return dyn, hcl.Diagnostics{fault(a.Expr.Range(), "Invalid iterator", "iterator takes a name, without quotes.")}
		}
	}
	if len(content.Blocks) != 1 {
		return dyn, hcl.Diagnostics{fault(b.DefRange, "Invalid dynamic block", "A dynamic block has one content block: what each block that it makes has in it.")}
	}
	dyn.content = content.Blocks[0]
	return dyn, dyn.readLabels(d, content.Attributes["labels"])
}

// keyword returns the word that an expression is; in JSON it is a text.
func keyword(expr hcl.Expression) string {
	if t, ok := expr.(*hclsyntax.TemplateExpr); ok {
		if text, ok := plain(t); ok {
			return text.AsString()
		}
	}
	return hcl.ExprAsKeyword(expr)
}

// readLabels reads the labels, of which there must be as many as the blocks have.
func (dyn *dynamic) readLabels(d *decoder, a *hcl.Attribute) hcl.Diagnostics {
	want, at := len(dyn.of.blocks.labels), dyn.DefRange
	if a != nil {
		at = a.Expr.Range()
		inner, ctx := d.eval.open(a.Expr)
		if tuple, ok := inner.(*hclsyntax.TupleConsExpr); ok {
			for _, e := range tuple.Exprs {
				dyn.labels = append(dyn.labels, d.eval.in(ctx, e))
			}
		}
	}
	switch {
	case len(dyn.labels) == want:
		return nil
	case want == 0:
		return hcl.Diagnostics{fault(at, "Invalid labels", fmt.Sprintf("A %s block has no label.", dyn.Labels[0]))}
	}
	return hcl.Diagnostics{fault(at, "Invalid labels", fmt.Sprintf(
		"A %s block has one label: write labels = [EXPRESSION], such as labels = [%s.key].", dyn.Labels[0], dyn.iterator))}
}

// make returns the blocks.
func (d *decoder) make(dyn dynamic) (out hcl.Blocks, diags hcl.Diagnostics) {
	at := dyn.elements.Range()
	all, diags := d.eval.value(dyn.elements)
	if diags.HasErrors() || !all.IsWhollyKnown() {
		return nil, diags
	}
	if all.IsNull() || !all.CanIterateElements() {
		return nil, hcl.Diagnostics{fault(at, "Invalid for_each", "for_each takes a list or a map, not "+show(all)+"."+d.eval.origin(dyn.elements))}
	}
	n, content := all.LengthInt(), dyn.content.Body
	if d.eval.left < 0 {
		return nil, nil
	}
	if native, ok := content.(*hclsyntax.Body); n > 0 && ok && (blockCost+length(native.Range())) > budget/n || n > budget/blockCost {
		d.eval.left = -1
		return nil, hcl.Diagnostics{tooMuch(at)}
	} else if ok && !d.eval.spend(n*(blockCost+length(native.Range()))) || !ok && !d.eval.spend(n*blockCost) {
		return nil, hcl.Diagnostics{tooMuch(at)}
	}
	_, outer := d.eval.open(dyn.elements)
	for it := all.ElementIterator(); it.Next(); {
		key, value := it.Element()
		ctx := outer.NewChild()
		ctx.Variables = map[string]cty.Value{dyn.iterator: cty.ObjectVal(map[string]cty.Value{"key": key, "value": value})}
		block := &hcl.Block{
			Type: dyn.Labels[0], TypeRange: dyn.LabelRanges[0], DefRange: dyn.DefRange, Body: &scopedBody{content, ctx},
		}
		more := d.label(dyn, block, ctx)
		diags = append(diags, more...)
		if !more.HasErrors() && len(block.Labels) == len(dyn.labels) {
			out = append(out, block)
		}
	}
	return out, diags
}

// label works out the labels of a block.
func (d *decoder) label(dyn dynamic, block *hcl.Block, ctx *hcl.EvalContext) hcl.Diagnostics {
	for _, expr := range dyn.labels {
		inner, _ := d.eval.open(expr)
		v, diags := d.eval.value(scoped{inner, ctx})
		if diags.HasErrors() || !v.IsKnown() {
			return diags
		}
		text := v
		if isNumber(v) && show(v) != "…" {
			text, _ = convert.Convert(v, cty.String)
		}
		if !isText(text) {
			return hcl.Diagnostics{fault(inner.Range(), "Invalid labels", "A label is a text, not "+show(v)+".")}
		}
		block.Labels, block.LabelRanges = append(block.Labels, text.AsString()), append(block.LabelRanges, inner.Range())
	}
	return nil
}

// suggest names the type of block that was meant.
func (p *plan) suggest(name string) string {
	var names []string
	for _, f := range p.fields {
		if f.blocks != nil && !f.static {
			names = append(names, f.name)
		}
	}
	if n := nearest(name, names); n != "" && !slices.Contains(names, name) {
		return fmt.Sprintf(" Did you mean %q?", n)
	}
	return ""
}
