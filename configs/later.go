// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
)

// refuseLater reports every part of a raw block that this version does not serve, or that its kind does not have.
func (b *builder) refuseLater(raw any) {
	block, kind := "", ""
	switch raw := raw.(type) {
	case *rawCheck:
		if block, kind = "check", raw.Kind; !slices.ContainsFunc(checkKinds, isKind(kind)) {
			return // reported at its label
		}
	case *rawAuth:
		if block, kind = "auth", raw.Kind; kind != authPass {
			return // reported at its label
		}
	}
	v := reflect.ValueOf(raw).Elem()
	for i := range v.NumField() {
		tag := v.Type().Field(i).Tag
		name, _, _ := strings.Cut(tag.Get("hcl"), ",")
		_, later := tag.Lookup("served")
		of, limited := tag.Lookup("of")
		foreign := limited && !slices.Contains(strings.Fields(of), kind)
		misplaced := func(what string, at hcl.Range) {
			b.fail(at, "Unsupported "+what,
				fmt.Sprintf("%s belongs to %s %s, not to %s %q.", name, block, strings.ReplaceAll(of, " ", ", "), block, kind))
		}
		if a, ok := v.Field(i).Interface().(*hcl.Attribute); ok {
			switch {
			case a == nil:
			case foreign:
				misplaced("argument", a.NameRange)
			case later:
				b.refuse(a.NameRange, fmt.Sprintf("The argument %q is not supported yet.", name))
			}
			continue
		}
		for _, block := range blocks(v.Field(i)) {
			switch {
			case foreign:
				misplaced("block", typeRange(block))
			case later:
				b.refuse(typeRange(block), fmt.Sprintf("Blocks of type %q are not supported yet.", name))
			default:
				b.refuseLater(block.Interface())
			}
		}
	}
}

// typeRange is where the type of a block stands, which says so.
func typeRange(block reflect.Value) hcl.Range {
	return block.Elem().FieldByName("Type").Interface().(hcl.Range)
}

// blocks returns pointers to the blocks that a field holds.
func blocks(field reflect.Value) []reflect.Value {
	var list []reflect.Value
	switch {
	case field.Kind() == reflect.Slice:
		for i := range field.Len() {
			list = append(list, field.Index(i))
		}
	case field.Kind() == reflect.Pointer && !field.IsNil():
		list = append(list, field)
	}
	return list
}
