// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// parser turns the literal value of an attribute into what it means. Its error is a sentence that follows the
// attribute's name, and says what to write instead.
type parser[T any] func(cty.Value) (T, error)

// located is a value and the place that it comes from.
type located[T any] struct {
	value T
	at    hcl.Range
}

// read returns the value of an attribute: def if it is absent, the zero value and a diagnostic if it is wrong.
func read[T any](b *builder, a *hcl.Attribute, def T, parse parser[T]) T {
	if a == nil {
		return def
	}
	return readExpression(b, a.Name, a.Expr, parse)
}

func readExpression[T any](b *builder, name string, expr hcl.Expression, parse parser[T]) T {
	var zero T
	v, ok := b.literal(name, expr)
	if !ok {
		return zero
	}
	t, err := parse(v)
	if err != nil {
		b.misfit(name, expr, err)
		return zero
	}
	return t
}

// readList returns the elements of a list that are right, and whether all are.
func readList[T any](b *builder, a *hcl.Attribute, parse parser[T]) (list []located[T], ok bool) {
	if a == nil {
		return nil, true
	}
	inner, ctx := b.eval.open(a.Expr)
	tuple, isList := inner.(*hclsyntax.TupleConsExpr)
	if !isList {
		return readListValue(b, a, parse)
	}
	ok = true
	for _, e := range tuple.Exprs {
		before := len(b.diags)
		v := readExpression(b, a.Name, b.eval.in(ctx, e), parse)
		if len(b.diags) > before || b.eval.left < 0 {
			ok = false
			continue
		}
		list = append(list, located[T]{v, e.Range()})
	}
	return list, ok
}

// readListValue is readList for a list that is worked out.
func readListValue[T any](b *builder, a *hcl.Attribute, parse parser[T]) (list []located[T], ok bool) {
	v, ok := b.evaluate(a.Expr)
	if !ok {
		return nil, false
	}
	if t := v.Type(); v.IsNull() || !t.IsTupleType() && !t.IsListType() && !t.IsSetType() {
		hint := ""
		if _, err := parse(v); err == nil {
			hint = fmt.Sprintf(": write [%s]", show(v))
		}
		b.misfit(a.Name, a.Expr, errors.New("is a list"+hint))
		return nil, false
	}
	for it := v.ElementIterator(); it.Next(); {
		_, element := it.Element()
		value, err := parse(element)
		if err != nil {
			b.misfit(a.Name, a.Expr, err)
			ok = false
			continue
		}
		list = append(list, located[T]{value, a.Expr.Range()})
	}
	return list, ok
}

// show writes a value the way that a file would, if that is short.
func show(v cty.Value) string {
	switch {
	case v.IsNull():
		return "null"
	case v.Type() == cty.String && len(v.AsString()) <= 60:
		return strconv.Quote(v.AsString())
	case v.Type() == cty.Bool:
		return strconv.FormatBool(v.True())
	case v.Type() == cty.Number:
		// An exponent may be huge: nothing but a machine's number is spelled out.
		if n, exact := v.AsBigFloat().Float64(); exact == 0 && n == float64(int64(n)) {
			return strconv.FormatInt(int64(n), 10)
		}
	case v.Type().IsTupleType() || v.Type().IsListType() || v.Type().IsSetType():
		return "a list"
	case v.Type().IsObjectType() || v.Type().IsMapType():
		return "a map"
	}
	return "…"
}

func isText(v cty.Value) bool { return !v.IsNull() && v.Type() == cty.String }

func isNumber(v cty.Value) bool { return !v.IsNull() && v.Type() == cty.Number }

// text accepts any text.
func text(v cty.Value) (string, error) {
	if !isText(v) {
		return "", fmt.Errorf("takes a text in quotes, not %s", show(v))
	}
	return v.AsString(), nil
}

