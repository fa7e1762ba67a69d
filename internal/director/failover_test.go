// SPDX-License-Identifier: Apache-2.0

package director

import (
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/vrrp"
)

// neighbour is another director on the network of each virtual router: a backup of priority 90, which takes over from one
// that gives up the role, and follows a higher one.
type neighbour struct {
	mu   sync.Mutex
	deaf map[string]bool // routers of which it takes no part
	dead bool
}

func (n *neighbour) ignores(router string, is bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.deaf[router] = is
}

// dies makes it silent from now on.
func (n *neighbour) dies() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.dead = true
}

func (n *neighbour) dial(c vrrp.Config) (vrrp.Conn, error) {
	l := &line{n: n, config: c, arrived: make(chan struct{}, 1)}
	return l, nil
}

// line is a connection to the neighbour.
type line struct {
	silence
	n       *neighbour
	config  vrrp.Config
	arrived chan struct{}
	master  bool
	waiting [][]byte
	closed  bool
}

var neighbourAddress = netip.MustParseAddr("10.0.0.3")

const neighbourPriority = 90

func (l *line) Ready() <-chan struct{} { return l.arrived }

func (l *line) Read(b []byte) (int, vrrp.Header, error) {
	l.n.mu.Lock()
	defer l.n.mu.Unlock()
	if len(l.waiting) == 0 {
		return 0, vrrp.Header{}, vrrp.ErrNothing
	}
	n := copy(b, l.waiting[0])
	l.waiting = l.waiting[1:]
	return n, vrrp.Header{Src: neighbourAddress, Dst: netip.MustParseAddr("224.0.0.18"), TTL: 255}, nil
}

func (l *line) Write(b []byte, dst netip.Addr) error {
	l.n.mu.Lock()
	defer l.n.mu.Unlock()
	a, err := vrrp.Parse(b, vrrp.Header{Src: l.Source(), Dst: dst, TTL: 255})
	switch {
	case err != nil:
		return err
	case l.n.dead || l.n.deaf[l.config.Name]:
	case a.Priority == 0 && !l.master:
		l.master = true
		time.AfterFunc(l.config.Interval/2, l.advertise)
	case a.Priority > neighbourPriority:
		l.master = false
	}
	return nil
}

func (l *line) advertise() {
	l.n.mu.Lock()
	defer l.n.mu.Unlock()
	if !l.master || l.closed || l.n.dead {
		return
	}
	a := vrrp.Advert{Version: 3, ID: l.config.ID, Priority: neighbourPriority, Interval: l.config.Interval}
	for _, v := range l.config.Addresses {
		a.Addresses = append(a.Addresses, v.Prefix.Addr())
	}
	l.waiting = append(l.waiting, a.Append(nil, neighbourAddress, netip.MustParseAddr("224.0.0.18")))
	select {
	case l.arrived <- struct{}{}:
	default:
	}
	time.AfterFunc(l.config.Interval, l.advertise)
}

func (l *line) Close() error {
	l.n.mu.Lock()
	defer l.n.mu.Unlock()
	l.closed = true
	return nil
}

// newPair is a site with a neighbour.
func newPair(t *testing.T) (*site, *neighbour) {
	s := newSlowSite(t)
	n := &neighbour{deaf: make(map[string]bool)}
	s.dial = n.dial
	return s, n
}

// newSlowSite is a site with adverts so slow that a busy machine is not taken for one that was held up.
func newSlowSite(t *testing.T) *site {
	t.Helper()
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	s := newSite(t)
	s.adverts = "250ms"
	s.write(1)
	return s
}

// failover steps down, and returns what became of it.
func (s *site) failover(after time.Duration, names ...string) []RouterFailover {
	s.t.Helper()
	f, err := s.client.Failover(s.t.Context(), names, after)
	if err != nil {
		s.t.Fatal(err)
	}
	return f.Routers
}

func (s *site) comesBack(names ...string) []RouterFailover {
	s.t.Helper()
	f, err := s.client.Return(s.t.Context(), names)
	if err != nil {
		s.t.Fatal(err)
	}
	return f.Routers
}

// steppedDown waits until the router is stepped down, or is not.
func (s *site) steppedDown(name string, want bool) {
	s.t.Helper()
	s.routerBecomes(name, func(vr VirtualRouterStatus) bool { return (vr.SteppedDown != nil) == want })
}

const twoOfAGroup = `
virtual_router "two" {
  interface          = "eth0"
  id                 = 52
  advertise_interval = "250ms"
  addresses          = ["127.0.0.101/32"]
}
sync_group "edge" { members = ["web", "two"] }`

