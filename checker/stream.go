// SPDX-License-Identifier: Apache-2.0

package checker

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"syscall"
	"time"
)

// errTooLarge ends a connection whose server says more than any answer needs.
var errTooLarge = errors.New("more than the check reads")

// open connects to the target of a check and secures the connection where Config.TLS is on. host names the server where
// Config.TLS does not; protocols are offered by ALPN; limit is how many bytes the server can make us read. One of conn
// and res.Err is nil. Everything on conn ends with ctx, which has the only deadline, and the caller calls done in the
// end.
func open(ctx context.Context, c *Config, host string, limit int, protocols ...string) (conn net.Conn, done func(), res Result) {
	raw, err := dial(ctx, c)
	if err != nil {
		return nil, nil, fault("connect", c.Target, err)
	}
	_ = raw.(*net.TCPConn).SetLinger(0) // as in the plain TCP check: leave no TIME_WAIT behind
	// One mechanism for deadline and shutdown; what fails afterwards fails with os.ErrDeadlineExceeded.
	stop := context.AfterFunc(ctx, func() { _ = raw.SetDeadline(time.Unix(1, 0)) })
	// Not the close of TLS, which would say goodbye and wait for room to say it.
	done = func() { stop(); _ = raw.Close() }
	conn = &boundedConn{Conn: raw, left: limit}
	if c.TLS.On {
		if conn, res = secure(ctx, conn, c, host, protocols...); res.Err != nil {
			done()
			return nil, nil, res
		}
	}
	return conn, done, Result{}
}

// boundedConn reads no more than it has left.
type boundedConn struct {
	net.Conn
	left int

	asked       bool                  // TLS: the server has asked for our certificate
	read, http1 atomic.Bool           // anything has been read; and it began as a response of HTTP/1
	failed      atomic.Pointer[error] // of reading
	gone        atomic.Pointer[error] // of writing: the server has closed the connection
}

// note remembers how what is read begins, and why it ends.
func (b *boundedConn) note(p []byte, err error) {
	if len(p) > 0 && b.read.CompareAndSwap(false, true) {
		b.http1.Store(bytes.HasPrefix(p, []byte("HTTP/")))
	}
	if err != nil {
		b.failed.CompareAndSwap(nil, &err)
	}
}

// bounded is the boundedConn of a connection that open has made.
func bounded(conn net.Conn) *boundedConn {
	if t, ok := conn.(*tls.Conn); ok {
		conn = t.NetConn()
	}
	return conn.(*boundedConn)
}

func (b *boundedConn) Read(p []byte) (int, error) {
	if b.left <= 0 && len(p) > 0 {
		return 0, errTooLarge
	}
	n, err := b.Conn.Read(p[:min(len(p), b.left)])
	b.left -= n
	if gone := b.gone.Load(); gone != nil && err == io.EOF {
		err = *gone // which the kernel says once
	}
	b.note(p[:n], err)
	return n, err
}

// Write keeps to itself that the server has closed the connection. What it said before that tells more, and whoever reads
// meets the end after it.
func (b *boundedConn) Write(p []byte) (int, error) {
	n, err := b.Conn.Write(p)
	if errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) {
		gone := err // or each err of a write would be on the heap
		b.gone.CompareAndSwap(nil, &gone)
		return len(p), nil
	}
	return n, err
}
