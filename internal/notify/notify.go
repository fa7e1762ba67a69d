// SPDX-License-Identifier: Apache-2.0

// Package notify tells programs and webhooks of events, in order, without ever holding up who tells.
package notify

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/holdfast-lb/holdfast/internal/command"
)

// Config is one notify block.
type Config struct {
	Events  []string // kinds; empty: all
	Command []string // or:
	Webhook string
	Timeout time.Duration // of one attempt; 0: 10 s
	User    string
}

// Event is one change of state. Its JSON is what a program gets on stdin and a webhook as body.
type Event struct {
	Kind     string    `json:"kind"` // virtual_router, virtual_address, real_server, virtual_server, reload
	Name     string    `json:"name"`
	From     string    `json:"from"`
	To       string    `json:"to"`
	Reason   string    `json:"reason"`
	Time     time.Time `json:"time"`
	Director string    `json:"director"`
	Count    int       `json:"count,omitempty"` // of the objects that changed together, where one event tells of many

	late bool // a webhook has not taken it for long
}

// Options is what a Notifier works with.
type Options struct {
	Log *slog.Logger // nil: none
	// OnResult is called with how each event ended at each target: done, failed, or dropped (a newer one of the same
	// object took its place in a full queue, or its block is gone). It must not block, and not call the Notifier.
	OnResult func(result string)
}

// What OnResult is called with.
const (
	done    = "done"
	failed  = "failed"
	dropped = "dropped"
)

const (
	defaultTimeout = 10 * time.Second
	// What is left when Run ends gets lastWords in all; an attempt that is under way then, half of it, so that a target
	// that hangs does not keep the last event from another attempt.
	lastWords = time.Second
)

// Notifier carries events to all blocks.
type Notifier struct {
	log      *slog.Logger
	onResult func(string)
	run      func(context.Context, command.Command) (command.Result, error)
	client   *http.Client
	wake     chan struct{} // Apply has been called

	mu     sync.Mutex // guards blocks and all that is in them
	blocks []*block
}

// New returns a notifier that is not running.
func New(o Options) *Notifier {
	n := &Notifier{
		log:      o.Log,
		onResult: o.OnResult,
		run:      func(ctx context.Context, c command.Command) (command.Result, error) { return c.Run(ctx) },
		client:   newClient(),
		wake:     make(chan struct{}, 1),
	}
	if n.log == nil {
		n.log = slog.New(slog.DiscardHandler)
	}
	if n.onResult == nil {
		n.onResult = func(string) {}
	}
	return n
}

// Apply replaces the blocks. What waits for one that stays, or stays with the same target, is kept. One that is gone
// finishes the attempt in flight; what waits for it is dropped.
func (n *Notifier) Apply(configs []Config) {
	n.mu.Lock()
	defer n.mu.Unlock()
	old := n.blocks
	n.blocks = make([]*block, len(configs))
	for _, same := range []func(a, b Config) bool{equal, sameTarget} {
		for i, c := range configs {
			if n.blocks[i] != nil {
				continue
			}
			if at := slices.IndexFunc(old, func(b *block) bool { return same(b.config, c) }); at >= 0 {
				n.blocks[i] = old[at]
				n.blocks[i].config = c
				old = slices.Delete(old, at, at+1)
			}
		}
	}
	for i, c := range configs {
		if n.blocks[i] == nil {
			n.blocks[i] = newBlock(c)
		}
	}
	for _, b := range old {
		b.remove()
		n.drop(b, len(b.queue.events), "its block is gone")
		b.queue = queue{}
	}
	poke(n.wake)
}

func equal(a, b Config) bool {
	return sameTarget(a, b) && slices.Equal(a.Events, b.Events) && a.Timeout == b.Timeout && a.User == b.User
}

func sameTarget(a, b Config) bool {
	return slices.Equal(a.Command, b.Command) && a.Webhook == b.Webhook
}

// Put gives an event to every block that wants its kind. It never blocks.
func (n *Notifier) Put(e Event) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, b := range n.blocks {
		if len(b.config.Events) > 0 && !slices.Contains(b.config.Events, e.Kind) {
			continue
		}
		if b.queue.put(e) {
			n.drop(b, 1, "its queue is full")
		}
		poke(b.wake)
	}
}

// limits end the attempts when Run ends: those that are under way then, and those that begin later.
type limits struct{ inFlight, last context.Context }

// Run delivers until ctx ends, and then what is left for at most a second: of each object the last event. An event that
// is Put after ctx has ended may not be delivered.
func (n *Notifier) Run(ctx context.Context) error {
	var l limits
	var endInFlight, endLast context.CancelFunc
	l.inFlight, endInFlight = context.WithCancel(context.WithoutCancel(ctx))
	defer endInFlight()
	l.last, endLast = context.WithCancel(context.WithoutCancel(ctx))
	defer endLast()
	defer n.client.CloseIdleConnections()
	var wg sync.WaitGroup
	for running := true; running; {
		n.mu.Lock()
		for _, b := range n.blocks {
			if !b.running {
				b.running = true
				wg.Go(func() { n.carry(ctx, b, l) })
			}
		}
		n.mu.Unlock()
		select {
		case <-ctx.Done():
			running = false
		case <-n.wake:
		}
	}
	defer time.AfterFunc(lastWords/2, endInFlight).Stop()
	defer time.AfterFunc(lastWords, endLast).Stop()
	wg.Wait()
	return nil
}

// drop counts and logs events that are not delivered. The log is limited to one line in dropLogEvery for each block.
func (n *Notifier) drop(b *block, count int, why string) {
	for range count {
		n.onResult(dropped)
	}
	b.dropped += count
	if now := time.Now(); b.dropped > 0 && (b.dropLogged.IsZero() || now.Sub(b.dropLogged) >= dropLogEvery) {
		n.log.Warn("notify events dropped", "target", b.config.target(), "count", b.dropped, "reason", why)
		b.dropLogged, b.dropped = now, 0
	}
}

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
