// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"errors"
	"io/fs"
	"sync"
	"time"

	"github.com/holdfast-lb/holdfast/vrrp"
)

const (
	listenLeast = 2 * time.Second
	listenMost  = 15 * time.Second
	listenMore  = time.Second // than a master-down interval takes

	advertMost = 4200 // bytes, more than any advert has
)

// listening is how long it takes to be sure that no master is heard: three intervals and the skew, RFC 9568 section 6.1.
func listening(routers []vrrp.Config) time.Duration {
	d := listenLeast
	for _, vr := range routers {
		d = max(d, 3*vr.Interval+listenMore)
	}
	return min(d, listenMost)
}

// hear listens on behalf of each virtual router, to all at the same time. It sends nothing.
func (f *Facts) hear(ctx context.Context, n *vrrp.Network, d time.Duration) {
	routers := usable(*f)
	if d == 0 {
		d = listening(routers)
	}
	f.Listened = d
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	var wg sync.WaitGroup
	defer wg.Wait()
	var mu sync.Mutex // guards f.Heard
	for _, vr := range routers {
		vr.VMAC = false // it is for sending
		conn, err := n.Dial(vr)
		switch {
		case errors.Is(err, fs.ErrPermission):
			f.Listened = 0
			f.unknown("which adverts arrive: %v", err)
			return
		case err != nil:
			f.Deaf[vr.Name] = err.Error()
			continue
		}
		wg.Go(func() {
			defer conn.Close()
			follow(ctx, conn, func(b []byte, h vrrp.Header) {
				mu.Lock()
				defer mu.Unlock()
				f.note(vr, conn.Source(), b, h)
			})
		})
	}
}

// follow reads until ctx ends.
func follow(ctx context.Context, conn vrrp.Conn, take func([]byte, vrrp.Header)) {
	b := make([]byte, advertMost)
	for {
		n, h, err := conn.Read(b)
		switch {
		case err == nil:
			take(b[:n], h)
			continue
		case !errors.Is(err, vrrp.ErrNothing):
			return // the link has gone
		}
		select {
		case <-ctx.Done():
			return
		case <-conn.Ready():
		}
	}
}
