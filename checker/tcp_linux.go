// SPDX-License-Identifier: Apache-2.0

package checker

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// dialer runs the plain TCP checks: non-blocking connects on one epoll, which one goroutine waits on. Their deadlines
// are on the heap of the Set.
type dialer struct {
	epoll *os.File // on the runtime's poller, so that waiting for it holds no thread
	fd    int      // of epoll
	conn  syscall.RawConn

	// Used by the loop of the Set alone.
	begun   []*entry // connects that neither settle nor run has looked at yet
	polls   []unix.PollFd
	settled []outcome

	mu         sync.Mutex
	inFlight   map[int]*entry // by descriptor; whoever takes it out closes the descriptor
	generation int32          // of the last connect: tells apart those that had the same descriptor
}

func newDialer() (*dialer, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("create epoll: %w", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil { // or os.NewFile does not give it to the poller
		_ = unix.Close(fd)
		return nil, fmt.Errorf("create epoll: %w", err)
	}
	d := &dialer{epoll: os.NewFile(uintptr(fd), "epoll"), fd: fd, inFlight: make(map[int]*entry)}
	d.conn, err = d.epoll.SyscallConn()
	if err != nil {
		_ = d.epoll.Close()
		return nil, fmt.Errorf("poll epoll: %w", err)
	}
	return d, nil
}

// maxConnects is how many connects may be in flight: no more than half of the descriptors that this process may have.
func maxConnects() int {
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		return tcpConcurrency
	}
	return int(max(1, min(tcpConcurrency, l.Cur/2)))
}

// close ends run and all connects in flight.
func (d *dialer) close() {
	_ = d.epoll.Close()
	d.mu.Lock()
	defer d.mu.Unlock()
	for fd := range d.inFlight {
		_ = unix.Close(fd)
	}
	clear(d.inFlight)
}

// start begins to connect to the entry's target from a source; invalid: whichever. When that is decided at once, most often by a local fault, done is
// true and res the result; else settle or run reports it, unless expire comes first.
func (d *dialer) start(e *entry, source netip.Addr) (res Result, done bool) {
	target := e.target
	fd, err := connect(target, source)
	switch {
	case err == nil:
		defer closeNow(fd)
		return connected(fd, target), true
	case err == unix.EINPROGRESS:
		e.fd = fd
		d.begun = append(d.begun, e)
		return Result{}, false
	case fd >= 0:
		closeNow(fd)
	}
	return fault("connect", target, err), true
}

// settle returns the results of those of the connects begun that have ended by now, and leaves the others to run. A server
// that is near has answered before the next ones are begun: to wait for each by the epoll costs a third more, most of
// it for switching between threads. What it returns is good until it is called again.
func (d *dialer) settle() []outcome {
	d.polls = d.polls[:0]
	for _, e := range d.begun {
		d.polls = append(d.polls, unix.PollFd{Fd: int32(e.fd), Events: unix.POLLOUT})
	}
	_, err := unix.Poll(d.polls, 0)
	out, end := d.settled[:0], time.Now()
	for i, e := range d.begun {
		events := d.polls[i].Revents
		if err == nil && events != 0 {
			out = append(out, ended(e, e.fd, events&(unix.POLLERR|unix.POLLHUP) != 0, end))
		} else if err := d.watch(e); err != nil {
			out = append(out, outcome{entry: e, res: fault("connect", e.target, err), end: end})
		}
		d.begun[i] = nil
	}
	d.begun, d.settled = d.begun[:0], out
	return out
}

// watch hands a connect to run.
func (d *dialer) watch(e *entry) error {
	fd := e.fd
	d.mu.Lock()
	d.generation++
	e.generation = d.generation
	d.inFlight[fd] = e
	d.mu.Unlock()
	// Registering comes last: from here on run may close the descriptor.
	ev := unix.EpollEvent{Events: unix.EPOLLOUT, Fd: int32(fd), Pad: e.generation}
	err := unix.EpollCtl(d.fd, unix.EPOLL_CTL_ADD, fd, &ev)
	if err != nil {
		d.take(fd, ev.Pad)
		closeNow(fd)
	}
	return err
}

