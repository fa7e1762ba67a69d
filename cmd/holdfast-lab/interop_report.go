// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
)

// An interopRow is the result of one step of one play.
type interopRow struct {
	Peer      string  `json:"peer"`
	Version   int     `json:"version"` // of VRRP
	Family    string  `json:"family"`
	Transport string  `json:"transport"`
	Form      string  `json:"form"`   // checksum, authentication and what else differs; "-": nothing
	Master    string  `json:"master"` // to begin with: holdfast or peer
	Play      string  `json:"play"`
	Step      string  `json:"step"`
	OK        bool    `json:"ok"`
	Took      float64 `json:"took_seconds"` // of a takeover, on the wire; 0: nothing to measure
	Want      float64 `json:"want_seconds"` // as the RFC says
	Note      string  `json:"note"`         // what else to know of a step that went well
	Failure   string  `json:"failure"`
}

func newInteropRow(t staging, s step, f finding, err error) interopRow {
	r := interopRow{
		Peer: t.peer, Version: t.version, Family: t.family, Transport: t.transport(), Form: t.form(), Master: t.direct,
		Play: t.play.name, Step: s.name, OK: err == nil, Took: f.took.Seconds(), Want: f.want.Seconds(), Note: f.note,
	}
	if err != nil {
		r.Failure = oneLine(err)
	}
	return r
}

// cell is the row's result as a table has it.
func (r interopRow) cell() string {
	switch {
	case !r.OK:
		return "FAIL"
	case r.Note != "":
		return "pass, " + r.Note
	case r.Want == 0:
		return "pass"
	}
	return fmt.Sprintf("pass, %s (%s)", seconds(r.Took), seconds(r.Want))
}

// A missing is a row that a peer cannot speak.
type missing struct {
	Peer      string `json:"peer"`
	Version   int    `json:"version"`
	Family    string `json:"family"`
	Transport string `json:"transport"`
	Form      string `json:"form"`
	Reason    string `json:"reason"`
}

// An interopReport is all of a run.
type interopReport struct {
	OK       bool              `json:"ok"`
	Started  time.Time         `json:"started"`
	Seconds  float64           `json:"duration_seconds"`
	Versions map[string]string `json:"versions"` // of the peers
	Rows     []interopRow      `json:"rows"`
	Missing  []missing         `json:"missing"` // what the peers cannot speak
}

func newInteropReport(wanted *regexp.Regexp) *interopReport {
	r := &interopReport{OK: true, Started: time.Now(), Versions: make(map[string]string), Rows: []interopRow{}, Missing: []missing{}}
	for _, m := range matches {
		if m.cannot != "" && wanted.MatchString(m.name()) {
			r.Missing = append(r.Missing, missing{m.peer, m.version, m.family, m.transport(), m.form(), m.cannot})
		}
	}
	return r
}

func (r *interopReport) add(rows []interopRow) {
	for _, row := range rows {
		r.OK = r.OK && row.OK
	}
	r.Rows = append(r.Rows, rows...)
}

func (r *interopReport) failed() (n int) {
	for _, row := range r.Rows {
		if !row.OK {
			n++
		}
	}
	return n
}

func (r *interopReport) writeJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}

const interopFormat = "%-10s  %-4s  %-9s  %-9s  %-22s  %-8s  %-18s  %-26s  %s\n"

func (r *interopReport) writeText(w io.Writer) error {
	fmt.Fprintf(w, interopFormat, "peer", "VRRP", "family", "transport", "form", "master", "play", "step", "result")
	for _, row := range r.Rows {
		result := row.cell()
		if !row.OK {
			result += ": " + row.Failure
		}
		fmt.Fprintf(w, interopFormat, row.Peer, fmt.Sprintf("v%d", row.Version), row.Family, row.Transport, row.Form,
			row.Master, row.Play, row.Step, result)
	}
	for _, m := range r.Missing {
		fmt.Fprintf(w, interopFormat, m.Peer, fmt.Sprintf("v%d", m.Version), m.Family, m.Transport, m.Form, "-", "-", "-", "not possible: "+m.Reason)
	}
	_, err := fmt.Fprintf(w, "\n%d rows in %.0f s with %s: %d failed. Times are from priority 0, or from the last advert, to the first advert of\n"+
		"the new master, and in brackets what the RFC says.\n", len(r.Rows), r.Seconds, r.peers(), r.failed())
	return err
}

