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
	"strings"
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
	family    uint16      // the number of IPVS, a new one each time that the module is loaded
	writer    chan writer // size 1: who takes it owns it
	syncLinks syncLinks
}

// writer is what writes: moby/ipvs what it can, we the rest. Either knows one user at a time.
type writer struct {
	moby  *moby.Handle     // nil: open one first
	own   *reader          // nil: open one first
	tried map[string]error // modules that were asked for once
	ended bool             // by Close
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
	err := k.read(ctx, func(r reader) error {
		k.family = r.family.ID
		_, err := r.info()
		return err
	})
	if err != nil {
		return nil, err
	}
	w := writer{tried: make(map[string]error)}
	if err := w.openMoby(ctx, k); err != nil {
		return nil, err
	}
	k.writer <- w
	return k, nil
}

// Close releases the table once an operation that is being carried out has ended. Afterwards there are no more: they end
// with os.ErrClosed. Closing again does nothing.
func (k *Kernel) Close() error {
	w := <-k.writer
	w.close()
	w.ended = true
	k.writer <- w
	return nil
}

func (w *writer) close() {
	if w.moby != nil {
		w.moby.Close()
	}
	if w.own != nil {
		_ = w.own.conn.Close()
	}
	w.moby, w.own = nil, nil
}

// List implements [Table].
func (k *Kernel) List(ctx context.Context) ([]Service, error) { return get(ctx, k, reader.list) }

// Stats implements [Table].
func (k *Kernel) Stats(ctx context.Context) ([]ServiceStats, error) { return get(ctx, k, reader.stats) }

// Timeouts implements [Table].
func (k *Kernel) Timeouts(ctx context.Context) (Timeouts, error) { return get(ctx, k, reader.timeouts) }

// Info returns the version of the kernel's IPVS and the size of its connection table.
func (k *Kernel) Info(ctx context.Context) (Info, error) { return get(ctx, k, reader.info) }

// Zero sets the counters of a service and its destinations to zero, or with the zero key those of all services. Its error
// wraps ESRCH if there is no such service.
func (k *Kernel) Zero(ctx context.Context, key Key) error {
	return k.read(ctx, func(r reader) error {
		var request []byte
		if key != (Key{}) {
			request = encodeKey(key)
		}
		_, err := r.execute(cmdZero, netlink.Request|netlink.Acknowledge, request)
		return err
	})
}

func get[T any](ctx context.Context, k *Kernel, f func(reader) (T, error)) (value T, err error) {
	err = k.read(ctx, func(r reader) error {
		value, err = f(r)
		return err
	})
	return value, err
}

// read calls f with a connection that closes when the context ends, which is what ends waiting for an answer.
func (k *Kernel) read(ctx context.Context, f func(reader) error) error {
	r, err := k.dial()
	if err != nil {
		return err
	}
	defer r.conn.Close()
	stop := context.AfterFunc(ctx, func() { r.conn.Close() })
	defer stop()
	if err = r.findFamily(k.family); err == nil {
		err = f(r)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return explain(Op{}, err)
}

func (k *Kernel) dial() (r reader, err error) {
	err = k.inNamespace(func(c *netlink.Config) (err error) {
		c.MessageBufferSize = 64 << 10 // above what the kernel puts in one message of a dump
		r.conn, err = genetlink.Dial(c)
		return err
	})
	return r, err
}

// inNamespace calls f with what opens a connection in the network namespace of the table.
func (k *Kernel) inNamespace(f func(*netlink.Config) error) error {
	var c netlink.Config
	if k.namespace != "" {
		ns, err := os.Open(k.namespace)
		if err != nil {
			return err
		}
		defer ns.Close()
		c.NetNS = int(ns.Fd())
	}
	return f(&c)
}

// findFamily fails if the number of IPVS is not the known one; 0: none is known yet.
func (r *reader) findFamily(known uint16) (err error) {
	r.family, err = r.conn.GetFamily(familyName)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("%w: %w", ErrNoIPVS, err)
	case err == nil && known != 0 && r.family.ID != known:
		return ErrReloaded
	}
	return err
}

