// SPDX-License-Identifier: Apache-2.0

package director

import (
	"fmt"
	"sync"
	"time"

	"github.com/holdfast-lb/holdfast/internal/notify"
)

const (
	// historyMost is how many events are kept, in memory: the log has the older ones.
	historyMost = 1000
	// followersMost bounds those who follow the events at a time.
	followersMost = 64
)

// Recorded is an event that is kept. Those of kind "stream" tell of the stream itself, and have no number.
type Recorded struct {
	Sequence uint64 `json:"sequence"` // counts the events of this run of the director, from 1
	notify.Event
}

// kindStream is of what is told to a follower only, and what it goes to then.
const (
	kindStream      = "stream"
	streamLost      = "lost"      // events were forgotten before they could be told
	streamRestarted = "restarted" // what follows is of another run of the director
	streamEnded     = "ended"     // the director has stopped
)

// history keeps the last events. The loop puts them, and waits for nobody: a follower takes them when it can, and has lost
// those that were forgotten meanwhile.
type history struct {
	mu        sync.Mutex
	ring      []Recorded // number n is at (n-1) % historyMost
	count     uint64     // the number of the newest
	changed   chan struct{}
	ended     bool
	followers int
	gone      chan struct{} // closed when it has ended and nobody follows any more
}

func newHistory() *history {
	return &history{changed: make(chan struct{}), gone: make(chan struct{})}
}

func (h *history) put(e notify.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.count++
	r := Recorded{h.count, e}
	if len(h.ring) < historyMost {
		h.ring = append(h.ring, r)
	} else {
		h.ring[(h.count-1)%historyMost] = r
	}
	close(h.changed)
	h.changed = make(chan struct{})
}

// after returns the events with higher numbers than n that are kept, how many are not any more, what is closed when there
// are more, and whether there will be none.
func (h *history) after(n uint64) (list []Recorded, lost uint64, changed <-chan struct{}, ended bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	n = min(n, h.count)
	if oldest := h.count - uint64(len(h.ring)); n < oldest {
		n, lost = oldest, oldest-n
	}
	for ; n < h.count; n++ {
		list = append(list, h.ring[n%historyMost])
	}
	return list, lost, h.changed, h.ended
}

// join admits a follower, or says why not.
func (h *history) join() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.ended:
		return fmt.Errorf("the director is stopping")
	case h.followers >= followersMost:
		return fmt.Errorf("%d clients follow the events already: end one of them", followersMost)
	}
	h.followers++
	return nil
}

func (h *history) leave() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.followers--
	if h.ended && h.followers == 0 {
		close(h.gone)
	}
}

// end tells the followers that no more events come, and waits until they know, or for patience.
func (h *history) end(patience time.Duration) {
	h.mu.Lock()
	h.ended = true
	close(h.changed)
	h.changed = nil // nothing is put any more
	if h.followers == 0 {
		close(h.gone)
	}
	h.mu.Unlock()
	select {
	case <-h.gone:
	case <-time.After(patience):
	}
}
