// SPDX-License-Identifier: Apache-2.0

package drill

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"time"
)

// Text is the result for a person.
func (r Result) Text() string {
	var b strings.Builder
	what := "load"
	if r.Director != "" || len(r.Checks) > 0 {
		what = "drill"
	}
	if len(r.Routers) > 0 {
		what += " of " + strings.Join(r.Routers, ", ") + " on " + r.Director
	}
	fmt.Fprintf(&b, "%s: %s after %s\n", what, strings.ToUpper(r.Verdict.String()), figure(seconds(r.Seconds)))
	list(&b, "pre-checks", r.Checks)
	list(&b, "drill", r.Bounds)
	switch {
	case r.Tried:
		fmt.Fprintln(&b, "pre-checks only: nothing was done")
	case r.HandOver == nil && r.Director != "":
		fmt.Fprintln(&b, "nothing was done: the director was not told to step down")
	}
	if l := r.Load; l != nil {
		fmt.Fprintf(&b, "load: %s\n", l.Target)
		for _, p := range append(l.Phases, l.Phase) {
			fmt.Fprintf(&b, "  %-8s %6d requests, %d lost, longest gap %s\n", p.Name, p.Requests, p.Lost, figure(seconds(p.LongestGap)))
		}
	}
	if h := r.Held; h != nil {
		fmt.Fprintf(&b, "held connections: %d opened, %d survived, %d reset, %d stalled; longest stall of one that went on %s\n",
			h.Opened, h.Survived, h.Reset, h.Stalled, figure(h.Stall))
	}
	if r.ByHand != "" {
		fmt.Fprintf(&b, "LEFT TO DO BY HAND %s\n", r.ByHand)
	}
	return b.String()
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

func list(w io.Writer, title string, checks []Check) {
	if len(checks) == 0 {
		return
	}
	fmt.Fprintln(w, title)
	for _, c := range checks {
		fmt.Fprintf(w, "  %-8s %s: %s\n", c.Verdict, c.Name, strings.ReplaceAll(c.Text, "\n", "; "))
	}
}

// JUnit's XML, as Jenkins and GitLab read it: no schema is official, these are the elements that all know.
type (
	junitSuites struct {
		XMLName xml.Name     `xml:"testsuites"`
		Suites  []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name      string      `xml:"name,attr"`
		Tests     int         `xml:"tests,attr"`
		Failures  int         `xml:"failures,attr"`
		Errors    int         `xml:"errors,attr"`
		Skipped   int         `xml:"skipped,attr"`
		Time      string      `xml:"time,attr"`
		Timestamp string      `xml:"timestamp,attr"`
		Host      string      `xml:"hostname,attr"`
		Cases     []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Class   string        `xml:"classname,attr"`
		Name    string        `xml:"name,attr"`
		Time    string        `xml:"time,attr"`
		Failure *junitMessage `xml:"failure"`
		Skipped *junitMessage `xml:"skipped"`
		Out     string        `xml:"system-out,omitempty"`
	}
	junitMessage struct {
		Message string `xml:"message,attr"`
	}
)

// WriteJUnit writes the result as JUnit XML: a suite of the pre-checks and one of the drill, each check a test case.
func (r Result) WriteJUnit(w io.Writer) error {
	doc := junitSuites{Suites: []junitSuite{}}
	for _, s := range []struct {
		name   string
		took   float64
		checks []Check
	}{{"pre-checks", 0, r.Checks}, {"drill", r.Seconds, r.Bounds}} {
		if len(s.checks) == 0 {
			continue
		}
		suite := junitSuite{
			Name: "holdfast " + s.name, Tests: len(s.checks), Time: fmt.Sprintf("%.3f", s.took), Host: r.Director,
			Timestamp: r.Started.UTC().Format("2006-01-02T15:04:05"),
		}
		for _, c := range s.checks {
			tc := junitCase{Class: "holdfast." + s.name, Name: c.Name, Time: "0.000"}
			switch c.Verdict {
			case Failed:
				suite.Failures++
				tc.Failure = &junitMessage{c.Text}
			case Skipped:
				suite.Skipped++
				tc.Skipped = &junitMessage{c.Text}
			default:
				tc.Out = c.Verdict.String() + ": " + c.Text
			}
			suite.Cases = append(suite.Cases, tc)
		}
		doc.Suites = append(doc.Suites, suite)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	if err := e.Encode(doc); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}
