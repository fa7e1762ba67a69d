// SPDX-License-Identifier: Apache-2.0

package director

import (
	"context"
	"log/slog"

	"github.com/holdfast-lb/holdfast/configs"
	"github.com/holdfast-lb/holdfast/internal/notify"
)

// emit tells of a change of state, once: to the log and to the notify blocks. Bad news is a warning.
func (d *Director) emit(e notify.Event) {
	level := slog.LevelInfo
	if e.To == "fault" || e.To == "down" || e.To == "failed" || e.To == statePanic || e.To == stateContested {
		level = slog.LevelWarn
	}
	attrs := []any{e.Kind, e.Name, "from", e.From, "to", e.To, "reason", e.Reason}
	if e.Count > 0 {
		attrs = append(attrs, "count", e.Count)
	}
	d.log.Log(context.Background(), level, "state changed", attrs...)
	e.Director = d.cfg.Director.Name
	d.notifier.Put(e)
}

// statePanic is what an event calls a virtual server all of whose servers get traffic, whatever their checks say.
const statePanic = "panic"

// state is what events call the state of a service.
func (s service) state() string {
	if s.panic {
		return statePanic
	}
	return s.verdict.String()
}

// changesOf lists the services and the servers with what they were in prev, or are if prev does not know them, and what
// they are.
func changesOf(cfg *configs.Config, prev, next decisions) (services, servers []change) {
	for _, vs := range cfg.VirtualServers {
		for _, rs := range vs.RealServers {
			is := next.server(vs, rs)
			servers = append(servers, change{
				object{vs.Name, rs.Name}, prev.server(vs, rs).verdict.String(), is.verdict.String(), is.reason, is.since,
			})
		}
		was, is := prev.services[vs.Key], next.services[vs.Key]
		services = append(services, change{object{vs.Name, ""}, was.state(), is.state(), is.text(vs), is.since})
	}
	return services, servers
}