// peers names the peers with their versions.
func (r *interopReport) peers() string {
	var list []string
	for _, p := range slices.Sorted(maps.Keys(r.Versions)) {
		list = append(list, p+" "+r.Versions[p])
	}
	return strings.Join(list, ", ")
}

// writeMarkdown writes docs/interop.md: a table for the takeovers, with a column for each step, and one for the rest.
func (r *interopReport) writeMarkdown(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, `# Interoperation with keepalived and FRR

Made by `+"`make interop`"+` on %s with %s: %d rows, %d failed. Do not edit.

holdfast and the peer run as they are, each in a network namespace, on one LAN (a sync group: on two). Each row is judged
from outside: who has the addresses on links that are up, whose adverts are on the wire and with which priority, what
`+"`holdfast status`"+` says and what the peer says of itself. A row fails, too, if one of the two refused or complained of
an advert of the other.

Times are taken on the wire, while four rows run at once: a planned stop from the advert with priority 0, a crash from the
last advert, each to the first advert of the new master. In brackets is what the RFC says for the priority and interval:
the skew time and the master-down interval. VRRPv3 runs with adverts of 100 ms, VRRPv2 of 1 s; the master has priority %d,
the backup %d.

## What to know

- keepalived sends IPv6 unicast with a hop limit of 64, which holdfast refuses (reason ttl). Write `+"`unicast_ttl 255`"+`
  there, or `+"`min_ttl = 64`"+` here.
- keepalived before 2.3.3 drops adverts that carry other addresses than its own, and then both are master: change the
  addresses on both sides at once. holdfast and FRR tolerate the difference.
- VRRPv2 with another interval or password on each side: both are master, as RFC 3768 has it. holdfast says why in its log
  and counts it in `+"`holdfast_virtual_router_adverts_refused_total`"+`.
- When keepalived or FRR is killed its addresses stay on its host; those of holdfast end with their lease.
- FRR's first advert as new master over IPv6 comes an interval late, presumably because its link has only just been turned
  on.

## Takeovers

"Planned stop" is SIGTERM, "preemption" the return of the higher priority, "crash" SIGKILL.

| peer | VRRP | family | transport | checksum, auth, other | first master | election | planned stop | preemption | crash |
|---|---|---|---|---|---|---|---|---|---|
`, r.Started.UTC().Format(time.DateOnly), r.peers(), len(r.Rows), r.failed(), high, low)
	rest := r.markdownTakeovers(&b)
	b.WriteString("\n## The rest\n\n| peer | VRRP | family | transport | checksum, auth, other | first master | what | result |\n|---|---|---|---|---|---|---|---|\n")
	for _, row := range rest {
		fmt.Fprintf(&b, "%s | %s: %s | %s |\n", row.markdown(), row.Play, row.Step, row.cell())
	}
	b.WriteString("\n## What the peers cannot speak\n\n| peer | VRRP | family | transport | checksum, auth, other | why |\n|---|---|---|---|---|---|\n")
	for _, m := range r.Missing {
		fmt.Fprintf(&b, "| %s | v%d | %s | %s | %s | %s |\n", m.Peer, m.Version, m.Family, m.Transport, m.Form, m.Reason)
	}
	if !r.OK {
		b.WriteString("\n## What failed\n\n")
	}
	for _, row := range r.Rows {
		if !row.OK {
			fmt.Fprintf(&b, "- %s %s: %s: %s\n", strings.TrimPrefix(row.markdown(), "| "), row.Play, row.Step, row.Failure)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// markdown is the beginning of a line: what all steps of a play have in common.
func (r interopRow) markdown() string {
	return fmt.Sprintf("| %s | v%d | %s | %s | %s | %s", r.Peer, r.Version, r.Family, r.Transport, r.Form, r.Master)
}

// markdownTakeovers writes a line for each play that is a takeover and returns the rows of all others.
func (r *interopReport) markdownTakeovers(b *strings.Builder) (rest []interopRow) {
	for i := 0; i < len(r.Rows); {
		row := r.Rows[i]
		if row.Play != takeovers {
			rest = append(rest, row)
			i++
			continue
		}
		b.WriteString(row.markdown())
		for n := range 4 { // a play ends with the first failure
			cell := "-"
			if i < len(r.Rows) && r.Rows[i].markdown() == row.markdown() && r.Rows[i].Play == takeovers && (n == 0 || r.Rows[i-1].OK) {
				cell = r.Rows[i].cell()
				i++
			}
			fmt.Fprintf(b, " | %s", cell)
		}
		b.WriteString(" |\n")
	}
	return rest
}
