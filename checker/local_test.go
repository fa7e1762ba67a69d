// SPDX-License-Identifier: Apache-2.0

package checker

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// What cannot be checked says nothing of the server.
func TestInvalid(t *testing.T) {
	target := serve(t, silent)
	expect, path := httpConfig(target), httpConfig(target)
	expect.Expect, path.HTTP.Path = "(", "/ HTTP/1.1\r\nX: y"
	for name, c := range map[string]Config{"expect": expect, "path": path, "kind": {Target: target}} {
		res, st := check(t, c)
		if !errors.Is(res.Err, ErrLocal) || res.Reason != "invalid check" || st.Verdict != Unknown {
			t.Errorf("%s: got %s %q (%v), want unknown %q", name, st.Verdict, res.Reason, res.Err, "invalid check")
		}
	}
}

// The faults of this host need a process of their own.
func TestLocalFaults(t *testing.T) {
	for _, tc := range []struct {
		name   string
		flags  uintptr
		reason string
	}{
		{"descriptors", 0, "no file descriptors"},
		{"route", syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET, "no local network"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cmd := exec.Command(os.Args[0], "-test.run=^TestLocalFaultHelper$", "-test.v")
			cmd.Env = append(os.Environ(), "LOCAL_FAULT="+tc.name)
			cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: tc.flags}
			out, err := cmd.CombinedOutput()
			if err != nil && len(out) == 0 {
				t.Skipf("needs namespaces: %v", err)
			}
			for _, kind := range []Kind{TCP, HTTP} {
				if want := fmt.Sprintf("%s unknown %q true", kind, tc.reason); !strings.Contains(string(out), want) {
					t.Errorf("%s: want %s in\n%s", kind, want, out)
				}
			}
		})
	}
}

func TestLocalFaultHelper(t *testing.T) {
	target := netip.MustParseAddrPort("192.0.2.1:80")
	limit := func(uint64) {}
	switch os.Getenv("LOCAL_FAULT") {
	case "route":
	case "descriptors":
		var was unix.Rlimit
		if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &was); err != nil {
			t.Fatal(err)
		}
		limit = func(n uint64) {
			if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: min(n, was.Max), Max: was.Max}); err != nil {
				t.Fatal(err)
			}
		}
	default:
		t.Skip("runs in the process that TestLocalFaults starts")
	}
	for _, kind := range []Kind{TCP, HTTP} {
		c := httpConfig(target)
		c.Kind, c.Interval, c.Retry, c.Timeout = kind, time.Hour, time.Hour, time.Second
		limit(1024)
		got := make(chan string, 1)
		s := NewSet(Options{OnResult: func(st Status, r Result) {
			if st.Key.Check == kind.String() {
				got <- fmt.Sprintf("%s %s %q %v", kind, st.Verdict, r.Reason, errors.Is(r.Err, ErrLocal))
			}
		}})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- s.Run(ctx) }()
		s.Apply([]Check{NewCheck(Key{}, Config{Interval: time.Hour})}) // of no kind, but once it has run, Run has its descriptors
		<-s.FirstRound()
		limit(3)
		s.Apply([]Check{NewCheck(Key{Check: kind.String()}, c)})
		fmt.Println(<-got)
		cancel()
		<-ended
	}
}
