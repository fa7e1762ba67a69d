// SPDX-License-Identifier: Apache-2.0

package director

import (
	"context"
	"maps"
	"time"

	"github.com/holdfast-lb/holdfast/ipvs"
)

const (
	// settle is how long after a weight of 0 was set a count of connections is sure to be of after it: statistics are at
	// most a second old.
	settle = 1200 * time.Millisecond
	// countEvery is the least time between two counts, and countShare the part of the time that they take at most: the
	// kernel counts for the whole table or not at all.
	countEvery = time.Second
	countShare = 20
)

// drains watches whether the servers that drain have connections left. It belongs to the loop; the counting is done by
// watchDrains.
type drains struct {
	idle  map[serverID]bool // they have none; never changed, only replaced
	began map[serverID]drainBegan
	asks  chan []serverID // mailbox of 1
	asked bool            // the answer is still to come
	next  time.Time       // no count before this
}

// drainBegan is when a server lost its weight.
type drainBegan struct {
	goal    uint64    // of the reconciler, which it is in
	applied time.Time // zero: not yet
}

// counted is the answer: those that have no connection, and how long the count took.
type counted struct {
	idle []serverID
	took time.Duration
}

// follow takes over which servers drain.
func (d *drains) follow(running []drainRun, goal uint64, applied time.Time) {
	began := make(map[serverID]drainBegan, len(running))
	idle := make(map[serverID]bool)
	for _, r := range running {
		b, known := d.began[r.id]
		if !known {
			b = drainBegan{goal, applied}
		}
		began[r.id] = b
		if d.idle[r.id] {
			idle[r.id] = true
		}
	}
	d.began, d.idle = began, idle
}

// reported notes that the table is as a goal has it.
func (d *drains) reported(now time.Time, goal uint64) {
	for id, b := range d.began {
		if b.applied.IsZero() && b.goal <= goal {
			b.applied = now
			d.began[id] = b
		}
	}
}

// ask asks for a count if one is due, and returns when to ask again; zero: when something changes.
func (d *drains) ask(now time.Time) (deadline time.Time) {
	if d.asked {
		return time.Time{}
	}
	var ask []serverID
	for id, b := range d.began {
		if b.applied.IsZero() || d.idle[id] {
			continue
		}
		at := b.applied.Add(settle)
		if at.Before(d.next) {
			at = d.next
		}
		if now.Before(at) {
			deadline = earlier(deadline, at)
			continue
		}
		ask = append(ask, id)
	}
	if len(ask) == 0 {
		return deadline
	}
	d.asked = true
	d.asks <- ask // empty: there is no answer without a question
	return time.Time{}
}

// answered takes a count over, and reports whether it is news.
func (d *drains) answered(now time.Time, c counted) bool {
	d.asked, d.next = false, now.Add(max(countEvery, countShare*c.took))
	if len(c.idle) == 0 {
		return false
	}
	idle := maps.Clone(d.idle)
	for _, id := range c.idle {
		if _, drains := d.began[id]; drains {
			idle[id] = true
		}
	}
	d.idle = idle
	return true
}

// watchDrains answers until ctx ends. What the table does not have has no connections; when it cannot be read,
// nothing is known.
func watchDrains(
	ctx context.Context, asks <-chan []serverID, stats func(context.Context) ([]ipvs.ServiceStats, error), answer func(any),
) {
	for {
		select {
		case <-ctx.Done():
			return
		case ask := <-asks:
			begin := time.Now()
			list, err := stats(ctx)
			c := counted{took: time.Since(begin)}
			if err == nil {
				counts := destinationStats(list)
				for _, id := range ask {
					if n := counts[id]; n.Active == 0 && n.Inactive == 0 && n.Persistent == 0 {
						c.idle = append(c.idle, id)
					}
				}
			}
			answer(c)
		}
	}
}