func TestFailoverAndReturn(t *testing.T) {
	s, _ := newPair(t)
	s.run()
	s.ready()
	s.routerIs("web", "master")
	got := s.failover(0)
	if r := got[0]; len(got) != 1 || r.Result != "handed_over" || r.Router != "web" || r.Master != "10.0.0.3" || !r.Returns || r.Failed() {
		t.Fatalf("failover: %+v", got)
	}
	s.routerBecomes("web", func(vr VirtualRouterStatus) bool {
		return vr.State == "backup" && vr.Reason == "stepped down by an operator: 10.0.0.3 is master with priority 90 against 100" &&
			vr.SteppedDown != nil && vr.SteppedDown.Until.IsZero() && len(vr.HeldAddresses) == 0
	})
	s.logged("failover=web from=\"\" to=handed_over")
	if _, body := s.get("/metrics"); !strings.Contains(body, `holdfast_virtual_router_stepped_down{virtual_router="web"} 1`) {
		t.Error("the metric is not 1")
	}
	if got = s.failover(0, "web"); got[0].Result != "was_backup" || got[0].Failed() {
		t.Errorf("again: %+v", got)
	}
	got = s.comesBack()
	if r := got[0]; len(got) != 1 || r.Result != "returned" || !r.Returns || !strings.HasPrefix(r.Outlook, "takes over from 10.0.0.3 within") {
		t.Fatalf("return: %+v", got)
	}
	s.routerIs("web", "master")
	s.steppedDown("web", false)
	if got = s.comesBack("web"); got[0].Result != "not_stepped_down" {
		t.Errorf("return again: %+v", got)
	}
	if got = s.comesBack(); len(got) != 0 {
		t.Errorf("nothing is stepped down, but %+v returned", got)
	}
}

// The addresses are held all along, and no event of a role is told.
func TestFailoverThatNobodyTakes(t *testing.T) {
	s := newSlowSite(t)
	s.run()
	s.ready()
	s.routerIs("web", "master")
	before := len(s.status().VirtualRouters[0].Reason)
	for range 2 { // also a second time
		got := s.failover(time.Hour)
		if r := got[0]; r.Result != "not_taken" || r.Error != "no peer took over" || !r.Failed() || !r.Until.IsZero() {
			t.Fatalf("failover: %+v", got)
		}
		s.steppedDown("web", false)
	}
	if vr := s.status().VirtualRouters[0]; vr.State != "master" || vr.Reason != "was to hand over, and nobody took over" || before == 0 {
		t.Errorf("router: %+v", vr)
	}
	s.host.mu.Lock()
	defer s.host.mu.Unlock()
	if len(s.host.did) != 1 {
		t.Errorf("addresses: %v, want them held once", s.host.did)
	}
	if text := s.log.String(); strings.Contains(text, "from=master") {
		t.Errorf("an event of the role was told: %s", text)
	}
}

func TestSyncGroupStepsDownAsOne(t *testing.T) {
	s, n := newPair(t)
	s.add(twoOfAGroup)
	s.run()
	s.ready()
	s.routerIs("web", "master")
	s.routerIs("two", "master")
	got := s.failover(0, "two")
	if len(got) != 2 || got[0].Result != "handed_over" || got[1].Result != "handed_over" || got[0].SyncGroup != "edge" {
		t.Fatalf("failover: %+v", got)
	}
	s.routerIs("web", "backup")
	if got = s.comesBack("web"); len(got) != 2 {
		t.Fatalf("return: %+v", got)
	}
	s.routerIs("web", "master")
	s.routerIs("two", "master")
	n.ignores("web", true)
	n.ignores("two", true)
	got = s.failover(0, "web")
	if len(got) != 2 || got[0].Result != "not_taken" || got[1].Result != "not_taken" {
		t.Errorf("failover: %+v", got)
	}
	s.steppedDown("web", false)
	s.steppedDown("two", false)
}

// A group that is taken over in part only could be master nowhere: what was handed over of it comes back.
func TestSyncGroupThatIsTakenInPartComesBack(t *testing.T) {
	s, n := newPair(t)
	s.add(twoOfAGroup)
	n.ignores("two", true)
	s.run()
	s.ready()
	s.routerIs("web", "master")
	s.routerIs("two", "master")
	got := s.failover(0)
	if len(got) != 2 || got[0].Result != "not_taken" || got[0].SteppedDown || got[1].Result != "handed_over" || !got[1].Failed() || got[1].SteppedDown {
		t.Fatalf("failover: %+v", got)
	}
	s.steppedDown("web", false)
	s.steppedDown("two", false)
	s.routerIs("web", "master")
	s.routerIs("two", "master")
}

