// SPDX-License-Identifier: Apache-2.0

package ipvs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"sync/atomic"

	"github.com/mdlayher/genetlink"
	"github.com/mdlayher/netlink"
	moby "github.com/moby/ipvs"
	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"
)

// Kernel is the IPVS table of a network namespace. Its methods may be called from any goroutine: writing goes one
// operation at a time, reading has a connection of its own each time and waits for nobody.
type Kernel struct {
	namespace string
	writer    chan writer // size 1: who takes it owns it
}

// writer is what moby/ipvs needs: one user at a time.
type writer struct {
	handle *moby.Handle    // nil: open one first
	tried  map[string]bool // modules that were asked for once
}

// LoadKernel is OpenKernel for one who may load the kernel module if need be. Trying again later is allowed.
func LoadKernel(ctx context.Context, namespace string) (*Kernel, error) {
	k, err := OpenKernel(ctx, namespace)
	if !errors.Is(err, ErrNoIPVS) {
		return k, err
	}
	if loadErr := modprobe(ctx, "ip_vs"); loadErr != nil {
		return nil, fmt.Errorf("%w; %w", err, loadErr)
	}
	return OpenKernel(ctx, namespace)
}

// OpenKernel opens the table of the network namespace at a path such as /run/netns/lab, which takes CAP_SYS_ADMIN, or
// with "" of the one that the process is in. The error wraps [ErrNoIPVS] if the kernel has none, or none yet.
func OpenKernel(ctx context.Context, namespace string) (*Kernel, error) {
	k := &Kernel{namespace: namespace, writer: make(chan writer, 1)}
	if _, err := k.Info(ctx); err != nil {
		return nil, err
	}
	h, err := k.newHandle(ctx)
	if err != nil {
		return nil, err
	}
	k.writer <- writer{h, make(map[string]bool)}
	return k, nil
}

// Close releases the table, which must not be used afterwards.
func (k *Kernel) Close() error {
	if w := <-k.writer; w.handle != nil {
		w.handle.Close()
	}
	return nil
}

// List implements [Table].
func (k *Kernel) List(ctx context.Context) ([]Service, error) {
	var list []Service
	err := k.read(ctx, func(r reader) (err error) {
		list, _, err = r.table()
		return err
	})
	return list, err
}

// Stats implements [Table].
func (k *Kernel) Stats(ctx context.Context) ([]ServiceStats, error) {
	var stats []ServiceStats
	err := k.read(ctx, func(r reader) (err error) {
		_, stats, err = r.table()
		return err
	})
	return stats, err
}

// Info returns the version of the kernel's IPVS and the size of its connection table.
func (k *Kernel) Info(ctx context.Context) (Info, error) {
	var info Info
	err := k.read(ctx, func(r reader) (err error) {
		info, err = r.info()
		return err
	})
	return info, err
}

// read calls f with a connection that closes when the context ends, which is what ends waiting for an answer.
func (k *Kernel) read(ctx context.Context, f func(reader) error) error {
	c := netlink.Config{MessageBufferSize: 64 << 10} // above what the kernel puts in one message of a dump
	if k.namespace != "" {
		ns, err := os.Open(k.namespace)
		if err != nil {
			return err
		}
		defer ns.Close()
		c.NetNS = int(ns.Fd())
	}
	conn, err := genetlink.Dial(&c)
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()

	family, err := conn.GetFamily(familyName)
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%w: %w", ErrNoIPVS, err)
	}
	if err == nil {
		id := uint32(family.ID)
		if !mobyFamily.CompareAndSwap(0, id) && mobyFamily.Load() != id {
			return ErrReloaded
		}
		err = f(reader{conn, family})
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return explain(err)
}

