// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// world is a fake host and the network it is on, and a diary of what an instance did there and when.
type world struct {
	t     *testing.T
	start time.Time

	mu        sync.Mutex
	diary     []entry
	links     map[string]int // those that are up
	have      map[Address]time.Duration
	watchers  map[int]func()
	watcher   int
	block     map[string]chan struct{} // by call: it blocks until this is closed
	fail      map[string]error         // by call
	conns     []*fakeConn
	dialError error
	suspended time.Duration
	routed    map[Route]bool
	changes   map[string]uint64
	pace      pace
}

func newWorld(t *testing.T) *world {
	return &world{
		t: t, start: time.Now(), links: map[string]int{"eth0": 2}, have: make(map[Address]time.Duration),
		watchers: make(map[int]func()), block: make(map[string]chan struct{}), fail: make(map[string]error),
		routed: make(map[Route]bool), changes: make(map[string]uint64),
	}
}

// entry is a line of the diary.
type entry struct {
	at         time.Duration
	transition bool
	what       string
}

func (w *world) note(format string, args ...any) { w.write(entry{what: fmt.Sprintf(format, args...)}) }

func (w *world) noteTransition(t Transition) {
	w.write(entry{transition: true, what: fmt.Sprintf("%v -> %v", t.From, t.To)})
}

func (w *world) write(e entry) {
	w.mu.Lock()
	defer w.mu.Unlock()
	e.at = time.Since(w.start)
	w.diary = append(w.diary, e)
}

// wrote checks the diary since the last time, once all is quiet. Transitions, which are told of while another goroutine
// sees to the addresses, come first of what happens at one time.
func (w *world) wrote(want ...string) {
	w.t.Helper()
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	slices.SortStableFunc(w.diary, func(a, b entry) int {
		if c := cmp.Compare(a.at, b.at); c != 0 || a.transition == b.transition {
			return c
		}
		if a.transition {
			return -1
		}
		return 1
	})
	var got []string
	for _, e := range w.diary {
		got = append(got, fmt.Sprint(e.at, " ", e.what))
	}
	if !slices.Equal(got, want) {
		w.t.Errorf("got\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
	w.diary = nil
}

// forget drops the diary.
func (w *world) forget() {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.diary = nil
}

// call notes what changes something, then blocks or fails as the test wants.
func (w *world) call(name, format string, args ...any) error {
	w.note(name+format, args...)
	w.mu.Lock()
	block, err := w.block[name], w.fail[name]
	w.mu.Unlock()
	if block != nil {
		<-block
	}
	return err
}

// fails makes a call fail, or work again.
func (w *world) fails(call string, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fail[call] = err
}

// blocks makes a call hang until its result is closed.
func (w *world) blocks(call string) (hung chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	hung = make(chan struct{})
	w.block[call] = hung
	return hung
}

func (w *world) Link(device string) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if index := w.links[device]; index > 0 {
		return index, nil
	}
	return 0, fmt.Errorf("interface %s is down", device)
}

func (w *world) Owns(string, netip.Addr) bool { return true }

func (w *world) Missing(addresses []Address) []Address {
	w.mu.Lock()
	defer w.mu.Unlock()
	return without(addresses, slices.Collect(maps.Keys(w.have)))
}

func (w *world) Lease(addresses []Address) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	least := time.Hour
	for _, a := range addresses {
		least = min(least, w.have[a])
	}
	return least
}

func (w *world) Hold(addresses []Address, lease time.Duration) error {
	if err := w.call("hold", "%v for %v", short(addresses), lease); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range addresses {
		w.have[a] = lease
	}
	return nil
}

func (w *world) Release(addresses []Address) error {
	there := without(addresses, w.Missing(addresses))
	if len(there) == 0 {
		return nil
	}
	if err := w.call("release", "%v", short(there)); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range there {
		delete(w.have, a)
	}
	return nil
}

func (w *world) Announce(a Address, f ARPFormat) error {
	err := w.call("announce", "%v", short([]Address{a}))
	w.mu.Lock()
	defer w.mu.Unlock()
	return cmp.Or(err, w.fail["announce"+short([]Address{a})[0]])
}

func (w *world) Watch(changed func()) (stop func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	id := w.watcher
	w.watcher++
	w.watchers[id] = changed
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.watchers, id)
	}
}

// change changes something on the host, and tells the watchers as the kernel does.
func (w *world) change(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
	for _, changed := range w.watchers {
		changed()
	}
}

// short is the last number of each address.
func short(addresses []Address) (list []string) {
	for _, a := range addresses {
		list = append(list, fmt.Sprintf(".%d", a.Prefix.Addr().As16()[15]))
	}
	return list
}

// fakeConn is a connection that the test is the other end of.
type fakeConn struct {
	w       *world
	source  netip.Addr
	in      chan datagram
	arrived chan struct{}
	closed  chan struct{}
	slow    time.Duration // each Read takes as long
	endless bool          // there is always one more packet of junk
}

type datagram struct {
	b   []byte
	h   Header
	err error
}

func (w *world) Dial(c Config) (Conn, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.dialError != nil {
		return nil, w.dialError
	}
	conn := &fakeConn{
		w: w, source: sourceOf(c), in: make(chan datagram, 10000), arrived: make(chan struct{}, 1), closed: make(chan struct{}),
	}
	w.conns = append(w.conns, conn)
	return conn, nil
}

