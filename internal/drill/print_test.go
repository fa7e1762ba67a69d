// SPDX-License-Identifier: Apache-2.0

package drill

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files")

// TestPrint compares the three forms of results with golden files.
func TestPrint(t *testing.T) {
	for name, tt := range map[string]struct {
		pair fakePair
		load fakeClients
		plan func(*Drill)
	}{
		"passed":    {fakePair{hand: ms(200), back: ms(900)}, fakeClients{lose: func(n int) bool { return n == 60 }}, nil},
		"not_taken": {fakePair{hand: 3 * time.Second, result: "not_taken"}, fakeClients{}, nil},
		"refused": {fakePair{}, fakeClients{}, func(d *Drill) {
			s := well()
			s.VirtualRouters[0].Peers[0].LastSeen = time.Now().Add(time.Second) // another clock
			s.Ready, s.VirtualServers[0].RealServers[1].State, s.Config.Error = false, "down", "line 3: \"x\" <y>\nline 4"
			d.Director, d.NoLoad = &fakePair{status: s}, true
		}},
		"by_hand": {fakePair{hand: ms(200), returnErr: os.ErrPermission}, fakeClients{}, func(d *Drill) { d.Bounds.Broken = 0 }},
	} {
		synctest.Test(t, func(t *testing.T) { // whose time begins at a fixed one
			d := night(&tt.pair, tt.load)
			if tt.plan != nil {
				tt.plan(&d)
			}
			r := d.Run(t.Context(), t.Context())
			var got bytes.Buffer
			got.WriteString(r.Text() + "\n")
			e := json.NewEncoder(&got)
			e.SetIndent("", "  ")
			if err := e.Encode(r); err != nil {
				t.Fatal(err)
			}
			got.WriteString("\n")
			begin := got.Len()
			if err := r.WriteJUnit(&got); err != nil {
				t.Fatal(err)
			}
			if err := xml.Unmarshal(got.Bytes()[begin:], new(junitSuites)); err != nil {
				t.Errorf("%s: not XML: %v", name, err)
			}
			file := filepath.Join("testdata", name+".txt")
			if *update {
				if err := os.WriteFile(file, got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got.String()); diff != "" {
				t.Errorf("%s (-want +got):\n%s", file, diff)
			}
		})
	}
}
