// SPDX-License-Identifier: Apache-2.0

package director

import (
	"context"
	"log/slog"
	"time"
)

// Event is one change of state, told once: to the log and, counted, to the metrics.
type Event struct {
	Kind     string    `json:"kind"` // virtual_router, real_server, reload
	Name     string    `json:"name"`
	From, To string    `json:"-"`
	Reason   string    `json:"reason"`
	Time     time.Time `json:"time"`
}

// emit tells of a change. Bad news is a warning.
func (d *Director) emit(e Event) {
	level := slog.LevelInfo
	if e.To == "fault" || e.To == "down" || e.To == "failed" {
		level = slog.LevelWarn
	}
	d.log.Log(context.Background(), level, "state changed", e.Kind, e.Name, "from", e.From, "to", e.To, "reason", e.Reason)
}
