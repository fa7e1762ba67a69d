// SPDX-License-Identifier: Apache-2.0

package director

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"syscall"
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
func listenControl(path, group string) (*control, error) {
	lock, err := net.Listen("unix", namespaceLock)
	if err != nil {
		return nil, fmt.Errorf("another holdfast runs in this network namespace (%w): stop it first", err)
	}
	l, err := listenUnix(path)
	if err == nil {
		if err = share(path, group); err != nil {
			_ = l.Close()
		}
	}
	if err != nil {
		_ = lock.Close()
		if errors.Is(err, fs.ErrPermission) {
			err = fmt.Errorf("%w: its folder must be the user's that holdfast runs as, who keeps no right to pass over that", err)
		}
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
	// The followers of events hear of the end before it comes.
	listening, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { d.history.end(endPatience); cancel() })()
	serve(listening, c.listener, controlHandler(d), d.log)
}

// controlHandler answers the requests of Client.
func controlHandler(d *Director) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", func(w http.ResponseWriter, r *http.Request) {
		answer(w, d.Status(r.Context()), nil)
	})
	mux.HandleFunc("GET /v1/events", d.serveEvents)
	mux.HandleFunc("GET /v1/server", func(w http.ResponseWriter, r *http.Request) {
		is, err := d.RealServer(r.Context(), r.FormValue("name"))
		answer(w, is, err)
	})
	changes := func(path string, change func(http.ResponseWriter, *http.Request) (any, error)) {
		mux.HandleFunc("POST "+path, func(w http.ResponseWriter, r *http.Request) {
			if err := mayChange(r.Context(), d.view.Load().config.Director.ControlGroup); err != nil {
				answerStatus(w, http.StatusForbidden, failure{err.Error()})
				return
			}
			r.Body = http.MaxBytesReader(w, r.Body, orderMost)
			result, err := change(w, r)
			answer(w, result, err)
		})
	}
	changes("/v1/reload", func(_ http.ResponseWriter, r *http.Request) (any, error) { return d.Reload(r.Context()) })
	ordered := func(path string, carryOut func(context.Context, order) (Override, error)) {
		changes(path, func(_ http.ResponseWriter, r *http.Request) (any, error) {
			var o order
			if err := json.NewDecoder(r.Body).Decode(&o); err != nil {
				return nil, fmt.Errorf("order: %w", err)
			}
			return carryOut(r.Context(), o)
		})
	}
	ordered("/v1/drain", func(ctx context.Context, o order) (Override, error) { return d.Drain(ctx, o.Server, o.timeout()) })
	ordered("/v1/undrain", func(ctx context.Context, o order) (Override, error) { return d.Undrain(ctx, o.Server) })
	ordered("/v1/weight", func(ctx context.Context, o order) (Override, error) { return d.SetWeight(ctx, o.Server, o.Weight) })
	d.controlFailover(changes)
	return mux
}

// endPatience is how long a director that stops waits for those who follow its events.
const endPatience = time.Second

// order is what an operator wants of a real server.
type order struct {
	Server         string   `json:"server"`                    // SERVICE/SERVER
	TimeoutSeconds *float64 `json:"timeout_seconds,omitempty"` // nil: the service's drain_timeout
	Weight         *uint32  `json:"weight,omitempty"`          // nil: as configured
}

// orderMost is how many bytes an order has at most.
const orderMost = 16 << 10

func (o order) timeout() *time.Duration {
	if o.TimeoutSeconds == nil {
		return nil
	}
	// What a Duration cannot hold is too long anyway.
	d := time.Duration(min(max(*o.TimeoutSeconds, -1), 2*maxDrainTimeout.Seconds()) * float64(time.Second))
	return &d
}

