// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"os"
	"strings"
	"time"
)

// repaired is when the table is at the latest as it was: it is read every 5 s.
const repaired = 6500 * time.Millisecond

// ipvsFaults happen to the table of IPVS. They are of the group table.
var ipvsFaults = []fault{
	{
		name: "table/server-changed", what: "someone deletes a server from the master's table, and sets the weight of another to 0", needs: needIPVS,
		limits: limits{resets: unbounded},
		inject: func(ctx context.Context, s *scene) error {
			from := time.Now()
			err := errors.Join(s.ipvsadm(ctx, 0, "-d", "-t", sceneService, "-r", sceneServers[0].String()+":80"),
				s.ipvsadm(ctx, 0, "-e", "-t", sceneService, "-r", sceneServers[1].String()+":80", "-g", "-w", "0"))
			err = errors.Join(err, poll(ctx, 20*time.Second, func() error { return s.nodes[0].ready(ctx) }))
			s.bound(within("table repaired after", time.Since(from), repaired))
			return err
		},
		said: driftSeen,
	},
	{
		name: "table/fought", what: "someone flushes the master's table ten times a second, for 15 s", needs: needIPVS,
		note:   "nothing can be served meanwhile; it must be in order afterwards, and the log not be flooded",
		limits: limits{lost: unbounded, resets: unbounded},
		inject: func(ctx context.Context, s *scene) error {
			for from := time.Now(); time.Since(from) < 15*time.Second; {
				if err := errors.Join(s.ipvsadm(ctx, 0, "-C"), pause(ctx, 100*time.Millisecond)); err != nil {
					return err
				}
			}
			text, err := os.ReadFile(s.nodes[0].logFile())
			s.bound(atMost("lines in the log", strings.Count(string(text), "\n"), 100))
			return err
		},
		said: driftSeen,
	},
	{
		name: "table/module-missing", what: "both directors are started while the module ip_vs cannot be loaded, which is mended after 5 s",
		needs: needIPVS | needMachine, ours: true, cold: true,
		note:   "who cannot balance does not want to be master, and notices when it can",
		limits: limits{lost: 4, shared: yields, takeovers: unbounded},
		inject: moduleMissing,
	},
}

// sceneService is what ipvsadm calls the service.
var sceneService = sceneAddress.String() + ":80"

func driftSeen(ctx context.Context, s *scene) error {
	return s.nodes[0].tells(ctx, "holdfast_ipvs_drift_total", "")
}

// moduleMissing forbids the module as hardening guides do.
func moduleMissing(ctx context.Context, s *scene) error {
	const file = "/run/modprobe.d/holdfast-lab.conf"
	if err := os.MkdirAll("/run/modprobe.d", 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(file, []byte("install ip_vs /bin/false\n"), 0o644); err != nil {
		return err
	}
	forbidden := errors.Join(poll(ctx, 20*time.Second, func() error { return s.unloadIPVS(ctx) }), s.start(ctx))
	for _, n := range s.nodes {
		forbidden = errors.Join(forbidden, n.logs(ctx, "to.:.fault.*the kernel has no IPVS"))
	}
	forbidden = errors.Join(forbidden, pause(ctx, 5*time.Second))
	mended := time.Now()
	if err := errors.Join(forbidden, os.Remove(file), s.becomes(ctx, 0)); err != nil {
		return err
	}
	s.bound(within("master after", time.Since(mended), 15*time.Second))
	return nil
}

// unloadIPVS unloads the module and all of its schedulers.
func (s *scene) unloadIPVS(ctx context.Context) error {
	const script = `rmmod $(sed -n 's/^\(ip_vs_[a-z]*\) .*/\1/p' /proc/modules) ip_vs`
	return s.tool(ctx, 0, "sh", "-c", script)
}
