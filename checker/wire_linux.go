// SPDX-License-Identifier: Apache-2.0

package checker

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// mac is an Ethernet address.
type mac [6]byte

func (m mac) String() string {
	return fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5])
}

// wires are the packet sockets that all checks by way of a client's packet share: one for each interface and protocol,
// opened when first used. What comes in goes to the check that waits for it.
type wires struct {
	wg sync.WaitGroup // readers

	mu      sync.Mutex // guards what follows
	closed  bool
	open    map[wireKey]*wire
	waiting map[uint32]waiter // by acknowledgment number
	asked   map[arpKey]*arpAsk
	forgot  time.Time // when asked was last cleared of what is old

	routes   map[netip.Addr]route // by server
	routesOf uint64               // the change that they are newer than
	routesAt time.Time            // when the first of them was asked for
}

type wireKey struct {
	index    int    // of the interface
	protocol uint16 // of unix.ETH_P_*
}

// waiter is a check that has sent SYN from one address to another and waits for what answers.
type waiter struct {
	from, to netip.AddrPort
	answer   chan segment // of size 1
}

// wire is a packet socket without link-layer headers.
type wire struct {
	wireKey
	f    *os.File
	conn syscall.RawConn
}

func newWires() *wires {
	return &wires{open: make(map[wireKey]*wire), waiting: make(map[uint32]waiter), asked: make(map[arpKey]*arpAsk)}
}

// close closes all sockets and waits for their readers.
func (w *wires) close() {
	w.mu.Lock()
	w.closed = true
	for _, wire := range w.open {
		_ = wire.f.Close()
	}
	w.mu.Unlock()
	w.wg.Wait()
}

// send sends what follows the link-layer header to an address on an interface. ENETDOWN: the interface is down or gone.
func (w *wires) send(key wireKey, to mac, b []byte) error {
	wire, err := w.wire(key)
	if err == nil {
		sa := unix.SockaddrLinklayer{Protocol: networkOrder(key.protocol), Ifindex: key.index, Halen: 6}
		copy(sa.Addr[:], to[:])
		if cerr := wire.conn.Control(func(fd uintptr) { err = unix.Sendto(int(fd), b, unix.MSG_DONTWAIT, &sa) }); cerr != nil {
			err = cerr
		}
	}
	// Closed: its reader has met the same.
	if errors.Is(err, unix.ENODEV) || errors.Is(err, unix.ENXIO) || errors.Is(err, os.ErrClosed) {
		return unix.ENETDOWN
	}
	return err
}

// wire returns the socket of an interface and protocol.
func (w *wires) wire(key wireKey) (*wire, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if wire := w.open[key]; wire != nil {
		return wire, nil
	}
	if w.closed {
		return nil, os.ErrClosed
	}
	wire, err := openWire(key)
	if err != nil {
		return nil, fmt.Errorf("open packet socket: %w", err)
	}
	w.open[key] = wire
	w.wg.Go(func() {
		wire.read(w.take)
		_ = wire.f.Close()
		w.mu.Lock() // the next check opens another: the interface was down, or is a new one of the old name
		delete(w.open, key)
		w.mu.Unlock()
	})
	return wire, nil
}

// receiveBuffer is for the answers to all checks that may be in flight, in bytes. Those of a first round come at once.
const receiveBuffer = 2 << 20

func openWire(key wireKey) (*wire, error) {
	// Protocol 0 receives nothing until bind, so that nothing comes past the filter.
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	filter := filters[key.protocol]
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: unsafe.SliceData(filter)}
	if err = unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &program); err == nil {
		err = unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: networkOrder(key.protocol), Ifindex: key.index})
	}
	if err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer) // in a user namespace as much as is allowed
	}
	wire := &wire{wireKey: key, f: os.NewFile(uintptr(fd), "packets")}
	if wire.conn, err = wire.f.SyscallConn(); err != nil {
		_ = wire.f.Close()
		return nil, err
	}
	return wire, nil
}

// networkOrder gives a protocol or port as a socket address has it.
func networkOrder(n uint16) uint16 {
	return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, n))
}

