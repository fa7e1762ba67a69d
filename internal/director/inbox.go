// SPDX-License-Identifier: Apache-2.0

package director

import "sync"

// inbox is what the loop has still to handle. Putting never blocks, so that an election never waits for the loop.
type inbox struct {
	wake chan struct{} // size 1

	mu   sync.Mutex
	list []any // vrrp.Transition, routerEnded, checker.Change, trackerChanged, ipvs.Report, strangers, counted, holdingChanged
}

func newInbox() *inbox { return &inbox{wake: make(chan struct{}, 1)} }

func (b *inbox) put(m any) {
	b.mu.Lock()
	b.list = append(b.list, m)
	b.mu.Unlock()
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

func (b *inbox) take() []any {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := b.list
	b.list = nil
	return list
}
