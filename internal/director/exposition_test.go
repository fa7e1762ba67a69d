// SPDX-License-Identifier: Apache-2.0

package director

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/holdfast-lb/holdfast/configs"
)

// tableCollector has client_golang write tables.
type tableCollector []metricTable

func (tableCollector) Describe(chan<- *prometheus.Desc) {}

func (all tableCollector) Collect(ch chan<- prometheus.Metric) {
	for _, t := range all {
		for n, c := range t.columns {
			for _, r := range t.rows {
				labels := slices.Clone(r.labels)
				if c.last != "" {
					labels = append(labels, c.last)
				}
				if n < len(r.values) {
					c.send(ch, r.values[n], labels...)
				}
			}
		}
	}
}

func (all tableCollector) registry() *prometheus.Registry {
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(all)
	return r
}

// strangeTables have what is hard to write.
var strangeTables = tableCollector{
	{checkColumns, []row{
		{[]string{"web", "web1", "http"}, []float64{1, 12345678, 0, 3}},
		{[]string{`a "quoted" \ back`, "two\nlines", "größer"}, []float64{0, math.MaxUint64, 1 << 53, 1e300}},
	}},
	{serverColumns, []row{
		{[]string{"web", "web1"}, []float64{1, 100, 1, 1, 7, 8, 9, 10, 11, 12, 13}},
		{[]string{"web", "web2"}, []float64{0, 0.5, 0, 1}}, // not in the table
	}},
	{serviceColumns, nil},
}

// protobuf is the Accept header of Prometheus.
const protobuf = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,text/plain;version=0.0.4;q=0.5"

// The tables read as client_golang writes them, in each format.
func TestExpositionFormats(t *testing.T) {
	theirs := promhttp.HandlerFor(strangeTables.registry(), promhttp.HandlerOpts{EnableOpenMetrics: true})
	ours := &exposition{
		counted: promhttp.HandlerFor(prometheus.NewRegistry(), promhttp.HandlerOpts{EnableOpenMetrics: true, DisableCompression: true}),
		tables:  func(context.Context) []metricTable { return strangeTables }, slots: make(chan struct{}, 1),
	}
	for _, accept := range []string{
		"", "text/plain", "application/openmetrics-text;version=1.0.0", "application/openmetrics-text;version=0.0.1", protobuf,
		"application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=text",
	} {
		r := httptest.NewRequest("GET", "/metrics", nil)
		r.Header.Set("Accept", accept)
		want, got := httptest.NewRecorder(), httptest.NewRecorder()
		ours.ServeHTTP(got, r)
		if strings.HasSuffix(accept, "=text") {
			r.Header.Del("Accept")
		}
		theirs.ServeHTTP(want, r)
		if w, g := want.Header().Get("Content-Type"), got.Header().Get("Content-Type"); w != g {
			t.Errorf("accept %q: type %q, want %q", accept, g, w)
		}
		read := readLines
		if accept == protobuf {
			read = readProtobuf
		}
		wanted := read(t, want.Body.Bytes())
		if len(wanted) < 15 {
			t.Errorf("accept %q: %d lines of client_golang", accept, len(wanted))
		}
		if diff := cmp.Diff(wanted, read(t, got.Body.Bytes())); diff != "" {
			t.Errorf("accept %q: client_golang writes -, this +:\n%s", accept, diff)
		}
	}
}

var labelPair = regexp.MustCompile(`\w+="(?:[^"\\]|\\.)*"`)

// readLines returns the lines of a text format in an order, with their labels in an order and numbers in one form.
func readLines(t *testing.T, b []byte) []string {
	var lines []string
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSuffix(line, "\n")
		if name, rest, ok := strings.Cut(line, "{"); ok && line[0] != '#' {
			end := strings.LastIndex(rest, "} ")
			labels := labelPair.FindAllString(rest[:end], -1)
			if strings.Join(labels, ",") != rest[:end] {
				t.Errorf("labels %s are read as %q", rest[:end], labels)
			}
			slices.Sort(labels)
			var number float64
			if _, err := fmt.Sscan(rest[end+2:], &number); err != nil {
				t.Errorf("%q: %v", line, err)
			}
			line = fmt.Sprint(name, labels, number)
		}
		lines = append(lines, line)
	}
	if end := slices.Index(lines, "# EOF"); end >= 0 && end != len(lines)-1 {
		t.Error("# EOF is not the end")
	}
	slices.Sort(lines)
	return lines
}

// fields calls f for each field of a message in protobuf's encoding.
func fields(t *testing.T, b []byte, f func(number uint64, bytes []byte, value uint64)) {
	for len(b) > 0 {
		tag, n := binary.Uvarint(b)
		length, m := binary.Uvarint(b[n:])
		switch b = b[n:]; tag & 7 {
		case 0:
			f(tag>>3, nil, length)
			b = b[m:]
		case 1:
			f(tag>>3, nil, binary.LittleEndian.Uint64(b))
			b = b[8:]
		case 2:
			f(tag>>3, b[m:m+int(length)], 0)
			b = b[m+int(length):]
		default:
			t.Fatalf("tag %d", tag)
		}
	}
}

