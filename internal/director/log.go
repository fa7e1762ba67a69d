// SPDX-License-Identifier: Apache-2.0

package director

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync/atomic"
	"time"
)

// logQueue is how many lines may wait for a reader that is slow or stuck.
const logQueue = 1024

// Log is a logger that never waits: what its writer cannot take in time is dropped and counted. An election must go on
// when nobody reads the log.
type Log struct {
	*slog.Logger
	Level *slog.LevelVar

	w       io.Writer
	lines   chan []byte
	dropped atomic.Uint64
	stop    chan struct{}
	done    chan struct{}
}

// NewLog starts a logger that writes to w in a format of log.format: text, json, or auto, which is text on a terminal,
// without the time under systemd's journal, and else json. Close it.
func NewLog(w io.Writer, format string, terminal bool) *Log {
	l := &Log{Level: new(slog.LevelVar), w: w, lines: make(chan []byte, logQueue), stop: make(chan struct{}), done: make(chan struct{})}
	o := &slog.HandlerOptions{Level: l.Level}
	journal := os.Getenv("JOURNAL_STREAM") != ""
	if format == "auto" && journal {
		o.ReplaceAttr = withoutTime
	}
	var h slog.Handler = slog.NewJSONHandler(queue{l}, o)
	if format == "text" || format == "auto" && (terminal || journal) {
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

func (l *Log) write(line []byte) {
	if n := l.dropped.Swap(0); n > 0 {
		_, _ = fmt.Fprintf(l.w, "%d log lines dropped, because nobody read them in time\n", n)
	}
	_, _ = l.w.Write(line)
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
