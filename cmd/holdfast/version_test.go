// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"runtime"
	"runtime/debug"
	"testing"
)

func TestVersionOf(t *testing.T) {
	info := &debug.BuildInfo{
		GoVersion: "go1.26.8",
		Main:      debug.Module{Version: "v0.1.0"},
		Settings:  []debug.BuildSetting{{Key: "vcs.revision", Value: "a924b92"}, {Key: "vcs.modified", Value: "true"}},
	}
	v := versionOf(info)
	v.IPVS = "1.2.1"
	want := "holdfast v0.1.0\nrevision a924b92, modified\ngo       go1.26.8\nipvs     1.2.1\n"
	if v.String() != want {
		t.Errorf("got %q, want %q", v, want)
	}
	if got, want := (version{Version: "(devel)", Go: "go1.26.8"}).String(), "holdfast (devel)\ngo       go1.26.8\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestVersionJSON(t *testing.T) {
	var stdout, stderr bytes.Buffer
	if code := run([]string{"version", "--json"}, &stdout, &stderr); code != 0 {
		t.Fatalf("exit code %d: %s", code, &stderr)
	}
	var v version
	if err := json.Unmarshal(stdout.Bytes(), &v); err != nil || v.Go != runtime.Version() {
		t.Errorf("got %s, %v; want Go %s", &stdout, err, runtime.Version())
	}
}