// Apply implements [Table]. It ends with the context even if moby/ipvs, which waits for a lost answer for ever, does
// not; whether the operation was carried out is then unknown.
func (k *Kernel) Apply(ctx context.Context, op Op) error {
	if a := op.Destination.Address.Addr(); a.IsValid() && a.Is4() != op.Service.Address.Is4() {
		// moby/ipvs does not send the family: the kernel would take the wrong bytes for the address.
		return fmt.Errorf("destination of another address family: %w", unix.EINVAL)
	}
	var w writer
	select {
	case w = <-k.writer:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { k.writer <- w }()
	err := w.write(ctx, k, op)
	if errors.Is(err, unix.ENOENT) && (op.Kind == AddService || op.Kind == UpdateService) {
		err = w.writeWithScheduler(ctx, k, op, err)
	}
	return explain(err)
}

// write carries out an operation on a handle that has met no error yet: what an old one receives late confuses nobody.
func (w *writer) write(ctx context.Context, k *Kernel, op Op) (err error) {
	if w.handle == nil {
		if w.handle, err = k.newHandle(ctx); err != nil {
			return err
		}
	}
	stop := context.AfterFunc(ctx, w.handle.Close)
	err = call(w.handle, op)
	if !stop() {
		err = fmt.Errorf("no answer from the kernel: %w", context.Cause(ctx))
	}
	if err != nil {
		w.handle.Close()
		w.handle = nil
	}
	return err
}

// writeWithScheduler tries again with the scheduler's module loaded. The kernel asks for it itself, but that does not
// reach the modules from every container or virtual machine.
func (w *writer) writeWithScheduler(ctx context.Context, k *Kernel, op Op, err error) error {
	module := "ip_vs_" + op.Scheduler
	if !w.tried[module] {
		w.tried[module] = true
		if modprobe(ctx, module) == nil {
			err = w.write(ctx, k, op)
		}
	}
	if errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("scheduler %s: the kernel has no module %s: %w", op.Scheduler, module, err)
	}
	return err
}

// call translates an operation for moby/ipvs.
func call(h *moby.Handle, op Op) error {
	s := &moby.Service{
		Address:       op.Service.Address.AsSlice(),
		Protocol:      uint16(op.Service.Protocol),
		Port:          op.Service.Port,
		SchedName:     op.Scheduler,
		Flags:         uint32(op.Flags),
		AddressFamily: unix.AF_INET,
		Netmask:       0xffffffff, // persistence by single client
	}
	if op.Service.Address.Is6() {
		s.AddressFamily, s.Netmask = unix.AF_INET6, 128
	}
	d := &moby.Destination{
		Address:         op.Destination.Address.Addr().AsSlice(),
		Port:            op.Destination.Address.Port(),
		Weight:          int(op.Destination.Weight),
		ConnectionFlags: forwards[op.Destination.Forward],
	}
	switch op.Kind {
	case AddService:
		return h.NewService(s)
	case UpdateService:
		return h.UpdateService(s)
	case DeleteService:
		return h.DelService(s)
	case AddDestination:
		return h.NewDestination(s, d)
	case UpdateDestination:
		return h.UpdateDestination(s, d)
	case DeleteDestination:
		return h.DelDestination(s, d)
	}
	return fmt.Errorf("%s: %w", op.Kind, unix.EINVAL)
}

// mobyFamily is the number of the netlink family that moby/ipvs looks up once in the life of a process.
var mobyFamily atomic.Uint32

// newHandle opens a handle of moby/ipvs, which is safe only after a successful read: without the family it keeps quiet
// and from then on reports success for every operation without doing any.
func (k *Kernel) newHandle(ctx context.Context) (*moby.Handle, error) {
	logrus.SetOutput(io.Discard) // it logs a modprobe that fails even if IPVS is there
	h, err := moby.New(k.namespace)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, h.Close)
	// No table has a service of protocol 0.
	nothing := &moby.Service{AddressFamily: unix.AF_INET, Address: netip.IPv4Unspecified().AsSlice()}
	present := h.IsServicePresent(nothing)
	if !stop() {
		return nil, fmt.Errorf("no answer from the kernel: %w", context.Cause(ctx))
	}
	if present {
		h.Close()
		return nil, errors.New("moby/ipvs has missed the kernel's IPVS and looks only once: restart the process")
	}
	return h, nil
}

// explain adds what an operator can do about an error.
func explain(err error) error {
	switch {
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("needs CAP_NET_ADMIN in the initial user namespace: %w", err)
	case errors.Is(err, unix.EAFNOSUPPORT):
		return fmt.Errorf("the kernel's IPVS knows no IPv6: %w", err)
	case errors.Is(err, unix.ENOPROTOOPT):
		return fmt.Errorf("the kernel is unloading ip_vs: %w", err)
	}
	return err
}

// modprobe loads a kernel module.
func modprobe(ctx context.Context, module string) error {
	out, err := exec.CommandContext(ctx, "modprobe", "--", module).CombinedOutput()
	if err == nil {
		return nil
	}
	if out = bytes.TrimSpace(out); len(out) > 0 {
		return fmt.Errorf("modprobe %s: %w: %s", module, err, out)
	}
	return fmt.Errorf("modprobe %s: %w", module, err)
}
