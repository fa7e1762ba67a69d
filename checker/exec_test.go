// SPDX-License-Identifier: Apache-2.0

package checker

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/internal/command"
)

func execConfig(args ...string) Config {
	return Config{Kind: Exec, Target: netip.MustParseAddrPort("10.0.0.21:80"), Command: strings.Join(args, "\x00")}
}

func TestExec(t *testing.T) {
	shell := func(script string) []string { return []string{"/bin/sh", "-c", script} }
	for _, tc := range []struct {
		name           string
		command        []string
		dynamic        bool
		reason, detail string
		weight         Weight
	}{
		{"passes", shell("echo one; echo two; echo"), false, "", "two", Weight{}},
		{"fails", shell("echo no database >&2; exit 1"), false, "exit status", "exit status 1: no database", Weight{}},
		{"fails without a word", []string{"/bin/false"}, false, "exit status", "exit status 1", Weight{}},
		{"other status", shell("exit 102"), false, "exit status", "exit status 102", Weight{}},
		{"weight", shell("exit 102"), true, "", "", Weight{Set: true, Value: 100}},
		{"weight 0", shell("exit 2"), true, "", "", Weight{Set: true}},
		{"weight, most", shell("exit 255"), true, "", "", Weight{Set: true, Value: 253}},
		{"weight, passes", shell("exit 0"), true, "", "", Weight{}},
		{"weight, fails", shell("exit 1"), true, "exit status", "", Weight{}},
		{"arguments as they are", []string{"/bin/echo", "a b;$HOME", "*"}, false, "", "a b;$HOME *", Weight{}},
		{"signal", shell("kill -SEGV $$"), false, "signal", "segmentation fault", Weight{}},
		{"control characters", shell(`printf 'a\033[2Jb\nc\033d'; exit 1`), false, "exit status", "1: c?d", Weight{}},
		{"missing", []string{"/no/such/file"}, false, "cannot run program", "no such file", Weight{}},
		{"no path", []string{"true"}, false, "cannot run program", "absolute", Weight{}},
		{"too slow", shell("echo waiting; sleep 1000"), false, "timeout", "killed", Weight{}},
		{"output without end", shell("while :; do echo spam; done"), false, "timeout", "killed", Weight{}},
		{"ignores signals", shell("trap '' TERM INT HUP; sleep 1000; sleep 1000"), false, "timeout", "killed", Weight{}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := execConfig(tc.command...)
			c.DynamicWeight = tc.dynamic
			if tc.reason == reasonTimeout {
				c.Timeout = patience
			}
			res, st := check(t, c)
			wantResult(t, res, tc.reason, tc.detail)
			if res.Weight != tc.weight {
				t.Errorf("weight: got %+v, want %+v", res.Weight, tc.weight)
			}
			if local := tc.reason == reasonProgram; errors.Is(res.Err, ErrLocal) != local || (st.Verdict == Unknown) != local {
				t.Errorf("verdict %s, %v", st.Verdict, res.Err)
			}
		})
	}
}

func TestExecEnvironment(t *testing.T) {
	t.Setenv("SECRET", "1")
	out := filepath.Join(t.TempDir(), "env")
	check(t, execConfig("/bin/sh", "-c", "env | grep -E 'HOLDFAST|SECRET' | sort >"+out))
	got, err := os.ReadFile(out)
	const want = "HOLDFAST_ADDRESS=10.0.0.21\nHOLDFAST_CHECK=exec\nHOLDFAST_PORT=80\nHOLDFAST_SERVER=web1\nHOLDFAST_SERVICE=web\n"
	if err != nil || string(got) != want {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}

// Programs that leave children behind, or have many of them, end with their group at the deadline, and a child that
// holds the output open holds up no verdict.
func TestExecForks(t *testing.T) {
	c := execConfig("/bin/sh", "-c", "for i in 1 2 3 4 5 6 7 8; do sleep 1000 & done; setsid sleep 3 & wait")
	c.Timeout = patience
	res, st := check(t, c)
	wantResult(t, res, "timeout", "killed")
	t.Logf("after %s", st.Duration)
}

// One that cannot be killed fails, and is not started again beside itself.
func TestExecCannotBeKilled(t *testing.T) {
	var runs atomic.Int32
	release := make(chan struct{})
	p := &programs{run: func(context.Context, command.Command) (command.Result, error) {
		runs.Add(1)
		<-release
		return command.Result{Duration: 1}, nil
	}}
	k, c := Key{"web", "web1", "exec"}, execConfig("/bin/true")
	probe, err := p.newExec(k, &c)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		wantResult(t, probe(ctx), "timeout", "")
		cancel()
	}
	other, _ := p.newExec(Key{"web", "web2", "exec"}, &c)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	wantResult(t, other(ctx), "timeout", "killed")
	cancel()
	if n := runs.Load(); n != 2 {
		t.Errorf("got %d runs, want one for each check", n)
	}
	close(release)
	eventually(t, func() bool { return !p.isStuck(k) })
	wantResult(t, probe(t.Context()), "", "")
}

// A program is told which check it is for, so it runs for each of them.
func TestExecIsNotShared(t *testing.T) {
	dir := t.TempDir()
	c := execConfig("/bin/sh", "-c", "touch "+dir+"/$HOLDFAST_SERVICE")
	c.Interval, c.Timeout = time.Hour, 10*time.Second
	checks := []Check{NewCheck(Key{"web", "web1", "exec"}, c), NewCheck(Key{"mail", "web1", "exec"}, c)}
	s := NewSet(Options{})
	s.Apply(checks)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	<-s.FirstRound()
	before := s.Snapshot()
	s.Apply(checks)
	for i, st := range s.Snapshot() {
		if st.Counts != before[i].Counts || st.Counts.Passed != 1 {
			t.Errorf("a reload without a change: %+v, before %+v", st.Counts, before[i].Counts)
		}
	}
	cancel()
	<-ended
	for _, name := range []string{"web", "mail"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
}

// A reload that changes a check while its program runs does not hold that run against the new check.
func TestExecReloadWhileRunning(t *testing.T) {
	dir := t.TempDir()
	c := execConfig("/bin/sh", "-c", "echo >>"+dir+"/started; while ! test -e "+dir+"/go; do sleep 0.01; done")
	c.Interval, c.Timeout, c.Rise, c.Fall = time.Hour, time.Minute, 1, 1
	got := make(chan Status, 1)
	s := NewSet(Options{OnResult: func(st Status, _ Result) { got <- st }})
	k := Key{"web", "web1", "exec"}
	s.Apply([]Check{NewCheck(k, c)})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	running := func(n int) {
		eventually(t, func() bool {
			b, _ := os.ReadFile(filepath.Join(dir, "started"))
			return len(b) == n || len(got) > 0
		})
	}
	running(1)
	c.Rise = 2
	s.Apply([]Check{NewCheck(k, c)})
	running(2)
	if err := os.WriteFile(filepath.Join(dir, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if st := <-got; st.Verdict != Up {
		t.Errorf("got %s: %s", st.Verdict, st.Detail)
	}
	cancel()
	<-ended
}
