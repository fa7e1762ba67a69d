// SPDX-License-Identifier: Apache-2.0

package track

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"
)

const (
	scanBlind = time.Second      // without events of the kernel
	scanNet   = 10 * time.Second // with them: a safety net, for the kernel may forget its listeners (cn_proc.c)
	// youngUntil is how long a new process is left alone: a child that has not started another program by then counts as
	// its parent does, and most programs of a busy host have ended by then, which costs nothing.
	youngUntil = 100 * time.Millisecond
	gather     = 5 * time.Millisecond // least time between two readings of events
)

// processEvent is a change that the kernel tells of.
type processEvent struct {
	what   happening
	pid    int
	parent int // of forked
}

type happening uint8

const (
	_       happening = iota
	forked            // pid is a new child of parent
	renamed           // pid runs another program, or has another name
	exited            // pid has exited
	overrun           // events were lost
)

// processEvents are the kernel's events. Read returns at least one; Close ends a Read that waits.
type processEvents interface {
	Read() ([]processEvent, error)
	Close() error
}

// processes follows processes. One goroutine owns it.
type processes struct {
	*Set
	ctx     context.Context
	entries []*entry
	found   map[string]map[int]bool // by name, the processes that bear it
	young   map[int]time.Time       // new processes that may have to be found, and when to look at them
	exits   map[int]*exitWait       // without events: what waits for the exit of a process that is found
	gone    chan processEvent       // an exit that was waited for
	waits   sync.WaitGroup          // those waits
	blind   bool                    // there are no events
	scanAt  time.Time               // of the next scan
	scanned bool                    // the last scan saw everything
	news    bool                    // found is not what has been told
}

func (s *Set) followProcesses(ctx context.Context) {
	p := &processes{
		Set: s, ctx: ctx,
		found: make(map[string]map[int]bool), young: make(map[int]time.Time), exits: make(map[int]*exitWait), gone: make(chan processEvent),
	}
	var source processEvents
	batches := make(chan []processEvent)
	done := make(chan struct{})
	close(done)
	defer func() {
		if source != nil {
			source.Close()
		}
		<-done
		p.waitFor(nil)
		p.waits.Wait()
	}()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.wake[Process]:
			p.entries = s.of(Process)
			if source == nil && !p.blind && len(p.entries) > 0 {
				if source = p.open(); source != nil {
					done = make(chan struct{})
					go func() { defer close(done); pump(ctx, source, batches) }()
				}
			}
			p.scan()
		case batch := <-batches:
			if batch == nil { // pump has ended
				p.blind = true
				source.Close()
				s.log.Warn("process events ended, processes are polled")
				p.scan()
				break
			}
			p.handle(batch)
		case ev := <-p.gone:
			p.handle([]processEvent{ev})
		case <-timer.C:
			p.tick()
		}
		timer.Reset(p.next())
	}
}

// open asks the kernel for its events.
func (p *processes) open() processEvents {
	source, err := p.events()
	if err != nil {
		p.blind = true
		p.log.Info("no process events here, processes are polled", "err", err)
		return nil
	}
	return source
}

// pump passes on what it reads, and nil at the end. A host that starts thousands of programs a second wakes it up 200
// times, not for each.
func pump(ctx context.Context, source processEvents, to chan<- []processEvent) {
	rest := time.NewTicker(gather)
	defer rest.Stop()
	for {
		select {
		case <-rest.C:
		case <-ctx.Done():
			return
		}
		batch, err := source.Read()
		if err != nil {
			batch = nil
		}
		select {
		case to <- batch:
		case <-ctx.Done():
			return
		}
		if err != nil {
			return
		}
	}
}

// next returns when to come again.
func (p *processes) next() time.Duration {
	if len(p.entries) == 0 {
		return time.Hour
	}
	at := p.scanAt
	for _, t := range p.young {
		if t.Before(at) {
			at = t
		}
	}
	return time.Until(at)
}

// tick looks at the children that are grown up, or at everything.
func (p *processes) tick() {
	now := time.Now()
	if !now.Before(p.scanAt) {
		p.scan()
		return
	}
	for pid, until := range p.young {
		if !now.Before(until) {
			delete(p.young, pid)
			p.lookAgain(pid)
		}
	}
	if p.news {
		p.publish()
	}
}

