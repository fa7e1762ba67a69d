// SPDX-License-Identifier: Apache-2.0

// Package director is the daemon: one loop that owns the run-time state, fed by the election, the checks and the
// reconciler, and asked by the control socket.
package director

import (
	"context"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-lb/holdfast/checker"
	"github.com/holdfast-lb/holdfast/configs"
	"github.com/holdfast-lb/holdfast/internal/notify"
	"github.com/holdfast-lb/holdfast/internal/sysctl"
	"github.com/holdfast-lb/holdfast/internal/systemd"
	"github.com/holdfast-lb/holdfast/ipvs"
	"github.com/holdfast-lb/holdfast/vrrp"
	"github.com/holdfast-lb/holdfast/vrrp/track"
)

// Options is what a director works with.
type Options struct {
	Config *configs.Config
	Socket string // instead of the configuration's control socket; empty: as configured
	Log    *slog.Logger
	// Level is set from the configuration, also by a reload.
	Level *slog.LevelVar
	// Host and Dial are the network that the election uses.
	Host vrrp.Host
	// Virtual reports an address that a virtual router of this process has installed; nil: none is known.
	Virtual func(netip.Addr) bool
	Dial    func(vrrp.Config) (vrrp.Conn, error)
	// WhoHas asks others on a device's network for IPv4 addresses, and waits for their answers; nil: nobody is asked.
	WhoHas func(ctx context.Context, device string, addresses []netip.Addr) ([]vrrp.Answer, error)
	// OpenTable opens the kernel's IPVS table.
	OpenTable func(context.Context) (ipvs.Table, error)
	// Manager is told how the director is doing; nil: nobody is.
	Manager *systemd.Manager
	// Sysctls is where parameters of the kernel are set, sysctl.Root; empty: none is.
	Sysctls string
	Version Version
}

// Version says what program this is.
type Version struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Go       string `json:"go"`
}

// Director keeps the configured virtual routers, checks and services going.
type Director struct {
	o         Options
	log       *slog.Logger
	inbox     *inbox
	calls     chan func()
	newMaster chan struct{} // of size 1: a router has become master, and its addresses are to be asked for
	checks    *checker.Set
	trackers  *track.Set
	notifier  *notify.Notifier
	history   *history
	table     *ipvs.Reconciler
	states    chan State // mailbox of 1 to the goroutine that writes the state file
	metrics   *metrics
	web       *web
	beat      atomic.Int64         // when the loop was last seen alive, in nanoseconds since started
	view      atomic.Pointer[view] // what readers may see
	reload    sync.Mutex           // one at a time, so that the newest file is the one in force
	// What the service manager is to be told: a mailbox of 1 to the goroutine that does.
	conditions chan condition
	deaf       atomic.Bool // it cannot be told, which has been logged

	// Owned by the loop.
	cfg       *configs.Config
	loaded    time.Time
	reloadErr error
	started   time.Time
	last      State // of the run before
	forgot    bool  // there was a run before, but last does not tell of it
	routers   map[string]*router
	leaving   []*router // stopped, and perhaps still handing over
	roles     map[string]vrrp.State
	resuming  map[string]bool     // routers that were master in the last run, and hold their addresses to be so again
	holding   map[string]bool     // whether a router holds its addresses; never changed, only replaced
	overrides map[object]override // of real servers of the configuration; never changed, only replaced
	drains    drains
	stepped   map[string]stepDown    // virtual routers that leave the role to others
	handovers map[string]*handover   // of them, those that have not done so yet
	orders    uint64                 // of that kind, since the start
	groups    map[string]*vrrp.Group // sync groups by their names
	groupOf   map[string]*vrrp.Group // and by the names of their members
	tracked   map[track.Key]track.Status
	health    map[checker.Key]checker.Change // of every check; only what is about its target
	decided   decisions
	decidedAt time.Time
	took      time.Duration // to decide, the last time
	stale     bool          // something has changed since then
	deadline  time.Time     // to decide again even if nothing changes; zero: none
	services  news
	servers   news
	addresses news
	contested map[string][]contested // by virtual router; the slices are replaced, never changed
	tellAt    time.Time              // when there is more of them to tell; zero: nothing waits
	want      []ipvs.Service
	goal      uint64            // the reconciler's number of want
	owned     map[ipvs.Key]bool // in the configuration, or perhaps still in the table
	report    ipvs.Report       // the newest
	drift     int               // what others changed, summed up over all reports
	unusable  error             // why nothing can be balanced here; nil: it can
	sync      syncState
	sysctls   sysctls
	loans     sysctl.Loans // parameters of the kernel that we have changed
	ready     bool         // every check has run once
	saved     State
	told      condition // to the service manager
	stopping  bool
	keeps     bool           // and leaves the addresses and the roles to its successor
	ended     bool           // and has put nothing on this host any more but what is in the table
	running   sync.WaitGroup // the instances
}

