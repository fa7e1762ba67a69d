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
