// SPDX-License-Identifier: Apache-2.0

package checker

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

const (
	reasonStartTLS = "no starttls"

	quitWait = 100 * time.Millisecond

	maxSMTP = 32 << 10 // bytes of all replies; RFC 5321 section 4.5.3.1.5 has 512 for a line
)

// The replies that RFC 5321 section 4.3.2 wants.
const (
	smtpReady = 220
	smtpOK    = 250
)

// smtpSession is one run.
type smtpSession struct {
	config *Config
	conn   net.Conn
	r      *bufio.Reader // of conn
}

// newSMTP prepares a check: greeting, EHLO, with StartTLS the same again under TLS, and QUIT. What comes of QUIT is not
// looked at.
func newSMTP(c *Config) (Probe, error) {
	if strings.ContainsFunc(c.HELO, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return nil, fmt.Errorf("helo %q: holds a space or what is not ASCII", c.HELO)
	}
	first := *c
	first.TLS.On = c.TLS.On && !c.StartTLS
	return func(ctx context.Context) Result {
		conn, done, res := open(ctx, &first, "", maxSMTP+maxTLS)
		if res.Err != nil {
			return res
		}
		defer done()
		s := &smtpSession{config: c, conn: conn, r: buffered(conn)}
		defer release(s.r)
		return s.run(ctx)
	}, nil
}

func (s *smtpSession) run(ctx context.Context) Result {
	greeting, res := s.reply("greeting", smtpReady)
	if res.Err != nil {
		return res
	}
	extensions, res := s.ehlo()
	if res.Err != nil {
		return res
	}
	if s.config.StartTLS {
		if res := s.startTLS(ctx, extensions); res.Err != nil {
			return res
		}
	}
	s.quit(ctx)
	return Result{Detail: detailOf(greeting[0])}
}

// quit takes leave, and waits a little for the answer (RFC 5321 section 4.1.1.10).
func (s *smtpSession) quit(ctx context.Context) {
	until := time.Now().Add(quitWait)
	if deadline, ok := ctx.Deadline(); ok && deadline.Before(until) {
		until = deadline
	}
	if s.conn.SetDeadline(until) != nil {
		return
	}
	if _, err := io.WriteString(s.conn, "QUIT\r\n"); err == nil {
		_, _ = s.reply("QUIT", 0)
	}
}

// ehlo returns the lines of the answer: the server's name and its extensions (RFC 5321 section 4.1.1.1).
func (s *smtpSession) ehlo() ([]string, Result) {
	helo := s.config.HELO
	if helo == "" {
		helo = "localhost"
	}
	return s.command("EHLO "+helo, smtpOK)
}

// startTLS secures the connection (RFC 3207). What the server has sent before that is not to be trusted, and neither
// is a server that sends any.
func (s *smtpSession) startTLS(ctx context.Context, extensions []string) Result {
	offered := false
	for _, e := range extensions[1:] {
		offered = offered || strings.EqualFold(strings.TrimSpace(e), "STARTTLS")
	}
	if !offered {
		return failure(reasonStartTLS, errors.New("the server does not offer STARTTLS"))
	}
	if _, res := s.command("STARTTLS", smtpReady); res.Err != nil {
		return res
	}
	if s.r.Buffered() > 0 {
		return failure(reasonMalformed, errors.New("more than one reply to STARTTLS"))
	}
	secured, res := secure(ctx, s.conn, s.config, "")
	if res.Err != nil {
		return res
	}
	s.conn = secured
	s.r.Reset(secured)
	_, res = s.ehlo()
	return res
}

// command sends a line and returns the lines of the reply, which must have the code want.
func (s *smtpSession) command(line string, want int) ([]string, Result) {
	if _, err := io.WriteString(s.conn, line+"\r\n"); err != nil {
		return nil, fault("send "+line+" to", s.config.Target, err)
	}
	return s.reply(line, want)
}

// reply reads one reply (RFC 5321 section 4.2), at least one line of it; want 0: of any code.
func (s *smtpSession) reply(to string, want int) ([]string, Result) {
	var lines []string
	for code := 0; ; {
		line, err := s.r.ReadSlice('\n')
		if err == bufio.ErrBufferFull { // a line of 4 KiB
			err = errTooLarge
		}
		if err != nil {
			return nil, fault("read reply to "+to+" of", s.config.Target, err)
		}
		text := strings.TrimRight(string(line), "\r\n")
		n, more, ok := smtpLine(text)
		if !ok || code != 0 && n != code {
			return nil, failure(reasonMalformed, fmt.Errorf("reply to %s: %.64q", to, text))
		}
		code = n
		lines = append(lines, text[min(len(text), 4):])
		if more {
			continue
		}
		if want != 0 && code != want {
			detail := detailOf(text)
			return nil, Result{Err: fmt.Errorf("reply to %s: %s", to, detail), Reason: reasonStatus, Detail: detail}
		}
		return lines, Result{}
	}
}

// smtpLine takes the code off a line and reports whether more lines follow.
func smtpLine(line string) (code int, more, ok bool) {
	if len(line) < 3 || line[0] < '2' || line[0] > '5' {
		return 0, false, false
	}
	code, err := strconv.Atoi(line[:3])
	if err != nil || len(line) > 3 && line[3] != ' ' && line[3] != '-' {
		return 0, false, false
	}
	return code, len(line) > 3 && line[3] == '-', true
}
