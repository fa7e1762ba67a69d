// SPDX-License-Identifier: Apache-2.0

// Package trust finds out who besides root may change a file that root relies on.
package trust

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// ErrOthers is in the error of what others than root may change.
var ErrOthers = errors.New("others than root may change it")

// linksMost is how many symbolic links a path may have, as in the kernel (path_resolution(7)).
const linksMost = 40

// Path returns nil if nobody but root can change what an absolute path leads to: the file or folder itself, each folder on the
// way to it, and each symbolic link, belong to root and are not writable by group or others. That is also what an access
// control list looks like that lets others write. In a folder on the way that has the sticky bit, such as /tmp, others may
// write: what root has there is not theirs to replace.
//
// The first thing that is otherwise is named in an error that wraps [ErrOthers], with the command that mends it. Other errors
// say that the path leads nowhere. Once it is nil, it stays so until root changes something: no race with others is lost.
func Path(path string) error {
	if !filepath.IsAbs(path) {
		return fmt.Errorf("%s: not an absolute path", path)
	}
	rest := strings.Split(path, "/")
	for at, links := "/", 0; ; {
		rest = trimEmpty(rest)
		info, err := os.Lstat(at)
		if err == nil {
			err = judge(at, info, len(rest) > 0)
		}
		if err != nil {
			return err
		}
		if info.Mode().Type() == fs.ModeSymlink {
			if links++; links > linksMost {
				return &fs.PathError{Op: "open", Path: path, Err: syscall.ELOOP}
			}
			target, err := os.Readlink(at)
			if err != nil {
				return err
			}
			if at = filepath.Dir(at); filepath.IsAbs(target) {
				at = "/"
			}
			rest = append(strings.Split(target, "/"), rest...)
			continue
		}
		if len(rest) == 0 {
			return nil
		}
		if rest[0] == ".." {
			at = filepath.Dir(at) // it holds no link any more
		} else {
			at = filepath.Join(at, rest[0])
		}
		rest = rest[1:]
	}
}

// trimEmpty drops what leads no further from the beginning of a path.
func trimEmpty(names []string) []string {
	for len(names) > 0 && (names[0] == "" || names[0] == ".") {
		names = names[1:]
	}
	return names
}

const writable = 0o022 // by group and others

// judge looks at one thing on the way.
func judge(at string, info fs.FileInfo, onTheWay bool) error {
	stat, ok := info.Sys().(*syscall.Stat_t)
	mode := info.Mode()
	switch {
	case !ok:
		return fmt.Errorf("%s: whose it is cannot be seen", at)
	case stat.Uid != 0:
		return fmt.Errorf("%w: %s belongs to user %s: chown root %s", ErrOthers, at, name(stat.Uid), at)
	case mode.Type() == fs.ModeSymlink || mode.Perm()&writable == 0: // what mode a link has means nothing
		return nil
	case mode.IsDir() && mode&fs.ModeSticky != 0 && onTheWay:
		return nil
	}
	who, bits := "everybody", ""
	if mode.Perm()&0o020 != 0 {
		who, bits = "its group "+groupName(stat.Gid), "g"
	}
	if mode.Perm()&0o002 != 0 {
		who, bits = "everybody", bits+"o"
	}
	return fmt.Errorf("%w: %s is writable by %s (mode %04o): chmod %s-w %s", ErrOthers, at, who, mode.Perm(), bits, at)
}

func name(uid uint32) string {
	id := strconv.FormatUint(uint64(uid), 10)
	if u, err := user.LookupId(id); err == nil {
		return u.Username
	}
	return id
}

func groupName(gid uint32) string {
	id := strconv.FormatUint(uint64(gid), 10)
	if g, err := user.LookupGroupId(id); err == nil {
		return g.Name
	}
	return id
}

// interpretersMost is how many interpreters may call each other, as in the kernel (execve(2)).
const interpretersMost = 5

// Program is Path for a program, and for the interpreter that the first line of a script names. What that looks for by itself,
// as env(1) does, is not known here.
func Program(path string) error {
	for range interpretersMost {
		if err := Path(path); err != nil {
			return err
		}
		if path = interpreter(head(path)); path == "" {
			break
		}
	}
	return nil
}

// headMost is how much of a file the kernel looks at (BINPRM_BUF_SIZE of include/uapi/linux/binfmts.h).
const headMost = 256

// head returns how a regular file begins; nothing if it cannot be read.
func head(path string) []byte {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
	if err != nil {
		return nil
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil
	}
	b, _ := io.ReadAll(io.LimitReader(f, headMost))
	return b
}

// interpreter returns the path of the one that the first line of a script names; empty: it is none. Programs begin in the root
// directory, from where a relative path counts.
func interpreter(head []byte) string {
	line, ok := bytes.CutPrefix(head, []byte("#!"))
	if !ok {
		return ""
	}
	line, _, _ = bytes.Cut(line, []byte("\n"))
	line = bytes.Trim(line, " \t")
	if end := bytes.IndexAny(line, " \t\x00"); end >= 0 {
		line = line[:end]
	}
	if len(line) == 0 {
		return ""
	}
	return filepath.Join("/", string(line))
}
