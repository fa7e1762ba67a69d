// SPDX-License-Identifier: Apache-2.0

package director

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/holdfast-lb/holdfast/configs"
	"github.com/holdfast-lb/holdfast/ipvs"
)

// TestExamples holds the table of each example, while all of its real servers are up, against what ipvsadm -Sn prints of it
// on a kernel, which is in the file beside it.
func TestExamples(t *testing.T) {
	files, _ := filepath.Glob("../../configs/examples/*.hcl")
	if len(files) == 0 {
		t.Fatal("no examples")
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			cfg, diags := configs.Load(file)
			if diags.Errors() > 0 {
				t.Fatal(diags)
			}
			for i := range cfg.VirtualServers {
				for j := range cfg.VirtualServers[i].RealServers {
					cfg.VirtualServers[i].RealServers[j].Checks = nil // always up
				}
			}
			want, _, _ := desired(time.Now(), facts{cfg: cfg}, decisions{})
			var got strings.Builder
			for _, op := range ipvs.Diff(want, nil) {
				got.WriteString(op.String() + "\n")
			}
			expected, err := os.ReadFile(strings.TrimSuffix(file, ".hcl") + ".ipvsadm")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(services(string(expected)), services(got.String())); diff != "" {
				t.Errorf("table (-want +got):\n%s", diff)
			}
		})
	}
}

// services splits what ipvsadm -Sn prints by service, in an order that depends on no machine's byte order.
func services(rules string) []string {
	list := strings.Split(rules, "-A ")
	slices.Sort(list)
	return list
}