// serve runs an HTTP server that no client can hold up, until ctx ends.
func serve(ctx context.Context, l net.Listener, h http.Handler, log *slog.Logger) {
	s := &http.Server{
		Handler: h, ReadTimeout: controlTimeout, WriteTimeout: controlTimeout, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
		ConnContext: withCredentials,
		ErrorLog:    slog.NewLogLogger(log.Handler(), slog.LevelWarn), // which never waits, as standard error may
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
	answerStatus(w, status, result)
}

func answerStatus(w http.ResponseWriter, status int, result any) {
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
	return s, c.do(ctx, http.MethodGet, "/v1/status", nil, &s)
}

// Reload makes the director read its configuration again.
func (c Client) Reload(ctx context.Context) (Reload, error) {
	var r Reload
	return r, c.do(ctx, http.MethodPost, "/v1/reload", nil, &r)
}

// RealServer returns the state of the one that SERVICE/SERVER names.
func (c Client) RealServer(ctx context.Context, name string) (RealServerStatus, error) {
	var rs RealServerStatus
	return rs, c.do(ctx, http.MethodGet, "/v1/server?name="+url.QueryEscape(name), nil, &rs)
}

// Drain does what [Director.Drain] does.
func (c Client) Drain(ctx context.Context, name string, timeout *time.Duration) (Override, error) {
	o := order{Server: name}
	if timeout != nil {
		seconds := timeout.Seconds()
		o.TimeoutSeconds = &seconds
	}
	return c.order(ctx, "/v1/drain", o)
}

// Undrain does what [Director.Undrain] does.
func (c Client) Undrain(ctx context.Context, name string) (Override, error) {
	return c.order(ctx, "/v1/undrain", order{Server: name})
}

// SetWeight does what [Director.SetWeight] does.
func (c Client) SetWeight(ctx context.Context, name string, weight *uint32) (Override, error) {
	return c.order(ctx, "/v1/weight", order{Server: name, Weight: weight})
}

func (c Client) order(ctx context.Context, path string, o order) (Override, error) {
	body, err := json.Marshal(o)
	if err != nil {
		return Override{}, err
	}
	var result Override
	return result, c.do(ctx, http.MethodPost, path, bytes.NewReader(body), &result)
}

func (c Client) do(ctx context.Context, method, path string, body io.Reader, result any) error {
	return c.doWithin(ctx, 2*controlTimeout, method, path, body, result)
}

func (c Client) doWithin(ctx context.Context, timeout time.Duration, method, path string, body io.Reader, result any) error {
	resp, end, err := c.send(ctx, method, path, body, timeout)
	if err != nil {
		return err
	}
	defer end()
	if resp.StatusCode != http.StatusOK {
		return c.refusal(resp)
	}
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("read answer from %s: %w", c.Socket, err)
	}
	if err := json.Unmarshal(b, result); err != nil {
		return fmt.Errorf("answer from %s: %w", c.Socket, err)
	}
	return nil
}

// send asks, and returns what ends the answer. A timeout of 0 is none.
func (c Client) send(ctx context.Context, method, path string, body io.Reader, timeout time.Duration) (*http.Response, func(), error) {
	t := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		d := net.Dialer{Timeout: controlTimeout}
		return d.DialContext(ctx, "unix", c.Socket)
	}}
	req, err := http.NewRequestWithContext(ctx, method, "http://holdfast"+path, body)
	if err != nil {
		return nil, nil, err
	}
	resp, err := (&http.Client{Transport: t, Timeout: timeout}).Do(req)
	if err != nil {
		return nil, nil, c.unreachable(err)
	}
	return resp, func() { _ = resp.Body.Close(); t.CloseIdleConnections() }, nil
}

// unreachable says why nobody answers on the socket, and what to do.
func (c Client) unreachable(err error) error {
	what, do := "no director answers on "+c.Socket, "see whether it is well with `systemctl status holdfast`"
	switch {
	case errors.Is(err, fs.ErrNotExist):
		what, do = "no control socket "+c.Socket, "start the director (`systemctl start holdfast`, or `holdfast run`), or name its socket with --socket or its configuration with -c"
	case errors.Is(err, syscall.ECONNREFUSED):
		do = "it has ended: start it (`systemctl start holdfast`, or `holdfast run`)"
	case errors.Is(err, fs.ErrPermission):
		what, do = "no right to ask the director on "+c.Socket, "be root, or a member of the group that the socket belongs to (director.control_group)"
	}
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err
	}
	return fmt.Errorf("%s: %w: %s", what, err, do)
}

// refusal is the error that an answer has.
func (c Client) refusal(resp *http.Response) error {
	b, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return fmt.Errorf("read answer from %s: %w", c.Socket, err)
	}
	var f failure
	if json.Unmarshal(b, &f) != nil || f.Error == "" {
		f.Error = fmt.Sprintf("%s: %s", resp.Status, bytes.TrimSpace(b))
	}
	return errors.New(f.Error)
}
