// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// sceneFleet is what the master checks besides. The second failure in a row, a second after the first, is the verdict.
var sceneFleet = fleet{servers: 1000, interval: fleetInterval}

// fleetNoticed is when all of a fleet that dies are out of the table, or back, at the latest: each is checked once in an
// interval, and once more a second later, for up to a second, and all that has a second to be carried out.
const fleetNoticed = fleetInterval + time.Second + time.Second + time.Second

const fleetInterval = 5 * time.Second

// fleetNoise is what a client may notice of a fleet on the same machine, which may be an emulated one.
const fleetNoise = 2 * time.Second

// fleetOptions put a fleet behind an uplink of the master's own.
var fleetOptions = options{build: buildFleet, with: func(n *node) extra {
	if n != n.scene.nodes[0] {
		return extra{}
	}
	return extra{top: sceneFleet.holdfast(change{}), keepalived: keepalivedFleet("", sceneFleet, change{})}
}}

// fleetFaults happen to many real servers at once, or to the way to them. They are of the group checks.
var fleetFaults = []fault{
	{
		name: "checks/fleet-dies", what: "1,000 other real servers of ten services end in the same second, and are back when none is left in the table",
		needs: needIPVS, options: fleetOptions,
		note:   "the client of the other service shares the machine with all of them and their checks",
		limits: limits{lost: unbounded, gap: fleetNoise},
		inject: func(ctx context.Context, s *scene) error {
			if err := s.fleetHas(ctx, sceneFleet.servers, time.Minute); err != nil {
				return err
			}
			died := time.Now()
			s.fleet.down()
			err := s.fleetHas(ctx, 0, 30*time.Second)
			s.bound(within("all out of the table after", time.Since(died), fleetNoticed))
			back := time.Now()
			err = errors.Join(err, s.fleet.up(), s.fleetHas(ctx, sceneFleet.servers, 30*time.Second))
			s.bound(within("all back after", time.Since(back), fleetNoticed))
			s.bound(within("longest silence of the master", s.silence(s.nodes[0], died), s.interval*3/2))
			return err
		},
	},
	{
		name: "checks/uplink", what: "the master's cable to 1,000 other real servers is pulled for 15 s", needs: needIPVS, options: fleetOptions,
		note:   "what cannot be asked is not taken for dead",
		limits: limits{lost: unbounded, gap: fleetNoise},
		inject: uplinkPulled,
		said: func(ctx context.Context, s *scene) error {
			return s.nodes[0].logs(ctx, "checks cannot run here.*no local network")
		},
	},
}

func uplinkPulled(ctx context.Context, s *scene) error {
	if err := s.fleetHas(ctx, sceneFleet.servers, time.Minute); err != nil {
		return err
	}
	if err := errors.Join(s.uplink.Unplug(), pause(ctx, 15*time.Second)); err != nil {
		return err
	}
	left, err := s.nodes[0].fleet(ctx)
	if err != nil {
		return err
	}
	s.bound(exactly("servers in the table with the cable pulled", left, sceneFleet.servers))
	return errors.Join(s.uplink.Plug(), s.fleetHas(ctx, sceneFleet.servers, 30*time.Second))
}

// buildFleet makes one host that answers for the whole fleet, and the master's uplink to it.
func buildFleet(s *scene) error {
	lan, behind, master := s.lab.LAN("uplink"), s.lab.Host("fleet"), s.nodes[0].host
	behind.Join(lan, "eth0", prefix("10.0.2.1/24"))
	s.uplink = master.Join(lan, "eth1", prefix("10.0.2.2/24"))
	if err := s.lab.Err(); err != nil {
		return err
	}
	var err error
	s.fleet, err = startFleet(context.Background(), behind, master, addr("10.0.2.1"))
	return err
}

// fleetHas waits until the master's table has so many servers of the fleet.
func (s *scene) fleetHas(ctx context.Context, want int, timeout time.Duration) error {
	return poll(ctx, timeout, func() error {
		got, err := s.nodes[0].fleet(ctx)
		if err == nil && got != want {
			err = fmt.Errorf("%d of the fleet are in the table, not %d", got, want)
		}
		return err
	})
}

// fleet is how many servers of the fleet get new connections.
func (n *node) fleet(ctx context.Context) (count int, err error) {
	services, err := n.table(ctx)
	for _, s := range services {
		if s.Key.Port < firstPort {
			continue
		}
		for _, d := range s.Destinations {
			if d.Weight > 0 {
				count++
			}
		}
	}
	return count, err
}
