// SPDX-License-Identifier: Apache-2.0

package command

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"
)

// script writes a program that every user may execute.
func script(t *testing.T, body string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "command")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "program")
	if err := os.WriteFile(path, []byte(body), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// run runs a program. A fork of another test may hold the file that was just written open for a moment (ETXTBSY).
func run(t *testing.T, c Command) (Result, error) {
	t.Helper()
	for range 100 {
		r, err := c.Run(t.Context())
		if !errors.Is(err, syscall.ETXTBSY) {
			return r, err
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("the program stays busy")
	panic("unreachable")
}

func TestRunReturnsExitAndOutput(t *testing.T) {
	r, err := run(t, Command{
		Args:  []string{script(t, "#!/bin/sh\ncat; echo \"$1 $NAME\"; echo err >&2; exit 3\n"), "one word"},
		Env:   []string{"NAME=value"},
		Stdin: []byte("in\n"),
	})
	if err != nil || r.Exit != 3 || r.Output != "in\none word value\nerr\n" || r.Duration <= 0 {
		t.Errorf("got %+v, %v", r, err)
	}
}

func TestRunSurroundings(t *testing.T) {
	t.Setenv("HOLDFAST_SECRET", "x")
	leak, err := os.Create(filepath.Join(t.TempDir(), "ours"))
	if err != nil {
		t.Fatal(err)
	}
	defer leak.Close()
	r, err := run(t, Command{Args: []string{script(t, "#!/bin/sh\npwd\nenv\nls -l /proc/self/fd\nps -o pgid= -p $$ | grep -c \"$$\"\n")}, User: "nobody"})
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Fields(r.Output)
	if lines[0] != "/" {
		t.Errorf("works in %q, want /", lines[0])
	}
	if strings.Contains(r.Output, "HOLDFAST_SECRET") || !strings.Contains(r.Output, "\nPATH=/") {
		t.Errorf("environment %q", r.Output)
	}
	if strings.Contains(r.Output, leak.Name()) || !strings.Contains(r.Output, "pipe:") {
		t.Errorf("its descriptors: %s", r.Output)
	}
	if lines[len(lines)-1] != "1" {
		t.Error("not the leader of its process group")
	}
}

// TestInheritedDescriptorsAreKept: a program gets no descriptor that was open before this process began.
func TestInheritedDescriptorsAreKept(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "inherited"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	fd, err := syscall.Dup(int(file.Fd())) // without close-on-exec, as what is inherited
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	for _, kept := range []bool{false, true} {
		if kept {
			if err := KeepInherited(); err != nil {
				t.Fatal(err)
			}
		}
		r, err := Command{Args: []string{"/bin/ls", "-l", "/proc/self/fd"}}.Run(t.Context())
		if err != nil || strings.Contains(r.Output, file.Name()) == kept {
			t.Errorf("kept %t, but the program has %s, %v", kept, r.Output, err)
		}
	}
}

// TestNoDescriptorForTheLookup: that the user cannot be looked up for want of a descriptor says nothing of the program.
func TestNoDescriptorForTheLookup(t *testing.T) {
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	none := syscall.Rlimit{Cur: 0, Max: old.Max}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &none); err != nil {
		t.Fatal(err)
	}
	_, err := Command{Args: []string{"/bin/true"}, User: "nobody"}.Run(t.Context())
	if err2 := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &old); err2 != nil {
		t.Fatal(err2)
	}
	if !errors.Is(err, ErrLocal) {
		t.Errorf("got %v", err)
	}
}

func TestRunAsUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to start programs as another user")
	}
	id := script(t, "#!/bin/sh\nid -u; id -g; id -G\n")
	for user, want := range map[string]string{
		"nobody": "65534\n65534\n65534\n",
		"65534":  "65534\n65534\n65534\n",
		"4711":   "4711\n4711\n4711\n", // a number that nobody has
		"0":      "", "": "",
	} {
		r, err := run(t, Command{Args: []string{id}, User: user})
		if want == "" {
			want = fmt.Sprintf("0\n%d\n", os.Getegid())
		}
		if err != nil || !strings.HasPrefix(r.Output, want) {
			t.Errorf("user %q: got %q, %v, want %q", user, r.Output, err, want)
		}
	}
	if _, err := run(t, Command{Args: []string{id}, User: "no-such-user"}); err == nil || !strings.Contains(err.Error(), "as user no-such-user: ") {
		t.Errorf("unknown user: %v", err)
	}
}

