// SPDX-License-Identifier: Apache-2.0

package director

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// What the trackers find out changes the priority, is logged, and is shown.
func TestTrackersChangeThePriority(t *testing.T) {
	s := newSite(t)
	path := filepath.Join(filepath.Dir(s.path), "maintenance")
	s.track(fmt.Sprintf(`
track_file "maintenance" {
  path   = %q
  weight = -20
}
track_script "upstream" {
  command  = ["/bin/sh", "-c", "echo no answer; exit 3"]
  interval = "200ms"
  timeout  = "200ms"
  weight   = -5
  user     = "%d"
}`, path, os.Getuid()))
	s.run()
	is := func(priority uint8, kind string, want func(PartStatus) bool) {
		t.Helper()
		s.routerBecomes("web", func(vr VirtualRouterStatus) bool {
			return vr.EffectivePriority == priority && slices.ContainsFunc(vr.Parts, func(p PartStatus) bool { return p.Kind == kind && want(p) })
		})
	}
	is(95, "script", func(p PartStatus) bool {
		return p.Failed && p.Value == -5 && strings.Contains(p.Detail, "3") && strings.Contains(p.Output, "no answer") && !p.Last.IsZero()
	})
	s.logged(`level=WARN msg="tracker failed" virtual_router=web tracker="script upstream"`)
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("")
	is(75, "file", func(p PartStatus) bool { return p.Failed && p.Value == -20 })
	write("3\n")
	is(35, "file", func(p PartStatus) bool { return !p.Failed && p.Value == -60 })
	write("-1\n")
	is(115, "file", func(p PartStatus) bool { return !p.Failed && p.Value == 20 })
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	is(95, "file", func(p PartStatus) bool { return !p.Failed && p.Value == 0 })

	s.edit("exit 3", "exit 0")
	s.edit("weight = -20", "weight = 0")
	write("")
	s.reload()
	s.routerBecomes("web", func(vr VirtualRouterStatus) bool {
		return vr.State == "fault" && strings.HasPrefix(vr.Reason, "tracked file maintenance has failed") && vr.EffectivePriority == 100
	})
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	s.routerIs("web", "master")
	s.logged(`level=INFO msg="tracker recovered" virtual_router=web tracker="file maintenance"`)
}

// A tracker that has not run yet keeps a router from preempting, and the status says so.
func TestStatusSaysWhichTrackerIsWaitedFor(t *testing.T) {
	s := newSite(t)
	s.track(fmt.Sprintf(`
track_script "slow" {
  command  = ["/bin/sleep", "30"]
  interval = "60s"
  timeout  = "60s"
  user     = "%d"
}`, os.Getuid()))
	s.run()
	s.routerBecomes("web", func(vr VirtualRouterStatus) bool { return vr.Unready == "the tracked script slow is not known yet" })
}
