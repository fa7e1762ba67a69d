// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"sync"
	"time"
)

// Conn carries the adverts of one virtual router. Only Wait blocks, so that the one goroutine which reads and writes
// sees all that has arrived before it acts on a timer.
type Conn interface {
	// Wait blocks until there is something to read, or until Close.
	Wait() error
	// Read returns the payload of the next packet in b, or ErrNothing.
	Read(b []byte) (n int, h Header, err error)
	// Write sends b to dst.
	Write(b []byte, dst netip.Addr) error
	// Source is the address that Write sends from.
	Source() netip.Addr
	Close() error
}

// ErrNothing is what Conn.Read returns while nothing is there to read.
var ErrNothing = errors.New("nothing to read")

// Host is the machine that the virtual addresses belong on. All of it may block but Link, Owns, Missing and Watch, which
// tell what is known.
type Host interface {
	// Link returns the index of a link that can carry traffic, or why it cannot.
	Link(device string) (index int, err error)
	// Owns reports whether the device has the address.
	Owns(device string, a netip.Addr) bool
	// Missing returns those of the addresses that are not installed.
	Missing(addresses []Address) []Address
	// Lease returns the shortest remaining lifetime of the addresses; 0: one of them is not installed.
	Lease(addresses []Address) time.Duration
	// Hold installs the addresses for the time of lease (whole seconds; 0: for ever) or renews them.
	Hold(addresses []Address, lease time.Duration) error
	// Release removes those of the addresses that are installed.
	Release(addresses []Address) error
	// Announce sends one gratuitous ARP, or one of each kind, for the address.
	Announce(a Address, f ARPFormat) error
	// HoldRoutes installs the routes, or keeps those that are there. It comes after their addresses.
	HoldRoutes(routes []Route) error
	// ReleaseRoutes removes those of the routes that are installed.
	ReleaseRoutes(routes []Route) error
	// Prepare makes what a virtual router needs beside its interface, the macvlan of Config.VMAC, and the settings that
	// go with it; what is there already is kept.
	Prepare(c Config) error
	// Discard removes what Prepare has made, and puts back the settings.
	Discard(c Config) error
	// Suspended is for how long this machine has slept since it was started; no clock of Go counts that.
	Suspended() time.Duration
	// Watch calls changed, which must not block, after every change of a link or an address, until stop.
	Watch(changed func()) (stop func())
}

// Input is what a virtual router is told from outside. It is given as a whole; the newest one counts.
type Input struct {
	Config  Config // of the same election: see Config.SameElection
	Unready string // why this director could not serve as master: see Machine.SetUnready; empty: it could
	Fault   string // why this director cannot take part; empty: it can
	Parts   []Part // what is tracked beside the interfaces
	Group   *Group // its sync group; nil: none
}

// Options is what an Instance works with.
type Options struct {
	Host   Host
	Dial   func(Config) (Conn, error)
	Log    *slog.Logger
	Resume bool // was master when the last run of this director ended without handing over
	// OnTransition is called for every change of state, in order. It must not block.
	OnTransition func(Transition)
	// OnLate is told how late each timer of the election fired. It must not block.
	OnLate func(time.Duration)
}

// Transition is one change of state of a virtual router.
type Transition struct {
	Router   string
	From, To State
	At       time.Time
	Reason   string
}

// Instance takes part in the election of one virtual router. Its goroutine owns the machine and the connection; the
// addresses are kept by a second one, so that adverts never wait for them.
type Instance struct {
	o    Options
	wake chan struct{}

	mu     sync.Mutex // guards what follows
	input  Input
	status Status

	// Owned by Run's goroutine.
	cfg      Config
	machine  *Machine
	conn     Conn
	index    int           // of the link that conn is bound to
	readable chan struct{} // a connection has something to read
	quit     chan struct{} // closed when Run ends
	wg       sync.WaitGroup
	retry    time.Time // when to try again what keeps us in fault; zero: nothing to try
	started  bool
	keeper   *keeper
	last     order
	logged   map[Refusal]time.Time
	buf      [2048]byte // more than an advert of 255 IPv4 addresses
	out      []byte
}

