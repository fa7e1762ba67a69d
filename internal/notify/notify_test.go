// SPDX-License-Identifier: Apache-2.0

package notify

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-lb/holdfast/internal/command"
)

// rig is a Notifier whose programs and webhooks are functions of a test.
type rig struct {
	*Notifier
	log bytes.Buffer

	mu      sync.Mutex
	results map[string]int
}

func newRig(run func(context.Context, command.Command) (command.Result, error)) *rig {
	r := &rig{results: make(map[string]int)}
	r.Notifier = New(Options{
		Log: slog.New(slog.NewTextHandler(&r.log, nil)),
		OnResult: func(result string) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.results[result]++
		},
	})
	r.run = run
	return r
}

// start runs the Notifier and returns what stops it, and how long that took.
func (r *rig) start(t *testing.T) (stop func() time.Duration) {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	return func() time.Duration {
		begin := time.Now()
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		return time.Since(begin)
	}
}

func (r *rig) want(t *testing.T, done, failed, dropped int) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if got := [3]int{r.results["done"], r.results["failed"], r.results["dropped"]}; got != [3]int{done, failed, dropped} {
		t.Errorf("done, failed, dropped %v, want %v", got, [3]int{done, failed, dropped})
	}
}

func event(name string, n int) Event {
	return Event{Kind: "virtual_router", Name: name, From: "backup", To: fmt.Sprint(n)}
}

// recorder is a program that takes a while.
type recorder struct {
	takes time.Duration
	busy  atomic.Bool

	mu  sync.Mutex
	all []string
}

func (p *recorder) got() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.all)
}

func (p *recorder) run(ctx context.Context, c command.Command) (command.Result, error) {
	if p.busy.Swap(true) {
		panic("two at a time")
	}
	defer p.busy.Store(false)
	select {
	case <-time.After(p.takes):
	case <-ctx.Done():
		return command.Result{Exit: -1}, ctx.Err()
	}
	var e Event
	if err := json.Unmarshal(c.Stdin, &e); err != nil {
		return command.Result{}, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all = append(p.all, e.Name+e.To)
	return command.Result{}, nil
}

func TestOrderOneAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &recorder{takes: time.Second}
		r := newRig(p.run)
		r.Apply([]Config{{Command: []string{"/x"}}})
		r.Put(event("a", 0)) // before Run
		stop := r.start(t)
		begin := time.Now()
		for i := 1; i < 5; i++ {
			r.Put(event("a", i))
		}
		if took := time.Since(begin); took != 0 {
			t.Errorf("Put took %s", took)
		}
		time.Sleep(5*time.Second + time.Millisecond)
		synctest.Wait()
		if want := []string{"a0", "a1", "a2", "a3", "a4"}; !slices.Equal(p.got(), want) {
			t.Errorf("got %v, want %v", p.got(), want)
		}
		if took := stop(); took != 0 {
			t.Errorf("stopped after %s", took)
		}
		r.want(t, 5, 0, 0)
	})
}

func TestBlocksAreIndependentAndFiltered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []string
		r := newRig(func(ctx context.Context, c command.Command) (command.Result, error) {
			if c.Args[0] == "/hangs" {
				<-ctx.Done()
				return command.Result{Exit: -1}, ctx.Err()
			}
			got = append(got, c.Env[0])
			return command.Result{}, nil
		})
		r.Apply([]Config{{Command: []string{"/hangs"}}, {Command: []string{"/x"}, Events: []string{"reload"}}})
		stop := r.start(t)
		r.Put(event("a", 1))
		r.Put(Event{Kind: "reload"})
		synctest.Wait()
		if !slices.Equal(got, []string{"HOLDFAST_EVENT=reload"}) {
			t.Errorf("got %v", got)
		}
		if took := stop(); took != time.Second {
			t.Errorf("stopped after %s, want 1s", took)
		}
		r.want(t, 1, 2, 0)
	})
}

// TestNewestArrives: a slow target loses old events only, and each loss is counted.
func TestNewestArrives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &recorder{takes: time.Millisecond}
		r := newRig(p.run)
		r.Apply([]Config{{Command: []string{"/x"}}})
		const objects, rounds = 300, 20
		for i := range rounds {
			for o := range objects {
				r.Put(event(fmt.Sprintf("o%d-", o), i))
			}
		}
		stop := r.start(t)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if len(p.got()) != queueMost {
			t.Errorf("%d events arrived, want %d", len(p.got()), queueMost)
		}
		last := make(map[string]string)
		for _, g := range p.got() {
			name, state, _ := strings.Cut(g, "-")
			last[name] = state
		}
		for o := range objects {
			if last[fmt.Sprintf("o%d", o)] != "19" {
				t.Errorf("object %d ends in state %q", o, last[fmt.Sprintf("o%d", o)])
			}
		}
		stop()
		r.want(t, queueMost, 0, objects*rounds-queueMost)
		// The first loss, and the others when it stops: one line each 10 s.
		for _, want := range []string{"count=1 ", fmt.Sprintf("count=%d ", objects*rounds-queueMost-1)} {
			if strings.Count(r.log.String(), want) != 1 {
				t.Errorf("the log lacks %q:\n%s", want, &r.log)
			}
		}
		if n := strings.Count(r.log.String(), "notify events dropped"); n != 2 {
			t.Errorf("%d log lines, want 2", n)
		}
	})
}

