// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// terminal opens a terminal: what is written to it can be read from the other end.
func terminal(t *testing.T, rows uint16) (tty, other *os.File) {
	t.Helper()
	other, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no terminals here: %v", err)
	}
	n, err := unix.IoctlGetInt(int(other.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(other.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		err = unix.IoctlSetWinsize(int(other.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: 80})
	}
	if err == nil {
		tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		_ = other.Close()
		t.Skipf("no terminal: %v", err)
	}
	t.Cleanup(func() { _ = tty.Close(); _ = other.Close() })
	return tty, other
}

// TestColorOnATerminal runs status on a terminal and on a pipe.
func TestColorOnATerminal(t *testing.T) {
	socket := serveStatus(t, webStatus())
	for name, tt := range map[string]struct {
		args    []string
		env     string // NAME=VALUE
		colours bool
	}{
		"terminal":    {nil, "", true},
		"no-color":    {[]string{"--no-color"}, "", false},
		"NO_COLOR":    {nil, "NO_COLOR=1", false},
		"TERM=dumb":   {nil, "TERM=dumb", false},
		"empty":       {nil, "NO_COLOR=", true}, // counts as not set (no-color.org)
		"with --json": {[]string{"--json"}, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("NO_COLOR", "")
			t.Setenv("TERM", "xterm")
			if k, v, ok := strings.Cut(tt.env, "="); ok {
				t.Setenv(k, v)
			}
			tty, other := terminal(t, 24)
			got := make(chan string, 1)
			go func() {
				var b bytes.Buffer
				_, _ = io.Copy(&b, other) // ends with EIO when the terminal is closed
				got <- b.String()
			}()
			if code := run(append([]string{"status", "--socket", socket}, tt.args...), tty, io.Discard); code != 0 {
				t.Errorf("exit code %d", code)
			}
			_ = tty.Close()
			if text := <-got; strings.Contains(text, "\x1b[32mup\x1b[0m") != tt.colours || strings.Contains(text, "\x1b") != tt.colours || !strings.Contains(text, "web1") {
				t.Errorf("got %q", text)
			}
		})
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("TERM", "xterm")
	if code := run([]string{"status", "--socket", socket}, w, io.Discard); code != 0 {
		t.Errorf("exit code %d", code)
	}
	_ = w.Close()
	if b, err := io.ReadAll(r); err != nil || !bytes.Contains(b, []byte("web1")) || bytes.Contains(b, []byte("\x1b")) {
		t.Errorf("into a pipe: %v, %q", err, b)
	}
}

// TestWatchOnATerminal draws in place, no more than the terminal has lines.
func TestWatchOnATerminal(t *testing.T) {
	t.Setenv("NO_COLOR", "")
	t.Setenv("TERM", "xterm")
	s := largeStatus(3)
	tty, other := terminal(t, 10)
	done := make(chan error, 1)
	go func() { done <- showStatus(&globals{}, s, now, "", statusScreen(s, now, true), tty) }()
	var drawn strings.Builder
	b := make([]byte, 4096)
	for !strings.HasSuffix(drawn.String(), "\x1b[J") {
		n, err := other.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		drawn.Write(b[:n])
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if text := drawn.String(); !strings.HasPrefix(text, "\x1b[H2026-11-21 12:00:00") || strings.Count(text, "\n") != 9 || !strings.Contains(text, " more lines: ") {
		t.Errorf("drew %q", text)
	}
}
