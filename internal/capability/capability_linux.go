// SPDX-License-Identifier: Apache-2.0

// Package capability gives up what root may do and a director does not need, capabilities(7).
package capability

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Set is a set of capabilities: bit n is the one of number n in include/uapi/linux/capability.h.
type Set uint64

// Of returns the set of some capabilities, unix.CAP_*.
func Of(capabilities ...uint) Set {
	var s Set
	for _, c := range capabilities {
		s |= 1 << c
	}
	return s
}

// What a director may keep.
var (
	// Balance is what it takes to set addresses, links, routes, IPVS and the sysctls of the network.
	Balance = Of(unix.CAP_NET_ADMIN)
	// Elect is what it takes besides to send and hear adverts, ARP, neighbour advertisements and ICMP.
	Elect = Of(unix.CAP_NET_RAW)
	// Serve is what any reload may ask for: scripts and checks of another user, and their end at the deadline; the group of the
	// control socket; http.listen below port 1024.
	Serve = Of(unix.CAP_SETUID, unix.CAP_SETGID, unix.CAP_KILL, unix.CAP_CHOWN, unix.CAP_NET_BIND_SERVICE)
	// Hurry is what director.realtime takes.
	Hurry = Of(unix.CAP_SYS_NICE, unix.CAP_IPC_LOCK)
	// Limiting is what it takes to limit root's programs, too.
	Limiting = Of(unix.CAP_SETPCAP)
)

var names = map[uint]string{
	unix.CAP_CHOWN: "CAP_CHOWN", unix.CAP_KILL: "CAP_KILL", unix.CAP_SETGID: "CAP_SETGID", unix.CAP_SETUID: "CAP_SETUID",
	unix.CAP_NET_BIND_SERVICE: "CAP_NET_BIND_SERVICE", unix.CAP_NET_ADMIN: "CAP_NET_ADMIN", unix.CAP_NET_RAW: "CAP_NET_RAW",
	unix.CAP_IPC_LOCK: "CAP_IPC_LOCK", unix.CAP_SYS_NICE: "CAP_SYS_NICE", unix.CAP_SETPCAP: "CAP_SETPCAP",
}

// String lists the names, in the order of their numbers.
func (s Set) String() string {
	var list []string
	for c := range uint(64) {
		switch {
		case s&(1<<c) == 0:
		case names[c] != "":
			list = append(list, names[c])
		default:
			list = append(list, fmt.Sprint(c))
		}
	}
	return strings.Join(list, " ")
}

// Lacks returns an error that says what to do where s does not have all that is needed.
func (s Set) Lacks(needed Set) error {
	lacks := needed &^ s
	if lacks == 0 {
		return nil
	}
	flags := strings.ReplaceAll(lacks.String(), "CAP_", "--cap-add ")
	return fmt.Errorf("not permitted without %s: start holdfast as root or by its systemd unit; as another user with AmbientCapabilities=%s; in a container with %s",
		lacks, lacks, flags)
}

// Permitted returns what the calling thread may have.
func Permitted() (Set, error) {
	sets, err := get()
	return Set(sets[0].Permitted) | Set(sets[1].Permitted)<<32, err
}

func get() (sets [2]unix.CapUserData, err error) {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	if err := unix.Capget(&header, &sets[0]); err != nil {
		return sets, fmt.Errorf("capget: %w", err)
	}
	return sets, nil
}

// ErrCgo is the error of Limit in a program that was linked with cgo: there, Go does not know all threads.
var ErrCgo = errors.New("this holdfast is linked with cgo (build it with CGO_ENABLED=0)")

// Limit takes from this process, all its threads and all programs that it will start, every capability but those of keep, and
// returns what is left. None is inherited by programs of another user, whether this process is root's or has ambient ones.
//
// Without CAP_SETPCAP the bounding set stays as whoever started this process has made it. There is no way back.
func Limit(keep Set) (Set, error) {
	held, err := Permitted()
	if err != nil {
		return held, err
	}
	if held&Limiting != 0 { // or a program of root would have them all again
		if err := bound(keep); err != nil {
			return held, err
		}
	}
	left := held & keep
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets [2]unix.CapUserData
	for i := range sets {
		bits := uint32(left >> (32 * i))
		sets[i] = unix.CapUserData{Effective: bits, Permitted: bits} // ambient ones end with inheritable ones
	}
	_, _, errno := syscall.AllThreadsSyscall(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&sets)), 0)
	if err := explain("capset", errno); err != nil {
		return held, err
	}
	return left, nil
}

// bound narrows the bounding set.
func bound(keep Set) error {
	for c := range uintptr(64) {
		if keep&(1<<c) != 0 {
			continue
		}
		if there, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, c, 0, 0, 0); err != nil || there == 0 {
			continue // EINVAL: the kernel knows no such capability
		}
		_, _, errno := syscall.AllThreadsSyscall(unix.SYS_PRCTL, unix.PR_CAPBSET_DROP, c, 0)
		if err := explain("prctl PR_CAPBSET_DROP", errno); err != nil {
			return err
		}
	}
	return nil
}

// explain is the error of a system call on all threads.
func explain(name string, errno syscall.Errno) error {
	switch errno {
	case 0:
		return nil
	case syscall.ENOTSUP:
		return ErrCgo
	}
	return fmt.Errorf("%s: %w", name, errno)
}
