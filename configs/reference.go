// SPDX-License-Identifier: Apache-2.0

package configs

import _ "embed"

// Reference is reference.hcl: every block and attribute with its default, and what it is for.
//
//go:embed reference.hcl
var Reference string
