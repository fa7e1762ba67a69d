// SPDX-License-Identifier: Apache-2.0

package command

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"syscall"

	"github.com/holdfast-lb/holdfast/internal/trust"
)

// isolate gives cmd its process group and its user.
//
// Pdeathsig is not used: the kernel sends it when the thread that forked ends, and a goroutine that starts a program
// does not own its thread (prctl(2), PR_SET_PDEATHSIG). A program outlives a director that is killed, until its own end.
func (c Command) isolate(cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error {
		err := syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		if errors.Is(err, syscall.ESRCH) {
			return os.ErrProcessDone
		}
		return err
	}
	if c.User == "" {
		return c.trusted(os.Geteuid())
	}
	cred, err := credential(c.User)
	switch {
	case errors.As(err, new(user.UnknownUserError)):
		return fmt.Errorf("as user %s: %w", c.User, err)
	case err != nil: // no descriptor left, or a file of users that cannot be read just now
		return fmt.Errorf("as user %s: %w: %w", c.User, ErrLocal, err)
	}
	if int(cred.Uid) != os.Geteuid() {
		cmd.SysProcAttr.Credential = cred
	}
	return c.trusted(int(cred.Uid))
}

// trusted refuses a program that root is to run and others may change, by itself, by its interpreter, or by a folder on the way
// to either. Since none of that is in the hands of others afterwards, it is soon enough to look right before it is started.
func (c Command) trusted(uid int) error {
	if uid != 0 {
		return nil
	}
	if err := trust.Program(c.Args[0]); errors.Is(err, trust.ErrOthers) {
		return fmt.Errorf("refused for root: %w: %w", ErrLocal, err)
	}
	return nil // what else is wrong with it, the kernel says
}

// credential looks up a user by name or number. A number need not belong to a known user; its group is the same number
// then.
func credential(name string) (*syscall.Credential, error) {
	u, err := user.Lookup(name)
	if err != nil {
		id, bad := strconv.ParseUint(name, 10, 32)
		if bad != nil {
			return nil, err
		}
		u, err = user.LookupId(name)
		if errors.As(err, new(user.UnknownUserIdError)) {
			return &syscall.Credential{Uid: uint32(id), Gid: uint32(id)}, nil
		}
		if err != nil {
			return nil, err
		}
	}
	uid, err := number(u.Uid)
	if err != nil {
		return nil, err
	}
	gid, err := number(u.Gid)
	if err != nil {
		return nil, err
	}
	cred := &syscall.Credential{Uid: uid, Gid: gid}
	groups, err := u.GroupIds()
	if err != nil {
		return nil, fmt.Errorf("its groups: %w", err)
	}
	for _, g := range groups {
		id, err := number(g)
		if err != nil {
			return nil, err
		}
		cred.Groups = append(cred.Groups, id)
	}
	return cred, nil
}

func number(s string) (uint32, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	return uint32(n), err
}

// explain says in the words of a user why a program did not start.
func (c Command) explain(err error) error {
	if perr, ok := errors.AsType[*os.PathError](err); ok {
		err = perr.Err // the path stands before it
	}
	switch {
	case errors.Is(err, syscall.EAGAIN), errors.Is(err, syscall.ENOMEM), errors.Is(err, syscall.EMFILE),
		errors.Is(err, syscall.ENFILE), errors.Is(err, syscall.ETXTBSY):
		return fmt.Errorf("%w: %w", ErrLocal, err)
	case errors.Is(err, syscall.EPERM) && c.User != "":
		return fmt.Errorf("as user %s: %w: that takes CAP_SETUID and CAP_SETGID, which this process (user %d) does not have", c.User, err, os.Geteuid())
	case errors.Is(err, syscall.ENOENT):
		if _, missing := os.Stat(c.Args[0]); missing == nil {
			return fmt.Errorf("%w: the program is there, the interpreter that its first line names is not", err)
		}
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("%w: it must be a file that %s may execute (chmod +x)", err, c.who())
	case errors.Is(err, syscall.ENOEXEC):
		return fmt.Errorf("%w: a script must begin with #! and its interpreter", err)
	}
	return err
}

func (c Command) who() string {
	if c.User != "" {
		return "user " + c.User
	}
	return "user " + strconv.Itoa(os.Geteuid())
}
