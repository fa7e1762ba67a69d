// SPDX-License-Identifier: Apache-2.0

package director

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"syscall"
	"testing"
)

// TestLogFormats: what "auto" writes into the journal has priorities and no time; into another file it is JSON.
func TestLogFormats(t *testing.T) {
	for _, row := range []struct {
		name, format      string
		terminal, journal bool
		want              string
	}{
		{"journal", "auto", false, true, "<7>level=DEBUG msg=one n=1\n<6>level=INFO msg=two\n<4>level=WARN msg=three\n<3>level=ERROR msg=four\n"},
		{"a file under systemd", "auto", false, false, `{"time":`},
		{"terminal", "auto", true, false, "time="},
		{"text in the journal", "text", false, true, "time="},
		{"json in the journal", "json", false, true, `{"time":`},
	} {
		t.Run(row.name, func(t *testing.T) {
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			info, err := w.Stat()
			if err != nil {
				t.Fatal(err)
			}
			stream := "8:1" // another one
			if row.journal {
				s := info.Sys().(*syscall.Stat_t)
				stream = fmt.Sprintf("%d:%d", s.Dev, s.Ino)
			}
			t.Setenv("JOURNAL_STREAM", stream)
			log := NewLog(w, row.format, row.terminal)
			log.Level.Set(slog.LevelDebug)
			log.Debug("one", "n", 1)
			log.Info("two")
			log.Warn("three")
			log.Error("four")
			log.Close()
			_ = w.Close()
			b, err := io.ReadAll(r)
			if got := string(b); err != nil || row.want[0] == '<' && got != row.want || !strings.HasPrefix(got, row.want) {
				t.Errorf("got %q, %v, want %q", got, err, row.want)
			}
		})
	}
}

// A disk that was full for a while: what is written afterwards says how much is missing, on lines of its own.
func TestLogOnAFullDisk(t *testing.T) {
	disk := &fullDisk{left: len("one\ntw")}
	l := &Log{w: disk}
	for _, line := range []string{"one\n", "two\n", "three\n", "four\n"} {
		l.write([]byte(line))
	}
	disk.left = 1000
	l.write([]byte("five\n"))
	l.write([]byte("six\n"))
	const want = "one\ntw\n3 log lines dropped, because they could not be written, or not in time\nfive\nsix\n"
	if disk.text != want {
		t.Errorf("got %q, want %q", disk.text, want)
	}
}

// fullDisk takes so many bytes more, as a file does where the disk is full: the first part of what no longer fits.
type fullDisk struct {
	left int
	text string
}

func (d *fullDisk) Write(b []byte) (int, error) {
	n := min(len(b), d.left)
	d.left -= n
	d.text += string(b[:n])
	if n < len(b) {
		return n, syscall.ENOSPC
	}
	return n, nil
}