// view is what status, metrics and probes see. It is never changed, only replaced.
type view struct {
	config    *configs.Config
	loaded    time.Time
	reloadErr error
	started   time.Time
	routers   []routerView // in the order of the configuration
	leaving   []*vrrp.Instance
	decided   decisions
	report    ipvs.Report
	sync      syncView
	drift     int
	ready     bool
}

// routerView is what readers may see of a virtual router.
type routerView struct {
	instance  *vrrp.Instance
	late      *lateness
	contested []contested
	stepped   stepDown
}

// New returns a director that is not running. It reads the state that the last run left; nothing is changed before Run.
func New(o Options) *Director {
	d := &Director{
		o: o, log: o.Log, inbox: newInbox(), calls: make(chan func()), newMaster: make(chan struct{}, 1), states: make(chan State, 1),
		conditions: make(chan condition, 1),
		cfg:        o.Config, started: time.Now(), routers: make(map[string]*router), roles: make(map[string]vrrp.State),
		health: make(map[checker.Key]checker.Change), owned: make(map[ipvs.Key]bool), holding: make(map[string]bool),
		resuming: make(map[string]bool),
		services: news{kind: "virtual_server"}, servers: news{kind: "real_server"}, addresses: news{kind: "virtual_address"},
		stepped: make(map[string]stepDown), handovers: make(map[string]*handover),
		contested: make(map[string][]contested), drains: drains{asks: make(chan []serverID, 1)},
	}
	d.loaded, d.history = d.started, newHistory()
	d.override(d.cfg)
	d.o.Level.Set(o.Config.Log.Level)
	d.metrics = newMetrics(d)
	d.checks = checker.NewSet(checker.Options{
		Log:      o.Log,
		OnChange: func(c checker.Change) { d.inbox.put(c) },
		OnResult: d.metrics.observeCheck,
		OnLate:   func(late time.Duration) { d.metrics.checkLate.Observe(late.Seconds()) },
		Virtual:  o.Virtual,
	})
	d.trackers = track.NewSet(track.Options{Log: o.Log, OnChange: func(track.Status) { d.inbox.put(trackerChanged{}) }})
	d.notifier = notify.New(notify.Options{Log: o.Log, OnResult: d.metrics.notified})
	d.table = ipvs.NewReconciler(o.Log, o.OpenTable, func(r ipvs.Report) { d.inbox.put(r) })
	return d
}

// override applies what the command line says over the configuration.
func (d *Director) override(cfg *configs.Config) {
	if d.o.Socket != "" {
		cfg.Director.ControlSocket = d.o.Socket
	}
}

// Run works until outer ends, then hands over and returns, as director.on_exit says.
func (d *Director) Run(outer context.Context) error {
	var err error
	d.warnOthers(d.cfg)
	if d.last, err = ReadState(d.cfg.Director.StateDir); err != nil {
		d.log.Warn("state of the last run not used", "err", err)
		d.forgot = true
	}
	control, err := listenControl(d.cfg.Director.ControlSocket, d.cfg.Director.ControlGroup)
	if err != nil {
		return err
	}
	defer control.Close()
	if d.web, err = openWeb(d, d.cfg.HTTP); err != nil {
		return err
	}

	// What serves the election outlives the order to stop: a hand-over takes a while.
	inner, cancel := context.WithCancel(context.WithoutCancel(outer))
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	ctx, giveUp := context.WithCancelCause(outer)
	defer giveUp(nil)
	start := func(run func(context.Context) error) {
		wg.Go(func() {
			if err := run(inner); err != nil {
				giveUp(err)
			}
		})
	}
	if d.cfg.Director.Realtime {
		wg.Go(func() { realtime(inner, d.log) })
	}
	if d.o.Manager != nil {
		wg.Go(func() { d.supervised(inner) })
	}
	start(d.notifier.Run)
	start(d.trackers.Run)
	d.adopt(inner)
	dir := d.cfg.Director.StateDir // d.cfg is the loop's
	wg.Go(func() { keepState(inner, dir, d.states, d.log) })
	wg.Go(func() { watchDrains(inner, d.drains.asks, d.table.Stats, d.inbox.put) })
	defer d.o.Host.Watch(d.checks.AddressesChanged)()
	start(d.checks.Run)
	start(d.table.Run)
	wg.Go(func() { d.countConnections(inner) })
	wg.Go(func() { d.watchAddresses(inner) })
	wg.Go(func() { serveControl(inner, d, control) })
	wg.Go(func() { d.web.run(inner) })
	d.loop(ctx)
	if outer.Err() == nil {
		return context.Cause(ctx) // hands over to a director that is well
	}
	return nil
}

// warnOthers says once in a configuration's time that others than root may change it. It is obeyed: a director that does not
// run is worse.
func (d *Director) warnOthers(cfg *configs.Config) {
	if cfg.Untrusted != nil {
		d.log.Warn("the configuration is not root's alone", "path", cfg.Path, "err", cfg.Untrusted)
	}
}