// connect returns a descriptor unless none could be had (-1), and nil, EINPROGRESS or the error of the connect.
// SO_LINGER 0 makes close send RST, so that no local port stays behind in TIME_WAIT.
func connect(target netip.AddrPort, source netip.Addr) (fd int, err error) {
	family, sa, err := sockaddr(target)
	if err != nil {
		return -1, err
	}
	fd, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP)
	if err != nil {
		return -1, err
	}
	if err := unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}); err != nil {
		return fd, err
	}
	if source.IsValid() {
		if err := bind(fd, source); err != nil {
			return fd, fmt.Errorf("bind to %v: %w", source, err)
		}
	}
	return fd, connectNow(fd, sa)
}

// connectNow and closeNow are connect and close of a socket that blocks in neither. They do not tell the runtime of the call,
// which would give the thread's place to another one: where the answer is handled within the call, as by a host on the same
// machine, that costs more than the check.
func connectNow(fd int, sa unix.Sockaddr) error {
	var errno unix.Errno
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		raw := unix.RawSockaddrInet4{Family: unix.AF_INET, Port: networkOrder(uint16(sa.Port)), Addr: sa.Addr}
		_, _, errno = unix.RawSyscall(unix.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&raw)), unix.SizeofSockaddrInet4)
	case *unix.SockaddrInet6:
		raw := unix.RawSockaddrInet6{Family: unix.AF_INET6, Port: networkOrder(uint16(sa.Port)), Addr: sa.Addr, Scope_id: sa.ZoneId}
		_, _, errno = unix.RawSyscall(unix.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&raw)), unix.SizeofSockaddrInet6)
	}
	if errno != 0 {
		return errno
	}
	return nil
}

func closeNow(fd int) { _, _, _ = unix.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0) }

// bind sets the source address of a socket, and no port.
func bind(fd int, source netip.Addr) error {
	if err := noPort(fd); err != nil {
		return err
	}
	_, sa, err := sockaddr(netip.AddrPortFrom(source, 0))
	if err != nil {
		return err
	}
	return unix.Bind(fd, sa)
}

// noPort leaves the port of a socket that is bound to the connect, so that not all targets share one range of ports.
func noPort(fd int) error {
	return unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
}

// portLater is noPort for a net.Dialer.
func portLater(_, _ string, c syscall.RawConn) (err error) {
	if cerr := c.Control(func(fd uintptr) { err = noPort(int(fd)) }); cerr != nil {
		return cerr
	}
	return err
}

func sockaddr(target netip.AddrPort) (family int, sa unix.Sockaddr, err error) {
	addr := target.Addr().Unmap()
	if addr.Is4() {
		return unix.AF_INET, &unix.SockaddrInet4{Port: int(target.Port()), Addr: addr.As4()}, nil
	}
	zone, err := zoneID(addr.Zone())
	if err != nil {
		return 0, nil, err
	}
	return unix.AF_INET6, &unix.SockaddrInet6{Port: int(target.Port()), ZoneId: zone, Addr: addr.As16()}, nil
}

// zoneID is the interface index of the zone of a link-local address. An interface that is gone is a local fault.
func zoneID(zone string) (uint32, error) {
	if zone == "" {
		return 0, nil
	}
	if n, err := strconv.ParseUint(zone, 10, 32); err == nil {
		return uint32(n), nil
	}
	ifi, err := net.InterfaceByName(zone)
	if err != nil {
		return 0, fmt.Errorf("zone %s: %w", zone, unix.ENETDOWN)
	}
	return uint32(ifi.Index), nil
}

