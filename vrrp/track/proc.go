// SPDX-License-Identifier: Apache-2.0

package track

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// commMost is TASK_COMM_LEN of include/linux/sched.h, without the final zero.
const commMost = 15

// list returns the numbers of all processes.
func list(proc string) ([]int, error) {
	d, err := os.Open(proc)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, n := range names {
		if pid, err := strconv.Atoi(n); err == nil {
			pids = append(pids, pid)
		}
	}
	if len(pids) == 0 {
		return nil, errors.New("no process is in " + proc + ": it is not mounted")
	}
	return pids, nil
}

// process is what /proc tells of one.
type process struct {
	dir  string
	comm string
}

// read reads the name, and reports whether the process is alive. An error says that it cannot be known.
func (p *process) read() (alive bool, err error) {
	b, err := os.ReadFile(filepath.Join(p.dir, "stat"))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	comm, state, ok := parseStat(b)
	p.comm = comm
	return ok && state != 'Z' && state != 'X', nil
}

// parseStat reads the second and the third field of /proc/PID/stat. The name may hold anything (proc_pid_stat(5)).
func parseStat(b []byte) (comm string, state byte, ok bool) {
	from, to := bytes.IndexByte(b, '('), bytes.LastIndexByte(b, ')')
	if from < 0 || to < from || len(b) < to+3 {
		return "", 0, false
	}
	return string(b[from+1 : to]), b[to+2], true
}

// is reports whether this is a process of the program of that name. Like keepalived's track_process it compares the
// process name (/proc/PID/comm). The kernel cuts that to 15 bytes: for a longer name, what was started must bear it, too,
// as program or as script. A name with a slash is the path of the program.
func (p *process) is(name string) bool {
	if strings.Contains(name, "/") {
		exe, _ := os.Readlink(filepath.Join(p.dir, "exe"))
		return strings.TrimSuffix(exe, " (deleted)") == name || slices.Contains(p.started(), name)
	}
	if len(name) <= commMost {
		return p.comm == name
	}
	if p.comm != name[:commMost] {
		return false
	}
	exe, _ := os.Readlink(filepath.Join(p.dir, "exe"))
	return filepath.Base(strings.TrimSuffix(exe, " (deleted)")) == name ||
		slices.ContainsFunc(p.started(), func(s string) bool { return filepath.Base(s) == name })
}

// started returns the program and its first argument, which is the script if the program is its interpreter.
func (p *process) started() []string {
	b, _ := os.ReadFile(filepath.Join(p.dir, "cmdline"))
	args := strings.SplitN(string(b), "\x00", 3)
	return args[:min(2, len(args))]
}
