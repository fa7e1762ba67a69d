// SPDX-License-Identifier: Apache-2.0

package director

import (
	"context"
	"log/slog"
	"time"

	"github.com/holdfast-lb/holdfast/internal/notify"
)

// emit tells of a change of state, once: to the log and to the notify blocks. Bad news is a warning.
func (d *Director) emit(e notify.Event) {
	level := slog.LevelInfo
	if e.To == "fault" || e.To == "down" || e.To == "failed" {
		level = slog.LevelWarn
	}
	d.log.Log(context.Background(), level, "state changed", e.Kind, e.Name, "from", e.From, "to", e.To, "reason", e.Reason)
	e.Director = d.cfg.Director.Name
	d.notifier.Put(e)
}

// tellServers emits an event for each server whose verdict changes, and then for its service if that has one, too.
func (d *Director) tellServers(next map[serverID]server) {
	for _, vs := range d.cfg.VirtualServers {
		for _, rs := range vs.RealServers {
			was, is := d.decided[serverID{vs.Key, rs.Address}], next[serverID{vs.Key, rs.Address}]
			if was.verdict != is.verdict {
				d.emit(notify.Event{
					Kind: "real_server", Name: vs.Name + "/" + rs.Name, From: was.verdict.String(), To: is.verdict.String(),
					Reason: is.reason, Time: is.since,
				})
			}
		}
		was, _ := serviceVerdict(vs, d.decided)
		is, up := serviceVerdict(vs, next)
		if was != is {
			d.emit(notify.Event{
				Kind: "virtual_server", Name: vs.Name, From: was.String(), To: is.String(), Reason: serversUp(up, vs), Time: time.Now(),
			})
		}
	}
}
