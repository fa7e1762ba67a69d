// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"time"
)

// addressFaults happen to addresses, routes and links, and to netlink, which changes them. They are of the group table.
var addressFaults = []fault{
	{
		name: "table/address-permanent", what: "someone makes the virtual address permanent, and then the master is killed", ours: true,
		limits: limits{lost: 2, shared: leaseEnds, takeovers: 1, resets: unbounded, end: 1},
		inject: func(ctx context.Context, s *scene) error {
			forever := []string{"addr", "change", sceneAddress.String() + "/32", "dev", "eth0", "valid_lft", "forever", "preferred_lft", "forever"}
			return errors.Join(s.ip(ctx, 0, forever...), pause(ctx, 2*s.interval), killMaster(ctx, s))
		},
	},
	{
		name: "table/address-added", what: "someone gives the backup the address, which it removes; then the master is stopped, and started again",
		limits: limits{lost: unbounded, gap: time.Second, shared: yields, takeovers: 3, resets: unbounded},
		inject: func(ctx context.Context, s *scene) error {
			return errors.Join(s.ip(ctx, 1, "addr", "add", sceneAddress.String()+"/32", "dev", "eth0"), pause(ctx, 2*time.Second),
				s.nodes[0].stop(), s.becomes(ctx, 1), s.nodes[0].start(ctx), s.becomes(ctx, 0))
		},
	},
	{
		name: "table/own-address-deleted", what: "for 8 s the master's interface lacks its own address, that adverts are sent from",
		limits: limits{lost: unbounded, gap: detected, shared: yields, takeovers: 2, resets: unbounded},
		inject: func(ctx context.Context, s *scene) error {
			own := []string{s.nodes[0].address.String() + "/24", "dev", "eth0"}
			return errors.Join(s.ip(ctx, 0, append([]string{"addr", "del"}, own...)...), s.becomes(ctx, 1), pause(ctx, 4*time.Second),
				s.ip(ctx, 0, append([]string{"addr", "add"}, own...)...), s.becomes(ctx, 0))
		},
	},
	{
		name: "table/interface-renamed-up", what: "the master's interface is renamed while it is up, and back after 5 s",
		limits: limits{lost: unbounded, gap: detected, shared: yields, takeovers: 2, resets: unbounded},
		inject: func(ctx context.Context, s *scene) error {
			return errors.Join(s.rename(ctx, "eth0", "other0"), s.becomes(ctx, 1), pause(ctx, 4*time.Second),
				s.rename(ctx, "other0", "eth0"), s.becomes(ctx, 0))
		},
	},
	{
		name: "table/interface-moved", what: "the master's interface is moved to another network namespace, and back after 5 s",
		limits: limits{lost: unbounded, gap: detected, shared: yields, takeovers: 2, resets: unbounded},
		inject: interfaceMoved,
	},
	{
		name: "table/route-deleted", what: "someone deletes the virtual route, five times", ours: true,
		options: options{with: func(*node) extra { return extra{router: "  virtual_routes = [\"192.0.2.0/24 via 10.0.0.10\"]"} }},
		inject: func(ctx context.Context, s *scene) error {
			var longest time.Duration
			for range 5 {
				from := time.Now()
				err := errors.Join(s.ip(ctx, 0, "route", "del", "192.0.2.0/24"), poll(ctx, 10*time.Second, func() error {
					return s.ip(ctx, 0, "route", "get", "fibmatch", "192.0.2.1")
				}))
				if err != nil {
					return err
				}
				longest = max(longest, time.Since(from))
			}
			s.bound(within("route back after", longest, 2*s.interval))
			return nil
		},
	},
	{
		name: "table/netlink-storm", what: "for 10 s others add and delete routes and addresses in the master's namespace, as fast as they can",
		inject: func(ctx context.Context, s *scene) error {
			from := time.Now()
			for time.Since(from) < 10*time.Second {
				if err := s.batch(ctx, 0, strayChanges(2000)); err != nil {
					return err
				}
			}
			s.bound(within("longest silence of the master", s.silence(s.nodes[0], from), 2*s.interval))
			return nil
		},
	},
	{
		name: "table/netlink-overrun", what: "the master is suspended while so many addresses change that it misses that its own is deleted",
		limits: limits{lost: unbounded, gap: 2500 * time.Millisecond, takeovers: 1, resets: unbounded},
		inject: overrun,
		said: func(ctx context.Context, s *scene) error {
			return s.nodes[0].logs(ctx, "link and address events interrupted")
		},
	},
	{
		name: "table/netlink-slow", what: "for 10 s others make and delete interfaces, 200 at a time, so that changes of addresses have to wait",
		inject: func(ctx context.Context, s *scene) error {
			from := time.Now()
			for time.Since(from) < 10*time.Second {
				if err := s.crowd(ctx, 200); err != nil {
					return err
				}
			}
			s.bound(within("longest silence of the master", s.silence(s.nodes[0], from), 2*s.interval))
			return nil
		},
	},
}

