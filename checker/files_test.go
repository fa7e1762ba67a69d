// SPDX-License-Identifier: Apache-2.0

package checker

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestFileCache(t *testing.T) {
	path := writeFile(t, "file", []byte("a"))
	var cache fileCache[string]
	parsed := 0
	parse := func(blobs ...[]byte) (string, error) {
		parsed++
		return string(bytes.Join(blobs, nil)), nil
	}
	for _, tc := range []struct {
		write  string
		want   string
		parsed int
	}{{"", "aa", 1}, {"", "aa", 1}, {"bc", "bcbc", 2}, {"", "bcbc", 2}} {
		if tc.write != "" {
			if err := os.WriteFile(path, []byte(tc.write), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		got, err := cache.load(t.Context(), parse, path, path)
		if got != tc.want || err != nil || parsed != tc.parsed {
			t.Errorf("got %q, %v, parsed %d times, want %q, %d", got, err, parsed, tc.want, tc.parsed)
		}
	}
}

// A file system that hangs holds no check longer than its deadline, and of a file that is known no check at all.
func TestFileCacheDoesNotHang(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	hang := func() { // who reads it waits for who writes it
		t.Helper()
		if err := errors.Join(os.RemoveAll(path), unix.Mkfifo(path, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	goesOn := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cache := &fileCache[string]{}
	load := func(timeout time.Duration) (string, error) {
		ctx, cancel := context.WithTimeout(t.Context(), timeout)
		defer cancel()
		return cache.load(ctx, func(blobs ...[]byte) (string, error) { return string(blobs[0]), nil }, path)
	}
	hang()
	for range 3 {
		if got, err := load(20 * time.Millisecond); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %q, %v, want that the deadline is exceeded", got, err)
		}
	}
	goesOn("a")
	if got, err := load(patience); got != "a" || err != nil {
		t.Errorf("after that: got %q, %v", got, err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	cache = &fileCache[string]{} // a reading of the first one may still wait for someone who writes
	goesOn("a")
	if got, err := load(patience); got != "a" || err != nil {
		t.Errorf("a file: got %q, %v", got, err)
	}
	hang()
	for range 3 {
		if got, err := load(time.Minute); got != "a" || err != nil {
			t.Errorf("known: got %q, %v", got, err)
		}
	}
	goesOn("b")
	eventually(t, func() bool { got, err := load(patience); return got == "b" && err == nil })
}
