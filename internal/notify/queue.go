// SPDX-License-Identifier: Apache-2.0

package notify

import "slices"

// queueMost is how many events wait for one block. More wait only if each is of another object.
const queueMost = 1000

// object is what an event is about.
type object struct{ kind, name string }

func (e Event) object() object { return object{e.Kind, e.Name} }

// queue holds events in order. When it is full, an event that a newer one of the same object follows gives way, so that
// the newest state of every object always stays.
type queue struct {
	events []Event
	of     map[object]int // events by object
}

// put appends an event, and reports whether an older one gave way.
func (q *queue) put(e Event) (gave bool) {
	if q.of == nil {
		q.of = make(map[object]int)
	}
	if len(q.events) >= queueMost {
		gave = q.giveWay(e.object())
	}
	q.events = append(q.events, e)
	q.of[e.object()]++
	return gave
}

// giveWay removes the oldest event of the object that gets a newer one, or else the oldest that another one follows.
func (q *queue) giveWay(of object) bool {
	if q.of[of] == 0 && len(q.of) == len(q.events) {
		return false // each is the newest of its object: without a look at all of them, for there may be many
	}
	at := slices.IndexFunc(q.events, func(e Event) bool {
		if q.of[of] > 0 {
			return e.object() == of
		}
		return q.of[e.object()] > 1
	})
	if at < 0 {
		return false
	}
	q.remove(at)
	return true
}

func (q *queue) remove(at int) Event {
	e := q.events[at]
	q.events = slices.Delete(q.events, at, at+1)
	if q.of[e.object()]--; q.of[e.object()] == 0 {
		delete(q.of, e.object())
	}
	return e
}

// newest leaves the last event of each object, and returns how many gave way.
func (q *queue) newest() int {
	before := len(q.events)
	q.events = slices.DeleteFunc(q.events, func(e Event) bool {
		q.of[e.object()]--
		return q.of[e.object()] > 0
	})
	for _, e := range q.events {
		q.of[e.object()] = 1
	}
	return before - len(q.events)
}