// An order that nobody takes does not end an earlier one.
func TestFailoverThatNobodyTakesLeavesAnEarlierOne(t *testing.T) {
	s, n := newPair(t)
	s.run()
	s.ready()
	s.routerIs("web", "master")
	if got := s.failover(0); got[0].Result != "handed_over" || !got[0].SteppedDown {
		t.Fatalf("failover: %+v", got)
	}
	s.steppedDown("web", true)
	since := s.status().VirtualRouters[0].SteppedDown.Since
	n.dies()
	s.routerIs("web", "master")
	if got := s.failover(time.Hour); got[0].Result != "not_taken" || !got[0].SteppedDown || !got[0].Until.IsZero() {
		t.Errorf("failover: %+v", got)
	}
	s.routerBecomes("web", func(vr VirtualRouterStatus) bool {
		return vr.SteppedDown != nil && vr.SteppedDown.Since.Equal(since) && vr.SteppedDown.Until.IsZero()
	})
	s.comesBack("web")
	s.steppedDown("web", false)
}

func TestEachRouterHasItsOwnResult(t *testing.T) {
	s, n := newPair(t)
	s.add(strings.Split(twoOfAGroup, "sync_group")[0])
	n.ignores("two", true)
	s.run()
	s.ready()
	s.routerIs("web", "master")
	s.routerIs("two", "master")
	results := make(map[string]string)
	for _, r := range s.failover(0) {
		results[r.Router] = r.Result
	}
	if results["web"] != "handed_over" || results["two"] != "not_taken" {
		t.Errorf("results: %v", results)
	}
	s.steppedDown("web", true)
	s.steppedDown("two", false)
}

func TestSteppedDownOverReloadAndRestart(t *testing.T) {
	s, _ := newPair(t)
	_, stop := s.run()
	s.ready()
	s.routerIs("web", "master")
	s.failover(time.Hour)
	s.write(5)
	s.reload()
	s.steppedDown("web", true)
	until := s.status().VirtualRouters[0].SteppedDown.Until
	state := s.path[:strings.LastIndex(s.path, "/")] + "/state"
	s.eventually(func() error { // as after a SIGKILL: it is there while the director runs
		_, err := os.Stat(state + "/" + stateName)
		return err
	})
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	last, err := ReadState(state)
	if err != nil || len(last.StepDowns) != 1 {
		t.Fatalf("state: %+v, %v", last.StepDowns, err)
	}
	_, stop = s.run()
	s.routerBecomes("web", func(vr VirtualRouterStatus) bool {
		return vr.SteppedDown != nil && vr.SteppedDown.Until.Equal(until.Truncate(time.Millisecond)) || vr.SteppedDown.Until.Sub(until).Abs() < time.Millisecond
	})
	// Nobody is heard: it serves.
	s.routerIs("web", "master")
	s.steppedDown("web", true)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	// The time goes on while it does not run.
	last.StepDowns[0].Since, last.StepDowns[0].Until = time.Now().Add(-time.Hour), time.Now().Add(-time.Second)
	if err := last.write(state); err != nil {
		t.Fatal(err)
	}
	s.run()
	s.steppedDown("web", false)
	s.logged("failover=web from=\"\" to=returned")
}

func TestReturnAfter(t *testing.T) {
	s, _ := newPair(t)
	s.run()
	s.ready()
	s.routerIs("web", "master")
	if got := s.failover(3 * time.Second); got[0].Result != "handed_over" || got[0].Until.IsZero() {
		t.Fatalf("failover: %+v", got)
	}
	s.steppedDown("web", false)
	s.routerIs("web", "master")
	s.logged(`to=returned reason="because its time is over: takes over from 10.0.0.3 within`)
}

func TestReturnThatStaysBackup(t *testing.T) {
	s, _ := newPair(t)
	s.track("preempt = false")
	s.run()
	s.ready()
	s.routerIs("web", "master")
	if got := s.failover(0); got[0].Result != "handed_over" || got[0].Returns || got[0].Outlook != "stays backup until 10.0.0.3 hands over: preempt is off" {
		t.Fatalf("failover: %+v", got)
	}
	s.comesBack()
	s.routerBecomes("web", func(vr VirtualRouterStatus) bool {
		return vr.State == "backup" && strings.HasSuffix(vr.Reason, "and preempt is off")
	})
}

func TestReloadDropsStepDownsOfRoutersThatAreGone(t *testing.T) {
	s, _ := newPair(t)
	s.add(strings.Split(twoOfAGroup, "sync_group")[0])
	s.run()
	s.ready()
	s.routerIs("two", "master")
	s.failover(0, "two")
	s.write(1)
	s.reload()
	s.logged("step-down dropped: no virtual router has that name any more")
}

