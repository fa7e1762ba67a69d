// SPDX-License-Identifier: Apache-2.0

package director

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/user"
	"slices"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

type credentialsKey struct{}

// credentials are of the process at the other end of a unix socket, as it was when it connected.
type credentials struct {
	uid    uint32
	groups []uint32 // the primary one first
}

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
			who := credentials{uid: cred.Uid, groups: append([]uint32{cred.Gid}, peerGroups(fd)...)}
			ctx = context.WithValue(ctx, credentialsKey{}, who)
		}
	})
	return ctx
}

// groupsMost is how many supplementary groups a process can have (NGROUPS_MAX, include/uapi/linux/limits.h).
const groupsMost = 65536

// peerGroups are the supplementary groups (SO_PEERGROUPS since Linux 4.13); none if the kernel does not say.
func peerGroups(fd uintptr) []uint32 {
	for n := 32; n <= groupsMost; n *= 2 {
		groups := make([]uint32, n)
		size := uint32(4 * n)
		_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, fd, unix.SOL_SOCKET, unix.SO_PEERGROUPS,
			uintptr(unsafe.Pointer(&groups[0])), uintptr(unsafe.Pointer(&size)), 0)
		if errno == 0 {
			return groups[:size/4]
		}
		if errno != unix.ERANGE {
			return nil
		}
	}
	return nil
}

// mayChange says why the client may not change anything; nil: it is root, or whoever runs the director, or in the group that
// the configuration names.
func mayChange(ctx context.Context, group string) error {
	who, ok := ctx.Value(credentialsKey{}).(credentials)
	switch {
	case ok && (who.uid == 0 || int(who.uid) == os.Geteuid()):
		return nil
	case group == "":
		return errors.New("only root may change something: a group that may, too, can be named by director.control_group")
	}
	gid, err := groupID(group)
	if err != nil {
		return err
	}
	if !ok || !slices.Contains(who.groups, gid) {
		return fmt.Errorf("only root and members of group %s may change something (a login from before you were one does not count)", group)
	}
	return nil
}

// groupID finds director.control_group.
func groupID(name string) (uint32, error) {
	g, err := user.LookupGroup(name)
	if err != nil {
		return 0, fmt.Errorf("director.control_group: %w: create it, or name another one", err)
	}
	gid, err := strconv.ParseUint(g.Gid, 10, 32)
	return uint32(gid), err
}

// share gives the control socket to the group whose members may change something; empty: to that of the director.
func share(path, group string) error {
	gid := os.Getegid()
	if group != "" {
		id, err := groupID(group)
		if err != nil {
			return err
		}
		gid = int(id)
	}
	return os.Chown(path, -1, gid)
}
