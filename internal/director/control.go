// SPDX-License-Identifier: Apache-2.0

package director

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// controlTimeout bounds each request, so that a client that never reads costs little.
const controlTimeout = 10 * time.Second

// namespaceLock is an abstract unix socket: the kernel keeps one of each name per network namespace and lets go of it when
// its process ends, however that happens.
var namespaceLock = "@holdfast"

// control is the control socket, and the lock that makes this director the only one in its network namespace.
type control struct {
	lock, listener net.Listener
}

// listenControl takes the lock and opens the socket. A socket that is left over from a dead process is replaced.
func listenControl(path string) (*control, error) {
	lock, err := net.Listen("unix", namespaceLock)
	if err != nil {
		return nil, fmt.Errorf("another holdfast runs in this network namespace (%w): stop it first", err)
	}
	l, err := listenUnix(path)
	if err != nil {
		_ = lock.Close()
		return nil, fmt.Errorf("open control socket %s: %w", path, err)
	}
	return &control{lock, l}, nil
}

func listenUnix(path string) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	if c, err := net.DialTimeout("unix", path, time.Second); err == nil {
		_ = c.Close()
		return nil, errors.New("another process answers on it: give each director its own director.control_socket")
	}
	if info, err := os.Lstat(path); err == nil && info.Mode().Type() != os.ModeSocket {
		return nil, errors.New("a file that is no socket is in its place: remove it, or set director.control_socket")
	}
	_ = os.Remove(path)
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o660); err != nil {
		_ = l.Close()
		return nil, err
	}
	return l, nil
}

// Close gives up the socket and then the lock.
func (c *control) Close() {
	_ = c.listener.Close()
	_ = c.lock.Close()
}

// serveControl answers on the control socket until ctx ends.
func serveControl(ctx context.Context, d *Director, c *control) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", func(w http.ResponseWriter, r *http.Request) {
		answer(w, d.Status(r.Context()), nil)
	})
	mux.HandleFunc("POST /v1/reload", func(w http.ResponseWriter, r *http.Request) {
		if !mayChange(r.Context()) {
			http.Error(w, `{"error":"only root may change something"}`, http.StatusForbidden)
			return
		}
		result, err := d.Reload(r.Context())
		answer(w, result, err)
	})
	serve(ctx, c.listener, mux)
}

// serve runs an HTTP server that no client can hold up, until ctx ends.
func serve(ctx context.Context, l net.Listener, h http.Handler) {
	s := &http.Server{
		Handler: h, ReadTimeout: controlTimeout, WriteTimeout: controlTimeout, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
		ConnContext: withCredentials,
	}
	stop := context.AfterFunc(ctx, func() { _ = s.Close() })
	defer stop()
	_ = s.Serve(l) // ends when s or l is closed
	_ = s.Close()  // and the connections with it
}

// answer writes what a client gets: the result, or {"error": …}.
func answer(w http.ResponseWriter, result any, err error) {
	status := http.StatusOK
	if err != nil {
		status, result = http.StatusConflict, failure{err.Error()}
	}
	b, err := json.Marshal(result)
	if err != nil {
		status, b = http.StatusInternalServerError, []byte(`{"error":"the answer cannot be written as JSON"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n'))
}

type failure struct {
	Error string `json:"error"`
}

// Client asks a running director over its control socket.
type Client struct {
	Socket string
}

// Status returns the director's state.
func (c Client) Status(ctx context.Context) (Status, error) {
	var s Status
	return s, c.do(ctx, http.MethodGet, "/v1/status", &s)
}

// Reload makes the director read its configuration again.
func (c Client) Reload(ctx context.Context) (Reload, error) {
	var r Reload
	return r, c.do(ctx, http.MethodPost, "/v1/reload", &r)
}

func (c Client) do(ctx context.Context, method, path string, result any) error {
	t := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", c.Socket)
	}}
	defer t.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, method, "http://holdfast"+path, nil)
	if err != nil {
		return err
	}
	resp, err := (&http.Client{Transport: t, Timeout: 2 * controlTimeout}).Do(req)
	if err != nil {
		return fmt.Errorf("no director answers on %s: %w; is `holdfast run` running, and is this its socket?", c.Socket, errors.Unwrap(err))
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("read answer from %s: %w", c.Socket, err)
	}
	if resp.StatusCode != http.StatusOK {
		var f failure
		if json.Unmarshal(b, &f) != nil || f.Error == "" {
			f.Error = fmt.Sprintf("%s: %s", resp.Status, bytes.TrimSpace(b))
		}
		return errors.New(f.Error)
	}
	if err := json.Unmarshal(b, result); err != nil {
		return fmt.Errorf("answer from %s: %w", c.Socket, err)
	}
	return nil
}
