// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"fmt"
	"os"
	"regexp"
	"strings"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
)

// functions are those that an expression can call. What they take is metered; those that can return more than they take
// are bounded by themselves.
var functions = map[string]function.Function{
	"env": env,

	"chomp": stdlib.ChompFunc, "format": bounded(stdlib.FormatFunc, formatted), "join": bounded(stdlib.JoinFunc, joined), "lower": stdlib.LowerFunc,
	"replace": bounded(stdlib.ReplaceFunc, replaced), "split": stdlib.SplitFunc, "strlen": stdlib.StrlenFunc, "substr": stdlib.SubstrFunc,
	"trim": stdlib.TrimFunc, "trimprefix": stdlib.TrimPrefixFunc, "trimspace": stdlib.TrimSpaceFunc, "trimsuffix": stdlib.TrimSuffixFunc,
	"upper": stdlib.UpperFunc,

	"abs": stdlib.AbsoluteFunc, "ceil": stdlib.CeilFunc, "floor": stdlib.FloorFunc, "max": stdlib.MaxFunc, "min": stdlib.MinFunc,
	"parseint": stdlib.ParseIntFunc,

	"tobool": stdlib.MakeToFunc(cty.Bool), "tonumber": stdlib.MakeToFunc(cty.Number), "tostring": stdlib.MakeToFunc(cty.String),

	"coalesce": stdlib.CoalesceFunc, "concat": stdlib.ConcatFunc, "contains": stdlib.ContainsFunc, "element": stdlib.ElementFunc,
	"flatten": stdlib.FlattenFunc, "keys": stdlib.KeysFunc, "length": stdlib.LengthFunc, "lookup": stdlib.LookupFunc,
	"merge": stdlib.MergeFunc, "range": stdlib.RangeFunc, "slice": stdlib.SliceFunc, "sort": stdlib.SortFunc, "values": stdlib.ValuesFunc,
	"zipmap": stdlib.ZipmapFunc,
}

// env returns a variable of the environment, or the second argument if there is none of that name.
var env = function.New(&function.Spec{
	Params:   []function.Parameter{{Name: "name", Type: cty.String}},
	VarParam: &function.Parameter{Name: "default", Type: cty.String},
	Type:     function.StaticReturnType(cty.String),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		if len(args) > 2 {
			return cty.NilVal, function.NewArgErrorf(2, "env takes a name and at most one default")
		}
		name := args[0].AsString()
		if value, ok := os.LookupEnv(name); ok {
			return cty.StringVal(value), nil
		}
		if len(args) == 2 {
			return args[1], nil
		}
		return cty.NilVal, function.NewArgErrorf(0, "the environment has no %.60s: set it, or write env(NAME, DEFAULT)", name)
	},
})

// maxText is the number of bytes that a function may return.
const maxText = 1 << 20

// bounded is f for arguments of which size does not say that they make a longer text than maxText.
func bounded(f function.Function, size func(args []cty.Value) int) function.Function {
	return function.New(&function.Spec{
		Params: f.Params(), VarParam: f.VarParam(), Type: f.ReturnTypeForValues,
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			if n := size(args); n > maxText {
				return cty.NilVal, fmt.Errorf("the result could have %d bytes: at most %d are taken", n, maxText)
			}
			return f.Call(args)
		},
	})
}

// replaced bounds what replace(text, old, new) returns.
func replaced(args []cty.Value) int {
	text, old, with := args[0].AsString(), args[1].AsString(), args[2].AsString()
	return len(text) + strings.Count(text, old)*len(with)
}

// joined bounds what join(separator, lists…) returns.
func joined(args []cty.Value) int {
	n := 0
	for _, list := range args[1:] {
		for it := list.ElementIterator(); it.Next(); {
			n += len(args[0].AsString())
			if _, v := it.Element(); isText(v) {
				n += len(v.AsString())
			}
		}
	}
	return n
}

var wide = regexp.MustCompile(`[0-9]{4}`)

// formatted bounds what format(verbs, values…) returns.
func formatted(args []cty.Value) int {
	verbs, longest := args[0].AsString(), 1000 // digits, and a width
	if wide.MatchString(verbs) {
		return maxText + 1
	}
	for _, v := range args[1:] {
		longest = max(longest, 8*size(v)) // what %q writes of a byte, and %#v of a list
	}
	return len(verbs) + strings.Count(verbs, "%")*longest
}

// size is about the number of bytes of a value, which was metered.
func size(v cty.Value) int {
	switch {
	case v.IsNull() || !v.IsKnown():
		return 4
	case v.Type() == cty.String:
		return 2 + len(v.AsString())
	case v.Type() == cty.Number:
		return maxExponent // in bits, and so more than its digits
	case v.CanIterateElements():
		n := 2
		for it := v.ElementIterator(); it.Next(); {
			key, element := it.Element()
			n += size(key) + size(element)
		}
		return n
	}
	return 8
}
