// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"fmt"
	"reflect"
	"strings"
	"sync"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// language is the plan of a whole configuration.
var language = sync.OnceValue(func() *plan { return newPlan(reflect.TypeFor[rawConfig]()) })

// decodeConfig puts a configuration into the raw layer.
func decodeConfig(e *evaluator, body hcl.Body, raw *rawConfig) hcl.Diagnostics {
	return language().decode(&decoder{eval: e}, body, reflect.ValueOf(raw).Elem())
}

// A decoder is where decoding has come to.
type decoder struct {
	eval *evaluator
	ctx  *hcl.EvalContext // in the content of a dynamic block; nil: elsewhere
}

// bind readies an attribute for those who read it.
func (d *decoder) bind(a *hcl.Attribute) (diags hcl.Diagnostics) {
	if _, native := a.Expr.(hclsyntax.Expression); !native {
		a.Expr, diags = fromJSON(a.Expr)
	}
	if d.ctx != nil {
		a.Expr = scoped{a.Expr, d.ctx}
	}
	return diags
}

// A plan says how bodies become values of one raw struct. The tags of its fields are those of gohcl, and so is what comes
// of them; gohcl itself reads the tags anew for every block, which took most of the time of loading a large configuration.
type plan struct {
	schema hcl.BodySchema
	fields []*field
	byName map[string]*field // attributes and blocks
	labels []label

	typeRange, defRange int // indices of fields; -1: none
}

// A field holds an attribute or blocks of one type.
type field struct {
	name   string
	index  int
	list   bool         // holds any number of blocks
	typ    reflect.Type // of the blocks
	blocks *plan        // nil: an attribute
	later  bool         // not served by this version
	static bool         // no dynamic block makes it
	of     []string     // the kinds that have it; nil: all
}

// A label of a block: where it and its place go.
type label struct {
	name        string
	value, spot int // spot: -1: nowhere
}

// newPlan reads the tags of a raw struct, of which each field has one.
func newPlan(t reflect.Type) *plan {
	p := &plan{byName: map[string]*field{}, typeRange: -1, defRange: -1}
	for i := range t.NumField() {
		tag := t.Field(i).Tag
		name, kind, _ := strings.Cut(tag.Get("hcl"), ",")
		f := &field{name: name, index: i}
		_, f.later = tag.Lookup("served")
		_, f.static = tag.Lookup("static")
		if of, limited := tag.Lookup("of"); limited {
			f.of = strings.Fields(of)
		}
		switch kind {
		case "optional":
			p.add(f)
			p.schema.Attributes = append(p.schema.Attributes, hcl.AttributeSchema{Name: name})
		case "block":
			if f.typ = t.Field(i).Type; f.typ.Kind() == reflect.Slice {
				f.typ, f.list = f.typ.Elem(), true
			}
			f.typ = f.typ.Elem()
			f.blocks = newPlan(f.typ)
			p.add(f)
			header := hcl.BlockHeaderSchema{Type: name}
			for _, l := range f.blocks.labels {
				header.LabelNames = append(header.LabelNames, l.name)
			}
			p.schema.Blocks = append(p.schema.Blocks, header)
		case "label":
			p.labels = append(p.labels, label{name, i, -1})
		case "label_range": // comes after its label
			p.labels[len(p.labels)-1].spot = i
		case "type_range":
			p.typeRange = i
		case "def_range":
			p.defRange = i
		default:
			panic(fmt.Sprintf("decode %s: field %s has the tag %q", t, t.Field(i).Name, tag))
		}
	}
	if len(p.schema.Blocks) > 0 {
		p.schema.Blocks = append(p.schema.Blocks, dynamicHeader)
	}
	return p
}

func (p *plan) add(f *field) {
	p.fields = append(p.fields, f)
	p.byName[f.name] = f
}

