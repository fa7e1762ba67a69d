// SPDX-License-Identifier: Apache-2.0

package track

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"
)

// ValueMost bounds the integer in a file, either way.
const ValueMost = 1_000_000

const (
	contentMost = 64              // bytes of a file that are read
	filePoll    = 5 * time.Second // a safety net: what inotify does not tell, as on a network's file system
	blindPoll   = time.Second     // without inotify
	// A file is read when it has been quiet for settle, at the latest settleMost after it changed: one that is rewritten
	// in place is empty for a moment.
	settle     = 50 * time.Millisecond
	settleMost = 250 * time.Millisecond
)

// file is what followFiles knows of a tracker.
type file struct {
	names   []string  // whose change may change what the path leads to: the file itself, or what lacks, and symlinks
	due     time.Time // when to read it; zero: no change is known
	changed time.Time // first change that has not been read
	emptied bool      // it held an integer, and was empty when it was read after its last change: it may be about to be written
	asked   time.Time // since when somebody looks; zero: nobody does
	polled  bool      // that look is only for what was not told
}

// follower follows files. One goroutine owns it.
type follower struct {
	*Set
	watcher *fsnotify.Watcher      // nil: there is none
	dirs    map[string]fs.FileInfo // watched, and which folder that was; nil: could not be watched
	files   map[*entry]*file
	looks   chan look
	ctx     context.Context
}

// look is what was found where a path leads.
type look struct {
	e     *entry
	names []string               // as way tells
	dirs  map[string]fs.FileInfo // their folders
	reading
}

func (s *Set) followFiles(ctx context.Context) {
	f := &follower{
		Set: s, dirs: make(map[string]fs.FileInfo), files: make(map[*entry]*file), looks: make(chan look), ctx: ctx,
	}
	var events chan fsnotify.Event
	var trouble chan error
	timer, ticker := time.NewTimer(time.Hour), time.NewTicker(s.poll)
	defer timer.Stop()
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			if f.watcher != nil {
				f.watcher.Close()
			}
			return
		case <-s.wake[File]:
			entries := s.of(File)
			if f.watcher == nil && len(entries) > 0 {
				f.open()
			}
			if f.watcher != nil {
				events, trouble = f.watcher.Events, f.watcher.Errors
			} else {
				ticker.Reset(min(s.poll, blindPoll))
			}
			f.apply(entries)
		case ev := <-events:
			f.event(ev)
		case <-trouble: // most likely an overflow: anything may have changed
			for _, file := range f.files {
				file.mark(time.Now())
			}
		case l := <-f.looks:
			f.take(l)
		case <-ticker.C:
			f.pollAll()
		case <-timer.C:
		}
		timer.Reset(f.readDue())
	}
}

func (f *follower) open() {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		f.log.Warn("files are polled", "err", err)
		return
	}
	f.watcher = w
}

// apply takes the trackers that are followed from now on. A new one is read at once.
func (f *follower) apply(entries []*entry) {
	for e := range f.files {
		if !slices.Contains(entries, e) {
			delete(f.files, e)
		}
	}
	for _, e := range entries {
		if f.files[e] == nil {
			f.files[e] = &file{due: time.Now()}
		}
	}
	f.sweep()
}

// event marks the files that a change concerns. A folder that is removed or renamed is watched no longer: another one
// may stand in its place.
func (f *follower) event(ev fsnotify.Event) {
	_, dir := f.dirs[ev.Name]
	if dir = dir && ev.Has(fsnotify.Remove|fsnotify.Rename); dir {
		f.forget(ev.Name)
	}
	now := time.Now()
	for _, file := range f.files {
		if slices.Contains(file.names, ev.Name) || dir && file.below(ev.Name) {
			file.emptied = false
			file.mark(now)
		}
	}
}

// below reports whether a change of the folder may concern the file.
func (f *file) below(dir string) bool {
	return slices.ContainsFunc(f.names, func(n string) bool { return filepath.Dir(n) == dir })
}

func (f *file) mark(now time.Time) {
	if f.due.IsZero() {
		f.changed = now
	}
	f.due = now.Add(min(settle, settleMost-now.Sub(f.changed)))
}

// readDue looks at what has been quiet for long enough, and returns when to come again.
func (f *follower) readDue() time.Duration {
	now, next := time.Now(), time.Hour
	for e, file := range f.files {
		if file.due.IsZero() || !file.asked.IsZero() {
			continue
		}
		if wait := file.due.Sub(now); wait > 0 {
			next = min(next, wait)
			continue
		}
		file.due = time.Time{}
		f.ask(e, file, false)
	}
	return next
}

// pollAll looks for changes that were not told, and tries again to watch what could not be.
func (f *follower) pollAll() {
	for dir, info := range f.dirs {
		if info == nil {
			f.forget(dir)
		}
	}
	for e, file := range f.files {
		switch {
		case file.asked.IsZero():
			f.ask(e, file, true)
		case time.Since(file.asked) >= f.poll:
			f.update(e, func(st *Status) { st.Detail = "no verdict: its file system does not answer" })
		}
	}
}

