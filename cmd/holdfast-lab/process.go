// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/holdfast-lb/holdfast/internal/netlab"
)

// metricsAddress is where each director serves its metrics, within its own host.
const metricsAddress = "127.0.0.1:9652"

// A directorHost is a host and the holdfast that runs on it, or does not.
type directorHost struct {
	name  string
	dir   string // configuration, control socket, state and log
	host  *netlab.Host
	ports []*netlab.Port

	process *os.Process
	done    chan struct{} // closed when the process has ended; nil: never started
}

func newDirectorHost(name, dir string) *directorHost { return &directorHost{name: name, dir: dir} }

func (d *directorHost) config() string  { return filepath.Join(d.dir, "holdfast.hcl") }
func (d *directorHost) logFile() string { return filepath.Join(d.dir, "log") }

// running reports whether the process has not ended yet.
func (d *directorHost) running() bool {
	if d.done == nil {
		return false
	}
	select {
	case <-d.done:
		return false
	default:
		return true
	}
}

// start runs holdfast, unless it runs. Its log is appended to.
func (d *directorHost) start(ctx context.Context, binary string) error {
	if d.running() {
		return nil
	}
	log, err := os.OpenFile(d.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	cmd := d.host.Command(ctx, binary, "run", "-c", d.config())
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", d.name, err)
	}
	d.process, d.done = cmd.Process, make(chan struct{})
	done := d.done
	go func() {
		defer close(done)
		_ = cmd.Wait() // scenarios kill it: how it ended is in its log
	}()
	return nil
}

// signal sends a signal to holdfast.
func (d *directorHost) signal(s syscall.Signal) error {
	if err := d.process.Signal(s); err != nil {
		return fmt.Errorf("send %s to %s: %w", s, d.name, err)
	}
	return nil
}

// wait waits until the process has ended.
func (d *directorHost) wait() {
	if d.done != nil {
		<-d.done
	}
}

// ended waits so long for the end of the process.
func (d *directorHost) ended(ctx context.Context, timeout time.Duration) error {
	select {
	case <-d.done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(timeout):
		return fmt.Errorf("%s has not stopped within %s", d.name, timeout)
	}
}

// lastLines returns the end of the log.
func (d *directorHost) lastLines(n int) string { return lastLines(d.logFile(), n) }

// lastLines returns the end of a file.
func lastLines(file string, n int) string {
	b, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimRight(string(b), "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// metric sums up all series of a metric that have the label, given as it is written there.
func (d *directorHost) metric(ctx context.Context, name, label string) (float64, error) {
	b, err := scrape(ctx, &http.Transport{DialContext: d.host.Dial})
	if err != nil {
		return 0, fmt.Errorf("read metrics of %s: %w", d.name, err)
	}
	return sumMetric(b, name, label)
}

// scrape reads the metrics of the host that t dials from.
func scrape(ctx context.Context, t *http.Transport) ([]byte, error) {
	defer t.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+metricsAddress+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	resp, err := (&http.Client{Transport: t, Timeout: 5 * time.Second}).Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	return io.ReadAll(resp.Body)
}

// sumMetric reads the text format, in which a sample is a line: name{label="value",…} number.
func sumMetric(text []byte, name, label string) (float64, error) {
	var sum float64
	found := false
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		rest, ok := strings.CutPrefix(lines.Text(), name)
		if !ok || rest == "" || rest[0] != '{' && rest[0] != ' ' || !strings.Contains(rest, label) {
			continue
		}
		v, err := strconv.ParseFloat(rest[strings.LastIndexByte(rest, ' ')+1:], 64)
		if err != nil {
			return 0, fmt.Errorf("metric %s: %w", name, err)
		}
		sum += v
		found = true
	}
	if !found {
		return 0, errors.New("no metric " + name + " " + label)
	}
	return sum, nil
}