// interfaceMoved moves the master's interface. What had been set on it is gone in either namespace.
func interfaceMoved(ctx context.Context, s *scene) error {
	n, elsewhere := s.nodes[0], s.lab.Host("elsewhere")
	if err := s.lab.Err(); err != nil {
		return err
	}
	if err := s.ip(ctx, 0, "link", "set", "eth0", "netns", elsewhere.Path()); err != nil {
		return err
	}
	if err := errors.Join(s.becomes(ctx, 1), pause(ctx, time.Until(s.injected.Add(5*time.Second)))); err != nil {
		return err
	}
	if _, err := elsewhere.Command(ctx, "ip", "link", "set", "eth0", "netns", n.host.Path()).Output(); err != nil {
		return err
	}
	return errors.Join(s.ip(ctx, 0, "addr", "add", n.address.String()+"/24", "dev", "eth0"), n.port.Up(), s.becomes(ctx, 0))
}

// rename renames an interface of the master while it is up, or where the kernel refuses that, sets it down for it.
func (s *scene) rename(ctx context.Context, from, to string) error {
	const script = `ip link set "$0" name "$1" 2>/dev/null || { ip link set "$0" down && ip link set "$0" name "$1" && ip link set "$1" up; }`
	return s.tool(ctx, 0, "sh", "-c", script, from, to)
}

// feed runs a tool that reads what to do.
func (s *scene) feed(ctx context.Context, i int, text, name string, args ...string) error {
	cmd := s.nodes[i].host.Command(ctx, name, args...)
	cmd.Stdin = strings.NewReader(text)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %v on %s: %w: %s", name, args, s.nodes[i].name, err, out)
	}
	return nil
}

// batch has the tool ip carry out many changes on a director.
func (s *scene) batch(ctx context.Context, i int, changes string) error {
	return s.feed(ctx, i, changes, "ip", "-force", "-batch", "-")
}

// strayChanges are changes that come to nothing, of things that no director has to do with.
func strayChanges(count int) string {
	var b strings.Builder
	for i := range count {
		a := fmt.Sprintf("198.18.%d.%d/32 dev lo", i/250%250, i%250)
		fmt.Fprintf(&b, "route add %[1]s\naddr add %[1]s\naddr del %[1]s\nroute del %[1]s\n", a)
	}
	return b.String()
}

// overrun has more happen than the kernel keeps for one who does not read.
func overrun(ctx context.Context, s *scene) error {
	n := s.nodes[0]
	if err := n.host.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	storm, cancel := context.WithTimeout(ctx, 1500*time.Millisecond)
	_ = s.batch(storm, 0, strayChanges(100_000)) // ended by its time
	cancel()
	err := errors.Join(s.ip(ctx, 0, "addr", "del", sceneAddress.String()+"/32", "dev", "eth0"), n.host.Signal(syscall.SIGCONT))
	return errors.Join(err, pause(ctx, s.masterDown()))
}

// crowd makes interfaces on the client and deletes them all at once.
func (s *scene) crowd(ctx context.Context, count int) error {
	script := fmt.Sprintf(`for i in $(seq %d); do echo link add d$i group 7 type bridge; done | ip -batch - && ip link del group 7`, count)
	if out, err := s.client.Command(ctx, "sh", "-c", script).CombinedOutput(); err != nil {
		return fmt.Errorf("make interfaces: %w: %s", err, out)
	}
	return nil
}
