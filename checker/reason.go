// SPDX-License-Identifier: Apache-2.0

package checker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// The reasons of failed checks. They are stable: events, metrics and alerts carry them.
const (
	reasonRefused   = "connection refused"
	reasonReset     = "connection reset"
	reasonClosed    = "connection closed" // in the middle of the answer, or before it
	reasonTimeout   = "timeout"
	reasonNoRoute   = "no route" // a router says so, or the server does not answer ARP
	reasonMalformed = "malformed response"
	reasonTooLarge  = "response too large"
	reasonStatus    = "status"
	reasonBody      = "body"
	reasonDigest    = "digest"
	reasonRedirect  = "redirect"        // to another server, too often, or in a circle
	reasonAnswer    = "answer"          // not what is expected
	reasonVirtual   = "virtual address" // is not the server's, though it answers at its own one
	reasonARP       = "arp"             // it answers for the virtual address, which is the director's to do
	reasonRouter    = "router"          // is between us and a server that has to be on our network
	reasonOther     = "error"

	// The reasons of TLS.
	reasonExpired     = "certificate expired"
	reasonNotYetValid = "certificate not yet valid"
	reasonAuthority   = "certificate of unknown authority"
	reasonName        = "certificate for another name"
	reasonCertificate = "certificate invalid" // for any other cause
	reasonVersion     = "tls version"
	reasonHandshake   = "tls handshake"

	// The reasons of ErrLocal.
	reasonDescriptors = "no file descriptors"
	reasonMemory      = "no memory"
	reasonPort        = "no local port"
	reasonNetwork     = "no local network" // no route here, or the link is down
	reasonPermission  = "not permitted"    // most often by the firewall of this host
	reasonInvalid     = "invalid check"
	reasonStalled     = "stalled" // this process was held up over the deadline, so the answer may be here unread
)

// maxLate is how late a timeout may be noticed. A process that is held up longer does not know who was too slow.
const maxLate = 100 * time.Millisecond

// maxDetail bounds what a server can make us repeat in logs.
const maxDetail = 200

// fault is the result of a network operation that failed: its reason, and whether it was this host that failed.
func fault(op string, target netip.AddrPort, err error) Result {
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		err = errno // without the local port, which makes every text another one
	} else if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) {
		err = os.ErrDeadlineExceeded // likewise
	}
	reason, local := explain(err, target)
	err = fmt.Errorf("%s %s: %w", op, target, err)
	if local {
		return localFault(reason, err)
	}
	return failure(reason, err)
}

func localFault(reason string, err error) Result {
	return failure(reason, fmt.Errorf("%w: %w", ErrLocal, err))
}

// judgeLate makes a timeout, or a pass by silence, that was noticed late after the deadline a local fault.
func judgeLate(res Result, late time.Duration) Result {
	if res.Reason != reasonTimeout && !res.silent || late <= maxLate {
		return res
	}
	return localFault(reasonStalled, fmt.Errorf("%w, noticed %s after it", res.cause(), late.Round(time.Millisecond)))
}

func failure(reason string, err error) Result {
	return Result{Err: err, Reason: reason, Detail: detailOf(err.Error())}
}

// detailOf is what a server says, fit for a log: bounded, and without what moves a cursor.
func detailOf(s string) string {
	s = strings.ToValidUTF8(strings.Map(func(r rune) rune {
		if !strconv.IsPrint(r) {
			return '?'
		}
		return r
	}, s), "?")
	return strings.ToValidUTF8(s[:min(len(s), maxDetail)], "")
}

// explain finds the reason of a network error and whether its cause is this host. A route that is missing is both: the
// same errno comes from our own table and, in an ICMP message, from a router on the way.
func explain(err error, target netip.AddrPort) (reason string, local bool) {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded), errors.Is(err, syscall.ETIMEDOUT):
		return reasonTimeout, false
	case errors.Is(err, syscall.ECONNREFUSED):
		return reasonRefused, false
	case errors.Is(err, syscall.ECONNRESET):
		return reasonReset, false
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.EPIPE):
		return reasonClosed, false
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		return reasonDescriptors, true
	case errors.Is(err, syscall.ENOBUFS), errors.Is(err, syscall.ENOMEM), errors.Is(err, syscall.ENOSPC),
		errors.Is(err, syscall.EAGAIN): // the latter: the send buffer of a packet socket is full
		return reasonMemory, true
	case errors.Is(err, syscall.EADDRNOTAVAIL), errors.Is(err, syscall.EADDRINUSE):
		return reasonPort, true
	case errors.Is(err, syscall.ENETDOWN), errors.Is(err, syscall.EAFNOSUPPORT): // the latter: booted without IPv6
		return reasonNetwork, true
	case errors.Is(err, syscall.EPERM):
		return reasonPermission, true
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH),
		errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EINVAL): // the latter two: prohibit and blackhole routes
		if !routed(target) {
			return reasonNetwork, true
		}
		return reasonNoRoute, false
	case errors.Is(err, errTooLarge):
		return reasonTooLarge, false
	}
	return cmp.Or(explainTLS(err), reasonOther), false
}

// routed reports whether this host has a route to target: connecting a UDP socket looks it up and sends nothing.
func routed(target netip.AddrPort) bool {
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(target))
	if err != nil {
		return false
	}
	_ = c.Close()
	return true
}
