// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/holdfast-lb/holdfast/vrrp"
	"github.com/holdfast-lb/holdfast/vrrp/track"
)

// maxWeight is the largest priority that a weight could make a difference of, RFC 9568 section 5.2.4.
const maxWeight = 254

// trackFile is the block whose weight counts as often as a file says.
const trackFile = "track_file"

// weight is what one tracked thing may do to the priority of a virtual router, and where the files say so.
type weight struct {
	kind, name string
	value      int
	at         hcl.Range
}

// trackers builds all that a virtual router tracks. The virtual router is the last of the configuration.
func (b *builder) trackers(raw *rawVirtualRouter, services []*rawVirtualServer) {
	router := &b.cfg.VirtualRouters[len(b.cfg.VirtualRouters)-1]
	for _, t := range raw.TrackInterfaces {
		b.trackedLink(raw, t, router)
	}
	for _, t := range raw.TrackScripts {
		b.cfg.Trackers = append(b.cfg.Trackers, b.trackedScript(raw, t))
	}
	for _, t := range raw.TrackProcesses {
		b.cfg.Trackers = append(b.cfg.Trackers, b.trackedProcess(raw, t))
	}
	for _, t := range raw.TrackFiles {
		b.name(trackFile, identity(raw), t.Name, t.NameRange)
		b.require(t.Range, "path", t.Path)
		b.cfg.Trackers = append(b.cfg.Trackers, track.Tracker{
			Key:    track.Key{Router: raw.Name, Kind: track.File, Name: t.Name},
			Weight: b.weight(raw, trackFile, t.Name, t.Weight, 0, t.NameRange),
			Path:   read(b, t.Path, "", matching(parsePath)),
		})
	}
	for _, t := range raw.TrackServices {
		b.trackedService(raw, t, services)
	}
}

// weight reads the weight of a tracked thing, whose name stands at label.
func (b *builder) weight(raw *rawVirtualRouter, kind, name string, a *hcl.Attribute, def int, label hcl.Range) int {
	w := weight{kind: kind, name: name, value: read(b, a, def, whole(-maxWeight, maxWeight)), at: orRange(a, label)}
	b.weights[raw.Name] = append(b.weights[raw.Name], w)
	return w.value
}

func (b *builder) trackedLink(raw *rawVirtualRouter, t *rawTrackInterface, router *vrrp.Config) {
	link := vrrp.TrackedLink{Name: t.Name, Weight: b.weight(raw, "track_interface", t.Name, t.Weight, 0, t.NameRange)}
	router.Links = append(router.Links, link)
	if _, err := parseInterface(t.Name); err != nil {
		b.invalid("track_interface", t.NameRange, err)
		return
	}
	b.unique("track_interface", identity(raw), fmt.Sprintf("%q", t.Name), t.NameRange)
	if t.Name == router.Interface {
		b.warn(t.NameRange, "Tracked twice", fmt.Sprintf(
			"%s is the virtual router's own interface, which is always tracked: while its link is down, the router is in fault.", t.Name))
	}
}

func (b *builder) trackedScript(raw *rawVirtualRouter, t *rawTrackScript) track.Tracker {
	b.name("track_script", identity(raw), t.Name, t.NameRange)
	b.require(t.Range, "command", t.Command)
	times := duration(minInterval, maxInterval, 1)
	s := track.Tracker{
		Key:      track.Key{Router: raw.Name, Kind: track.Script, Name: t.Name},
		Weight:   b.weight(raw, "track_script", t.Name, t.Weight, 0, t.NameRange),
		Command:  b.command(t.Command),
		Interval: read(b, t.Interval, 2*time.Second, times),
		Timeout:  read(b, t.Timeout, time.Second, times),
		Rise:     read(b, t.Rise, 2, whole(1, maxTries)),
		Fall:     read(b, t.Fall, 2, whole(1, maxTries)),
	}
	s.User = b.user(t.User, t.Command, s.Command)
	b.timeout(t.Timeout, orRange(t.Interval, t.Range), s.Timeout, s.Interval)
	return s
}

func (b *builder) trackedProcess(raw *rawVirtualRouter, t *rawTrackProcess) track.Tracker {
	b.name("track_process", identity(raw), t.Name, t.NameRange)
	return track.Tracker{
		Key:     track.Key{Router: raw.Name, Kind: track.Process, Name: t.Name},
		Weight:  b.weight(raw, "track_process", t.Name, t.Weight, 0, t.NameRange),
		Process: read(b, t.Process, t.Name, matching(parseProcess)),
		Min:     read(b, t.Min, 1, whole(1, 100_000)),
	}
}

// defaultServiceWeight is that of a track_service. Other weights are 0, a fault; but a service that is down on both
// directors must not leave the addresses without a master.
const defaultServiceWeight = -50

func (b *builder) trackedService(raw *rawVirtualRouter, t *rawTrackService, services []*rawVirtualServer) {
	names := make([]string, len(services))
	for i, s := range services {
		names[i] = s.Name
	}
	b.unique("track_service", identity(raw), fmt.Sprintf("%q", t.Name), t.NameRange)
	b.known("track_service", "virtual_server", t.Name, names, t.NameRange)
	b.cfg.TrackedServices = append(b.cfg.TrackedServices, TrackedService{
		Router: raw.Name, Service: t.Name,
		Weight: b.weight(raw, "track_service", t.Name, t.Weight, defaultServiceWeight, t.NameRange),
	})
}

// known reports a reference to a block that does not exist, and the name that may be meant.
func (b *builder) known(where, block, name string, names []string, at hcl.Range) bool {
	for _, n := range names {
		if n == name {
			return true
		}
	}
	text := fmt.Sprintf("takes the name of a %s; there is none %.60q", block, name)
	if near := nearest(name, names); near != "" {
		text += fmt.Sprintf("; did you mean %q?", near)
	}
	b.invalid(where, at, errors.New(text))
	return false
}

// command reads a program and its arguments.
func (b *builder) command(a *hcl.Attribute) []string {
	list, ok := readList(b, a, matching(parseWord))
	if a == nil || !ok {
		return nil
	}
	if len(list) == 0 {
		b.invalid("command", a.Expr.Range(), errors.New("takes a program and its arguments"))
		return nil
	}
	if _, err := parsePath(list[0].value); err != nil {
		b.invalid("command", list[0].at, errors.New(
			`takes a program with its whole path, which starts with "/": neither a shell nor PATH is asked`))
	}
	command := make([]string, len(list))
	for i, word := range list {
		command[i] = word.value
	}
	return command
}
