// SPDX-License-Identifier: Apache-2.0

package notify

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-lb/holdfast/internal/command"
)

// dropLogEvery is how often the events that a block loses are logged.
const dropLogEvery = 10 * time.Second

// block is one notify block and what waits for it. Notifier.mu guards it.
type block struct {
	config     Config
	queue      queue
	running    bool
	dropped    int // not logged yet
	dropLogged time.Time

	wake   chan struct{}   // something is in the queue
	gone   context.Context // ends when the block is removed
	remove context.CancelFunc
}

func newBlock(c Config) *block {
	b := &block{config: c, wake: make(chan struct{}, 1)}
	b.gone, b.remove = context.WithCancel(context.Background())
	return b
}

// carry delivers the events of a block one by one until ctx has ended and its queue is empty, or the block is gone.
func (n *Notifier) carry(ctx context.Context, b *block, l limits) {
	soon, cancel := context.WithCancel(ctx) // its end: no more pauses
	defer cancel()
	defer context.AfterFunc(b.gone, cancel)()
	for l.last.Err() == nil {
		stopping := ctx.Err() != nil
		attempt := l.inFlight
		if stopping {
			attempt = l.last
		}
		if c, e, ok := n.next(b, stopping); ok {
			if n.deliver(soon, attempt, b, c, e) {
				n.pause(soon, b)
			}
			continue
		}
		if stopping || b.gone.Err() != nil {
			break
		}
		select {
		case <-b.wake:
		case <-soon.Done():
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.drop(b, len(b.queue.events), "the director stops")
	b.queue = queue{}
}

// next takes the first event. A director that stops has time for the newest of each object only.
func (n *Notifier) next(b *block, stopping bool) (Config, Event, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if stopping {
		n.drop(b, b.queue.newest(), "the director stops")
	}
	if len(b.queue.events) == 0 {
		return Config{}, Event{}, false
	}
	return b.config, b.queue.remove(0), true
}

// deliver tells one target of one event. Once soon has ended, nothing is waited for but the attempt; with attempt that
// ends, too. It reports whether to pause, because all that waits has been tried in vain.
func (n *Notifier) deliver(soon, attempt context.Context, b *block, c Config, e Event) (pause bool) {
	if c.Timeout <= 0 {
		c.Timeout = defaultTimeout
	}
	body, err := json.Marshal(e)
	later := false
	switch {
	case err != nil:
	case len(c.Command) > 0:
		err = n.program(attempt, c, e, body)
	case e.late:
		later, err = n.webhook(soon, attempt, c, body, 1)
	default:
		later, err = n.webhook(soon, attempt, c, body, webhookAttempts)
	}
	if err == nil {
		n.onResult(done)
		return false
	}
	facts := []any{"target", c.target(), "kind", e.Kind, "name", e.Name, "to", e.To, "err", err}
	if later && soon.Err() == nil {
		if back, pause := n.putBack(b, e); back {
			if !e.late { // else it has been said
				n.log.Warn("notify delayed, it is tried on", facts...)
			}
			return pause
		}
	}
	n.log.Warn("notify failed", facts...)
	n.onResult(failed)
	return false
}

// putBack queues an event again, behind all others, unless a newer one of its object waits. It reports whether all that
// waits has been tried for long.
func (n *Notifier) putBack(b *block, e Event) (back, allLate bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if b.queue.of[e.object()] > 0 {
		return false, false
	}
	e.late = true
	if b.queue.put(e) {
		n.drop(b, 1, "its queue is full")
	}
	select {
	case <-b.wake: // for what is in the queue, and looked at here
	default:
	}
	return true, !slices.ContainsFunc(b.queue.events, func(e Event) bool { return !e.late })
}

// pause waits before a target that takes nothing is tried again. A new event ends it.
func (n *Notifier) pause(soon context.Context, b *block) {
	timer := time.NewTimer(longestPause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-b.wake:
	case <-soon.Done():
	}
}

// program runs the program of a block once: it may not be repeatable.
func (n *Notifier) program(ctx context.Context, c Config, e Event, body []byte) error {
	r, err := n.run(ctx, command.Command{
		Args: c.Command, User: c.User, Env: environment(e), Stdin: append(body, '\n'), Timeout: c.Timeout,
	})
	if err == nil && r.Exit != 0 {
		err = fmt.Errorf("exit %d", r.Exit)
	}
	if err == nil {
		return nil
	}
	out := strings.TrimSpace(r.Output)
	if last := strings.TrimSpace(out[strings.LastIndexByte(out, '\n')+1:]); last != "" {
		return fmt.Errorf("%w: %s", err, last)
	}
	return err
}

func environment(e Event) []string {
	env := []string{
		"HOLDFAST_EVENT=" + e.Kind,
		"HOLDFAST_NAME=" + e.Name,
		"HOLDFAST_FROM=" + e.From,
		"HOLDFAST_TO=" + e.To,
		"HOLDFAST_REASON=" + e.Reason,
		"HOLDFAST_TIME=" + e.Time.Format(time.RFC3339Nano),
		"HOLDFAST_DIRECTOR=" + e.Director,
	}
	if e.Count > 0 {
		env = append(env, "HOLDFAST_COUNT="+strconv.Itoa(e.Count))
	}
	for i, v := range env {
		env[i] = strings.ReplaceAll(v, "\x00", "?") // execve(2) cannot carry it
	}
	return env
}

// target names the target for the log: what follows a webhook's host is often a secret.
func (c Config) target() string {
	if len(c.Command) > 0 {
		return c.Command[0]
	}
	u, err := url.Parse(c.Webhook)
	if err != nil {
		return "webhook"
	}
	return u.Scheme + "://" + u.Host
}