// handle takes events. That of a process which is not known is nothing to us, but for a new name.
func (p *processes) handle(events []processEvent) {
	for _, ev := range events {
		switch ev.what {
		case forked:
			if p.knows(ev.parent) {
				p.young[ev.pid] = time.Now().Add(youngUntil)
			}
		case renamed:
			if p.knows(ev.pid) {
				delete(p.young, ev.pid)
				p.lookAgain(ev.pid)
			} else {
				p.young[ev.pid] = time.Now().Add(youngUntil)
			}
		case exited:
			delete(p.young, ev.pid)
			p.set(ev.pid, nil)
		case overrun: // soon, for more may be lost while a storm lasts
			if at := time.Now().Add(youngUntil); at.Before(p.scanAt) {
				p.scanAt = at
			}
		}
	}
	if p.news {
		p.publish()
	}
}

func (p *processes) knows(pid int) bool {
	for _, pids := range p.found {
		if pids[pid] {
			return true
		}
	}
	return false
}

// look decides anew which names a process bears. An error leaves that as it is: it cannot be known now.
func (p *processes) look(pid int) error {
	proc := process{dir: filepath.Join(p.proc, strconv.Itoa(pid))}
	alive, err := proc.read()
	if err != nil {
		return err
	}
	var names []string
	if alive {
		for name := range p.found {
			if proc.is(name) {
				names = append(names, name)
			}
		}
	}
	p.set(pid, names)
	return nil
}

// lookAgain looks at a process that changed, or else, soon, at all.
func (p *processes) lookAgain(pid int) {
	if p.look(pid) != nil {
		p.scanAt = time.Now().Add(p.scanBlind)
	}
}

func (p *processes) set(pid int, names []string) {
	for name, pids := range p.found {
		switch is := slices.Contains(names, name); {
		case is == pids[pid]:
			continue
		case is:
			pids[pid] = true
		default:
			delete(pids, pid)
		}
		p.news = true
	}
}

// scan looks at every process.
func (p *processes) scan() {
	clear(p.young)
	clear(p.found)
	for _, e := range p.entries {
		p.found[e.settings.process] = make(map[int]bool)
	}
	if len(p.entries) == 0 {
		p.waitFor(nil)
		return
	}
	pids, err := list(p.proc)
	for _, pid := range pids {
		if err = p.look(pid); err != nil {
			break
		}
	}
	p.scanned = err == nil
	p.scanAt = time.Now().Add(p.scanNet)
	if p.blind || !p.scanned {
		p.scanAt = time.Now().Add(p.scanBlind)
	}
	if err != nil {
		for _, e := range p.entries {
			p.update(e, func(st *Status) { st.Detail = fmt.Sprintf("no verdict: %v", err) })
		}
		return
	}
	p.publish()
}

// publish tells the trackers how many processes there are.
func (p *processes) publish() {
	if !p.scanned {
		return
	}
	p.news = false
	if p.blind {
		all := make(map[int]bool)
		for _, pids := range p.found {
			maps.Copy(all, pids)
		}
		p.waitFor(all)
	}
	now := time.Now()
	for _, e := range p.entries {
		n, least := len(p.found[e.settings.process]), max(e.settings.min, 1)
		p.update(e, func(st *Status) {
			st.Pending, st.Failed, st.Last = false, n < least, now
			st.Detail = fmt.Sprintf("%d of %d running", n, least)
		})
	}
}

// waitFor waits for the exit of these processes and of no others.
func (p *processes) waitFor(pids map[int]bool) {
	for pid, c := range p.exits {
		if !pids[pid] {
			c.Close()
			delete(p.exits, pid)
		}
	}
	for pid := range pids {
		if p.exits[pid] != nil {
			continue
		}
		w, err := waitExit(pid)
		if err != nil { // it is gone already, or the kernel is too old: the next scan tells
			continue
		}
		p.exits[pid] = w
		p.waits.Go(func() {
			if w.Wait() != nil {
				return
			}
			select {
			case p.gone <- processEvent{what: exited, pid: pid}:
			case <-p.ctx.Done():
			}
		})
		if p.lookAgain(pid); !p.knows(pid) { // another one had the number meanwhile
			w.Close()
			delete(p.exits, pid)
		}
	}
}
