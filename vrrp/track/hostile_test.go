// SPDX-License-Identifier: Apache-2.0

package track

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// FuzzFile tracks a file that whoever may write it has filled: what it adds is bounded, and what is no integer is a
// failure.
func FuzzFile(f *testing.F) {
	for _, text := range []string{"", "0", "-20\n", "+7", "1e3", "99999999999999999999", "\x00", " \t-0 ", strings.Repeat("1", 100), "1" + strings.Repeat(" ", 100) + "2"} {
		f.Add([]byte(text))
	}
	path := filepath.Join(f.TempDir(), "file")
	f.Fuzz(func(t *testing.T, text []byte) {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		r := readFile(path)
		if r.local || r.has == r.failed || r.value < -ValueMost || r.value > ValueMost || r.value != 0 && !r.has {
			t.Errorf("%q is %+v", text, r)
		}
		if n, err := strconv.Atoi(string(bytes.TrimSpace(text))); err == nil && len(text) < contentMost && r.value != max(-ValueMost, min(n, ValueMost)) {
			t.Errorf("%q is %+v, want %d", text, r, n)
		}
	})
}

// FuzzStat reads the name of a process, which may hold anything but a zero.
func FuzzStat(f *testing.F) {
	f.Add([]byte("1 (a) S 0"), "a) R (b")
	f.Add([]byte(")("), "")
	f.Add([]byte("(x)"), "x")
	f.Fuzz(func(t *testing.T, b []byte, name string) {
		if comm, _, ok := parseStat(b); ok && !bytes.Contains(b, []byte("("+comm+")")) {
			t.Errorf("%q has the name %q", b, comm)
		}
		if comm, state, ok := parseStat([]byte("7 (" + name + ") Z 1 2 3")); !ok || comm != name || state != 'Z' {
			t.Errorf("the name %q is read as %q, %c, %t", name, comm, state, ok)
		}
	})
}
