// SPDX-License-Identifier: Apache-2.0

package track

import (
	"context"
	"sync"
	"testing"
	"time"
)

// watch runs a Set and keeps what it tells.
type watch struct {
	*Set
	mu   sync.Mutex
	told []Status
}

// newWatch returns a Set that is stopped, and must end, with the test.
func newWatch(t *testing.T, prepare func(*Set)) *watch {
	t.Helper()
	w := &watch{}
	w.Set = NewSet(Options{OnChange: func(s Status) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.told = append(w.told, s)
	}})
	if prepare != nil {
		prepare(w.Set)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- w.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return w
}

// changes returns how often something changed.
func (w *watch) changes() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.told)
}

// until waits until the first tracker is as ok wants it, which was told.
func (w *watch) until(t *testing.T, what string, ok func(Status) bool) Status {
	t.Helper()
	var st Status
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		st = w.Snapshot()[0]
		if !ok(st) {
			continue
		}
		w.mu.Lock()
		n := len(w.told)
		told := n > 0 && !w.told[n-1].changed(st)
		w.mu.Unlock()
		if told {
			return st
		}
	}
	t.Fatalf("%s: %+v, told %+v", what, st, w.told)
	return st
}

func failed(s Status) bool { return !s.Pending && s.Failed }
func passed(s Status) bool { return !s.Pending && !s.Failed && !s.HasValue }

func value(n int) func(Status) bool {
	return func(s Status) bool { return !s.Pending && !s.Failed && s.HasValue && s.Value == n }
}
