// SPDX-License-Identifier: Apache-2.0

package checker

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"
)

// What is read of files for TLS is kept for all checks, until a file changes.
var (
	authorities  fileCache[*x509.CertPool]
	certificates fileCache[*tls.Certificate]
)

// fileWait is how long a file that is known is waited for. A file system that hangs delays nothing more than that, and only
// the check that meets it first.
const fileWait = 100 * time.Millisecond

// fileCache holds what has been made of files.
type fileCache[T any] struct {
	mu      sync.Mutex
	entries map[[2]string]*cached[T]
}

// cached is one or two files. The lock of the cache guards it.
type cached[T any] struct {
	reading *reading // nil: none goes on
	known   bool     // what follows, by the last one that has ended
	stamps  [2]stamp
	value   T
	err     error
}

// reading is one that goes on, for all checks that ask meanwhile.
type reading struct {
	began time.Time
	done  chan struct{} // closed in the end
}

// stamp tells a file from what it was before.
type stamp struct {
	modified time.Time
	size     int64
}

// load returns what parse makes of one or two files, and parses them only when they have changed. It waits for them until
// ctx ends, or only a little if it knows what they were.
func (f *fileCache[T]) load(ctx context.Context, parse func(...[]byte) (T, error), paths ...string) (value T, err error) {
	var key [2]string
	copy(key[:], paths)
	f.mu.Lock()
	entry := f.entries[key]
	if entry == nil {
		if f.entries == nil {
			f.entries = make(map[[2]string]*cached[T])
		}
		entry = &cached[T]{}
		f.entries[key] = entry
	}
	r := entry.reading
	if r == nil {
		r = &reading{time.Now(), make(chan struct{})}
		entry.reading = r
		go f.read(entry, parse, paths) // nobody waits for its end: it may have none
	}
	known := entry.known
	f.mu.Unlock()
	var enough <-chan time.Time
	if known {
		enough = time.After(time.Until(r.began.Add(fileWait)))
	}
	select {
	case <-r.done:
	case <-enough:
	case <-ctx.Done():
		if !known {
			return value, fmt.Errorf("read %s: %w", strings.Join(paths, ", "), ctx.Err())
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return entry.value, entry.err
}

// read reads the files of an entry, and notes what came of it.
func (f *fileCache[T]) read(entry *cached[T], parse func(...[]byte) (T, error), paths []string) {
	f.mu.Lock()
	stamps, value, err := entry.stamps, entry.value, entry.err
	fresh := entry.known && err == nil
	f.mu.Unlock()
	now, statErr := stampsOf(paths) // before they are read: a change in the meantime is seen the next time
	switch {
	case statErr != nil:
		err = statErr
	case !fresh || now != stamps:
		stamps = now
		value, err = parseFiles(parse, paths)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	entry.known, entry.stamps, entry.value, entry.err = true, stamps, value, err
	close(entry.reading.done)
	entry.reading = nil
}

func stampsOf(paths []string) (stamps [2]stamp, err error) {
	for i, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return stamps, err
		}
		stamps[i] = stamp{info.ModTime(), info.Size()}
	}
	return stamps, nil
}

func parseFiles[T any](parse func(...[]byte) (T, error), paths []string) (value T, err error) {
	blobs := make([][]byte, len(paths))
	for i, path := range paths {
		if blobs[i], err = os.ReadFile(path); err != nil {
			return value, err
		}
	}
	if value, err = parse(blobs...); err != nil {
		return value, fmt.Errorf("read %s: %w", strings.Join(paths, ", "), err)
	}
	return value, nil
}

func parseCA(blobs ...[]byte) (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(blobs[0]) {
		return nil, errors.New("no certificate in it, in PEM")
	}
	return pool, nil
}

func parsePair(blobs ...[]byte) (*tls.Certificate, error) {
	pair, err := tls.X509KeyPair(blobs[0], blobs[1])
	return &pair, err
}