// expire ends a connect whose deadline has passed. The kernel is asked once more: if it was this process that stood
// still, the connection has come in the meantime. done is false if run has taken it already.
func (d *dialer) expire(e *entry) (res Result, done bool) {
	fd := e.fd
	if d.take(fd, e.generation) == nil {
		return Result{}, false
	}
	defer unix.Close(fd)
	poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
	if n, err := unix.Poll(poll, 0); err == nil && n > 0 {
		return connected(fd, e.target), true
	}
	return fault("connect", e.target, os.ErrDeadlineExceeded), true
}

// run reports the results of the connects in flight, until close.
func (d *dialer) run(report func([]outcome)) {
	events := make([]unix.EpollEvent, 256)
	for {
		n := 0
		err := d.conn.Read(func(fd uintptr) bool {
			var err error
			n, err = unix.EpollWait(int(fd), events, 0)
			return err == nil && n > 0
		})
		if err != nil {
			return // closed
		}
		if out := d.finish(events[:n]); len(out) > 0 {
			report(out)
		}
	}
}

// finish closes what has connected or failed to, and returns the results.
func (d *dialer) finish(events []unix.EpollEvent) []outcome {
	out, end := make([]outcome, 0, len(events)), time.Now()
	for _, ev := range events {
		fd := int(ev.Fd)
		e := d.take(fd, ev.Pad)
		if e == nil {
			continue // expired between the event and here, where the descriptor may be that of another already
		}
		out = append(out, ended(e, fd, ev.Events&(unix.EPOLLERR|unix.EPOLLHUP) != 0, end))
	}
	return out
}

// ended closes what has connected, or failed to, and returns the result. Without a fault it is a connection.
func ended(e *entry, fd int, faulty bool, end time.Time) outcome {
	defer closeNow(fd)
	var res Result
	if faulty || toItself(fd, e.target) {
		res = connected(fd, e.target)
	}
	return outcome{entry: e, res: res, end: end}
}

// connected is the result of a connect that has ended. A server that has accepted passes, whatever it did next:
// ECONNRESET and EPIPE come after a connection, a refused one is ECONNREFUSED.
func connected(fd int, target netip.AddrPort) Result {
	errno, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err == nil && errno != 0 {
		err = unix.Errno(errno)
	}
	if err == nil && toItself(fd, target) {
		err = unix.ECONNREFUSED
	}
	if err == nil || err == unix.ECONNRESET || err == unix.EPIPE {
		return Result{}
	}
	return fault("connect", target, err)
}

// toItself reports a connection of a socket with itself. It comes about where nothing listens on a port of this host
// and the kernel picks just that one as the local port.
func toItself(fd int, target netip.AddrPort) bool {
	if localPort(fd) != target.Port() {
		return false
	}
	local, err := unix.Getsockname(fd)
	if err != nil {
		return false
	}
	peer, err := unix.Getpeername(fd) // not target, which may be unspecified
	return err == nil && addrPort(local) == addrPort(peer)
}

// localPort is that of a socket; 0: it cannot be told. Unlike unix.Getsockname it leaves no garbage behind, which counts as
// each check asks.
func localPort(fd int) uint16 {
	var raw unix.RawSockaddrInet6 // the port of IPv4 is in the same place
	size := uint32(unix.SizeofSockaddrInet6)
	_, _, errno := unix.RawSyscall(unix.SYS_GETSOCKNAME, uintptr(fd), uintptr(unsafe.Pointer(&raw)), uintptr(unsafe.Pointer(&size)))
	if errno != 0 {
		return 0
	}
	return networkOrder(raw.Port)
}

func addrPort(sa unix.Sockaddr) netip.AddrPort {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr), uint16(sa.Port))
	}
	return netip.AddrPort{}
}

// take takes the entry out of the connects in flight; nil: another has. The descriptor alone does not tell, as the
// kernel gives a closed one out again.
func (d *dialer) take(fd int, generation int32) *entry {
	d.mu.Lock()
	defer d.mu.Unlock()
	e := d.inFlight[fd]
	if e == nil || e.generation != generation {
		return nil
	}
	delete(d.inFlight, fd)
	return e
}
