// SPDX-License-Identifier: Apache-2.0

package notify

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	mrand "math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// The retries of one event in a row: at most webhookAttempts within webhookTotal, after pauses that double from firstPause.
// What is still the newest of its object then is tried on, once each longestPause at most.
const (
	webhookAttempts = 8
	webhookTotal    = 5 * time.Minute
	firstPause      = time.Second
	longestPause    = time.Minute
	bodyMost        = 64 << 10 // bytes of an answer that are read, so that the connection can be used again
)

// newClient returns a client that goes where the configuration says: past proxies of the environment, not along redirects.
func newClient() *http.Client {
	return &http.Client{
		Transport:     &http.Transport{ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 1, IdleConnTimeout: time.Minute, MaxResponseHeaderBytes: bodyMost},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// webhook posts an event until it is taken, at most so many times. A network error, 5xx and 429 are tried again, and
// reported as worth another try later; any other answer but 2xx is final. Every attempt of an event has the same
// Idempotency-Key. Once soon has ended, one more attempt is made.
func (n *Notifier) webhook(soon, attempt context.Context, c Config, body []byte, attempts int) (later bool, err error) {
	total, cancel := context.WithTimeout(attempt, webhookTotal)
	defer cancel()
	key := fmt.Sprintf("%x", sha256.Sum256(body))
	pause := firstPause
	for i := 1; ; i++ {
		last := soon.Err() != nil
		after, err := n.post(total, c, key, body)
		if err == nil {
			return false, nil
		}
		if after < 0 || last || i == attempts || total.Err() != nil {
			return after >= 0, fmt.Errorf("attempt %d: %w", i, err)
		}
		wait(soon, total, max(after, pause/2+mrand.N(pause/2)))
		if total.Err() != nil {
			return true, fmt.Errorf("attempt %d, no time for another: %w", i, err)
		}
		pause = min(2*pause, longestPause)
	}
}

func wait(soon, total context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-soon.Done():
	case <-total.Done():
	}
}

// post makes one attempt. With an error it returns how long to wait at least before the next; negative: there is none.
func (n *Notifier) post(ctx context.Context, c Config, key string, body []byte) (after time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.Webhook, bytes.NewReader(body))
	if err != nil {
		return -1, bare(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "holdfast")
	req.Header.Set("Idempotency-Key", key)
	resp, err := n.client.Do(req)
	if err != nil {
		return 0, bare(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 == 2 {
		// It has been taken, whatever becomes of the rest.
		_, _ = io.CopyN(io.Discard, resp.Body, bodyMost)
		return 0, nil
	}
	err = fmt.Errorf("%d %s", resp.StatusCode, http.StatusText(resp.StatusCode))
	if resp.StatusCode/100 == 5 || resp.StatusCode == http.StatusTooManyRequests {
		return retryAfter(resp.Header.Get("Retry-After"), time.Now()), err
	}
	return -1, err
}

// bare removes the URL from an error: it may hold a secret.
func bare(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}

// retryAfter reads the header of that name (RFC 9110 section 10.2.3), at most longestPause.
func retryAfter(s string, now time.Time) time.Duration {
	if n, err := strconv.ParseUint(s, 10, 32); err == nil {
		return min(time.Duration(n)*time.Second, longestPause)
	}
	if at, err := http.ParseTime(s); err == nil {
		return min(max(at.Sub(now), 0), longestPause)
	}
	return 0
}
