// SPDX-License-Identifier: Apache-2.0

package director

import (
	"bufio"
	"encoding/binary"
	"math"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

// escaped writes label values as both text formats want them.
var escaped = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)

// writeText writes the text format of Prometheus, 0.0.4.
func (t metricTable) writeText(w *bufio.Writer) error { return t.writeLines(w, false) }

// writeOpenMetrics writes that of OpenMetrics, 1.0.0, which differs in the name of a counter.
func (t metricTable) writeOpenMetrics(w *bufio.Writer) error { return t.writeLines(w, true) }

func (t metricTable) writeLines(w *bufio.Writer, openMetrics bool) error {
	// The labels of a row are the same in each column: they are written once.
	var labels []byte
	ends := make([]int, len(t.rows))
	for i, r := range t.rows {
		for k, value := range r.labels {
			if k > 0 {
				labels = append(labels, ',')
			}
			labels = append(append(labels, t.columns[0].labels[k]...), `="`...)
			labels = append(append(labels, escaped.Replace(value)...), '"')
		}
		ends[i] = len(labels)
	}
	var line []byte
	for n, c := range t.columns {
		first := n == 0 || t.columns[n-1].gauge != c.gauge
		begin, end := c.name+"{", "} "
		if c.last != "" {
			end = "," + c.labels[len(c.labels)-1] + `="` + c.last + `"} `
		}
		from := 0
		for i, r := range t.rows {
			of := labels[from:ends[i]]
			from = ends[i]
			if n >= len(r.values) {
				continue
			}
			if first {
				c.writeHead(w, openMetrics)
				first = false
			}
			line = append(append(append(line[:0], begin...), of...), end...)
			line = append(appendNumber(line, r.values[n]), '\n')
			if _, err := w.Write(line); err != nil {
				return err
			}
		}
	}
	return nil
}

// writeHead writes what comes before the samples of a metric.
func (g *gauge) writeHead(w *bufio.Writer, openMetrics bool) {
	name, kind := g.name, "gauge"
	if g.kind == prometheus.CounterValue {
		kind = "counter"
		if openMetrics {
			name = strings.TrimSuffix(name, "_total")
		}
	}
	_, _ = w.WriteString("# HELP " + name + " " + g.help + "\n# TYPE " + name + " " + kind + "\n")
}

// appendNumber writes whole numbers as such: nearly all are, and it takes a third of the time.
func appendNumber(b []byte, v float64) []byte {
	if i := int64(v); float64(i) == v && -1<<53 < i && i < 1<<53 {
		return strconv.AppendInt(b, i, 10)
	}
	return strconv.AppendFloat(b, v, 'g', -1, 64)
}

// Fields of io.prometheus.client's messages, as they are on the wire: number, and whether a length or 8 bytes follow.
const (
	familyName, familyHelp, familyType, familyMetric = 1<<3 | 2, 2<<3 | 2, 3 << 3, 4<<3 | 2
	metricLabel, metricGauge, metricCounter          = 1<<3 | 2, 2<<3 | 2, 3<<3 | 2
	labelName, labelValue                            = 1<<3 | 2, 2<<3 | 2
	numberValue                                      = 1<<3 | 1
)

// writeProtobuf writes a message for each metric, its length before it.
func (t metricTable) writeProtobuf(w *bufio.Writer) error {
	pair := func(b, scratch []byte, name, value string) (all, used []byte) {
		scratch = appendField(appendField(scratch[:0], labelName, name), labelValue, value)
		return appendField(b, metricLabel, scratch), scratch
	}
	var family, metric, scratch []byte
	for n, c := range t.columns {
		if n == 0 || t.columns[n-1].gauge != c.gauge {
			family = c.appendHead(family[:0])
		}
		number := byte(metricGauge)
		if c.kind == prometheus.CounterValue {
			number = metricCounter
		}
		found := false
		for _, r := range t.rows {
			if n >= len(r.values) {
				continue
			}
			found, metric = true, metric[:0]
			for k, value := range r.labels {
				metric, scratch = pair(metric, scratch, c.labels[k], value)
			}
			if c.last != "" {
				metric, scratch = pair(metric, scratch, c.labels[len(c.labels)-1], c.last)
			}
			metric = append(metric, number, 9, numberValue) // the message has one field of 8 bytes
			metric = binary.LittleEndian.AppendUint64(metric, math.Float64bits(r.values[n]))
			family = appendField(family, familyMetric, metric)
		}
		if !found || n+1 < len(t.columns) && t.columns[n+1].gauge == c.gauge {
			continue
		}
		if _, err := w.Write(binary.AppendUvarint(nil, uint64(len(family)))); err != nil {
			return err
		}
		if _, err := w.Write(family); err != nil {
			return err
		}
	}
	return nil
}

// appendHead appends what comes before the series of a metric.
func (g *gauge) appendHead(b []byte) []byte {
	kind := byte(1) // GAUGE
	if g.kind == prometheus.CounterValue {
		kind = 0
	}
	return append(appendField(appendField(b, familyName, g.name), familyHelp, g.help), familyType, kind)
}

func appendField[T string | []byte](b []byte, tag byte, value T) []byte {
	return append(binary.AppendUvarint(append(b, tag), uint64(len(value))), value...)
}
