// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/holdfast-lb/holdfast/configs"
)

func TestChoose(t *testing.T) {
	ids := func(chosen []scenario) string {
		var all []string
		for _, s := range chosen {
			all = append(all, s.id())
		}
		return strings.Join(all, " ")
	}
	all, err := choose(nil)
	if err != nil || len(all) != len(scenarios) {
		t.Errorf("no names choose %d scenarios, %v; want all %d", len(all), err, len(scenarios))
	}
	seen := make(map[string]bool)
	for _, s := range bySetup() {
		if seen[s.id()] {
			t.Errorf("two scenarios are named %s", s.id())
		}
		seen[s.id()] = true
	}
	some, err := choose([]string{"nat/quiet", "dr/stop", "dr100"})
	if want := "dr/stop dr100/quiet dr100/cut dr100/stop nat/quiet"; err != nil || ids(some) != want {
		t.Errorf("chosen %s, %v; want %s", ids(some), err, want)
	}
	if _, err := choose([]string{"dr/quite"}); err == nil || !strings.Contains(err.Error(), `"dr/quite"`) {
		t.Errorf("error %v, want one that names what is unknown", err)
	}
}

// Every figure of keepalived stands beside a set-up that exists.
func TestKeepalivedFigures(t *testing.T) {
	for name := range keepalived {
		found := false
		for _, s := range setups {
			found = found || s.name == name
		}
		if !found {
			t.Errorf("figures for %q, which is no set-up", name)
		}
	}
}

// The configurations are right without a lab: no errors, no warnings.
func TestConfigurations(t *testing.T) {
	mh := defaultOptions
	mh.scheduler, mh.flags = "mh", []string{"mh-port"}
	for _, s := range setups {
		for _, o := range []serviceOptions{defaultOptions, mh} {
			d := newDirectorHost("lb1", t.TempDir())
			if err := os.WriteFile(d.config(), []byte(configText(s, d, 200, o)), 0o644); err != nil {
				t.Fatal(err)
			}
			cfg, diags := configs.Load(filepath.Join(d.dir, "holdfast.hcl"))
			if len(diags) > 0 {
				t.Errorf("%s, %s: %v", s.name, o.scheduler, diags)
				continue
			}
			if got := cfg.VirtualRouters[0].Lease; got != s.lease() {
				t.Errorf("%s: the scenarios reckon with a lease of %s, the configuration says %s", s.name, s.lease(), got)
			}
		}
	}
}

func TestCommandLine(t *testing.T) {
	for _, tt := range []struct {
		args           []string
		code           int
		stdout, stderr string // parts
	}{
		{[]string{"demo", "--list", "--run", "dr/cut"}, exitDone, "dr/cut         the master's switch port", ""},
		{[]string{"demo", "--run", "nothing"}, exitMissed, "", `no scenario is named "nothing"`},
		{[]string{"demo", "--holdfast", "/nowhere/holdfast"}, exitMissed, "", "make build"},
		{[]string{"demo", "--fast"}, exitUsage, "", "--help"},
		{[]string{"dance"}, exitUsage, "", `unknown command "dance"`},
		{[]string{"--help"}, exitDone, "demo", ""},
	} {
		var stdout, stderr bytes.Buffer
		code := run(t.Context(), tt.args, &stdout, &stderr)
		if code != tt.code || !strings.Contains(stdout.String(), tt.stdout) || !strings.Contains(stderr.String(), tt.stderr) {
			t.Errorf("%v: exit %d, stdout %q, stderr %q; want %d, %q, %q", tt.args, code, stdout.String(), stderr.String(), tt.code, tt.stdout, tt.stderr)
		}
	}
}
