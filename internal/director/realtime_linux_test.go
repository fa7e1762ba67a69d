// SPDX-License-Identifier: Apache-2.0

package director

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/holdfast-lb/holdfast/internal/netlab"
)

const realtimeChild = "HOLDFAST_TEST_REALTIME"

// TestRealtime runs in a process of its own, because there is no way back.
func TestRealtime(t *testing.T) {
	if os.Getenv(realtimeChild) != "" {
		inRealtime(t)
		return
	}
	netlab.Require(t) // it takes root
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestRealtime$", "-test.v")
	cmd.Env = append(os.Environ(), realtimeChild+"=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v:\n%s", err, out)
	}
}

func inRealtime(t *testing.T) {
	var log lockedBuffer
	l := NewLog(&log, "text", false)
	if !underRace() { // whose shadow memory is more than there is
		if err := lockMemory(); err != nil {
			t.Error(err)
		}
		if status, _ := os.ReadFile("/proc/self/status"); bytes.Contains(status, []byte("VmLck:\t       0 kB")) {
			t.Errorf("nothing is locked:\n%s", status)
		}
	}
	go keepRaised(t.Context(), l.Logger)
	var missing string
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if missing = notRaised(t); missing == "" {
			break
		}
	}
	if missing != "" {
		t.Errorf("not raised: %s; log: %s", missing, log.String())
	}
	out, err := exec.Command("cat", "/proc/self/stat").Output()
	if fields := strings.Fields(string(out)); err != nil || len(fields) < 41 || fields[40] != "0" {
		t.Errorf("a program that it starts has policy %s, want 0, %v", out, err)
	}
}

func underRace() bool {
	info, _ := debug.ReadBuildInfo()
	return info != nil && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

// notRaised lists the threads that are not in SCHED_FIFO.
func notRaised(t *testing.T) string {
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, th := range threads {
		var tid int
		_, _ = fmt.Sscan(th.Name(), &tid)
		if a, err := unix.SchedGetAttr(tid, 0); err == nil && a.Policy != unix.SCHED_FIFO {
			list = append(list, th.Name())
		}
	}
	return strings.Join(list, " ")
}

// What is not permitted is said, with what it takes.
func TestRealtimeIsRefused(t *testing.T) {
	for _, limit := range []int{unix.RLIMIT_MEMLOCK, unix.RLIMIT_RTPRIO} {
		var was unix.Rlimit
		if err := unix.Getrlimit(limit, &was); err != nil {
			t.Fatal(err)
		}
		if err := unix.Setrlimit(limit, &unix.Rlimit{Cur: 0, Max: was.Max}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = unix.Setrlimit(limit, &was) })
	}
	refused := make(chan [2]error)
	go func() { // on a thread that ends with it, without capabilities
		runtime.LockOSThread()
		header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var none [2]unix.CapUserData
		if err := unix.Capset(&header, &none[0]); err != nil {
			t.Error(err)
		}
		refused <- [2]error{lockMemory(), raiseThreads()}
	}()
	errs := <-refused
	for i, want := range []string{"CAP_IPC_LOCK", "CAP_SYS_NICE"} {
		if errs[i] == nil || !strings.Contains(errs[i].Error(), want) {
			t.Errorf("error %v, want one that names %s", errs[i], want)
		}
	}
}
