// SPDX-License-Identifier: Apache-2.0

package director

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/holdfast-lb/holdfast/configs"
	"github.com/holdfast-lb/holdfast/vrrp"
)

const (
	// askEvery is how often it is asked who else answers for the virtual addresses; askSoon is when, after a router has
	// become master. By then the one before has let go.
	askEvery = time.Minute
	askSoon  = 3 * time.Second
	// quietRounds is how often nobody else has to answer until an address is held to be clear again.
	quietRounds = 2
)

// The states of a virtual address in events.
const (
	stateClear     = "clear"
	stateContested = "contested"
)

// contested is a virtual address of a master that hosts answer for which are no director.
type contested struct {
	address netip.Addr
	by      []vrrp.Answer
	since   time.Time
	last    time.Time // when it was heard of
	quiet   int       // rounds since then
}

// strangers is what was found out about the addresses of a router in one round.
type strangers struct {
	router  string
	at      time.Time
	answers []vrrp.Answer
}

// watchAddresses asks, now and then, who answers for the addresses of routers that are master here, until ctx ends. One
// director is enough for that, and the master is the one that does not answer itself.
func (d *Director) watchAddresses(ctx context.Context) {
	if d.o.WhoHas == nil {
		return
	}
	timer := time.NewTimer(askEvery)
	defer timer.Stop()
	failed := ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.newMaster:
			timer.Reset(askSoon)
		case <-timer.C:
			timer.Reset(askEvery)
			err := text(d.ask(ctx))
			if err != "" && err != failed && ctx.Err() == nil {
				d.log.Warn("cannot ask who answers for the virtual addresses", "err", err)
			}
			failed = err
		}
	}
}

// ask asks once, on all devices at the same time, and tells the loop of each router that was master all the while.
func (d *Director) ask(ctx context.Context) (err error) {
	begun := make(map[string]vrrp.Status)
	addresses := make(map[string][]netip.Addr) // by device
	failed := make(map[string]bool)            // likewise
	for _, r := range d.view.Load().routers {
		s := r.instance.Status()
		if s.State != vrrp.Master || time.Since(s.Since) < askSoon {
			continue
		}
		begun[s.Name] = s
		for device, list := range s.Asked(time.Now()) {
			for _, a := range list {
				if !slices.Contains(addresses[device], a) {
					addresses[device] = append(addresses[device], a)
				}
			}
		}
	}
	var wg sync.WaitGroup
	var mu sync.Mutex // guards failed, err and what follows
	var answers []vrrp.Answer
	for device, list := range addresses {
		wg.Go(func() {
			got, e := d.o.WhoHas(ctx, device, list)
			mu.Lock()
			defer mu.Unlock()
			answers, err, failed[device] = append(answers, got...), cmp.Or(err, e), e != nil
		})
	}
	wg.Wait()
	for _, r := range d.view.Load().routers {
		s, now := r.instance.Status(), time.Now()
		was, ok := begun[s.Name]
		if !ok || s.State != vrrp.Master || !s.Since.Equal(was.Since) ||
			slices.ContainsFunc(was.Config.All(), func(a vrrp.Address) bool { return failed[a.Device] }) {
			continue
		}
		d.inbox.put(strangers{s.Name, now, s.Strangers(answers, now)})
	}
	return err
}

// heardStrangers takes what was found out about a router's addresses.
func (d *Director) heardStrangers(s strangers) {
	if d.roles[s.router] != vrrp.Master {
		return // not any more
	}
	d.metrics.foreign.WithLabelValues(s.router).Add(float64(len(s.answers)))
	d.contested[s.router] = contest(d.contested[s.router], s)
	d.tellChanges(s.at, d.decided)
}

// contest is what is contested after a round, in the order of the addresses.
func contest(before []contested, s strangers) (after []contested) {
	for _, c := range before {
		c.quiet++
		after = append(after, c)
	}
	for _, a := range s.answers {
		at := slices.IndexFunc(after, func(c contested) bool { return c.address == a.Address })
		if at < 0 {
			at = len(after)
			after = append(after, contested{address: a.Address, since: s.at})
		}
		c := &after[at]
		if c.last != s.at {
			c.last, c.quiet, c.by = s.at, 0, nil
		}
		c.by = append(c.by, a)
	}
	after = slices.DeleteFunc(after, func(c contested) bool { return c.quiet >= quietRounds })
	slices.SortFunc(after, func(a, b contested) int { return a.address.Compare(b.address) })
	return after
}

// addressChanges lists the IPv4 virtual addresses with their states, for news.take.
func (d *Director) addressChanges() (list []change) {
	for _, vr := range d.cfg.VirtualRouters {
		for _, a := range vr.All() {
			addr := a.Prefix.Addr()
			if !addr.Is4() {
				continue
			}
			c := change{object{vr.Name, addr.String()}, stateClear, stateClear, "", time.Now()}
			at := slices.IndexFunc(d.contested[vr.Name], func(c contested) bool { return c.address == addr })
			switch {
			case at >= 0:
				found := d.contested[vr.Name][at]
				c.to, c.reason, c.at = stateContested, found.text(d.cfg), found.since
			case d.roles[vr.Name] == vrrp.Master:
				c.reason = "nobody else answers ARP for it any more"
			default:
				c.reason = "the master is another director, which finds out by itself"
			}
			list = append(list, c)
		}
	}
	return list
}

// text says who contests an address, and what to do.
func (c contested) text(cfg *configs.Config) string {
	var who []string
	real := false
	for _, a := range c.by {
		name := a.MAC
		if a.Host.IsValid() {
			server := serverAt(cfg, a.Host)
			real = real || server != ""
			name = fmt.Sprintf("%s (%s)", a.MAC, strings.TrimSpace(server+" "+a.Host.String()))
		}
		who = append(who, name+" on "+a.Device)
	}
	advice := "a real server needs arp_ignore = 1 and arp_announce = 2, any other host must give the address up"
	if real {
		advice = "set arp_ignore = 1 and arp_announce = 2 on the real server"
	}
	return fmt.Sprintf("others answer ARP for it: %s: %s", strings.Join(who, ", "), advice)
}

// serverAt is the first real server that has an address; empty: none.
func serverAt(cfg *configs.Config, a netip.Addr) string {
	for _, vs := range cfg.VirtualServers {
		for _, rs := range vs.RealServers {
			if rs.Address.Addr() == a {
				return vs.Name + "/" + rs.Name
			}
		}
	}
	return ""
}

// ContestedStatus is a virtual address of a master that hosts answer ARP for which are no director.
type ContestedStatus struct {
	Address netip.Addr     `json:"address"`
	By      []AnswerStatus `json:"by"`
	Since   time.Time      `json:"since"`
	Last    time.Time      `json:"last"`
	Reason  string         `json:"reason"`
}

// AnswerStatus is who answers ARP for a virtual address.
type AnswerStatus struct {
	MAC       string `json:"mac"`
	Interface string `json:"interface"` // of this host
	Address   string `json:"address"`   // another one that it has; empty: none is known
}

func contestedStatus(list []contested, cfg *configs.Config) []ContestedStatus {
	out := []ContestedStatus{}
	for _, c := range list {
		s := ContestedStatus{Address: c.address, By: []AnswerStatus{}, Since: c.since, Last: c.last, Reason: c.text(cfg)}
		for _, a := range c.by {
			s.By = append(s.By, AnswerStatus{a.MAC, a.Device, addrText(a.Host)})
		}
		out = append(out, s)
	}
	return out
}
