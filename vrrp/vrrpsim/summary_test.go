// SPDX-License-Identifier: Apache-2.0

package vrrpsim

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// result is what one trial has shown.
type result struct {
	kind              string
	gap, bound        time.Duration // the longest without a master, and what it may be
	settled, settling time.Duration // until there was one master once quiet, and what that may take
	err               error
}

// row is what the trials of one kind have shown.
type row struct {
	seeds             int
	longest, bound    time.Duration // of the longest gap, and its trial's bound
	worst             float64       // longest part of a bound
	settled, settling time.Duration
}

func (r *row) add(t result) {
	r.seeds++
	if t.gap > r.longest {
		r.longest, r.bound = t.gap, t.bound
	}
	r.worst = max(r.worst, float64(t.gap)/float64(t.bound))
	if t.settled > r.settled {
		r.settled, r.settling = t.settled, t.settling
	}
}

func table(rows map[string]*row) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\nelection\tseeds\tlongest without a master\tbound\tworst part of a bound\tlongest to settle\tbound")
	for _, kind := range slices.Sorted(maps.Keys(rows)) {
		r := rows[kind]
		fmt.Fprintf(w, "%s\t%d\t%v\t%v\t%.0f %%\t%v\t%v\n", kind, r.seeds, r.longest.Round(time.Millisecond),
			r.bound.Round(time.Millisecond), 100*r.worst, r.settled.Round(time.Millisecond), r.settling.Round(time.Millisecond))
	}
	w.Flush()
	return b.String()
}
