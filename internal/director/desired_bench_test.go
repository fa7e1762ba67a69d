// SPDX-License-Identifier: Apache-2.0

package director

import (
	"testing"
	"time"
)

// BenchmarkDesired decides anew about 10,000 real servers, of which nothing has changed.
func BenchmarkDesired(b *testing.B) {
	d := crowded(b, 10_000)
	f := facts{cfg: d.cfg}
	now := time.Now()
	_, decided, _ := desired(now, f, decisions{})
	b.ReportAllocs()
	for b.Loop() {
		desired(now, f, decided)
	}
}
