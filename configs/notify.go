// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"errors"
	"slices"
	"time"

	"github.com/holdfast-lb/holdfast/internal/notify"
)

// EventKinds are the kinds of events that a notify block may ask for.
var EventKinds = []string{"virtual_router", "virtual_address", "failover", "real_server", "virtual_server", "reload"}

func (b *builder) notify(raw *rawNotify) notify.Config {
	found := len(b.diags)
	c := notify.Config{
		Command: b.command(raw.Command),
		Webhook: read(b, raw.Webhook, "", orEmpty(matching(parseWebhook))),
	}
	switch {
	case raw.Command != nil && c.Webhook != "":
		b.fail(raw.Webhook.Expr.Range(), "Two targets", "A notify block has either command or webhook: write a second block.")
	case raw.Command == nil && c.Webhook == "" && len(b.diags) == found:
		b.fail(raw.Range, "Missing command", "command or webhook is required in this block.")
	}
	c.Events = b.events(raw)
	c.Timeout = read(b, raw.Timeout, 10*time.Second, duration(100*time.Millisecond, time.Hour, 1))
	c.User = b.user(raw.User, raw.Command, c.Command)
	if raw.User != nil && raw.Command == nil {
		b.warn(raw.User.NameRange, "No effect", "user is whom a command runs as; a webhook has none.")
	}
	return c
}

func (b *builder) events(raw *rawNotify) []string {
	if raw.Events == nil {
		return slices.Clone(EventKinds)
	}
	list, ok := readList(b, raw.Events, oneOf(words(EventKinds...)))
	if ok && len(list) == 0 {
		b.invalid("events", raw.Events.Expr.Range(), errors.New("takes at least one kind; without events, all are told"))
	}
	var kinds []string
	for _, e := range list {
		b.unique("event", identity(raw), e.value, e.at)
		kinds = append(kinds, e.value)
	}
	return kinds
}
