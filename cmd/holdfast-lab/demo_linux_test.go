// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/holdfast-lb/holdfast/configs"
	"github.com/holdfast-lb/holdfast/internal/director"
	"github.com/holdfast-lb/holdfast/internal/netlab"
	"github.com/holdfast-lb/holdfast/internal/sysctl"
	"github.com/holdfast-lb/holdfast/ipvs"
	"github.com/holdfast-lb/holdfast/vrrp"
)

// asHoldfast is the variable that makes the test binary serve as holdfast, as far as the demo uses it. So the test needs
// no other binary, which might be an old one.
const asHoldfast = "HOLDFAST_LAB_TEST_AS_HOLDFAST"

func TestMain(m *testing.M) {
	if os.Getenv(asHoldfast) == "" {
		os.Exit(m.Run())
	}
	if err := beHoldfast(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// beHoldfast is `holdfast run -c FILE` and `holdfast check -c FILE`.
func beHoldfast(args []string) error {
	if len(args) != 3 || args[1] != "-c" {
		return fmt.Errorf("the demo calls holdfast with %q", args)
	}
	cfg, diags := configs.Load(args[2])
	if len(diags) > 0 {
		return errors.Join(diags.Write(os.Stderr, false), errors.New("configuration not as it should be"))
	}
	if args[0] == "check" {
		return nil
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	level := new(slog.LevelVar)
	log := slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
	network, err := vrrp.OpenNetwork(log)
	if err != nil {
		return err
	}
	defer network.Close()
	inner, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() { _ = network.Run(inner) })
	d := director.New(director.Options{
		Config: cfg, Log: log, Level: level, Host: network, Dial: network.Dial,
		Sysctls: sysctl.Root, OpenTable: func(ctx context.Context) (ipvs.Table, error) { return ipvs.OpenKernel(ctx, "") },
	})
	hangups := make(chan os.Signal, 8)
	signal.Notify(hangups, syscall.SIGHUP)
	wg.Go(func() {
		for {
			select {
			case <-hangups:
				_, _ = d.Reload(inner)
			case <-inner.Done():
				return
			}
		}
	})
	return d.Run(ctx)
}

// The demo works from end to end, by DR and by NAT. The test is about the demo and not about the bounds, which a busy
// machine may miss: `make demo` shows them.
func TestDemo(t *testing.T) {
	netlab.RequireIPVS(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(asHoldfast, "1")
	keep := t.TempDir()
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), []string{
		"demo", "--json", "--holdfast", self, "--keep", keep, "--run", "dr/stop", "--run", "nat/quiet", "--run", "drsync/stop",
	}, &stdout, &stderr)

	var report struct {
		OK   bool
		Rows []row
	}
	if err := json.Unmarshal(stdout.Bytes(), &report); err != nil {
		t.Fatalf("exit %d, no report: %v\n%s%s", code, err, stdout.Bytes(), stderr.Bytes())
	}
	if report.OK != (code == exitDone) {
		t.Errorf("exit %d of a report that says ok is %v", code, report.OK)
	}
	last := make(map[string]row) // of those that were repeated
	for _, r := range report.Rows {
		last[r.Setup+": "+r.Scenario] = r
	}
	for title, holder := range map[string]string{
		"DR, adverts 1 s: planned stop of the master": "lb2",
		"DR, adverts 1 s: planned fail-back":          "lb1",
		"NAT, adverts 1 s: quiet":                     "lb1",
		// A director that comes back takes over when it knows the connections, and not before.
		"DR, connection sync: planned stop of the master": "lb2",
		"DR, connection sync: planned fail-back":          "lb1",
	} {
		r, ok := last[title]
		switch {
		case !ok:
			t.Errorf("no row %q", title)
		case r.Failure != "":
			t.Errorf("%s: %s", title, r.Failure)
		case r.Requests < 100 || r.Lost > r.Requests/2 && !r.busy():
			t.Errorf("%s: lost %d of %d requests: %v", title, r.Lost, r.Requests, r.Errors)
		case r.Held != nil && (r.Held.Opened == 0 || r.Held.Survived < r.Held.Opened && !r.busy()):
			t.Errorf("%s: of %d held connections %d survived: %v", title, r.Held.Opened, r.Held.Survived, r.Held.Errors)
		case len(r.Servers) != 3 && !r.busy():
			t.Errorf("%s: answers came from %v, want all three servers", title, r.Servers)
		case strings.Join(r.Holders, " ") != holder:
			t.Errorf("%s: held by %v at the end, want %s", title, r.Holders, holder)
		}
	}
	for _, file := range []string{"dr/lb1/holdfast.hcl", "dr/lb2/log", "nat/lb1/log"} {
		if info, err := os.Stat(filepath.Join(keep, file)); err != nil || info.Size() == 0 {
			t.Errorf("%s was not kept: %v", file, err)
		}
	}
	if t.Failed() {
		t.Logf("report:\n%s\nstandard error:\n%s", stdout.Bytes(), stderr.Bytes())
	}
}
