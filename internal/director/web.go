// SPDX-License-Identifier: Apache-2.0

package director

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/net/netutil"

	"github.com/holdfast-lb/holdfast/configs"
)

// aliveWithin is how old the loop's last sign of life may be.
const aliveWithin = 5 * time.Second

// web is the http listener: /metrics, /healthz, /readyz. Nothing there changes anything.
type web struct {
	handler   http.Handler
	log       *slog.Logger
	current   net.Listener      // nil: none; owned by whoever calls apply
	applied   configs.HTTP      // likewise
	listeners chan net.Listener // mailbox of 1: what to serve from now on; nil: nothing
	keys      atomic.Pointer[keys]
	guard     atomic.Pointer[guard] // nil: everybody may read
}

// openWeb opens the listener, if there is to be one.
func openWeb(d *Director, cfg configs.HTTP) (*web, error) {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", newExposition(d))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		probe(w, d.alive())
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		probe(w, d.notReady())
	})
	w := newWeb(d.log, mux)
	return w, w.apply(cfg)
}

// newWeb returns one that does not listen.
func newWeb(log *slog.Logger, pages http.Handler) *web {
	w := &web{log: log, listeners: make(chan net.Listener, 1)}
	w.handler = http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		if w.guard.Load().admits(out, r) {
			pages.ServeHTTP(out, r)
		}
	})
	return w
}

// apply makes the listener what the configuration says, or leaves it as it is.
func (w *web) apply(cfg configs.HTTP) error {
	before, keysBefore, guardBefore := w.applied, w.keys.Load(), w.guard.Load()
	if cfg.TLS != before.TLS {
		k, err := openKeys(cfg.TLS, w.log)
		if err != nil {
			return fmt.Errorf("open http.tls: %w", err)
		}
		w.keys.Store(k)
	}
	if !slices.Equal(cfg.Users, before.Users) {
		w.guard.Store(newGuard(cfg.Users))
	}
	w.applied = cfg
	// Whoever was let in by what is no longer so loses the connection.
	other := (cfg.TLS == configs.ListenTLS{}) != (before.TLS == configs.ListenTLS{}) || cfg.TLS.ClientCA != before.TLS.ClientCA
	if cfg.Listen == before.Listen && !other && (w.current != nil || cfg.Listen == "") {
		return nil
	}
	if err := w.move(cfg.Listen, cfg.TLS != configs.ListenTLS{}); err != nil {
		w.applied = before
		w.keys.Store(keysBefore)
		w.guard.Store(guardBefore)
		return err
	}
	return nil
}

// move opens another address and serves there instead, by TLS or not.
func (w *web) move(addr string, secure bool) error {
	l, err := listenWeb(addr, secure)
	if errors.Is(err, syscall.EADDRINUSE) && w.current != nil {
		// Perhaps it is ours, on another address with the same port.
		old := w.current.Addr().String()
		_ = w.current.Close()
		if l, err = listenWeb(addr, secure); err != nil {
			again, restoreErr := listenWeb(old, w.current.(webListener).secure)
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

// webListener is a listener, and whether TLS is spoken there.
type webListener struct {
	net.Listener
	secure bool
}

func listenWeb(addr string, secure bool) (net.Listener, error) {
	if addr == "" {
		return nil, nil
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	return webListener{l, secure}, nil
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
				w.answer(serving, l)
			}()
		}
	}
}

// What a client may cost. Those who are slow, or too many, wait or go.
const (
	maxWebConns      = 100
	webHeaderTimeout = 5 * time.Second
	webReadTimeout   = 10 * time.Second // and a handshake of TLS
	webWriteTimeout  = 30 * time.Second // the table may be large
	webIdleTimeout   = time.Minute
)

// answer serves on one listener until ctx ends.
func (w *web) answer(ctx context.Context, l net.Listener) {
	s := &http.Server{
		Handler: w.handler, ReadHeaderTimeout: webHeaderTimeout, ReadTimeout: webReadTimeout, WriteTimeout: webWriteTimeout,
		IdleTimeout: webIdleTimeout, MaxHeaderBytes: 16 << 10,
		// Anybody can provoke these.
		ErrorLog: slog.NewLogLogger(w.log.Handler(), slog.LevelDebug),
	}
	stop := context.AfterFunc(ctx, func() { _ = s.Close() })
	defer stop()
	secure := l.(webListener).secure
	l = netutil.LimitListener(l, maxWebConns)
	if secure {
		l = tls.NewListener(l, &tls.Config{GetConfigForClient: w.handshake})
	}
	_ = s.Serve(l) // ends when s or l is closed
	_ = s.Close()  // and the connections with it
}

// probe answers ok, or why not.
func probe(w http.ResponseWriter, problem string) {
	if problem != "" {
		http.Error(w, problem, http.StatusServiceUnavailable)
		return
	}
	_, _ = fmt.Fprintln(w, "ok")
}

// alive says what is wrong with the loop or a virtual router that runs; empty: nothing.
func (d *Director) alive() string {
	if age := time.Since(d.started) - time.Duration(d.beat.Load()); age > aliveWithin {
		return fmt.Sprintf("the loop was last seen alive %v ago", age.Round(time.Second))
	}
	v := d.view.Load()
	if v == nil {
		return "" // it begins
	}
	running := slices.Clone(v.leaving)
	for _, r := range v.routers {
		running = append(running, r.instance)
	}
	for _, i := range running {
		if problem := i.Stuck(); problem != "" {
			return fmt.Sprintf("virtual_router %s: %s", i.Name(), problem)
		}
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
