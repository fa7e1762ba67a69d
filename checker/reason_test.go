// SPDX-License-Identifier: Apache-2.0

package checker

import (
	"context"
	"crypto/x509"
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestFault(t *testing.T) {
	target := netip.MustParseAddrPort("192.0.2.1:80")
	op := func(err error) error {
		local := net.TCPAddrFromAddrPort(netip.MustParseAddrPort("192.0.2.2:40000"))
		return &net.OpError{Op: "read", Net: "tcp", Source: local, Addr: net.TCPAddrFromAddrPort(target), Err: err}
	}
	for _, tc := range []struct {
		err    error
		reason string
		local  bool
		detail string
	}{
		{op(os.ErrDeadlineExceeded), reasonTimeout, false, "read 192.0.2.1:80: i/o timeout"},
		{op(context.DeadlineExceeded), reasonTimeout, false, "read 192.0.2.1:80: i/o timeout"},
		{op(os.NewSyscallError("read", syscall.ECONNRESET)), reasonReset, false, "read 192.0.2.1:80: connection reset by peer"},
		{os.NewSyscallError("socket", syscall.EAFNOSUPPORT), reasonNetwork, true,
			"check could not run here: read 192.0.2.1:80: address family not supported by protocol"},
		{syscall.EAGAIN, reasonMemory, true, "check could not run here: read 192.0.2.1:80: resource temporarily unavailable"},
		{x509.HostnameError{Certificate: &x509.Certificate{DNSNames: []string{"a\x1b[2J\nb"}}, Host: "c"}, reasonName, false,
			"read 192.0.2.1:80: x509: certificate is valid for a?[2J?b, not c"},
		{errors.New(strings.Repeat("é", 200)), reasonOther, false, "read 192.0.2.1:80: " + strings.Repeat("é", 90)}, // no half one
	} {
		res := fault("read", target, tc.err)
		if res.Reason != tc.reason || errors.Is(res.Err, ErrLocal) != tc.local || res.Detail != tc.detail {
			t.Errorf("%v: got %q %q, want %q %q, local %v", tc.err, res.Reason, res.Detail, tc.reason, tc.detail, tc.local)
		}
	}
}

// What is noticed late says nothing, a silence that would pass as little as a timeout.
func TestJudgeLate(t *testing.T) {
	timeout := failure(reasonTimeout, os.ErrDeadlineExceeded)
	silence := Result{Detail: "no answer", silent: true}
	for _, tc := range []struct {
		res  Result
		late time.Duration
		want string
	}{
		{timeout, maxLate, reasonTimeout},
		{timeout, maxLate + 1, reasonStalled},
		{silence, maxLate, ""},
		{silence, maxLate + 1, reasonStalled},
		{Result{}, time.Hour, ""},
		{failure(reasonRefused, syscall.ECONNREFUSED), time.Hour, reasonRefused},
	} {
		if got := judgeLate(tc.res, tc.late); got.Reason != tc.want || errors.Is(got.Err, ErrLocal) != (tc.want == reasonStalled) {
			t.Errorf("%+v, %s late: got %+v, want %q", tc.res, tc.late, got, tc.want)
		}
	}
}
