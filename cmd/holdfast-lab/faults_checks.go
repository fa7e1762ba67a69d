// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"time"
)

// checkFaults happen to the real servers.
var checkFaults = []fault{
	{
		name: "checks/server-stops", what: "a real server ends, and is back after 5 s", needs: needIPVS,
		note:   "its connections end with it, and new ones until its checks have failed",
		limits: limits{lost: unbounded, gap: 400 * time.Millisecond, resets: unbounded},
		inject: func(ctx context.Context, s *scene) error { return s.outage(ctx, 5*time.Second, 0) },
		said:   serverDown,
	},
	{
		name: "checks/server-flaps", what: "a real server ends and is back, eight times, a second each", needs: needIPVS,
		limits: limits{lost: unbounded, gap: 400 * time.Millisecond, resets: unbounded},
		inject: func(ctx context.Context, s *scene) error {
			for range 8 {
				if err := errors.Join(s.outage(ctx, time.Second, 0), pause(ctx, time.Second)); err != nil {
					return err
				}
			}
			return nil
		},
	},
	{
		name: "checks/all-stop", what: "all real servers end at once, and are back after 8 s", needs: needIPVS,
		note:   "nobody can serve meanwhile: the bound is from their return on",
		limits: limits{lost: unbounded, resets: unbounded},
		inject: func(ctx context.Context, s *scene) error {
			if err := s.outage(ctx, 8*time.Second, 0, 1, 2); err != nil {
				return err
			}
			back := time.Now()
			err := s.reached(ctx)
			s.bound(within("served again after", time.Since(back), (checkRise+1)*checkInterval+500*time.Millisecond))
			return err
		},
		said: serverDown,
	},
}

// outage stops real servers for a while.
func (s *scene) outage(ctx context.Context, d time.Duration, which ...int) error {
	for _, i := range which {
		s.webs[i].close()
	}
	err := pause(ctx, d)
	for _, i := range which {
		w, startErr := startWebServer(s.webs[i].host, 80)
		if startErr != nil {
			return errors.Join(err, startErr)
		}
		s.webs[i] = w
	}
	return err
}

func serverDown(ctx context.Context, s *scene) error {
	return s.nodes[0].logs(ctx, `real_server":"web/web1".*"to":"down"`)
}
