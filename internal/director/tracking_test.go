// SPDX-License-Identifier: Apache-2.0

package director

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/checker"
	"github.com/holdfast-lb/holdfast/configs"
	"github.com/holdfast-lb/holdfast/vrrp"
	"github.com/holdfast-lb/holdfast/vrrp/track"
)

func TestTrackerPart(t *testing.T) {
	script := track.Tracker{Key: track.Key{Router: "web", Kind: track.Script, Name: "upstream"}, Weight: -20}
	file := track.Tracker{Key: track.Key{Router: "web", Kind: track.File, Name: "level"}, Weight: 2}
	tests := []struct {
		name    string
		tracker track.Tracker
		status  track.Status
		want    vrrp.Part
	}{
		{
			"not known to the set", script, track.Status{},
			vrrp.Part{Kind: "script", Name: "upstream", Weight: -20, Pending: true},
		},
		{
			"pending", script, track.Status{Key: script.Key, Pending: true},
			vrrp.Part{Kind: "script", Name: "upstream", Weight: -20, Pending: true},
		},
		{
			"passed", script, track.Status{Key: script.Key, Detail: "exit 0"},
			vrrp.Part{Kind: "script", Name: "upstream", Weight: -20, Detail: "exit 0"},
		},
		{
			"failed", script, track.Status{Key: script.Key, Failed: true, Detail: "exit 1"},
			vrrp.Part{Kind: "script", Name: "upstream", Weight: -20, Failed: true, Value: -20, Detail: "exit 1"},
		},
		{
			"a file with an integer has not failed", file, track.Status{Key: file.Key, Failed: true, HasValue: true, Value: -7},
			vrrp.Part{Kind: "file", Name: "level", Weight: 2, Value: -14},
		},
		{
			"a file with the integer 0", file, track.Status{Key: file.Key, HasValue: true},
			vrrp.Part{Kind: "file", Name: "level", Weight: 2},
		},
		{
			"a huge integer", file, track.Status{Key: file.Key, HasValue: true, Value: math.MaxInt},
			vrrp.Part{Kind: "file", Name: "level", Weight: 2, Value: 2 * fileMost},
		},
		{
			"a file that is absent", file, track.Status{Key: file.Key},
			vrrp.Part{Kind: "file", Name: "level", Weight: 2, Value: 2},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := trackerPart(tt.tracker, tt.status); got != tt.want {
				t.Errorf("got  %+v\nwant %+v", got, tt.want)
			}
		})
	}
}

func TestPartsOfServices(t *testing.T) {
	cfg := parse(t, routerOnly+twoServersUnset)
	cfg.TrackedServices = []configs.TrackedService{{Router: "other", Service: "web"}, {Router: "web", Service: "web", Weight: -50}}
	for checks, want := range map[string]vrrp.Part{
		"web1/tcp up": {Kind: "service", Name: "web", Weight: -50, Pending: true, Detail: "not every real server has been checked"},
		"web1/tcp down, web2/tcp up": {
			Kind: "service", Name: "web", Weight: -50, Pending: true, Detail: "not every real server has been checked",
		},
		"web1/tcp up, web1/http up": {Kind: "service", Name: "web", Weight: -50, Detail: "1 of 2 real servers up"},
		"web1/tcp down, web2/tcp up, web2/http down": {
			Kind: "service", Name: "web", Weight: -50, Failed: true, Value: -50, Detail: "below its quorum: 0 of 2 real servers up",
		},
	} {
		_, decided, _ := desired(time.Now(), facts{cfg: cfg, health: health(checks)}, decisions{})
		if got := parts(cfg, "web", nil, decided); !slices.Equal(got, []vrrp.Part{want}) {
			t.Errorf("%s:\ngot  %+v\nwant %+v", checks, got, want)
		}
	}
}

// Of a service that is down although servers are up, the text says why.
func TestServiceText(t *testing.T) {
	vs := parse(t, twoServersUnset).VirtualServers[0]
	for _, tt := range []struct {
		is   service
		want string
	}{
		{service{verdict: checker.Up, up: 2, weight: 4}, "2 of 2 real servers up"},
		{service{verdict: checker.Down}, "below its quorum: 0 of 2 real servers up"},
		{service{verdict: checker.Down, up: 2}, "below its quorum: 2 of 2 real servers up, weight 0 for a quorum of 1"},
	} {
		if got := tt.is.text(vs); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}

func TestServiceVerdict(t *testing.T) {
	vs := parse(t, twoServersUnset).VirtualServers[0]
	for _, tt := range []struct {
		web1, web2, want checker.Verdict
	}{
		{checker.Up, checker.Unknown, checker.Up},
		{checker.Down, checker.Up, checker.Up},
		{checker.Unknown, checker.Down, checker.Unknown},
		{checker.Down, checker.Unknown, checker.Unknown},
		{checker.Down, checker.Down, checker.Down},
	} {
		is := assess(time.Now(), vs, []server{{verdict: tt.web1}, {verdict: tt.web2}}, service{})
		if is.verdict != tt.want {
			t.Errorf("%v and %v: %v, want %v", tt.web1, tt.web2, is.verdict, tt.want)
		}
	}
}

func TestSyncGroupsOutliveAReload(t *testing.T) {
	cfg := func(groups ...configs.SyncGroup) *configs.Config { return &configs.Config{SyncGroups: groups} }
	d := &Director{cfg: cfg(configs.SyncGroup{Name: "edge", Members: []string{"a", "b"}}, configs.SyncGroup{Name: "gone", Members: []string{"c"}})}
	d.applyGroups()
	edge := d.groupOf["a"]
	if edge == nil || d.groupOf["b"] != edge || d.groupOf["c"] == edge {
		t.Fatalf("groups of members: %v", d.groupOf)
	}
	d.cfg = cfg(configs.SyncGroup{Name: "new", Members: []string{"a"}}, configs.SyncGroup{Name: "edge", Members: []string{"b", "c"}})
	d.applyGroups()
	if d.groupOf["b"] != edge || d.groupOf["c"] != edge || d.groupOf["a"] == edge || d.groupOf["a"] == nil || len(d.groups) != 2 {
		t.Errorf("groups of members after a reload: %v", d.groupOf)
	}
}
