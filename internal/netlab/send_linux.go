// SPDX-License-Identifier: Apache-2.0

package netlab

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// Send sends a frame from the port, Ethernet header and all, so many times a second for so long. What is late is sent at
// once; what the line does not take is left out.
func (p *Port) Send(ctx context.Context, frame []byte, rate int, d time.Duration) error {
	fail := func(err error) error { return fmt.Errorf("send from %s %s: %w", p.Host.Name, p.Name, err) }
	link, err := p.Host.nl.LinkByName(p.Name)
	if err != nil {
		return fail(err)
	}
	var fd int
	err = p.Host.Do(func() (err error) {
		fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return fail(err)
	}
	defer func() { _ = unix.Close(fd) }()
	to := &unix.SockaddrLinklayer{Ifindex: link.Attrs().Index}
	start := time.Now()
	for sent := 0; time.Since(start) < d; {
		for due := int(time.Since(start).Seconds()*float64(rate)) + 1; sent < due; sent++ {
			if err := unix.Sendto(fd, frame, unix.MSG_DONTWAIT, to); err != nil && !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.ENOBUFS) {
				return fail(err)
			}
			if sent%1000 == 0 && time.Since(start) > d {
				break
			}
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(max(time.Millisecond, time.Second/time.Duration(2*rate))):
		}
	}
	return nil
}