// TestRunAsAnotherUserWithoutRight runs the test's own program as nobody, who then wants to be root.
func TestRunAsAnotherUserWithoutRight(t *testing.T) {
	if os.Geteuid() != 0 {
		_, err := Command{Args: []string{"/bin/true"}, User: "0"}.Run(t.Context())
		if err == nil || !errors.Is(err, syscall.EPERM) || !strings.Contains(err.Error(), "CAP_SETUID") {
			t.Errorf("got %v", err)
		}
		return
	}
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	r, err := run(t, Command{Args: []string{script(t, string(self)), "-test.run=^TestRunAsAnotherUserWithoutRight$"}, User: "nobody"})
	if err != nil || r.Exit != 0 {
		t.Errorf("got %+v, %v", r, err)
	}
}

// TestOthersMayChangeWhatRootRuns: it is refused each time, without being run; others may run it as themselves.
func TestOthersMayChangeWhatRootRuns(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	path := script(t, "#!/bin/sh\necho ran\n")
	for _, tt := range []struct {
		mode os.FileMode
		user string
		want string // of the error; empty: it runs
	}{
		{0o755, "root", ""},
		{0o775, "root", path + " is writable by its group root (mode 0775): chmod g-w " + path},
		{0o775, "", "refused for root: "},
		{0o757, "0", "writable by everybody"},
		{0o777, "nobody", ""},
		{0o777, "4711", ""},
		{0o755, "", ""},
	} {
		if err := os.Chmod(path, tt.mode); err != nil {
			t.Fatal(err)
		}
		r, err := run(t, Command{Args: []string{path}, User: tt.user})
		switch {
		case tt.want == "" && (err != nil || r.Output != "ran\n"):
			t.Errorf("%v as %q: got %+v, %v", tt.mode, tt.user, r, err)
		case tt.want != "" && (!errors.Is(err, ErrLocal) || !strings.Contains(err.Error(), tt.want) || r.Output != "" || r.Exit != -1):
			t.Errorf("%v as %q: got %+v, %v, want %q", tt.mode, tt.user, r, err, tt.want)
		}
	}
}

func TestRunErrors(t *testing.T) {
	plain := script(t, "#!/bin/sh\n")
	if err := os.Chmod(plain, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name  string
		args  []string
		errno error
		want  string
	}{
		{"nothing", nil, nil, "no program"},
		{"relative", []string{"sh"}, nil, "not an absolute path"},
		{"missing", []string{"/no/such/file"}, syscall.ENOENT, "run /no/such/file: no such file or directory"},
		{"not executable", []string{plain}, syscall.EACCES, "chmod +x"},
		{"directory", []string{"/"}, nil, "is a directory"},
		{"no interpreter", []string{script(t, "#!/no/such/shell\n")}, syscall.ENOENT, "interpreter"},
		{"no program", []string{script(t, "\x00\x01\x02\x03")}, syscall.ENOEXEC, "must begin with #!"},
	} {
		r, err := run(t, Command{Args: tt.args})
		if err == nil || r.Exit != -1 || !strings.Contains(err.Error(), tt.want) || tt.errno != nil && !errors.Is(err, tt.errno) || errors.Is(err, ErrLocal) {
			t.Errorf("%s: exit %d, %v, want %q", tt.name, r.Exit, err, tt.want)
		}
	}
}

func TestLocalErrors(t *testing.T) {
	for _, errno := range []error{syscall.EAGAIN, syscall.ENOMEM, syscall.EMFILE, syscall.ENFILE} {
		if err := (Command{Args: []string{"/x"}}).explain(&os.PathError{Op: "fork/exec", Path: "/x", Err: errno}); !errors.Is(err, ErrLocal) || !errors.Is(err, errno) {
			t.Errorf("%v: got %v", errno, err)
		}
	}
}

func TestRunNamesTheSignal(t *testing.T) {
	r, err := run(t, Command{Args: []string{script(t, "#!/bin/sh\necho last words; kill -SEGV $$\n")}})
	if err == nil || r.Exit != -1 || !strings.Contains(err.Error(), "segmentation fault") || r.Output != "last words\n" {
		t.Errorf("got %+v, %v", r, err)
	}
}

