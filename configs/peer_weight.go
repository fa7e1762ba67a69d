// SPDX-License-Identifier: Apache-2.0

package configs

import "fmt"

// fewWeights is up to how many weights every combination of them is looked at.
const fewWeights = 32

// compareWeights reports weights of a that cannot decide who is master, whatever else fails here or there.
func compareWeights(a, b half) {
	switch {
	case a.Priority == ownerPriority:
		return // said of a by itself
	case !preempts(a) && !preempts(b):
		for _, w := range a.weights[a.Name] {
			if w.value != 0 {
				a.warnNoPreempt(w)
			}
		}
		return
	case !foreseeable(a) || !foreseeable(b):
		return
	}
	theirs := priorities(b)
	for i, w := range a.weights[a.Name] {
		if w.value == 0 {
			continue
		}
		yields, takes := false, false // as master to the peer; or not, from the peer
		for sum := range sums(a, i) {
			up, down := clamp(sum+max(w.value, 0)), clamp(sum+min(w.value, 0))
			for p := range theirs {
				yields = yields || up >= p && down < p
				takes = takes || up > p && down <= p
			}
		}
		takes = takes && preempts(a) && healthy(a) <= healthy(b) // the preferred one has its weights to yield
		there := place(b.at(b.raw.Priority))
		switch {
		case takes || yields && preempts(b):
		case yields:
			a.warn(w.at, "Weight that hands nothing over", fmt.Sprintf(
				"The peer has preempt = false (%s): as backup it stays so, however low the priority here. With weight = 0, failure is a fault.",
				place(b.at(b.raw.Preempt))))
		default:
			a.warn(w.at, "Weight too small", tooSmall(healthy(a), healthy(b), w.value, there))
		}
	}
	if preempts(a) {
		comparePreemptDelay(a, b)
	}
}

// preempts reports whether a director takes over from a lower master. An address owner always does, RFC 9568 section 6.1.
func preempts(h half) bool { return h.Preempt || h.Priority == ownerPriority }

// tooSmall says why a weight does not decide between a priority here and one there.
func tooSmall(here, there, w int, where string) string {
	if here > there {
		return fmt.Sprintf("The priority is %d here and %d on the peer (%s): weight %d never leaves less than the peer has. "+
			"It takes more than %d.", here, there, where, w, here-there)
	}
	return fmt.Sprintf("The priority is %d here and %d on the peer (%s): weight %d never decides which is higher.", here, there, where, w)
}

// comparePreemptDelay reports a delay on the director that never preempts.
func comparePreemptDelay(a, b half) {
	if a.PreemptDelay == 0 || b.PreemptDelay > 0 {
		return
	}
	for p := range priorities(a) {
		for q := range priorities(b) {
			if p > q {
				return
			}
		}
	}
	a.warn(a.at(a.raw.PreemptDelay), "preempt_delay on the wrong director", fmt.Sprintf(
		"The priority of the peer (%s) is never the lower one, so this director does not preempt it: preempt_delay belongs there.",
		place(b.at(b.raw.Priority))))
}

// foreseeable reports whether the configuration tells which priorities a router can have: what a file adds, it does not.
func foreseeable(h half) bool {
	list := h.weights[h.Name]
	for _, w := range list {
		if w.kind == trackFile && w.value != 0 {
			return false
		}
	}
	return len(list) <= fewWeights
}

// priorities returns all that a router can have, by what fails and what does not.
func priorities(h half) map[int]bool {
	if h.Priority == ownerPriority {
		return map[int]bool{ownerPriority: true}
	}
	out := map[int]bool{}
	for sum := range sums(h, -1) {
		out[clamp(sum)] = true
	}
	return out
}

// sums returns what the priority and the weights of a router can add up to, without the weight of one index.
func sums(h half, without int) map[int]bool {
	out := map[int]bool{int(h.Priority): true}
	for i, w := range h.weights[h.Name] {
		if i == without {
			continue
		}
		next := map[int]bool{}
		for s := range out {
			next[s], next[s+w.value] = true, true
		}
		out = next
	}
	return out
}

// healthy is the priority while all is well.
func healthy(h half) int {
	if h.Priority == ownerPriority {
		return ownerPriority
	}
	sum := int(h.Priority)
	for _, w := range h.weights[h.Name] {
		sum += max(w.value, 0)
	}
	return clamp(sum)
}