// decode puts what a body holds into a struct.
func (p *plan) decode(d *decoder, body hcl.Body, into reflect.Value) (diags hcl.Diagnostics) {
	if within, ok := body.(*scopedBody); ok {
		body, d = within.Body, &decoder{d.eval, within.ctx}
	}
	var blocks hcl.Blocks
	native, ok := body.(*hclsyntax.Body)
	fits, dynamic := ok, true
	if ok {
		fits, dynamic = p.fits(native)
	}
	if fits {
		// What Content does, without the sets by which it finds faults.
		for _, a := range native.Attributes {
			p.set(d, into, a.AsHCLAttribute())
		}
		for _, b := range native.Blocks {
			blocks = append(blocks, b.AsHCLBlock())
		}
	} else {
		var content *hcl.BodyContent
		content, diags = body.Content(&p.schema)
		for _, a := range content.Attributes {
			diags = append(diags, p.set(d, into, a)...)
		}
		blocks = content.Blocks
	}
	if dynamic {
		var more hcl.Diagnostics
		blocks, more = d.expand(p, blocks)
		diags = append(diags, more...)
	}
	if len(blocks) == 0 {
		return diags
	}
	for _, f := range p.fields {
		if f.blocks != nil {
			diags = append(diags, f.decode(d, blocks, into.Field(f.index))...)
		}
	}
	return diags
}

func (p *plan) set(d *decoder, into reflect.Value, a *hcl.Attribute) hcl.Diagnostics {
	*at[*hcl.Attribute](into, p.byName[a.Name].index) = a
	return d.bind(a)
}

// at is a field of a struct.
func at[T any](v reflect.Value, i int) *T { return v.Field(i).Addr().Interface().(*T) }

// fits reports whether a body has nothing that the plan does not know, and whether there are dynamic blocks in it.
func (p *plan) fits(body *hclsyntax.Body) (fits, dynamic bool) {
	for name := range body.Attributes {
		if f := p.byName[name]; f == nil || f.blocks != nil {
			return false, true
		}
	}
	for _, b := range body.Blocks {
		f := p.byName[b.Type]
		if f == nil && b.Type == dynamicType && len(p.schema.Blocks) > 0 && len(b.Labels) == 1 {
			dynamic = true
			continue
		}
		if f == nil || f.blocks == nil || len(b.Labels) != len(f.blocks.labels) {
			return false, true
		}
	}
	return true, dynamic
}

// decode puts the blocks of the field's type, which are among others, into the field.
func (f *field) decode(d *decoder, among hcl.Blocks, into reflect.Value) (diags hcl.Diagnostics) {
	var blocks hcl.Blocks
	for _, b := range among {
		if b.Type == f.name {
			blocks = append(blocks, b)
		}
	}
	if len(blocks) == 0 {
		return nil
	}
	if !f.list {
		if len(blocks) > 1 {
			return hcl.Diagnostics{{
				Severity: hcl.DiagError,
				Summary:  fmt.Sprintf("Duplicate %s block", f.name),
				Detail:   fmt.Sprintf("Only one %s block is allowed. Another was defined at %s.", f.name, blocks[0].DefRange),
				Subject:  &blocks[1].DefRange,
			}}
		}
		into.Set(reflect.New(f.typ))
		return f.blocks.block(d, blocks[0], into.Elem())
	}
	all := reflect.MakeSlice(reflect.SliceOf(f.typ), len(blocks), len(blocks))
	into.Set(reflect.MakeSlice(into.Type(), len(blocks), len(blocks)))
	for i, b := range blocks {
		into.Index(i).Set(all.Index(i).Addr())
		diags = append(diags, f.blocks.block(d, b, all.Index(i))...)
	}
	return diags
}

// block puts a block, which has all its labels, into a struct.
func (p *plan) block(d *decoder, b *hcl.Block, into reflect.Value) hcl.Diagnostics {
	for i, l := range p.labels {
		*at[string](into, l.value) = b.Labels[i]
		if l.spot >= 0 {
			*at[hcl.Range](into, l.spot) = b.LabelRanges[i]
		}
	}
	if p.typeRange >= 0 {
		*at[hcl.Range](into, p.typeRange) = b.TypeRange
	}
	if p.defRange >= 0 {
		*at[hcl.Range](into, p.defRange) = b.DefRange
	}
	return p.decode(d, b.Body, into)
}
