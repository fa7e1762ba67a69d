// SPDX-License-Identifier: Apache-2.0

package director

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/holdfast-lb/holdfast/configs"
	"github.com/holdfast-lb/holdfast/vrrp"
)

func TestContest(t *testing.T) {
	begin := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	one, two := netip.MustParseAddr("10.0.0.100"), netip.MustParseAddr("10.0.0.101")
	says := func(a netip.Addr, mac string) vrrp.Answer { return vrrp.Answer{Address: a, Device: "eth0", MAC: mac} }
	var now []contested
	for n, c := range []struct {
		answers []vrrp.Answer
		want    string // address, minute of since, minute of last, who
	}{
		{nil, ""},
		{[]vrrp.Answer{says(two, "b"), says(one, "a"), says(one, "b")}, "10.0.0.100 1 1 a b, 10.0.0.101 1 1 b"},
		{[]vrrp.Answer{says(one, "a")}, "10.0.0.100 1 2 a, 10.0.0.101 1 1 b"}, // one lost answer ends nothing
		{nil, "10.0.0.100 1 2 a"},
		{[]vrrp.Answer{says(one, "c")}, "10.0.0.100 1 4 c"},
		{nil, "10.0.0.100 1 4 c"},
		{nil, ""},
	} {
		now = contest(now, strangers{"web", begin.Add(time.Duration(n) * time.Minute), c.answers})
		var got []string
		for _, c := range now {
			line := fmt.Sprintf("%v %v %v", c.address, c.since.Sub(begin).Minutes(), c.last.Sub(begin).Minutes())
			for _, a := range c.by {
				line += " " + a.MAC
			}
			got = append(got, line)
		}
		if got := strings.Join(got, ", "); got != c.want {
			t.Errorf("round %d: %s, want %s", n, got, c.want)
		}
	}
}

func TestContestedText(t *testing.T) {
	cfg := &configs.Config{VirtualServers: []configs.VirtualServer{{
		Name: "web", RealServers: []configs.RealServer{{Name: "web1", Address: netip.MustParseAddrPort("10.0.0.11:80")}},
	}}}
	server := vrrp.Answer{Device: "eth0", MAC: "02:00:00:00:00:01", Host: netip.MustParseAddr("10.0.0.11")}
	host := vrrp.Answer{Device: "eth0", MAC: "02:00:00:00:00:02", Host: netip.MustParseAddr("10.0.0.12")}
	nobody := vrrp.Answer{Device: "eth0", MAC: "02:00:00:00:00:03"}
	for want, by := range map[string][]vrrp.Answer{
		"others answer ARP for it: 02:00:00:00:00:01 (web/web1 10.0.0.11) on eth0: set arp_ignore = 1 and arp_announce = 2 on the real server": {server},
		"others answer ARP for it: 02:00:00:00:00:02 (10.0.0.12) on eth0, 02:00:00:00:00:03 on eth0: " +
			"a real server needs arp_ignore = 1 and arp_announce = 2, any other host must give the address up": {host, nobody},
	} {
		if got := (contested{by: by}).text(cfg); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

// Who answers for a master's address is told once, is seen in the status and the metrics, and is over when nobody does any
// more, or when another director is master.
func TestStrangerAnswersForAnAddress(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	s := newSite(t)
	vip := netip.MustParseAddr("127.0.0.100")
	var mu sync.Mutex // guards what follows
	var answers []vrrp.Answer
	var failure error
	set := func(e error, a ...vrrp.Answer) {
		mu.Lock()
		defer mu.Unlock()
		answers, failure = a, e
	}
	s.whoHas = func(_ context.Context, device string, list []netip.Addr) ([]vrrp.Answer, error) {
		if device != "eth0" || !slices.Equal(list, []netip.Addr{vip}) {
			t.Errorf("asked on %s for %v", device, list)
		}
		mu.Lock()
		defer mu.Unlock()
		return answers, failure
	}
	answer := vrrp.Answer{Address: vip, Device: "eth0", MAC: "02:00:00:00:00:01"}
	set(nil, answer)
	d, _ := s.run()
	s.logged(`virtual_address=web/127.0.0.100 from=clear to=contested reason="others answer ARP for it: 02:00:00:00:00:01 on eth0: `)
	s.routerBecomes("web", func(vr VirtualRouterStatus) bool {
		return len(vr.Contested) == 1 && vr.Contested[0].Address == vip && vr.Contested[0].By[0].MAC == answer.MAC
	})
	round := func(want error) {
		t.Helper()
		if err := d.ask(t.Context()); !errors.Is(err, want) {
			t.Errorf("error %v, want %v", err, want)
		}
	}
	round(nil)
	s.eventually(func() error {
		if n := testutil.ToFloat64(d.metrics.foreign.WithLabelValues("web")); n != 2 {
			return fmt.Errorf("%v answers counted, want 2", n)
		}
		return nil
	})
	if _, body := s.get("/metrics"); !strings.Contains(body, `holdfast_virtual_router_contested_addresses{virtual_router="web"} 1`) {
		t.Error("the metric does not show it")
	}
	broken := errors.New("no socket")
	set(broken)
	for range quietRounds + 1 { // say nothing
		round(broken)
	}
	set(nil)
	for range quietRounds {
		if len(s.status().VirtualRouters[0].Contested) != 1 {
			t.Error("clear too early")
		}
		round(nil)
	}
	s.logged(`virtual_address=web/127.0.0.100 from=contested to=clear reason="nobody else answers ARP for it any more"`)
	if n := strings.Count(s.log.String(), "to=contested"); n != 1 {
		t.Errorf("told %d times", n)
	}
	set(nil, answer)
	round(nil)
	s.routerBecomes("web", func(vr VirtualRouterStatus) bool { return len(vr.Contested) == 1 })
	d.inbox.put(vrrp.Transition{Router: "web", From: vrrp.Master, To: vrrp.Backup, At: time.Now()})
	s.logged(`virtual_address=web/127.0.0.100 from=contested to=clear reason="the master is another director, which finds out by itself"`)
	d.inbox.put(strangers{"web", time.Now(), []vrrp.Answer{answer}}) // too late
	if err := d.call(t.Context(), d.takeAll); err != nil {
		t.Fatal(err)
	}
	if c := s.status().VirtualRouters[0].Contested; len(c) > 0 {
		t.Errorf("%v is contested, though another director is master", c)
	}
}
