// SPDX-License-Identifier: Apache-2.0

package track

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// hung mounts a file system that never answers, until the test ends.
func hung(t *testing.T) (dir string) {
	t.Helper()
	fd, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Skipf("no FUSE here: %v", err)
	}
	dir = t.TempDir()
	if err := unix.Mount("hung", dir, "fuse", 0, fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0", fd)); err != nil {
		unix.Close(fd)
		t.Skipf("no FUSE here: %v", err)
	}
	t.Cleanup(func() {
		unix.Close(fd) // ends what waits
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// TestHungFileSystem: what is on it stays unknown, what is elsewhere goes on, and the end comes.
func TestHungFileSystem(t *testing.T) {
	lost, dir := hung(t), t.TempDir()
	w := newWatch(t, func(s *Set) { s.poll = 100 * time.Millisecond })
	file := func(name, path string) Tracker { return Tracker{Key: Key{"web", File, name}, Path: path} }
	w.Apply([]Tracker{file("lost", filepath.Join(lost, "f")), file("well", filepath.Join(dir, "f"))})
	state := func(n int, want func(Status) bool) {
		t.Helper()
		for end := time.Now().Add(10 * time.Second); !want(w.Snapshot()[n]); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%+v", w.Snapshot()[n])
			}
		}
	}
	state(1, func(s Status) bool { return !s.Pending && !s.Failed })
	must(t, os.WriteFile(filepath.Join(dir, "f"), nil, 0o644))
	state(1, func(s Status) bool { return s.Failed })
	state(0, func(s Status) bool { return s.Pending && s.Detail == "no verdict: its file system does not answer" })
}
