// SPDX-License-Identifier: Apache-2.0

package checker

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"unicode/utf8"
)

// What a server can make a TCP check read: an answer, and beside it what TLS needs.
const (
	maxAnswer = 16 << 10
	maxTLS    = 256 << 10
)

// tcpCheck is a TCP check that is not plain.
type tcpCheck struct {
	config *Config
	expect *regexp.Regexp // nil: any answer, or none
}

// newTCP prepares a check; expect is Config.Expect, compiled.
func newTCP(c *Config, expect *regexp.Regexp) (Probe, error) {
	t := tcpCheck{config: c, expect: expect}
	return t.run, nil
}

func (t *tcpCheck) run(ctx context.Context) Result {
	conn, done, res := open(ctx, t.config, "", maxAnswer+maxTLS)
	if res.Err != nil {
		return res
	}
	defer done()
	if t.config.Send != "" {
		if _, err := io.WriteString(conn, t.config.Send); err != nil {
			return fault("send to", t.config.Target, err)
		}
	}
	if t.expect == nil {
		return t.accepted(conn)
	}
	return t.read(conn)
}

// accepted is the result of a connection that nothing is expected of. In TLS 1.3 the client's certificate comes last (RFC
// 8446 section 2), so a server that has asked for it may still refuse: it is told goodbye, and heard until it goes, too.
func (t *tcpCheck) accepted(conn net.Conn) Result {
	b := bounded(conn)
	gone := b.gone.Load()
	if secured, ok := conn.(*tls.Conn); ok && b.asked && secured.ConnectionState().Version >= tls.VersionTLS13 {
		_ = secured.CloseWrite()
		if _, err := secured.Read(make([]byte, 1)); isAlert(err) {
			return fault("shake hands with", t.config.Target, err)
		}
	}
	if gone != nil {
		return fault("send to", t.config.Target, *gone)
	}
	return Result{}
}

// read compares the answer each time that more of it has come, as a server that waits for the next command neither
// closes nor says that it has ended. The more has come in small pieces, the rarer it is compared, so that the cost is
// bounded; the end and the deadline compare once more.
func (t *tcpCheck) read(conn io.Reader) Result {
	buf := make([]byte, 0, 512)
	for reads, next := 0, 0; ; reads++ {
		if len(buf) == cap(buf) {
			buf = append(make([]byte, 0, min(4*cap(buf), maxAnswer)), buf...)
		}
		n, err := conn.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		last := err != nil || len(buf) == maxAnswer
		if len(buf) > 0 && (last || reads < 32 || len(buf) >= next) {
			if matches(t.expect, buf) {
				return Result{}
			}
			next = 2 * len(buf)
		}
		if last {
			return t.unmatched(buf, err)
		}
	}
}

// unmatched is the result of an answer that err, or nil and its length, has ended.
func (t *tcpCheck) unmatched(got []byte, err error) Result {
	const shown = 64
	what := fmt.Sprintf("%d bytes from %q", len(got), got[:min(len(got), shown)])
	switch {
	case err == nil || errors.Is(err, errTooLarge):
		return failure(reasonTooLarge, fmt.Errorf("answer does not match %q: %s", t.config.Expect, what))
	case errors.Is(err, io.EOF) && len(got) > 0:
		return failure(reasonAnswer, fmt.Errorf("answer does not match %q: %s", t.config.Expect, what))
	case errors.Is(err, os.ErrDeadlineExceeded) && len(got) > 0:
		return failure(reasonTimeout, fmt.Errorf("read answer of %s: %w, after %s", t.config.Target, os.ErrDeadlineExceeded, what))
	}
	return fault("read answer of", t.config.Target, err)
}

// matches reports whether an answer is as expected. Each byte of it is one character, \x00 to \xff, so that binary
// protocols work and . is one byte; but an expression with other characters than ASCII in it is about text, in UTF-8.
func matches(expect *regexp.Regexp, answer []byte) bool {
	if isASCII([]byte(expect.String())) && !isASCII(answer) {
		runes := make([]rune, len(answer))
		for i, b := range answer {
			runes[i] = rune(b)
		}
		return expect.MatchString(string(runes))
	}
	return expect.Match(answer)
}

func isASCII(b []byte) bool {
	return !bytes.ContainsFunc(b, func(r rune) bool { return r >= utf8.RuneSelf })
}
