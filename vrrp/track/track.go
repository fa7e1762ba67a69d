// SPDX-License-Identifier: Apache-2.0

// Package track follows what a virtual router's priority depends on beside the network: scripts, processes and files.
package track

import (
	"strings"
	"time"
)

// Kind is what is followed.
type Kind uint8

// The kinds.
const (
	_ Kind = iota
	Script
	Process
	File
)

func (k Kind) String() string {
	switch k {
	case Script:
		return "script"
	case Process:
		return "process"
	case File:
		return "file"
	}
	return "invalid"
}

// Key names a tracker.
type Key struct {
	Router string
	Kind   Kind
	Name   string
}

// Tracker is one thing to follow for one virtual router.
type Tracker struct {
	Key    Key
	Weight int

	Command    []string // Script
	Interval   time.Duration
	Timeout    time.Duration
	Rise, Fall int
	User       string

	Process string // Process: name of the program, as matches says
	Min     int    // how many of them must run

	Path string // File: present means failed; an integer in it times Weight is added to the priority
}

// settings is what a tracker follows, without what is made of it. Equal ones go on.
type settings struct {
	key               Key
	command, user     string
	interval, timeout time.Duration
	rise, fall        int
	process           string
	min               int
	path              string
}

func (t Tracker) settings() settings {
	return settings{
		t.Key, strings.Join(t.Command, "\x00"), t.User, t.Interval, t.Timeout, t.Rise, t.Fall, t.Process, t.Min, t.Path,
	}
}

// sameTarget reports whether a verdict under o still means something: only how often and how patiently is new.
func (s settings) sameTarget(o settings) bool {
	o.interval, o.timeout, o.rise, o.fall = s.interval, s.timeout, s.rise, s.fall
	return s == o
}

// Status is what is known of a tracker. Value is the integer in a file, for which HasValue is set.
type Status struct {
	Key      Key
	Pending  bool // not known yet
	Failed   bool
	Value    int // within ±ValueMost
	HasValue bool
	Detail   string // "exit 1 (3 in a row)", "2 of 3 running", "present"
	Output   string // Script: the last of its output
	Last     time.Time
	Duration time.Duration // Script: of the last run
}

// changed reports whether o differs in what a priority is made of.
func (s Status) changed(o Status) bool {
	return s.Pending != o.Pending || s.Failed != o.Failed || s.Value != o.Value || s.HasValue != o.HasValue
}