func sourceOf(c Config) netip.Addr {
	if c.Family6() {
		return own6
	}
	return own
}

// conn is the newest connection.
func (w *world) conn() *fakeConn {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.conns[len(w.conns)-1]
}

func (c *fakeConn) Source() netip.Addr { return c.source }

func (c *fakeConn) Ready() <-chan struct{} { return c.arrived }

func (c *fakeConn) Read(b []byte) (int, Header, error) {
	time.Sleep(c.slow)
	if len(c.in) > 1 || c.endless {
		poke(c.arrived)
	}
	select {
	case d := <-c.in:
		return copy(b, d.b), d.h, d.err
	default:
		if c.endless {
			return copy(b, "junk"), Header{Src: lower, Dst: groupIPv4, TTL: 255}, nil
		}
		return 0, Header{}, ErrNothing
	}
}

func (c *fakeConn) Write(b []byte, dst netip.Addr) error {
	a, err := Parse(b, Header{Src: c.source, Dst: dst})
	if err != nil {
		c.w.t.Errorf("sent to %v: %v", dst, err)
	}
	to := ""
	if !dst.IsMulticast() {
		to = fmt.Sprint(" to ", dst)
	}
	return c.w.call("send", " %d%s", a.Priority, to)
}

func (c *fakeConn) Close() error {
	close(c.closed)
	return nil
}

// deliver makes a datagram arrive.
func (c *fakeConn) deliver(d datagram) {
	c.in <- d
	poke(c.arrived)
}

// hear makes an advert arrive.
func (c *fakeConn) hear(from netip.Addr, priority uint8) { c.deliver(advertOf(from, priority)) }

func advertOf(from netip.Addr, priority uint8) datagram {
	a := Advert{Version: 3, ID: 51, Priority: priority, Interval: time.Second, Addresses: addrs("192.0.2.100")}
	return datagram{b: a.Append(nil, from, groupIPv4), h: Header{Src: from, Dst: groupIPv4, TTL: 255}}
}

// router is an Instance that runs in a world.
type router struct {
	*Instance
	*world
	input Input
	stop  func()
	leave func() // as on_exit = "keep" does
	ended chan struct{}
}

func config() Config {
	return Config{
		Name: "web", Interface: "eth0", ID: 51, Version: 3, Priority: 200, Interval: time.Second, Preempt: true, Handover: true,
		Addresses: []Address{vip(100)}, Announcements: Announcements{Burst: 1, Format: ARPRequest},
	}
}

func vip(n byte) Address {
	return Address{Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, n}), 24), Device: "eth0"}
}

// run starts an instance that ends with the test; synctest sees to it that nothing of it goes on.
func (w *world) run(c Config, change ...func(*Options)) *router {
	o := Options{
		Host: w, Dial: w.Dial, Log: slog.New(slog.DiscardHandler),
		OnTransition: w.noteTransition,
	}
	for _, f := range change {
		f(&o)
	}
	in := Input{Config: c}
	ctx, end := context.WithCancelCause(w.t.Context())
	stop, keep := func() { end(nil) }, func() { end(ErrKeep) }
	r := &router{Instance: NewInstance(in, o), world: w, input: in, stop: stop, leave: keep, ended: make(chan struct{})}
	go func() {
		defer close(r.ended)
		if err := r.Run(ctx); err != nil {
			w.t.Errorf("run: %v", err)
		}
	}()
	w.t.Cleanup(func() {
		stop()
		<-r.ended
	})
	synctest.Wait()
	return r
}

// tell gives the instance a changed input.
func (r *router) tell(f func(*Input)) {
	f(&r.input)
	r.Set(r.input)
	synctest.Wait()
}

// until lets time pass until d after the start.
func (w *world) until(d time.Duration) {
	time.Sleep(time.Until(w.start.Add(d)))
	synctest.Wait()
}

// master runs an instance that has become master at 3.21875 s, and forgets how.
func (w *world) master(c Config, change ...func(*Options)) *router {
	r := w.run(c, change...)
	w.until(3218750 * time.Microsecond)
	w.forget()
	return r
}

var errFake = errors.New("no such device")

// test runs f in a bubble with a world.
func test(t *testing.T, f func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(t, newWorld(t)) })
}

func (w *world) Changes(device string) uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.changes[device]
}

func (w *world) Turn(device string, pause time.Duration, now time.Time) time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.pace.turn(device, pause, now)
}

func (w *world) HoldRoutes(routes []Route) error    { return w.routes("add", routes, true) }
func (w *world) ReleaseRoutes(routes []Route) error { return w.routes("remove", routes, false) }
func (w *world) Prepare(Config) error               { return nil }
func (w *world) Discard(Config) error               { return nil }

func (w *world) Suspended() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.suspended
}

// routes notes those routes that are not as they are to be.
func (w *world) routes(name string, routes []Route, there bool) error {
	w.mu.Lock()
	todo := slices.DeleteFunc(slices.Clone(routes), func(r Route) bool { return w.routed[r] == there })
	w.mu.Unlock()
	if len(todo) == 0 {
		return nil
	}
	if err := w.call(name, " routes %v", todo); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range todo {
		w.routed[r] = there
	}
	return nil
}
