// SPDX-License-Identifier: Apache-2.0

package track

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// The process events of the kernel's connector: include/uapi/linux/connector.h and cn_proc.h.
const (
	cnIdxProc  = 1
	cnValProc  = 1
	procListen = 1
	procIgnore = 2

	eventNone = 0x0 // the answer to listen and ignore
	eventFork = 0x1
	eventExec = 0x2
	eventComm = 0x200
	eventExit = 0x80000000

	nlHeader    = 16 // struct nlmsghdr
	cnHeader    = 20 // struct cn_msg
	eventHeader = 16 // struct proc_event up to its union
	eventData   = nlHeader + cnHeader + eventHeader

	eventsBuffer = 4 << 20 // bytes the socket holds while we look elsewhere
	eventsBatch  = 256
	answerWithin = time.Second
)

// connector is the kernel's process events. The kernel tells them in the initial network namespace alone, and to a
// listener in the initial user and process namespaces.
type connector struct {
	file *os.File
	raw  syscall.RawConn
	buf  []byte
}

// listenProcesses asks the kernel for its process events. It needs CAP_NET_ADMIN.
func listenProcesses() (processEvents, error) {
	c, err := openConnector()
	if err != nil {
		return nil, fmt.Errorf("listen for process events: %w", err)
	}
	return c, nil
}

func openConnector() (*connector, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_CONNECTOR)
	if err != nil {
		return nil, err
	}
	c := &connector{file: os.NewFile(uintptr(fd), "process events"), buf: make([]byte, 4096)}
	if c.raw, err = c.file.SyscallConn(); err == nil {
		err = c.listen(fd)
	}
	if err != nil {
		c.file.Close()
		return nil, err
	}
	return c, nil
}

func (c *connector) listen(fd int) error {
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: cnIdxProc}); err != nil {
		return err
	}
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, eventsBuffer) != nil {
		// Without the right to more: what there is. An overrun costs a scan.
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, eventsBuffer)
	}
	if err := c.ask(procListen); err != nil {
		return err
	}
	// From another namespace the kernel may not even answer.
	if err := c.file.SetReadDeadline(time.Now().Add(answerWithin)); err != nil {
		return err
	}
	errno, answered := uint32(0), false
	for !answered {
		err := c.receive(func(m []byte) {
			ack := binary.NativeEndian.Uint32(m[nlHeader+12:]) // ours and one; the sequence may be the kernel's own
			if what(m) == eventNone && ack == uint32(os.Getpid())+1 && len(m) >= eventData+4 {
				errno, answered = field(m, 0), true
			}
		}, 1)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return errors.New("the kernel does not answer: this is not the initial namespace")
		}
		if err != nil && !errors.Is(err, unix.ENOBUFS) {
			return err
		}
	}
	if errno != 0 {
		return syscall.Errno(errno)
	}
	return c.file.SetReadDeadline(time.Time{})
}

