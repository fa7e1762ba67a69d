// SPDX-License-Identifier: Apache-2.0

package capability

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestSetText(t *testing.T) {
	for set, want := range map[Set]string{
		0:                                  "",
		Balance | Elect:                    "CAP_NET_ADMIN CAP_NET_RAW",
		Of(unix.CAP_CHOWN, unix.CAP_BPF):   "CAP_CHOWN 39",
		Balance | Elect | Hurry | Limiting: "CAP_SETPCAP CAP_NET_ADMIN CAP_NET_RAW CAP_IPC_LOCK CAP_SYS_NICE",
	} {
		if got := set.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestLacks(t *testing.T) {
	const want = "not permitted without CAP_NET_ADMIN CAP_NET_RAW: start holdfast as root or by its systemd unit; as another user with " +
		"AmbientCapabilities=CAP_NET_ADMIN CAP_NET_RAW; in a container with --cap-add NET_ADMIN --cap-add NET_RAW"
	if err := Serve.Lacks(Balance | Elect); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if err := (Balance | Elect | Serve).Lacks(Balance | Elect); err != nil {
		t.Error(err)
	}
	if err := Set(0).Lacks(0); err != nil {
		t.Error(err)
	}
}

const limited = "HOLDFAST_TEST_LIMITED"

// TestLimit limits a process of its own, because there is no way back. What a whole director has left is in cmd/holdfast.
func TestLimit(t *testing.T) {
	if os.Getenv(limited) == "" {
		cmd := exec.Command("/proc/self/exe", "-test.run=^TestLimit$", "-test.v")
		cmd.Env = append(os.Environ(), limited+"=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v:\n%s", err, out)
		}
		return
	}
	before, err := Permitted()
	if err != nil {
		t.Fatal(err)
	}
	left, err := Limit(Balance | Hurry | Limiting)
	if errors.Is(err, ErrCgo) {
		if now, _ := Permitted(); left != before || now != before {
			t.Errorf("%v became %v, though nothing was done", before, now)
		}
		return
	}
	if want := before & (Balance | Hurry | Limiting); err != nil || left != want {
		t.Errorf("got %v, %v, want %v", left, err, want)
	}
	if left, err = Limit(Balance | Elect); err != nil || left != before&Balance {
		t.Errorf("the second time: got %v, %v", left, err)
	}
	out, err := exec.Command("/bin/grep", "CapEff", "/proc/self/status").Output()
	if want := "0000000000001000\n"; before&Limiting != 0 && (err != nil || !strings.HasSuffix(string(out), want)) {
		t.Errorf("a program of root has %s, %v, want %s", out, err, want)
	}
}