// retryEvery is how often an interface that cannot be used is tried again.
const retryEvery = time.Second

// NewInstance returns an instance that is not running yet.
func NewInstance(in Input, o Options) *Instance {
	o.Log = o.Log.With("virtual_router", in.Config.Name)
	i := &Instance{
		o: o, input: in, wake: make(chan struct{}, 1), readable: make(chan struct{}), quit: make(chan struct{}),
		keeper: newKeeper(o.Host, o.Log), logged: make(map[Refusal]time.Time),
	}
	i.status = Status{Name: in.Config.Name, State: Init, Config: in.Config, Refused: make(map[Refusal]uint64)}
	return i
}

// Set tells the instance something new. It never blocks.
func (i *Instance) Set(in Input) {
	i.mu.Lock()
	i.input = in
	i.mu.Unlock()
	poke(i.wake)
}

// Run takes part in the election until ctx ends; then it hands over as Config.Handover says, which takes a master-down
// interval at most, and returns with the addresses released.
func (i *Instance) Run(ctx context.Context) error {
	i.cfg = i.current().Config
	i.machine = NewMachine(i.params(netip.Addr{}))
	unwatch := i.o.Host.Watch(func() { poke(i.wake); i.keeper.poke() })
	defer unwatch()

	keep, stopKeeper := context.WithCancel(context.WithoutCancel(ctx))
	i.wg.Go(func() { i.keeper.run(keep) })
	defer i.wg.Wait()
	defer stopKeeper()
	defer i.close()
	defer close(i.quit)

	i.refresh(false)
	timer := time.NewTimer(0)
	defer timer.Stop()
	done := ctx.Done()
	for {
		arm(timer, i.deadline())
		select {
		case <-done:
			done = nil
			now := time.Now()
			i.do(now, i.machine.Stop(now))
		case <-i.readable:
			i.drain(drainMost)
		case <-i.wake:
			i.catchUp()
			i.refresh(done == nil)
		case <-timer.C:
			i.expire(done == nil)
		}
		if s, _, _ := i.machine.State(); done == nil && s == Init {
			return nil
		}
	}
}

// expire does what the timer is for. A backup that woke up late first reads what has arrived meanwhile.
func (i *Instance) expire(stopping bool) {
	now := time.Now()
	if due(i.retry, now) {
		i.retry = time.Time{}
		i.catchUp()
		i.refresh(stopping)
	}
	if !due(i.machine.Deadline(), now) {
		return
	}
	if s, _, _ := i.machine.State(); s == Backup {
		i.drain(drainAll)
	}
	now = time.Now()
	i.do(now, i.machine.Tick(now))
}

// catchUp comes before all that is not by itself wise to a stall.
func (i *Instance) catchUp() {
	now := time.Now()
	i.do(now, i.machine.CatchUp(now))
}

func (i *Instance) deadline() time.Time {
	d := i.machine.Deadline()
	if !i.retry.IsZero() {
		d = earlier(d, i.retry)
	}
	return d
}

// refresh compares the machine with what it is told and with the state of its interface. One that is stopping only
// goes on stopping.
func (i *Instance) refresh(stopping bool) {
	if stopping {
		return
	}
	in, now := i.current(), time.Now()
	if !in.Config.Equal(i.cfg) {
		i.cfg = in.Config
		i.machine.SetParams(now, i.params(i.machine.p.Source))
	}
	i.machine.SetUnready(in.Unready)
	if err := i.usable(in); err != nil {
		i.do(now, i.machine.Fail(now, err.Error()))
		i.close()
		i.retry = now.Add(retryEvery)
		return
	}
	if s, _, _ := i.machine.State(); s == Init || s == Fault {
		i.start(now)
		return
	}
	if i.machine.resuming && len(i.o.Host.Missing(i.cfg.Addresses)) > 0 {
		i.do(now, i.machine.Lost(now))
	}
	i.do(now, nil)
}

