// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"strings"
)

// writeFaultsDocument prints docs/faults.md from the reports of earlier runs.
func writeFaultsDocument(out io.Writer, dir string) error {
	rows, err := readFaultRows(dir)
	if err != nil {
		return err
	}
	var b strings.Builder
	b.WriteString(faultsHead)
	ours, all := held(rows["holdfast"])
	theirs, compared := held(rows["keepalived"])
	fmt.Fprintf(&b, "\nWithin these bounds, which are made for holdfast, stayed holdfast in %d of %d scenarios, and keepalived in %d of the %d that it was run in.\n",
		ours, all, theirs, compared)
	group := ""
	for _, f := range faults() {
		if g, _, _ := strings.Cut(f.name, "/"); g != group {
			group = g
			fmt.Fprintf(&b, "\n## %s\n\n%s\n\n| fault | what is done | holdfast | keepalived | bound |\n|---|---|---|---|---|\n",
				strings.ToUpper(g[:1])+g[1:], groupIntro[g])
		}
		what := f.what
		if f.note != "" {
			what += " (" + f.note + ")"
		}
		ours, theirs := faultCell(rows["holdfast"], f, true), faultCell(rows["keepalived"], f, false)
		if f.ours {
			theirs = "not compared"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", f.name, what, ours, theirs, faultBounds(rows["holdfast"], f))
	}
	_, err = io.WriteString(out, b.String())
	return err
}

const faultsHead = `# Faults: what a client saw

Written by ` + "`make faults`" + `; do not edit. Each scenario has a lab of its own: two directors or more on one switch, adverts each
second, a client with a new connection every 10 ms (given up after 200 ms) and 20 connections that it holds. Where a scenario
needs IPVS the directors balance three servers by DR; elsewhere they answer themselves, so that a fail-over ends held
connections. After each one exactly one director may be master, every table must be as it should be, and the directors must
have no more open files, goroutines and memory than before. keepalived is Debian's, with the same priorities and intervals.
Figures are of one run, or the worst of five where the scenario is about times; those of keepalived are of one run.

Some bounds are what holdfast's design gives, and not the tightest that one could think of:

- A director that is killed, hung or frozen loses its addresses with their lease, at adverts of 1 s after 5.5 s at the
  latest, and not by another program that cleans up after it. Until then two have them; the clients follow the new master.
- A master that leaves the role as planned, or yields to a higher one, serves until the new one has announced itself: two
  have the address for up to 700 ms, so that no client has neither.
- A master that was suspended becomes a backup first, and takes the role back by ` + "`preempt`" + `: two changes, not one.
- What others change in the IPVS table is found when it is read, each 5 s; a virtual route is put back with the next advert.
- That two are master is told by a metric at the next advert that one hears of the other, however little of the line is left.

The hostile answers of real servers (silence, a byte a second, endless headers and bodies, resets, broken TLS, redirects without
end) have a suite of their own, which needs no lab: the hostile tests of the package ` + "`checker`" + `.
`

var groupIntro = map[string]string{
	"process":   "What happens to the program.",
	"network":   "What happens to the lines between the directors.",
	"table":     "What others do to the addresses, interfaces and tables that are ours.",
	"resources": "What the master needs is taken from it: time, memory, disk, files, someone who reads.",
	"checks":    "What happens to the real servers that the directors check.",
	"hostile":   "What strangers send on the directors' network.",
	"config":    "What happens to what a director reads: its configuration and its state file.",
}

// faultRow finds the result of a fault.
func faultRow(rows map[string]row, f fault) (row, bool) {
	if r, ok := rows[f.name+worstOf(f.times)]; ok {
		return r, true
	}
	r, ok := rows[f.name]
	return r, ok
}

// held counts the faults that were run, and those of them that missed no bound.
func held(rows map[string]row) (good, all int) {
	for _, f := range faults() {
		if r, ok := faultRow(rows, f); ok {
			all++
			if r.OK {
				good++
			}
		}
	}
	return good, all
}

// faultCell is what a client saw.
func faultCell(rows map[string]row, f fault, judged bool) string {
	r, ok := faultRow(rows, f)
	if !ok {
		return "not run"
	}
	text := fmt.Sprintf("lost %d, gap %s", r.Lost, seconds(r.LongestGap))
	if r.Shared > 0 {
		text += ", two holders " + seconds(r.Shared)
	}
	for _, b := range r.Bounds {
		switch b.What {
		case "lost", "gap", "two holders":
		default:
			text += fmt.Sprintf(", %s %s", b.What, b.figure(b.Value))
		}
	}
	if r.Failure != "" {
		text += ". " + r.Failure
	}
	if !r.OK && r.busy() {
		text += fmt.Sprintf(" (this machine was busy: the client itself was held up for %s)", seconds(r.Late))
	}
	if judged && !r.OK {
		text = "**missed**: " + text
	}
	return strings.ReplaceAll(text, "|", "/")
}

// faultBounds are the bounds of a fault.
func faultBounds(rows map[string]row, f fault) string {
	r, ok := faultRow(rows, f)
	if !ok {
		return ""
	}
	var all []string
	for _, b := range r.Bounds {
		limit := b.figure(b.Most)
		if b.Least > 0 {
			limit = b.figure(b.Least) + " to " + limit
		}
		all = append(all, b.What+" "+limit)
	}
	return strings.Join(all, ", ")
}