// Apply implements [Table]. It ends with the context even if moby/ipvs, which waits for a lost answer for ever, does
// not; whether the operation was carried out is then unknown.
func (k *Kernel) Apply(ctx context.Context, op Op) error {
	var w writer
	select {
	case w = <-k.writer:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { k.writer <- w }()
	if w.ended {
		return fmt.Errorf("ipvs table: %w", os.ErrClosed)
	}
	if op.Kind == StartSync && int(op.Sync.Role) < len(k.syncLinks) {
		k.syncLinks[op.Sync.Role].Store(0)
	}
	err := w.write(ctx, k, op)
	if errors.Is(err, unix.ENOENT) { // so says netlink, too, if there is no IPVS at the number that we know
		if readErr := k.read(ctx, func(reader) error { return nil }); readErr != nil {
			return readErr
		}
	}
	if errors.Is(err, unix.ENOENT) && (op.Kind == AddService || op.Kind == UpdateService) {
		err = w.writeWithModules(ctx, k, op, err)
	}
	return explain(op, err)
}

// write carries out an operation on a connection that has met no error yet: what an old one receives late confuses nobody.
func (w *writer) write(ctx context.Context, k *Kernel, op Op) (err error) {
	var apply func(Op) error
	var hangUp func()
	if mobyCan(op) && w.moby == nil {
		if err := w.openMoby(ctx, k); err != nil {
			return err
		}
	}
	if h := w.moby; h != nil && mobyCan(op) {
		apply, hangUp = func(op Op) error { return mobyApply(h, op) }, h.Close
	} else {
		if w.own == nil {
			if err := w.openOwn(k); err != nil {
				return err
			}
		}
		r := *w.own
		apply, hangUp = r.apply, func() { _ = r.conn.Close() }
	}
	stop := context.AfterFunc(ctx, hangUp)
	err = apply(op)
	if !stop() {
		err = fmt.Errorf("no answer from the kernel: %w", context.Cause(ctx))
	}
	if err != nil {
		w.close()
	}
	return err
}

func (w *writer) openOwn(k *Kernel) error {
	r, err := k.dial()
	if err != nil {
		return err
	}
	if err := r.findFamily(k.family); err != nil {
		_ = r.conn.Close()
		return err
	}
	w.own = &r
	return nil
}

// writeWithModules tries again with the modules loaded that the service needs. The kernel asks for them itself, but that
// does not reach the modules from every container or virtual machine.
func (w *writer) writeWithModules(ctx context.Context, k *Kernel, op Op, err error) error {
	need := []struct{ what, module string }{{"scheduler " + op.Scheduler, "ip_vs_" + op.Scheduler}}
	if e := op.Persistence.Engine; e != "" {
		need = append(need, struct{ what, module string }{"persistence engine " + e, "ip_vs_pe_" + e})
	}
	var missing []string
	again := false
	for _, n := range need {
		if _, tried := w.tried[n.module]; !tried {
			w.tried[n.module], again = modprobe(ctx, n.module), true
		}
		if loadErr := w.tried[n.module]; loadErr != nil { // no module, or no permission, or no modprobe
			missing = append(missing, fmt.Sprintf("the kernel has no %s: %v", n.what, loadErr))
		}
	}
	if again {
		err = w.write(ctx, k, op)
	}
	if len(missing) == 0 || !errors.Is(err, unix.ENOENT) {
		return err
	}
	return fmt.Errorf("%s: %w", strings.Join(missing, "; "), err)
}

// mobyFamily is the number of the netlink family that moby/ipvs looks up once in the life of a process. Once the module
// was loaded anew, all writing is ours.
var mobyFamily atomic.Uint32

// openMoby opens a handle of moby/ipvs, which is safe only after a successful read: without the family it keeps quiet
// and from then on reports success for every operation without doing any.
func (w *writer) openMoby(ctx context.Context, k *Kernel) error {
	if !mobyFamily.CompareAndSwap(0, uint32(k.family)) && mobyFamily.Load() != uint32(k.family) {
		return nil
	}
	logrus.SetOutput(io.Discard) // it logs a modprobe that fails even if IPVS is there
	h, err := moby.New(k.namespace)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, h.Close)
	// No table has a service of protocol 0.
	nothing := &moby.Service{AddressFamily: unix.AF_INET, Address: netip.IPv4Unspecified().AsSlice()}
	present := h.IsServicePresent(nothing)
	if !stop() {
		return fmt.Errorf("no answer from the kernel: %w", context.Cause(ctx))
	}
	if present {
		h.Close()
		mobyFamily.Store(missedFamily)
		return nil
	}
	w.moby = h
	return nil
}

// missedFamily stands for what moby/ipvs remembers if it looked when there was no IPVS.
const missedFamily = 1 << 16

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
