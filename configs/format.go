// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"bytes"
	"errors"

	"github.com/hashicorp/hcl/v2/hclwrite"
)

// Format returns a file in canonical form: the same, with the blanks and line ends that everybody's files have. It reports
// what keeps it from that: a fault of syntax, but not what the file says.
func Format(name string, src []byte) ([]byte, Diagnostics) {
	l := newLoader(name)
	switch {
	case isJSON(name):
		l.fail(name, "Cannot format", errors.New("JSON is formatted by other tools"))
	case len(src) > maxSize:
		l.fail(name, "Cannot format", errors.New("the file is too large"))
	default:
		_, l.diags = l.syntax(name, src)
	}
	if l.diags.HasErrors() {
		return nil, diagnostics(l.diags, l.parser.Files())
	}
	out := bytes.TrimRight(hclwrite.Format(bytes.ReplaceAll(src, []byte("\r\n"), []byte("\n"))), "\n")
	if len(out) > 0 {
		out = append(out, '\n')
	}
	return out, nil
}
