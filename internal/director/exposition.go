// SPDX-License-Identifier: Apache-2.0

package director

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

const (
	scrapesAtOnce = 4 // more get 503
	endOfMetrics  = "# EOF\n"
)

// exposition serves the metrics. What is counted goes through client_golang, which also settles the format; behind that
// come the tables, which it would take seconds for.
type exposition struct {
	counted http.Handler
	tables  func(context.Context) []metricTable
	slots   chan struct{}
}

func newExposition(d *Director) *exposition {
	return &exposition{
		counted: promhttp.HandlerFor(d.metrics.registry, promhttp.HandlerOpts{
			ErrorHandling: promhttp.ContinueOnError, EnableOpenMetrics: true, DisableCompression: true,
		}),
		tables: d.metricTables, slots: make(chan struct{}, scrapesAtOnce),
	}
}

// ServeHTTP implements http.Handler.
func (e *exposition) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	select {
	case e.slots <- struct{}{}:
		defer func() { <-e.slots }()
	default:
		http.Error(w, "too many scrapes at once: try again later", http.StatusServiceUnavailable)
		return
	}
	counted := e.ask(r)
	write := writers[counted.format()]
	if write == nil { // a format for people who debug protobuf
		r = r.Clone(r.Context())
		r.Header.Del("Accept")
		counted = e.ask(r)
		write = metricTable.writeText
	}
	if counted.status != http.StatusOK {
		http.Error(w, counted.String(), counted.status)
		return
	}
	w.Header().Set("Content-Type", counted.header.Get("Content-Type"))
	w.Header().Set("Vary", "Accept, Accept-Encoding")
	var body io.Writer = w
	if acceptsGzip(r.Header) {
		w.Header().Set("Content-Encoding", "gzip")
		z, _ := gzip.NewWriterLevel(w, gzip.BestSpeed) // fails for an unknown level only
		defer func() { _ = z.Close() }()
		body = z
	}
	out := bufio.NewWriterSize(body, 64<<10)
	defer func() { _ = out.Flush() }() // what fails here, the client has gone away from
	head, ended := bytes.CutSuffix(counted.Bytes(), []byte(endOfMetrics))
	_, _ = out.Write(head)
	for _, t := range e.tables(r.Context()) {
		if write(t, out) != nil {
			return
		}
	}
	if ended {
		_, _ = out.WriteString(endOfMetrics)
	}
}

// ask has client_golang answer.
func (e *exposition) ask(r *http.Request) *answerBuffer {
	a := &answerBuffer{header: make(http.Header), status: http.StatusOK}
	e.counted.ServeHTTP(a, r)
	return a
}

// writers write a table in the formats that client_golang calls so. The error is that of the writer.
var writers = map[string]func(metricTable, *bufio.Writer) error{
	"text/plain":                                metricTable.writeText,
	"application/openmetrics-text":              metricTable.writeOpenMetrics,
	"application/vnd.google.protobuf delimited": metricTable.writeProtobuf,
}

// answerBuffer keeps what a handler answers.
type answerBuffer struct {
	bytes.Buffer
	header http.Header
	status int
}

func (a *answerBuffer) Header() http.Header    { return a.header }
func (a *answerBuffer) WriteHeader(status int) { a.status = status }

// format is a key of writers, or not.
func (a *answerBuffer) format() string {
	kind, parameters, err := mime.ParseMediaType(a.header.Get("Content-Type"))
	if err != nil || a.status != http.StatusOK {
		return "text/plain"
	}
	return strings.TrimSpace(kind + " " + parameters["encoding"])
}

// acceptsGzip reports whether a client takes gzip (RFC 9110, section 12.5.3).
func acceptsGzip(h http.Header) bool {
	for _, coding := range strings.Split(strings.Join(h.Values("Accept-Encoding"), ","), ",") {
		name, weight, _ := strings.Cut(coding, ";")
		if strings.EqualFold(strings.TrimSpace(name), "gzip") {
			_, q, _ := strings.Cut(weight, "=")
			f, err := strconv.ParseFloat(strings.TrimSpace(q), 64)
			return err != nil || f > 0
		}
	}
	return false
}
