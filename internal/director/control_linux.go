// SPDX-License-Identifier: Apache-2.0

package director

import (
	"context"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

type credentialsKey struct{}

// withCredentials notes who is at the other end of a unix socket.
func withCredentials(ctx context.Context, c net.Conn) context.Context {
	uc, ok := c.(*net.UnixConn)
	if !ok {
		return ctx
	}
	rc, err := uc.SyscallConn()
	if err != nil {
		return ctx
	}
	_ = rc.Control(func(fd uintptr) {
		if cred, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			ctx = context.WithValue(ctx, credentialsKey{}, cred.Uid)
		}
	})
	return ctx
}

// mayChange reports whether the client is root, or whoever runs the director.
func mayChange(ctx context.Context) bool {
	uid, ok := ctx.Value(credentialsKey{}).(uint32)
	return ok && (uid == 0 || int(uid) == os.Geteuid())
}
