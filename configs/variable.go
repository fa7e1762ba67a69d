// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// Variable is a value that is given beside the files, to the variable of that name: --var NAME=VALUE.
type Variable struct {
	Name, Value string
}

// variableRoot is what the names of variables begin with in an expression.
const variableRoot = "var"

// A variable is one that a file declares.
type variable struct {
	at     hcl.Range // of its name
	def    cty.Value // NilVal: none
	option bool      // the value was given beside the files
}

// source says where the value comes from.
func (v *variable) source() string {
	if v.option {
		return "set with --var"
	}
	return "set at " + place(v.at)
}

// variables reads what the files declare, gives it the values from beside them, and lets expressions use it. What is shared
// need not be declared, and what is given goes before it.
func (b *builder) variables(body hcl.Body, given, shared []Variable) {
	p := language().byName["variable"].blocks
	content, _, _ := body.PartialContent(&hcl.BodySchema{Blocks: []hcl.BlockHeaderSchema{{Type: "variable", LabelNames: []string{"name"}}}})
	declared := map[string]*variable{}
	values := map[string]cty.Value{}
	for _, block := range content.Blocks {
		var raw rawVariable
		_ = p.block(&decoder{eval: b.eval}, block, reflect.ValueOf(&raw).Elem()) // which reports it when it reads all
		if !hclsyntax.ValidIdentifier(raw.Name) {
			b.fail(raw.NameRange, "Invalid name", "The name of a variable consists of letters, digits, _ and -, and begins with a letter.")
			continue
		}
		b.unique("variable", "", raw.Name, raw.NameRange)
		v := &variable{at: raw.NameRange}
		declared[raw.Name], values[raw.Name] = v, cty.DynamicVal
		if raw.Default == nil {
			continue
		}
		def, ok := b.evaluate(raw.Default.Expr)
		if v.def = cty.DynamicVal; ok {
			v.def, values[raw.Name] = def, def
		}
	}
	shared = slices.DeleteFunc(slices.Clone(shared), func(v Variable) bool { return declared[v.Name] == nil })
	for _, g := range slices.Concat(shared, given) {
		b.give(g, declared, values)
	}
	for name, v := range declared {
		if v.def == cty.NilVal && !v.option {
			b.fail(v.at, "Missing value", fmt.Sprintf("variable %q has no default: set it with --var %s=VALUE.", name, name))
		}
	}
	b.eval.variables = declared
	b.eval.base.Variables = map[string]cty.Value{variableRoot: cty.ObjectVal(values)}
}

// give sets a variable from beside the files.
func (b *builder) give(g Variable, declared map[string]*variable, values map[string]cty.Value) {
	at := hcl.Range{Filename: "--var " + g.Name}
	v := declared[g.Name]
	if v == nil {
		b.eval.variables = declared
		b.fail(at, "Unknown variable", fmt.Sprintf("No variable %q is declared%s", g.Name, b.eval.instead(g.Name)))
		return
	}
	v.option = true
	value, err := b.typed(g.Value, v.def)
	if err != nil {
		b.fail(at, "Invalid value", fmt.Sprintf("variable %q (%s) %s.", g.Name, place(v.at), err))
		return
	}
	values[g.Name] = value
}

// typed reads a value of the type that the default has; without one it is a text.
func (b *builder) typed(value string, def cty.Value) (cty.Value, error) {
	if !utf8.ValidString(value) || len(value) > maxText {
		return cty.NilVal, fmt.Errorf("takes at most %d bytes of UTF-8", maxText)
	}
	if def == cty.NilVal || !def.IsKnown() || def.IsNull() {
		return cty.StringVal(value), nil
	}
	switch t := def.Type(); {
	case t == cty.String:
		return cty.StringVal(value), nil
	case t == cty.Bool:
		if value != "true" && value != "false" {
			return cty.NilVal, fmt.Errorf("takes true or false, as its default, not %s", show(cty.StringVal(value)))
		}
		return cty.BoolVal(value == "true"), nil
	case t == cty.Number:
		n, err := cty.ParseNumberVal(value)
		if err != nil {
			return cty.NilVal, fmt.Errorf("takes a number, as its default, not %s", show(cty.StringVal(value)))
		}
		return n, nil
	}
	return b.list(value, def.Type().IsTupleType() || def.Type().IsListType())
}

// list reads a list, or else a map.
func (b *builder) list(value string, list bool) (cty.Value, error) {
	wanted := errors.New(`takes a map, as its default, such as {"a" = 1}`)
	if list {
		wanted = errors.New(`takes a list, as its default, such as ["a", "b"]`)
	}
	src := []byte(value)
	if _, deep := tooDeep("", src, hcl.InitialPos); deep {
		return cty.NilVal, wanted
	}
	expr, diags := hclsyntax.ParseExpression(src, "", hcl.InitialPos)
	if diags.HasErrors() {
		return cty.NilVal, wanted
	}
	v, diags := b.eval.value(expr)
	if diags.HasErrors() || !v.IsWhollyKnown() || v.IsNull() || list != v.Type().IsTupleType() || !list && !v.Type().IsObjectType() {
		return cty.NilVal, wanted
	}
	return v, nil
}