func TestQueue(t *testing.T) {
	for _, tt := range []struct {
		name string
		put  func(*queue) (gave int)
		len  int
		gave int
	}{
		{"each another object: none gives way", func(q *queue) (gave int) {
			for i := range queueMost + 10 {
				if q.put(event(fmt.Sprint(i), i)) {
					gave++
				}
			}
			return gave
		}, queueMost + 10, 0},
		{"the only event of an object stays", func(q *queue) (gave int) {
			q.put(event("only", 7))
			for i := range queueMost + 5 {
				if q.put(event("busy", i)) {
					gave++
				}
			}
			if q.events[0] != event("only", 7) || q.events[1] != event("busy", 6) {
				t.Errorf("the queue begins with %v", q.events[:2])
			}
			return gave
		}, queueMost, 6},
		{"its own older event gives way first", func(q *queue) (gave int) {
			for i := range queueMost {
				q.put(event(fmt.Sprint(i/2), i))
			}
			if q.put(event("7", -1)) {
				gave++
			}
			if slices.Contains(q.events, event("7", 14)) || !slices.Contains(q.events, event("0", 0)) {
				t.Error("another object's event gave way")
			}
			return gave
		}, queueMost, 1},
		{"newest", func(q *queue) int {
			for i := range 10 {
				q.put(event(fmt.Sprint(i%3), i))
			}
			gave := q.newest()
			if want := []Event{event("1", 7), event("2", 8), event("0", 9)}; !slices.Equal(q.events, want) {
				t.Errorf("got %v", q.events)
			}
			return gave
		}, 3, 7},
	} {
		var q queue
		if gave := tt.put(&q); gave != tt.gave || len(q.events) != tt.len {
			t.Errorf("%s: %d gave way, %d stay, want %d and %d", tt.name, gave, len(q.events), tt.gave, tt.len)
		}
		for len(q.events) > 0 {
			q.remove(0)
		}
		if len(q.of) != 0 {
			t.Errorf("%s: an empty queue counts %v", tt.name, q.of)
		}
	}
}

func TestApply(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &recorder{takes: time.Second}
		other := &recorder{}
		r := newRig(func(ctx context.Context, c command.Command) (command.Result, error) {
			if c.Args[0] == "/other" {
				return other.run(ctx, c)
			}
			return p.run(ctx, c)
		})
		stop := r.start(t)
		r.Apply([]Config{{Command: []string{"/x"}}})
		for i := range 4 {
			r.Put(event("a", i))
		}
		synctest.Wait()
		r.Apply([]Config{{Command: []string{"/other"}}, {Command: []string{"/x"}, User: "nobody", Events: []string{"none"}}})
		r.Put(event("a", 4))
		time.Sleep(2500 * time.Millisecond)
		synctest.Wait()
		if !slices.Equal(p.got(), []string{"a0", "a1"}) || !slices.Equal(other.got(), []string{"a4"}) {
			t.Errorf("after a change: got %v and %v", p.got(), other.got())
		}
		r.want(t, 3, 0, 0)
		r.Apply([]Config{{Command: []string{"/other"}}})
		time.Sleep(time.Minute)
		synctest.Wait()
		if !slices.Equal(p.got(), []string{"a0", "a1", "a2"}) {
			t.Errorf("a block that is gone: got %v", p.got())
		}
		r.want(t, 4, 0, 1)
		stop()
	})
}

// TestLastEvent: what a director says while it stops gets out, even after an event that hangs.
func TestLastEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []string
		r := newRig(func(ctx context.Context, c command.Command) (command.Result, error) {
			if strings.Contains(string(c.Stdin), `"hangs"`) {
				<-ctx.Done()
				return command.Result{Exit: -1}, ctx.Err()
			}
			got = append(got, c.Env[3])
			return command.Result{}, nil
		})
		r.Apply([]Config{{Command: []string{"/x"}, Timeout: time.Hour}})
		stop := r.start(t)
		r.Put(event("hangs", 0))
		for i := range 100 {
			r.Put(event("web", i))
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if took := stop(); took != 500*time.Millisecond {
			t.Errorf("stopped after %s", took)
		}
		if !slices.Equal(got, []string{"HOLDFAST_TO=99"}) {
			t.Errorf("got %v", got)
		}
		r.want(t, 1, 1, 99)
	})
}

func TestProgramFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		runs := 0
		r := newRig(func(context.Context, command.Command) (command.Result, error) {
			runs++
			if runs == 1 {
				return command.Result{Exit: 2, Output: "first\nno route\n"}, nil
			}
			return command.Result{Exit: -1}, errors.New("run /x: no such file")
		})
		r.Apply([]Config{{Command: []string{"/x"}}})
		stop := r.start(t)
		r.Put(event("a", 0))
		r.Put(event("a", 1))
		time.Sleep(time.Hour)
		synctest.Wait()
		stop()
		if runs != 2 {
			t.Errorf("%d runs, want 2: a program is not retried", runs)
		}
		r.want(t, 0, 2, 0)
		for _, want := range []string{`err="exit 2: no route"`, `err="run /x: no such file"`, "target=/x", "name=a"} {
			if !strings.Contains(r.log.String(), want) {
				t.Errorf("the log lacks %s:\n%s", want, &r.log)
			}
		}
	})
}

// TestRealProgram: the event on stdin and in the environment.
func TestRealProgram(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out")
	program := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(program, []byte("#!/bin/sh\n(cat; env | grep HOLDFAST_ | sort) >"+out+".new\nmv "+out+".new "+out+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	r := newRig(func(ctx context.Context, c command.Command) (command.Result, error) { return c.Run(ctx) })
	r.Apply([]Config{{Command: []string{"/bin/sh", program}}})
	stop := r.start(t)
	r.Put(Event{
		Kind: "virtual_router", Name: "web", From: "master", To: "init", Reason: "it\nstops\x00", Time: time.Unix(0, 5).UTC(), Director: "lb1",
		Count: 3,
	})
	stop() // delivers it
	got, err := os.ReadFile(out)
	if err != nil {
		t.Fatalf("%v; log: %s", err, &r.log)
	}
	want := `{"kind":"virtual_router","name":"web","from":"master","to":"init","reason":"it\nstops\u0000","time":"1970-01-01T00:00:00.000000005Z","director":"lb1","count":3}
HOLDFAST_COUNT=3
HOLDFAST_DIRECTOR=lb1
HOLDFAST_EVENT=virtual_router
HOLDFAST_FROM=master
HOLDFAST_NAME=web
HOLDFAST_REASON=it
HOLDFAST_TIME=1970-01-01T00:00:00.000000005Z
HOLDFAST_TO=init
`
	if string(got) != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

// answers is a server that gives one answer after the other, the last one for ever.
type answers struct {
	list []func(*http.Request) (*http.Response, error)
	at   []time.Duration
	keys []string
	base time.Time
}

func (a *answers) RoundTrip(req *http.Request) (*http.Response, error) {
	n := min(len(a.at), len(a.list)-1)
	a.at = append(a.at, time.Since(a.base))
	a.keys = append(a.keys, req.Header.Get("Idempotency-Key"))
	return a.list[n](req)
}

func status(code int, header ...string) func(*http.Request) (*http.Response, error) {
	return func(req *http.Request) (*http.Response, error) {
		h := http.Header{}
		for i := 0; i < len(header); i += 2 {
			h.Set(header[i], header[i+1])
		}
		return &http.Response{StatusCode: code, Header: h, Body: io.NopCloser(strings.NewReader("x")), Request: req}, nil
	}
}

func hang(req *http.Request) (*http.Response, error) {
	<-req.Context().Done()
	return nil, req.Context().Err()
}

func refused(*http.Request) (*http.Response, error) { return nil, errors.New("connection refused") }

func TestWebhookRetries(t *testing.T) {
	type list = []func(*http.Request) (*http.Response, error)
	for _, tt := range []struct {
		name     string
		answers  list
		attempts int
		result   string
		log      string
		min, max time.Duration // of the last attempt
	}{
		{"taken", list{status(204)}, 1, "done", "", 0, 0},
		{"trouble, then taken", list{status(503), refused, status(429), status(200)}, 4, "done", "", 3500 * time.Millisecond, 7 * time.Second},
		{"refused for good", list{status(403)}, 1, "failed", "attempt 1: 403 Forbidden", 0, 0},
		{"redirect", list{status(302, "Location", "https://elsewhere/"), status(200)}, 1, "failed", "302 Found", 0, 0},
		{"never", list{refused}, 8, "failed", "attempt 8: connection refused", 60 * time.Second, 123 * time.Second},
		{"hangs", list{hang}, 8, "failed", "attempt 8: context deadline exceeded", 130 * time.Second, 193 * time.Second},
		{"asks for patience", list{status(503, "Retry-After", "30"), status(200)}, 2, "done", "", 30 * time.Second, 30 * time.Second},
		{"asks for too much", list{status(503, "Retry-After", "99999999"), status(200)}, 2, "done", "", time.Minute, time.Minute},
		{"for ever patient", list{status(503, "Retry-After", "59")}, 6, "failed", "no time for another", 295 * time.Second, 295 * time.Second},
		{"nonsense", list{status(503, "Retry-After", "-3 eggs"), status(200)}, 2, "done", "", 500 * time.Millisecond, time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(nil)
				a := &answers{list: tt.answers, base: time.Now()}
				r.client.Transport = a
				r.Apply([]Config{{Webhook: "https://user:password@hooks.example/secret?token=1"}})
				stop := r.start(t)
				r.Put(event("a", 1))
				time.Sleep(tt.max + 20*time.Second) // the last attempt may hang
				synctest.Wait()
				attempts := len(a.at)
				if tt.attempts > 1 && tt.result == "failed" {
					r.want(t, 0, 0, 0) // it is tried on
				}
				stop()
				if tt.attempts > 1 && tt.result == "failed" { // chance says how many of those once a minute have been
					attempts = min(attempts, tt.attempts)
				}
				if attempts != tt.attempts || r.results[tt.result] != 1 || len(r.results) != 1 {
					t.Fatalf("%d attempts at %v, %v, want %d and %s", len(a.at), a.at, r.results, tt.attempts, tt.result)
				}
				if last := a.at[attempts-1]; last < tt.min || last > tt.max {
					t.Errorf("last attempt at %s, want %s to %s", last, tt.min, tt.max)
				}
				if slices.Sort(a.keys); a.keys[0] == "" || a.keys[0] != a.keys[len(a.keys)-1] {
					t.Errorf("keys %v", a.keys)
				}
				log := r.log.String()
				if !strings.Contains(log, tt.log) || strings.Contains(log, "secret") || strings.Contains(log, "token") || strings.Contains(log, "password") {
					t.Errorf("log: %s", log)
				}
			})
		})
	}
}