// ask sends an operation. The kernel counts its listeners, so each listen needs its ignore.
func (c *connector) ask(op uint32) error {
	b := make([]byte, 0, nlHeader+cnHeader+4)
	for _, v := range []uint32{
		uint32(cap(b)), 0, 0, 0, // length, type, sequence, sender
		cnIdxProc, cnValProc, 0, uint32(os.Getpid()), 0, // id, sequence, ack, length
		op,
	} {
		b = binary.NativeEndian.AppendUint32(b, v)
	}
	binary.NativeEndian.PutUint16(b[4:], unix.NLMSG_DONE) // type and flags share a word, as do
	binary.NativeEndian.PutUint16(b[nlHeader+16:], 4)     // length and flags
	var err error
	if bad := c.raw.Control(func(fd uintptr) {
		err = unix.Sendto(int(fd), b, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
	}); bad != nil {
		return bad
	}
	return err
}

// receive waits for messages of the kernel and passes up to most of them to each.
func (c *connector) receive(each func(m []byte), most int) error {
	var err error
	bad := c.raw.Read(func(fd uintptr) bool {
		for n := 0; n < most; n++ {
			var size int
			var from unix.Sockaddr
			size, from, err = unix.Recvfrom(int(fd), c.buf, unix.MSG_DONTWAIT)
			switch {
			case errors.Is(err, unix.EINTR):
				continue
			case errors.Is(err, unix.EAGAIN):
				err = nil
				return n > 0
			case err != nil:
				return true
			}
			if a, ok := from.(*unix.SockaddrNetlink); ok && a.Pid == 0 { // else: not of the kernel
				messages(c.buf[:size], each)
			}
		}
		return true
	})
	if bad != nil {
		return bad
	}
	return err
}

// messages passes each process event in a datagram to each, with its headers.
func messages(b []byte, each func(m []byte)) {
	for len(b) >= nlHeader {
		size := int(binary.NativeEndian.Uint32(b))
		if size < nlHeader || size > len(b) {
			return
		}
		if m := b[:size]; size >= eventData && binary.NativeEndian.Uint32(m[nlHeader:]) == cnIdxProc && binary.NativeEndian.Uint32(m[nlHeader+4:]) == cnValProc {
			each(m)
		}
		b = b[min((size+3)&^3, len(b)):]
	}
}

func what(m []byte) uint32 { return binary.NativeEndian.Uint32(m[nlHeader+cnHeader:]) }

// field returns word n of an event's union.
func field(m []byte, n int) uint32 { return binary.NativeEndian.Uint32(m[eventData+4*n:]) }

// parseEvent reads an event. Those of a thread, whose number is not its process's, are nothing to us.
func parseEvent(m []byte) (processEvent, bool) {
	if len(m) < eventData+16 {
		return processEvent{}, false
	}
	pid, process := field(m, 0), field(m, 1)
	ev := processEvent{pid: int(process)}
	switch what(m) {
	case eventFork:
		pid, process = field(m, 2), field(m, 3)
		ev = processEvent{what: forked, pid: int(process), parent: int(field(m, 1))}
	case eventExec, eventComm:
		ev.what = renamed
	case eventExit:
		ev.what = exited
	}
	return ev, ev.what != 0 && pid == process
}

// Read returns the events that wait, or waits for some. Of those that concern nothing it returns none.
func (c *connector) Read() ([]processEvent, error) {
	for {
		var events []processEvent
		err := c.receive(func(m []byte) {
			if ev, ok := parseEvent(m); ok {
				events = append(events, ev)
			}
		}, eventsBatch)
		if errors.Is(err, unix.ENOBUFS) {
			return append(events, processEvent{what: overrun}), nil
		}
		if err != nil {
			return nil, fmt.Errorf("read process events: %w", err)
		}
		if len(events) > 0 {
			return events, nil
		}
	}
}

// Close ends Read.
func (c *connector) Close() error {
	return errors.Join(c.ask(procIgnore), c.file.Close())
}

// exitWait waits for the exit of a process.
type exitWait struct {
	file *os.File
	raw  syscall.RawConn
}

// waitExit opens a process so that its exit can be waited for.
func waitExit(pid int) (*exitWait, error) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return nil, fmt.Errorf("watch process %d: %w", pid, err)
	}
	if err := unix.SetNonblock(fd, true); err != nil { // so that the runtime polls it
		unix.Close(fd)
		return nil, fmt.Errorf("watch process %d: %w", pid, err)
	}
	w := &exitWait{file: os.NewFile(uintptr(fd), "process")}
	if w.raw, err = w.file.SyscallConn(); err != nil {
		w.file.Close()
		return nil, fmt.Errorf("watch process %d: %w", pid, err)
	}
	return w, nil
}

// Wait returns nil when the process has exited, and an error after Close.
func (w *exitWait) Wait() error {
	return w.raw.Read(func(fd uintptr) bool {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
		return n > 0 || err != nil && !errors.Is(err, unix.EINTR)
	})
}

// Close ends Wait.
func (w *exitWait) Close() error { return w.file.Close() }