func TestFailoverThatCannotBe(t *testing.T) {
	s := newSite(t)
	s.run()
	for _, tt := range []struct {
		names []string
		after time.Duration
		want  string
	}{
		{[]string{"mail"}, 0, `failover: no virtual_router "mail" runs here: there is web`},
		{nil, -time.Second, "failover: a return is after 0s to 720h0m0s, not -1s"},
		{nil, 10000 * time.Hour, "failover: a return is after 0s to 720h0m0s, not 1440h0m0s"},
	} {
		if _, err := s.client.Failover(t.Context(), tt.names, tt.after); err == nil || err.Error() != tt.want {
			t.Errorf("got %v, want %s", err, tt.want)
		}
	}
	if _, err := s.client.Return(t.Context(), []string{"mail"}); err == nil {
		t.Error("no error of a return")
	}
}

// An order while another goes on waits for the same hand-over.
func TestFailoverTwiceAtOnce(t *testing.T) {
	s := newSlowSite(t)
	s.run()
	s.ready()
	s.routerIs("web", "master")
	var wg sync.WaitGroup
	var results [2]Failover
	for i := range results {
		wg.Go(func() { results[i], _ = s.client.Failover(t.Context(), nil, 0) })
	}
	wg.Wait()
	for _, f := range results {
		if len(f.Routers) != 1 || f.Routers[0].Result != "not_taken" {
			t.Errorf("got %+v", f)
		}
	}
	if n := strings.Count(s.log.String(), "to=not_taken"); n != 1 {
		t.Errorf("told %d times", n)
	}
}

// A return, and a reload that starts the router anew, end the wait for a hand-over.
func TestHandOverIsCalledOff(t *testing.T) {
	s := newSlowSite(t)
	s.run()
	s.ready()
	s.routerIs("web", "master")
	order := func() <-chan RouterFailover {
		ended := make(chan RouterFailover, 1)
		go func() {
			if f, err := s.client.Failover(t.Context(), nil, 0); err == nil && len(f.Routers) == 1 {
				ended <- f.Routers[0]
			}
			close(ended)
		}()
		s.steppedDown("web", true)
		return ended
	}
	ended := order()
	s.comesBack("web")
	if r := <-ended; r.Result != "interrupted" || r.Error != "called off by command" || r.SteppedDown {
		t.Errorf("got %+v", r)
	}
	s.steppedDown("web", false)
	s.routerIs("web", "master")
	ended = order()
	s.edit("id                 = 51", "id                 = 52")
	s.reload()
	if r := <-ended; r.Result != "interrupted" || r.Error != "a reload has stopped it" {
		t.Errorf("got %+v", r)
	}
	s.steppedDown("web", true)
}

// Who stops the director while it hands over is not kept waiting.
func TestStopWhileHandingOver(t *testing.T) {
	s := newSlowSite(t)
	_, stop := s.run()
	s.ready()
	s.routerIs("web", "master")
	ended := make(chan Failover, 1)
	go func() {
		f, _ := s.client.Failover(t.Context(), nil, 0)
		ended <- f
	}()
	s.logged("stepping down")
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	for _, r := range (<-ended).Routers { // an answer or an error, by who is first
		if r.Result != "interrupted" || r.Outlook != "" || !r.SteppedDown {
			t.Errorf("got %+v", r)
		}
	}
}

func TestGarbageOfStepDownsIsLeftOut(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	s := State{StepDowns: []StepDownState{
		{VirtualRouter: "", Since: now},
		{VirtualRouter: "past", Since: now, Until: now.Add(-time.Hour)},
		{VirtualRouter: "future", Since: now.Add(time.Hour), Until: now.Add(2 * time.Hour)},
		{VirtualRouter: "web", Since: now.Add(-time.Hour)},
	}}
	got := s.stepDowns(now)
	if len(got) != 2 || !got["future"].until.Equal(now.Add(time.Hour)) || !got["future"].since.Equal(now) || !got["web"].until.IsZero() {
		t.Errorf("got %+v", got)
	}
	if got["web"].order == 0 || got["web"].order == got["future"].order {
		t.Errorf("orders: %+v", got)
	}
}

func TestOutlookOfAFault(t *testing.T) {
	returns, text := afterReturn(vrrp.Status{State: vrrp.Fault, Reason: "interface eth0 is down"})
	if returns || text != "stays in state fault: interface eth0 is down" { // after "then it"
		t.Errorf("got %t, %q", returns, text)
	}
}
