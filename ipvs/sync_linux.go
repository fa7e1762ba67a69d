// SPDX-License-Identifier: Apache-2.0

package ipvs

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// syncLinks has by role the index of the link that a daemon runs on; 0: not known.
type syncLinks [SyncBackup + 1]atomic.Uint32

// SyncDaemons implements [Table].
func (k *Kernel) SyncDaemons(ctx context.Context) ([]SyncDaemon, error) {
	list, err := get(ctx, k, reader.syncDaemons)
	if err != nil {
		return nil, err
	}
	for i := range list {
		if err := k.checkSyncLink(ctx, &list[i]); err != nil {
			return nil, fmt.Errorf("find interface %s: %w", list[i].Interface, err)
		}
	}
	return list, nil
}

// checkSyncLink takes the interface from a daemon that has lost it. The kernel shows the name on, also where another link
// bears it now, but the daemon's sockets stay with the link that is gone: it sends and receives nothing. The link that a
// daemon is first seen with counts as its own.
func (k *Kernel) checkSyncLink(ctx context.Context, d *SyncDaemon) error {
	index, err := k.linkIndex(ctx, d.Interface)
	if err != nil || int(d.Role) >= len(k.syncLinks) {
		return err
	}
	own := &k.syncLinks[d.Role]
	if index == 0 || !own.CompareAndSwap(0, index) && own.Load() != index {
		d.Interface = ""
	}
	return nil
}

// linkIndex returns the index of a link; 0: there is none.
func (k *Kernel) linkIndex(ctx context.Context, name string) (index uint32, err error) {
	err = k.inNamespace(func(c *netlink.Config) error {
		conn, err := netlink.Dial(unix.NETLINK_ROUTE, c)
		if err != nil {
			return err
		}
		defer conn.Close()
		stop := context.AfterFunc(ctx, func() { conn.Close() })
		defer stop()
		e := netlink.NewAttributeEncoder()
		e.String(unix.IFLA_IFNAME, name)
		attributes, err := e.Encode()
		if err != nil {
			return err
		}
		header := netlink.Header{Type: unix.RTM_GETLINK, Flags: netlink.Request}
		answers, err := conn.Execute(netlink.Message{Header: header, Data: append(make([]byte, unix.SizeofIfInfomsg), attributes...)})
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, unix.ENODEV):
			return nil
		case err != nil:
			return err
		case len(answers) != 1 || len(answers[0].Data) < unix.SizeofIfInfomsg:
			return errors.New("the answer is no link")
		}
		index = binary.NativeEndian.Uint32(answers[0].Data[4:]) // struct ifinfomsg: family, type, index
		return nil
	})
	return index, err
}
