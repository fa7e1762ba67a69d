// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/holdfast-lb/holdfast/configs"
)

// soakScene is a scene that faults of all kinds happen to, again and again.
type soakScene struct {
	*scene
	serves  bool // the directors balance; the scene itself believes that they do not, as the service is written here
	sharing sharing
	arp     arpTape
	stopARP func() error

	mu     sync.Mutex
	wanted soakConfig
	// What an operator still has to repeat, because a director could not be asked at the time.
	reloadOwed, returnOwed [2]bool
	drained                [2][3]bool // by an order that was carried out
	refused                []string   // orders of this round, with the reasons
	wrong                  []string   // what may never be, whenever it is seen
}

// soakSpoils are the ways to change the table behind a director's back.
var soakSpoils = []string{
	"-C",
	"-D -t 10.0.0.100:80",
	"-E -t 10.0.0.100:80 -s wlc",
	"-d -t 10.0.0.100:80 -r 10.0.0.21:80",
	"-e -t 10.0.0.100:80 -r 10.0.0.21:80 -g -w 99",
	"-a -t 10.0.0.100:80 -r 10.0.0.10:80 -g -w 5",
}

// do begins a step. Errors are the lab's own.
func (s *soakScene) do(ctx context.Context, step soakStep) error {
	switch step.kind {
	case soakReload:
		return s.applyAll(ctx, step.configs[0])
	case soakSick:
		s.webs[step.who].sick.Store(true)
		return nil
	case soakGone:
		return s.serverLink(ctx, step.who, "down")
	case soakDrain:
		s.drainAll(ctx, step.who)
		return nil
	}
	n := s.nodes[step.who]
	switch step.kind {
	case soakKill:
		return n.run.end(syscall.SIGKILL)
	case soakRestart:
		return n.stop()
	case soakFreeze:
		return n.host.Signal(syscall.SIGSTOP)
	case soakCut:
		return n.port.Cut()
	case soakUnplug:
		return n.port.Unplug()
	case soakDown:
		return n.port.Down()
	case soakLoss:
		return s.filter(ctx, n, fmt.Sprintf("numgen random mod 100 < %d drop", step.figure))
	case soakMute:
		return s.filter(ctx, n, "drop")
	case soakFailover:
		s.order(ctx, n, "failover", func(ctx context.Context) error {
			s.owe(&s.returnOwed[step.who], true)
			_, err := n.api().Failover(ctx, nil, 0)
			return err
		})
	case soakAddress:
		s.order(ctx, n, "delete the address", func(ctx context.Context) error {
			return s.ip(ctx, step.who, "addr", "del", sceneAddress.String()+"/32", "dev", "eth0")
		})
	case soakTable:
		s.order(ctx, n, "spoil the table", func(ctx context.Context) error {
			return s.ipvsadm(ctx, step.who, strings.Fields(soakSpoils[step.figure])...)
		})
	}
	return nil
}

// undo ends a step.
func (s *soakScene) undo(ctx context.Context, step soakStep) error {
	switch step.kind {
	case soakReload:
		return s.applyAll(ctx, step.configs[1])
	case soakSick:
		s.webs[step.who].sick.Store(false)
		return nil
	case soakGone:
		return s.serverLink(ctx, step.who, "up")
	case soakDrain:
		s.undrainAll(ctx, step.who)
		return nil
	}
	n := s.nodes[step.who]
	switch step.kind {
	case soakKill, soakRestart:
		return n.start(ctx)
	case soakFreeze:
		return n.host.Signal(syscall.SIGCONT)
	case soakCut:
		return n.port.Heal()
	case soakUnplug:
		return n.port.Plug()
	case soakDown:
		return n.port.Up()
	case soakLoss, soakMute:
		return s.nft(ctx, "delete table bridge soak-"+n.name)
	case soakFailover:
		s.comeBack(ctx, step.who)
	}
	return nil
}

// perform runs a step of a round, from its time to its end.
func (s *soakScene) perform(ctx context.Context, step soakStep) error {
	if err := pause(ctx, step.at); err != nil {
		return err
	}
	if step.deaf() {
		s.sharing.hear(false)
		defer s.sharing.hear(true)
	}
	if err := s.do(ctx, step); err != nil {
		return fmt.Errorf("%s: %w", step, err)
	}
	if err := pause(ctx, step.lasts); err != nil || step.stays {
		return err
	}
	if err := s.undo(ctx, step); err != nil {
		return fmt.Errorf("end of %s: %w", step, err)
	}
	return nil
}

const (
	orderPatience = 5 * time.Second // of an operator with a director that may be dead or suspended
	refusedMost   = 20              // refused orders of a round that are told
)

// order is what may fail, as a director may be dead.
func (s *soakScene) order(ctx context.Context, n *node, what string, do func(context.Context) error) bool {
	ctx, cancel := context.WithTimeout(ctx, orderPatience)
	defer cancel()
	err := do(ctx)
	if err != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		if len(s.refused) < refusedMost {
			s.refused = append(s.refused, fmt.Sprintf("%s on %s: %s", what, n.name, oneLine(err)))
		}
	}
	return err == nil
}

func (s *soakScene) owe(debt *bool, owed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	*debt = owed
}

func (s *soakScene) comeBack(ctx context.Context, i int) {
	n := s.nodes[i]
	done := s.order(ctx, n, "return", func(ctx context.Context) error {
		_, err := n.api().Return(ctx, nil)
		return err
	})
	s.owe(&s.returnOwed[i], !done)
}