// ask has somebody look where the path of e leads. Nobody waits for that one: a network's file system may be hung, which
// must not hold up the files on others.
func (f *follower) ask(e *entry, file *file, polled bool) {
	file.asked, file.polled = time.Now(), polled
	path := e.settings.path
	go func() {
		l := look{e: e, names: way(path), dirs: make(map[string]fs.FileInfo)}
		for _, n := range l.names {
			dir := filepath.Dir(n)
			l.dirs[dir], _ = os.Stat(dir)
		}
		l.reading = readFile(path)
		select {
		case f.looks <- l:
		case <-f.ctx.Done():
		}
	}()
}

// take notes what was found, if the folders on the way were watched before: then no change fell between. What a poll
// finds to differ is read again a moment later, as after an event.
func (f *follower) take(l look) {
	file := f.files[l.e]
	if file == nil {
		return
	}
	file.asked = time.Time{}
	switch {
	case f.watch(file, l):
		f.ask(l.e, file, file.polled)
	case !file.polled:
		f.note(l.e, file, l.reading)
	case file.due.IsZero() && !l.agrees(f.statusOf(l.e)):
		file.mark(time.Now())
	}
}

func (f *follower) forget(dir string) {
	delete(f.dirs, dir)
	if f.watcher != nil {
		_ = f.watcher.Remove(dir) // it may have gone with the folder
	}
}

// watch watches the folders on the way, and reports whether one is new.
func (f *follower) watch(file *file, l look) (news bool) {
	file.names = l.names
	for dir, is := range l.dirs {
		was, known := f.dirs[dir]
		if known && was != nil && (is == nil || !os.SameFile(was, is)) { // another one stands in its place
			f.forget(dir)
			known = false
		}
		if known || f.watcher == nil || is == nil {
			continue
		}
		if err := f.watcher.Add(dir); err != nil {
			f.dirs[dir] = nil
			f.log.Debug("folder is not watched", "path", dir, "err", err)
			continue
		}
		f.dirs[dir], news = is, true // if another one came meanwhile, the next look finds out
	}
	f.sweep()
	return news
}

// sweep ends the watch of folders that matter no longer.
func (f *follower) sweep() {
	for dir := range f.dirs {
		used := false
		for _, file := range f.files {
			used = used || file.below(dir)
		}
		if !used {
			f.forget(dir)
		}
	}
}

// note notes what the file says.
func (f *follower) note(e *entry, file *file, r reading) {
	if r.empty && !file.emptied && f.statusOf(e).HasValue {
		file.emptied = true
		file.mark(time.Now())
		return
	}
	file.emptied = false
	f.update(e, func(st *Status) {
		st.Detail, st.Last = r.detail, time.Now()
		if !r.local {
			st.Pending, st.Failed, st.Value, st.HasValue = false, r.failed, r.value, r.has
		}
	})
}

// way returns the names that decide where an absolute path leads: each symlink on the way, and the first that lacks or
// the last.
func way(path string) []string {
	var names []string
	at, rest := "/", strings.Split(path, "/")
	for links := 0; len(rest) > 0; {
		part := rest[0]
		rest = rest[1:]
		if part == "" || part == "." {
			continue
		}
		next := filepath.Join(at, part)
		info, err := os.Lstat(next)
		switch {
		case err != nil:
			return append(names, next)
		case info.Mode().Type() != fs.ModeSymlink:
			at = next
			continue
		}
		names = append(names, next)
		target, err := os.Readlink(next)
		if links++; err != nil || links > 40 { // MAXSYMLINKS of include/linux/namei.h
			return names
		}
		if filepath.IsAbs(target) {
			at = "/"
		}
		rest = append(strings.Split(target, "/"), rest...)
	}
	return append(names, at)
}

// reading is what a file says.
type reading struct {
	failed bool
	value  int
	has    bool
	empty  bool // it is there, with nothing in it
	local  bool // no verdict: this process lacks something
	detail string
}

func (r reading) agrees(st Status) bool {
	return r.local || !st.Pending && r.failed == st.Failed && r.value == st.Value && r.has == st.HasValue
}

// readFile reads the file of a tracker. What is not a regular file is never opened: that may wait for ever, or set off
// what the device is for.
func readFile(path string) reading {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return reading{detail: "absent"}
	case err == nil && !info.Mode().IsRegular():
		return reading{failed: true, detail: "present (" + kind(info.Mode()) + ")"}
	}
	var b []byte
	if err == nil {
		b, err = head(path)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist): // gone meanwhile
		return reading{detail: "absent"}
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE), errors.Is(err, syscall.ENOMEM):
		return reading{local: true, detail: fmt.Sprintf("no verdict: %v", err)}
	case err != nil:
		return reading{failed: true, detail: fmt.Sprintf("unreadable: %v", err)}
	}
	text := strings.TrimSpace(string(b))
	n, err := strconv.Atoi(text)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return reading{failed: true, empty: text == "", detail: "present"}
	}
	n = max(-ValueMost, min(n, ValueMost)) // Atoi returns the nearest it can
	return reading{value: n, has: true, detail: fmt.Sprintf("value %d", n)}
}

// head reads the first bytes of a file. It does not wait if the file has been replaced by a pipe meanwhile.
func head(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(f, contentMost))
}

func kind(m fs.FileMode) string {
	switch m.Type() {
	case fs.ModeDir:
		return "directory"
	case fs.ModeNamedPipe:
		return "named pipe"
	case fs.ModeSocket:
		return "socket"
	}
	return "device"
}
