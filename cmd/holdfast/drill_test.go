// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestDrillUsage: what cannot be meant is a matter of usage, and nothing is done.
func TestDrillUsage(t *testing.T) {
	for line, want := range map[string]string{
		"--target 10.0.0.100":                              "want ADDRESS:PORT",
		"--target https://10.0.0.100/":                     "speaks http only",
		"--load-only":                                      "--load-only needs a --target",
		"--load-only --target 10.0.0.100:80 web":           "--load-only is for the load alone",
		"--load-only --target 10.0.0.100:80 --check":       "--load-only is for the load alone",
		"--no-load --target 10.0.0.100:80":                 "contradict",
		"--hold 3 --target 10.0.0.100:80":                  "--hold needs a --target that is http",
		"--host www.example.com":                           "--host needs a --target that is http",
		"--hold -1 --target http://10.0.0.100/":            "--hold is from 0",
		"--rate 0":                                         "--rate is from 1",
		"--for 0s":                                         "--for is longer",
		"--max-gap 0s":                                     "longer than 0s",
		"--max-lost -1":                                    "--max-lost",
		"--peer 10.0.0.3":                                  "want a URL",
		"--socket " + filepath.Join(t.TempDir(), "nosuch"): "failed   director: ",
	} {
		var stdout, stderr bytes.Buffer
		code := run(append([]string{"drill"}, strings.Fields(line)...), &stdout, &stderr)
		wantCode := exitUsage
		if strings.HasPrefix(line, "--socket") {
			wantCode = exitFailed
		}
		if text := stdout.String() + stderr.String(); code != wantCode || !strings.Contains(text, want) {
			t.Errorf("%s: exit %d, %s; want %d with %q", line, code, text, wantCode, want)
		}
	}
}

// A JUnit file that cannot be written is found before anything is done; one that can is there when no director answers, too.
func TestDrillJUnitFile(t *testing.T) {
	var stdout, stderr bytes.Buffer
	dir := t.TempDir()
	if code := run([]string{"drill", "--socket", filepath.Join(dir, "nosuch"), "--junit", filepath.Join(dir, "no", "such")}, &stdout, &stderr); code != exitFailed || stdout.Len() > 0 {
		t.Errorf("exit %d, %s%s", code, &stdout, &stderr)
	}
	file := filepath.Join(dir, "drill.xml")
	if code := run([]string{"drill", "--socket", filepath.Join(dir, "nosuch"), "--junit", file}, &stdout, &stderr); code != exitFailed {
		t.Errorf("exit %d, %s%s", code, &stdout, &stderr)
	}
	if b, err := os.ReadFile(file); err != nil || !bytes.Contains(b, []byte(`<testcase classname="holdfast.pre-checks" name="director"`)) {
		t.Errorf("%v\n%s", err, b)
	}
}

// TestInterruptions: the first signal ends what goes on, and the second one what is done about that.
func TestInterruptions(t *testing.T) {
	ctx, force, stop := interruptions(t.Context(), new(bytes.Buffer))
	defer stop()
	for i, c := range []context.Context{ctx, force} {
		if c.Err() != nil {
			t.Fatalf("context %d has ended before its signal", i)
		}
		if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		select {
		case <-c.Done():
		case <-time.After(20 * time.Second):
			t.Fatalf("signal %d ended nothing", i)
		}
	}
}
