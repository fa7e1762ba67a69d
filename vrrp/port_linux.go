// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"fmt"
	"os"
	"slices"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// port is the raw socket that the virtual routers of one interface and family share: for each socket of its own the
// kernel would copy every advert of every other. Adverts of strangers are left to the kernel's filter.
type port struct {
	key  portKey
	f    *os.File
	rc   syscall.RawConn
	done chan struct{} // closed when its goroutine has ended

	mu    sync.Mutex // guards what follows, and what is read
	in    inbound
	err   error // reading has failed
	conns []*rawConn
}

// portKey is what the routers that share a socket agree in.
type portKey struct {
	device  string
	index   int
	family6 bool
	unicast bool
	hops    int // TTL or hop limit of what is sent
}

// queueMost is how many adverts of one virtual router wait for it; then the oldest gives way.
const queueMost = 256

// received is a packet that has been read.
type received struct {
	b []byte
	h Header
}

// attach lets a connection share the socket of its kind, and opens it if it is the first.
func (n *Network) attach(c *rawConn, key portKey) error {
	n.portMu.Lock()
	defer n.portMu.Unlock()
	p := n.ports[key]
	if p == nil || p.broken() {
		var err error
		if p, err = openPort(key); err != nil {
			return err
		}
		n.ports[key] = p
		go p.run()
	}
	c.port = p
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns = append(p.conns, c)
	if err := p.filter(); err != nil {
		p.conns = p.conns[:len(p.conns)-1]
		return fmt.Errorf("filter by id: %w", err)
	}
	return nil
}

// detach is the end of attach. The last one closes the socket.
func (n *Network) detach(c *rawConn) error {
	n.portMu.Lock()
	defer n.portMu.Unlock()
	p := c.port
	p.mu.Lock()
	p.conns = slices.DeleteFunc(p.conns, func(o *rawConn) bool { return o == c })
	left := len(p.conns)
	if left > 0 {
		_ = p.filter() // it lets more in than is needed
	}
	p.mu.Unlock()
	if left > 0 {
		return nil
	}
	if n.ports[p.key] == p {
		delete(n.ports, p.key)
	}
	err := p.f.Close()
	<-p.done
	return err
}

func openPort(key portKey) (*port, error) {
	domain, options := unix.AF_INET, options4
	if key.family6 {
		domain, options = unix.AF_INET6, options6
	}
	fd, err := unix.Socket(domain, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, protocol)
	if err != nil {
		return nil, err
	}
	if err := configure(fd, key, options(fd, key)); err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	f, rc, err := toFile(fd, "vrrp")
	if err != nil {
		return nil, err
	}
	p := &port{key: key, f: f, rc: rc, done: make(chan struct{})}
	p.in.init(key.family6)
	return p, nil
}

// run reads what nobody is waiting for, until the socket is closed or fails.
func (p *port) run() {
	defer close(p.done)
	for {
		if p.rc.Read(somethingThere) != nil {
			return // closed
		}
		p.mu.Lock()
		p.pump(nil, drainMost)
		failed := p.err != nil
		p.mu.Unlock()
		if failed {
			return
		}
	}
}

// somethingThere looks without taking.
func somethingThere(fd uintptr) bool {
	_, _, errno := unix.Syscall6(unix.SYS_RECVFROM, fd, 0, 0, unix.MSG_PEEK|unix.MSG_DONTWAIT, 0, 0)
	return errno != unix.EAGAIN
}

// broken reports whether it cannot be read any more. Those that share it close it, and open another.
func (p *port) broken() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err != nil
}

// pump reads at most n packets, or until there is one for c, and gives them to those that they are for. The caller holds
// the lock.
func (p *port) pump(c *rawConn, n int) {
	for ; n > 0 && p.err == nil && (c == nil || c.queue.n == 0); n-- {
		if err := p.rc.Control(p.in.receive); err != nil {
			p.failed(err)
			return
		}
		switch p.in.errno {
		case 0:
			p.deliver(p.in.packet())
		case unix.EINTR:
		case unix.EAGAIN:
			return
		default:
			p.failed(p.in.errno)
		}
	}
}

// failed lets everyone know.
func (p *port) failed(err error) {
	p.err = fmt.Errorf("read advert: %w", err)
	for _, c := range p.conns {
		poke(c.ready)
	}
}

// deliver queues a packet for the virtual routers of its id.
func (p *port) deliver(b []byte, h Header) {
	for _, c := range p.conns {
		if len(b) > 1 && b[1] == c.id {
			c.queue.put(b, h)
			poke(c.ready)
		}
	}
}

// filter makes the kernel drop adverts of virtual routers that nobody here has, before they are queued. The caller holds
// the lock.
func (p *port) filter() error {
	var ids []uint8
	for _, c := range p.conns {
		ids = append(ids, c.id)
	}
	var err error
	if cerr := p.rc.Control(func(fd uintptr) { err = filterIDs(int(fd), ids, p.key.family6) }); cerr != nil {
		return cerr
	}
	return err
}

// queue is what waits for one virtual router: a ring that uses its memory again.
type queue struct {
	ring     []received
	first, n int
}

func (q *queue) put(b []byte, h Header) {
	switch size := len(q.ring); {
	case q.n < size:
	case size == queueMost: // the oldest gives way
		q.take()
	default:
		larger := make([]received, max(4, 2*size))
		for i := range q.n {
			larger[i] = q.ring[(q.first+i)%size]
		}
		q.ring, q.first = larger, 0
	}
	last := &q.ring[(q.first+q.n)%len(q.ring)]
	last.b, last.h = append(last.b[:0], b...), h
	q.n++
}

// take returns the oldest packet, which is good until the next put.
func (q *queue) take() received {
	r := q.ring[q.first]
	q.first = (q.first + 1) % len(q.ring)
	q.n--
	return r
}