// read hands each packet to f until the socket fails or is closed.
func (w *wire) read(f func(key wireKey, b []byte)) {
	b := make([]byte, 128)
	for {
		n, err := 0, error(nil)
		cerr := w.conn.Read(func(fd uintptr) bool {
			n, _, err = unix.Recvfrom(int(fd), b, 0)
			return err != unix.EAGAIN
		})
		switch {
		case cerr != nil || err != nil && err != unix.EINTR:
			return
		case err == nil:
			f(w.wireKey, b[:n])
		}
	}
}

// take gives a packet to who waits for it.
func (w *wires) take(key wireKey, b []byte) {
	if key.protocol == unix.ETH_P_ARP {
		w.takeARP(key.index, b)
		return
	}
	a, ok := parseSegment(b)
	if !ok {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	wait, known := w.waiting[a.ack]
	if !known || wait.from != a.to || wait.to != a.from {
		return
	}
	select {
	case wait.answer <- a:
	default: // the answer to a SYN sent twice
	}
}

// sequenceMark is the first byte of all our sequence numbers, by which the filter leaves nearly all other answers to the kernel.
const sequenceMark = 0x68

// wait registers a check for the answers to its SYN and returns the sequence number to send. Done ends it.
func (w *wires) wait(from, to netip.AddrPort) (seq uint32, answers <-chan segment, done func()) {
	c := make(chan segment, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	for {
		ack := sequenceMark<<24 | 1 + rand.Uint32N(1<<24-1)
		if _, taken := w.waiting[ack]; taken {
			continue
		}
		w.waiting[ack] = waiter{from, to, c}
		return ack - 1, c, func() {
			w.mu.Lock()
			defer w.mu.Unlock()
			delete(w.waiting, ack)
		}
	}
}

// filters let in what may be an answer to a check: TCP segments with SYN or RST whose acknowledgment number begins with
// sequenceMark, and ARP replies. The packet begins with its network header.
var filters = map[uint16][]unix.SockFilter{
	unix.ETH_P_IP: {
		load(unix.BPF_B, 9), unless(unix.BPF_JEQ, protocolTCP, 8),
		load(unix.BPF_H, 6), {Code: unix.BPF_JMP | unix.BPF_JSET, K: 0x1fff, Jt: 6},
		{Code: unix.BPF_LDX | unix.BPF_B | unix.BPF_MSH},
		{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_IND, K: 13}, unless(unix.BPF_JSET, flagSYN|flagRST, 3),
		{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_IND, K: 8}, unless(unix.BPF_JEQ, sequenceMark, 1),
		{Code: unix.BPF_RET, K: 128},
		{Code: unix.BPF_RET},
	},
	unix.ETH_P_IPV6: {
		load(unix.BPF_B, 6), unless(unix.BPF_JEQ, protocolTCP, 5),
		load(unix.BPF_B, 40+13), unless(unix.BPF_JSET, flagSYN|flagRST, 3),
		load(unix.BPF_B, 40+8), unless(unix.BPF_JEQ, sequenceMark, 1),
		{Code: unix.BPF_RET, K: 128},
		{Code: unix.BPF_RET},
	},
	unix.ETH_P_ARP: {
		load(unix.BPF_H, 6), unless(unix.BPF_JEQ, arpReply, 1),
		{Code: unix.BPF_RET, K: 128},
		{Code: unix.BPF_RET},
	},
}

// load reads what is at an offset.
func load(size uint16, offset uint32) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_ABS | size, K: offset}
}

// unless skips so many instructions if a test of what was read fails.
func unless(test uint16, value uint32, skip uint8) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_K | test, K: value, Jf: skip}
}

// reserve takes a local port that no connection of this host uses, until done.
func reserve(source netip.Addr) (local netip.AddrPort, done func(), err error) {
	family, sa, err := sockaddr(netip.AddrPortFrom(source, 0))
	if err != nil {
		return netip.AddrPort{}, nil, err
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP)
	if err != nil {
		return netip.AddrPort{}, nil, err
	}
	done = func() { _ = unix.Close(fd) }
	if err = unix.Bind(fd, sa); err == nil {
		sa, err = unix.Getsockname(fd)
	}
	if err != nil {
		done()
		return netip.AddrPort{}, nil, fmt.Errorf("bind to %s: %w", source, err)
	}
	return addrPort(sa), done, nil
}