// usable opens the connection if need be, and says what keeps this router out of the election.
func (i *Instance) usable(in Input) error {
	if in.Fault != "" {
		return errors.New(in.Fault)
	}
	index, err := i.o.Host.Link(i.cfg.Interface)
	if err != nil {
		return err
	}
	if i.conn != nil && index == i.index && i.o.Host.Owns(i.cfg.Interface, i.conn.Source()) {
		return nil
	}
	i.close() // the link was made anew, or has lost the address that we send from
	conn, err := i.o.Dial(i.cfg)
	if err != nil {
		return err
	}
	i.conn, i.index = conn, index
	i.wg.Go(func() { i.listen(conn) })
	i.machine.SetParams(time.Now(), i.params(conn.Source()))
	return nil
}

func (i *Instance) start(now time.Time) {
	delay, resume := time.Duration(0), false
	if !i.started {
		i.started = true
		delay = i.cfg.StartupDelay
		resume = i.o.Resume && i.o.Host.Lease(i.cfg.Addresses) > i.cfg.Interval
	}
	i.do(now, i.machine.Start(now, delay, resume))
}

func (i *Instance) close() {
	if i.conn == nil {
		return
	}
	_ = i.conn.Close()
	i.conn = nil
}

// do carries out what the machine wanted at the time now: adverts at once, all else through the keeper. If this takes
// long, the order to the keeper is old when it is given.
func (i *Instance) do(now time.Time, acts []Action) {
	for _, a := range acts {
		switch a.Kind {
		case SendAdvert:
			i.send(a.Priority)
		case HoldAddresses:
			i.last.begin++
		case AnnounceAgain:
			i.last.again++
		}
	}
	if !i.machine.resuming {
		i.last.hold, i.last.quiet = i.machine.Holding(), i.machine.Silent()
		i.last.at, i.last.valid = now, i.machine.MasterDownInterval()
		i.last.cfg = i.cfg
		i.keeper.set(i.last)
	}
	i.publish()
}

// send sends one advert to everyone. An error is counted: the link's state says the rest.
func (i *Instance) send(priority uint8) {
	if i.conn == nil {
		return
	}
	a := Advert{ID: i.cfg.ID, Priority: priority, Interval: i.cfg.Interval}
	for _, addr := range i.cfg.Addresses {
		a.Addresses = append(a.Addresses, addr.Prefix.Addr())
	}
	to := i.cfg.Unicast.Peers
	if len(to) == 0 {
		to = []netip.Addr{groupIPv4}
	}
	for _, dst := range to {
		i.out = a.Append(i.out[:0], i.conn.Source(), dst)
		err := i.conn.Write(i.out, dst)
		i.count(func(s *Status) {
			if s.Sent++; err != nil {
				s.SendErrors++
			}
		})
	}
}

func (i *Instance) params(source netip.Addr) Params {
	return Params{
		Priority: i.cfg.Priority, Interval: i.cfg.Interval, Preempt: i.cfg.Preempt, Handover: i.cfg.Handover, Source: source,
	}
}

func (i *Instance) current() Input {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.input
}

func (i *Instance) count(f func(*Status)) {
	i.mu.Lock()
	defer i.mu.Unlock()
	f(&i.status)
}

// publish makes the machine's state visible, and tells of a change.
func (i *Instance) publish() {
	state, since, reason := i.machine.State()
	i.mu.Lock()
	t := Transition{Router: i.cfg.Name, From: i.status.State, To: state, At: since, Reason: reason}
	i.status.Config = i.cfg
	i.status.State, i.status.Since, i.status.Reason = state, since, reason
	if i.conn != nil {
		i.status.Source = i.conn.Source()
	}
	i.mu.Unlock()
	if t.From != t.To {
		i.o.OnTransition(t)
	}
}

// poke wakes up the reader of a channel of size 1 that has not been woken up yet.
func poke(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// arm sets a timer to a deadline; zero: never.
func arm(t *time.Timer, deadline time.Time) {
	if deadline.IsZero() {
		t.Stop()
		return
	}
	t.Reset(time.Until(deadline))
}
