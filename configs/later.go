// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
)

// refuseLater reports every part of a configuration that this version does not serve, or that the kind of its block does
// not have.
func (b *builder) refuseLater(raw *rawConfig) { b.refuseParts(language(), reflect.ValueOf(raw).Elem()) }

// refuseParts is refuseLater for one block.
func (b *builder) refuseParts(p *plan, raw reflect.Value) {
	block, kind := "", ""
	switch raw := raw.Addr().Interface().(type) {
	case *rawCheck:
		if block, kind = "check", raw.Kind; !slices.ContainsFunc(checkKinds, isKind(kind)) {
			return // reported at its label
		}
	case *rawAuth:
		if block, kind = "auth", raw.Kind; kind != authPass {
			return // reported at its label
		}
	}
	for _, f := range p.fields {
		v := raw.Field(f.index)
		if v.IsNil() {
			continue
		}
		foreign := f.of != nil && !slices.Contains(f.of, kind)
		misplaced := func(what string, at hcl.Range) {
			b.fail(at, "Unsupported "+what,
				fmt.Sprintf("%s belongs to %s %s, not to %s %q.", f.name, block, strings.Join(f.of, ", "), block, kind))
		}
		if a, ok := v.Interface().(*hcl.Attribute); ok {
			switch {
			case foreign:
				misplaced("argument", a.NameRange)
			case f.later:
				b.refuse(a.NameRange, fmt.Sprintf("The argument %q is not supported yet.", f.name))
			}
			continue
		}
		for _, part := range blocks(v) {
			switch {
			case foreign:
				misplaced("block", *at[hcl.Range](part, f.blocks.typeRange))
			case f.later:
				b.refuse(*at[hcl.Range](part, f.blocks.typeRange), fmt.Sprintf("Blocks of type %q are not supported yet.", f.name))
			default:
				b.refuseParts(f.blocks, part)
			}
		}
	}
}

// blocks returns the blocks that a field holds.
func blocks(field reflect.Value) []reflect.Value {
	if field.Kind() == reflect.Pointer {
		return []reflect.Value{field.Elem()}
	}
	list := make([]reflect.Value, field.Len())
	for i := range list {
		list[i] = field.Index(i).Elem()
	}
	return list
}
