// SPDX-License-Identifier: Apache-2.0

package director

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"syscall"
	"time"
)

// aliveWithin is how old the loop's last sign of life may be.
const aliveWithin = 5 * time.Second

// web is the http listener: /metrics, /healthz, /readyz. Nothing there changes anything.
type web struct {
	handler   http.Handler
	current   net.Listener      // nil: none; owned by whoever calls move
	listeners chan net.Listener // mailbox of 1: what to serve from now on; nil: nothing
}

// openWeb opens the listener; an empty address means none.
func openWeb(d *Director, addr string) (*web, error) {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", newExposition(d))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		probe(w, d.alive())
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		probe(w, d.notReady())
	})
	w := &web{handler: mux, listeners: make(chan net.Listener, 1)}
	return w, w.move(addr)
}

// move opens another address and serves there instead.
func (w *web) move(addr string) error {
	l, err := listenWeb(addr)
	if errors.Is(err, syscall.EADDRINUSE) && w.current != nil {
		// Perhaps it is ours, on another address with the same port.
		old := w.current.Addr().String()
		_ = w.current.Close()
		if l, err = listenWeb(addr); err != nil {
			again, restoreErr := listenWeb(old)
			w.serve(again)
			err = errors.Join(err, restoreErr)
		}
	}
	if err != nil {
		return fmt.Errorf("open http.listen: %w", err)
	}
	w.serve(l)
	return nil
}

func listenWeb(addr string) (net.Listener, error) {
	if addr == "" {
		return nil, nil
	}
	return net.Listen("tcp", addr)
}

// serve makes run serve on another listener.
func (w *web) serve(l net.Listener) {
	w.current = l
	select {
	case old := <-w.listeners: // nobody has come round to it
		if old != nil {
			_ = old.Close()
		}
	default:
	}
	w.listeners <- l
}

// run serves until ctx ends.
func (w *web) run(ctx context.Context) {
	stop, done := func() {}, make(chan struct{})
	close(done)
	for {
		select {
		case <-ctx.Done():
			stop()
			<-done
			return
		case l := <-w.listeners:
			stop()
			<-done
			if l == nil {
				continue
			}
			var serving context.Context
			serving, stop = context.WithCancel(ctx)
			ended := make(chan struct{})
			done = ended
			go func() {
				defer close(ended)
				serve(serving, l, w.handler)
			}()
		}
	}
}

// probe answers ok, or why not.
func probe(w http.ResponseWriter, problem string) {
	if problem != "" {
		http.Error(w, problem, http.StatusServiceUnavailable)
		return
	}
	_, _ = fmt.Fprintln(w, "ok")
}

// alive says what is wrong with the loop; empty: nothing.
func (d *Director) alive() string {
	if age := time.Since(time.Unix(0, d.beat.Load())); age > aliveWithin {
		return fmt.Sprintf("the loop was last seen alive %v ago", age.Round(time.Second))
	}
	return ""
}

// notReady says what is still missing before this director could take over; empty: nothing.
func (d *Director) notReady() string {
	v := d.view.Load()
	switch {
	case !v.ready:
		return "the first round of checks is not done"
	case v.report.Time.IsZero():
		return "the ipvs table has not been reconciled yet"
	case v.report.Err != nil:
		return "the ipvs table is not as wanted: " + v.report.Err.Error()
	}
	return ""
}