// loop owns the state. It ends when ctx has ended and every virtual router has stopped.
func (d *Director) loop(ctx context.Context) {
	alive := time.NewTicker(time.Second)
	defer alive.Stop()
	timer := time.NewTimer(0)
	defer timer.Stop()
	firstRound := d.checks.FirstRound()
	done, stopped := ctx.Done(), make(chan struct{})
	for {
		d.beat.Store(int64(time.Since(d.started)))
		select {
		case <-done:
			done = nil
			d.stop(context.Cause(ctx), stopped)
		case <-stopped:
			d.end()
			return
		case <-d.inbox.wake:
			d.takeAll()
		case f := <-d.calls:
			f()
		case <-firstRound:
			firstRound = nil
			d.firstRoundDone(time.Now())
		case <-timer.C:
		case <-alive.C:
			continue
		}
		timer.Reset(d.due(time.Now()))
		d.publish()
	}
}

// takeAll handles everything that has come in. What is tracked decides nothing but an election, which is told first; what
// the checks say is decided on when it is due.
func (d *Director) takeAll() {
	tracked, other := false, false
	for _, m := range d.inbox.take() {
		switch m := m.(type) {
		case trackerChanged:
			tracked = true
		case vrrp.Transition:
			d.transition(m)
			other = true
		case vrrp.SteppedDown:
			d.steppedDown(time.Now(), m)
		case checker.Change:
			if was, known := d.health[m.Key]; known && was.Target == m.Target { // else it is about what a reload has replaced
				d.health[m.Key] = m
				d.stale = true
			}
		case ipvs.Report:
			d.reported(m)
			other = true
		case sysctlLoans:
			d.loans = sysctl.Loans(m)
			other = true
		case activeConnections:
			d.sync.connSync = d.sync.knows(time.Now(), uint64(m))
		case strangers:
			d.heardStrangers(m)
		case counted:
			d.stale = d.drains.answered(time.Now(), m) || d.stale
		case holdingChanged:
			d.holds(m)
			other = true
		}
	}
	if tracked {
		d.trackersChanged()
	}
	if other {
		d.tellRouters()
		d.save()
	}
}

func (d *Director) transition(t vrrp.Transition) {
	if d.routers[t.Router] != nil { // a reload may have removed it
		d.roles[t.Router] = t.To
		d.metrics.transition(t)
		if t.To == vrrp.Master {
			delete(d.resuming, t.Router)
		}
	}
	d.syncTransition(t)
	d.emit(notify.Event{
		Kind: "virtual_router", Name: t.Router, From: t.From.String(), To: t.To.String(), Reason: t.Reason, Time: t.At,
	})
	if t.To == vrrp.Master {
		select {
		case d.newMaster <- struct{}{}:
		default:
		}
	} else if len(d.contested[t.Router]) > 0 {
		delete(d.contested, t.Router)
		d.tellChanges(time.Now(), d.decided)
	}
}

// save passes the state on when it has changed.
func (d *Director) save() {
	var leaving []vrrp.Config
	for _, r := range d.handingOver() {
		leaving = append(leaving, r.config)
	}
	s := newState(d.cfg, leaving, d.lastingRoles(), d.ownedKeys())
	s.Overrides, s.Drains = overrideStates(d.overrides), drainStates(d.decided.running())
	s.StepDowns = stepDownStates(d.stepped)
	s.Health, s.ConnectionSync, s.Sysctls = d.decided.health(), d.sync.ours, d.loans
	if d.ended {
		s.VirtualRouters = []RouterState{} // from now on their addresses may be somebody else's
	}
	if s.equal(d.saved) {
		return
	}
	d.saved = s
	select {
	case <-d.states:
	default:
	}
	d.states <- s
}

func (d *Director) publish() {
	v := &view{
		config: d.cfg, loaded: d.loaded, reloadErr: d.reloadErr, started: d.started, decided: d.decided,
		report: d.report, sync: syncView{d.sync.want, !d.sync.isCold}, drift: d.drift, ready: d.ready,
	}
	for _, vr := range d.cfg.VirtualRouters {
		if r := d.routers[vr.Name]; r != nil {
			v.routers = append(v.routers, routerView{r.instance, r.late, d.contested[vr.Name], d.stepped[vr.Name]})
		}
	}
	for _, r := range d.handingOver() {
		v.leaving = append(v.leaving, r.instance)
	}
	d.view.Store(v)
	d.tellManager()
}

// call runs f in the loop, and returns when its outcome can be seen.
func (d *Director) call(ctx context.Context, f func()) error {
	done := make(chan struct{})
	select {
	case d.calls <- func() { f(); d.publish(); close(done) }:
		<-done
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// failed logs the error of a part that should have gone on.
func (d *Director) failed(err error) {
	if err != nil {
		d.log.Error("part of the director failed", "err", err)
	}
}