// applyAll gives both directors another configuration and has them reload it.
func (s *soakScene) applyAll(ctx context.Context, c soakConfig) error {
	s.mu.Lock()
	s.wanted = c
	s.mu.Unlock()
	for i := range s.nodes {
		if err := s.write(i, c); err != nil {
			return err
		}
		s.apply(ctx, i)
	}
	return nil
}

// write replaces the file as an editor does: a director that starts finds the old one or the new one.
func (s *soakScene) write(i int, c soakConfig) error {
	n := s.nodes[i]
	n.priority = s.priorities[i] + c.raise
	next := n.config() + ".new"
	if err := os.WriteFile(next, []byte(n.holdfastText(extra{top: s.serviceText(c)})), 0o644); err != nil {
		return err
	}
	return os.Rename(next, n.config())
}

// apply has a director reload, and what it says that it took must be what it was given.
func (s *soakScene) apply(ctx context.Context, i int) {
	n := s.nodes[i]
	given, _ := configs.Load(n.config()) // one that does not load is refused, with the reason
	done := s.order(ctx, n, "reload", func(ctx context.Context) error {
		r, err := n.api().Reload(ctx)
		if err == nil && given != nil && r.Hash != given.Hash {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.wrong = append(s.wrong, fmt.Sprintf("lost update: %s was given %s and says that it took %s", n.name, given.Hash, r.Hash))
		}
		return err
	})
	s.owe(&s.reloadOwed[i], !done)
}

// serviceText is the virtual server, if there is one.
func (s *soakScene) serviceText(c soakConfig) string {
	if !s.serves {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "virtual_server \"web\" {\n  address = \"%s:80\"\n  scheduler = \"wrr\"\n  forward = \"dr\"\n  drain_timeout = \"2s\"\n"+
		"  check \"http\" {\n    path = \"/health\"\n    interval = %q\n    timeout = %q\n    rise = %d\n    fall = %d\n  }\n",
		sceneAddress, checkInterval, checkTimeout, checkRise, checkFall)
	for i, w := range c.weights {
		if w > 0 {
			fmt.Fprintf(&b, "  real_server \"web%d\" {\n    address = %q\n    weight = %d\n  }\n", i+1, sceneServers[i], w)
		}
	}
	b.WriteString("}\n")
	return b.String()
}

func (s *soakScene) drainAll(ctx context.Context, server int) {
	for i := range s.nodes {
		s.drain(ctx, i, server)
	}
}

func (s *soakScene) drain(ctx context.Context, i, server int) {
	n := s.nodes[i]
	done := s.order(ctx, n, "drain", func(ctx context.Context) error {
		_, err := n.api().Drain(ctx, fmt.Sprintf("web/web%d", server+1), nil)
		return err
	})
	s.owe(&s.drained[i][server], done)
}

func (s *soakScene) undrainAll(ctx context.Context, server int) {
	for i := range s.nodes {
		s.undrain(ctx, i, server)
	}
}

// undrain ends a drain on one director. It may be over already, with the server.
func (s *soakScene) undrain(ctx context.Context, i, server int) {
	n := s.nodes[i]
	done := s.order(ctx, n, "undrain", func(ctx context.Context) error {
		_, err := n.api().Undrain(ctx, fmt.Sprintf("web/web%d", server+1))
		if err != nil && (strings.Contains(err.Error(), "not drained") || strings.Contains(err.Error(), "has no real_server")) {
			return nil
		}
		return err
	})
	s.owe(&s.drained[i][server], !done)
}

func (s *soakScene) serverLink(ctx context.Context, i int, to string) error {
	if out, err := s.webs[i].host.Command(ctx, "ip", "link", "set", "eth0", to).CombinedOutput(); err != nil {
		return fmt.Errorf("set link of web%d %s: %w: %s", i+1, to, err, out)
	}
	return nil
}

// filter has the switch do something to the frames that come from a director.
func (s *soakScene) filter(ctx context.Context, n *node, what string) error {
	table := "bridge soak-" + n.name
	return s.nft(ctx, fmt.Sprintf("add table %[1]s; add chain %[1]s pass { type filter hook forward priority 0; }; add rule %[1]s pass iifname %[2]s %[3]s",
		table, n.port.SwitchPort(), what))
}

func (s *soakScene) nft(ctx context.Context, text string) error {
	if out, err := s.lan.Command(ctx, "nft", text).CombinedOutput(); err != nil {
		return fmt.Errorf("nft %s: %w: %s", text, err, strings.TrimSpace(string(out)))
	}
	return nil
}

// repeat carries out what could not be carried out during the faults.
func (s *soakScene) repeat(ctx context.Context, steps []soakStep) {
	s.mu.Lock()
	reloads, returns := s.reloadOwed, s.returnOwed
	s.mu.Unlock()
	for i := range s.nodes {
		if reloads[i] {
			s.apply(ctx, i)
		}
		if returns[i] {
			s.comeBack(ctx, i)
		}
	}
	for _, step := range steps {
		if step.kind != soakDrain {
			continue
		}
		for i := range s.nodes {
			s.mu.Lock()
			drained, there := s.drained[i][step.who], s.wanted.weights[step.who] > 0
			s.mu.Unlock()
			switch {
			case drained && !step.stays:
				s.undrain(ctx, i, step.who)
			case !drained && step.stays && there:
				s.drain(ctx, i, step.who)
			}
		}
	}
}
