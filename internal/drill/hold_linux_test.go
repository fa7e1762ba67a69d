// SPDX-License-Identifier: Apache-2.0

package drill

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// hold holds connections until all are open and something was done.
func hold(t *testing.T, h Hold, do func()) HeldReport {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	all, err := h.Run(ctx, func() { go func() { do(); cancel() }() })
	if err != nil {
		t.Fatal(err)
	}
	return SummarizeHeld(all)
}

// keepAlive is a server that leaves connections open, and does to number n what is wrong with it.
func keepAlive(t *testing.T, wrong func(n int, c net.Conn, answered int) (end bool)) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	t.Cleanup(func() { _ = l.Close(); running.Wait() })
	running.Go(func() {
		for n := 0; ; n++ {
			c, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer func() { _ = c.Close() }()
				r := bufio.NewReader(c)
				for answered := 0; ; answered++ {
					if _, err := http.ReadRequest(r); err != nil || wrong(n, c, answered) {
						return
					}
					for _, part := range []string{"HTTP/1.1 200 OK\r\nContent-Le", "ngth: 4\r\nX-Server: web1\r\n\r\nwe", "b1"} {
						_, _ = fmt.Fprint(c, part)
					}
				}
			})
		}
	})
	return l
}

func TestHold(t *testing.T) {
	var answers atomic.Int32
	l := keepAlive(t, func(n int, c net.Conn, answered int) bool {
		answers.Add(1)
		switch {
		case answered < 2:
		case n == 0:
			_ = c.(*net.TCPConn).SetLinger(0) // a reset
			return true
		case n == 1:
			return true
		case n == 2:
			time.Sleep(300 * time.Millisecond) // late, but not lost
		case n == 3:
			_, _ = bufio.NewReader(c).ReadByte() // until the client gives up
			return true
		}
		return false
	})
	r := hold(t, Hold{
		Target: target(t, l), Count: 20, Interval: 10 * time.Millisecond, Patience: time.Second, ServerHeader: "X-Server",
	}, func() {
		for before := answers.Load(); answers.Load() < before+500; {
			time.Sleep(time.Millisecond)
		}
	})
	if r.Stall < 300*time.Millisecond {
		t.Errorf("longest stall %v, want the one of 300 ms", r.Stall)
	}
	r.Stall = 0
	want := HeldReport{
		Opened: 20, Survived: 17, Reset: 2, Stalled: 1, Errors: map[string]int{"reset": 1, "closed by the server": 1, Stalled: 1},
	}
	if diff := cmp.Diff(want, r); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
}

func TestHoldRefused(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	to := target(t, l)
	_ = l.Close()
	r := hold(t, Hold{Target: to, Count: 3}, func() {})
	if want := (HeldReport{Errors: map[string]int{"refused": 3}}); !cmp.Equal(r, want) {
		t.Errorf("report %+v, want %+v", r, want)
	}
}
