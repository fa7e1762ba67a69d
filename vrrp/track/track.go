// SPDX-License-Identifier: Apache-2.0

// Package track follows what a virtual router's priority depends on beside the network: scripts, processes and files.
package track

import (
	"context"
	"log/slog"
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

	Process string // Process: name of the program
	Min     int    // how many of them must run

	Path string // File: present means failed; an integer in it times Weight is added to the priority
}

// Status is what is known of a tracker. Value is the integer in a file, for which HasValue is set.
type Status struct {
	Key      Key
	Pending  bool // not known yet
	Failed   bool
	Value    int
	HasValue bool
	Detail   string // "exit 1 (3 in a row)", "2 of 3 running", "present"
	Output   string // Script: the last of its output
	Last     time.Time
	Duration time.Duration // Script: of the last run
}

// Options is what a Set works with.
type Options struct {
	Log *slog.Logger
	// OnChange is called with each change of Pending, Failed, Value or HasValue. It must not block.
	OnChange func(Status)
}

// Set follows trackers while Run runs.
type Set struct{ o Options }

// NewSet returns a set that is not running.
func NewSet(o Options) *Set { return &Set{o: o} }

// Apply makes the trackers those that are followed. One that is equal goes on with its history.
func (s *Set) Apply([]Tracker) {}

// Run follows the trackers until ctx ends.
func (s *Set) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// Snapshot returns the status of every tracker, in the order of their keys.
func (s *Set) Snapshot() []Status { return nil }