// gone waits until the process has ended.
func gone(t *testing.T, pid string) {
	t.Helper()
	n, err := strconv.Atoi(strings.TrimSpace(pid))
	if err != nil {
		t.Fatal(err)
	}
	for range 500 {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", n))
		if err != nil || strings.Contains(string(stat), ") Z ") {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("process %d lives on", n)
}

func TestDeadlineKillsTheGroup(t *testing.T) {
	// It ignores what can be ignored, and its child holds the pipe.
	r, err := run(t, Command{Args: []string{script(t, "#!/bin/sh\ntrap '' TERM INT HUP\nsleep 1000 &\necho $!\nwait\nsleep 1000\n")}, Timeout: 300 * time.Millisecond})
	if !errors.Is(err, ErrTimeout) || !strings.Contains(err.Error(), "timeout after 300ms") || r.Exit != -1 {
		t.Errorf("got %+v, %v", r, err)
	}
	gone(t, r.Output)
}

func TestContextKillsTheGroup(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	ready := filepath.Join(t.TempDir(), "ready")
	go func() {
		defer cancel()
		for range 1000 {
			if _, err := os.Stat(ready); err == nil {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
	}()
	r, err := Command{Args: []string{"/bin/sh", "-c", "sleep 1000 & echo $!; touch " + ready + "; wait"}, Timeout: time.Hour}.Run(ctx)
	if !errors.Is(err, context.Canceled) || errors.Is(err, ErrTimeout) {
		t.Errorf("got %+v, %v", r, err)
	}
	gone(t, r.Output)
}

// TestChildKeepsOutputOpen: the program is done when it exits, even if a child in another session has its output.
func TestChildKeepsOutputOpen(t *testing.T) {
	r, err := run(t, Command{Args: []string{script(t, "#!/bin/sh\nsetsid sleep 1000 &\necho $!\nexit 0\n")}, Timeout: time.Minute})
	if err != nil || r.Exit != 0 || r.Duration > 30*time.Second {
		t.Errorf("got %+v, %v", r, err)
	}
	t.Logf("after %s", r.Duration)
	pid, err := strconv.Atoi(strings.TrimSpace(r.Output))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Errorf("what it left behind: %v", err)
	}
}

func TestNobodyReadsStdin(t *testing.T) {
	r, err := run(t, Command{Args: []string{"/bin/true"}, Stdin: make([]byte, 1<<20)})
	if err != nil || r.Exit != 0 {
		t.Errorf("got %+v, %v", r, err)
	}
}

func TestProgramDeletesItself(t *testing.T) {
	path := script(t, "#!/bin/sh\nrm \"$0\"; echo done\n")
	if r, err := run(t, Command{Args: []string{path}}); err != nil || r.Output != "done\n" {
		t.Errorf("got %+v, %v", r, err)
	}
	if _, err := run(t, Command{Args: []string{path}}); !errors.Is(err, syscall.ENOENT) {
		t.Errorf("got %v", err)
	}
}

func TestOutputIsBounded(t *testing.T) {
	r, err := run(t, Command{Args: []string{script(t, "#!/bin/sh\nhead -c 5000000 /dev/zero | tr '\\0' x; echo end\n")}})
	if err != nil || len(r.Output) != OutputMost || !strings.HasSuffix(r.Output, "xend\n") {
		t.Errorf("%d bytes, %v", len(r.Output), err)
	}
}

func TestTail(t *testing.T) {
	for _, tt := range []struct {
		name string
		in   []string
		want string
	}{
		{"short", []string{"a", "b"}, "ab"},
		{"cut within a character", []string{"ä" + strings.Repeat("x", OutputMost-1)}, strings.Repeat("x", OutputMost-1)},
		{"no text", []string{"a\xff\xfeb"}, "a?b"},
		{"many", []string{strings.Repeat("a", OutputMost), strings.Repeat("b", OutputMost), "c"}, strings.Repeat("b", OutputMost-1) + "c"},
		{"none", nil, ""},
	} {
		var out tail
		for _, s := range tt.in {
			if n, err := out.Write([]byte(s)); n != len(s) || err != nil {
				t.Errorf("%s: wrote %d, %v", tt.name, n, err)
			}
		}
		if got := out.String(); got != tt.want || !utf8.ValidString(got) || cap(out.b) > 8*OutputMost {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}