// matching accepts a text for which parse has no objection.
func matching[T any](parse func(string) (T, error)) parser[T] {
	return func(v cty.Value) (T, error) {
		s, err := text(v)
		if err != nil {
			var zero T
			return zero, err
		}
		return parse(s)
	}
}

// orEmpty lets a parser of texts accept "" as the zero value, the way the language spells "not set".
func orEmpty[T any](parse parser[T]) parser[T] {
	return func(v cty.Value) (T, error) {
		if isText(v) && v.AsString() == "" {
			var zero T
			return zero, nil
		}
		return parse(v)
	}
}

func boolean(v cty.Value) (bool, error) {
	if v.IsNull() || v.Type() != cty.Bool {
		return false, fmt.Errorf("takes true or false, without quotes, not %s", show(v))
	}
	return v.True(), nil
}

// whole accepts the whole numbers from first to last.
func whole(first, last int) parser[int] {
	return func(v cty.Value) (int, error) {
		if isText(v) {
			if _, err := strconv.Atoi(v.AsString()); err == nil {
				return 0, fmt.Errorf("takes a number without quotes: write %s", v.AsString())
			}
		}
		if isNumber(v) {
			// Float64 is exact for every number in any of the ranges, and bounded for every other.
			f, _ := v.AsBigFloat().Float64()
			if n := int(f); v.AsBigFloat().IsInt() && f >= float64(first) && f <= float64(last) {
				return n, nil
			}
		}
		return 0, fmt.Errorf("takes a whole number from %d to %d, not %s", first, last, show(v))
	}
}

// duration accepts a duration from first to last that is a multiple of step.
func duration(first, last, step time.Duration) parser[time.Duration] {
	return func(v cty.Value) (time.Duration, error) {
		if n := show(v); isNumber(v) {
			if n == "…" {
				return 0, errors.New(`takes a text with a unit, such as "500ms"`)
			}
			return 0, fmt.Errorf(`takes a text with a unit: write "%ss"`, n)
		}
		s, err := text(v)
		if err != nil {
			return 0, err
		}
		if _, err := strconv.ParseFloat(s, 64); err == nil && len(s) <= 20 {
			return 0, fmt.Errorf(`takes a text with a unit: write "%ss"`, s)
		}
		d, err := time.ParseDuration(s)
		if err != nil {
			return 0, fmt.Errorf(`takes a duration such as "500ms", "2s" or "1m30s", not %s`, show(v))
		}
		if d < first || d > last || d%step != 0 {
			steps := ""
			if step > time.Nanosecond {
				steps = " in steps of " + short(step)
			}
			return 0, fmt.Errorf("takes %s to %s%s, not %s", short(first), short(last), steps, show(v))
		}
		return d, nil
	}
}

// short is a duration without the units that are zero: 1h, not 1h0m0s.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// choice is one word of an enumeration.
type choice[T any] struct {
	word  string
	value T
}

// oneOf accepts the words of an enumeration.
func oneOf[T any](choices []choice[T]) parser[T] {
	return func(v cty.Value) (T, error) {
		var zero T
		var words []string
		given := ""
		if isText(v) {
			given = v.AsString()
		}
		for _, c := range choices {
			if isText(v) && c.word == given {
				return c.value, nil
			}
			words = append(words, c.word)
		}
		return zero, errors.New(unknown(show(v), given, words))
	}
}

// unknown is what to say of a word that is not in a list.
func unknown(shown, given string, words []string) string {
	s := "takes one of " + strings.Join(words, ", ") + ", not " + shown
	if w := nearest(given, words); w != "" {
		s += fmt.Sprintf("; did you mean %q?", w)
	}
	return s
}

// nearest returns the word most like the given one, or nothing if none is.
func nearest(given string, words []string) string {
	best, least := "", 3
	for _, w := range words {
		if abs(len(w)-len(given)) >= least {
			continue
		}
		if d := distance(given, w); d < least && d < len(w) {
			best, least = w, d
		}
	}
	return best
}

func abs(n int) int { return max(n, -n) }

// distance is Levenshtein's.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}