// TestWebhookNewestArrives: after hours without an answer, the newest event of each object is delivered, under the key
// that it always had, and what is new does not wait for what is late.
func TestWebhookNewestArrives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(nil)
		var up atomic.Bool
		var got []string
		keys := make(map[string]map[string]bool)
		r.client.Transport = transport(func(req *http.Request) (*http.Response, error) {
			var e Event
			if err := json.NewDecoder(req.Body).Decode(&e); err != nil {
				t.Error(err)
			}
			name := e.Name + e.To
			if keys[name] == nil {
				keys[name] = make(map[string]bool)
			}
			keys[name][req.Header.Get("Idempotency-Key")] = true
			if !up.Load() && e.Name != "fine" {
				return refused(req)
			}
			got = append(got, name)
			return status(204)(req)
		})
		r.Apply([]Config{{Webhook: "https://hooks.example/"}})
		stop := r.start(t)
		for _, e := range []Event{event("a", 1), event("b", 1), event("b", 2), event("a", 2)} {
			r.Put(e)
		}
		time.Sleep(3 * time.Hour)
		r.Put(event("fine", 1))
		time.Sleep(time.Second)
		synctest.Wait()
		if !slices.Equal(got, []string{"fine1"}) {
			t.Errorf("got %v, want what is taken", got)
		}
		r.want(t, 1, 2, 0)
		up.Store(true)
		time.Sleep(longestPause + time.Second)
		synctest.Wait()
		if slices.Sort(got); !slices.Equal(got, []string{"a2", "b2", "fine1"}) || len(keys["a2"]) != 1 || len(keys["b2"]) != 1 {
			t.Errorf("got %v with keys %v", got, keys)
		}
		if n := strings.Count(r.log.String(), "notify delayed"); n != 2 {
			t.Errorf("%d lines for two late events:\n%s", n, &r.log)
		}
		stop()
		r.want(t, 3, 2, 0)
	})
}

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// TestWebhookStops: a director that stops makes one more attempt of what is retried, and one of the newest.
func TestWebhookStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(nil)
		a := &answers{list: []func(*http.Request) (*http.Response, error){refused}, base: time.Now()}
		r.client.Transport = a
		r.Apply([]Config{{Webhook: "http://hooks.example/"}})
		stop := r.start(t)
		r.Put(event("a", 1))
		r.Put(event("a", 2))
		r.Put(event("a", 3))
		synctest.Wait()
		if took := stop(); took != 0 || len(a.at) != 3 {
			t.Errorf("stopped after %s and %d attempts, want 0s and 3", took, len(a.at))
		}
		r.want(t, 0, 2, 1)
	})
}
