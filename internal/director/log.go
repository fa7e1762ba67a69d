// SPDX-License-Identifier: Apache-2.0

package director

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync/atomic"
	"syscall"
	"time"
)

// logQueue is how many lines may wait for a reader that is slow or stuck.
const logQueue = 1024

// Log is a logger that never waits: what its writer cannot take, or not in time, is dropped and counted. An election must
// go on when nobody reads the log, or its disk is full.
type Log struct {
	*slog.Logger
	Level *slog.LevelVar

	w       io.Writer
	lines   chan []byte
	dropped atomic.Uint64
	torn    bool // the last thing written is the beginning of a line; of run alone
	stop    chan struct{}
	done    chan struct{}
}

// NewLog starts a logger that writes to w in a format of log.format: text, json, or auto, which is text on a terminal,
// text as the journal wants it if that is where w leads, and else json. Close it.
func NewLog(w io.Writer, format string, terminal bool) *Log {
	l := &Log{Level: new(slog.LevelVar), w: w, lines: make(chan []byte, logQueue), stop: make(chan struct{}), done: make(chan struct{})}
	o := &slog.HandlerOptions{Level: l.Level}
	var h slog.Handler = slog.NewJSONHandler(queue{l}, o)
	switch {
	case format == "auto" && isJournal(w):
		o.ReplaceAttr = withoutTime
		h = slog.NewTextHandler(journal{queue{l}}, o)
	case format == "text" || format == "auto" && terminal:
		h = slog.NewTextHandler(queue{l}, o)
	}
	l.Logger = slog.New(h)
	go l.run()
	return l
}

// withoutTime leaves out the time of a record, which the journal has.
func withoutTime(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}

// isJournal reports whether w is the stream to the journal that systemd.exec(5) names by device and inode.
func isJournal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	if err != nil {
		return false
	}
	s, ok := info.Sys().(*syscall.Stat_t)
	return ok && os.Getenv("JOURNAL_STREAM") == fmt.Sprintf("%d:%d", s.Dev, s.Ino)
}

// journal puts the priority before each line that a text handler without the time writes, as sd-daemon(3) has it.
type journal struct{ queue }

func (j journal) Write(line []byte) (int, error) {
	priority := "<6>"
	switch {
	case bytes.HasPrefix(line, []byte("level=ERROR")):
		priority = "<3>"
	case bytes.HasPrefix(line, []byte("level=WARN")):
		priority = "<4>"
	case bytes.HasPrefix(line, []byte("level=DEBUG")):
		priority = "<7>"
	}
	return j.queue.Write(append([]byte(priority), line...))
}

func (l *Log) run() {
	defer close(l.done)
	for {
		select {
		case line := <-l.lines:
			l.write(line)
			continue
		default:
		}
		select {
		case line := <-l.lines:
			l.write(line)
		case <-l.stop:
			return // with nothing waiting
		}
	}
}

// write writes a line, and before it how many were lost since the last one that could be written.
func (l *Log) write(line []byte) {
	if n := l.dropped.Swap(0); n > 0 {
		text := fmt.Sprintf("%d log lines dropped, because they could not be written, or not in time\n", n)
		if l.torn {
			text = "\n" + text
		}
		if !l.put([]byte(text)) {
			l.dropped.Add(n + 1)
			return
		}
	}
	if !l.put(line) {
		l.dropped.Add(1)
	}
}

// put reports whether all of b was written.
func (l *Log) put(b []byte) bool {
	n, err := l.w.Write(b)
	if err == nil {
		l.torn = false
	} else if n > 0 {
		l.torn = true
	}
	return err == nil
}

// Close writes what is waiting, but waits for a stuck reader only a second. What is logged after it is lost.
func (l *Log) Close() {
	close(l.stop)
	select {
	case <-l.done:
	case <-time.After(time.Second):
	}
}

// queue is the writer that a handler gives its lines to.
type queue struct{ l *Log }

func (q queue) Write(line []byte) (int, error) {
	select {
	case q.l.lines <- append([]byte(nil), line...):
	default:
		q.l.dropped.Add(1)
	}
	return len(line), nil
}