// readProtobuf returns what is in messages of type MetricFamily, a line for each series.
func readProtobuf(t *testing.T, b []byte) []string {
	var lines []string
	for len(b) > 0 {
		length, n := binary.Uvarint(b)
		family := ""
		fields(t, b[n:n+int(length)], func(number uint64, bytes []byte, value uint64) {
			if number != 4 { // name, help, type
				family += fmt.Sprintf("%s%d ", bytes, value)
				return
			}
			var labels []string
			result := ""
			fields(t, bytes, func(number uint64, bytes []byte, _ uint64) {
				of := fmt.Sprint(number)
				fields(t, bytes, func(part uint64, bytes []byte, value uint64) {
					if number == 1 || part == 1 { // no time stamps
						of += fmt.Sprintf(" %d %s %v", part, bytes, math.Float64frombits(value))
					}
				})
				if number == 1 {
					labels = append(labels, of)
				} else {
					result += of
				}
			})
			slices.Sort(labels)
			lines = append(lines, fmt.Sprintf("%s%q %s", family, labels, result))
		})
		b = b[n+int(length):]
	}
	slices.Sort(lines)
	return lines
}

// idle is a director that does nothing.
func idle() *Director {
	return New(Options{Config: new(configs.Config), Log: slog.New(slog.DiscardHandler), Level: new(slog.LevelVar)})
}

func TestExpositionCompresses(t *testing.T) {
	e := newExposition(idle())
	for header, want := range map[string]bool{
		"": false, "gzip": true, "deflate, GZIP;q=0.5": true, "gzip;q=0": false, "gzip; q=0.0, br": false, "br": false,
	} {
		r := httptest.NewRequest("GET", "/metrics", nil)
		r.Header.Set("Accept-Encoding", header)
		w := httptest.NewRecorder()
		e.ServeHTTP(w, r)
		body := io.Reader(w.Body)
		if got := w.Header().Get("Content-Encoding") == "gzip"; got != want {
			t.Errorf("accept %q: compressed: %v, want %v", header, got, want)
		} else if got {
			z, err := gzip.NewReader(body)
			if err != nil {
				t.Fatal(err)
			}
			body = z
		}
		if b, err := io.ReadAll(body); err != nil || !bytes.Contains(b, []byte("\ngo_goroutines ")) {
			t.Errorf("accept %q: %d bytes, %v", header, len(b), err)
		}
	}
}

// The fifth scrape at once is refused, for all that they need together is bounded so.
func TestExpositionIsBounded(t *testing.T) {
	e := newExposition(idle())
	entered, leave := make(chan struct{}), make(chan struct{})
	e.tables = func(context.Context) []metricTable {
		entered <- struct{}{}
		<-leave
		return nil
	}
	scrape := func() int {
		w := httptest.NewRecorder()
		e.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
		return w.Code
	}
	codes := make(chan int)
	for range scrapesAtOnce {
		go func() { codes <- scrape() }()
		<-entered
	}
	if code := scrape(); code != http.StatusServiceUnavailable {
		t.Errorf("one too many: %d", code)
	}
	close(leave)
	for range scrapesAtOnce {
		if code := <-codes; code != http.StatusOK {
			t.Errorf("one of as many as may be: %d", code)
		}
	}
}

// brokenWriter is a client that has gone away.
type brokenWriter struct{ n int }

func (w *brokenWriter) Write([]byte) (int, error) { w.n++; return 0, io.ErrClosedPipe }

// A client that has gone away ends the work for it.
func TestExpositionEndsWithItsClient(t *testing.T) {
	for name, write := range writers {
		w := &brokenWriter{}
		if write(strangeTables[0], bufio.NewWriterSize(w, 16)) == nil || w.n != 1 {
			t.Errorf("%s: %d writes", name, w.n)
		}
	}
}

// A scrape waits for nothing but the kernel, and the loop waits for no scrape.
func TestScrapeAndLoopDoNotWait(t *testing.T) {
	s := newSite(t)
	d, _ := s.run()
	s.tableHas("web1=1 web2=1")
	busy, done := make(chan struct{}), make(chan struct{})
	d.calls <- func() { <-busy }
	if code, body := s.get("/metrics"); code != http.StatusOK || !strings.Contains(body, "holdfast_real_server_up") {
		t.Errorf("while the loop is busy: %d %s", code, body)
	}
	close(busy)

	asked, answer := make(chan struct{}, 1), make(chan struct{})
	s.table.Fail(func(call string) error {
		if call == "stats" {
			select {
			case asked <- struct{}{}:
			default:
			}
			<-answer
		}
		return nil
	})
	s.eventually(func() error { // what was read is good for a second
		go s.get("/metrics")
		select {
		case <-asked:
			return nil
		case <-time.After(100 * time.Millisecond):
			return errors.New("the kernel was not asked")
		}
	})
	d.calls <- func() { close(done) } // returns while the kernel does not
	<-done
	close(answer)
}
