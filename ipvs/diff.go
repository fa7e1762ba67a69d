// SPDX-License-Identifier: Apache-2.0

package ipvs

import (
	"cmp"
	"iter"
	"slices"
)

// Diff returns the operations that turn have into want: first every service that is new with its destinations and every
// new destination, then updates in place, then deletions. Adding comes before deleting, so that a service never runs
// dry on the way; a change of settings is never a deletion, which would cost the connections. Neither list needs an
// order; of two entries with the same key the first counts.
func Diff(want, have []Service) []Op {
	var update, remove, drop []Op
	add := make([]Op, 0, max(0, objects(want)-objects(have)))
	for w, h := range pairs(want, have, compareServices) {
		if w == nil {
			drop = append(drop, Op{Kind: DeleteService, Service: h.Key})
			continue
		}
		if h == nil {
			h = &Service{Key: w.Key, Settings: w.Settings}
			add = append(add, Op{Kind: AddService, Service: w.Key, Settings: w.Settings})
		}
		if w.Settings != h.Settings {
			update = append(update, Op{Kind: UpdateService, Service: w.Key, Settings: w.Settings})
		}
		for wd, hd := range pairs(w.Destinations, h.Destinations, compareDestinations) {
			switch {
			case hd == nil:
				add = append(add, Op{Kind: AddDestination, Service: w.Key, Destination: *wd})
			case wd == nil:
				gone := Destination{Address: hd.Address}
				remove = append(remove, Op{Kind: DeleteDestination, Service: w.Key, Destination: gone})
			case *wd != *hd:
				update = append(update, Op{Kind: UpdateDestination, Service: w.Key, Destination: *wd})
			}
		}
	}
	return append(append(append(add, update...), remove...), drop...)
}

// objects returns the number of services and destinations.
func objects(table []Service) int {
	n := len(table)
	for i := range table {
		n += len(table[i].Destinations)
	}
	return n
}

// diffTimeouts returns the operation that sets what is wanted and different, if anything is.
func diffTimeouts(want, have Timeouts) []Op {
	if have.set(want) == have {
		return nil
	}
	return []Op{{Kind: SetTimeouts, Timeouts: want}}
}

// set returns the timeouts with those that are not zero in new.
func (t Timeouts) set(new Timeouts) Timeouts {
	return Timeouts{cmp.Or(new.TCP, t.TCP), cmp.Or(new.TCPFin, t.TCPFin), cmp.Or(new.UDP, t.UDP)}
}

// only returns the timeouts without those that are zero in of.
func (t Timeouts) only(of Timeouts) Timeouts {
	if of.TCP == 0 {
		t.TCP = 0
	}
	if of.TCPFin == 0 {
		t.TCPFin = 0
	}
	if of.UDP == 0 {
		t.UDP = 0
	}
	return t
}

// diffSync returns the operations that turn the daemons that run into those that are wanted. A daemon cannot be changed:
// it is stopped and started. Both lists have at most one of each role.
func diffSync(want, have []SyncDaemon) []Op {
	var ops []Op
	for _, h := range have {
		if !slices.Contains(want, h) {
			ops = append(ops, Op{Kind: StopSync, Sync: h})
		}
	}
	for _, w := range want {
		if !slices.Contains(have, w) {
			ops = append(ops, Op{Kind: StartSync, Sync: w})
		}
	}
	return ops
}

func compareServices(a, b Service) int { return a.Key.Compare(b.Key) }

func compareDestinations(a, b Destination) int { return a.Address.Compare(b.Address) }

// pairs walks two lists in order and yields what is equal by compare together, nil standing for what one side lacks.
func pairs[E any](want, have []E, compare func(a, b E) int) iter.Seq2[*E, *E] {
	return func(yield func(w, h *E) bool) {
		want, have := unique(want, compare), unique(have, compare)
		for len(want) > 0 || len(have) > 0 {
			var w, h *E
			switch c := order(want, have, compare); {
			case c < 0:
				w, want = &want[0], want[1:]
			case c > 0:
				h, have = &have[0], have[1:]
			default:
				w, want = &want[0], want[1:]
				h, have = &have[0], have[1:]
			}
			if !yield(w, h) {
				return
			}
		}
	}
}

// order compares the heads of two lists that are not both empty; an empty list comes last.
func order[E any](a, b []E, compare func(a, b E) int) int {
	switch {
	case len(a) == 0:
		return 1
	case len(b) == 0:
		return -1
	}
	return compare(a[0], b[0])
}

// unique returns the list sorted, of equals only the first, and leaves the caller's list alone.
func unique[E any](list []E, compare func(a, b E) int) []E {
	rising := true
	for i := 1; i < len(list) && rising; i++ {
		rising = compare(list[i-1], list[i]) < 0
	}
	if rising {
		return list
	}
	list = slices.Clone(list)
	slices.SortStableFunc(list, compare)
	return slices.CompactFunc(list, func(a, b E) bool { return compare(a, b) == 0 })
}
