// SPDX-License-Identifier: Apache-2.0

package director

import (
	"context"
	"log/slog"
	"time"

	"github.com/holdfast-lb/holdfast/checker"
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

// tellServers emits an event for each server whose verdict is not what was told last, and then for its service. Of one that
// nothing was told of, such as after a start, the last decision is taken as known.
func (d *Director) tellServers(next map[serverID]server) {
	told := make(map[string]checker.Verdict)
	news := func(name string, before, is checker.Verdict) (was checker.Verdict, changed bool) {
		was, known := d.told[name]
		if !known {
			was = before
		}
		told[name] = is
		return was, was != is
	}
	for _, vs := range d.cfg.VirtualServers {
		for _, rs := range vs.RealServers {
			id, name := serverID{vs.Key, rs.Address}, vs.Name+"/"+rs.Name
			is := next[id]
			if was, changed := news(name, d.decided[id].verdict, is.verdict); changed {
				d.emit(notify.Event{
					Kind: "real_server", Name: name, From: was.String(), To: is.verdict.String(), Reason: is.reason, Time: is.since,
				})
			}
		}
		before, _ := serviceVerdict(vs, d.decided)
		is, up := serviceVerdict(vs, next)
		if was, changed := news(vs.Name, before, is); changed {
			d.emit(notify.Event{
				Kind: "virtual_server", Name: vs.Name, From: was.String(), To: is.String(), Reason: serversUp(up, vs), Time: time.Now(),
			})
		}
	}
	d.told = told
}
