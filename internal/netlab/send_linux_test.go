// SPDX-License-Identifier: Apache-2.0

package netlab

import (
	"bytes"
	"fmt"
	"sync/atomic"
	"testing"
	"time"
)

func TestSend(t *testing.T) {
	lab := Test(t)
	lan := lab.LAN("lan")
	port := lab.Host("a").Join(lan, "eth0", addrA)
	frame := append(append([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, port.MAC...), 0x88, 0xb5, 'h', 'e', 'l', 'l', 'o')
	var seen atomic.Int64
	stop, err := lan.Capture(func(f Frame) {
		if bytes.HasPrefix(f.Data, frame) {
			seen.Add(1)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := port.Send(t.Context(), frame, 100, 200*time.Millisecond); err != nil {
		t.Error(err)
	}
	// At once, and then each 10 ms until the time is up.
	if err := Poll(10*time.Second, func() error {
		if n := seen.Load(); n < 2 {
			return fmt.Errorf("%d frames seen", n)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	if n := seen.Load(); n > 21 {
		t.Errorf("%d frames in 200 ms at 100 a second", n)
	}
}
