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

// Conn carries the adverts of one virtual router. Nothing of it blocks, so that the one goroutine which reads and writes
// sees all that has arrived before it acts on a timer.
type Conn interface {
	// Ready has a value when there may be something to read.
	Ready() <-chan struct{}
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

// Host is the machine that the virtual addresses belong on. All of it may block but Link, Owns, Missing, Changes, Turn
// and Watch, which tell what is known.
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
	// Announce sends one gratuitous ARP, or one of each kind, for an IPv4 address, and one unsolicited neighbour
	// advertisement for an IPv6 one.
	Announce(a Address, f ARPFormat) error
	// Turn returns when the next announcement may be sent on a device, and keeps the device free for a pause after it:
	// it may be asked by any number of virtual routers.
	Turn(device string, pause time.Duration, now time.Time) time.Time
	// Changes counts how often a device was made, came up, or was given another hardware address.
	Changes(device string) uint64
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

// Options is what an Instance works with.
type Options struct {
	Host   Host
	Dial   func(Config) (Conn, error)
	Log    *slog.Logger
	Resume bool // was master when the last run of this director ended without handing over
	// OnTransition is called for every change of state, in order. It must not block.
	OnTransition func(Transition)
	// OnStepDown is told how each order to step down has ended. It must not block.
	OnStepDown func(SteppedDown)
	// OnHolding is told whether the router serves its addresses, at first and with every change but the end: a router that
	// resumes serves them as backup, and one that has handed over goes on for a while. It must not block.
	OnHolding func(bool)
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

// SteppedDown says how an order to step down has ended.
type SteppedDown struct {
	Router  string
	Order   uint64 // of Input.StepDown
	Outcome Outcome
	Master  netip.Addr // that has taken over, if one has
	Reason  string     // why the router is in its state now
	At      time.Time
}

// Instance takes part in the election of one virtual router. Its goroutine owns the machine and the connection; the
// addresses are kept by a second one, so that adverts never wait for them.
type Instance struct {
	o     Options
	name  string
	wake  chan struct{}
	pulse pulse

	mu     sync.Mutex // guards what follows
	input  Input
	status Status

	// Owned by Run's goroutine.
	cfg      Config
	parts    []Part
	group    *Group
	machine  *Machine
	order    uint64 // to step down, of the input; 0: there is none
	ended    bool   // and how that has ended was told
	told     cause  // the reason that was published last
	toldHold bool   // and whether it serves the addresses, if that was
	holdTold bool
	conn     Conn
	index    int // of the link that conn is bound to
	wg       sync.WaitGroup
	reopened time.Time     // after a read error
	slept    time.Duration // of the machine, when the loop woke up last
	retry    time.Time     // when to try again what keeps us in fault; zero: nothing to try
	started  bool
	keeper   *keeper
	last     order
	rx       reception
	out      []byte
}

// retryEvery is how often an interface that cannot be used is tried again.
const retryEvery = time.Second

// NewInstance returns an instance that is not running yet.
func NewInstance(in Input, o Options) *Instance {
	o.Log = o.Log.With("virtual_router", in.Config.Name)
	i := &Instance{
		o: o, name: in.Config.Name, input: in, wake: make(chan struct{}, 1),
		keeper: newKeeper(o.Host, o.Log),
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

// ErrKeep is the cause of a context's end that makes Run leave as it is what it holds.
var ErrKeep = errors.New("keep the addresses")

// Run takes part in the election until ctx ends; then it hands over as Config.Handover says, which takes a master-down
// interval at most, and returns with the addresses released. If ctx ended because of ErrKeep, a master returns at once: the
// other routers wait a master-down interval for its successor, which finds the addresses for the rest of their lease.
func (i *Instance) Run(ctx context.Context) error {
	i.cfg = i.current().Config
	i.machine = NewMachine(i.params(netip.Addr{}))
	unwatch := i.o.Host.Watch(func() { poke(i.wake); i.keeper.poke() })
	defer unwatch()

	keep, stopKeeper := context.WithCancel(context.WithoutCancel(ctx))
	i.wg.Go(func() { i.keeper.run(keep) })
	kept := false
	defer func() {
		if !kept {
			i.discard()
		}
	}()
	defer i.wg.Wait()
	defer stopKeeper()
	defer i.close()
	defer func() {
		if !kept { // else the others of the group would follow it
			i.join(nil)
		}
	}()

	i.refresh(false)
	timer := time.NewTimer(0)
	defer timer.Stop()
	done := ctx.Done()
	defer i.pulse.waits(-1)
	for {
		i.pulse.waits(arm(timer, i.deadline(), i.now()))
		select {
		case <-done:
			done = nil
			if kept = errors.Is(context.Cause(ctx), ErrKeep) && i.keep(); kept {
				return nil
			}
			now := i.wakes()
			i.machine.SetParams(now, i.params(i.machine.p.Source)) // the others may be slower by now
			i.join(nil)                                            // they hand over by themselves, or stay
			i.do(now, i.machine.Stop(now))
		case <-i.ready():
			i.wakes()
			i.drain(drainMost)
		case <-i.wake:
			i.catchUp()
			i.refresh(done == nil)
		case <-timer.C:
			i.expire(done == nil)
		}
		if done == nil && i.machine.state == Init {
			return nil
		}
		i.followGroup()
	}
}

// keep sends a last advert and renews the lease, so that who comes next has as long as can be. It reports whether there is
// something to keep: a router that hands over, or is no master, stops.
func (i *Instance) keep() bool {
	i.catchUp()
	m := i.machine
	if m.state != Master || m.leaving {
		return m.resuming
	}
	i.do(i.now(), []Action{{Kind: SendAdvert, Priority: m.p.Priority}})
	return true
}

// wakes is now, for the first time after the loop has waited: the machine may have slept meanwhile.
func (i *Instance) wakes() time.Time {
	i.pulse.works()
	i.slept = i.o.Host.Suspended()
	return i.now()
}

// now is the time by which the election goes. It goes on while the machine sleeps, as that of the other routers does.
func (i *Instance) now() time.Time { return time.Now().Add(i.slept) }

// expire does what the timer is for. A backup that woke up late first reads what has arrived meanwhile.
func (i *Instance) expire(stopping bool) {
	now := i.wakes()
	if due(i.retry, now) {
		i.retry = time.Time{}
		i.catchUp()
		i.refresh(stopping)
	}
	deadline := i.machine.Deadline()
	if !due(deadline, now) {
		return
	}
	if i.o.OnLate != nil {
		i.o.OnLate(now.Sub(deadline))
	}
	if i.machine.Listens() {
		i.drain(drainAll)
		if i.conn == nil {
			return // it could not be read: what has arrived is not known
		}
	}
	now = i.now()
	i.do(now, i.machine.Tick(now))
}

// catchUp comes before all that is not by itself wise to a stall.
func (i *Instance) catchUp() {
	now := i.wakes()
	i.do(now, i.machine.CatchUp(now))
}

func (i *Instance) deadline() time.Time {
	d := i.machine.Deadline()
	if i.conn == nil && i.machine.Listens() {
		d = time.Time{} // nothing is done before it is opened again: see expire
	}
	if !i.retry.IsZero() {
		d = earlier(d, i.retry)
	}
	return d
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
	a := i.cfg.advert(priority, nil)
	to := i.cfg.Unicast.Peers
	if len(to) == 0 {
		to = []netip.Addr{i.cfg.group()}
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

func (i *Instance) count(f func(*Status)) {
	i.mu.Lock()
	defer i.mu.Unlock()
	f(&i.status)
}

// poke wakes up the reader of a channel of size 1 that has not been woken up yet.
func poke(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// arm sets a timer to a deadline; zero: never. It returns how long that is; negative: for ever.
func arm(t *time.Timer, deadline, now time.Time) time.Duration {
	if deadline.IsZero() {
		t.Stop()
		return -1
	}
	d := max(0, deadline.Sub(now))
	t.Reset(d)
	return d
}
