// SPDX-License-Identifier: Apache-2.0

package track

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestReadFile(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	for name, content := range map[string]string{
		"empty": "", "words": "on fire", "number": "42\n", "negative": " -7 ", "plus": "+3", "huge": "99999999999999999999999", "low": "-5000000",
		"two": "1 2", "float": "1.5", "binary": "\x00\xff", "long": "12" + strings.Repeat(" ", 100) + "x", "megabytes": strings.Repeat("x", 5<<20),
	} {
		if err := os.WriteFile(at(name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(at("pipe"), 0o644); err != nil {
		t.Fatal(err)
	}
	for link, to := range map[string]string{"loop": "loop", "dangling": "nothing", "link": "number"} {
		if err := os.Symlink(to, at(link)); err != nil {
			t.Fatal(err)
		}
	}
	present := func(detail string) reading { return reading{failed: true, detail: detail} }
	number := func(n int) reading { return reading{value: n, has: true, detail: fmt.Sprintf("value %d", n)} }
	for name, want := range map[string]reading{
		"nothing": {detail: "absent"}, "number/below": {detail: "absent"}, "dangling": {detail: "absent"},
		"empty": {failed: true, empty: true, detail: "present"}, "words": present("present"), "two": present("present"),
		"float": present("present"), "binary": present("present"), "megabytes": present("present"),
		"number": number(42), "link": number(42), "negative": number(-7), "plus": number(3), "huge": number(1_000_000), "low": number(-1_000_000),
		"long": number(12),
		"pipe": present("present (named pipe)"), "": present("present (directory)"),
		"loop": present("unreadable: stat " + at("loop") + ": too many levels of symbolic links"),
	} {
		if got := readFile(at(name)); got != want {
			t.Errorf("%s: got %+v, want %+v", name, got, want)
		}
	}
	if got := readFile("/dev/null"); got != present("present (device)") {
		t.Errorf("device: %+v", got)
	}
	// head alone: the file became a pipe after it was looked at.
	if b, err := head(at("pipe")); len(b) != 0 || err != nil {
		t.Errorf("pipe: %q, %v", b, err)
	}
}

// TestUnreadableFile reads as nobody, whom a mode stops.
func TestUnreadableFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	must(t, os.WriteFile(path, []byte("1"), 0))
	must(t, os.Chmod(path, 0))
	asNobody := func() reading {
		if os.Geteuid() == 0 {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			must(t, unix.Setfsuid(65534)) // of this thread alone
			defer func() { must(t, unix.Setfsuid(0)) }()
		}
		return readFile(path)
	}
	for _, mode := range []os.FileMode{0o755, 0} {
		must(t, os.Chmod(dir, mode))
		if got := asNobody(); !got.failed || got.has || !strings.Contains(got.detail, "unreadable: ") || !strings.Contains(got.detail, "permission denied") {
			t.Errorf("folder of mode %o: got %+v", mode, got)
		}
	}
	must(t, os.Chmod(dir, 0o755))
}

func TestWay(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	at := func(name string) string { return filepath.Join(dir, name) }
	for _, err := range []error{
		os.MkdirAll(at("v1"), 0o755), os.WriteFile(at("v1/f"), nil, 0o644), os.Symlink("v1", at("data")), os.Symlink("data/f", at("f")),
		os.Symlink(at("v1/../f"), at("absolute")), os.Symlink("loop", at("loop")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string][]string{
		"v1/f":       {"v1/f"},
		"f":          {"f", "data", "v1/f"},
		"absolute":   {"absolute", "f", "data", "v1/f"},
		"no/such/f":  {"no"},
		"v1/g":       {"v1/g"},
		"data/g":     {"data", "v1/g"},
		"v1/./../v1": {"v1"},
	} {
		for i := range want {
			want[i] = at(want[i])
		}
		if got := way(dir + "/" + path); !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", path, got, want)
		}
	}
	if got := way(at("loop")); len(got) < 40 || len(got) > 42 {
		t.Errorf("a loop of symlinks has %d names", len(got))
	}
}

func follow(t *testing.T, path string, poll time.Duration) *watch {
	t.Helper()
	w := newWatch(t, func(s *Set) { s.poll = poll })
	w.Apply([]Tracker{{Key: Key{"web", File, "f"}, Path: path}})
	return w
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestFileEvents: each change is told by inotify alone, the poll is an hour away.
func TestFileEvents(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	path := at("a/b/f")
	w := follow(t, path, time.Hour)
	w.until(t, "its folder does not exist", passed)
	must(t, os.MkdirAll(at("a/b"), 0o755))
	must(t, os.WriteFile(path, nil, 0o644))
	w.until(t, "present", failed)
	must(t, os.WriteFile(path, []byte("5\n"), 0o644))
	w.until(t, "rewritten in place", value(5))
	must(t, os.WriteFile(at("new"), []byte("6"), 0o644))
	must(t, os.Rename(at("new"), path))
	w.until(t, "replaced", value(6))
	must(t, os.Rename(at("a/b"), at("a/c")))
	w.until(t, "its folder was renamed", passed)
	must(t, os.WriteFile(at("a/c/f"), []byte("7"), 0o644))
	must(t, os.Mkdir(at("a/b"), 0o755))
	must(t, os.WriteFile(path, []byte("8"), 0o644))
	w.until(t, "another folder in its place", value(8))
	must(t, os.RemoveAll(at("a")))
	w.until(t, "all removed", passed)
	must(t, os.MkdirAll(at("v1"), 0o755))
	must(t, os.WriteFile(at("v1/f"), []byte("9"), 0o644))
	must(t, os.Symlink("v1", at("data")))
	must(t, os.Mkdir(at("a"), 0o755))
	must(t, os.Symlink("../data", at("a/b")))
	w.until(t, "by way of symlinks", value(9))
	must(t, os.WriteFile(at("v1/f"), []byte("10"), 0o644))
	w.until(t, "changed behind symlinks", value(10))
	must(t, os.Mkdir(at("v2"), 0o755))
	must(t, os.WriteFile(at("v2/f"), []byte("11"), 0o644))
	must(t, os.Symlink("v2", at("next")))
	must(t, os.Rename(at("next"), at("data")))
	w.until(t, "the symlink was replaced", value(11))
	must(t, os.Remove(at("v2/f")))
	must(t, syscall.Mkfifo(at("v2/f"), 0o644))
	st := w.until(t, "a pipe", failed)
	t.Log(st.Detail)
}

// TestFilePoll: what inotify does not tell, as on a network's file system, the poll finds.
func TestFilePoll(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "top/a/f")
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	w := follow(t, path, 50*time.Millisecond)
	w.until(t, "absent", passed)
	// Nothing watches the folder above the file's.
	must(t, os.Rename(filepath.Join(dir, "top"), filepath.Join(dir, "old")))
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(t, os.WriteFile(path, []byte("3"), 0o644))
	w.until(t, "a tree was replaced", value(3))
	time.Sleep(200 * time.Millisecond) // polls meanwhile watch the new folder; if not, the poll still finds it
	must(t, os.WriteFile(path, []byte("4"), 0o644))
	w.until(t, "changed again", value(4))
}

// TestFileRewritten: the last value counts, and the emptiness in between is not taken for a verdict.
func TestFileRewritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	must(t, os.WriteFile(path, []byte("0"), 0o644))
	w := follow(t, path, 20*time.Millisecond)
	w.until(t, "first", value(0))
	slowest := time.Duration(0)
	for i := range 1000 {
		began := time.Now()
		must(t, os.WriteFile(path, []byte(fmt.Sprint(i+1)), 0o644))
		slowest = max(slowest, time.Since(began))
	}
	w.until(t, "last", value(1000))
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, st := range w.told {
		if st.Failed && slowest < settle/2 { // else the file was empty for as long as an emptiness that is meant
			t.Errorf("%+v", st)
		}
	}
	t.Logf("%d changes told", len(w.told))
}

func TestFileEmptied(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	must(t, os.WriteFile(path, []byte("1"), 0o644))
	w := follow(t, path, time.Hour)
	w.until(t, "a number", value(1))
	must(t, os.Truncate(path, 0))
	w.until(t, "empty for good", failed)
}

// TestFileReadWhileEmpty: a file that held an integer must be found empty twice.
func TestFileReadWhileEmpty(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	must(t, os.WriteFile(path, []byte("4"), 0o644))
	s := NewSet(Options{})
	s.Apply([]Tracker{{Key: Key{"web", File, "f"}, Path: path}})
	f, e, state := &follower{Set: s}, s.of(File)[0], &file{}
	f.note(e, state, readFile(path))
	must(t, os.Truncate(path, 0))
	f.note(e, state, readFile(path))
	if st := s.statusOf(e); !value(4)(st) || state.due.IsZero() {
		t.Errorf("empty once: %+v, again at %s", st, state.due)
	}
	f.note(e, state, readFile(path))
	if st := s.statusOf(e); !failed(st) {
		t.Errorf("empty twice: %+v", st)
	}
}

func TestFilesApply(t *testing.T) {
	dir := t.TempDir()
	w := follow(t, filepath.Join(dir, "f"), time.Hour)
	w.until(t, "absent", passed)
	must(t, os.WriteFile(filepath.Join(dir, "g"), nil, 0o644))
	w.Apply([]Tracker{{Key: Key{"web", File, "f"}, Path: filepath.Join(dir, "g")}})
	w.until(t, "another path", failed)
	w.Apply(nil)
	changes := w.changes()
	must(t, os.Remove(filepath.Join(dir, "g")))
	w.Apply([]Tracker{{Key: Key{"web", File, "h"}, Path: filepath.Join(dir, "g")}})
	w.until(t, "again", passed)
	if w.changes() != changes+1 {
		t.Errorf("a tracker that is gone was told of")
	}
}
